"""The notice about the restart of a deployment in each state."""

from dataclasses import replace
from typing import Any

import pytest

from cisisk.model.codes.deployment import DeploymentFailure
from cisisk.model.codes.restart import RestartNotice, RestartRefusal, Sequel
from cisisk.model.deployment import Deployment, DeploymentState, Origin, Policy
from cisisk.model.mac import Mac
from cisisk.model.messages import render
from cisisk.model.notice import Notice, NoticeCode
from cisisk.model.restart import MethodRefusal, RestartOutcome
from cisisk.model.restart_notice import restart_notice
from cisisk.model.start_time import IDLE, StartTime

MAC, MOMENT = Mac("AABBCCDDEE01"), "2026-06-28T12:00:00.000Z"
OFF = RestartRefusal.HTTP_NO_ANSWER.notice(address="192.0.2.7", seconds=2)
WAITING = Deployment(
    uuid="11111111-1111-1111-1111-111111111111",
    mac=MAC,
    origin=Origin.SWITCH,
    profile_uuid=None,
    profile_name="Desk",
    sha256="0" * 64,
    replaced="1" * 64,
    requested_by=None,
    policy=Policy(),
    state=DeploymentState.WAITING,
    recorded_at=MOMENT,
    written_at=MOMENT,
    restart_outcome=RestartOutcome.REFUSED,
    restart_detail=(MethodRefusal("cgi-keys", OFF),),
)
UNTRIED = replace(WAITING, restart_outcome=None, restart_detail=(), written_at=None)


@pytest.mark.parametrize(
    ("facts", "sequel"),
    [
        ({"state": DeploymentState.WAITING}, Sequel.AT_NEXT_BOOT),
        ({"state": DeploymentState.TIMED_OUT}, Sequel.AT_NEXT_BOOT),
        ({"state": DeploymentState.FETCHED, "fetched_at": MOMENT}, Sequel.FETCHED),
        ({"state": DeploymentState.CONFIRMED, "fetched_at": MOMENT}, Sequel.FETCHED),
        ({"state": DeploymentState.ROLLED_BACK}, Sequel.ROLLED_BACK),
        ({"state": DeploymentState.SUPERSEDED}, Sequel.REPLACED),
        ({"state": DeploymentState.TIMED_OUT, "superseded_at": MOMENT}, Sequel.REPLACED),
    ],
)
def test_refused_restart_goes_on_with_what_came_of_the_config(facts: dict[str, Any], sequel: Sequel) -> None:
    reasons = (RestartNotice.REFUSED_BY.notice(methods="cgi-keys", reason=OFF),)
    expected = RestartNotice.REFUSED.notice(reasons=reasons, sequel=sequel.notice())
    assert restart_notice(replace(WAITING, **facts)) == expected


def because(sequel: Notice) -> Notice:
    return RestartNotice.NOT_TRIED_BECAUSE.notice(sequel=sequel)


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        ({"state": DeploymentState.CANCELLED}, because(Sequel.CANCELLED.notice())),
        (
            {"state": DeploymentState.FAILED, "failure": DeploymentFailure.CUT_OFF.notice()},
            because(Sequel.FAILED.notice(failure=DeploymentFailure.CUT_OFF.notice())),
        ),
        ({"state": DeploymentState.SUPERSEDED}, because(Sequel.REPLACED.notice())),
        ({"state": DeploymentState.RECORDED}, RestartNotice.NOT_TRIED.notice()),
        (
            {"state": DeploymentState.DEFERRED, "deferred_until": StartTime.parse(MOMENT)},
            RestartNotice.DEFERRED.notice(at=MOMENT),
        ),
        (
            {"state": DeploymentState.DEFERRED, "deferred_until": IDLE},
            RestartNotice.DEFERRED_UNTIL_IDLE.notice(),
        ),
    ],
)
def test_restart_that_was_not_tried_says_why(facts: dict[str, Any], expected: Notice) -> None:
    assert restart_notice(replace(UNTRIED, **facts)) == expected


@pytest.mark.parametrize("state", DeploymentState)
def test_accepted_restart_stays_accepted_in_every_state(state: DeploymentState) -> None:
    accepted = replace(WAITING, state=state, restart_outcome=RestartOutcome.ACCEPTED)
    assert restart_notice(accepted).code == RestartNotice.ACCEPTED


@pytest.mark.parametrize(
    ("outcome", "code"),
    [
        (RestartOutcome.SUPERSEDED, RestartNotice.SUPERSEDED),
        (RestartOutcome.NOT_NEEDED, RestartNotice.NOT_NEEDED),
        (RestartOutcome.NEEDED_AFTER_ALL, RestartNotice.NEEDED_AFTER_ALL),
        (RestartOutcome.NO_METHOD, RestartNotice.NO_METHOD),
        (RestartOutcome.STOPPED, RestartNotice.STOPPED),
        (RestartOutcome.CUT_OFF, RestartNotice.CUT_OFF),
    ],
)
def test_other_outcomes_have_their_own_notices(outcome: RestartOutcome, code: NoticeCode) -> None:
    assert restart_notice(replace(WAITING, restart_outcome=outcome, restart_detail=())).code == code


@pytest.mark.wording
def test_methods_with_the_same_reason_are_named_together() -> None:
    busy, locked = RestartRefusal.IN_CALL.notice(), RestartRefusal.FILE_ERROR.notice()
    refusals = (MethodRefusal("a", busy), MethodRefusal("b", locked), MethodRefusal("c", busy))
    assert render(restart_notice(replace(WAITING, restart_detail=refusals))) == (
        "a, c: the phone is in a call; b: the phone has an internal file error."
        " The phone takes the config at its next boot"
    )
