"""A deployment's life: its states, and every transition between them.

The store moves deployments by these transitions only (:mod:`cisisk.store.moves`), and each one leaves a step. A
deployment is *open* while something is awaited of it, and *ended* once ``ended_at`` is set.
"""

from dataclasses import dataclass
from typing import NamedTuple

from cisisk.model.deployment import Deployment, DeploymentState, StepName

_S = DeploymentState


class Situation(NamedTuple):
    """Where a deployment stands."""

    state: DeploymentState
    ended: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Transition:
    """One way from some situations to another.

    Attributes:
        steps: the steps that it leaves.
        sources: the situations that it leads out of; empty for a new deployment.
        target: the state after it; None when the state stays.
        ends: whether the deployment has ended after it; None when that stays.
        written: whether ``written_at`` must be set before it; None when that does not matter.
        fetched: the same for ``fetched_at``.
        needs: what else must be true.
        sets: the columns that it sets beside ``state`` and ``ended_at``.
    """

    steps: tuple[StepName, ...]
    sources: frozenset[Situation]
    target: DeploymentState | None
    ends: bool | None
    written: bool | None = None
    fetched: bool | None = None
    needs: str = ""
    sets: tuple[str, ...] = ()

    def applies_to(self, deployment: Deployment) -> bool:
        """Whether a deployment is in one of the sources, and written and fetched as it must be."""
        return (
            situation_of(deployment) in self.sources
            and self.written in {None, deployment.written_at is not None}
            and self.fetched in {None, deployment.fetched_at is not None}
        )

    def leads(self, before: Situation | None, after: Situation) -> bool:
        """Whether it leads from one situation, None for a new deployment, to the other."""
        if before is None:
            return not self.sources and after == Situation(self.target or after.state, ended=bool(self.ends))
        target = before.state if self.target is None else self.target
        ended = before.ended if self.ends is None else self.ends
        return before in self.sources and after == Situation(target, ended)


def situation_of(deployment: Deployment) -> Situation:
    """Where a deployment stands."""
    return Situation(deployment.state, ended=deployment.ended_at is not None)


def _open(*states: DeploymentState) -> frozenset[Situation]:
    return frozenset(Situation(state, ended=False) for state in states)


def _ended(*states: DeploymentState) -> frozenset[Situation]:
    return frozenset(Situation(state, ended=True) for state in states)


_REGISTRATION_OF_PLAN = ("line", "before")
_OF_TRY = ("tries", "tried_methods", "tried_at", "action", *_REGISTRATION_OF_PLAN)

DEFER = Transition(
    steps=(StepName.DEFERRED,), sources=frozenset(), target=_S.DEFERRED, ends=False, sets=("deferred_until",)
)
"""A switch is accepted for later."""
RECORD = Transition(steps=(StepName.RECORDED,), sources=frozenset(), target=_S.RECORDED, ends=False)
"""A switch is accepted, and begins."""
BEGIN = Transition(
    steps=(StepName.RECORDED,),
    sources=_open(_S.DEFERRED),
    target=_S.RECORDED,
    ends=False,
    needs="deferred_until is set",
    sets=("deferred_until", "sha256", "replaced", *_REGISTRATION_OF_PLAN),
)
"""A deferred deployment begins."""
DEFER_AGAIN = Transition(
    steps=(StepName.DEFERRED,), sources=_open(_S.RECORDED), target=_S.DEFERRED, ends=False, sets=("deferred_until",)
)
"""It was cut off before its file was written: it begins another time."""
CANCEL = Transition(
    steps=(StepName.CANCELLED,),
    sources=_open(_S.DEFERRED),
    target=_S.CANCELLED,
    ends=True,
    needs="deferred_until is set",
    sets=("deferred_until",),
)
"""A user cancelled it before it began."""
SUPERSEDE_DEFERRED = Transition(
    steps=(StepName.SUPERSEDED,),
    sources=_open(_S.DEFERRED),
    target=_S.SUPERSEDED,
    ends=True,
    needs="deferred_until is set",
    sets=("deferred_until",),
)
"""A newer switch was accepted before it began."""
FAIL = Transition(
    steps=(StepName.FAILED,),
    sources=_open(_S.DEFERRED, _S.RECORDED),
    target=_S.FAILED,
    ends=True,
    sets=("failed_at", "failure", "deferred_until"),
)
"""The file was not written."""
WRITE = Transition(
    steps=(StepName.WRITTEN,), sources=_open(_S.RECORDED), target=_S.WRITTEN, ends=False, sets=("written_at",)
)
"""The file is served."""
ACCEPT_RESTART = Transition(
    steps=(StepName.RESTART_ACCEPTED,),
    sources=_open(_S.WRITTEN, _S.WAITING, _S.RESTARTING),
    target=_S.RESTARTING,
    ends=False,
    sets=("restart_outcome", "restart_method", "restart_detail", "restarted_at", *_OF_TRY),
)
"""The phone accepted a restart."""
REFUSE_RESTART = Transition(
    steps=(StepName.RESTART_REFUSED,),
    sources=_open(_S.WRITTEN, _S.WAITING),
    target=_S.WAITING,
    ends=False,
    sets=("restart_outcome", "restart_method", "restart_detail", "restarted_at", *_OF_TRY),
)
"""There was no restart."""
ACCEPT_RESTART_LATE = Transition(
    steps=(StepName.RESTART_ACCEPTED,),
    sources=_open(_S.FETCHED, _S.TIMED_OUT),
    target=None,
    ends=None,
    sets=("restart_outcome", "restart_method", "restart_detail", "restarted_at", *_OF_TRY),
)
"""The phone accepted a restart, and has come further before that was recorded."""
REFUSE_RESTART_LATE = Transition(
    steps=(StepName.RESTART_REFUSED,),
    sources=_open(_S.RESTARTING, _S.FETCHED, _S.TIMED_OUT),
    target=None,
    ends=None,
    sets=("restart_outcome", "restart_method", "restart_detail", "restarted_at", *_OF_TRY),
)
"""There was no restart, and the phone has come further; one that was accepted before stays accepted."""
NEED_RESTART = Transition(
    steps=(StepName.RESTART_REFUSED,),
    sources=_open(_S.WRITTEN, _S.WAITING) | _ended(_S.WRITTEN),
    target=_S.WAITING,
    ends=False,
    fetched=False,
    needs="restart_outcome is not_needed, superseded_at is not set",
    sets=("restart_outcome", "tries"),
)
"""The phone took the config that this rollback took back: it has to restart after all."""
NO_RESTART_NEEDED = Transition(
    steps=(StepName.WRITTEN,),
    sources=_open(_S.WAITING),
    target=_S.WRITTEN,
    ends=True,
    needs="restart_outcome is not_needed",
)
"""A rollback for which the phone need not restart."""
FETCH = Transition(
    steps=(StepName.FETCH_STARTED, StepName.FETCHED),
    sources=_open(_S.WRITTEN, _S.RESTARTING, _S.WAITING, _S.TIMED_OUT) | _ended(_S.WRITTEN, _S.TIMED_OUT),
    target=_S.FETCHED,
    ends=False,
    fetched=False,
    needs="written_at is before the request",
    sets=("fetched_at", "fetched_from", "fetch_started_at", "timed_out_on"),
)
"""The phone acknowledged the whole config."""
FETCH_SUPERSEDED = Transition(
    steps=FETCH.steps,
    sources=_ended(_S.SUPERSEDED, _S.WRITTEN, _S.TIMED_OUT),
    target=_S.FETCHED,
    ends=True,
    fetched=False,
    needs="written_at is before the request, superseded_at is after it",
    sets=FETCH.sets,
)
"""The phone acknowledged a config that it had asked for before another one replaced it."""
FETCH_AFTERWARDS = Transition(
    steps=FETCH.steps,
    sources=_ended(_S.ROLLED_BACK, _S.CONFIRMED),
    target=None,
    ends=True,
    fetched=False,
    needs="written_at is before the request",
    sets=FETCH.sets,
)
"""The fetch became known after the deployment ended otherwise."""
BREAK_OFF_FETCH = Transition(
    steps=(StepName.FETCH_BROKEN_OFF,),
    sources=_open(_S.WRITTEN, _S.RESTARTING, _S.WAITING, _S.TIMED_OUT) | _ended(_S.WRITTEN, _S.TIMED_OUT, _S.CONFIRMED),
    target=None,
    ends=None,
    fetched=False,
    needs="written_at is before the request, superseded_at is not set",
    sets=("fetch_started_at",),
)
"""A transfer of the config ended before its last byte."""
REGISTER = Transition(
    steps=(StepName.REGISTERED,),
    sources=_open(_S.RESTARTING, _S.FETCHED, _S.TIMED_OUT),
    target=_S.CONFIRMED,
    ends=True,
    sets=("registered_at", "registered_as"),
)
"""The phone registered with the config."""
END_UNOBSERVED = Transition(steps=(StepName.FETCHED,), sources=_open(_S.FETCHED), target=_S.FETCHED, ends=True)
"""The phone has the config. Cisisk cannot observe whether it registers."""
TIME_OUT = Transition(
    steps=(StepName.TIMED_OUT,),
    sources=_open(_S.RESTARTING, _S.WAITING, _S.FETCHED),
    target=_S.TIMED_OUT,
    ends=True,
    sets=("timed_out_on",),
)
"""Something did not happen in time; the config stays."""
TIME_OUT_BEFORE_ROLLBACK = Transition(
    steps=(StepName.TIMED_OUT,),
    sources=TIME_OUT.sources,
    target=_S.TIMED_OUT,
    ends=False,
    sets=("timed_out_on",),
)
"""Something did not happen in time; a rollback follows."""
KEEP = Transition(steps=(StepName.TIMED_OUT,), sources=_open(_S.TIMED_OUT), target=_S.TIMED_OUT, ends=True)
"""The rollback was not possible; the config stays."""
SUPERSEDE = Transition(
    steps=(StepName.SUPERSEDED,),
    sources=_open(_S.WRITTEN, _S.RESTARTING, _S.WAITING, _S.TIMED_OUT),
    target=_S.SUPERSEDED,
    ends=True,
    fetched=False,
    sets=("superseded_at",),
)
"""Another config replaced this one before the phone took it."""
SUPERSEDE_FETCHED = Transition(
    steps=(StepName.SUPERSEDED,),
    sources=_open(_S.FETCHED, _S.TIMED_OUT),
    target=None,
    ends=True,
    fetched=True,
    sets=("superseded_at",),
)
"""Another config replaced this one after the phone took it."""
SUPERSEDE_ENDED = Transition(
    steps=(StepName.SUPERSEDED,),
    sources=_ended(_S.WRITTEN, _S.TIMED_OUT, _S.CONFIRMED),
    target=None,
    ends=True,
    fetched=False,
    sets=("superseded_at",),
)
"""Another config replaced this one, of which nothing more was awaited."""
ROLL_BACK = Transition(
    steps=(StepName.ROLLED_BACK,),
    sources=_open(_S.WRITTEN, _S.RESTARTING, _S.WAITING, _S.FETCHED, _S.TIMED_OUT)
    | _ended(_S.WRITTEN, _S.FETCHED, _S.CONFIRMED, _S.TIMED_OUT, _S.SUPERSEDED),
    target=_S.ROLLED_BACK,
    ends=True,
    written=True,
    sets=("superseded_at",),
)
"""The phone is served again what it was served before."""

TRANSITIONS = (
    DEFER,
    RECORD,
    BEGIN,
    DEFER_AGAIN,
    CANCEL,
    SUPERSEDE_DEFERRED,
    FAIL,
    WRITE,
    ACCEPT_RESTART,
    REFUSE_RESTART,
    ACCEPT_RESTART_LATE,
    REFUSE_RESTART_LATE,
    NEED_RESTART,
    NO_RESTART_NEEDED,
    FETCH,
    FETCH_SUPERSEDED,
    FETCH_AFTERWARDS,
    BREAK_OFF_FETCH,
    REGISTER,
    END_UNOBSERVED,
    TIME_OUT,
    TIME_OUT_BEFORE_ROLLBACK,
    KEEP,
    SUPERSEDE,
    SUPERSEDE_FETCHED,
    SUPERSEDE_ENDED,
    ROLL_BACK,
)
"""Every transition."""


def is_allowed(before: Situation | None, step: StepName, after: Situation) -> bool:
    """Whether a transition with this step leads from one situation, None for a new deployment, to the other."""
    return any(step in each.steps and each.leads(before, after) for each in TRANSITIONS)
