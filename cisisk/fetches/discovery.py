"""Adds unknown phones that ask for their files to the inventory, and stores what their requests reveal.

Packets can be forged, and a phone that gets no file acknowledges nothing, so there is no proof that a phone exists.
Therefore a phone must behave like one to be added, ``phones.MAX_DISCOVERED`` limits their number, phones that took a
file take precedence, and silent phones are removed.
"""

import logging
from datetime import datetime, timedelta

from cisisk.model.clock import Timestamp, after
from cisisk.model.discovery import DiscoveredPhone as Found
from cisisk.provisioning.purpose import revealed
from cisisk.store import fetches, phones
from cisisk.store.database import Database
from cisisk.store.fetches import Stranger

log = logging.getLogger(__name__)

ENOUGH_NAMES = 2
"""Different files of its own that a phone requests: a trust list and the config. A search requests one."""
REPEATED_SECONDS = 20.0
"""A phone that requests one file only repeats the request later. It tries another protocol at once."""
MAX_OF_ADDRESS = 3
"""Unknown phones at one address within :data:`ADDRESS_MINUTES`. A phone requests its own files, a search for configs
those of many phones (docs/phone-protocol/security.md#mitigations). Of many phones behind one NAT some are left out."""
ADDRESS_MINUTES = 10
_FIRST_LOOK = 200
"""Fetches before the start that are read, for phones that were about to become credible."""


class PhoneDiscovery:
    """Reads new entries of the fetch log. Its methods must not run concurrently."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._seen: int | None = None

    async def look(self) -> None:
        """Add the phones that have become credible since the last call. Raises StorageFailed."""
        newest = await self._db.read(fetches.last_number)
        seen = self._seen if self._seen is not None else max(0, newest - _FIRST_LOOK)
        await self._add_newcomers(seen)
        await self._learn(seen)
        self._seen = newest

    async def _add_newcomers(self, seen: int) -> None:
        lately = after(-timedelta(minutes=ADDRESS_MINUTES))
        asking = await self._db.read(fetches.strangers, after=seen, lately=lately, most=MAX_OF_ADDRESS)
        credible = [stranger for stranger in asking if is_credible(stranger)]
        if not credible:
            return
        # Only as many as the inventory accepts: in a flood of forged phones even reading their requests is expensive.
        credible.sort(key=lambda stranger: (stranger.proved, stranger.seen_at), reverse=True)
        when = {stranger.mac: stranger for stranger in credible[: phones.MAX_DISCOVERED]}
        peers = {mac: stranger.peer for mac, stranger in when.items()}
        asked = await self._db.read(fetches.asked_by, peers, max(0, seen - fetches.WINDOW))
        found = {
            mac: Found(at=stranger.seen_at, revealed=revealed(asked.get(mac, ()))) for mac, stranger in when.items()
        }
        await self._db.write(phones.discover, found)
        example = credible[0]
        log.info("phones discovered: count=%d example=%s address=%s", len(found), example.mac, example.peer)

    async def _learn(self, seen: int) -> None:
        known = await self._db.read(phones.discovered_since, seen)
        if not known:
            return
        asked = await self._db.read(fetches.asked_by, {mac: peer for mac, (peer, _) in known.items()}, seen)
        news = {}
        for mac, (_, found) in known.items():
            together = found.revealed.and_then(revealed(asked.get(mac, ())))
            if together != found.revealed:
                news[mac] = Found(at=found.at, revealed=together)
        if news:
            await self._db.write(phones.learn, news)


def is_credible(stranger: Stranger) -> bool:
    """Return whether a client that requests the files of a phone behaves like a phone."""
    is_repeated = _seconds(stranger.seen_at) - _seconds(stranger.first_at) >= REPEATED_SECONDS
    return stranger.proved or stranger.names >= ENOUGH_NAMES or is_repeated


def _seconds(moment: Timestamp) -> float:
    return datetime.fromisoformat(moment).timestamp()
