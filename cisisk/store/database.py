"""The SQLite database: one connection that writes, one that reads."""

import asyncio
import logging
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from functools import partial
from typing import Concatenate, ParamSpec, Self, TypeVar

import aiosqlite

from cisisk.model.errors import StorageFailed
from cisisk.store.connection import call, connect
from cisisk.store.group_commit import GroupCommit
from cisisk.store.limits import DEFAULT_LIMITS, StoreLimits
from cisisk.store.transaction import Read, Write

_P = ParamSpec("_P")
_T = TypeVar("_T")


class Database:
    """An open store. It runs store functions, each as a whole in one transaction, in the connection's thread.

    Such a function must not touch what the event loop changes at the same time. Its values are arguments and results.
    """

    def __init__(self, writer: aiosqlite.Connection, reader: aiosqlite.Connection, limits: StoreLimits) -> None:
        self._ping_seconds = limits.ping_seconds
        self._writer = writer
        self._reader = reader
        self._commits = GroupCommit(writer, limits)

    @classmethod
    @asynccontextmanager
    async def open(cls, uri: str, limits: StoreLimits = DEFAULT_LIMITS) -> AsyncIterator[Self]:
        """Open the migrated database at ``uri`` (``file:///...``); close it at the end of the block."""
        # At DEBUG, aiosqlite logs every statement with its values: password hashes, and configs with their secrets.
        logging.getLogger("aiosqlite").setLevel(logging.INFO)
        # Exactly one connection writes: SQLite before 3.51.3 can corrupt a WAL that two connections checkpoint.
        async with connect(f"{uri}?mode=rw") as writer, connect(f"{uri}?mode=ro") as reader:
            db = cls(writer, reader, limits)
            try:
                yield db
            finally:
                await db._commits.drain()
                # Statistics for the query planner. With a full disk it does without.
                with suppress(sqlite3.OperationalError):
                    await writer.execute("PRAGMA optimize")

    def subscribe(self, listener: Callable[[], None]) -> None:
        """Call ``listener`` after each commit, in the event loop."""
        self._commits.listeners.subscribe(lambda _: listener())

    async def read(self, function: Callable[Concatenate[Read, _P], _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
        """Run a store function that only reads, on one snapshot of what is committed, and return its result.

        Raises:
            StorageFailed: the database cannot be read.
            Exception: whatever ``function`` raises.
        """
        with _refusal("The database cannot be read"):
            return await call(self._reader, partial(_read, lambda tx: function(tx, *args, **kwargs)))

    async def write(self, function: Callable[Concatenate[Write, _P], _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
        """Run a store function in a transaction, and return its result once it is on the disk.

        :meth:`GroupCommit.write` tells the order of writes, and how a write is cancelled.

        Raises:
            StorageFailed: the database or the disk refused; nothing was changed.
            Exception: whatever ``function`` raises; nothing was changed.
        """
        with _refusal("The change could not be stored"):
            return await self._commits.write(lambda tx: function(tx, *args, **kwargs))

    async def answers(self) -> bool:
        """Return whether both connections answer in time."""
        try:
            async with asyncio.timeout(self._ping_seconds):
                await self._reader.execute_fetchall("SELECT 1")
                await self._writer.execute_fetchall("SELECT 1")
        except (TimeoutError, sqlite3.Error, ValueError):
            return False
        return True


def _read(function: Callable[[Read], _T], connection: sqlite3.Connection) -> _T:
    connection.execute("BEGIN")
    try:
        return function(Read(connection))
    finally:
        connection.rollback()


@contextmanager
def _refusal(what: str) -> Iterator[None]:
    """Turn the errors that the database or the disk causes, not the statement, into StorageFailed."""
    try:
        yield
    except sqlite3.DatabaseError as error:
        # A damaged file raises the base class itself.
        if isinstance(error, sqlite3.OperationalError) or type(error) is sqlite3.DatabaseError:
            raise StorageFailed(f"{what}: {error}") from error
        raise
