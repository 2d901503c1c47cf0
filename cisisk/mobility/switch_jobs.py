"""Switch jobs: a few phones first, then the others in waves, as long as enough of them take their configs."""

import asyncio
import itertools
import logging
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol

from cisisk.events.feed import Feed, FellBehind
from cisisk.mobility import lookup
from cisisk.model import job_table
from cisisk.model.codes.error import ErrorKind
from cisisk.model.codes.job import StopReason
from cisisk.model.deployment import Deployment, DeploymentState, Policy
from cisisk.model.errors import CisiskError, Conflict, Invalid, NotFound, StorageFailed
from cisisk.model.job_table import PROFILE, PROFILE_UUID, Table, WantedRow, cell_name
from cisisk.model.mac import Mac
from cisisk.model.notice import Notice
from cisisk.model.switch_job import MAX_CONCURRENCY, JobState, NewRow, RolloutPlan, RowState, SwitchJob
from cisisk.model.user import SYSTEM, Actor
from cisisk.store import jobs
from cisisk.store.database import Database
from cisisk.store.jobs import RowKey, RowOutcome, RowProgress

log = logging.getLogger(__name__)

MIN_ENDED = 20
"""Phones of a wave that must have ended before it is judged early: one failure among three proves nothing."""
LATEST_ENDED = 50
"""The share of the latest so many phones counts as well: a failure in the middle of a long wave shows soon."""
_TAKEN = frozenset({DeploymentState.CONFIRMED, DeploymentState.FETCHED})
"""The ends of a phone that has its config. It is ``fetched`` only where registrations cannot be observed."""
_NO_EVIDENCE = frozenset({DeploymentState.SUPERSEDED, DeploymentState.CANCELLED})
"""Ends that others have caused. They say nothing about the other phones."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WaveProgress:
    """The progress of a job.

    Attributes:
        pending: the rows of the present wave that have not begun.
        later: the rows of the next wave.
        running: the rows that have begun and not ended.
        ended: for each phone of the present wave that has ended, in that order, whether it has taken its config.
    """

    pending: int
    later: int
    running: int
    ended: Sequence[bool]


@dataclass(frozen=True, slots=True)
class Start:
    """Begin so many more rows; none while there is no room, or the wave has not ended."""

    rows: int


@dataclass(frozen=True, slots=True)
class Stop:
    """Begin no more rows, for this reason."""

    reason: Notice


@dataclass(frozen=True, slots=True)
class Complete:
    """All rows have ended."""


def decide(pace: RolloutPlan, progress: WaveProgress, room: int) -> Start | Stop | Complete:
    """Return what a job does now. ``room`` is how many more phones may be switched at the same time."""
    if not progress.pending and not progress.later:
        return Start(0) if progress.running else Complete()
    is_over = not progress.pending and not progress.running
    if reason := _falls_short(pace, progress.ended, is_over=is_over):
        return Stop(reason)
    if progress.pending:
        return Start(max(0, min(progress.pending, room)))
    return Start(max(0, min(progress.later, room)) if is_over else 0)


def _falls_short(pace: RolloutPlan, ended: Sequence[bool], *, is_over: bool) -> Notice | None:
    """Return why a wave falls short; None while enough phones took their configs, or it is too early."""
    if not ended or (not is_over and len(ended) < MIN_ENDED):
        return None
    for seen in (ended, ended[-LATEST_ENDED:]):
        taken = sum(seen)
        if taken / len(seen) < pace.min_confirmed:
            code = StopReason.TOO_FEW_LATELY if len(seen) < len(ended) else StopReason.TOO_FEW
            return code.notice(ended=len(seen), taken=taken, share=taken / len(seen), wanted=pace.min_confirmed)
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class JobRequest:
    """A job to start."""

    table: Table
    policy: Policy
    pace: RolloutPlan


@dataclass(frozen=True, slots=True, kw_only=True)
class RefusedRow:
    """A row that would not begin, and why."""

    number: int
    mac: Mac
    reason: Notice


@dataclass(frozen=True, slots=True, kw_only=True)
class DryRun:
    """What a job would do: the number of phones in each wave, the canary first if there is one."""

    rows: int
    pace: RolloutPlan
    waves: Sequence[int]
    refused: Sequence[RefusedRow]


class _Run:
    """A running job, as far as the decision needs it.

    Attributes:
        last_served: serial number of the last time it began rows; the job with the lowest has waited longest.
    """

    def __init__(self, job: SwitchJob, rows: Sequence[RowProgress], last_served: int = 0) -> None:
        self.job = job
        self.last_served = last_served
        self.rows = {row.number: row for row in rows if row.end is None}
        self._pending = sorted(row.number for row in rows if not row.has_begun)
        self._running = {row.number for row in rows if row.has_begun and row.end is None}
        self._following = {row.deployment: row.number for row in rows if row.deployment and row.end is None}
        begun = [row for row in rows if row.has_begun]
        first = self._pending[0] if self._pending else 1
        self._wave = job.pace.wave_of(max((row.number for row in begun), default=first))
        self._ended: list[bool] = []
        for row in begun:
            if row.end is not None and not row.is_forgiven:
                self._count(row.number, row.end)

    @property
    def under_way(self) -> int:
        """The number of rows that are being switched."""
        return len(self._running)

    def decision(self, room: int) -> Start | Stop | Complete:
        """Return what the job does now, with room for so many more phones."""
        pace = self.job.pace
        now = bisect_right(self._pending, pace.last_of(self._wave))
        then = now
        if now < len(self._pending):
            then = bisect_right(self._pending, pace.last_of(pace.wave_of(self._pending[now])))
        progress = WaveProgress(pending=now, later=then - now, running=self.under_way, ended=self._ended)
        return decide(pace, progress, min(room, pace.concurrency - self.under_way))

    def next(self, rows: int) -> list[int]:
        """Return the numbers of the next rows."""
        return self._pending[:rows]

    def begin(self, rows: int) -> list[RowProgress]:
        """Count so many rows as running."""
        numbers, self._pending = self._pending[:rows], self._pending[rows:]
        self._running.update(numbers)
        wave = max(self._wave, self.job.pace.wave_of(numbers[-1]))
        if wave != self._wave:
            self._wave, self._ended = wave, []
        return [self.rows[number] for number in numbers]

    def follow(self, number: int, deployment: str) -> None:
        """Let the row end when this deployment ends."""
        if number in self._running:
            self._following[deployment] = number

    def deployment_ended(self, deployment: str, state: str) -> None:
        """Note the end of a deployment, which may be another's."""
        if (number := self._following.pop(deployment, None)) is not None:
            self.end(number, state)

    def end(self, number: int, state: str) -> None:
        """Note the end of a row."""
        if number in self._running:
            self._running.discard(number)
            del self.rows[number]
            self._count(number, state)

    def _count(self, number: int, state: str) -> None:
        if self.job.pace.wave_of(number) == self._wave and state not in _NO_EVIDENCE:
            self._ended.append(state in _TAKEN)


class RowSwitcher(Protocol):
    """The part of the switcher that jobs need."""

    async def switch(self, actor: Actor, profile_uuid: str, mac: Mac, policy: Policy, /) -> Deployment:
        """Switch a phone to a profile."""

    async def cancel(self, actor: Actor, uuid: str) -> Deployment:
        """Cancel a deployment that has not begun."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobLimits:
    """Limits of switch jobs.

    Attributes:
        max_concurrency: phones that all jobs together switch at the same time.
        after_failure: seconds without work after the database has failed.
    """

    max_concurrency: int = MAX_CONCURRENCY
    after_failure: float = 1.0


class SwitchJobs:
    """Accepts jobs, and runs them. :meth:`run` does the work, after :meth:`recover`."""

    def __init__(self, db: Database, switcher: RowSwitcher, feed: Feed, limits: JobLimits = JobLimits()) -> None:
        self._db = db
        self._limits = limits
        self._switcher = switcher
        self._feed = feed
        self._runs: dict[str, _Run] = {}
        self._serials = itertools.count(1)
        self._news = asyncio.Event()
        self._to_load: set[str] = set()
        self._load_all = True
        self._outcomes: list[RowOutcome] = []
        self._ended: dict[str, DeploymentState] = {}

    async def create(self, actor: Actor, order: JobRequest) -> SwitchJob:
        """Start a job.

        Raises:
            Invalid: some of its rows are wrong; the error names them all.
            Conflict: some of its phones wait in another running job.
        """
        rows = await self._rows(order.table)
        job = await self._db.write(
            jobs.create,
            actor,
            policy=order.policy,
            pace=order.pace,
            columns=order.table.columns,
            delimiter=order.table.delimiter,
            rows=rows,
        )
        self._load(job.uuid)
        return job

    async def rehearse(self, order: JobRequest) -> DryRun:
        """Return what :meth:`create` would start. Nothing is stored, and no phone is contacted.

        Raises:
            Invalid: as :meth:`create`.
        """
        rows, pace = await self._rows(order.table), order.pace
        waves = Counter(pace.wave_of(number) for number in range(1, len(rows) + 1))
        refused = []
        for number, row in enumerate(rows, 1):
            try:
                await self._db.read(lookup.choice, row.profile_uuid, row.mac)
            except (Conflict, NotFound) as error:
                refused.append(RefusedRow(number=number, mac=row.mac, reason=error.notice))
        return DryRun(rows=len(rows), pace=pace, waves=[waves[wave] for wave in sorted(waves)], refused=refused)

    async def pause(self, actor: Actor, uuid: str) -> SwitchJob:
        """Begin no more rows until the job is resumed. Raises NotFound, Conflict."""
        job = await self._db.write(jobs.pause, actor, uuid)
        self._forget(uuid)
        return job

    async def resume(self, actor: Actor, uuid: str) -> SwitchJob:
        """Continue a job that was paused or stopped. Raises NotFound, Conflict."""
        job = await self._db.write(jobs.resume, actor, uuid)
        self._load(uuid)
        return job

    async def cancel(self, actor: Actor, uuid: str) -> SwitchJob:
        """Begin no more rows, and cancel the deferred ones. Raises NotFound, Conflict."""
        deferred = await self._db.write(jobs.cancel, actor, uuid)
        self._forget(uuid)
        await self._call_off(actor, deferred)
        return await self._db.read(jobs.get, uuid)

    async def recover(self) -> None:
        """Find out how far the jobs had come when the last process ended. Raises StorageFailed."""
        await self._db.write(jobs.recover)

    async def run(self) -> None:
        """Run the jobs, until cancelled. Switches that were asked for continue."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._listen(), name="ends of switches in jobs")
            while True:
                await self._news.wait()
                self._news.clear()
                try:
                    await self._look(tasks)
                except StorageFailed as error:
                    log.warning("jobs cannot go on now: %s", error)
                    await asyncio.sleep(self._limits.after_failure)
                    self._news.set()

    def _load(self, uuid: str) -> None:
        self._to_load.add(uuid)
        self._news.set()

    def _forget(self, uuid: str) -> None:
        self._runs.pop(uuid, None)
        self._news.set()

    async def _listen(self) -> None:
        """Note every deployment that ends."""
        while True:
            with self._feed.subscribe() as follower, suppress(FellBehind):
                # The store has what happened before.
                self._load_all = True
                self._news.set()
                while news := await follower.news():
                    ended = {step.deployment: step.state for step in news if step.ended}
                    if ended and (self._runs or self._to_load):
                        self._ended |= ended
                        self._news.set()
                return

    async def _look(self, tasks: asyncio.TaskGroup) -> None:
        await self._load_some()
        await self._settle()
        ended, self._ended = self._ended, {}
        for run in self._runs.values():
            for deployment, state in ended.items():
                run.deployment_ended(deployment, state)
        # Jobs share the places fairly: the fewest phones under way first, then the longest wait.
        for run in sorted(self._runs.values(), key=lambda run: (run.under_way, run.last_served)):
            await self._go_on(run, tasks)

    async def _load_some(self) -> None:
        if self._load_all:
            self._load_all = False
            self._to_load |= {job.uuid for job in await self._all_running()}
        while self._to_load:
            uuid = next(iter(self._to_load))
            job = await self._db.read(jobs.get, uuid)
            rows = await self._db.read(jobs.progress, uuid)
            self._runs.pop(uuid, None)
            if job.state is JobState.RUNNING:
                self._runs[uuid] = _Run(job, rows, next(self._serials))
            self._to_load.discard(uuid)

    async def _all_running(self) -> list[SwitchJob]:
        try:
            return await self._db.read(jobs.running)
        except StorageFailed:
            self._load_all = True
            raise

    async def _settle(self) -> None:
        """Store the results of the switches."""
        if not (outcomes := list(self._outcomes)):
            return
        ended = await self._db.write(jobs.settle, outcomes)
        del self._outcomes[: len(outcomes)]
        for outcome in outcomes:
            uuid, number = outcome.row
            if (run := self._runs.get(uuid)) is None:
                continue
            if outcome.refused is not None:
                run.end(number, RowState.REFUSED)
            elif outcome.deployment is not None:
                run.follow(number, outcome.deployment)
        for deployment, state in ended.items():
            self._ended.setdefault(deployment, state)
        made = [outcome.deployment for outcome in outcomes if outcome.deployment]
        await self._call_off(SYSTEM, await self._db.read(jobs.deferred_for_nothing, made))

    async def _call_off(self, actor: Actor, deferred: Iterable[str]) -> None:
        for deployment in deferred:
            # It may have begun meanwhile.
            with suppress(Conflict):
                await self._switcher.cancel(actor, deployment)

    async def _go_on(self, run: _Run, tasks: asyncio.TaskGroup) -> None:
        uuid = run.job.uuid
        if self._runs.get(uuid) is not run:
            # Paused or cancelled meanwhile.
            return
        room = self._limits.max_concurrency - sum(each.under_way for each in self._runs.values())
        match run.decision(room):
            case Stop(reason):
                if await self._db.write(jobs.stop, uuid, reason):
                    log.warning("switch job %s is stopped: %s", uuid, reason)
                self._runs.pop(uuid, None)
            case Complete():
                await self._db.write(jobs.complete, uuid)
                self._runs.pop(uuid, None)
            case Start(rows) if rows:
                begun = await self._db.write(jobs.begin, uuid, run.next(rows))
                for row in run.begin(rows):
                    if row.number in begun:
                        tasks.create_task(self._switch(run.job, row), name=f"row {row.number} of job {uuid}")
                if uuid not in self._runs:
                    # Paused or cancelled meanwhile.
                    return
                run.last_served = next(self._serials)
                if len(begun) < rows:
                    # Some of the rows had begun or ended meanwhile: read the job again.
                    del self._runs[uuid]
                    self._load(uuid)

    async def _switch(self, job: SwitchJob, row: RowProgress) -> None:
        key: RowKey = job.uuid, row.number
        try:
            deployment = await self._switcher.switch(job.actor, row.profile_uuid, row.mac, job.policy)
            outcome = RowOutcome(key, deployment.uuid, None)
        except CisiskError as error:
            outcome = await self._refused(key, error.notice)
        except Exception:
            # An error with one phone must not stop the others.
            log.exception("switch of %s in job %s failed", row.mac, job.uuid)
            outcome = await self._refused(key, ErrorKind.INTERNAL.notice())
        self._outcomes.append(outcome)
        self._news.set()

    async def _refused(self, key: RowKey, reason: Notice) -> RowOutcome:
        """Return why a row was not switched, with its deployment if there is one.

        That one is not waited for: while the disk or the database fails, its end may never be known.
        """
        deployment = None
        with suppress(StorageFailed):
            deployment = await self._db.read(jobs.deployment_of, key)
        return RowOutcome(key, deployment, reason)

    async def _rows(self, table: Table) -> list[NewRow]:
        """Return the rows of a job. Raises Invalid with everything that is wrong."""
        reading = await asyncio.to_thread(job_table.read, table)
        named = {row.named for row in reading.rows if row.named}
        found = await self._db.read(jobs.profiles_named, named) if named else {}
        asked = {row.profile_uuid for row in reading.rows if row.profile_uuid}
        missing = await self._db.read(jobs.missing_profiles, asked) if asked else set()
        refused, rows = list(reading.refused), []
        for row in reading.rows:
            profile_uuid, why = _profile(row, found.get(row.named or ("", ""), []), missing)
            if profile_uuid is None:
                refused.append((cell_name(row.number, PROFILE if row.named else PROFILE_UUID), why))
            else:
                rows.append(NewRow(mac=row.mac, profile_uuid=profile_uuid, cells=row.cells))
        if refused:
            raise _invalid(refused)
        return rows


def _profile(row: WantedRow, named: Sequence[str], missing: set[str]) -> tuple[str | None, str]:
    """Return the uuid of the profile that a row names; or None, and what is wrong."""
    if row.profile_uuid is not None:
        return (None, "No such profile") if row.profile_uuid in missing else (row.profile_uuid, "")
    if len(named) == 1:
        return named[0], ""
    return None, "The user has several of that name: give the uuid" if named else "The user has none of that name"


def _invalid(refused: Sequence[tuple[str, str]]) -> Invalid:
    fields: dict[str, list[str]] = {}
    for name, reason in refused:
        fields.setdefault(name, []).append(reason)
    first, why = refused[0]
    more = f" (and {len(fields) - 1} more)" if len(fields) > 1 else ""
    return Invalid(f"{first}: {why}{more}", fields)
