"""SQL functions beyond those of SQLite, which ignore the case of ASCII letters only."""

import sqlite3

from cisisk.model.contact import folded


def add_to(connection: sqlite3.Connection) -> None:
    """Add ``folded(text)``, which calls :func:`folded`; NULL gives NULL."""
    connection.create_function("folded", 1, _folded, deterministic=True)


def _folded(text: str | None) -> str | None:
    return None if text is None else folded(text)
