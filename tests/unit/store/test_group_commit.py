import asyncio
import random
import resource
import sqlite3
import threading
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cisisk.model.errors import NotFound, StorageFailed
from cisisk.store import database
from cisisk.store.database import Database, Transaction

ACCOUNTS, START = 20, 100
LARGE = b"x" * 400_000


@pytest.fixture
async def accounts(db: Database, monkeypatch: pytest.MonkeyPatch) -> Database:
    # However slow the machine is, what waits for one commit shares it.
    monkeypatch.setattr(database, "_GROUP_SECONDS", 60.0)

    async def make(tx: Transaction) -> None:
        await tx.rows("CREATE TABLE accounts (id INTEGER PRIMARY KEY, balance INTEGER NOT NULL) STRICT")
        await tx.many("INSERT INTO accounts VALUES (?, ?)", [(number, START) for number in range(ACCOUNTS)])

    await db.write(make)
    return db


async def balances(db: Database) -> list[int]:
    return [row["balance"] for row in await db.rows("SELECT balance FROM accounts ORDER BY id")]


def adding(account: int, amount: int) -> Callable[[Transaction], Coroutine[Any, Any, int]]:
    async def work(tx: Transaction) -> int:
        row = await tx.row(
            "UPDATE accounts SET balance = balance + ? WHERE id = ? RETURNING balance", (amount, account)
        )
        if row is None:
            raise NotFound("no such account")
        return int(row["balance"])

    return work


def moving(source: int, target: int, amount: int) -> Callable[[Transaction], Coroutine[Any, Any, None]]:
    async def work(tx: Transaction) -> None:
        await adding(source, -amount)(tx)
        await adding(target, amount)(tx)

    return work


@asynccontextmanager
async def writer_held(db: Database) -> AsyncIterator[None]:
    """The writer's thread stands still: whatever is asked for meanwhile waits."""
    go_on = threading.Event()
    begun = asyncio.Event()
    loop = asyncio.get_running_loop()

    async def work(_: Transaction) -> None:
        loop.call_soon_threadsafe(begun.set)
        go_on.wait(10)

    holding = asyncio.create_task(db.write(work))
    await begun.wait()
    try:
        yield
    finally:
        go_on.set()
        await holding


async def test_what_a_work_returns_is_on_the_disk(accounts: Database) -> None:
    assert await accounts.write(adding(0, 5)) == START + 5
    assert (await balances(accounts))[0] == START + 5


async def test_works_that_wait_share_one_commit(accounts: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    shared: list[int] = []
    commit = database._commit_together

    def counting(jobs: list[Any], connection: sqlite3.Connection) -> int:
        shared.append(commit(jobs, connection))
        return shared[-1]

    monkeypatch.setattr(database, "_commit_together", counting)
    async with writer_held(accounts):
        waiting = [asyncio.create_task(accounts.write(adding(number, 1))) for number in range(ACCOUNTS)]
        await asyncio.sleep(0)
        assert await balances(accounts) == [START] * ACCOUNTS
    await asyncio.gather(*waiting)
    assert shared == [1, ACCOUNTS]
    assert await balances(accounts) == [START + 1] * ACCOUNTS


async def test_each_sees_what_those_before_it_have_written(accounts: Database) -> None:
    async with writer_held(accounts):
        waiting = [asyncio.create_task(accounts.write(adding(0, 1))) for _ in range(10)]
        await asyncio.sleep(0)
    assert await asyncio.gather(*waiting) == [START + 1 + number for number in range(10)]


async def test_one_that_fails_takes_nothing_with_it_but_its_own(accounts: Database) -> None:
    async def half(tx: Transaction) -> None:
        await tx.rows("UPDATE accounts SET balance = 0")
        raise KeyError("half")

    async def taken(tx: Transaction) -> None:
        await tx.rows("UPDATE accounts SET balance = 0")
        await tx.rows("INSERT INTO accounts VALUES (0, 1)")

    async def nonsense(tx: Transaction) -> None:
        await tx.rows("UPDATE nowhere SET balance = 0")

    async with writer_held(accounts):
        waiting = [
            asyncio.create_task(accounts.write(work)) for work in (adding(0, 1), half, taken, nonsense, adding(1, 1))
        ]
        await asyncio.sleep(0)
    outcomes = await asyncio.gather(*waiting, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [int, KeyError, sqlite3.IntegrityError, StorageFailed, int]
    assert (await balances(accounts))[:3] == [START + 1, START + 1, START]


async def test_a_refused_commit_is_told_to_each_and_nothing_of_any_is_kept(accounts: Database) -> None:
    async def broken(tx: Transaction) -> None:
        await tx.rows("PRAGMA defer_foreign_keys = ON")
        await tx.rows("INSERT INTO user_permissions VALUES ('nobody', 'nothing')")

    told: list[None] = []
    async with writer_held(accounts):
        waiting = [asyncio.create_task(accounts.write(work)) for work in (adding(0, 1), broken, adding(1, 1))]
        await asyncio.sleep(0)
    accounts.after_commit = lambda: told.append(None)
    outcomes = await asyncio.gather(*waiting, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [StorageFailed] * 3
    assert await balances(accounts) == [START] * ACCOUNTS
    assert not accounts._writer.in_transaction
    assert told == []
    assert await accounts.write(adding(0, 1)) == START + 1
    assert told == [None]


async def test_a_full_disk_fails_all_of_one_commit_and_leaves_nothing(accounts: Database) -> None:
    async def large(tx: Transaction) -> None:
        await tx.rows("INSERT INTO contents VALUES (?, ?)", ("a" * 64, LARGE))

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
    assert await accounts.rows("SELECT * FROM contents") == []
    assert not accounts._writer.in_transaction
    assert await accounts.write(adding(0, 1)) == START + 1


async def test_a_work_that_loses_the_whole_transaction_fails_those_before_it_and_none_after(accounts: Database) -> None:
    async def gone(tx: Transaction) -> None:
        await tx.rows("ROLLBACK")
        raise KeyError

    async with writer_held(accounts):
        waiting = [asyncio.create_task(accounts.write(work)) for work in (adding(0, 1), gone, adding(1, 1))]
        await asyncio.sleep(0)
    outcomes = await asyncio.gather(*waiting, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [StorageFailed, KeyError, int]
    assert (await balances(accounts))[:2] == [START, START + 1]


async def test_more_than_one_commit_takes_are_all_done_in_order(
    accounts: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "_GROUP", 3)
    monkeypatch.setattr(database, "_GROUP_SECONDS", 0.0)
    assert await asyncio.gather(*(accounts.write(adding(0, 1)) for _ in range(10))) == [
        START + 1 + number for number in range(10)
    ]


async def test_who_is_cancelled_before_his_work_has_begun_leaves_nothing(accounts: Database) -> None:
    async with writer_held(accounts):
        waiting = [asyncio.create_task(accounts.write(adding(0, 1))) for _ in range(3)]
        await asyncio.sleep(0)
        waiting[1].cancel()
        await asyncio.wait([waiting[1]])
    assert waiting[1].cancelled()
    assert [await waiting[0], await waiting[2]] == [START + 1, START + 2]


async def test_who_is_cancelled_later_is_held_up_until_it_is_done(accounts: Database) -> None:
    go_on, begun, loop = threading.Event(), asyncio.Event(), asyncio.get_running_loop()

    async def slow(tx: Transaction) -> None:
        loop.call_soon_threadsafe(begun.set)
        go_on.wait(10)
        await adding(0, 1)(tx)

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


async def test_a_transaction_comes_after_the_works_that_were_asked_for_before_it(accounts: Database) -> None:
    async def look() -> int:
        async with accounts.transaction() as tx:
            row = await tx.row("SELECT balance FROM accounts WHERE id = 0")
            assert row
            return int(row["balance"])

    async with writer_held(accounts):
        earlier = asyncio.create_task(look())
        await asyncio.sleep(0)
        adds = asyncio.create_task(accounts.write(adding(0, 1)))
        await asyncio.sleep(0)
        later = asyncio.create_task(look())
        await asyncio.sleep(0)
    await adds
    assert await earlier in (START, START + 1)
    assert await later == START + 1


async def sleepy_reader(_: Transaction) -> None:
    await asyncio.sleep(0)


async def test_a_work_that_awaits_anything_else_is_refused_and_undone(accounts: Database) -> None:
    async def sleepy(tx: Transaction) -> None:
        await adding(0, 1)(tx)
        await asyncio.sleep(0)

    with pytest.raises(RuntimeError, match="awaits nothing else"):
        await accounts.write(sleepy)
    with pytest.raises(RuntimeError, match="awaits nothing else"):
        await accounts.read(sleepy_reader)
    assert await balances(accounts) == [START] * ACCOUNTS


async def test_a_read_finds_what_is_committed_at_one_moment_and_writes_nothing(accounts: Database) -> None:
    go_on, begun, loop = threading.Event(), asyncio.Event(), asyncio.get_running_loop()

    async def twice(tx: Transaction) -> tuple[int, int]:
        first = await tx.rows("SELECT balance FROM accounts WHERE id = 0")
        loop.call_soon_threadsafe(begun.set)
        go_on.wait(10)
        second = await tx.rows("SELECT balance FROM accounts WHERE id = 0")
        return first[0]["balance"], second[0]["balance"]

    reading = asyncio.create_task(accounts.read(twice))
    await begun.wait()
    await accounts.write(adding(0, 1))
    go_on.set()
    assert await reading == (START, START)
    assert (await balances(accounts))[0] == START + 1
    with pytest.raises(StorageFailed, match="readonly"):
        await accounts.read(adding(0, 1))
    assert not accounts._reader.in_transaction


async def test_what_is_asked_for_after_the_end_is_refused(db_path: Path) -> None:
    async with Database.open(db_path.as_uri()) as closed:
        pass
    for _ in range(2):
        with pytest.raises(ValueError, match="no active connection"):
            await closed.write(sleepy_reader)


async def test_the_database_is_closed_after_what_was_begun(db_path: Path) -> None:
    async with Database.open(db_path.as_uri()) as db:
        await db.write(lambda tx: tx.many("CREATE TABLE kept (value INTEGER) STRICT", [()]))
        task = asyncio.create_task(db.write(lambda tx: tx.rows("INSERT INTO kept VALUES (1)")))
        await asyncio.sleep(0)
    await task
    async with Database.open(db_path.as_uri()) as db:
        assert len(await db.rows("SELECT * FROM kept")) == 1


@pytest.mark.parametrize("seed", range(3))
async def test_a_storm_of_cancellations_loses_nothing_and_shows_nobody_a_half(accounts: Database, seed: int) -> None:
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

    async def move(source: int, target: int, amount: int) -> None:
        if chance.random() < 0.2:
            async with accounts.transaction() as tx:
                await moving(source, target, amount)(tx)
        else:
            await accounts.write(moving(source, target, amount))

    watcher = asyncio.create_task(watch())
    moves = [
        asyncio.create_task(move(source, target, chance.randrange(1, 50)))
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
        st.sampled_from(["add", "fail", "cancel", "transaction"]),
        st.integers(0, ACCOUNTS - 1),
        st.integers(0, 6),
    ),
    max_size=25,
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS, group=st.integers(1, 8))
def test_whoever_was_told_that_it_is_done_finds_it_and_whoever_was_not_does_not(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, int, int]], group: int
) -> None:
    path = tmp_path_factory.mktemp("model") / "model.db"
    with sqlite3.connect(path) as made:
        made.execute("PRAGMA journal_mode = WAL")
        made.execute("CREATE TABLE done (number INTEGER PRIMARY KEY) STRICT")
    made.close()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(database, "_GROUP", group)
        asyncio.run(_model(path, steps))


async def _model(path: Path, steps: list[tuple[str, int, int]]) -> None:
    async with Database.open(path.as_uri()) as db:
        tasks = {}
        for number, (kind, _, pauses) in enumerate(steps):
            tasks[number] = asyncio.create_task(_step(db, number, kind))
            for _ in range(pauses):
                await asyncio.sleep(0)
            if kind == "cancel":
                tasks[number].cancel()
        outcomes = dict(zip(tasks, await asyncio.gather(*tasks.values(), return_exceptions=True), strict=True))
        there = {row["number"] for row in await db.rows("SELECT number FROM done")}
    for number, outcome in outcomes.items():
        if isinstance(outcome, asyncio.CancelledError):
            continue
        assert (outcome is None) == (number in there)
        assert outcome is None or isinstance(outcome, KeyError)


async def _step(db: Database, number: int, kind: str) -> None:
    async def work(tx: Transaction) -> None:
        await tx.rows("INSERT INTO done VALUES (?)", (number,))
        if kind == "fail":
            raise KeyError(number)

    if kind == "transaction":
        async with db.transaction() as tx:
            await work(tx)
    else:
        await db.write(work)
