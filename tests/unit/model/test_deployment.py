from dataclasses import replace
from itertools import combinations
from typing import Any

import pytest

from cisisk.model.deployment import RESTART_OK, Deployment, DeploymentState, Origin
from cisisk.model.mac import Mac

MOMENT = "2026-06-28T12:00:00.000Z"
RECORDED = Deployment(
    uuid="00000000-0000-4000-8000-000000000001",
    mac=Mac("AABBCCDDEE01"),
    profile_uuid=None,
    profile_name="Office",
    sha256="0" * 64,
    requested_by=None,
    recorded_at=MOMENT,
)
# The facts, the weakest first, and the state each leads to.
FACTS = [
    ({"written_at": MOMENT}, DeploymentState.WRITTEN),
    ({"restart": RESTART_OK, "restarted_at": MOMENT}, DeploymentState.RESTARTING),
    ({"superseded_at": MOMENT}, DeploymentState.SUPERSEDED),
    ({"fetched_at": MOMENT, "fetched_from": "192.0.2.1"}, DeploymentState.FETCHED),
    ({"failed_at": MOMENT, "failure": "disk full"}, DeploymentState.FAILED),
]


def after(*facts: dict[str, Any]) -> DeploymentState:
    known = {name: value for fact in facts for name, value in fact.items()}
    return replace(RECORDED, **known).state


def test_a_deployment_begins_as_recorded() -> None:
    assert RECORDED.state is DeploymentState.RECORDED


@pytest.mark.parametrize(("fact", "state"), FACTS)
def test_each_fact_leads_to_its_state(fact: dict[str, Any], state: DeploymentState) -> None:
    assert after(fact) is state


def test_of_several_facts_the_strongest_counts() -> None:
    for (weaker, _), (stronger, state) in combinations(FACTS, 2):
        assert after(weaker, stronger) is state


def test_a_restart_that_was_not_accepted_leaves_the_phone_waiting() -> None:
    written = {"written_at": MOMENT}
    assert after(written, {"restart": "The phone refused"}) is DeploymentState.WAITING
    assert after(written, {"restart": "The phone refused"}, {"fetched_at": MOMENT}) is DeploymentState.FETCHED


def test_states_and_origins_are_stored_under_stable_names() -> None:
    assert [str(state) for state in DeploymentState] == [
        "recorded",
        "written",
        "restarting",
        "waiting",
        "fetched",
        "superseded",
        "failed",
    ]
    assert {"switch", "adopted"} <= {str(origin) for origin in Origin}
