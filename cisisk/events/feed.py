"""The feed of steps: whoever wants to know what happens to deployments is told after it is stored."""

import asyncio
import logging
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from cisisk.model.deployment import Deployment, Step
from cisisk.model.errors import StorageFailed, TooBusy
from cisisk.model.messages import render
from cisisk.store import deployments, steps
from cisisk.store.database import Database

log = logging.getLogger(__name__)

_AT_ONCE = 500
"""Steps read in one go."""
_PAUSE_SECONDS = 0.05
"""Between two looks: most steps of a switch, and those of all switches at the time, are read and judged together."""
_AFTER_FAILURE_SECONDS = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedLimits:
    """Limits of the feed.

    Attributes:
        max_waiting: steps that wait for one follower. A follower that is further behind reads from the store.
        max_readers: readers at the same time. The steps that wait for several readers are the same objects.
    """

    max_waiting: int = 5000
    max_readers: int = 64


class FellBehind(Exception):
    """A follower took too long: it has missed steps, which the store still has. It is told again from now on."""


class Follower:
    """Someone who is told of every step from now on, or of every step of one deployment.

    Attributes:
        is_over: nothing will be told any more.
    """

    def __init__(self, deployment: str | None, max_waiting: int) -> None:
        self._deployment = deployment
        self._max_waiting = max_waiting
        self._steps: list[Step] = []
        self._told = asyncio.Event()
        self._lost = False
        self.is_over = False

    def tell(self, news: list[Step]) -> None:
        """Append what is new; it is lost to one who is too far behind."""
        if self._deployment is not None:
            news = [step for step in news if step.deployment == self._deployment]
        if not news or self._lost:
            return
        if len(self._steps) + len(news) > self._max_waiting:
            self.lose()
            return
        self._steps += news
        self._told.set()

    def lose(self) -> None:
        """Keep nothing for this follower until it has noticed."""
        self._lost, self._steps = True, []
        self._told.set()

    def end(self) -> None:
        """Nothing will be told any more."""
        self.is_over = True
        self._told.set()

    async def news(self) -> list[Step]:
        """Wait for new steps and return all since the last call; an empty list once the feed has ended.

        Raises:
            FellBehind: some were missed.
        """
        await self._told.wait()
        if self.is_over:
            return []
        self._told.clear()
        if self._lost:
            self._lost = False
            raise FellBehind
        news, self._steps = self._steps, []
        return news


class Feed:
    """Hands the stored steps on, in their order, to whoever follows them."""

    def __init__(self, db: Database, limits: FeedLimits = FeedLimits()) -> None:
        self._db = db
        self._limits = limits
        self._followers: set[Follower] = set()
        self._guests: set[Follower] = set()
        self._woken = asyncio.Event()
        self._woken.set()
        self._number: int | None = None
        self._over = False
        self._readers = 0

    def wake(self) -> None:
        """There may be new steps in the store."""
        self._woken.set()

    def end(self) -> None:
        """Let nobody wait any more who waits for the sake of a client; the parts of Cisisk go on being told."""
        self._over = True
        for follower in self._guests:
            follower.end()

    async def run(self) -> None:
        """Hand on what is stored from now on, until cancelled."""
        while True:
            await self._woken.wait()
            self._woken.clear()
            try:
                await self._hand_on()
                await asyncio.sleep(_PAUSE_SECONDS)
            except StorageFailed as error:
                log.warning("what happens to switches cannot be told: %s", error)
                await asyncio.sleep(_AFTER_FAILURE_SECONDS)
                self._woken.set()

    @contextmanager
    def subscribe(self, deployment: str | None = None) -> Iterator[Follower]:
        """Return a follower that receives every step until the end of the block; those of one deployment if named."""
        follower = Follower(deployment, self._limits.max_waiting)
        self._followers.add(follower)
        try:
            yield follower
        finally:
            self._followers.discard(follower)

    @contextmanager
    def read_on(self, number: int, deployment: str | None = None) -> Iterator["Reader"]:
        """Someone who reads the steps after ``number``, until the end of the block; those of one deployment if named.

        Raises:
            TooBusy: the maximum of :attr:`FeedLimits.max_readers` is open already.
        """
        if self._readers == self._limits.max_readers:
            raise TooBusy(
                f"{self._limits.max_readers} streams of events are open already. Close one first", retry_after=30
            )
        self._readers += 1
        try:
            with self._for_a_client(deployment) as follower:
                yield Reader(self._db, follower, number, deployment)
        finally:
            self._readers -= 1

    async def ended(self, uuid: str, seconds: float) -> Deployment:
        """The deployment as soon as nothing more is awaited of it, or as it is after so many seconds.

        Raises:
            NotFound: there is none.
        """
        with self._for_a_client(uuid) as follower, suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while (deployment := await self._db.read(deployments.get, uuid)).ended_at is None:
                    with suppress(FellBehind):
                        if not await follower.news():
                            break
                return deployment
        return await self._db.read(deployments.get, uuid)

    @contextmanager
    def _for_a_client(self, deployment: str | None) -> Iterator[Follower]:
        with self.subscribe(deployment) as follower:
            self._guests.add(follower)
            if self._over:
                follower.end()
            try:
                yield follower
            finally:
                self._guests.discard(follower)

    async def _hand_on(self) -> None:
        if self._number is None:
            self._number = await self._db.read(steps.last)
            # What was stored before that was told to nobody, but followers may be there already.
            for follower in self._followers:
                follower.lose()
        while news := await self._db.read(steps.after, self._number, _AT_ONCE):
            self._number = news[-1].number
            for follower in self._followers:
                follower.tell(news)


class Reader:
    """Reads steps without a gap and without a repeat: first those in the store, then as they happen.

    However slowly it reads, no more than :attr:`FeedLimits.max_waiting` steps wait for it in memory.
    """

    def __init__(self, db: Database, follower: Follower, number: int, deployment: str | None) -> None:
        self._db = db
        self._follower = follower
        self._number = number
        self._deployment = deployment
        self._is_behind = True

    async def news(self) -> list[Step]:
        """Wait for the next steps and return them. A cancelled call consumes none.

        Returns an empty list once no more steps follow: the feed has ended, or the one deployment has.

        Raises:
            NotFound: there is no such deployment.
            StorageFailed: the store cannot be read.
        """
        while not self._follower.is_over:
            if self._is_behind:
                # Asked first: what ended it is then among the steps that are read.
                has_ended = await self._has_ended()
                news = await self._db.read(steps.after, self._number, _AT_ONCE, self._deployment)
                if not news and has_ended:
                    return []
                self._is_behind = bool(news)
            else:
                try:
                    told = await self._follower.news()
                except FellBehind:
                    self._is_behind = True
                    continue
                news = [step for step in told if step.number > self._number]
            if news:
                self._number = news[-1].number
                # The end of one deployment is found in the store.
                self._is_behind = self._is_behind or (self._deployment is not None and news[-1].ended)
                return news
        return []

    async def _has_ended(self) -> bool:
        if self._deployment is None:
            return False
        return (await self._db.read(deployments.get, self._deployment)).ended_at is not None


def written(step: Step) -> dict[str, Any]:
    """A step as events and webhooks tell it, ready for JSON."""
    return {
        "number": step.number,
        "deployment": step.deployment,
        "mac": str(step.mac),
        "at": step.at,
        "step": step.step.value,
        "state": step.state.value,
        "ended": step.ended,
        "message": render(step.notice),
        **step.notice.plain(),
    }
