"""When logins end by the clock."""

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
    """A time such as ``20:00``. Raises ValueError."""
    found = _TIME.fullmatch(text)
    if found is None:
        message = f"expected a time of the day such as 20:00, got {text!r}"
        raise ValueError(message)
    return time(int(found[1]), int(found[2]))


def moment_on(day: date, local: time, zone: tzinfo) -> datetime:
    """When it is that time in ``zone`` on that day, in UTC: once on every day.

    A time that comes twice, when clocks are set back, counts the first time. One that clocks skip is as far behind the
    change as it would be without it.
    """
    return datetime.combine(day, local.replace(fold=0), tzinfo=zone).astimezone(UTC)


def next_time_of_day(after: datetime, times: Collection[time], zone: tzinfo) -> datetime | None:
    """The first of these times of the day that is later than ``after``, an aware time; in UTC. None without any."""
    if not times:
        return None
    today = after.astimezone(zone).date()
    # A skipped time may belong to the day before, and where a whole day was skipped the next is two days later.
    days = [today + timedelta(days=days) for days in range(-1, 3)]
    return min(moment for moment in (moment_on(day, each, zone) for day in days for each in times) if moment > after)


def local_zone(environ: Mapping[str, str] = os.environ, localtime: Path = Path("/etc/localtime")) -> tzinfo:
    """The zone of this machine's clock, with its changes: what ``TZ`` names, else what the system is set to.

    ``TZ`` is the name of a zone or the path of its file (tzset(3)). Rules written out in it are not understood.
    """
    named = environ.get("TZ", "").removeprefix(":")
    for source in (named, str(localtime)) if named else (str(localtime),):
        with suppress(OSError, ValueError, KeyError):
            return _zone(source)
    log.warning("the time zone of this machine is not known (TZ, %s): logins end by the clock in UTC", localtime)
    return UTC


def _zone(source: str) -> tzinfo:
    if not source.startswith("/"):
        return ZoneInfo(source)
    with Path(source).open("rb") as compiled:
        return ZoneInfo.from_file(compiled)
