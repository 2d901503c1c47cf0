from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cisisk.mobility.next_action import (
    LOOK_AGAIN_SECONDS,
    REFUSED_SECONDS,
    SENT_SECONDS,
    SETTLE_SECONDS,
    Begin,
    BeginWhenIdle,
    End,
    NextAction,
    Observation,
    RollBack,
    Settle,
    TimeOut,
    Trigger,
    Wait,
    decide,
    rolls_back,
)
from cisisk.model.clock import timestamp
from cisisk.model.codes.asterisk import RegistrationDoubt
from cisisk.model.codes.deployment import StepNotice, TimeoutNotice
from cisisk.model.codes.restart import RestartNotice
from cisisk.model.deployment import Awaited, Deployment, DeploymentState, OnTimeout, Origin, Policy
from cisisk.model.deployment_states import END_UNOBSERVED, NO_RESTART_NEEDED
from cisisk.model.mac import Mac
from cisisk.model.restart import RestartOutcome, TriedMethod, Worth
from cisisk.model.start_time import IDLE, StartTime

START = datetime(2026, 6, 28, 12, tzinfo=UTC)
FETCH, REGISTER = 100, 50
POLICY = Policy(fetch_seconds=FETCH, register_seconds=REGISTER)
RECORDED = Deployment(
    uuid="11111111-1111-1111-1111-111111111111",
    mac=Mac("AABBCCDDEE01"),
    origin=Origin.SWITCH,
    profile_uuid=None,
    profile_name="Desk",
    sha256="0" * 64,
    replaced="1" * 64,
    requested_by=None,
    policy=POLICY,
    state=DeploymentState.RECORDED,
    recorded_at=timestamp(START),
)


def restarted(**facts: Any) -> Deployment:
    """Return a deployment whose phone accepted its restart."""
    known = {
        "written_at": timestamp(START),
        "restart_outcome": RestartOutcome.ACCEPTED,
        "tries": 1,
        "action": "restart",
    }
    return replace(RECORDED, **{**known, "tried_at": timestamp(START), **facts})


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


ABSENT = Observation(can_be=True, looked_at=at(REGISTER), answered_since=START, doubt=RegistrationDoubt.ABSENT)
"""The phone's line is not registered when its time is over."""
UNSEEN = Observation(can_be=False)


def after(seconds: float, deployment: Deployment, observation: Observation = ABSENT) -> NextAction:
    return decide(deployment, at(seconds), observation)


def unshown(doubt: RegistrationDoubt) -> End:
    return End(END_UNOBSERVED, StepNotice.REGISTRATION_NOT_SHOWN.notice(reason=doubt.notice()))


def test_deployment_in_progress_settles_after_its_time() -> None:
    assert after(SETTLE_SECONDS - 1, RECORDED) == Wait(START + timedelta(seconds=SETTLE_SECONDS))
    assert after(SETTLE_SECONDS, RECORDED) == Settle()


def test_restart_prevented_by_a_stop_is_triggered_at_once() -> None:
    assert after(0, restarted(restart_outcome=RestartOutcome.STOPPED, tries=0)) == Trigger(None)


def test_deferred_deployment_begins_when_the_phone_is_idle() -> None:
    assert after(0, replace(RECORDED, deferred_until=IDLE)) == BeginWhenIdle()


def test_deferred_deployment_begins_at_its_time() -> None:
    deferred = replace(RECORDED, deferred_until=StartTime.parse(timestamp(START + timedelta(seconds=60))))
    assert after(59, deferred) == Wait(START + timedelta(seconds=60))
    assert after(60, deferred) == Begin()


def test_unfetched_config_leads_to_retry_then_reset_then_timeout() -> None:
    assert after(FETCH - 1, restarted()) == Wait(START + timedelta(seconds=FETCH))
    assert after(FETCH, restarted()) == Trigger(None)
    assert after(FETCH, restarted(tries=2)) == Trigger("reset")
    given_up = after(FETCH, restarted(tries=3, action="reset"))
    assert isinstance(given_up, TimeOut)
    assert given_up.on is Awaited.FETCH


@pytest.mark.parametrize(
    ("policy", "action"),
    [
        (replace(POLICY, retry=False), Trigger("reset")),
        (replace(POLICY, escalate=False), Trigger(None)),
    ],
)
def test_policy_can_skip_the_retry_or_the_reset(policy: Policy, action: NextAction) -> None:
    assert after(FETCH, restarted(policy=policy)) == action


def test_policy_without_retry_and_reset_times_out_at_once() -> None:
    verdict = after(FETCH, restarted(policy=replace(POLICY, retry=False, escalate=False)))
    assert isinstance(verdict, TimeOut)


def test_refused_restart_is_retried_soon_without_a_reset() -> None:
    refused = restarted(restart_outcome=RestartOutcome.REFUSED)
    assert after(REFUSED_SECONDS - 1, refused) == Wait(START + timedelta(seconds=REFUSED_SECONDS))
    assert after(REFUSED_SECONDS, refused) == Trigger(None)
    refused_again = replace(refused, tries=2)
    assert after(FETCH - 1, refused_again) == Wait(START + timedelta(seconds=FETCH))
    assert after(FETCH, refused_again) == TimeOut(Awaited.RESTART, TimeoutNotice.NO_RESTART.notice())
    to_go_back = replace(refused_again, policy=replace(POLICY, on_timeout=OnTimeout.ROLLBACK))
    assert after(FETCH, to_go_back) == TimeOut(Awaited.RESTART, TimeoutNotice.NO_RESTART_ROLLED_BACK.notice())


def test_restart_that_was_cut_off_has_all_its_time() -> None:
    """Cisisk was killed when it may have sent the restart."""
    cut_off = restarted(restart_outcome=RestartOutcome.CUT_OFF, action=None)
    assert after(FETCH - 1, cut_off) == Wait(START + timedelta(seconds=FETCH))
    assert after(FETCH, cut_off) == Trigger(None)
    told_once = replace(cut_off, policy=replace(POLICY, retry=False))
    assert after(FETCH, told_once) == Trigger(None)


def test_fetched_config_times_out_on_the_registration() -> None:
    fetched = restarted(fetched_at=timestamp(START))
    assert after(REGISTER - 1, fetched) == Wait(START + timedelta(seconds=REGISTER))
    given_up = after(REGISTER, fetched)
    assert isinstance(given_up, TimeOut)
    assert given_up.on is Awaited.REGISTRATION


def test_fetch_ends_a_deployment_without_observable_registrations() -> None:
    verdict = after(0, restarted(fetched_at=timestamp(START)), UNSEEN)
    assert verdict == End(END_UNOBSERVED, StepNotice.REGISTRATION_UNOBSERVABLE.notice())


FETCHED = restarted(fetched_at=timestamp(START), policy=replace(POLICY, on_timeout=OnTimeout.ROLLBACK))


@pytest.mark.parametrize("doubt", [doubt for doubt in RegistrationDoubt if doubt is not RegistrationDoubt.ABSENT])
def test_registration_that_cannot_be_shown_ends_as_fetched(doubt: RegistrationDoubt) -> None:
    assert after(REGISTER, FETCHED, replace(ABSENT, doubt=doubt)) == unshown(doubt)


def test_time_to_register_ends_with_a_last_look() -> None:
    before = replace(ABSENT, looked_at=at(REGISTER - 1))
    last = at(REGISTER + LOOK_AGAIN_SECONDS)
    assert after(REGISTER, FETCHED, before) == Wait(last, look=True)
    assert after(REGISTER + LOOK_AGAIN_SECONDS, FETCHED, before) == unshown(RegistrationDoubt.UNANSWERED)
    assert after(REGISTER, FETCHED, Observation(can_be=True)) == Wait(last, look=True)


def test_time_to_register_begins_anew_once_the_call_manager_answers() -> None:
    back = replace(ABSENT, answered_since=at(REGISTER - 10))
    assert after(REGISTER, FETCHED, back) == Wait(at(2 * REGISTER - 10))
    assert isinstance(after(2 * REGISTER, FETCHED, replace(back, looked_at=at(2 * REGISTER))), TimeOut)


def test_failed_last_look_ends_as_fetched() -> None:
    away = Observation(can_be=True, failed_at=at(REGISTER), doubt=RegistrationDoubt.ABSENT)
    assert after(REGISTER, FETCHED, away) == unshown(RegistrationDoubt.UNANSWERED)


# The next method


SENT, ANSWERED = TriedMethod("ami-pjsip", Worth.SENT), TriedMethod("sip-notify", Worth.ANSWERED)
UNTRIED = replace(ABSENT, has_untried=True)


def test_sent_restart_without_fetch_goes_on_to_the_next_method() -> None:
    sent = restarted(tried_methods=(SENT,))
    assert after(SENT_SECONDS - 1, sent, UNTRIED) == Wait(at(SENT_SECONDS))
    assert after(SENT_SECONDS, sent, UNTRIED) == Trigger("restart", goes_on=True)


def test_sent_reset_without_fetch_goes_on_with_a_reset() -> None:
    sent = restarted(tried_methods=(SENT,), action="reset", tries=3)
    assert after(SENT_SECONDS, sent, UNTRIED) == Trigger("reset", goes_on=True)


def test_next_method_is_tried_even_without_retries() -> None:
    sent = restarted(tried_methods=(SENT,), policy=replace(POLICY, retry=False, escalate=False))
    assert after(SENT_SECONDS, sent, UNTRIED) == Trigger("restart", goes_on=True)


@pytest.mark.parametrize(
    ("facts", "observation"),
    [
        ({"tried_methods": (SENT, ANSWERED)}, UNTRIED),
        ({"tried_methods": (ANSWERED,)}, UNTRIED),
        ({"tried_methods": (SENT,), "fetch_started_at": timestamp(START)}, UNTRIED),
        ({"tried_methods": (SENT,)}, ABSENT),
    ],
)
def test_restart_that_may_be_obeyed_has_all_its_time(facts: dict[str, Any], observation: Observation) -> None:
    assert after(SENT_SECONDS, restarted(**facts), observation) == Wait(at(FETCH))


def test_rollback_without_restart_ends_as_written() -> None:
    verdict = after(0, restarted(restart_outcome=RestartOutcome.NOT_NEEDED, action=None))
    assert verdict == End(NO_RESTART_NEEDED, RestartNotice.NOT_NEEDED.notice())


def test_open_timeout_leads_to_a_rollback() -> None:
    assert after(0, restarted(timed_out_on=Awaited.FETCH)) == RollBack(Awaited.FETCH)


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        ({"policy": replace(POLICY, on_timeout=OnTimeout.ROLLBACK)}, True),
        ({"policy": replace(POLICY, on_timeout=OnTimeout.ROLLBACK), "replaced": None}, False),
        ({}, False),
    ],
)
def test_rollback_needs_an_earlier_config(facts: dict[str, Any], expected: bool) -> None:
    assert rolls_back(restarted(**facts)) is expected


policies = st.builds(
    Policy,
    retry=st.booleans(),
    escalate=st.booleans(),
    on_timeout=st.sampled_from(OnTimeout),
    fetch_seconds=st.integers(1, 86_400),
    register_seconds=st.integers(1, 86_400),
)


def any_answer(_tries: int) -> bool:
    """The type of the drawn functions."""
    raise NotImplementedError


@given(
    policy=policies,
    accepts=st.functions(like=any_answer, returns=st.booleans(), pure=True),
    fetches_after=st.none() | st.integers(1, 3),
    sight=st.builds(
        Observation,
        can_be=st.booleans(),
        looked_at=st.none() | st.just(at(200_000)),
        doubt=st.sampled_from(RegistrationDoubt),
    ),
    first=st.sampled_from(["restart", "reset"]),
    methods=st.lists(st.sampled_from(Worth), max_size=4),
)
def test_deployment_ends_after_at_most_three_tries(
    policy: Policy,
    accepts: Callable[[int], bool],
    fetches_after: int | None,
    sight: Observation,
    first: str,
    methods: list[Worth],
) -> None:
    triggered = 0

    def tried(deployment: Deployment, action: str, *, goes_on: bool = False) -> Deployment:
        nonlocal triggered
        triggered += 1
        tries = deployment.tries + (not goes_on)
        accepted = accepts(tries)
        known = deployment.tried_methods if goes_on else ()
        return replace(
            deployment,
            tried_methods=(*known, *(TriedMethod("", worth) for worth in methods[len(known) : len(known) + 1])),
            restart_outcome=RestartOutcome.ACCEPTED if accepted else RestartOutcome.REFUSED,
            tries=tries,
            action=action,
            tried_at=timestamp(moment),
            fetched_at=timestamp(moment) if accepted and tries == fetches_after else None,
        )

    moment = START
    deployment = tried(replace(RECORDED, policy=policy), first)
    while True:
        has_untried = len(deployment.tried_methods) < len(methods)
        verdict = decide(deployment, moment, replace(sight, has_untried=has_untried))
        match verdict:
            case Wait(until):
                assert until is not None
                assert until > moment
                moment = until
            case Trigger(action, goes_on):
                assert deployment.fetched_at is None
                assert not goes_on or action == deployment.action
                deployment = tried(deployment, action or deployment.action or first, goes_on=goes_on)
            case _:
                break
    assert isinstance(verdict, TimeOut | End)
    assert deployment.tries <= 3
    assert triggered <= 3 * max(1, len(methods))
    assert (deployment.fetched_at is None) == (isinstance(verdict, TimeOut) and verdict.on is not Awaited.REGISTRATION)
