"""What to do next about a deployment, decided only by what is known of it and the time."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeAlias

from cisisk.model.clock import Timestamp
from cisisk.model.codes.deployment import StepNotice, TimeoutNotice
from cisisk.model.codes.restart import RestartNotice
from cisisk.model.deployment import Awaited, Deployment, OnTimeout
from cisisk.model.deployment_states import END_UNOBSERVED, NO_RESTART_NEEDED, Transition
from cisisk.model.notice import Notice
from cisisk.model.restart import RestartOutcome
from cisisk.model.sep_config.diff import RestartType
from cisisk.model.start_time import StartTime

REFUSED_SECONDS = 30.0
"""Until the second attempt after a refused restart: the phone or its PBX may have been starting."""
SETTLE_SECONDS = 120.0
"""After this time a deployment without the result of its restart counts as cut off, for example by a full disk. It is
longer than all restart methods take.
"""


@dataclass(frozen=True, slots=True)
class Wait:
    """Do nothing until that moment; until something new is known if it is None."""

    until: datetime | None


@dataclass(frozen=True, slots=True)
class BeginWhenIdle:
    """Begin if the phone is in no call, else ask again later."""


@dataclass(frozen=True, slots=True)
class Begin:
    """Begin the deployment."""


@dataclass(frozen=True, slots=True)
class Settle:
    """Find out how far it came before it was cut off."""


@dataclass(frozen=True, slots=True)
class Trigger:
    """Restart the phone once more. ``action`` is None for what the change needs."""

    action: RestartType | None


@dataclass(frozen=True, slots=True)
class TimeOut:
    """Give up waiting for something."""

    on: Awaited
    reason: Notice


@dataclass(frozen=True, slots=True)
class RollBack:
    """Serve the phone again what it was served before, because something did not happen."""

    on: Awaited


@dataclass(frozen=True, slots=True)
class End:
    """End the deployment: nothing more can be observed."""

    transition: Transition
    reason: Notice


NextAction: TypeAlias = Wait | BeginWhenIdle | Begin | Settle | Trigger | TimeOut | RollBack | End


@dataclass(frozen=True, slots=True)
class Observability:
    """Whether Cisisk can observe a phone's registration.

    Attributes:
        can_be: whether registrations of such phones can be observed at all.
        looked: whether there was a look since the phone fetched its config.
    """

    can_be: bool
    looked: bool


def decide(deployment: Deployment, moment: datetime, observability: Observability) -> NextAction:
    """Return what to do at this ``moment`` about a deployment that has not ended."""
    if deployment.deferred_until is not None:
        return _of_deferred(deployment.deferred_until, moment)
    if deployment.timed_out_on is not None:
        return RollBack(deployment.timed_out_on)
    if deployment.restart_outcome is None or deployment.tried_at is None:
        return _of_unsettled(deployment, moment)
    if deployment.fetched_at is not None:
        return _of_fetched(deployment, deployment.fetched_at, moment, observability)
    if deployment.restart_outcome is RestartOutcome.NOT_NEEDED:
        return End(NO_RESTART_NEEDED, RestartNotice.NOT_NEEDED.notice())
    return _of_unfetched(deployment, deployment.tried_at, moment)


def rolls_back(deployment: Deployment) -> bool:
    """Return whether a timeout leads to a rollback."""
    return deployment.policy.on_timeout is OnTimeout.ROLLBACK and deployment.replaced is not None


def _of_deferred(until: StartTime, moment: datetime) -> NextAction:
    if until.at is None:
        return BeginWhenIdle()
    due = datetime.fromisoformat(until.at)
    return Begin() if moment >= due else Wait(due)


def _of_unsettled(deployment: Deployment, moment: datetime) -> NextAction:
    due = datetime.fromisoformat(deployment.recorded_at) + timedelta(seconds=SETTLE_SECONDS)
    return Settle() if moment >= due else Wait(due)


def _of_fetched(
    deployment: Deployment, fetched_at: Timestamp, moment: datetime, observability: Observability
) -> NextAction:
    seconds = deployment.policy.register_seconds
    due = datetime.fromisoformat(fetched_at) + timedelta(seconds=seconds)
    if observability.can_be and moment < due:
        return Wait(due)
    if not (observability.can_be and observability.looked):
        return End(END_UNOBSERVED, StepNotice.REGISTRATION_UNOBSERVABLE.notice())
    return TimeOut(Awaited.REGISTRATION, TimeoutNotice.NO_REGISTRATION.notice(seconds=seconds))


def _of_unfetched(deployment: Deployment, tried_at: Timestamp, moment: datetime) -> NextAction:
    """Decide about a phone that has not fetched its config. It may restart once more, be reset, or boot by itself."""
    policy, accepted = deployment.policy, deployment.restart_outcome is RestartOutcome.ACCEPTED
    if deployment.tries == 0:
        # Cisisk was stopped before it could restart the phone.
        return Trigger(None)
    # A restart that was cut off may have been sent. That phone has all its time, and a second restart in any case.
    unknown = deployment.action is None
    again = deployment.tries == 1 and (policy.retry or unknown)
    soon = again and not accepted and not unknown
    seconds = min(REFUSED_SECONDS, policy.fetch_seconds) if soon else policy.fetch_seconds
    due = datetime.fromisoformat(tried_at) + timedelta(seconds=seconds)
    if moment < due:
        return Wait(due)
    if again:
        return Trigger(None)
    if policy.escalate and accepted and deployment.action == "restart":
        return Trigger("reset")
    if accepted:
        return TimeOut(Awaited.FETCH, TimeoutNotice.NO_FETCH.notice(seconds=policy.fetch_seconds))
    is_final = not rolls_back(deployment)
    reason = TimeoutNotice.NO_RESTART if is_final else TimeoutNotice.NO_RESTART_ROLLED_BACK
    return TimeOut(Awaited.RESTART, reason.notice())
