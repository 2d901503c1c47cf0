"""Sources of requests for files of phones at other addresses, counted by address over all protocols.

The source of a UDP request can be forged. Therefore nothing that is decided here may affect a phone that is known at
its address: the policy asks here only about other requests.
"""

import math
from dataclasses import dataclass
from datetime import timedelta

from cisisk.model import clock
from cisisk.provisioning.access.alarm import Alarm, AlarmKind, shown

WINDOW_SECONDS = 600.0
"""Requests within this time are counted together."""
FREE_DEVICES = 10
"""Different phones that a source may request within a window. A phone requests one; an administrator tries several; an
address may be reassigned; a new site behind one NAT has up to this many phones without known addresses."""
THROTTLE_SECONDS = 3600.0
"""How long a source that exceeds the limit is throttled. Further requests do not extend it: a forged address would be
throttled for ever."""
SETTLE_SECONDS = 5.0
"""From the throttling to the alarm, so that the alarm can name more phones: 40 workers try 4,096 names meanwhile."""
FIRST_ALARM_SECONDS = 30.0
"""From the first refusal to its alarm: further refusals within this time are part of the same alarm."""
ALARM_INTERVAL_SECONDS = 3600.0
"""Between two alarms about a phone that continues to request its files from an unknown address, perhaps for days."""
MAX_ALARMS = 50
"""Alarms within a window. More would not be read, and forged addresses must not fill the log."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceLimits:
    """Limits of the throttle of searches.

    Attributes:
        settle_seconds: from the throttling of a source to its alarm.
        max_sources: sources within one window: more than a site has phones. About 10 MB when all are forged.
        max_throttled: throttled sources; the oldest are dropped.
        max_named: phones recorded for one source: the neighbours of one phone (4,096), and some more.
        max_named_in_all: phones recorded for all throttled sources, about 6 MB. Beyond that, requests are only counted.
    """

    settle_seconds: float = SETTLE_SECONDS
    max_sources: int = 16_384
    max_throttled: int = 1024
    max_named: int = 5_000
    max_named_in_all: int = 50_000


DEFAULT_LIMITS = SourceLimits()


class FetchSource:
    """One address that requested files of phones that are not known there.

    Attributes:
        since, latest: its first and last request, in seconds of the policy's clock.
        devices: what it requested, in order: digits of MACs, names of decoys.
        refused: those of them that were refused, or would have been.
        asked: number of requests.
        throttled_at: when it exceeded the limit.
        kind: of an alarm about it.
        first: its first request, with pauses shorter than a window.
        alarmed_at: when the last alarm about it was raised.
    """

    __slots__ = (
        "alarmed_at",
        "asked",
        "devices",
        "first",
        "host",
        "kind",
        "latest",
        "refused",
        "since",
        "throttled_at",
    )

    def __init__(self, host: str, since: float) -> None:
        self.host = host
        self.since = since
        self.first = since
        self.devices: dict[str, None] = {}
        self.refused: dict[str, None] = {}
        self.latest = since
        self.asked = 0
        self.throttled_at: float | None = None
        self.kind = AlarmKind.ELSEWHERE
        self.alarmed_at: float | None = None

    def refuse(self, device: str) -> None:
        """Note a refusal, if the device is recorded."""
        if device in self.devices:
            self.refused[device] = None

    def is_over(self, now: float) -> bool:
        """Whether its requests from ``now`` on are counted anew."""
        if self.throttled_at is not None:
            return now >= self.throttled_at + THROTTLE_SECONDS
        return now >= self.since + WINDOW_SECONDS

    def is_gone(self, now: float) -> bool:
        """Whether it can be forgotten."""
        return self.is_over(now) and now >= self.latest + WINDOW_SECONDS

    def is_due(self, now: float, settle_seconds: float) -> bool:
        """Whether an alarm about it is due at ``now``."""
        if self.throttled_at is not None:
            return self.alarmed_at is None and now >= self.throttled_at + settle_seconds
        is_news = self.alarmed_at is None or now >= self.alarmed_at + ALARM_INTERVAL_SECONDS
        return is_news and bool(self.refused) and now >= self.since + FIRST_ALARM_SECONDS


class FetchSources:
    """All sources, bounded. One thread at a time may change them; any thread may read ``throttled``."""

    def __init__(self, limits: SourceLimits = DEFAULT_LIMITS) -> None:
        self._limits = limits
        self.throttled: dict[str, FetchSource] = {}
        self._free: dict[str, FetchSource] = {}
        self._named = 0
        self._window = -math.inf
        self._alarms = 0
        self._is_flooded = False
        self._is_flood_reported = False

    def __len__(self) -> int:
        return len(self._free) + len(self.throttled)

    def asked(self, host: str, device: str, now: float, *, is_decoy: bool) -> FetchSource:
        """Count a request for a device that is not known at ``host``; throttle the source if it exceeds the limit."""
        known = self.throttled.get(host) or self._free.get(host)
        source = self._begin(host, now, known) if known is None or known.is_over(now) else known
        source.asked += 1
        source.latest = now
        if device not in source.devices and self._may_name(source):
            source.devices[device] = None
            self._named += 1
        if source.throttled_at is None and (is_decoy or len(source.devices) > FREE_DEVICES):
            self._throttle(source, now, is_decoy=is_decoy)
        return source

    def due(self, now: float, *, is_observed: bool) -> list[Alarm]:
        """Return the alarms that are due at ``now``, each once, and forget old sources."""
        if now >= self._window + WINDOW_SECONDS:
            self._window, self._alarms, self._is_flood_reported = now, 0, False
        alarms = []
        for source in [source for source in self._each() if source.is_due(now, self._limits.settle_seconds)]:
            source.alarmed_at = now
            if self._alarms < MAX_ALARMS:
                self._alarms += 1
                alarms.append(_alarm(source, now, is_observed=is_observed))
            else:
                self._is_flooded = True
        if self._is_flooded and not self._is_flood_reported:
            self._is_flood_reported = True
            alarms.append(_flood(is_observed=is_observed))
        self._is_flooded = False
        for source in [source for source in self._each() if source.is_over(now)]:
            if source.is_gone(now):
                self._forget(source)
            elif source.throttled_at is not None:
                self._begin(source.host, now, source)
        return alarms

    def _each(self) -> list[FetchSource]:
        return [*self._free.values(), *self.throttled.values()]

    def _may_name(self, source: FetchSource) -> bool:
        known = len(source.devices)
        return known <= FREE_DEVICES or (known < self._limits.max_named and self._named < self._limits.max_named_in_all)

    def _begin(self, host: str, now: float, known: FetchSource | None) -> FetchSource:
        source = FetchSource(host, now)
        if known is not None:
            self._forget(known)
            if not known.is_gone(now):
                source.first, source.alarmed_at = known.first, known.alarmed_at
        if len(self._free) >= self._limits.max_sources:
            oldest = next(iter(self._free.values()))
            self._is_flooded |= not oldest.is_over(now)
            self._forget(oldest)
        self._free[host] = source
        return source

    def _throttle(self, source: FetchSource, now: float, *, is_decoy: bool) -> None:
        source.throttled_at, source.alarmed_at = now, None
        source.kind = AlarmKind.DECOY if is_decoy else AlarmKind.ENUMERATION
        self._free.pop(source.host)
        if len(self.throttled) >= self._limits.max_throttled:
            self._is_flooded = True
            self._forget(next(iter(self.throttled.values())))
        self.throttled[source.host] = source

    def _forget(self, source: FetchSource) -> None:
        self._named -= len(source.devices)
        for table in (self._free, self.throttled):
            if table.get(source.host) is source:
                del table[source.host]


def _alarm(source: FetchSource, now: float, *, is_observed: bool) -> Alarm:
    return Alarm(
        kind=source.kind,
        host=source.host,
        since=clock.after(timedelta(seconds=source.since - now)),
        seconds=math.ceil(source.latest - source.since),
        asked=source.asked,
        devices=len(source.devices),
        refused=tuple(shown(device) for device in source.refused),
        is_observed=is_observed,
    )


def _flood(*, is_observed: bool) -> Alarm:
    nothing = {"seconds": 0, "asked": 0, "devices": 0}
    return Alarm(kind=AlarmKind.FLOOD, host=None, since=clock.now(), refused=(), is_observed=is_observed, **nothing)
