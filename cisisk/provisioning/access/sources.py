"""Who asks for files of phones that are not at its address: counted by address, over all protocols together.

A UDP request proves nothing about its source. So what is counted here can be made up by anybody who forges addresses,
and nothing that is decided by it may touch a phone that is known at its address: the policy asks here only after that.
"""

import math
from dataclasses import dataclass
from datetime import timedelta

from cisisk.model import clock
from cisisk.provisioning.access.alarm import Alarm, AlarmKind, shown

WINDOW_SECONDS = 600.0
"""Within so much time requests belong together."""
FREE_DEVICES = 10
"""Different phones that a source may ask for within a window. A phone asks for one; an administrator tries some; an
address may be given to another phone; a new site behind one NAT has up to so many without entering their address."""
BRAKED_SECONDS = 3600.0
"""How long a source that asked for more is braked. It is not made longer by further requests: a forged address would
be braked for ever."""
SETTLE_SECONDS = 5.0
"""From the brake to the alarm: 40 workers go through 4,096 names meanwhile, and the alarm can say so."""
PATIENCE_SECONDS = 30.0
"""From a first refusal to its alarm: whoever asks for the next phone within that time gets one alarm, not two."""
AGAIN_SECONDS = 3600.0
"""Between two alarms about a phone that goes on asking where it is not known: it may do so for days."""
MAX_ALARMS = 50
"""Alarms within a window. Nobody reads more, and forged addresses must not fill the log."""


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
    """One address that asked for files of phones that are not there.

    Attributes:
        since, latest: its first and last request, in seconds of the policy's clock.
        devices: what it asked for, in order: digits of MACs, names of decoys.
        refused: those of them that it was refused, or would have been.
        asked: requests.
        braked_at: when it went too far.
        kind: what an alarm about it is.
        first: its first request of all, with pauses of less than a window.
        told_at: when there was an alarm about it as it is now.
    """

    __slots__ = ("asked", "braked_at", "devices", "first", "host", "kind", "latest", "refused", "since", "told_at")

    def __init__(self, host: str, since: float) -> None:
        self.host = host
        self.since = since
        self.first = since
        self.devices: dict[str, None] = {}
        self.refused: dict[str, None] = {}
        self.latest = since
        self.asked = 0
        self.braked_at: float | None = None
        self.kind = AlarmKind.ELSEWHERE
        self.told_at: float | None = None

    def refuse(self, device: str) -> None:
        """Note a refusal, of what is named at all."""
        if device in self.devices:
            self.refused[device] = None

    def is_over(self, now: float) -> bool:
        """Whether what it does from ``now`` on is counted anew."""
        if self.braked_at is not None:
            return now >= self.braked_at + BRAKED_SECONDS
        return now >= self.since + WINDOW_SECONDS

    def is_gone(self, now: float) -> bool:
        """Whether it may be forgotten."""
        return self.is_over(now) and now >= self.latest + WINDOW_SECONDS

    def is_due(self, now: float, settle_seconds: float) -> bool:
        """Whether there is an alarm to tell at ``now``."""
        if self.braked_at is not None:
            return self.told_at is None and now >= self.braked_at + settle_seconds
        is_news = self.told_at is None or now >= self.told_at + AGAIN_SECONDS
        return is_news and bool(self.refused) and now >= self.since + PATIENCE_SECONDS


class FetchSources:
    """All of them, bounded. Changed by one thread at a time; ``braked`` may be looked into by any."""

    def __init__(self, limits: SourceLimits = DEFAULT_LIMITS) -> None:
        self._limits = limits
        self.braked: dict[str, FetchSource] = {}
        self._free: dict[str, FetchSource] = {}
        self._named = 0
        self._window = -math.inf
        self._alarms = 0
        self._is_flooded = False
        self._is_flood_told = False

    def __len__(self) -> int:
        return len(self._free) + len(self.braked)

    def asked(self, host: str, device: str, now: float, *, is_decoy: bool) -> FetchSource:
        """``host`` asked for a file of ``device``, which is not known to be there; brakes it if that is too much."""
        known = self.braked.get(host) or self._free.get(host)
        source = self._begin(host, now, known) if known is None or known.is_over(now) else known
        source.asked += 1
        source.latest = now
        if device not in source.devices and self._may_name(source):
            source.devices[device] = None
            self._named += 1
        if source.braked_at is None and (is_decoy or len(source.devices) > FREE_DEVICES):
            self._brake(source, now, is_decoy=is_decoy)
        return source

    def due(self, now: float, *, is_observed: bool) -> list[Alarm]:
        """The alarms to tell at ``now``, each once; forgets what is over."""
        if now >= self._window + WINDOW_SECONDS:
            self._window, self._alarms, self._is_flood_told = now, 0, False
        alarms = []
        for source in [source for source in self._each() if source.is_due(now, self._limits.settle_seconds)]:
            source.told_at = now
            if self._alarms < MAX_ALARMS:
                self._alarms += 1
                alarms.append(_alarm(source, now, is_observed=is_observed))
            else:
                self._is_flooded = True
        if self._is_flooded and not self._is_flood_told:
            self._is_flood_told = True
            alarms.append(_flood(is_observed=is_observed))
        self._is_flooded = False
        for source in [source for source in self._each() if source.is_over(now)]:
            if source.is_gone(now):
                self._forget(source)
            elif source.braked_at is not None:
                self._begin(source.host, now, source)
        return alarms

    def _each(self) -> list[FetchSource]:
        return [*self._free.values(), *self.braked.values()]

    def _may_name(self, source: FetchSource) -> bool:
        known = len(source.devices)
        return known <= FREE_DEVICES or (known < self._limits.max_named and self._named < self._limits.max_named_in_all)

    def _begin(self, host: str, now: float, known: FetchSource | None) -> FetchSource:
        source = FetchSource(host, now)
        if known is not None:
            self._forget(known)
            if not known.is_gone(now):
                source.first, source.told_at = known.first, known.told_at
        if len(self._free) >= self._limits.max_sources:
            oldest = next(iter(self._free.values()))
            self._is_flooded |= not oldest.is_over(now)
            self._forget(oldest)
        self._free[host] = source
        return source

    def _brake(self, source: FetchSource, now: float, *, is_decoy: bool) -> None:
        source.braked_at, source.told_at = now, None
        source.kind = AlarmKind.DECOY if is_decoy else AlarmKind.ENUMERATION
        self._free.pop(source.host)
        if len(self.braked) >= self._limits.max_throttled:
            self._is_flooded = True
            self._forget(next(iter(self.braked.values())))
        self.braked[source.host] = source

    def _forget(self, source: FetchSource) -> None:
        self._named -= len(source.devices)
        for table in (self._free, self.braked):
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
