"""Locks that let one change of a phone's config happen at a time, in the order of their acceptance."""

import asyncio
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from cisisk.model.mac import Mac


@dataclass(slots=True)
class _Queue:
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    superseded: list[asyncio.Future[None]] = field(default_factory=list)


class PhoneLocks:
    """One lock per phone, with a queue of those that wait for it."""

    def __init__(self) -> None:
        self._queues: dict[Mac, _Queue] = {}

    def are_taken(self, mac: Mac) -> bool:
        """Whether the lock of this phone is held."""
        return mac in self._queues

    def taken(self) -> Collection[Mac]:
        """The phones whose locks are held."""
        return self._queues.keys()

    @asynccontextmanager
    async def take(self, mac: Mac, *, supersedes: bool = True) -> AsyncIterator[asyncio.Future[None]]:
        """Wait for the lock of a phone, and hold it. The future is done once a newer switch of this phone waits.

        A change that is not a switch supersedes none: it waits until those before it have ended.
        """
        queue = self._queues.setdefault(mac, _Queue())
        if supersedes:
            for earlier in queue.superseded:
                if not earlier.done():
                    earlier.set_result(None)
        superseded: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        queue.superseded.append(superseded)
        try:
            async with queue.lock:
                yield superseded
        finally:
            queue.superseded.remove(superseded)
            if not queue.superseded:
                del self._queues[mac]
