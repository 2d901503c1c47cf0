"""The feed delivers stored steps once and in order, to fast and slow readers."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from cisisk.events.feed import Feed, FeedLimits, Reader
from cisisk.model.deployment import StepName
from cisisk.model.errors import NotFound, TooBusy
from cisisk.model.mac import Mac
from cisisk.store.database import Database
from tests.deployed import deployment, happened
from tests.patience import PATIENCE

WRITTEN, FETCHED = StepName.WRITTEN, StepName.FETCHED


@pytest.fixture
def feed(db: Database) -> Feed:
    return Feed(db)


@asynccontextmanager
async def running(feed: Feed) -> AsyncIterator[None]:
    task = asyncio.create_task(feed.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])


async def read(reader: Reader, count: int) -> list[int]:
    """Return the numbers of the next ``count`` steps."""
    numbers: list[int] = []
    async with asyncio.timeout(PATIENCE):
        while len(numbers) < count:
            numbers += [step.number for step in await reader.news()]
    return numbers


async def at_the_end(reader: Reader) -> list[int]:
    """Return the numbers of all steps until the feed ends."""
    numbers: list[int] = []
    async with asyncio.timeout(PATIENCE):
        while news := await reader.news():
            numbers += [step.number for step in news]
    return numbers


async def test_reader_gets_stored_steps_then_new_ones(db: Database, feed: Feed, mac: Mac) -> None:
    uuid = await deployment(db, mac)
    await happened(db, uuid, WRITTEN, WRITTEN, WRITTEN)
    async with running(feed):
        with feed.read_on(1) as reader:
            assert await read(reader, 2) == [2, 3]
            await happened(db, uuid, FETCHED)
            feed.wake()
            assert await read(reader, 1) == [4]


async def test_reader_neither_misses_nor_repeats_a_step(db: Database, feed: Feed, mac: Mac) -> None:
    uuid, total = await deployment(db, mac), 60
    chance = random.Random(7)

    async def live() -> None:
        for _ in range(total):
            await happened(db, uuid, WRITTEN)
            feed.wake()
            await asyncio.sleep(chance.random() / 500)

    async def one(after: int) -> list[int]:
        await asyncio.sleep(chance.random() / 20)
        with feed.read_on(after) as reader:
            return await read(reader, total - after)

    async with running(feed):
        received = await asyncio.gather(live(), *(one(after) for after in range(0, 20, 2)))
    assert received[1:] == [list(range(after + 1, total + 1)) for after in range(0, 20, 2)]


async def test_follower_before_the_feed_misses_nothing(db: Database, feed: Feed, mac: Mac) -> None:
    uuid = await deployment(db, mac)
    with feed.read_on(0) as reader:
        waiting = asyncio.create_task(read(reader, 1))
        await asyncio.sleep(0.02)
        await happened(db, uuid, WRITTEN)
        async with running(feed):
            assert await waiting == [1]


async def test_slow_reader_continues_from_the_store(db: Database, mac: Mac) -> None:
    feed = Feed(db, FeedLimits(max_waiting=5))
    uuid = await deployment(db, mac)
    await happened(db, uuid, WRITTEN)
    async with running(feed):
        with feed.read_on(0) as slow:
            assert await read(slow, 1) == [1]
            for last in range(3, 23, 2):
                await happened(db, uuid, WRITTEN, WRITTEN)
                feed.wake()
                async with asyncio.timeout(PATIENCE):
                    while feed._number != last:  # noqa: ASYNC110 -- no event for it
                        await asyncio.sleep(0.005)
                assert len(slow._follower._steps) <= 5
            assert await read(slow, 20) == list(range(2, 22))
            await happened(db, uuid, FETCHED)
            feed.wake()
            assert await read(slow, 1) == [22]


async def test_cancelled_read_consumes_no_step(db: Database, feed: Feed, mac: Mac) -> None:
    uuid = await deployment(db, mac)
    await happened(db, uuid, WRITTEN, WRITTEN)
    async with running(feed):
        with feed.read_on(0) as reader:
            cut_off = asyncio.create_task(reader.news())
            await asyncio.sleep(0)
            cut_off.cancel()
            await asyncio.wait([cut_off])
            assert await read(reader, 2) == [1, 2]


async def test_reader_of_one_deployment_ends_with_it(db: Database, feed: Feed, mac: Mac) -> None:
    one, other = await deployment(db, mac), await deployment(db, mac)
    await happened(db, one, WRITTEN)
    await happened(db, other, WRITTEN)
    async with running(feed):
        with feed.read_on(0, one) as reader:
            assert await read(reader, 1) == [1]
            await happened(db, other, FETCHED, ended=True)
            await happened(db, one, FETCHED, ended=True)
            feed.wake()
            assert await at_the_end(reader) == [4]
        with feed.read_on(1, one) as reader:
            assert await at_the_end(reader) == [4]


async def test_reader_gets_steps_after_the_end(db: Database, feed: Feed, mac: Mac) -> None:
    uuid = await deployment(db, mac)
    await happened(db, uuid, StepName.TIMED_OUT, ended=True)
    await happened(db, uuid, FETCHED, ended=True)
    with feed.read_on(0, uuid) as reader:
        assert await at_the_end(reader) == [1, 2]


async def test_reader_of_an_unknown_deployment_raises(feed: Feed) -> None:
    with feed.read_on(0, "nothing") as reader, pytest.raises(NotFound):
        await reader.news()


async def test_end_of_the_feed_wakes_its_readers(db: Database, feed: Feed, mac: Mac) -> None:
    uuid = await deployment(db, mac)
    async with running(feed):
        with feed.read_on(0) as reader:
            waiting = asyncio.create_task(reader.news())
            ended = asyncio.create_task(feed.ended(uuid, 60))
            await asyncio.sleep(0.02)
            feed.end()
            assert await asyncio.wait_for(waiting, PATIENCE) == []
            assert (await asyncio.wait_for(ended, PATIENCE)).ended_at is None
        with feed.read_on(0) as reader:
            assert await reader.news() == []


async def test_ended_returns_the_ended_deployment(db: Database, feed: Feed, mac: Mac) -> None:
    uuid = await deployment(db, mac)
    async with running(feed):
        ended = asyncio.create_task(feed.ended(uuid, PATIENCE))
        await happened(db, uuid, WRITTEN, FETCHED, ended=True)
        feed.wake()
        assert (await ended).ended_at is not None
        open_one = await deployment(db, mac)
        assert (await feed.ended(open_one, 0.01)).ended_at is None


async def test_readers_are_limited_and_released(db: Database) -> None:
    feed = Feed(db, FeedLimits(max_readers=1))
    with feed.read_on(0), pytest.raises(TooBusy, match="1 streams"), feed.read_on(0):
        pass
    with feed.read_on(0):
        assert len(feed._followers) == 1
    assert not feed._followers
