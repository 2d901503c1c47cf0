import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cisisk.model.errors import StorageFailed
from cisisk.store.database import Database
from cisisk.store.limits import StoreLimits
from cisisk.store.transaction import Read, Write
from tests.unit.held_writer import writer_held

ACCOUNTS, START = 20, 100


def _make_accounts(tx: Write) -> None:
    tx.rows("CREATE TABLE accounts (id INTEGER PRIMARY KEY, balance INTEGER NOT NULL) STRICT")
    tx.many("INSERT INTO accounts VALUES (?, ?)", ((number, START) for number in range(ACCOUNTS)))


@pytest.fixture
async def accounts(db: Database) -> Database:
    await db.write(_make_accounts)
    return db


def _balances(tx: Read) -> list[int]:
    return [row["balance"] for row in tx.rows("SELECT balance FROM accounts ORDER BY id")]


def in_transaction(db: Database) -> bool:
    return db._writer.in_transaction


def _break_reference(tx: Write) -> None:
    """Break a reference that SQLite checks at the COMMIT."""
    tx.rows("PRAGMA defer_foreign_keys = ON")
    tx.rows("INSERT INTO user_permissions VALUES ('unknown', 'unknown')")


async def test_refused_commit_leaves_no_transaction_open(db: Database) -> None:
    with pytest.raises(StorageFailed, match="FOREIGN KEY"):
        await db.write(_break_reference)
    assert not in_transaction(db)
    assert await db.read(Read.rows, "SELECT * FROM user_permissions") == []


@pytest.mark.parametrize(
    ("statement", "error"),
    [
        ("INSERT INTO nowhere VALUES (1)", StorageFailed),
        ("INSERT INTO accounts VALUES (0, 1)", sqlite3.IntegrityError),
        ("INSERT INTO accounts VALUES (99, 'much')", sqlite3.IntegrityError),
        ("INSERT INTO accounts VALUES (99, 1.5)", sqlite3.IntegrityError),
        ("INSERT INTO accounts VALUES (99, NULL)", sqlite3.IntegrityError),
        ("INSERT INTO user_permissions VALUES ('unknown', 'unknown')", sqlite3.IntegrityError),
    ],
    ids=["no such table", "key taken", "text for a number", "fraction", "null", "no such user"],
)
async def test_refused_statement_undoes_those_before_it(
    accounts: Database, statement: str, error: type[Exception]
) -> None:
    def spend(tx: Write) -> None:
        tx.rows("UPDATE accounts SET balance = balance - 1")
        tx.rows(statement)

    with pytest.raises(error):
        await accounts.write(spend)
    assert await accounts.read(_balances) == [START] * ACCOUNTS
    assert not in_transaction(accounts)


@pytest.mark.parametrize(("raised", "seen"), [(KeyError, KeyError), (StopIteration, RuntimeError)])
async def test_write_that_raises_changes_nothing(
    accounts: Database, raised: type[Exception], seen: type[Exception]
) -> None:
    def spend(tx: Write) -> None:
        tx.rows("UPDATE accounts SET balance = 0")
        raise raised

    with pytest.raises(seen):
        await accounts.write(spend)
    assert await accounts.read(_balances) == [START] * ACCOUNTS


@pytest.mark.parametrize(("raised", "seen"), [(KeyError, KeyError), (StopIteration, RuntimeError)])
async def test_read_that_raises_leaves_no_transaction_open(
    accounts: Database, raised: type[Exception], seen: type[Exception]
) -> None:
    def fail(_: Read) -> None:
        raise raised

    with pytest.raises(seen):
        await accounts.read(fail)
    assert not accounts._reader.in_transaction


async def test_uncommitted_change_is_invisible_to_reads(accounts: Database) -> None:
    async with writer_held(accounts, "UPDATE accounts SET balance = 1 WHERE id = 0"):
        assert (await accounts.read(_balances))[0] == START
    assert (await accounts.read(_balances))[0] == 1


async def test_write_sees_its_own_changes(accounts: Database) -> None:
    def spend(tx: Write) -> tuple[list[Any], int]:
        changed = tx.rows("UPDATE accounts SET balance = 1 WHERE id = 0 RETURNING balance")
        return [row["balance"] for row in changed], _balances(tx)[0]

    assert await accounts.write(spend) == ([1], 1)


async def test_reader_cannot_write(accounts: Database) -> None:
    with pytest.raises(StorageFailed, match="readonly"):
        await accounts.read(Read.rows, "UPDATE accounts SET balance = 0")
    assert await accounts.read(_balances) == [START] * ACCOUNTS


async def test_read_and_write_pass_arguments_on(accounts: Database) -> None:
    def give(tx: Write, account: int, *, amount: int) -> int:
        tx.rows("UPDATE accounts SET balance = balance + ? WHERE id = ?", (amount, account))
        return _balances(tx)[account]

    assert await accounts.write(give, 3, amount=7) == START + 7
    row = await accounts.read(Read.row, "SELECT balance FROM accounts WHERE id = ?", parameters=(3,))
    assert row is not None
    assert row["balance"] == START + 7


async def test_commit_calls_every_listener(accounts: Database) -> None:
    called: list[str] = []
    accounts.subscribe(lambda: called.append("first"))
    accounts.subscribe(lambda: called.append("second"))
    await accounts.write(Write.rows, "UPDATE accounts SET balance = 0")
    assert called == ["first", "second"]
    await accounts.read(_balances)
    with pytest.raises(StorageFailed):
        await accounts.write(Write.rows, "UPDATE nowhere SET balance = 0")
    assert called == ["first", "second"]


@pytest.mark.parametrize(
    ("pragma", "value"),
    [
        ("journal_mode", "wal"),
        ("synchronous", 2),
        ("foreign_keys", 1),
        ("trusted_schema", 0),
        ("cell_size_check", 1),
        ("busy_timeout", 5000),
    ],
)
async def test_writer_is_set_for_safety(db_path: Path, pragma: str, value: object) -> None:
    async with Database.open(db_path.as_uri()) as db:
        row = await db.write(Write.row, f"PRAGMA {pragma}")
    assert row is not None
    assert row[0] == value


async def test_committed_rows_are_there_after_opening_again(db_path: Path) -> None:
    async with Database.open(db_path.as_uri()) as first:
        await first.write(Write.rows, "CREATE TABLE kept (value TEXT) STRICT")
        await first.write(Write.rows, "INSERT INTO kept VALUES ('still here')")
    async with Database.open(db_path.as_uri()) as second:
        row = await second.read(Read.row, "SELECT value FROM kept")
    assert row is not None
    assert row["value"] == "still here"


async def test_missing_row_is_none(db: Database) -> None:
    assert await db.read(Read.row, "SELECT 1 FROM users") is None
    assert await db.write(Write.row, "SELECT 1 FROM users") is None


async def test_database_answers_until_it_is_closed(db_path: Path) -> None:
    async with Database.open(db_path.as_uri()) as database:
        assert await database.answers()
    assert not await database.answers()


async def test_database_with_blocked_writer_does_not_answer(db_path: Path) -> None:
    async with Database.open(db_path.as_uri(), StoreLimits(ping_seconds=0.01)) as db, writer_held(db):
        assert not await db.answers()


def _read_padding(tx: Read) -> None:
    tx.rows("SELECT COUNT(*) FROM padding")


def _double_padding(tx: Write) -> None:
    tx.rows("INSERT INTO padding SELECT * FROM padding")


async def _read(db: Database) -> None:
    await db.read(_read_padding)


async def _write(db: Database) -> None:
    await db.write(_double_padding)


@pytest.mark.parametrize("use", [_read, _write])
async def test_damaged_pages_raise_storage_failed(db_path: Path, use: Callable[[Database], Any]) -> None:
    with sqlite3.connect(db_path) as connection:
        connection.execute("CREATE TABLE padding (filler TEXT) STRICT")
        connection.execute(
            "INSERT INTO padding SELECT hex(randomblob(900))"
            " FROM (WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 400) SELECT i FROM n)"
        )
        root = connection.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'padding'").fetchone()[0]
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    with db_path.open("r+b") as file:
        file.seek((root - 1) * 4096)
        file.write(b"\xff" * 4096)
    async with Database.open(db_path.as_uri()) as database:
        with pytest.raises(StorageFailed, match="malformed"):
            await use(database)
        assert not in_transaction(database)
