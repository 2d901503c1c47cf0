"""Phone profiles: complete config files that belong to users."""

from dataclasses import dataclass
from typing import Protocol

from cisisk.model import sep_config
from cisisk.model.clock import Timestamp
from cisisk.model.codes.deployment import Misfit
from cisisk.model.errors import Invalid
from cisisk.model.loads import FIRST_GENERATION
from cisisk.model.notice import Notice
from cisisk.model.phone import Software, plain_model
from cisisk.model.sep_config import ContentType, SepConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """A phone profile.

    Attributes:
        cnf_xml: the bytes that are served, in the encoding that their XML declaration names; for the content type
            ``cnf`` a flat config.
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

    @property
    def content_type(self) -> ContentType:
        """The form of the config."""
        return sep_config.content_type_of(self.cnf_xml)

    @property
    def config(self) -> SepConfig | None:
        """The facts of the config; None if it cannot be read any more."""
        return config_of(self.cnf_xml)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProfileHead:
    """The part of a profile that is needed to choose it. Attributes as in :class:`Profile`."""

    uuid: str
    name: str
    compatible_models: tuple[str, ...]
    software_type: Software | None
    config: SepConfig | None = None


def config_of(content: bytes) -> SepConfig | None:
    """Return the facts of a stored config; None if it cannot be read any more."""
    try:
        # It was accepted under an earlier limit.
        return sep_config.read(content, max_bytes=max(len(content), 1))
    except Invalid:
        return None


class Fitted(Protocol):
    """The properties of a phone that a profile must match."""

    @property
    def model(self) -> str | None:
        """The model; None if unknown."""

    @property
    def software(self) -> Software | None:
        """The type of firmware; None if unknown."""


def misfit(profile: Profile | ProfileHead, phone: Fitted, *, asks_for_flat_config: bool = False) -> Notice | None:
    """Why ``profile`` must not go to ``phone``, or None. What is not known about the phone refuses nothing.

    Args:
        asks_for_flat_config: the phone was seen to request ``SIP<MAC>.cnf``.
    """
    models = {plain_model(model) for model in profile.compatible_models}
    if phone.model and models and plain_model(phone.model) not in models:
        return Misfit.MODEL.notice(wanted=", ".join(profile.compatible_models), model=phone.model)
    if phone.software and profile.software_type and phone.software != profile.software_type:
        return Misfit.SOFTWARE.notice(wanted=profile.software_type, software=phone.software)
    config = profile.config
    if config is None:
        return None
    return _misfit_of(config, phone, asks_for_flat_config=asks_for_flat_config)


def _misfit_of(config: SepConfig, phone: Fitted, *, asks_for_flat_config: bool) -> Notice | None:
    """Why a config must not go to a phone: it is for another protocol, or the phone reads another file."""
    is_sccp = phone.software is Software.SCCP
    if config.speaks == "SCCP" and phone.software and not is_sccp:
        return Misfit.SOFTWARE.notice(wanted="SCCP", software=phone.software)
    model = plain_model(phone.model) if phone.model else None
    if config.is_flat:
        if model and model not in FIRST_GENERATION:
            return Misfit.READS_NO_FLAT_CONFIG.notice(model=phone.model or "")
        return Misfit.SOFTWARE.notice(wanted="SIP", software="SCCP") if is_sccp else None
    reads_flat = config.speaks == "SIP" and (model in FIRST_GENERATION or asks_for_flat_config)
    return Misfit.READS_FLAT_CONFIG.notice() if reads_flat or config.is_read_for_firmware_only else None
