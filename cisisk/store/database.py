"""The SQLite database: one connection that writes, one that reads, correct under cancellation."""

import asyncio
import logging
import sqlite3
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from functools import partial
from typing import Any, Generic, Self, TypeAlias, TypeVar

import aiosqlite

from cisisk.model.errors import StorageFailed
from cisisk.store import functions

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
_GROUP_SECONDS = 0.02
"""After so long no more works join a commit: the first of them waits for it as long as for some syncs of a disk."""
_GROUP = 64
"""Works in one commit, at most: when the disk refuses it, none of them is done."""

_T = TypeVar("_T")


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


Work: TypeAlias = Callable[[Transaction], Coroutine[Any, Any, _T]]
"""Statements that belong together. It runs as a whole in the database's own thread, and so awaits nothing but what the
transaction gives and functions that do likewise."""


class _AtOnce(Transaction):
    """Runs its statements where it is called, which is in the connection's thread: its coroutines never wait."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._sqlite = connection

    async def rows(self, sql: str, parameters: Sequence[Any] = ()) -> list[sqlite3.Row]:
        return self._sqlite.execute(sql, parameters).fetchall()

    async def many(self, sql: str, rows: Iterable[Sequence[Any]]) -> None:
        self._sqlite.executemany(sql, rows)


class _Connection(aiosqlite.Connection):
    """One that also runs functions in its thread: a hop for each, instead of one for each statement."""

    async def run(self, function: Callable[[sqlite3.Connection], _T]) -> _T:
        """What ``function`` makes of the connection."""
        # What each of aiosqlite's own methods is made of; it carries no types.
        result: _T = await self._execute(function, self._conn)  # type: ignore[no-untyped-call]
        return result


class _Job(Generic[_T]):
    """A work that is to be committed.

    Attributes:
        begun: whether it is too late to withdraw it.
        error: why it is not done.
        outcome: what it returned, or its error; known once it is committed or undone.
    """

    def __init__(self, work: Work[_T]) -> None:
        self._work = work
        self.begun = False
        self.error: BaseException | None = None
        self.outcome: asyncio.Future[_T] = asyncio.get_running_loop().create_future()

    def run(self, connection: sqlite3.Connection) -> None:
        """Do it; what it has done is undone when it fails. Raises sqlite3.Error: there is no transaction any more."""
        connection.execute("SAVEPOINT work")
        try:
            self._result = _at_once(self._work, connection)
        except BaseException as error:
            # Whatever it is, it is for whoever asked for the work.
            self.error = error
            if not connection.in_transaction:
                raise sqlite3.OperationalError(f"another change was refused: {error}") from error
            connection.execute("ROLLBACK TO work")
        connection.execute("RELEASE work")

    def end(self) -> None:
        """Tell whoever waits."""
        if self.error is None:
            self.outcome.set_result(self._result)
        else:
            self.outcome.set_exception(self.error)


class Database:
    """An open store. Everything written is on the disk when :meth:`write` returns, or :meth:`transaction` ends."""

    def __init__(self, writer: _Connection, reader: _Connection) -> None:
        self._writer = writer
        self._reader = reader
        self._writing = asyncio.Lock()
        self._waiting: deque[_Job[Any]] = deque()
        self._committing: asyncio.Task[None] | None = None
        self.after_commit: Callable[[], None] = lambda: None
        """Called when something has been stored; must return at once."""

    @classmethod
    @asynccontextmanager
    async def open(cls, uri: str) -> AsyncIterator[Self]:
        """Open the migrated database at ``uri`` (``file:///...``); closed at the end of the block."""
        # Exactly one connection writes: SQLite before 3.51.3 can corrupt a WAL that two connections checkpoint.
        async with _connect(f"{uri}?mode=rw") as writer, _connect(f"{uri}?mode=ro") as reader:
            await writer.execute("PRAGMA synchronous = FULL")
            db = cls(writer, reader)
            try:
                yield db
            finally:
                if db._committing is not None:
                    await asyncio.wait([db._committing])
                # Statistics for the query planner: with a full disk it does without.
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

    async def read(self, work: Work[_T]) -> _T:
        """What ``work`` finds among the committed, all of it at one moment. Raises as :meth:`rows`, and as the work."""
        with _refusal("The database cannot be read"):
            return await self._reader.run(partial(_read, work))

    async def write(self, work: Work[_T]) -> _T:
        """All that ``work`` writes, or nothing of it, at a fraction of the cost of :meth:`transaction`.

        Works are done in the order in which they are asked for, and before any transaction that is asked for later.
        Those that come while others are being committed wait, and share the next commit: each sees what those before
        it have written, and one that fails takes nothing with it but what it has written itself.

        Whoever is cancelled before his work has begun leaves nothing behind; later it is done all the same, and he is
        held up until it is.

        Returns:
            What the work returns, once it is on the disk.

        Raises:
            StorageFailed: the database or the disk refused; nothing was changed.
        """
        job = _Job(work)
        self._waiting.append(job)
        if self._committing is None:
            self._committing = asyncio.create_task(self._commit_all(), name="commits")
        with _refusal("The change could not be stored"):
            try:
                return await asyncio.shield(job.outcome)
            except asyncio.CancelledError:
                while not job.outcome.done():
                    if not job.begun:
                        self._waiting.remove(job)
                        job.outcome.cancel()
                        break
                    with suppress(asyncio.CancelledError):
                        await asyncio.wait([job.outcome])
                raise

    async def _commit_all(self) -> None:
        """Commit what waits, and what comes meanwhile."""
        try:
            while self._waiting:
                async with self._writing:
                    await self._commit([self._waiting.popleft() for _ in range(min(len(self._waiting), _GROUP))])
        finally:
            self._committing = None

    async def _commit(self, jobs: list[_Job[Any]]) -> None:
        for job in jobs:
            job.begun = True
        try:
            done = await self._writer.run(partial(_commit_together, jobs))
        except BaseException as error:
            # The connection is closed, or the loop ends: nobody may wait for ever.
            for job in (*jobs, *self._waiting):
                job.error = error
                job.end()
            self._waiting.clear()
            if isinstance(error, asyncio.CancelledError):
                raise
            return
        if any(job.error is None for job in jobs[:done]):
            self.after_commit()
        for job in jobs[:done]:
            job.end()
        for job in reversed(jobs[done:]):
            job.begun = False
            self._waiting.appendleft(job)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Transaction]:
        """All that is written in the block, or nothing of it.

        A task that is cancelled in the block leaves nothing behind; one that is cancelled while the commit runs has
        committed.

        Raises:
            StorageFailed: the database or the disk refused; nothing was changed.
        """
        if self._waiting:
            await asyncio.wait([job.outcome for job in self._waiting])
        async with self._writing:
            with _refusal("The change could not be stored"):
                try:
                    # IMMEDIATE: a transaction that reads first and then writes would fail on a snapshot grown old.
                    await self._writer.execute_fetchall("BEGIN IMMEDIATE")
                    yield Transaction(self._writer)
                    await _to_the_end(self._writer.commit())
                    self.after_commit()
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
async def _connect(uri: str) -> AsyncIterator[_Connection]:
    connection = _Connection(partial(_opened, uri), iter_chunk_size=64)
    async with connection:
        connection.row_factory = sqlite3.Row
        for pragma in _EVERY_CONNECTION:
            await connection.execute(pragma)
        yield connection


def _opened(uri: str) -> sqlite3.Connection:
    connection = sqlite3.connect(uri, uri=True, isolation_level=None)
    functions.add_to(connection)
    return connection


def _read(work: Work[_T], connection: sqlite3.Connection) -> _T:
    connection.execute("BEGIN")
    try:
        return _at_once(work, connection)
    finally:
        connection.rollback()


def _commit_together(jobs: list[_Job[Any]], connection: sqlite3.Connection) -> int:
    """Do as many of ``jobs`` as there is time for, the first ones, and commit them; how many they are."""
    end = time.monotonic() + _GROUP_SECONDS
    together = jobs
    try:
        connection.execute("BEGIN IMMEDIATE")
        together = []
        for job in jobs:
            together.append(job)
            job.run(connection)
            if time.monotonic() > end:
                break
        connection.commit()
    except sqlite3.Error as error:
        # A full disk can refuse the commit itself and leave the transaction open.
        connection.rollback()
        for job in together:
            # For each one of its own, which names no fault of his work: nobody knows whose it is.
            job.error = job.error or sqlite3.OperationalError(str(error))
    return len(together)


def _at_once(work: Work[_T], connection: sqlite3.Connection) -> _T:
    """Run ``work`` here and now, in the connection's thread, where there is no event loop."""
    running = work(_AtOnce(connection))
    try:
        running.send(None)
    except StopIteration as end:
        result: _T = end.value
        return result
    running.close()
    raise RuntimeError("what is done in one go in the database awaits nothing else")


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
