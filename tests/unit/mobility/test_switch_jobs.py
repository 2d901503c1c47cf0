"""The runner of jobs, with switches that succeed, fail, block or are interrupted as a test requests."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from cisisk.events.feed import Feed
from cisisk.mobility.switch_jobs import JobLimits, JobRequest, SwitchJobs
from cisisk.model.clock import now
from cisisk.model.codes.deployment import StepNotice
from cisisk.model.codes.error import ErrorKind
from cisisk.model.deployment import Deployment, Policy
from cisisk.model.deployment_states import END_UNOBSERVED
from cisisk.model.errors import Conflict, StorageFailed
from cisisk.model.job_table import Table
from cisisk.model.listing import Listing
from cisisk.model.mac import Mac
from cisisk.model.notice import Notice
from cisisk.model.profile import Profile
from cisisk.model.switch_job import MAX_CONCURRENCY, JobState, RolloutPlan, SwitchJob
from cisisk.model.user import SYSTEM, Actor
from cisisk.store import deployments, jobs, profiles, progress
from cisisk.store.database import Database
from cisisk.store.progress import Delivery
from tests.patience import PATIENCE
from tests.unit.plans import plan

DEFAULT_LIMITS = JobLimits()


@dataclass
class Switches:
    """A stub of the switcher that records every switch and ends it as the test requests."""

    db: Database
    ends: dict[int, Callable[[Deployment], Awaitable[None]]] = field(default_factory=dict)
    asked: list[int] = field(default_factory=list)
    under_way: int = 0
    most: int = 0
    gate: asyncio.Event = field(default_factory=asyncio.Event)

    async def switch(self, actor: Actor, profile_uuid: str, mac: Mac, _policy: Policy) -> Deployment:
        number = int(mac.digits[-4:], 16)
        self.asked.append(number)
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        try:
            profile = await self.db.read(profiles.get, profile_uuid)
            deployment = await self.db.write(progress.record, actor, plan(mac, profile, b"<device/>"), None)
            await self.gate.wait()
            if (end := self.ends.get(number)) is not None:
                await end(deployment)
            else:
                await self.takes(deployment)
            return deployment
        finally:
            self.under_way -= 1

    async def cancel(self, actor: Actor, uuid: str) -> Deployment:
        return await self.db.write(progress.cancelled, actor, uuid)

    async def takes(self, deployment: Deployment) -> None:
        await self.db.write(progress.written, SYSTEM, deployment, now())
        fetch = Delivery(mac=deployment.mac, sha256=deployment.sha256, ip="192.0.2.7", asked_at=now())
        await self.db.write(progress.delivered, [fetch])
        await self.db.write(progress.ended, deployment, END_UNOBSERVED, StepNotice.REGISTRATION_UNOBSERVABLE.notice())


@dataclass
class JobSetup:
    db: Database
    switches: Switches
    profile: Profile

    @asynccontextmanager
    async def running(self, limits: JobLimits = DEFAULT_LIMITS) -> AsyncIterator[SwitchJobs]:
        """Run the jobs as the appliance does, from start to stop."""
        feed = Feed(self.db)
        self.db.subscribe(feed.wake)
        made = SwitchJobs(self.db, self.switches, feed, limits)
        await made.recover()
        tasks = [asyncio.create_task(feed.run()), asyncio.create_task(made.run())]
        try:
            yield made
        finally:
            for task in reversed(tasks):
                task.cancel()
            for ended in await asyncio.gather(*tasks, return_exceptions=True):
                assert isinstance(ended, asyncio.CancelledError), ended

    def order(self, numbers: Sequence[int], **pace: Any) -> JobRequest:
        rows = [(f"AABBCCDD{number:04X}", self.profile.uuid) for number in numbers]
        table = Table(columns=("mac", "profile_uuid"), rows=rows)
        return JobRequest(table=table, policy=Policy(), pace=RolloutPlan(**{"canary": 0, **pace}))

    async def rests(self, job: SwitchJob) -> SwitchJob:
        async with asyncio.timeout(PATIENCE):
            while (found := await self.db.read(jobs.get, job.uuid)).state is JobState.RUNNING:  # noqa: ASYNC110 -- no event for it
                await asyncio.sleep(0.01)
            return found

    async def states(self, job: SwitchJob) -> list[str]:
        return [row.state for row in (await self.db.read(jobs.rows_page, job.uuid, Listing(), None)).items]

    async def notice(self, job: SwitchJob, number: int) -> Notice | None:
        return (await self.db.read(jobs.rows_page, job.uuid, Listing(), None)).items[number - 1].notice

    async def has_asked(self, count: int) -> None:
        async with asyncio.timeout(PATIENCE):
            while len(self.switches.asked) < count:  # noqa: ASYNC110 -- no event for it
                await asyncio.sleep(0.01)


@pytest.fixture
def setup(db: Database, profile: Profile) -> JobSetup:
    return JobSetup(db, Switches(db), profile)


async def test_job_keeps_to_its_concurrency(setup: JobSetup) -> None:
    async with setup.running() as made:
        job = await made.create(SYSTEM, setup.order(range(1, 31), canary=2, wave=10, concurrency=4))
        setup.switches.gate.set()
        assert (await setup.rests(job)).state is JobState.COMPLETED
        assert sorted(setup.switches.asked) == list(range(1, 31))
        assert setup.switches.most <= 4


async def test_jobs_share_the_limit_fairly(setup: JobSetup) -> None:
    ends = asyncio.Semaphore(0)

    async def end_when_released(deployment: Deployment) -> None:
        await ends.acquire()
        await setup.switches.takes(deployment)

    large, small = range(1, 301), range(500, 505)
    setup.switches.ends = dict.fromkeys([*large, *small], end_when_released)
    setup.switches.gate.set()
    async with setup.running() as made:
        first = await made.create(SYSTEM, setup.order(large, concurrency=MAX_CONCURRENCY))
        await setup.has_asked(MAX_CONCURRENCY)
        second = await made.create(SYSTEM, setup.order(small))
        # One phone ends after the other: each time one of the two jobs gets its place.
        while not set(small) <= set(setup.switches.asked):
            count = len(setup.switches.asked)
            ends.release()
            await setup.has_asked(count + 1)
        before_the_last = len(setup.switches.asked)
        for _ in (*large, *small):
            ends.release()
        await setup.rests(second)
        await setup.rests(first)
        assert setup.switches.most <= MAX_CONCURRENCY
        assert before_the_last < MAX_CONCURRENCY + 10 * len(small)


async def test_jobs_alternate_when_one_phone_is_allowed(
    setup: JobSetup,
) -> None:
    async with setup.running(JobLimits(max_concurrency=1)) as made:
        first = await made.create(SYSTEM, setup.order(range(1, 5)))
        second = await made.create(SYSTEM, setup.order(range(101, 105)))
        await setup.has_asked(1)
        setup.switches.gate.set()
        await setup.rests(first)
        await setup.rests(second)
    assert setup.switches.asked[1:] in (
        # The second job may exist before or after the first one begins rows.
        [101, 2, 102, 3, 103, 4, 104],
        [2, 101, 3, 102, 4, 103, 104],
        [1, 102, 2, 103, 3, 104, 4],
    )


async def test_error_with_one_phone_does_not_stop_the_others(setup: JobSetup, caplog: pytest.LogCaptureFixture) -> None:
    async def refuse(_deployment: Deployment) -> None:
        raise Conflict("The phone is in a call")

    async def surprise(_deployment: Deployment) -> None:
        raise ZeroDivisionError

    async def cut_off(_deployment: Deployment) -> None:
        raise StorageFailed("The disk is full")

    setup.switches.ends = {1: refuse, 2: surprise, 3: cut_off}
    setup.switches.gate.set()
    with caplog.at_level(logging.CRITICAL):
        async with setup.running() as made:
            job = await made.create(SYSTEM, setup.order([1, 2, 3, 4], min_confirmed=0.1))
            assert (await setup.rests(job)).state is JobState.COMPLETED
    # They have a deployment without further steps.
    assert await setup.states(job) == ["recorded", "recorded", "recorded", "fetched"]
    assert [await setup.notice(job, number) for number in (1, 2, 3)] == [
        ErrorKind.CONFLICT.notice(text="The phone is in a call"),
        ErrorKind.INTERNAL.notice(),
        ErrorKind.STORAGE_FAILED.notice(text="The disk is full"),
    ]


async def test_job_continues_after_a_database_failure(setup: JobSetup, monkeypatch: pytest.MonkeyPatch) -> None:
    failing = dict.fromkeys(("settle", "begin", "running", "progress", "complete", "deferred_for_nothing"), 2)

    def at_times(name: str) -> Callable[..., Any]:
        original = getattr(jobs, name)

        def refuse_at_first(*arguments: Any) -> Any:
            if failing[name]:
                failing[name] -= 1
                raise StorageFailed("The disk is full")
            return original(*arguments)

        return refuse_at_first

    for name in failing:
        monkeypatch.setattr(jobs, name, at_times(name))
    setup.switches.gate.set()
    async with setup.running(JobLimits(after_failure=0.01)) as made:
        job = await made.create(SYSTEM, setup.order([1, 2, 3], canary=1))
        assert (await setup.rests(job)).state is JobState.COMPLETED
    assert await setup.states(job) == ["fetched"] * 3
    assert sorted(setup.switches.asked) == [1, 2, 3]
    assert not any(failing.values())


async def test_job_that_was_cut_off_continues_at_the_next_start(setup: JobSetup) -> None:
    async with setup.running() as made:
        job = await made.create(SYSTEM, setup.order(range(1, 11), concurrency=3))
        await setup.has_asked(3)
        async with asyncio.timeout(PATIENCE):
            while (await setup.db.read(deployments.page, Listing(), None, None)).total < 3:  # noqa: ASYNC110 -- no event for it
                await asyncio.sleep(0.01)
    # Running rows end without a waiting runner.
    for found in (await setup.db.read(deployments.page, Listing(), None, None)).items:
        await setup.switches.takes(found)
    setup.switches.gate.set()
    async with setup.running():
        assert (await setup.rests(job)).state is JobState.COMPLETED
    assert await setup.states(job) == ["fetched"] * 10
    assert sorted(setup.switches.asked) == list(range(1, 11))


async def test_late_end_of_a_deployment_is_noticed(setup: JobSetup) -> None:
    slow: list[Deployment] = []

    async def wait(deployment: Deployment) -> None:
        slow.append(deployment)

    setup.switches.ends = {1: wait}
    setup.switches.gate.set()
    async with setup.running() as made:
        job = await made.create(SYSTEM, setup.order([1, 2], canary=1))
        async with asyncio.timeout(PATIENCE):
            while await setup.states(job) != ["recorded", "pending"]:  # noqa: ASYNC110 -- no event for it
                await asyncio.sleep(0.01)
        await setup.switches.takes(slow[0])
        await setup.rests(job)
        assert await setup.states(job) == ["fetched", "fetched"]
