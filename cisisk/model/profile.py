"""Phone profiles: complete config files that belong to users."""

from dataclasses import dataclass
from typing import Protocol

from cisisk.model.clock import Timestamp
from cisisk.model.codes.deployment import Misfit
from cisisk.model.notice import Notice
from cisisk.model.phone import Software, plain_model


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """A phone profile.

    Attributes:
        cnf_xml: the bytes that are served, in the encoding that their XML declaration names.
        compatible_models: empty if the profile fits any model.
        software_type: None if the profile fits any software.
        placeholders: whether each switch fills in the placeholders (model/placeholders.py).
        revision: the number of changes.
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
    """The part of a profile that is needed to choose it. Attributes as in :class:`Profile`."""

    uuid: str
    name: str
    compatible_models: tuple[str, ...]
    software_type: Software | None


class Fitted(Protocol):
    """The properties of a phone that a profile must match."""

    @property
    def model(self) -> str | None:
        """The model; None if unknown."""

    @property
    def software(self) -> Software | None:
        """The type of firmware; None if unknown."""


def misfit(profile: Profile | ProfileHead, phone: Fitted) -> Notice | None:
    """Why ``profile`` must not go to ``phone``, or None. What is not known about the phone refuses nothing."""
    models = {plain_model(model) for model in profile.compatible_models}
    if phone.model and models and plain_model(phone.model) not in models:
        return Misfit.MODEL.notice(wanted=", ".join(profile.compatible_models), model=phone.model)
    if phone.software and profile.software_type and phone.software != profile.software_type:
        return Misfit.SOFTWARE.notice(wanted=profile.software_type, software=phone.software)
    return None
