"""A desk phone and its firmware type."""

import re
from dataclasses import dataclass
from enum import StrEnum

from cisisk.model.clock import Timestamp
from cisisk.model.discovery import DiscoveredPhone
from cisisk.model.mac import Mac


class Software(StrEnum):
    """The type of firmware that a phone runs."""

    SCCP = "SCCP"
    """Skinny."""
    SIP = "SIP"
    """SIP."""
    SIPE = "SIPE"
    """Enterprise (call-manager style) SIP."""


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
