"""What to do next about a deployment, decided only by what is known of it and the time."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TypeAlias

from cisisk.model.clock import Timestamp
from cisisk.model.codes.asterisk import RegistrationDoubt
from cisisk.model.codes.deployment import StepNotice, TimeoutNotice
from cisisk.model.codes.restart import RestartNotice
from cisisk.model.deployment import Awaited, Deployment, OnTimeout
from cisisk.model.deployment_states import END_UNOBSERVED, NO_RESTART_NEEDED, Transition
from cisisk.model.notice import Notice
from cisisk.model.restart import RestartOutcome, Worth
from cisisk.model.sep_config.diff import RestartType
from cisisk.model.start_time import StartTime

REFUSED_SECONDS = 30.0
"""Until the second attempt after a refused restart: the phone or its PBX may have been starting."""
SENT_SECONDS = 30.0
"""Until the next restart method, after the call manager has sent a restart that the phone may have refused. A phone
that obeys begins to fetch before that, or is booting and takes no other request.
"""
LOOK_AGAIN_SECONDS = 15.0
"""For a last listing of the registrations before a deployment ends without one: the time of three looks."""
SETTLE_SECONDS = 120.0
"""After this time a deployment without the result of its restart counts as cut off, for example by a full disk. It is
longer than all restart methods take.
"""


@dataclass(frozen=True, slots=True)
class Wait:
    """Do nothing until that moment; until something new is known if it is None.

    Attributes:
        look: whether the registrations are to be listed now.
    """

    until: datetime | None
    look: bool = False


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
    """Restart the phone once more. ``action`` is None for what the change needs.

    Attributes:
        goes_on: whether further methods of the same restart are tried, after one that may not have reached the phone.
    """

    action: RestartType | None
    goes_on: bool = False


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """What is known beside the deployment.

    Attributes:
        can_be: whether registrations of such phones can be observed at all.
        looked_at: when they were listed last; None if there was no attempt yet, or the last one failed.
        answered_since: since when every attempt to list them succeeded; None as ``looked_at``.
        failed_at: when the last attempt failed; None if it succeeded.
        doubt: why the last listing does not show that the phone has registered; None before the first one.
        has_untried: whether restart methods are left that were not tried.
    """

    can_be: bool
    looked_at: datetime | None = None
    answered_since: datetime | None = None
    failed_at: datetime | None = None
    doubt: RegistrationDoubt | None = None
    has_untried: bool = False


def decide(deployment: Deployment, moment: datetime, observation: Observation) -> NextAction:
    """Return what to do at this ``moment`` about a deployment that has not ended."""
    if deployment.deferred_until is not None:
        return _of_deferred(deployment.deferred_until, moment)
    if deployment.timed_out_on is not None:
        return RollBack(deployment.timed_out_on)
    if deployment.restart_outcome is None or deployment.tried_at is None:
        return _of_unsettled(deployment, moment)
    if deployment.fetched_at is not None:
        return _of_fetched(deployment, deployment.fetched_at, moment, observation)
    if deployment.restart_outcome is RestartOutcome.NOT_NEEDED:
        return End(NO_RESTART_NEEDED, RestartNotice.NOT_NEEDED.notice())
    return _of_unfetched(deployment, deployment.tried_at, moment, has_untried=observation.has_untried)


def _may_be_refused(deployment: Deployment) -> bool:
    """Return whether the call manager sent the restart, and neither an answer nor a fetch shows that it was obeyed."""
    return (
        deployment.fetch_started_at is None
        and any(each.worth is Worth.SENT for each in deployment.tried_methods)
        and all(each.worth is not Worth.ANSWERED for each in deployment.tried_methods)
    )


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
    deployment: Deployment, fetched_at: Timestamp, moment: datetime, observation: Observation
) -> NextAction:
    """Decide about a phone that has its config. Only a registration that is known to be missing is a timeout."""
    if not observation.can_be:
        return End(END_UNOBSERVED, StepNotice.REGISTRATION_UNOBSERVABLE.notice())
    seconds = deployment.policy.register_seconds
    # While the call manager did not answer, the phone could not register either.
    begin = max(datetime.fromisoformat(fetched_at), observation.answered_since or datetime.min.replace(tzinfo=UTC))
    due = begin + timedelta(seconds=seconds)
    if moment < due:
        return Wait(due)
    if observation.looked_at is None or observation.looked_at < due:
        last = due + timedelta(seconds=LOOK_AGAIN_SECONDS)
        has_failed = observation.failed_at is not None and observation.failed_at >= due
        return _unshown(RegistrationDoubt.UNANSWERED) if has_failed or moment >= last else Wait(last, look=True)
    if observation.doubt is not RegistrationDoubt.ABSENT:
        return _unshown(observation.doubt or RegistrationDoubt.UNANSWERED)
    return TimeOut(Awaited.REGISTRATION, TimeoutNotice.NO_REGISTRATION.notice(seconds=seconds))


def _unshown(doubt: RegistrationDoubt) -> End:
    return End(END_UNOBSERVED, StepNotice.REGISTRATION_NOT_SHOWN.notice(reason=doubt.notice()))


def _of_unfetched(deployment: Deployment, tried_at: Timestamp, moment: datetime, *, has_untried: bool) -> NextAction:
    """Decide about a phone that has not fetched its config. It may restart once more, be reset, or boot by itself."""
    policy, accepted = deployment.policy, deployment.restart_outcome is RestartOutcome.ACCEPTED
    if deployment.tries == 0:
        # Cisisk was stopped before it could restart the phone.
        return Trigger(None)
    if has_untried and _may_be_refused(deployment):
        next_due = datetime.fromisoformat(tried_at) + timedelta(seconds=min(SENT_SECONDS, policy.fetch_seconds))
        action: RestartType = "reset" if deployment.action == "reset" else "restart"
        return Trigger(action, goes_on=True) if moment >= next_due else Wait(next_due)
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
    return _timed_out_unfetched(deployment, accepted=accepted)


def _timed_out_unfetched(deployment: Deployment, *, accepted: bool) -> TimeOut:
    if accepted:
        return TimeOut(Awaited.FETCH, TimeoutNotice.NO_FETCH.notice(seconds=deployment.policy.fetch_seconds))
    is_final = not rolls_back(deployment)
    reason = TimeoutNotice.NO_RESTART if is_final else TimeoutNotice.NO_RESTART_ROLLED_BACK
    return TimeOut(Awaited.RESTART, reason.notice())
