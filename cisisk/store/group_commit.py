"""Commits shared by the writes that wait: one fsync for all of them."""

import asyncio
import sqlite3
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any, Generic, TypeVar

import aiosqlite

from cisisk.model.listeners import Listeners
from cisisk.store.connection import call
from cisisk.store.limits import StoreLimits
from cisisk.store.transaction import Write

_T = TypeVar("_T")


class _Job(Generic[_T]):
    """One write that waits for its commit.

    Attributes:
        begun: it is too late to withdraw the write.
        error: why the write failed; None if it did not.
        ended: done once the write is committed or undone.
    """

    def __init__(self, function: Callable[[Write], _T]) -> None:
        self._function = function
        self.begun = False
        self.error: BaseException | None = None
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def run(self, connection: sqlite3.Connection) -> None:
        """Run the function; undo its changes if it fails.

        Raises:
            sqlite3.Error: SQLite has rolled the whole transaction back.
        """
        connection.execute("SAVEPOINT job")
        try:
            self._result = self._function(Write(connection))
        except BaseException as error:
            # Every error goes to the caller of the write; the others in the group do not fail with it.
            self.error = error
            if not connection.in_transaction:
                raise sqlite3.OperationalError(f"another change was refused: {error}") from error
            connection.execute("ROLLBACK TO job")
        connection.execute("RELEASE job")

    def result(self) -> _T:
        """Return the function's result, or raise its error."""
        if self.error is not None:
            raise self.error
        return self._result


class GroupCommit:
    """The queue of writes in front of the connection that writes.

    Attributes:
        listeners: called after each commit in which a write succeeded.
    """

    def __init__(self, connection: aiosqlite.Connection, limits: StoreLimits) -> None:
        self._limits = limits
        self.listeners: Listeners[None] = Listeners()
        self._connection = connection
        self._waiting: deque[_Job[Any]] = deque()
        self._committing: asyncio.Task[None] | None = None

    async def write(self, function: Callable[[Write], _T]) -> _T:
        """Run ``function`` in a transaction, and return its result once it is on the disk.

        Writes run in the order in which they are requested. Those requested while others are being committed share the
        next commit. Each sees the changes of those before it. A write that fails undoes its own changes only.

        A write that is cancelled before it has begun does nothing. Later it is completed, and the cancelled caller
        waits for that.

        Raises:
            sqlite3.Error: the database or the disk refused; nothing was changed.
            Exception: whatever ``function`` raises; nothing was changed.
        """
        job = _Job(function)
        self._waiting.append(job)
        # A task that is cancelled before it starts ends without clearing the attribute.
        if self._committing is None or self._committing.done():
            self._committing = asyncio.create_task(self._commit_all(), name="commits")
        try:
            await asyncio.shield(job.ended)
        except asyncio.CancelledError:
            while not job.ended.done():
                if not job.begun:
                    self._waiting.remove(job)
                    job.ended.cancel()
                    break
                with suppress(asyncio.CancelledError):
                    await asyncio.wait([job.ended])
            raise
        return job.result()

    async def drain(self) -> None:
        """Wait until all requested writes have ended."""
        if self._committing is not None:
            await asyncio.wait([self._committing])

    async def _commit_all(self) -> None:
        try:
            while self._waiting:
                size = min(len(self._waiting), self._limits.group_size)
                await self._commit([self._waiting.popleft() for _ in range(size)])
        finally:
            self._committing = None

    async def _commit(self, jobs: list[_Job[Any]]) -> None:
        for job in jobs:
            job.begun = True
        try:
            done = await call(self._connection, partial(_commit_together, jobs, self._limits.group_seconds))
        except BaseException as error:
            # The connection is closed, or the event loop ends: no caller may wait for ever.
            for job in (*jobs, *self._waiting):
                job.error = error
                job.ended.set_result(None)
            self._waiting.clear()
            if isinstance(error, asyncio.CancelledError):
                raise
            return
        if any(job.error is None for job in jobs[:done]):
            self.listeners.notify(None)
        for job in jobs[:done]:
            job.ended.set_result(None)
        for job in reversed(jobs[done:]):
            job.begun = False
            self._waiting.appendleft(job)


def _commit_together(jobs: list[_Job[Any]], seconds: float, connection: sqlite3.Connection) -> int:
    """Run and commit as many of ``jobs`` as there is time for, in order; return their number."""
    end = time.monotonic() + seconds
    together = jobs
    try:
        # IMMEDIATE takes the write lock at once, so that no statement has to upgrade an old snapshot.
        connection.execute("BEGIN IMMEDIATE")
        together = []
        for job in jobs:
            together.append(job)
            job.run(connection)
            if time.monotonic() > end:
                break
        connection.commit()
    except sqlite3.Error as error:
        for job in together:
            # Each caller gets an exception object of its own: a shared one would collect all their tracebacks.
            job.error = job.error or sqlite3.OperationalError(str(error))
    finally:
        # A full disk can refuse the commit itself and leave the transaction open; so can an error that is not SQLite's.
        connection.rollback()
    return len(together)
