"""What phones offer under their services key."""

from dataclasses import dataclass

from cisisk.model.clock import Timestamp


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """A service.

    Attributes:
        url: what the phone asks for, or a URI that it knows itself, such as ``Application:Cisco/MissedCalls``.
        revision: counts the changes.
    """

    uuid: str
    name: str | None
    url: str | None
    type: str | None
    created_at: Timestamp
    updated_at: Timestamp
    revision: int
