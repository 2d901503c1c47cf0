"""The fetch log: stores every ended fetch in batches, and deletes old ones."""

import asyncio
import json
import logging
import re
import time
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from functools import lru_cache

from cisisk.config import FetchLogSettings as Settings
from cisisk.fetches.discovery import PhoneDiscovery
from cisisk.fetches.intake import FetchIntake
from cisisk.model.clock import after
from cisisk.model.errors import StorageFailed
from cisisk.provisioning.fetch import Fetch
from cisisk.provisioning.names import MAX_NAME_BYTES, device_mac
from cisisk.store import fetches
from cisisk.store.database import Database
from cisisk.store.fetches import Row

log = logging.getLogger(__name__)

_UNPRINTABLE = re.compile(r"[^ -~]")


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchLogLimits:
    """Limits of the fetch log.

    Attributes:
        store_rows: fetches stored in one transaction, about 10 ms in which nothing else is written.
        trim_rows: fetches removed in one transaction, for the same reason.
        trim_seconds: between two removals of old fetches. In a boot storm the log exceeds its limit by the fetches of
            that time.
        quiet_seconds: without a fetch, after which discovery runs. While a site boots, the servers need the processor.
        discovery_seconds: after which discovery runs even while fetches arrive.
    """

    store_rows: int = 1000
    trim_rows: int = 500
    trim_seconds: float = 10.0
    quiet_seconds: float = 1.0
    discovery_seconds: float = 30.0


class FetchLog:
    """Queues batches of fetches from the event loop; :meth:`run` stores them."""

    def __init__(
        self, db: Database, settings: Settings, discovery: PhoneDiscovery, limits: FetchLogLimits = FetchLogLimits()
    ) -> None:
        self._db = db
        self._settings = settings
        self._limits = limits
        self._discovery = discovery
        self._waiting = FetchIntake("fetch log")
        self._arrived = asyncio.Event()
        self._storing = asyncio.Lock()
        self._lost = 0
        self._is_news = False
        self._looked_at = self._trimmed_at = 0.0

    def take(self, batch: list[Fetch]) -> None:
        """Queue fetches. Returns at once."""
        self._waiting.put(batch)
        self._arrived.set()

    async def run(self) -> None:
        """Store what arrives until cancelled, then store the rest."""
        try:
            while True:
                is_quiet = await self._nothing_arrives()
                await asyncio.shield(self.store_pending())
                if is_quiet or time.monotonic() >= self._looked_at + self._limits.discovery_seconds:
                    await asyncio.shield(self.look())
                await asyncio.shield(self._trim())
        finally:
            await self.store_pending()
            await self.look()

    async def _nothing_arrives(self) -> bool:
        """Wait for fetches; return whether none arrived in time."""
        try:
            async with asyncio.timeout(self._limits.quiet_seconds if self._is_news else self._limits.trim_seconds):
                await self._arrived.wait()
        except TimeoutError:
            return True
        self._arrived.clear()
        return False

    async def store_pending(self) -> None:
        """Store all queued fetches. Those that the database refuses are lost, and logged once."""
        async with self._storing:
            while part := self._waiting.take(self._limits.store_rows):
                try:
                    await self._db.write(fetches.add, map(_row, part))
                except StorageFailed as error:
                    self._lose(len(part), error)
                else:
                    self._log_recovery()
                    self._is_news = True

    async def look(self) -> None:
        """Discover unknown phones in the stored fetches. If the database refuses, the next call tries again."""
        self._looked_at = time.monotonic()
        if self._is_news:
            with suppress(StorageFailed):
                await self._discovery.look()
                self._is_news = False

    async def _trim(self) -> None:
        if time.monotonic() - self._trimmed_at < self._limits.trim_seconds:
            return
        limit = self._limits.trim_rows
        before = after(-timedelta(days=self._settings.days))
        try:
            is_more = True
            while is_more:
                old = await self._db.read(fetches.expired, before=before, rows=self._settings.rows, limit=limit)
                if old:
                    await self._db.write(fetches.remove, old)
                is_more = len(old) == limit
        except StorageFailed as error:
            log.debug("old fetches not deleted: error=(%s)", error.notice)
        self._trimmed_at = time.monotonic()

    def _lose(self, count: int, error: StorageFailed) -> None:
        if not self._lost:
            log.warning("fetches not logged: error=(%s)", error.notice)
        self._lost += count

    def _log_recovery(self) -> None:
        if self._lost:
            log.warning("fetches logged again: lost=%d", self._lost)
        self._lost = 0


def _row(fetch: Fetch) -> Row:
    mac = device_mac(fetch.name)
    return (
        fetch.started_at,
        fetch.protocol,
        fetch.peer[0],
        fetch.peer[1],
        fetch.local,
        presentable(fetch.name),
        None if mac is None else mac.digits,
        fetch.outcome.value,
        fetch.sha256,
        fetch.size,
        fetch.acknowledged,
        fetch.blocks,
        fetch.retransmits,
        fetch.duration,
        _json(fetch.options),
    )


def presentable(name: str) -> str:
    """Return a requested name in printable ASCII, cut to the maximum length of a name."""
    if len(name) <= MAX_NAME_BYTES and name.isascii() and name.isprintable():
        return name
    return _UNPRINTABLE.sub(_escaped, name[:MAX_NAME_BYTES])[:MAX_NAME_BYTES]


def _escaped(found: re.Match[str]) -> str:
    return found[0].encode("ascii", "backslashreplace").decode() if ord(found[0]) > 0x7F else f"\\x{ord(found[0]):02x}"


@lru_cache(maxsize=256)
def _json(options: tuple[tuple[str, int], ...]) -> str:
    """Return options as JSON. Phones of one kind use the same options; the cache size is limited."""
    return json.dumps(dict(options), separators=(",", ":"))
