"""Listings that several callers share."""

import asyncio

import pytest

from cisisk.pbx.shared_listing import SharedListing


class Source:
    """A list that is asked for; each answer has its own number."""

    def __init__(self) -> None:
        self.asked = 0
        self.begun, self.answer = asyncio.Event(), asyncio.Event()
        self.fails = False

    async def fetch(self) -> list[int]:
        self.asked += 1
        self.begun.set()
        number = self.asked
        await self.answer.wait()
        if self.fails:
            raise OSError(number)
        return [number]


async def test_callers_share_a_listing_that_began_after_their_call() -> None:
    source, shared = Source(), SharedListing[list[int]]()
    first = asyncio.create_task(shared.get(source.fetch))
    await source.begun.wait()
    others = [asyncio.create_task(shared.get(source.fetch)) for _ in range(64)]
    await asyncio.sleep(0)
    source.answer.set()
    assert await first == [1]
    assert await asyncio.gather(*others) == [[2]] * 64
    assert source.asked == 2


async def test_later_caller_gets_a_listing_of_its_own() -> None:
    source, shared = Source(), SharedListing[list[int]]()
    source.answer.set()
    assert [await shared.get(source.fetch) for _ in range(3)] == [[1], [2], [3]]


async def test_failure_or_end_of_one_caller_is_not_that_of_others() -> None:
    source, shared = Source(), SharedListing[list[int]]()
    cancelled = asyncio.create_task(shared.get(source.fetch))
    await source.begun.wait()
    other = asyncio.create_task(shared.get(source.fetch))
    await asyncio.sleep(0)
    cancelled.cancel()
    source.answer.set()
    assert await other == [2]
    source.fails = True
    with pytest.raises(OSError, match="3"):
        await shared.get(source.fetch)
    source.fails = False
    assert await shared.get(source.fetch) == [4]
