"""A desk phone and its firmware type."""

import re
from dataclasses import dataclass
from enum import StrEnum

from cisisk.model.clock import Timestamp
from cisisk.model.discovery import DiscoveredPhone
from cisisk.model.mac import Mac
from cisisk.model.notice import Notice


class Software(StrEnum):
    """The type of firmware that a phone runs."""

    SCCP = "SCCP"
    """Skinny."""
    SIP = "SIP"
    """SIP."""
    SIPE = "SIPE"
    """Enterprise (call-manager style) SIP."""


class RunningEvidence(StrEnum):
    """What shows that a phone runs a config that it took."""

    REGISTRATION = "registration"
    """It registered with it."""
    BOOT = "boot"
    """Its boot went on past the config, or ended."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PhoneConfig:
    """A config of a phone, and the person whose it is.

    Attributes:
        profile_uuid: the profile that it came from; None, as the three after it, for a config of no present profile.
        since: when the phone was served it, or took it.
    """

    sha256: str
    profile_uuid: str | None
    profile_name: str | None
    user_uuid: str | None
    username: str | None
    since: Timestamp


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigInUse(PhoneConfig):
    """The config that a phone runs.

    Attributes:
        registered_at: when its last registration with it was seen, which ``registered_as`` describes.
    """

    evidence: RunningEvidence
    registered_at: Timestamp | None
    registered_as: Notice | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Phone:
    """A phone in the inventory.

    Attributes:
        software: None if unknown.
        phone_ip: the address that an administrator entered.
        seen_ip: the address of the phone's last fetch, at ``seen_at``.
        served_sha256: of the config that is served to it; None if there is none, or none is known yet.
        drifted_at: when Cisisk found that another program had changed or removed that config on the disk.
        discovery: set for a discovered phone until an administrator adds or changes it, or switches it.
        logout_profile_uuid: the profile after a logout; None for that of its site. ``emergency_location`` and
            ``emergency_caller_id`` follow the same rule.
        current: the config that it is served.
        running: the config that it runs: the last one that it took whole on the way to a registration or to the end of
            its boot. None if it took none, or took it elsewhere.
        revision: the number of changes by administrators.
    """

    mac: Mac
    model: str | None = None
    phone_ip: str | None = None
    location: str | None = None
    description: str | None = None
    software: Software | None = None
    name: str | None = None
    hostname: str | None = None
    phone_vlan: int | None = None
    brand: str | None = None
    software_version: str | None = None
    is_active: bool = True
    current_profile_uuid: str | None = None
    seen_ip: str | None = None
    seen_at: Timestamp | None = None
    served_sha256: str | None = None
    drifted_at: Timestamp | None = None
    discovery: DiscoveredPhone | None = None
    logout_profile_uuid: str | None = None
    emergency_location: str | None = None
    emergency_caller_id: str | None = None
    current: PhoneConfig | None = None
    running: ConfigInUse | None = None
    created_at: Timestamp
    updated_at: Timestamp
    revision: int = 1

    @property
    def address(self) -> str | None:
        """The address at which to reach the phone: the seen one is newer than the entered one."""
        return self.seen_ip or self.phone_ip


def plain_model(model: str) -> str:
    """Return a model in the form that comparisons use: ``CP-7942G`` becomes ``7942``."""
    return re.sub(r"^CP-|G$", "", model.strip().upper())
