"""What the phones' own fetches tell: where each phone is, and which config it has taken."""

import asyncio
import logging
from collections.abc import Callable, Container, Iterable
from dataclasses import dataclass
from typing import TypeAlias, TypeVar

from cisisk.fetches.intake import FetchIntake
from cisisk.model.errors import StorageFailed
from cisisk.model.listeners import Listeners
from cisisk.model.mac import Mac
from cisisk.provisioning.fetch import Fetch, FetchOutcome
from cisisk.provisioning.names import device_mac, normalise
from cisisk.store import phones, progress
from cisisk.store.database import Database
from cisisk.store.phones import Sighting
from cisisk.store.progress import ConfigKey, Delivery

Believes: TypeAlias = Callable[[Mac, str], bool]
"""Whether a request for a phone's file from an address tells where the phone is."""

log = logging.getLogger(__name__)

_MINUTE = len("2026-06-28T12:00")

_T = TypeVar("_T")
_Told: TypeAlias = tuple[Mac, Fetch]
"""A fetch and the phone that it tells of."""


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
    """Collects fetches from any thread and stores what they tell in the event loop's own time."""

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
        self._lost = 0

    def subscribe(self, listener: Callable[[list[Fetch]], None]) -> None:
        """Call ``listener`` with the fetches as they are taken. It must return at once."""
        self._listeners.subscribe(listener)

    def note(self, fetch: Fetch) -> None:
        """Take a fetch. Callable from any thread; returns at once."""
        self._pending.put((fetch,))
        # Asked after appending: what comes too late for one batch finds the event cleared, and sets it for the next.
        if not self._arrived.is_set():
            self._loop.call_soon_threadsafe(self._arrived.set)

    async def run(self) -> None:
        """Store what arrives, until cancelled; then what is left."""
        try:
            while True:
                await self._arrived.wait()
                self._arrived.clear()
                await asyncio.shield(self.store_pending())
                await asyncio.sleep(self._limits.batch_seconds)
        finally:
            await self.store_pending()

    async def store_pending(self) -> None:
        """Store all that has arrived so far. What the database refuses is lost, and said so once."""
        async with self._storing:
            size = self._limits.batch_size
            for left in range(len(self._pending), 0, -size):
                await self._store(self._pending.take(min(left, size)))
                # What told nothing new has waited for nobody.
                await asyncio.sleep(0)

    async def _store(self, fetches: list[Fetch]) -> None:
        self._listeners.notify(fetches)
        told = [
            (mac, fetch)
            for fetch in fetches
            if fetch.outcome is not FetchOutcome.REFUSED
            and (mac := self._whose(fetch.name)) is not None
            and self._is_phones(fetch, mac)
        ]
        try:
            await self._store_deliveries(told)
            await self._store_sightings(told)
        except StorageFailed as error:
            if not self._lost:
                log.warning("what fetches tell of their phones is lost from now on: %s", error)
            self._lost += len(fetches)

    def _whose(self, name: str) -> Mac | None:
        """Whose file a requested name is; phones ask for the same names at every boot."""
        mac = self._named.get(name)
        if mac is None and (mac := device_mac(name)) is not None:
            self._keep(self._named, name, mac)
        return mac

    def _is_phones(self, fetch: Fetch, mac: Mac) -> bool:
        """Whether a phone did it: over FTP comes an administrator, from some addresses whoever searches for configs."""
        return fetch.protocol != "ftp" and self._believes(mac, fetch.peer[0])

    async def _store_deliveries(self, told: Iterable[_Told]) -> None:
        """Record what a switch has waited for. Only the store knows what that is: it is asked once for all of them."""
        sent = [(mac, fetch) for mac, fetch in told if fetch.sha256 is not None]
        if not sent:
            return
        awaited = await self._db.write(progress.awaited, min(fetch.started_at for _, fetch in sent))
        if not awaited:
            return
        deliveries = list(_deliveries((each for each in sent if each[1].outcome is FetchOutcome.COMPLETED), awaited))
        if deliveries:
            await self._db.write(progress.delivered, deliveries)
            self._found_again()
        for mac, fetch in sent:
            if fetch.outcome is not FetchOutcome.COMPLETED:
                for begun in _deliveries([(mac, fetch)], awaited):
                    await self._db.write(progress.broken_off, begun, _broken_off(fetch))

    async def _store_sightings(self, told: Iterable[_Told]) -> None:
        news = self._news(told)
        if news:
            await self._db.write(phones.note_sightings, news.values())
            self._found_again()
            for digits, sighting in news.items():
                self._keep(self._known, digits, sighting)

    def _keep(self, memory: dict[str, _T], key: str, value: _T) -> None:
        """Store an entry. A full memory is cleared, because its entries can be looked up again."""
        if len(memory) >= self._limits.max_known:
            memory.clear()
        memory[key] = value

    def _found_again(self) -> None:
        if self._lost:
            log.warning("what fetches tell of their phones is stored again; what %d told is lost", self._lost)
        self._lost = 0

    def _news(self, told: Iterable[_Told]) -> dict[str, Sighting]:
        """Where each phone is, of those where it tells more than the time, which is kept to the minute."""
        news: dict[str, Sighting] = {}
        for mac, fetch in told:
            digits, ip, proved = mac.digits, fetch.peer[0], fetch.outcome is FetchOutcome.COMPLETED
            known = news.get(digits) or self._known.get(digits)
            if known is not None and (
                known.proved > proved
                or (known.ip == ip and known.proved == proved and known.seen_at[:_MINUTE] == fetch.started_at[:_MINUTE])
            ):
                continue
            news[digits] = Sighting(mac=mac, ip=ip, seen_at=fetch.started_at, proved=proved)
        return news


def _broken_off(fetch: Fetch) -> str:
    how = f"{fetch.acknowledged} of {fetch.size} bytes over {fetch.protocol}"
    return f"{fetch.peer[0]} has taken {how}: {fetch.outcome}"


def _deliveries(whole: Iterable[_Told], awaited: Container[ConfigKey]) -> Iterable[Delivery]:
    for mac, fetch in whole:
        if fetch.sha256 is None or (mac.digits, fetch.sha256) not in awaited:
            continue
        # The same bytes may lie under another name of the phone's, in a backup of its config for one.
        if normalise(fetch.name) == mac.config_name.casefold():
            yield Delivery(mac=mac, sha256=fetch.sha256, ip=fetch.peer[0], asked_at=fetch.started_at)
