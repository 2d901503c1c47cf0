"""A migrated store in memory, for tests that make many of them."""

import sqlite3
import tempfile
from contextlib import closing
from functools import cache
from pathlib import Path

from cisisk.store import functions, migrations


def connect() -> sqlite3.Connection:
    """Return a connection to a new store, as the store itself configures it."""
    connection = sqlite3.connect(":memory:", isolation_level=None)
    connection.deserialize(_empty_store())
    connection.execute("PRAGMA foreign_keys = ON")
    connection.row_factory = sqlite3.Row
    functions.add_to(connection)
    return connection


@cache
def _empty_store() -> bytes:
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "cisisk.db"
        migrations.migrate(path, migrations.steps())
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("PRAGMA journal_mode = DELETE")
            return connection.serialize()
