"""The SQLite database: one connection that writes, one that reads, correct under cancellation."""

import asyncio
import logging
import sqlite3
from collections.abc import AsyncIterator, Coroutine, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Any, Self

import aiosqlite

from cisisk.model.errors import StorageFailed

# At DEBUG it writes every statement with its values: password hashes, configs with their secrets.
logging.getLogger("aiosqlite").setLevel(logging.INFO)

_EVERY_CONNECTION = (
    "PRAGMA busy_timeout = 5000",
    "PRAGMA foreign_keys = ON",
    "PRAGMA trusted_schema = OFF",
    "PRAGMA cell_size_check = ON",
    "PRAGMA temp_store = MEMORY",
)
_PING_SECONDS = 2.0
"""A database that takes longer to answer SELECT 1 is as good as gone for a phone that waits."""


class Transaction:
    """The statements of one write transaction."""

    def __init__(self, connection: aiosqlite.Connection) -> None:
        self._connection = connection

    async def rows(self, sql: str, parameters: Sequence[Any] = ()) -> list[sqlite3.Row]:
        """Run one statement; the rows it gives (with RETURNING, those it changed)."""
        return list(await self._connection.execute_fetchall(sql, parameters))

    async def row(self, sql: str, parameters: Sequence[Any] = ()) -> sqlite3.Row | None:
        """Run one statement; its first row, or None."""
        return next(iter(await self.rows(sql, parameters)), None)

    async def many(self, sql: str, rows: Iterable[Sequence[Any]]) -> None:
        """Run one statement for each of ``rows``; an iterator of them works in the database's own thread."""
        await self._connection.executemany(sql, rows)


class Database:
    """An open store. Everything written is on the disk when :meth:`transaction` ends."""

    def __init__(self, writer: aiosqlite.Connection, reader: aiosqlite.Connection) -> None:
        self._writer = writer
        self._reader = reader
        self._writing = asyncio.Lock()

    @classmethod
    @asynccontextmanager
    async def open(cls, uri: str) -> AsyncIterator[Self]:
        """Open the migrated database at ``uri`` (``file:///...``); closed at the end of the block."""
        # Exactly one connection writes: SQLite before 3.51.3 can corrupt a WAL that two connections checkpoint.
        async with _connect(f"{uri}?mode=rw") as writer, _connect(f"{uri}?mode=ro") as reader:
            await writer.execute("PRAGMA synchronous = FULL")
            try:
                yield cls(writer, reader)
            finally:
                # Notes for the query planner: with a full disk it does without.
                with suppress(sqlite3.OperationalError):
                    await writer.execute("PRAGMA optimize")

    async def rows(self, sql: str, parameters: Sequence[Any] = ()) -> list[sqlite3.Row]:
        """What a SELECT finds among the committed.

        Raises:
            StorageFailed: the database does not answer.
        """
        with _refusal("The database cannot be read"):
            return list(await self._reader.execute_fetchall(sql, parameters))

    async def row(self, sql: str, parameters: Sequence[Any] = ()) -> sqlite3.Row | None:
        """The first row that a SELECT finds, or None. Raises as :meth:`rows`."""
        return next(iter(await self.rows(sql, parameters)), None)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Transaction]:
        """All that is written in the block, or nothing of it.

        A task that is cancelled in the block leaves nothing behind; one that is cancelled while the commit runs has
        committed.

        Raises:
            StorageFailed: the database or the disk refused; nothing was changed.
        """
        async with self._writing:
            with _refusal("The change could not be stored"):
                try:
                    # IMMEDIATE: a transaction that reads first and then writes would fail on a snapshot grown old.
                    await self._writer.execute_fetchall("BEGIN IMMEDIATE")
                    yield Transaction(self._writer)
                    await _to_the_end(self._writer.commit())
                except BaseException:
                    # The connection's thread works in order: this comes after whatever was cut off. A full disk can
                    # refuse the commit itself and leave the transaction open; of one that committed it undoes nothing.
                    await _to_the_end(self._writer.rollback())
                    raise

    async def answers(self) -> bool:
        """Whether both connections answer in time."""
        try:
            async with asyncio.timeout(_PING_SECONDS):
                await self._reader.execute_fetchall("SELECT 1")
                await self._writer.execute_fetchall("SELECT 1")
        except (TimeoutError, sqlite3.Error, ValueError):
            return False
        return True


@asynccontextmanager
async def _connect(uri: str) -> AsyncIterator[aiosqlite.Connection]:
    async with aiosqlite.connect(uri, uri=True, isolation_level=None) as connection:
        connection.row_factory = sqlite3.Row
        for pragma in _EVERY_CONNECTION:
            await connection.execute(pragma)
        yield connection


@contextmanager
def _refusal(what: str) -> Iterator[None]:
    """Turn what the database or the disk is to blame for, not the statement, into StorageFailed."""
    try:
        yield
    except sqlite3.DatabaseError as error:
        # A damaged file has no class of its own.
        if isinstance(error, sqlite3.OperationalError) or type(error) is sqlite3.DatabaseError:
            raise StorageFailed(f"{what}: {error}") from error
        raise


async def _to_the_end(work: Coroutine[Any, Any, None]) -> None:
    """Await ``work`` even while this task is being cancelled, then let the cancellation go on."""
    task = asyncio.ensure_future(work)
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError as error:
            if task.cancelled():
                raise
            cancelled = error
        except sqlite3.Error:
            break
    if cancelled is not None:
        raise cancelled
    task.result()
