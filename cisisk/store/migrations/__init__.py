"""Migrations: numbered SQL files, each one transaction, counted by PRAGMA user_version."""

import os
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from importlib import resources
from pathlib import Path

from cisisk.model.errors import StartRefused
from cisisk.store import functions


def steps() -> list[str]:
    """Return the text of every migration, in order."""
    files = sorted(entry.name for entry in resources.files(__name__).iterdir() if entry.name.endswith(".sql"))
    return [resources.files(__name__).joinpath(name).read_text(encoding="utf-8") for name in files]


def migrate(path: Path, migrations: Sequence[str]) -> None:
    """Bring the database at ``path`` to the schema of ``migrations``. Only the owner can read a new file.

    Before an existing database changes, it is copied to ``<name>.v<version>.bak`` beside it.

    Raises:
        StartRefused: the database is of a newer Cisisk, the file is not a database, or a step failed and was undone.
    """
    try:
        path.touch(mode=0o600)
        with closing(sqlite3.connect(path, isolation_level=None)) as connection:
            functions.add_to(connection)
            connection.execute("PRAGMA journal_mode = WAL")
            have: int = connection.execute("PRAGMA user_version").fetchone()[0]
            _refuse_newer(path, have, len(migrations))
            if 0 < have < len(migrations):
                _keep_copy(connection, path.with_name(f"{path.name}.v{have}.bak"))
            for number, sql in enumerate(migrations[have:], have + 1):
                _step(connection, number, sql)
    except (sqlite3.Error, OSError) as error:
        raise StartRefused(f"The database {path} cannot be opened or upgraded: {error}") from error


def _refuse_newer(path: Path, have: int, known: int) -> None:
    if have > known:
        raise StartRefused(
            f"{path} was written by a newer Cisisk (schema {have}, this one knows {known}). Install that version "
            "again, or restore a copy"
        )


def _keep_copy(connection: sqlite3.Connection, copy: Path) -> None:
    unfinished = copy.with_name(f"{copy.name}.new")
    unfinished.unlink(missing_ok=True)
    unfinished.touch(mode=0o600)
    connection.execute("VACUUM INTO ?", (str(unfinished),))
    with unfinished.open("rb") as file:
        os.fsync(file.fileno())
    unfinished.rename(copy)


def _step(connection: sqlite3.Connection, number: int, sql: str) -> None:
    try:
        # executescript commits an open transaction first, so the transaction begins inside the script.
        connection.executescript(f"BEGIN IMMEDIATE;\n{sql}\n;PRAGMA user_version = {number};")
        _refuse_broken_references(connection, number)
        connection.execute("COMMIT")
    except BaseException:
        connection.rollback()
        raise


def _refuse_broken_references(connection: sqlite3.Connection, number: int) -> None:
    if connection.execute("PRAGMA foreign_key_check").fetchone():
        raise sqlite3.IntegrityError(f"migration {number} would break references")
