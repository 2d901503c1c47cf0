"""Inserts and updates for which the caller chooses the columns."""

from collections.abc import Mapping
from typing import Any

from cisisk.store.transaction import Write


def insert(tx: Write, table: str, row: Mapping[str, Any]) -> None:
    """Insert ``row`` into ``table``. The names come from the program, never from a request."""
    tx.rows(
        f"INSERT INTO {table} ({', '.join(row)}) VALUES ({', '.join('?' * len(row))})",  # noqa: S608 -- names of our own
        tuple(row.values()),
    )


def change(tx: Write, table: str, key: tuple[str, str], columns: Mapping[str, Any]) -> None:
    """Set ``columns`` in the row of ``table`` with this ``key`` (column, value), and increment its revision.

    Other columns stay as they are. The names come from the program, never from a request.
    """
    assignments = "".join(f"{column} = ?, " for column in columns)
    tx.rows(
        f"UPDATE {table} SET {assignments}revision = revision + 1 WHERE {key[0]} = ?",  # noqa: S608 -- names of our own
        (*columns.values(), key[1]),
    )
