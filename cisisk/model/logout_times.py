"""Logout times of day, and the time zone of this machine."""

import logging
import os
import re
from collections.abc import Collection, Mapping
from contextlib import suppress
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from pathlib import Path
from zoneinfo import ZoneInfo

log = logging.getLogger(__name__)

_TIME = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])")


def time_of_day(text: str) -> time:
    """Parse a time of day such as ``20:00``. Raises ValueError."""
    found = _TIME.fullmatch(text)
    if found is None:
        message = f"expected a time of the day such as 20:00, got {text!r}"
        raise ValueError(message)
    return time(int(found[1]), int(found[2]))


def moment_on(day: date, local: time, zone: tzinfo) -> datetime:
    """Return the moment, in UTC, at which it is ``local`` time in ``zone`` on that day. There is one on each day.

    When clocks are set back and the time occurs twice, the first occurrence counts. When clocks skip the time, the
    result is the moment that it would have been without the change.
    """
    return datetime.combine(day, local.replace(fold=0), tzinfo=zone).astimezone(UTC)


def next_time_of_day(after: datetime, times: Collection[time], zone: tzinfo) -> datetime | None:
    """Return the first of these times of day after ``after`` (aware), in UTC; None if ``times`` is empty."""
    if not times:
        return None
    today = after.astimezone(zone).date()
    # A skipped time may belong to the day before. If a whole day was skipped, the next one is two days later.
    days = [today + timedelta(days=days) for days in range(-1, 3)]
    return min(moment for moment in (moment_on(day, each, zone) for day in days for each in times) if moment > after)


def local_zone(environ: Mapping[str, str] = os.environ, localtime: Path = Path("/etc/localtime")) -> tzinfo:
    """Return the time zone that ``TZ`` names, else the zone of the system, else UTC.

    ``TZ`` is the name of a zone or the path of its file (tzset(3)). POSIX rules in ``TZ`` are not supported.
    """
    named = environ.get("TZ", "").removeprefix(":")
    for source in (named, str(localtime)) if named else (str(localtime),):
        with suppress(OSError, ValueError, KeyError):
            return _zone(source)
    log.warning("time zone unknown, logout times are UTC: tried=TZ,%s", localtime)
    return UTC


def _zone(source: str) -> tzinfo:
    if not source.startswith("/"):
        return ZoneInfo(source)
    with Path(source).open("rb") as compiled:
        return ZoneInfo.from_file(compiled)
