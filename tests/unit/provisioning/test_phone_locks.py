import asyncio
import random
from collections.abc import Coroutine

import pytest

from cisisk.model.mac import Mac
from cisisk.provisioning.phone_locks import PhoneLocks

ONE, OTHER = Mac("AABBCCDDEE01"), Mac("AABBCCDDEE02")


@pytest.fixture
def turns() -> PhoneLocks:
    return PhoneLocks()


async def until_idle() -> None:
    """Let every task run as far as it can."""
    for _ in range(20):
        await asyncio.sleep(0)


class Taker:
    """Somebody who takes a turn and gives it back when told."""

    def __init__(self, turns: PhoneLocks, mac: Mac = ONE) -> None:
        self.turn: asyncio.Future[None] | None = None
        self.go = asyncio.Event()
        self.task = asyncio.create_task(self._take(turns, mac))

    async def _take(self, turns: PhoneLocks, mac: Mac) -> None:
        async with turns.take(mac) as superseded:
            self.turn = superseded
            await self.go.wait()

    @property
    def superseded(self) -> bool | None:
        """None while it waits for its turn."""
        return None if self.turn is None else self.turn.done()


async def test_turns_are_taken_one_at_a_time_in_the_order_of_their_coming(turns: PhoneLocks) -> None:
    takers = [Taker(turns) for _ in range(5)]
    for number, taker in enumerate(takers):
        await until_idle()
        assert [other.turn is not None for other in takers] == [at <= number for at in range(5)]
        taker.go.set()
    await asyncio.gather(*(taker.task for taker in takers))


async def test_phones_do_not_wait_for_one_another(turns: PhoneLocks) -> None:
    takers = [Taker(turns, ONE), Taker(turns, OTHER)]
    await until_idle()
    assert [taker.superseded for taker in takers] == [False, False]
    for taker in takers:
        taker.go.set()
    await asyncio.gather(*(taker.task for taker in takers))


async def test_who_has_the_turn_learns_of_a_newer_one_at_once(turns: PhoneLocks) -> None:
    first = Taker(turns)
    await until_idle()
    assert first.superseded is False
    second = Taker(turns)
    await until_idle()
    assert (first.superseded, second.superseded) == (True, None)
    first.go.set()
    await until_idle()
    assert second.superseded is False
    second.go.set()
    await second.task


async def test_all_but_the_newest_are_superseded_when_their_turn_comes(turns: PhoneLocks) -> None:
    takers = [Taker(turns) for _ in range(4)]
    seen = []
    for taker in takers:
        await until_idle()
        seen.append(taker.superseded)
        taker.go.set()
        await taker.task
    assert seen == [True, True, True, False]


async def test_who_comes_after_all_have_gone_supersedes_nobody(turns: PhoneLocks) -> None:
    first = Taker(turns)
    first.go.set()
    await first.task
    second = Taker(turns)
    await until_idle()
    assert (first.superseded, second.superseded) == (False, False)
    second.go.set()
    await second.task


async def test_nothing_is_left_of_phones_that_nobody_switches(turns: PhoneLocks) -> None:
    for number in range(50):
        taker = Taker(turns, Mac(f"AABBCCDDEE{number:02}"))
        taker.go.set()
        await taker.task
    assert turns._queues == {}


async def test_one_who_fails_gives_its_turn_back(turns: PhoneLocks) -> None:
    async def fail() -> None:
        async with turns.take(ONE):
            raise KeyError

    with pytest.raises(KeyError):
        await fail()
    assert turns._queues == {}


@pytest.mark.parametrize("who", [0, 1, 2])
async def test_one_who_is_cancelled_holds_up_nobody(turns: PhoneLocks, who: int) -> None:
    takers = [Taker(turns) for _ in range(3)]
    await until_idle()
    takers[who].task.cancel()
    for taker in takers:
        taker.go.set()
    outcomes = await asyncio.gather(*(taker.task for taker in takers), return_exceptions=True)
    assert [isinstance(outcome, asyncio.CancelledError) for outcome in outcomes] == [at == who for at in range(3)]
    assert [taker.turn is not None for taker in takers] == [at != who or who == 0 for at in range(3)]
    assert turns._queues == {}


async def test_one_who_comes_while_the_last_leaves_finds_a_free_turn(turns: PhoneLocks) -> None:
    entered = []

    async def again() -> None:
        async with turns.take(ONE):
            entered.append("first")
        async with turns.take(ONE) as superseded:
            entered.append("second")
            assert not superseded.done()

    await asyncio.gather(again(), again())
    assert len(entered) == 4
    assert turns._queues == {}


@pytest.mark.parametrize("seed", range(5))
async def test_in_a_storm_of_comings_and_cancellations_no_phone_is_taken_twice(turns: PhoneLocks, seed: int) -> None:
    chance = random.Random(seed)
    inside: set[Mac] = set()
    order: dict[Mac, list[int]] = {ONE: [], OTHER: []}

    async def visit(number: int, mac: Mac, length: int) -> None:
        async with turns.take(mac):
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
    assert turns._queues == {}
