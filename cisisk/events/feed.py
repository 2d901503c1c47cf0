"""The feed of steps: hands every stored step of a deployment to its followers."""

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

_MAX_STEPS = 500
"""Steps that are read at once."""
_PAUSE_SECONDS = 0.05
"""Between two reads. Most steps of one switch, and of several at the same time, are read together."""
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
    """A follower was too slow: it has missed steps, which the store still has. It gets the steps from now on."""


class Follower:
    """Receives every step from now on, or every step of one deployment.

    Attributes:
        is_over: no more steps will come.
    """

    def __init__(self, deployment: str | None, max_waiting: int) -> None:
        self._deployment = deployment
        self._max_waiting = max_waiting
        self._steps: list[Step] = []
        self._has_news = asyncio.Event()
        self._lost = False
        self.is_over = False

    def tell(self, news: list[Step]) -> None:
        """Append new steps. A follower that is too far behind loses them."""
        if self._deployment is not None:
            news = [step for step in news if step.deployment == self._deployment]
        if not news or self._lost:
            return
        if len(self._steps) + len(news) > self._max_waiting:
            self.lose()
            return
        self._steps += news
        self._has_news.set()

    def lose(self) -> None:
        """Keep no steps for this follower until it has noticed its loss."""
        self._lost, self._steps = True, []
        self._has_news.set()

    def end(self) -> None:
        """Wake the follower: no more steps will come."""
        self.is_over = True
        self._has_news.set()

    async def news(self) -> list[Step]:
        """Wait for new steps and return all since the last call; an empty list once the feed has ended.

        Raises:
            FellBehind: some were missed.
        """
        await self._has_news.wait()
        if self.is_over:
            return []
        self._has_news.clear()
        if self._lost:
            self._lost = False
            raise FellBehind
        news, self._steps = self._steps, []
        return news


class Feed:
    """Hands the stored steps to its followers, in order."""

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
        """Note that there may be new steps in the store."""
        self._woken.set()

    def end(self) -> None:
        """End the followers of clients. The parts of Cisisk still receive steps."""
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
                log.warning("steps of deployments cannot be read: %s", error)
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
        """Return a reader of the steps after ``number``, until the end of the block; those of one deployment if named.

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
        """Return the deployment once it has ended, or as it is after so many seconds.

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
            # No follower has received the steps that were stored before, and some may follow already.
            for follower in self._followers:
                follower.lose()
        while news := await self._db.read(steps.after, self._number, _MAX_STEPS):
            self._number = news[-1].number
            for follower in self._followers:
                follower.tell(news)


class Reader:
    """Reads steps without a gap and without a repeat: first those in the store, then as they happen.

    Even for a slow reader, at most :attr:`FeedLimits.max_waiting` steps wait in memory.
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
                # Asked first: the step that ended it is then among the steps that are read.
                has_ended = await self._has_ended()
                news = await self._db.read(steps.after, self._number, _MAX_STEPS, self._deployment)
                if not news and has_ended:
                    return []
                self._is_behind = bool(news)
            else:
                try:
                    received = await self._follower.news()
                except FellBehind:
                    self._is_behind = True
                    continue
                news = [step for step in received if step.number > self._number]
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
    """Return a step as events and webhooks show it, ready for JSON."""
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
