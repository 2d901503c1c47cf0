import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from cisisk.model.errors import StartRefused, StorageFailed
from cisisk.store import migrations
from cisisk.store.database import Database
from cisisk.store.transaction import Read, Write
from tests.unit.full_disk import no_file_beyond

LARGE = b"x" * 400_000


async def store(db: Database, sha256: str, content: bytes) -> None:
    await db.write(Write.rows, "INSERT INTO contents VALUES (?, ?)", (sha256 * 64, content))


async def stored(db: Database) -> list[str]:
    return [row["sha256"][0] for row in await db.read(Read.rows, "SELECT sha256 FROM contents ORDER BY sha256")]


def assert_sound(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


async def test_full_database_keeps_old_state_and_recovers(db_path: Path) -> None:
    async with Database.open(db_path.as_uri()) as db:
        await store(db, "a", b"before")
        await db._writer.execute("PRAGMA max_page_count = 60")
        with pytest.raises(StorageFailed, match="full"):
            await store(db, "b", LARGE)
        assert await stored(db) == ["a"]
        assert not db._writer.in_transaction
        assert await db.answers()
        await store(db, "c", b"small")
        assert await stored(db) == ["a", "c"]
    assert_sound(db_path)


async def test_full_disk_keeps_old_state_until_space_is_freed(db_path: Path) -> None:
    async with Database.open(db_path.as_uri()) as db:
        await store(db, "a", b"before")
        with no_file_beyond(100_000):
            with pytest.raises(StorageFailed, match="could not be stored"):
                await store(db, "b", LARGE)
            assert await stored(db) == ["a"]
            assert not db._writer.in_transaction
        await store(db, "b", LARGE)
        assert await stored(db) == ["a", "b"]
    assert_sound(db_path)


async def test_database_closes_on_full_disk(db_path: Path) -> None:
    with no_file_beyond(100_000):
        async with Database.open(db_path.as_uri()) as db:
            await store(db, "a", b"before")
            with pytest.raises(StorageFailed):
                await store(db, "b", LARGE)
            # After enough reads, SQLite updates its statistics when it closes.
            for _ in range(3):
                await db.write(Write.rows, "SELECT * FROM config_versions JOIN contents USING (sha256) WHERE mac = '1'")
    async with Database.open(db_path.as_uri()) as db:
        assert await stored(db) == ["a"]
    assert_sound(db_path)


def test_migration_on_full_disk_leaves_no_trace(tmp_path: Path) -> None:
    path = tmp_path / "cisisk.db"
    with no_file_beyond(8192), pytest.raises(StartRefused, match=str(path)):
        migrations.migrate(path, migrations.steps())
    migrations.migrate(path, migrations.steps())
    assert_sound(path)


def test_upgrade_without_space_for_copy_is_refused(db_path: Path) -> None:
    have = len(migrations.steps())
    with no_file_beyond(8192), pytest.raises(StartRefused, match=str(db_path)):
        migrations.migrate(db_path, [*migrations.steps(), "CREATE TABLE later (id INTEGER) STRICT"])
    assert not (db_path.parent / f"cisisk.db.v{have}.bak").exists()
    migrations.migrate(db_path, migrations.steps())
    assert_sound(db_path)
