"""The limits of the API that have no setting."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiLimits:
    """Limits of the API. Times are in seconds.

    Attributes:
        event_heartbeat_seconds: interval of comments in event streams, which detect lost connections, and of token
            checks.
        event_write_seconds: timeout of a write to a slow client of an event stream. The client can reconnect and
            continue.
        upload_pause_seconds: longest pause of an upload. After that the connection counts as lost, and the upload is
            discarded.
        max_heartbeat_age: longest age of the heartbeat of a protocol thread in a healthy service. A thread updates it
            every second, even under load.
    """

    event_heartbeat_seconds: float = 15.0
    event_write_seconds: float = 60.0
    upload_pause_seconds: float = 60.0
    max_heartbeat_age: float = 5.0


DEFAULT_LIMITS = ApiLimits()
