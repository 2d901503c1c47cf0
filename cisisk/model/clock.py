"""Timestamps as Cisisk stores and shows them: text such as ``2026-06-28T12:00:00.000Z``."""

from datetime import UTC, datetime, timedelta
from typing import TypeAlias

Timestamp: TypeAlias = str
"""UTC with milliseconds: the order of the texts is the order of the times."""


def timestamp(moment: datetime) -> Timestamp:
    """Return an aware ``moment`` as a timestamp."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def now() -> Timestamp:
    """Return the current time."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")[:-6] + "Z"


def after(delay: timedelta) -> Timestamp:
    """Return the time ``delay`` from now. A negative delay gives a past time."""
    return timestamp(datetime.now(UTC) + delay)
