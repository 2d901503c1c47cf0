"""One change of a phone's config at a time, in the order of their acceptance."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from cisisk.model.mac import Mac


@dataclass(slots=True)
class _Queue:
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    waiting: int = 0
    newest: asyncio.Event | None = None


class Turns:
    """The queues of the phones whose config is being changed."""

    def __init__(self) -> None:
        self._queues: dict[Mac, _Queue] = {}

    def are_taken(self, mac: Mac) -> bool:
        """Whether somebody is changing this phone's config at this moment."""
        return mac in self._queues

    @asynccontextmanager
    async def take(self, mac: Mac, *, supersedes: bool = True) -> AsyncIterator[asyncio.Event]:
        """Wait for one's turn. The event that comes with it is set once a newer switch of this phone is waiting.

        What is no switch, and restarts no phone, supersedes none: it waits until those before it have come to an end.
        """
        queue = self._queues.setdefault(mac, _Queue())
        superseded = asyncio.Event()
        if supersedes:
            if queue.newest is not None:
                queue.newest.set()
            queue.newest = superseded
        queue.waiting += 1
        try:
            async with queue.lock:
                yield superseded
        finally:
            queue.waiting -= 1
            if not queue.waiting:
                del self._queues[mac]
