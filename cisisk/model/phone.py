"""A desk phone, the firmware it runs, and which profiles fit it."""

import re
from dataclasses import dataclass
from enum import StrEnum

from cisisk.model.clock import Timestamp
from cisisk.model.discovery import DiscoveredPhone
from cisisk.model.mac import Mac


class Software(StrEnum):
    """The kind of firmware a phone runs."""

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
        software: None while nobody has said what it runs.
        phone_ip: the address an administrator entered.
        seen_ip: the address the phone itself last fetched from, at ``seen_at``.
        served_sha256: of the config that it is served; None when there is none, or none is known yet.
        drifted_at: when somebody else was found to have changed or removed that config on the disk.
        discovery: how it came into the inventory by itself, while nobody has added or changed it, or switched it.
        logout_profile_uuid: what it is given when a user leaves it; None for what its site says. The same goes for
            ``emergency_location`` and ``emergency_caller_id``.
        revision: counts the changes an administrator made.
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
        """Where it can be reached: what was seen is newer than what was entered."""
        return self.seen_ip or self.phone_ip


def plain_model(model: str) -> str:
    """A model as it is compared: ``CP-7942G`` is ``7942``."""
    return re.sub(r"^CP-|G$", "", model.strip().upper())
