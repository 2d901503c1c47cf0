"""A phone profile: one complete configuration file that belongs to a user."""

from dataclasses import dataclass
from typing import Protocol

from cisisk.model.clock import Timestamp
from cisisk.model.phone import Software, plain_model


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """A phone profile.

    Attributes:
        cnf_xml: the bytes as they are served, in the encoding their XML declaration names.
        compatible_models: empty when it fits any model.
        software_type: None when it fits any software.
        placeholders: whether ``{{mac}}`` and the others (model/placeholders.py) are filled in at each switch.
        revision: counts the changes.
    """

    uuid: str
    user_uuid: str
    name: str
    description: str | None = None
    cnf_xml: bytes
    compatible_models: tuple[str, ...] = ()
    software_type: Software | None = None
    placeholders: bool = False
    created_at: Timestamp
    updated_at: Timestamp
    revision: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class ProfileHead:
    """What is needed to choose a profile, without its config. Attributes as :class:`Profile`."""

    uuid: str
    name: str
    compatible_models: tuple[str, ...]
    software_type: Software | None


class Fitted(Protocol):
    """What a profile is compared with."""

    @property
    def model(self) -> str | None:
        """Which model it is; None when that is not known."""

    @property
    def software(self) -> Software | None:
        """What it runs; None when that is not known."""


def misfit(profile: Profile | ProfileHead, phone: Fitted) -> str | None:
    """Why ``profile`` must not go to ``phone``, or None. What is not known about the phone refuses nothing."""
    models = {plain_model(model) for model in profile.compatible_models}
    if phone.model and models and plain_model(phone.model) not in models:
        return f"The profile is for {', '.join(profile.compatible_models)}; the phone is a {phone.model}"
    if phone.software and profile.software_type and phone.software != profile.software_type:
        return f"The profile is for {profile.software_type} software; the phone runs {phone.software}"
    return None
