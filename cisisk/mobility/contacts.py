"""What the phones' own fetches tell: where each phone is, and which config it has taken."""

import asyncio
import logging
from collections import OrderedDict, deque
from collections.abc import Iterable

from cisisk.model.errors import StorageFailed
from cisisk.model.mac import Mac
from cisisk.provisioning.fetch import Fetch, Outcome
from cisisk.provisioning.names import device_mac, normalise
from cisisk.store import deployments, phones
from cisisk.store.database import Database
from cisisk.store.deployments import Delivery
from cisisk.store.phones import Sighting

log = logging.getLogger(__name__)

MAX_PENDING = 100_000
"""Fetches that wait to be stored; of a longer storm the oldest are let go rather than the memory."""
MAX_KNOWN = 20_000
"""Phones whose last sighting is remembered, so that the same is not stored again: more than any site has."""
_MINUTE = len("2026-06-28T12:00")
_BATCH_SECONDS = 0.1
"""Fetches are stored together: a boot storm is some transactions a second instead of thousands."""


class Contacts:
    """Collects fetches from any thread and stores what they tell in the event loop's own time."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._loop = asyncio.get_running_loop()
        self._pending: deque[Fetch] = deque(maxlen=MAX_PENDING)
        self._arrived = asyncio.Event()
        self._storing = asyncio.Lock()
        self._known: OrderedDict[Mac, Sighting] = OrderedDict()

    def note(self, fetch: Fetch) -> None:
        """Take a fetch. Callable from any thread; returns at once."""
        self._pending.append(fetch)
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
                await asyncio.sleep(_BATCH_SECONDS)
        finally:
            await self.store_pending()

    async def store_pending(self) -> None:
        """Store all that has arrived so far. What the database refuses is lost, and said so."""
        async with self._storing:
            fetches = [self._pending.popleft() for _ in range(len(self._pending))]
            sightings = [sighting for sighting in _sightings(fetches) if self._is_news(sighting)]
            deliveries = list(_deliveries(fetches))
            try:
                if deliveries:
                    await deployments.delivered(self._db, deliveries)
                if sightings:
                    await phones.note_sightings(self._db, sightings)
            except StorageFailed as error:
                log.warning("what %d fetches told is lost: %s", len(fetches), error)
            else:
                self._remember(sightings)

    def _is_news(self, sighting: Sighting) -> bool:
        """Whether it tells more than the time, which is kept to the minute."""
        known = self._known.get(sighting.mac)
        return known is None or (known.ip, known.proved, known.seen_at[:_MINUTE]) != (
            sighting.ip,
            sighting.proved,
            sighting.seen_at[:_MINUTE],
        )

    def _remember(self, sightings: Iterable[Sighting]) -> None:
        for sighting in sightings:
            self._known.pop(sighting.mac, None)
            self._known[sighting.mac] = sighting
        while len(self._known) > MAX_KNOWN:
            self._known.popitem(last=False)


def _sightings(fetches: Iterable[Fetch]) -> Iterable[Sighting]:
    """The last one of each phone, and of those that are proved if there is one."""
    latest: dict[str, Sighting] = {}
    for fetch in fetches:
        mac = device_mac(fetch.name)
        if mac is None or fetch.outcome is Outcome.REFUSED:
            continue
        proved = fetch.outcome is Outcome.COMPLETED
        known = latest.get(mac.digits)
        if known is None or proved >= known.proved:
            latest[mac.digits] = Sighting(mac=mac, ip=fetch.peer[0], seen_at=fetch.started_at, proved=proved)
    return latest.values()


def _deliveries(fetches: Iterable[Fetch]) -> Iterable[Delivery]:
    for fetch in fetches:
        mac = device_mac(fetch.name)
        if mac is None or fetch.sha256 is None or fetch.outcome is not Outcome.COMPLETED:
            continue
        if normalise(fetch.name) == mac.config_name.casefold():
            yield Delivery(mac=mac, sha256=fetch.sha256, ip=fetch.peer[0], asked_at=fetch.started_at)
