from dataclasses import replace
from typing import Any

import pytest

from cisisk.mobility.deploy import SUPERSEDED
from cisisk.model.deployment import (
    IDLE,
    RESTART_OK,
    Deployment,
    DeploymentState,
    Origin,
    Policy,
    restart_told,
)
from cisisk.model.mac import Mac

MAC, MOMENT = Mac("AABBCCDDEE01"), "2026-06-28T12:00:00.000Z"
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
    restart="cgi-keys: the phone is off. The phone takes the config at its next boot",
)
UNTRIED = replace(WAITING, restart=None, written_at=None)


@pytest.mark.parametrize(
    ("facts", "told"),
    [
        ({"state": DeploymentState.WAITING}, "The phone takes the config at its next boot"),
        ({"state": DeploymentState.TIMED_OUT}, "The phone takes the config at its next boot"),
        ({"state": DeploymentState.FETCHED, "fetched_at": MOMENT}, "The phone has taken the config all the same"),
        ({"state": DeploymentState.CONFIRMED, "fetched_at": MOMENT}, "The phone has taken the config all the same"),
        ({"state": DeploymentState.ROLLED_BACK}, "The phone is served again what it was served before"),
        ({"state": DeploymentState.SUPERSEDED}, "Another config has replaced this one"),
        ({"state": DeploymentState.TIMED_OUT, "superseded_at": MOMENT}, "Another config has replaced this one"),
    ],
)
def test_why_there_was_no_restart_goes_on_with_what_came_of_the_config(facts: dict[str, Any], told: str) -> None:
    assert restart_told(replace(WAITING, **facts)) == f"cgi-keys: the phone is off. {told}"


@pytest.mark.parametrize(
    ("facts", "told"),
    [
        ({"state": DeploymentState.CANCELLED}, "Not restarted. The switch was called off before it began"),
        ({"state": DeploymentState.FAILED, "failure": "No space"}, "Not restarted. The switch has failed: No space"),
        ({"state": DeploymentState.SUPERSEDED}, "Not restarted. Another config has replaced this one"),
        ({"state": DeploymentState.RECORDED}, "Not restarted yet"),
        ({"state": DeploymentState.DEFERRED, "deferred_until": MOMENT}, f"Deferred: the switch begins at {MOMENT}"),
        (
            {"state": DeploymentState.DEFERRED, "deferred_until": IDLE},
            "Deferred: the switch begins as soon as the phone is in no call",
        ),
    ],
)
def test_a_switch_whose_restart_was_not_tried_says_why(facts: dict[str, Any], told: str) -> None:
    assert restart_told(replace(UNTRIED, **facts)) == told


@pytest.mark.parametrize("state", DeploymentState)
def test_a_restart_that_was_accepted_stays_ok(state: DeploymentState) -> None:
    assert restart_told(replace(WAITING, state=state, restart=RESTART_OK)) == "ok"


def test_a_restart_that_was_left_to_a_newer_switch_says_so() -> None:
    left = replace(WAITING, state=DeploymentState.SUPERSEDED, superseded_at=MOMENT, restart=SUPERSEDED)
    assert restart_told(left) == SUPERSEDED
