"""Services that phones show under their services key."""

from dataclasses import dataclass

from cisisk.model.clock import Timestamp


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """A service.

    Attributes:
        url: the URL that the phone requests, or an internal URI such as ``Application:Cisco/MissedCalls``.
        revision: the number of changes.
    """

    uuid: str
    name: str | None
    url: str | None
    type: str | None
    created_at: Timestamp
    updated_at: Timestamp
    revision: int
