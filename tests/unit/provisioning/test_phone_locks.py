import asyncio
import random
from collections.abc import Coroutine

import pytest

from cisisk.model.mac import Mac
from cisisk.provisioning.phone_locks import PhoneLocks

ONE, OTHER = Mac("AABBCCDDEE01"), Mac("AABBCCDDEE02")


@pytest.fixture
def locks() -> PhoneLocks:
    return PhoneLocks()


async def until_idle() -> None:
    """Let every task run until it waits."""
    for _ in range(20):
        await asyncio.sleep(0)


class Taker:
    """Takes a lock and releases it on request."""

    def __init__(self, locks: PhoneLocks, mac: Mac = ONE) -> None:
        self.turn: asyncio.Future[None] | None = None
        self.go = asyncio.Event()
        self.task = asyncio.create_task(self._take(locks, mac))

    async def _take(self, locks: PhoneLocks, mac: Mac) -> None:
        async with locks.take(mac) as superseded:
            self.turn = superseded
            await self.go.wait()

    @property
    def superseded(self) -> bool | None:
        """Return whether it was superseded; None while it waits for the lock."""
        return None if self.turn is None else self.turn.done()


async def test_lock_is_held_by_one_at_a_time_in_order(locks: PhoneLocks) -> None:
    takers = [Taker(locks) for _ in range(5)]
    for number, taker in enumerate(takers):
        await until_idle()
        assert [other.turn is not None for other in takers] == [at <= number for at in range(5)]
        taker.go.set()
    await asyncio.gather(*(taker.task for taker in takers))


async def test_phones_do_not_wait_for_one_another(locks: PhoneLocks) -> None:
    takers = [Taker(locks, ONE), Taker(locks, OTHER)]
    await until_idle()
    assert [taker.superseded for taker in takers] == [False, False]
    for taker in takers:
        taker.go.set()
    await asyncio.gather(*(taker.task for taker in takers))


async def test_holder_is_notified_of_a_newer_switch(locks: PhoneLocks) -> None:
    first = Taker(locks)
    await until_idle()
    assert first.superseded is False
    second = Taker(locks)
    await until_idle()
    assert (first.superseded, second.superseded) == (True, None)
    first.go.set()
    await until_idle()
    assert second.superseded is False
    second.go.set()
    await second.task


async def test_all_but_the_newest_are_superseded(locks: PhoneLocks) -> None:
    takers = [Taker(locks) for _ in range(4)]
    seen = []
    for taker in takers:
        await until_idle()
        seen.append(taker.superseded)
        taker.go.set()
        await taker.task
    assert seen == [True, True, True, False]


async def test_switch_without_a_waiting_one_supersedes_none(locks: PhoneLocks) -> None:
    first = Taker(locks)
    first.go.set()
    await first.task
    second = Taker(locks)
    await until_idle()
    assert (first.superseded, second.superseded) == (False, False)
    second.go.set()
    await second.task


async def test_lock_without_holders_is_forgotten(locks: PhoneLocks) -> None:
    for number in range(50):
        taker = Taker(locks, Mac(f"AABBCCDDEE{number:02}"))
        taker.go.set()
        await taker.task
    assert locks._queues == {}


async def test_failed_holder_releases_the_lock(locks: PhoneLocks) -> None:
    async def fail() -> None:
        async with locks.take(ONE):
            raise KeyError

    with pytest.raises(KeyError):
        await fail()
    assert locks._queues == {}


@pytest.mark.parametrize("who", [0, 1, 2])
async def test_cancelled_waiter_does_not_block_the_lock(locks: PhoneLocks, who: int) -> None:
    takers = [Taker(locks) for _ in range(3)]
    await until_idle()
    takers[who].task.cancel()
    for taker in takers:
        taker.go.set()
    outcomes = await asyncio.gather(*(taker.task for taker in takers), return_exceptions=True)
    assert [isinstance(outcome, asyncio.CancelledError) for outcome in outcomes] == [at == who for at in range(3)]
    assert [taker.turn is not None for taker in takers] == [at != who or who == 0 for at in range(3)]
    assert locks._queues == {}


async def test_lock_can_be_taken_again_at_once(locks: PhoneLocks) -> None:
    entered = []

    async def again() -> None:
        async with locks.take(ONE):
            entered.append("first")
        async with locks.take(ONE) as superseded:
            entered.append("second")
            assert not superseded.done()

    await asyncio.gather(again(), again())
    assert len(entered) == 4
    assert locks._queues == {}


@pytest.mark.parametrize("seed", range(5))
async def test_concurrent_cancellations_never_give_a_lock_twice(locks: PhoneLocks, seed: int) -> None:
    chance = random.Random(seed)
    inside: set[Mac] = set()
    order: dict[Mac, list[int]] = {ONE: [], OTHER: []}

    async def visit(number: int, mac: Mac, length: int) -> None:
        async with locks.take(mac):
            assert mac not in inside
            inside.add(mac)
            order[mac].append(number)
            try:
                for _ in range(length):
                    await asyncio.sleep(0)
            finally:
                inside.discard(mac)

    visits: list[Coroutine[None, None, None]] = [
        visit(number, chance.choice([ONE, OTHER]), chance.randrange(4)) for number in range(200)
    ]
    tasks = []
    for coroutine in visits:
        tasks.append(asyncio.create_task(coroutine))
        if chance.random() < 0.5:
            chance.choice(tasks).cancel()
        if chance.random() < 0.5:
            await asyncio.sleep(0)
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    assert {type(outcome) for outcome in outcomes} == {type(None), asyncio.CancelledError}
    assert all(numbers == sorted(numbers) for numbers in order.values())
    assert locks._queues == {}
