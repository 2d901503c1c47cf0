import asyncio
import random
import sqlite3
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from cisisk.model.errors import StorageFailed
from cisisk.store.database import Database

ACCOUNTS, START = 20, 100


@pytest.fixture
async def accounts(db: Database) -> Database:
    async with db.transaction() as tx:
        await tx.rows("CREATE TABLE accounts (id INTEGER PRIMARY KEY, balance INTEGER NOT NULL) STRICT")
        for number in range(ACCOUNTS):
            await tx.rows("INSERT INTO accounts VALUES (?, ?)", (number, START))
    return db


async def balances(db: Database) -> list[int]:
    return [row["balance"] for row in await db.rows("SELECT balance FROM accounts ORDER BY id")]


async def transfer(db: Database, source: int, target: int, amount: int) -> None:
    async with db.transaction() as tx:
        row = await tx.row("SELECT balance FROM accounts WHERE id = ?", (source,))
        assert row is not None
        await tx.rows("UPDATE accounts SET balance = ? WHERE id = ?", (row["balance"] - amount, source))
        await asyncio.sleep(0)
        await tx.rows("UPDATE accounts SET balance = balance + ? WHERE id = ?", (amount, target))


def in_transaction(db: Database) -> bool:
    return db._writer.in_transaction


@pytest.mark.parametrize("seed", range(3))
async def test_a_storm_of_cancellations_loses_nothing_and_shows_nobody_a_half(accounts: Database, seed: int) -> None:
    chance = random.Random(seed)
    seen: list[int] = []
    over = asyncio.Event()

    async def watch() -> None:
        while not over.is_set():
            seen.append(sum(await balances(accounts)))

    async def cancel_later(task: asyncio.Task[None]) -> None:
        for _ in range(chance.randrange(400)):
            await asyncio.sleep(0)
        task.cancel()

    watcher = asyncio.create_task(watch())
    transfers = [
        asyncio.create_task(transfer(accounts, source, target, chance.randrange(1, 50)))
        for source, target in (chance.sample(range(ACCOUNTS), 2) for _ in range(300))
    ]
    victims = chance.sample(transfers, 200)
    await asyncio.gather(*(cancel_later(task) for task in victims))
    outcomes = await asyncio.gather(*transfers, return_exceptions=True)
    over.set()
    await watcher

    assert any(isinstance(outcome, asyncio.CancelledError) for outcome in outcomes)
    assert any(outcome is None for outcome in outcomes)
    assert [outcome for outcome in outcomes if outcome and not isinstance(outcome, asyncio.CancelledError)] == []
    assert set(seen) == {ACCOUNTS * START}
    assert sum(await balances(accounts)) == ACCOUNTS * START
    assert not in_transaction(accounts)
    await transfer(accounts, 0, 1, 1)


async def test_a_transfer_cancelled_at_any_await_has_happened_or_has_not(accounts: Database) -> None:
    happened = set()
    for steps in range(60):
        before = await balances(accounts)
        task = asyncio.create_task(transfer(accounts, 0, 1, 1))
        for _ in range(steps):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        assert not in_transaction(accounts)
        after = await balances(accounts)
        assert after in (before, [before[0] - 1, before[1] + 1, *before[2:]])
        happened.add(after != before)
    assert False in happened


async def test_one_who_is_cancelled_while_the_commit_runs_has_committed(accounts: Database) -> None:
    async def work() -> None:
        async with accounts.transaction() as tx:
            await tx.rows("UPDATE accounts SET balance = 7 WHERE id = 0")
            task.cancel()

    task = asyncio.create_task(work())
    await asyncio.wait([task])
    assert task.cancelled()
    assert (await balances(accounts))[0] == 7
    assert not in_transaction(accounts)


async def refused_commit(db: Database, before: Callable[[], object]) -> None:
    """A transaction whose COMMIT itself fails: its broken reference is looked at only then."""
    async with db.transaction() as tx:
        await tx.rows("PRAGMA defer_foreign_keys = ON")
        await tx.rows("INSERT INTO user_permissions VALUES ('nobody', 'nothing')")
        before()


async def test_a_refused_commit_leaves_no_transaction_open(db: Database) -> None:
    with pytest.raises(sqlite3.IntegrityError):
        await refused_commit(db, lambda: None)
    assert not in_transaction(db)
    assert await db.rows("SELECT * FROM user_permissions") == []


async def test_a_commit_refused_while_its_task_is_cancelled_leaves_no_transaction_open(db: Database) -> None:
    task = asyncio.create_task(refused_commit(db, lambda: task.cancel("enough")))
    await asyncio.wait([task])
    assert task.cancelled()
    assert not in_transaction(db)
    assert await db.rows("SELECT * FROM user_permissions") == []


@pytest.mark.parametrize(
    ("statement", "error"),
    [
        ("INSERT INTO nowhere VALUES (1)", StorageFailed),
        ("INSERT INTO accounts VALUES (0, 1)", sqlite3.IntegrityError),
        ("INSERT INTO accounts VALUES (99, 'much')", sqlite3.IntegrityError),
        ("INSERT INTO accounts VALUES (99, 1.5)", sqlite3.IntegrityError),
        ("INSERT INTO accounts VALUES (99, NULL)", sqlite3.IntegrityError),
        ("INSERT INTO user_permissions VALUES ('nobody', 'nothing')", sqlite3.IntegrityError),
    ],
    ids=["no such table", "key taken", "text for a number", "fraction", "null", "no such user"],
)
async def test_one_refused_statement_undoes_all_before_it(
    accounts: Database, statement: str, error: type[Exception]
) -> None:
    async def work() -> None:
        async with accounts.transaction() as tx:
            await tx.rows("UPDATE accounts SET balance = balance - 1")
            await tx.rows(statement)

    before = await balances(accounts)
    with pytest.raises(error):
        await work()
    assert await balances(accounts) == before
    assert not in_transaction(accounts)


async def test_an_error_of_the_program_undoes_all(accounts: Database) -> None:
    async def work() -> None:
        async with accounts.transaction() as tx:
            await tx.rows("UPDATE accounts SET balance = 0")
            raise KeyError

    with pytest.raises(KeyError):
        await work()
    assert sum(await balances(accounts)) == ACCOUNTS * START


async def test_transactions_come_one_after_the_other(accounts: Database) -> None:
    async def spend_all(target: int) -> None:
        async with accounts.transaction() as tx:
            row = await tx.row("SELECT balance FROM accounts WHERE id = 0")
            assert row is not None
            await asyncio.sleep(0)
            await tx.rows("UPDATE accounts SET balance = balance - ? WHERE id = 0", (row["balance"],))
            await tx.rows("UPDATE accounts SET balance = balance + ? WHERE id = ?", (row["balance"], target))

    await asyncio.gather(*(spend_all(target) for target in range(1, ACCOUNTS)))
    assert (await balances(accounts))[:3] == [0, 2 * START, START]


async def test_what_is_not_committed_is_seen_by_its_own_transaction_only(accounts: Database) -> None:
    async with accounts.transaction() as tx:
        changed = await tx.rows("UPDATE accounts SET balance = 1 WHERE id = 0 RETURNING balance")
        assert [row["balance"] for row in changed] == [1]
        assert (await balances(accounts))[0] == START
    assert (await balances(accounts))[0] == 1


async def test_the_reader_cannot_write(accounts: Database) -> None:
    with pytest.raises(StorageFailed, match="readonly"):
        await accounts.rows("UPDATE accounts SET balance = 0")
    assert sum(await balances(accounts)) == ACCOUNTS * START


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
async def test_the_writer_is_set_for_safety(db_path: Path, pragma: str, value: object) -> None:
    async with Database.open(db_path.as_uri()) as db, db.transaction() as tx:
        row = await tx.row(f"PRAGMA {pragma}")
    assert row is not None
    assert row[0] == value


async def test_what_was_committed_is_there_after_opening_again(db_path: Path) -> None:
    async with Database.open(db_path.as_uri()) as first, first.transaction() as tx:
        await tx.rows("CREATE TABLE kept (value TEXT) STRICT")
        await tx.rows("INSERT INTO kept VALUES ('still here')")
    async with Database.open(db_path.as_uri()) as second:
        row = await second.row("SELECT value FROM kept")
    assert row is not None
    assert row["value"] == "still here"


async def test_a_row_that_is_not_there_is_none(db: Database) -> None:
    assert await db.row("SELECT 1 FROM users") is None
    async with db.transaction() as tx:
        assert await tx.row("SELECT 1 FROM users") is None


async def test_it_says_whether_it_answers(db_path: Path) -> None:
    async with Database.open(db_path.as_uri()) as database:
        assert await database.answers()
        async with database.transaction() as tx:
            await tx.rows("CREATE TABLE busy (id INTEGER) STRICT")
            assert await database.answers()
    assert not await database.answers()


async def _read(db: Database) -> None:
    await db.rows("SELECT COUNT(*) FROM padding")


async def _write(db: Database) -> None:
    async with db.transaction() as tx:
        await tx.rows("INSERT INTO padding SELECT * FROM padding")


@pytest.mark.parametrize("use", [_read, _write])
async def test_pages_that_are_damaged_while_it_runs_are_a_storage_failure(
    db_path: Path, use: Callable[[Database], Awaitable[None]]
) -> None:
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
