"""Connections to SQLite, each with a thread that runs whole functions.

aiosqlite hands each statement to the connection's thread by itself: two thread switches per statement. A store function
has several statements, so it runs in that thread as a whole. aiosqlite has no public method that runs a function there.
But it passes the arguments of ``execute`` on to the sqlite3 connection, and sqlite3 lets the caller choose the class of
that connection. The class here runs a function when ``execute`` hands it one.
"""

import sqlite3
from collections.abc import Callable
from functools import partial
from typing import Any, Generic, TypeVar

import aiosqlite

from cisisk.store import functions

_PRAGMAS = (
    "PRAGMA busy_timeout = 5000",
    "PRAGMA foreign_keys = ON",
    "PRAGMA trusted_schema = OFF",
    "PRAGMA cell_size_check = ON",
    "PRAGMA temp_store = MEMORY",
    # Matters to the connection that writes only.
    "PRAGMA synchronous = FULL",
)
_CALL = "-- call"
"""In the place of a statement: the only parameter is a :class:`_Call`."""

_T = TypeVar("_T")


class _Call(Generic[_T]):
    def __init__(self, function: Callable[[sqlite3.Connection], _T]) -> None:
        self._function = function

    def run(self, connection: sqlite3.Connection) -> None:
        try:
            self.result = self._function(connection)
        except StopIteration as error:
            # aiosqlite puts errors into a future, which cannot hold this one: the caller would wait for ever.
            raise RuntimeError("a database function raised StopIteration") from error


class _Connection(sqlite3.Connection):
    def execute(self, sql: str, parameters: Any = (), /) -> sqlite3.Cursor:
        if sql is not _CALL:
            return super().execute(sql, parameters)
        [call] = parameters
        call.run(self)
        return self.cursor()


def connect(uri: str) -> aiosqlite.Connection:
    """Return a connection to the database at ``uri`` (``file:///...``). Enter it to open it, leave it to close it."""
    return aiosqlite.Connection(partial(_open, uri), iter_chunk_size=64)


async def call(connection: aiosqlite.Connection, function: Callable[[sqlite3.Connection], _T]) -> _T:
    """Run ``function`` in the thread of ``connection``, which :func:`connect` made, and return its result.

    Raises:
        ValueError: the connection is closed.
        Exception: whatever ``function`` raises.
    """
    wanted = _Call(function)
    await connection.execute(_CALL, (wanted,))
    return wanted.result


def _open(uri: str) -> sqlite3.Connection:
    connection = sqlite3.connect(uri, uri=True, isolation_level=None, factory=_Connection)
    try:
        connection.row_factory = sqlite3.Row
        functions.add_to(connection)
        for pragma in _PRAGMAS:
            connection.execute(pragma)
    except BaseException:
        connection.close()
        raise
    return connection
