"""Decisions of switch jobs: continue, stop or complete."""

import random
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cisisk.mobility.switch_jobs import LATEST_ENDED, MIN_ENDED, Complete, Start, Stop, WaveProgress, decide
from cisisk.mobility.switch_jobs import _Run as Run
from cisisk.model.codes.job import StopReason
from cisisk.model.deployment import DeploymentState, Policy
from cisisk.model.mac import Mac
from cisisk.model.notice import Notice
from cisisk.model.switch_job import JobState, RolloutPlan, RowState, SwitchJob, usual_canary
from cisisk.model.user import SYSTEM
from cisisk.store.jobs import RowProgress

PACE = RolloutPlan(canary=2, wave=10, concurrency=4, min_confirmed=0.9)
NOTHING = WaveProgress(pending=0, later=0, running=0, ended=())
TOOK, DID_NOT = DeploymentState.CONFIRMED, DeploymentState.TIMED_OUT


def test_job_without_rows_left_is_complete() -> None:
    assert decide(PACE, NOTHING, 4) == Complete()
    assert decide(PACE, replace(NOTHING, running=1), 4) == Start(0)
    # A failure of the last row stops nothing.
    assert decide(PACE, replace(NOTHING, ended=[False] * 3), 4) == Complete()


def test_job_starts_as_many_rows_as_there_is_room() -> None:
    assert decide(PACE, replace(NOTHING, pending=3), 2) == Start(2)
    assert decide(PACE, replace(NOTHING, pending=3), 9) == Start(3)
    assert decide(PACE, replace(NOTHING, pending=3), -1) == Start(0)


def test_next_wave_waits_for_the_end_of_this_one() -> None:
    assert decide(PACE, replace(NOTHING, later=10, running=1, ended=[True]), 3) == Start(0)
    assert decide(PACE, replace(NOTHING, later=10, ended=[True, True]), 3) == Start(3)


def test_wave_that_falls_short_stops_the_job() -> None:
    stop = decide(PACE, replace(NOTHING, later=10, ended=[True, False]), 4)
    assert stop == Stop(StopReason.TOO_FEW.notice(ended=2, taken=1, share=0.5, wanted=0.9))


def test_exactly_the_wanted_share_continues_the_job() -> None:
    assert decide(PACE, replace(NOTHING, later=10, ended=[True] * 9 + [False]), 4) == Start(4)


def test_running_wave_is_judged_once_enough_have_ended() -> None:
    going_on = replace(NOTHING, pending=100, running=2)
    early = [False] * (MIN_ENDED - 1)
    assert decide(PACE, replace(going_on, ended=early), 4) == Start(4)
    assert isinstance(decide(PACE, replace(going_on, ended=[*early, False]), 4), Stop)


def test_late_failures_in_a_long_wave_stop_it_soon() -> None:
    ended = [True] * 900 + [False] * (LATEST_ENDED // 10)
    assert decide(PACE, replace(NOTHING, pending=99, ended=ended), 4) == Start(4)
    stop = decide(PACE, replace(NOTHING, pending=99, ended=[*ended, False]), 4)
    assert stop == Stop(StopReason.TOO_FEW_LATELY.notice(ended=50, taken=44, share=0.88, wanted=0.9))


def test_min_confirmed_of_zero_never_stops() -> None:
    assert decide(replace(PACE, min_confirmed=0), replace(NOTHING, pending=9, ended=[False] * 99), 4) == Start(4)


@pytest.mark.parametrize(("rows", "canary"), [(1, 1), (39, 1), (40, 2), (100, 5), (5000, 5)])
def test_default_canary_is_one_to_five_phones(rows: int, canary: int) -> None:
    assert usual_canary(rows) == canary


@given(canary=st.integers(0, 30), wave=st.integers(0, 30), rows=st.lists(st.integers(1, 5000), min_size=1, unique=True))
def test_waves_are_adjacent(canary: int, wave: int, rows: list[int]) -> None:
    pace = RolloutPlan(canary=canary, wave=wave)
    for row in rows:
        of = pace.wave_of(row)
        assert (of == 0) == (row <= canary)
        assert row <= pace.last_of(of)
        assert of == 0 or row > pace.last_of(of - 1)


@dataclass
class SimulatedPhones:
    """The rows of one job, which end in random order."""

    pace: RolloutPlan
    ends: Sequence[str]
    luck: random.Random
    under_way: list[int] = field(default_factory=list)
    begun: list[int] = field(default_factory=list)
    over: list[int] = field(default_factory=list)
    stopped: Notice | None = None

    def job(self) -> SwitchJob:
        return SwitchJob(
            uuid="job",
            state=JobState.RUNNING,
            reason=None,
            actor=SYSTEM,
            policy=Policy(),
            pace=self.pace,
            columns=(),
            delimiter=",",
            rows=len(self.ends),
            created_at="",
            ended_at=None,
        )

    def rows(self, forgiven: set[int]) -> list[RowProgress]:
        """Return the rows as the store lists them: ended ones in order of their end, then the rest."""
        order = [*self.over, *(row for row in range(1, len(self.ends) + 1) if row not in self.over)]
        return [
            RowProgress(
                number=row,
                mac=Mac(f"{row:012X}"),
                profile_uuid="",
                has_begun=row in self.begun,
                deployment=str(row) if row in self.begun else None,
                end=self.ends[row - 1] if row in self.over else None,
                is_forgiven=row in forgiven,
            )
            for row in order
        ]

    def run(self, run: Run, room: int, restarts: int) -> None:
        """Run the job to its end, with occasional restarts that reload it from the store."""
        while True:
            decision = run.decision(room)
            assert run.under_way == len(self.under_way)
            if isinstance(decision, Stop):
                self.stopped = decision.reason
                return
            if isinstance(decision, Complete):
                return
            if decision.rows:
                for row in run.begin(decision.rows):
                    self.start(row.number, room)
                    run.follow(row.number, str(row.number))
            elif self.under_way:
                number = self.under_way.pop(self.luck.randrange(len(self.under_way)))
                self.over.append(number)
                run.deployment_ended(str(number), self.ends[number - 1])
            else:
                pytest.fail("the job neither goes on nor ends")
            if restarts and self.luck.random() < 0.1:
                restarts -= 1
                run = Run(self.job(), self.rows(set()))

    def start(self, row: int, room: int) -> None:
        assert row not in self.begun, "no row begins twice"
        before = [other for other in self.begun if self.pace.wave_of(other) < self.pace.wave_of(row)]
        assert set(before) <= set(self.over), "a wave begins when those before it have ended"
        self.begun.append(row)
        self.under_way.append(row)
        assert len(self.under_way) <= max(self.pace.concurrency, room)


ENDS = st.sampled_from([TOOK, TOOK, TOOK, DeploymentState.FETCHED, DID_NOT, DeploymentState.SUPERSEDED, "refused"])


@given(
    pace=st.builds(
        RolloutPlan,
        canary=st.integers(0, 8),
        wave=st.integers(0, 12),
        concurrency=st.integers(1, 9),
        min_confirmed=st.sampled_from([0.0, 0.5, 0.9, 1.0]),
    ),
    ends=st.lists(ENDS, min_size=1, max_size=80),
    seed=st.integers(0, 2**16),
    restarts=st.integers(0, 3),
)
def test_job_ends_row_by_row(pace: RolloutPlan, ends: list[str], seed: int, restarts: int) -> None:
    phones = SimulatedPhones(pace, ends, random.Random(seed))
    phones.run(Run(phones.job(), phones.rows(set())), 64, restarts)
    if phones.stopped is None:
        assert sorted(phones.over) == list(range(1, len(ends) + 1))
        return
    # It stopped with a reason and with rows left.
    assert len(phones.begun) < len(ends)
    assert any(ends[row - 1] in {DID_NOT, "refused"} for row in phones.over)
    assert pace.min_confirmed > 0
    # A job that is resumed after each stop ends too.
    for _ in ends:
        phones.stopped = None
        phones.run(Run(phones.job(), phones.rows(set(phones.over))), 64, 0)
        if phones.stopped is None:
            break
    assert sorted(phones.over) == list(range(1, len(ends) + 1))


@given(canary=st.integers(1, 5), rest=st.integers(1, 30), seed=st.integers(0, 99))
def test_canary_that_fails_stops_the_job(canary: int, rest: int, seed: int) -> None:
    phones = SimulatedPhones(RolloutPlan(canary=canary), [DID_NOT] * canary + [TOOK] * rest, random.Random(seed))
    phones.run(Run(phones.job(), phones.rows(set())), 64, 1)
    assert phones.stopped
    assert sorted(phones.begun) == list(range(1, canary + 1))


def test_refused_row_counts_as_failed() -> None:
    phones = SimulatedPhones(PACE, [TOOK] * 12, random.Random(1))
    run = Run(phones.job(), phones.rows(set()))
    for row in run.begin(2):
        run.end(row.number, RowState.REFUSED)
    assert isinstance(run.decision(64), Stop)


def test_row_ended_by_others_is_not_counted() -> None:
    phones = SimulatedPhones(PACE, [TOOK] * 12, random.Random(1))
    run = Run(phones.job(), phones.rows(set()))
    for row in run.begin(2):
        run.end(row.number, DeploymentState.SUPERSEDED)
    assert run.decision(64) == Start(4)


def test_end_of_a_row_is_counted_once() -> None:
    phones = SimulatedPhones(PACE, [TOOK] * 12, random.Random(1))
    run = Run(phones.job(), phones.rows(set()))
    run.begin(2)
    run.follow(1, "a")
    for _ in range(2):
        run.deployment_ended("a", TOOK)
        run.end(1, DID_NOT)
        run.follow(1, "a")
    run.deployment_ended("unknown", DID_NOT)
    assert run.under_way == 1
