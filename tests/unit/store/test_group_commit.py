import asyncio
import random
import resource
import sqlite3
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cisisk.model.errors import NotFound, StorageFailed
from cisisk.store import group_commit
from cisisk.store.database import Database
from cisisk.store.limits import StoreLimits
from cisisk.store.transaction import Read, Write
from tests.patience import PATIENCE
from tests.unit.held_writer import writer_held

ACCOUNTS, START = 20, 100
LARGE = b"x" * 400_000


@pytest.fixture
def limits() -> StoreLimits:
    """A delay that makes concurrent writes share one commit even on a slow machine."""
    return StoreLimits(group_seconds=PATIENCE)


@pytest.fixture
async def db(db_path: Path, limits: StoreLimits) -> AsyncIterator[Database]:
    async with Database.open(db_path.as_uri(), limits) as database:
        yield database


@pytest.fixture
async def accounts(db: Database) -> Database:

    def make(tx: Write) -> None:
        tx.rows("CREATE TABLE accounts (id INTEGER PRIMARY KEY, balance INTEGER NOT NULL) STRICT")
        tx.many("INSERT INTO accounts VALUES (?, ?)", [(number, START) for number in range(ACCOUNTS)])

    await db.write(make)
    return db


async def balances(db: Database) -> list[int]:
    return [row["balance"] for row in await db.read(Read.rows, "SELECT balance FROM accounts ORDER BY id")]


def adding(account: int, amount: int) -> Callable[[Write], int]:
    def work(tx: Write) -> int:
        row = tx.row("UPDATE accounts SET balance = balance + ? WHERE id = ? RETURNING balance", (amount, account))
        if row is None:
            raise NotFound("no such account")
        return int(row["balance"])

    return work


def moving(source: int, target: int, amount: int) -> Callable[[Write], None]:
    def work(tx: Write) -> None:
        adding(source, -amount)(tx)
        adding(target, amount)(tx)

    return work


async def test_write_returns_once_its_change_is_on_the_disk(accounts: Database) -> None:
    assert await accounts.write(adding(0, 5)) == START + 5
    assert (await balances(accounts))[0] == START + 5


async def test_writes_that_wait_share_one_commit(accounts: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    shared: list[int] = []
    commit = group_commit._commit_together

    def counting(jobs: list[Any], seconds: float, connection: sqlite3.Connection) -> int:
        shared.append(commit(jobs, seconds, connection))
        return shared[-1]

    monkeypatch.setattr(group_commit, "_commit_together", counting)
    async with writer_held(accounts):
        waiting = [asyncio.create_task(accounts.write(adding(number, 1))) for number in range(ACCOUNTS)]
        await asyncio.sleep(0)
        assert await balances(accounts) == [START] * ACCOUNTS
    await asyncio.gather(*waiting)
    assert shared == [1, ACCOUNTS]
    assert await balances(accounts) == [START + 1] * ACCOUNTS


async def test_write_sees_changes_of_earlier_writes(accounts: Database) -> None:
    async with writer_held(accounts):
        waiting = [asyncio.create_task(accounts.write(adding(0, 1))) for _ in range(10)]
        await asyncio.sleep(0)
    assert await asyncio.gather(*waiting) == [START + 1 + number for number in range(10)]


async def test_failed_write_undoes_its_own_changes_only(accounts: Database) -> None:
    def half(tx: Write) -> None:
        tx.rows("UPDATE accounts SET balance = 0")
        raise KeyError("half")

    def taken(tx: Write) -> None:
        tx.rows("UPDATE accounts SET balance = 0")
        tx.rows("INSERT INTO accounts VALUES (0, 1)")

    def nonsense(tx: Write) -> None:
        tx.rows("UPDATE nowhere SET balance = 0")

    async with writer_held(accounts):
        waiting = [
            asyncio.create_task(accounts.write(work)) for work in (adding(0, 1), half, taken, nonsense, adding(1, 1))
        ]
        await asyncio.sleep(0)
    outcomes = await asyncio.gather(*waiting, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [int, KeyError, sqlite3.IntegrityError, StorageFailed, int]
    assert (await balances(accounts))[:3] == [START + 1, START + 1, START]


async def test_refused_commit_fails_every_write_in_it(accounts: Database) -> None:
    def broken(tx: Write) -> None:
        tx.rows("PRAGMA defer_foreign_keys = ON")
        tx.rows("INSERT INTO user_permissions VALUES ('unknown', 'unknown')")

    notified: list[None] = []
    async with writer_held(accounts):
        waiting = [asyncio.create_task(accounts.write(work)) for work in (adding(0, 1), broken, adding(1, 1))]
        await asyncio.sleep(0)
    accounts.subscribe(lambda: notified.append(None))
    outcomes = await asyncio.gather(*waiting, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [StorageFailed] * 3
    assert await balances(accounts) == [START] * ACCOUNTS
    assert not accounts._writer.in_transaction
    assert notified == []
    assert await accounts.write(adding(0, 1)) == START + 1
    assert notified == [None]


async def test_full_disk_fails_every_write_of_the_commit(accounts: Database) -> None:
    def large(tx: Write) -> None:
        tx.rows("INSERT INTO contents VALUES (?, ?)", ("a" * 64, LARGE))

    async with writer_held(accounts):
        waiting = [asyncio.create_task(accounts.write(work)) for work in (adding(0, 1), large, adding(1, 1))]
        await asyncio.sleep(0)
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        outcomes = await asyncio.gather(*waiting, return_exceptions=True)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert {type(outcome) for outcome in outcomes} == {StorageFailed}
    assert await balances(accounts) == [START] * ACCOUNTS
    assert await accounts.read(Read.rows, "SELECT * FROM contents") == []
    assert not accounts._writer.in_transaction
    assert await accounts.write(adding(0, 1)) == START + 1


async def test_write_that_loses_the_transaction_fails_earlier_ones_only(accounts: Database) -> None:
    def gone(tx: Write) -> None:
        tx.rows("ROLLBACK")
        raise KeyError

    async with writer_held(accounts):
        waiting = [asyncio.create_task(accounts.write(work)) for work in (adding(0, 1), gone, adding(1, 1))]
        await asyncio.sleep(0)
    outcomes = await asyncio.gather(*waiting, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [StorageFailed, KeyError, int]
    assert (await balances(accounts))[:2] == [START, START + 1]


async def test_error_outside_a_write_leaves_no_transaction_open(
    accounts: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = group_commit._Job.run

    def out_of_memory(job: Any, connection: sqlite3.Connection) -> None:
        run(job, connection)
        raise MemoryError

    with monkeypatch.context() as patch:
        patch.setattr(group_commit._Job, "run", out_of_memory)
        with pytest.raises(MemoryError):
            await accounts.write(adding(0, 1))
    assert not accounts._writer.in_transaction
    assert await accounts.write(adding(0, 1)) == START + 1


async def test_write_after_cancelled_commit_task_is_stored(accounts: Database) -> None:
    first = asyncio.create_task(accounts.write(adding(0, 1)))
    await asyncio.sleep(0)
    committing = accounts._commits._committing
    assert committing is not None
    # asyncio.run cancels all tasks at its end. Tasks that write again then must not block.
    for task in (first, committing):
        task.cancel()
    await asyncio.wait([first, committing])
    async with asyncio.timeout(10):
        assert await accounts.write(adding(0, 1)) == START + 1


@pytest.mark.parametrize("limits", [StoreLimits(group_size=3, group_seconds=0.0)])
async def test_writes_beyond_one_group_are_committed_in_order(accounts: Database) -> None:
    assert await asyncio.gather(*(accounts.write(adding(0, 1)) for _ in range(10))) == [
        START + 1 + number for number in range(10)
    ]


async def test_write_cancelled_before_it_begins_changes_nothing(accounts: Database) -> None:
    async with writer_held(accounts):
        waiting = [asyncio.create_task(accounts.write(adding(0, 1))) for _ in range(3)]
        await asyncio.sleep(0)
        waiting[1].cancel()
        await asyncio.wait([waiting[1]])
    assert waiting[1].cancelled()
    assert [await waiting[0], await waiting[2]] == [START + 1, START + 2]


async def test_write_cancelled_after_it_begins_is_completed(accounts: Database) -> None:
    go_on, begun, loop = threading.Event(), asyncio.Event(), asyncio.get_running_loop()

    def slow(tx: Write) -> None:
        loop.call_soon_threadsafe(begun.set)
        go_on.wait(10)
        adding(0, 1)(tx)

    task = asyncio.create_task(accounts.write(slow))
    await begun.wait()
    for _ in range(3):
        task.cancel()
        await asyncio.sleep(0)
    assert not task.done()
    go_on.set()
    await asyncio.wait([task])
    assert task.cancelled()
    assert (await balances(accounts))[0] == START + 1


async def test_read_sees_one_snapshot(accounts: Database) -> None:
    go_on, begun, loop = threading.Event(), asyncio.Event(), asyncio.get_running_loop()

    def twice(tx: Read) -> tuple[int, int]:
        first = tx.rows("SELECT balance FROM accounts WHERE id = 0")
        loop.call_soon_threadsafe(begun.set)
        go_on.wait(10)
        second = tx.rows("SELECT balance FROM accounts WHERE id = 0")
        return first[0]["balance"], second[0]["balance"]

    reading = asyncio.create_task(accounts.read(twice))
    await begun.wait()
    await accounts.write(adding(0, 1))
    go_on.set()
    assert await reading == (START, START)
    assert (await balances(accounts))[0] == START + 1
    assert not accounts._reader.in_transaction


async def test_write_after_close_is_refused(db_path: Path) -> None:
    async with Database.open(db_path.as_uri()) as closed:
        pass
    for _ in range(2):
        with pytest.raises(ValueError, match="no active connection"):
            await closed.write(Write.rows, "SELECT 1")


async def test_close_waits_for_begun_writes(db_path: Path) -> None:
    async with Database.open(db_path.as_uri()) as db:
        await db.write(Write.rows, "CREATE TABLE kept (value INTEGER) STRICT")
        task = asyncio.create_task(db.write(Write.rows, "INSERT INTO kept VALUES (1)"))
        await asyncio.sleep(0)
    await task
    async with Database.open(db_path.as_uri()) as db:
        assert len(await db.read(Read.rows, "SELECT * FROM kept")) == 1


@pytest.mark.parametrize("seed", range(3))
async def test_cancellations_lose_no_change_and_show_no_half(accounts: Database, seed: int) -> None:
    chance = random.Random(seed)
    seen: list[int] = []
    over = asyncio.Event()

    async def watch() -> None:
        while not over.is_set():
            seen.append(sum(await balances(accounts)))

    async def cancel_later(task: asyncio.Task[None]) -> None:
        for _ in range(chance.randrange(300)):
            await asyncio.sleep(0)
        task.cancel()

    watcher = asyncio.create_task(watch())
    moves = [
        asyncio.create_task(accounts.write(moving(source, target, chance.randrange(1, 50))))
        for source, target in (chance.sample(range(ACCOUNTS), 2) for _ in range(600))
    ]
    await asyncio.gather(*(cancel_later(task) for task in chance.sample(moves, 400)))
    outcomes = await asyncio.gather(*moves, return_exceptions=True)
    over.set()
    await watcher
    assert {type(outcome) for outcome in outcomes} == {type(None), asyncio.CancelledError}
    assert set(seen) == {ACCOUNTS * START}
    assert sum(await balances(accounts)) == ACCOUNTS * START
    assert not accounts._writer.in_transaction
    await accounts.write(moving(0, 1, 1))


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["add", "fail", "cancel"]),
        st.integers(0, ACCOUNTS - 1),
        st.integers(0, 6),
    ),
    max_size=25,
)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS, group=st.integers(1, 8))
def test_write_is_stored_exactly_if_it_returns(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, int, int]], group: int
) -> None:
    path = tmp_path_factory.mktemp("model") / "model.db"
    with sqlite3.connect(path) as made:
        made.execute("PRAGMA journal_mode = WAL")
        made.execute("CREATE TABLE done (number INTEGER PRIMARY KEY) STRICT")
    made.close()
    asyncio.run(_model(path, steps, StoreLimits(group_size=group)))


async def _model(path: Path, steps: list[tuple[str, int, int]], limits: StoreLimits) -> None:
    async with Database.open(path.as_uri(), limits) as db:
        tasks = {}
        for number, (kind, _, pauses) in enumerate(steps):
            tasks[number] = asyncio.create_task(_step(db, number, kind))
            for _ in range(pauses):
                await asyncio.sleep(0)
            if kind == "cancel":
                tasks[number].cancel()
        outcomes = dict(zip(tasks, await asyncio.gather(*tasks.values(), return_exceptions=True), strict=True))
        there = {row["number"] for row in await db.read(Read.rows, "SELECT number FROM done")}
    for number, outcome in outcomes.items():
        if isinstance(outcome, asyncio.CancelledError):
            continue
        assert (outcome is None) == (number in there)
        assert outcome is None or isinstance(outcome, KeyError)


async def _step(db: Database, number: int, kind: str) -> None:
    def work(tx: Write) -> None:
        tx.rows("INSERT INTO done VALUES (?)", (number,))
        if kind == "fail":
            raise KeyError(number)

    await db.write(work)
