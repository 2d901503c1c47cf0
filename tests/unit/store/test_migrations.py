import os
import sqlite3
import stat
from collections.abc import Sequence
from contextlib import closing
from importlib import resources
from pathlib import Path
from typing import Any

import pytest

from cisisk.model.errors import StartRefused
from cisisk.model.user import SUPERADMIN_LEVEL, SUPERADMIN_PERMISSION
from cisisk.store import migrations

FIRST = "CREATE TABLE things (id INTEGER PRIMARY KEY, name TEXT NOT NULL) STRICT; INSERT INTO things VALUES (1, 'one')"
SECOND = "ALTER TABLE things ADD COLUMN colour TEXT; UPDATE things SET colour = 'red'"


def ask(path: Path, sql: str) -> list[Any]:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(sql).fetchall()


def version(path: Path) -> int:
    return int(ask(path, "PRAGMA user_version")[0][0])


def schema(path: Path) -> list[Any]:
    return ask(path, "SELECT name, sql FROM sqlite_schema ORDER BY name")


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "cisisk.db"


@pytest.fixture
def first(path: Path) -> Path:
    migrations.migrate(path, [FIRST])
    return path


def test_migrate_creates_a_store(path: Path) -> None:
    migrations.migrate(path, migrations.steps())
    assert version(path) == len(migrations.steps())
    assert ask(path, "SELECT uuid, level, name FROM permissions") == [
        (SUPERADMIN_PERMISSION, SUPERADMIN_LEVEL, "superadmin")
    ]
    assert ask(path, "PRAGMA journal_mode") == [("wal",)]
    assert ask(path, "PRAGMA integrity_check") == [("ok",)]


def test_tables_are_strict_and_references_indexed(path: Path) -> None:
    migrations.migrate(path, migrations.steps())
    tables = [
        row
        for row in ask(path, "PRAGMA table_list")
        if row[:3:2] == ("main", "table") and not row[1].startswith("sqlite_")
    ]
    assert [name for _, name, _, _, _, strict in tables if not strict] == []
    for _, table, *_ in tables:
        indexed = {
            ask(path, f"PRAGMA index_info({name})")[0][2] for _, name, *_ in ask(path, f"PRAGMA index_list({table})")
        }
        referring = {
            row[3] for row in ask(path, f"PRAGMA foreign_key_list({table})") if row[2] in {"users", "profiles"}
        }
        assert referring <= indexed, table


def test_migration_files_are_numbered_without_gaps() -> None:
    names = sorted(
        entry.name for entry in resources.files(migrations.__name__).iterdir() if entry.name.endswith(".sql")
    )
    assert [int(name.partition("_")[0]) for name in names] == list(range(1, len(names) + 1))
    assert {len(name.partition("_")[0]) for name in names} == {4}
    assert len(migrations.steps()) == len(names)
    assert all(step.strip() for step in migrations.steps())


def test_database_is_readable_for_owner_only(path: Path) -> None:
    mask = os.umask(0)
    try:
        migrations.migrate(path, migrations.steps())
    finally:
        os.umask(mask)
    assert mode(path) == 0o600


def test_migrating_again_changes_nothing(first: Path) -> None:
    ask(first, "SELECT * FROM things")
    before = schema(first)
    migrations.migrate(first, [FIRST])
    assert (version(first), schema(first)) == (1, before)
    assert list(first.parent.glob("*.bak*")) == []


def test_upgrade_runs_new_steps_only(first: Path) -> None:
    migrations.migrate(first, [FIRST, SECOND, "INSERT INTO things VALUES (2, 'two', 'blue')"])
    assert version(first) == 3
    assert ask(first, "SELECT * FROM things") == [(1, "one", "red"), (2, "two", "blue")]


def test_copy_from_before_upgrade_opens(first: Path) -> None:
    migrations.migrate(first, [FIRST, SECOND])
    copy = first.with_name("cisisk.db.v1.bak")
    assert mode(copy) == 0o600
    assert version(copy) == 1
    assert ask(copy, "SELECT * FROM things") == [(1, "one")]
    migrations.migrate(copy, [FIRST, SECOND])
    assert ask(copy, "SELECT * FROM things") == [(1, "one", "red")]


def test_copy_contains_rows_of_the_wal(first: Path) -> None:
    with closing(sqlite3.connect(first)) as running:
        running.execute("INSERT INTO things VALUES (2, 'two')")
        running.commit()
        migrations.migrate(first, [FIRST, SECOND])
    assert ask(first.with_name("cisisk.db.v1.bak"), "SELECT id FROM things") == [(1,), (2,)]


def test_interrupted_copy_is_replaced(first: Path) -> None:
    first.with_name("cisisk.db.v1.bak.new").write_bytes(b"half a copy")
    first.with_name("cisisk.db.v1.bak").write_bytes(b"an older copy")
    migrations.migrate(first, [FIRST, SECOND])
    assert ask(first.with_name("cisisk.db.v1.bak"), "SELECT * FROM things") == [(1, "one")]
    assert not first.with_name("cisisk.db.v1.bak.new").exists()


@pytest.mark.parametrize(
    "failing",
    [
        "INSERT INTO things VALUES (1, 'again')",
        "CREATE TABLE half (id INTEGER) STRICT; THIS IS NOT SQL",
        "CREATE TABLE half (id INTEGER) STRICT; INSERT INTO things (id, name) VALUES ('two', '')",
        "CREATE TABLE half (id INTEGER REFERENCES things) STRICT; INSERT INTO half VALUES (99)",
    ],
    ids=["key taken", "not SQL", "wrong type", "broken reference"],
)
@pytest.mark.parametrize("before", [[], [SECOND]], ids=["alone", "after another"])
def test_failing_step_leaves_no_trace(first: Path, failing: str, before: Sequence[str]) -> None:
    with pytest.raises(StartRefused, match="cannot be opened or upgraded"):
        migrations.migrate(first, [FIRST, *before, failing])
    assert version(first) == 1 + len(before)
    assert [name for name, _ in schema(first)] == ["things"]
    assert ask(first, "SELECT id, name FROM things") == [(1, "one")]
    migrations.migrate(first, [FIRST, SECOND])
    assert ask(first, "SELECT * FROM things") == [(1, "one", "red")]


def test_referenced_table_can_be_rebuilt(path: Path) -> None:
    made = (
        "CREATE TABLE a (id INTEGER PRIMARY KEY); CREATE TABLE b (a INTEGER REFERENCES a ON DELETE CASCADE);"
        "INSERT INTO a VALUES (1); INSERT INTO b VALUES (1)"
    )
    migrations.migrate(path, [made])
    rebuilt = (
        "CREATE TABLE new (id INTEGER PRIMARY KEY) STRICT; INSERT INTO new SELECT id FROM a; DROP TABLE a;"
        "ALTER TABLE new RENAME TO a -- a comment at the end"
    )
    migrations.migrate(path, ["", rebuilt])
    assert ask(path, "SELECT * FROM b") == [(1,)]


def test_newer_database_is_refused_and_unchanged(first: Path) -> None:
    migrations.migrate(first, [FIRST, SECOND])
    before = schema(first)
    with pytest.raises(StartRefused, match=r"newer Cisisk \(schema 2, this one knows 1\).*restore a copy"):
        migrations.migrate(first, [FIRST])
    assert (version(first), schema(first)) == (2, before)


def _garbage(whole: bytes) -> bytes:
    return bytes(range(256)) * 20


def _cut(whole: bytes) -> bytes:
    return whole[: len(whole) // 2]


def _header_only(whole: bytes) -> bytes:
    return whole[:100]


def _schema_overwritten(whole: bytes) -> bytes:
    return whole[:100] + b"\xff" * 3996 + whole[4096:]


def _text(whole: bytes) -> bytes:
    return b"[server]\nport = 8080\n" * 50


@pytest.mark.parametrize("damage", [_garbage, _cut, _header_only, _schema_overwritten, _text])
def test_damaged_file_is_refused_and_unchanged(path: Path, damage: Any) -> None:
    migrations.migrate(path, migrations.steps())
    ask(path, "PRAGMA wal_checkpoint(TRUNCATE)")
    content = damage(path.read_bytes())
    path.write_bytes(content)
    with pytest.raises(StartRefused, match=f"The database {path} cannot be opened or upgraded: .*(malformed|not a)"):
        migrations.migrate(path, migrations.steps())
    assert path.stat().st_size == len(content)


@pytest.mark.parametrize("name", ["absent/cisisk.db", "a directory"])
def test_impossible_path_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "a directory").mkdir()
    with pytest.raises(StartRefused, match=name):
        migrations.migrate(tmp_path / name, migrations.steps())
