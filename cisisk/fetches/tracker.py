"""Tracks fetches of phones: the address of each phone, and the config that it has taken."""

import asyncio
import logging
from collections.abc import Callable, Container, Iterable
from dataclasses import dataclass
from typing import TypeAlias, TypeVar

from cisisk.fetches.intake import FetchIntake
from cisisk.fetches.running import RunningConfigs
from cisisk.model.codes.deployment import StepNotice
from cisisk.model.errors import StorageFailed
from cisisk.model.listeners import Listeners
from cisisk.model.mac import Mac
from cisisk.model.notice import Notice
from cisisk.provisioning.fetch import Fetch, FetchOutcome
from cisisk.provisioning.names import device_mac, normalise
from cisisk.store import phones, progress
from cisisk.store.database import Database
from cisisk.store.phones import Sighting
from cisisk.store.progress import ConfigKey, Delivery

Believes: TypeAlias = Callable[[Mac, str], bool]
"""Whether a request for a phone's file from an address shows the address of the phone."""

log = logging.getLogger(__name__)

_MINUTE = len("2026-06-28T12:00")

_T = TypeVar("_T")
_PhoneFetch: TypeAlias = tuple[Mac, Fetch]
"""A fetch and the phone whose file it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackerLimits:
    """Limits of the fetch tracker.

    Attributes:
        max_known: phones, and requested names, that are remembered so that nothing is parsed or stored twice: more
            than any site has.
        batch_seconds: during which fetches are collected: a boot storm is a few transactions a second instead of
            thousands.
        batch_size: fetches handled without a pause: a few milliseconds in which requests wait. With fewer, the
            transactions would cost more than the fetches.
    """

    max_known: int = 20_000
    batch_seconds: float = 0.1
    batch_size: int = 1000


class FetchTracker:
    """Collects fetches from any thread, and stores sightings and deliveries in batches."""

    def __init__(
        self,
        db: Database,
        believes: Believes = lambda _mac, _host: True,
        limits: TrackerLimits = TrackerLimits(),
    ) -> None:
        self._db = db
        self._limits = limits
        self._believes = believes
        self._listeners: Listeners[list[Fetch]] = Listeners()
        self._loop = asyncio.get_running_loop()
        self._pending = FetchIntake("fetch tracker")
        self._arrived = asyncio.Event()
        self._storing = asyncio.Lock()
        self._named: dict[str, Mac] = {}
        self._known: dict[str, Sighting] = {}
        self._running = RunningConfigs(db)
        self._lost = 0

    def subscribe(self, listener: Callable[[list[Fetch]], None]) -> None:
        """Call ``listener`` with each batch of fetches. It must return at once."""
        self._listeners.subscribe(listener)

    def note(self, fetch: Fetch) -> None:
        """Queue a fetch. Callable from any thread; returns at once."""
        self._pending.put((fetch,))
        # Checked after the append: a fetch that misses a batch finds the event cleared, and sets it for the next one.
        if not self._arrived.is_set():
            self._loop.call_soon_threadsafe(self._arrived.set)

    async def run(self) -> None:
        """Store what arrives until cancelled, then store the rest."""
        try:
            while True:
                await self._arrived.wait()
                self._arrived.clear()
                await asyncio.shield(self.store_pending())
                await asyncio.sleep(self._limits.batch_seconds)
        finally:
            await self.store_pending()

    async def store_pending(self) -> None:
        """Store all queued fetches. What the database refuses is lost, and logged once."""
        async with self._storing:
            size = self._limits.batch_size
            for left in range(len(self._pending), 0, -size):
                await self._store(self._pending.take(min(left, size)))
                # A batch without news did not yield to the event loop.
                await asyncio.sleep(0)

    async def _store(self, fetches: list[Fetch]) -> None:
        self._listeners.notify(fetches)
        fetched = [
            (mac, fetch)
            for fetch in fetches
            if fetch.outcome is not FetchOutcome.REFUSED
            and (mac := self._whose(fetch.name)) is not None
            and self._is_phones(fetch, mac)
        ]
        try:
            await self._store_deliveries(fetched)
            await self._running.store(fetches, fetched)
            await self._store_sightings(fetched)
        except StorageFailed as error:
            if not self._lost:
                log.warning("fetches not tracked: error=(%s)", error.notice)
            self._lost += len(fetches)

    def _whose(self, name: str) -> Mac | None:
        """Return the phone whose file has this name, or None. Phones request the same names at each boot."""
        mac = self._named.get(name)
        if mac is None and (mac := device_mac(name)) is not None:
            self._keep(self._named, name, mac)
        return mac

    def _is_phones(self, fetch: Fetch, mac: Mac) -> bool:
        """Return whether the phone made this fetch, and neither an administrator (FTP) nor a search for configs."""
        return fetch.protocol != "ftp" and self._believes(mac, fetch.peer[0])

    async def _store_deliveries(self, fetched: Iterable[_PhoneFetch]) -> None:
        """Record the fetches that switches wait for. One query returns them all."""
        sent = [(mac, fetch) for mac, fetch in fetched if fetch.sha256 is not None]
        if not sent:
            return
        awaited = await self._db.write(progress.awaited, min(fetch.started_at for _, fetch in sent))
        if not awaited:
            return
        deliveries = list(_deliveries((each for each in sent if each[1].outcome is FetchOutcome.COMPLETED), awaited))
        if deliveries:
            await self._db.write(progress.delivered, deliveries)
            self._log_recovery()
        for mac, fetch in sent:
            if fetch.outcome is not FetchOutcome.COMPLETED:
                for begun in _deliveries([(mac, fetch)], awaited):
                    await self._db.write(progress.broken_off, begun, _broken_off(fetch))

    async def _store_sightings(self, fetched: Iterable[_PhoneFetch]) -> None:
        news = self._news(fetched)
        if news:
            await self._db.write(phones.note_sightings, news.values())
            self._log_recovery()
            for digits, sighting in news.items():
                self._keep(self._known, digits, sighting)

    def _keep(self, memory: dict[str, _T], key: str, value: _T) -> None:
        """Store an entry. A full memory is cleared, because its entries can be looked up again."""
        if len(memory) >= self._limits.max_known:
            memory.clear()
        memory[key] = value

    def _log_recovery(self) -> None:
        if self._lost:
            log.warning("fetches tracked again: lost=%d", self._lost)
        self._lost = 0

    def _news(self, fetched: Iterable[_PhoneFetch]) -> dict[str, Sighting]:
        """Return the sightings with a new address, a new proof, or a new minute."""
        news: dict[str, Sighting] = {}
        for mac, fetch in fetched:
            digits, ip, proved = mac.digits, fetch.peer[0], fetch.outcome is FetchOutcome.COMPLETED
            known = news.get(digits) or self._known.get(digits)
            if known is not None and (
                known.proved > proved
                or (known.ip == ip and known.proved == proved and known.seen_at[:_MINUTE] == fetch.started_at[:_MINUTE])
            ):
                continue
            news[digits] = Sighting(mac=mac, ip=ip, seen_at=fetch.started_at, proved=proved)
        return news


def _broken_off(fetch: Fetch) -> Notice:
    return StepNotice.FETCH_BROKEN_OFF.notice(
        address=fetch.peer[0],
        acknowledged=fetch.acknowledged,
        size=fetch.size,
        protocol=fetch.protocol,
        outcome=fetch.outcome,
    )


def _deliveries(whole: Iterable[_PhoneFetch], awaited: Container[ConfigKey]) -> Iterable[Delivery]:
    for mac, fetch in whole:
        if fetch.sha256 is None or (mac.digits, fetch.sha256) not in awaited:
            continue
        # Another file of the phone may have the same bytes, such as a backup of its config.
        if normalise(fetch.name) in {name.casefold() for name in mac.config_names}:
            yield Delivery(mac=mac, sha256=fetch.sha256, ip=fetch.peer[0], asked_at=fetch.started_at)
