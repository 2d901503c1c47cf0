"""What is to be done about a deployment, judged by nothing but what is known of it and the time."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeAlias

from cisisk.model.clock import Timestamp
from cisisk.model.deployment import IDLE, RESTART_OK, Awaited, Deployment, DeploymentState, OnTimeout
from cisisk.model.sep_config.diff import RestartType

NOT_NEEDED = "Not restarted: the phone has not taken the config that is taken back"
"""The ``restart`` text of a rollback for which no phone has to restart."""
REFUSED_SECONDS = 30.0
"""After a restart that the phone did not accept it is tried again: it may have been starting, or its PBX."""
UNOBSERVED = "Nobody here can tell whether it registers"


@dataclass(frozen=True, slots=True)
class Wait:
    """Nothing; until that moment, or until something new is known if it is None."""

    until: datetime | None


@dataclass(frozen=True, slots=True)
class BeginWhenIdle:
    """Begin if the phone is in no call, else ask again later."""


@dataclass(frozen=True, slots=True)
class Begin:
    """Carry it out."""


@dataclass(frozen=True, slots=True)
class Trigger:
    """Have the phone restart once more; ``action`` None for what the change needs."""

    action: RestartType | None


@dataclass(frozen=True, slots=True)
class TimeOut:
    """Give up on something."""

    on: Awaited
    told: str


@dataclass(frozen=True, slots=True)
class RollBack:
    """Serve the phone again what it was served before."""


@dataclass(frozen=True, slots=True)
class End:
    """Nothing more can be found out."""

    state: DeploymentState
    told: str


Verdict: TypeAlias = Wait | BeginWhenIdle | Begin | Trigger | TimeOut | RollBack | End


def judge(deployment: Deployment, moment: datetime, *, observed: bool) -> Verdict:
    """What to do at this ``moment`` about a deployment that has not ended.

    Args:
        observed: whether a registration of this phone can be seen at all.
    """
    if deployment.deferred_until is not None:
        return _of_deferred(deployment.deferred_until, moment)
    if deployment.timed_out_on is not None:
        return RollBack()
    if deployment.restart is None or deployment.tried_at is None:
        return Wait(None)
    if deployment.fetched_at is not None:
        return _of_fetched(deployment, deployment.fetched_at, moment, observed=observed)
    if deployment.restart == NOT_NEEDED:
        return End(DeploymentState.WRITTEN, NOT_NEEDED)
    return _of_unfetched(deployment, deployment.tried_at, moment)


def rolls_back(deployment: Deployment) -> bool:
    """Whether a time-out leads back to what the phone was served before."""
    return deployment.policy.on_timeout is OnTimeout.ROLLBACK and deployment.replaced is not None


def _of_deferred(until: str, moment: datetime) -> Verdict:
    if until == IDLE:
        return BeginWhenIdle()
    due = datetime.fromisoformat(until)
    return Begin() if moment >= due else Wait(due)


def _of_fetched(deployment: Deployment, fetched_at: Timestamp, moment: datetime, *, observed: bool) -> Verdict:
    if not observed:
        return End(DeploymentState.FETCHED, UNOBSERVED)
    seconds = deployment.policy.register_seconds
    due = datetime.fromisoformat(fetched_at) + timedelta(seconds=seconds)
    if moment < due:
        return Wait(due)
    return TimeOut(Awaited.REGISTRATION, f"It has not registered within {seconds} s after it took its config")


def _of_unfetched(deployment: Deployment, tried_at: Timestamp, moment: datetime) -> Verdict:
    """A phone that was told to restart comes; one that was not might be told once more, or boots some day by itself."""
    policy, accepted = deployment.policy, deployment.restart == RESTART_OK
    again = policy.retry and deployment.tries == 1
    # What was cut off may have been sent: that phone has all its time.
    refused = not accepted and deployment.action is not None
    seconds = min(REFUSED_SECONDS, policy.fetch_seconds) if refused and again else policy.fetch_seconds
    due = datetime.fromisoformat(tried_at) + timedelta(seconds=seconds)
    if moment < due:
        return Wait(due)
    if again:
        return Trigger(None)
    if policy.escalate and accepted and deployment.action == "restart":
        return Trigger("reset")
    if accepted:
        told = f"It has not come for its config within {policy.fetch_seconds} s after it accepted to restart"
        return TimeOut(Awaited.FETCH, told)
    return TimeOut(Awaited.RESTART, "No restart could be triggered. The phone takes the config at its next boot")
