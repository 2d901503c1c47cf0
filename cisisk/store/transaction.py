"""What a store function can do in its transaction: read, or read and write."""

import sqlite3
from collections.abc import Iterable, Sequence
from typing import Any


class Read:
    """A transaction that only reads. Its statements run at once, in the connection's thread."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def rows(self, sql: str, parameters: Sequence[Any] = ()) -> list[sqlite3.Row]:
        """Run one statement and return its rows."""
        # Not the method of connection.py, which also runs functions: this is called most of all.
        return sqlite3.Connection.execute(self._connection, sql, parameters).fetchall()

    def row(self, sql: str, parameters: Sequence[Any] = ()) -> sqlite3.Row | None:
        """Run one statement and return its first row, or None."""
        rows = self.rows(sql, parameters)
        return rows[0] if rows else None


class Write(Read):
    """A transaction that also writes. With RETURNING, :meth:`rows` returns the changed rows.

    A function that takes a :class:`Read` accepts a Write; mypy rejects the reverse.
    """

    def many(self, sql: str, rows: Iterable[Sequence[Any]]) -> None:
        """Run one statement for each of ``rows``, which may be an iterator."""
        self._connection.executemany(sql, rows)
