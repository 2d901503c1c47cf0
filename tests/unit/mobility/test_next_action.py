from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cisisk.mobility.next_action import (
    REFUSED_SECONDS,
    SETTLE_SECONDS,
    Begin,
    BeginWhenIdle,
    End,
    NextAction,
    Observability,
    RollBack,
    Settle,
    TimeOut,
    Trigger,
    Wait,
    decide,
    rolls_back,
)
from cisisk.model.clock import timestamp
from cisisk.model.codes.deployment import StepNotice, TimeoutNotice
from cisisk.model.codes.restart import RestartNotice
from cisisk.model.deployment import Awaited, Deployment, DeploymentState, OnTimeout, Origin, Policy
from cisisk.model.deployment_states import END_UNOBSERVED, NO_RESTART_NEEDED
from cisisk.model.mac import Mac
from cisisk.model.restart import RestartOutcome
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


SEEN, UNSEEN = Observability(can_be=True, looked=True), Observability(can_be=False, looked=False)


def after(seconds: float, deployment: Deployment, sight: Observability = SEEN) -> NextAction:
    return decide(deployment, START + timedelta(seconds=seconds), sight)


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


def test_fetch_ends_a_deployment_without_a_look() -> None:
    fetched, sight = restarted(fetched_at=timestamp(START)), Observability(can_be=True, looked=False)
    assert after(REGISTER - 1, fetched, sight) == Wait(START + timedelta(seconds=REGISTER))
    verdict = after(REGISTER, fetched, sight)
    assert verdict == End(END_UNOBSERVED, StepNotice.REGISTRATION_UNOBSERVABLE.notice())


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
    sight=st.builds(Observability, can_be=st.booleans(), looked=st.booleans()),
    first=st.sampled_from(["restart", "reset"]),
)
def test_deployment_ends_after_at_most_three_tries(
    policy: Policy, accepts: Callable[[int], bool], fetches_after: int | None, sight: Observability, first: str
) -> None:
    def tried(deployment: Deployment, action: str) -> Deployment:
        tries = deployment.tries + 1
        accepted = accepts(tries)
        return replace(
            deployment,
            restart_outcome=RestartOutcome.ACCEPTED if accepted else RestartOutcome.REFUSED,
            tries=tries,
            action=action,
            tried_at=timestamp(moment),
            fetched_at=timestamp(moment) if accepted and tries == fetches_after else None,
        )

    moment = START
    deployment = tried(replace(RECORDED, policy=policy), first)
    while True:
        verdict = decide(deployment, moment, sight)
        match verdict:
            case Wait(until):
                assert until is not None
                assert until > moment
                moment = until
            case Trigger(action):
                assert deployment.fetched_at is None
                deployment = tried(deployment, action or deployment.action or first)
            case _:
                break
    assert isinstance(verdict, TimeOut | End)
    assert deployment.tries <= 3
    assert (deployment.fetched_at is None) == (isinstance(verdict, TimeOut) and verdict.on is not Awaited.REGISTRATION)
