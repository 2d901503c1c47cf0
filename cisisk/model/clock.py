"""Points in time as Cisisk stores and shows them: text such as ``2026-06-28T12:00:00.000Z``."""

from datetime import UTC, datetime, timedelta
from typing import TypeAlias

Timestamp: TypeAlias = str
"""UTC with milliseconds, so that the order of the texts is the order of the times."""


def timestamp(moment: datetime) -> Timestamp:
    """The text of an aware ``moment``."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def now() -> Timestamp:
    """The present."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")[:-6] + "Z"


def after(delay: timedelta) -> Timestamp:
    """``delay`` from now; a negative one lies in the past."""
    return timestamp(datetime.now(UTC) + delay)
