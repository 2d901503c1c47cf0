"""Tasks that run to their end even if the request that started them is cancelled."""

import asyncio
import logging
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any, TypeVar

log = logging.getLogger(__name__)

_T = TypeVar("_T")


class BackgroundTasks:
    """Keeps tasks alive until they end, and logs what they raise."""

    def __init__(self) -> None:
        self._running: set[asyncio.Task[Any]] = set()

    def start(self, name: str, work: Coroutine[Any, Any, _T]) -> "asyncio.Task[_T]":
        """Start ``work`` as a task of that name."""
        task = asyncio.create_task(work, name=name)
        self._running.add(task)
        task.add_done_callback(self._ended)
        return task

    async def run(self, name: str, work: Coroutine[Any, Any, _T]) -> _T:
        """Start ``work`` and return its result. It continues if the caller is cancelled."""
        return await asyncio.shield(self.start(name, work))

    async def stop(self, seconds: float = 0.0) -> None:
        """Wait at most ``seconds`` for all tasks, those started meanwhile included, then cancel the rest."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while self._running:
                    await asyncio.wait(self._running)
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._running.discard(task)
        if not task.cancelled() and (error := task.exception()):
            # The caller handles the error, unless it was cancelled.
            log.debug("task failed: name=%r error=%r", task.get_name(), error)
