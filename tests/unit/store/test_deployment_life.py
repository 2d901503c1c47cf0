"""Random facts in random order move deployments only along the transition table."""

from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from cisisk.model.clock import now
from cisisk.model.codes.asterisk import RegistrationEvidence
from cisisk.model.codes.deployment import DeploymentFailure, StepNotice, TimeoutNotice
from cisisk.model.deployment import Awaited, Deployment, DeploymentState, Plan, Policy, Step
from cisisk.model.deployment_states import (
    END_UNOBSERVED,
    KEEP,
    NO_RESTART_NEEDED,
    TRANSITIONS,
    Situation,
    Transition,
    is_allowed,
    situation_of,
)
from cisisk.model.errors import CisiskError
from cisisk.model.mac import Mac
from cisisk.model.profile import Profile
from cisisk.model.restart import Attempt, RestartOutcome
from cisisk.model.start_time import IDLE, NOW, StartTime
from cisisk.model.user import SYSTEM
from cisisk.store import configs, deployments, phones, profiles, progress, steps, users
from cisisk.store.progress import Delivery
from cisisk.store.transaction import Write
from tests.unit.plans import plan
from tests.unit.store.memory import connect

MAC = Mac("AABBCCDDEE01")
LONG_AGO, IN_FUTURE = "2000-01-01T00:00:00.000Z", "2199-01-01T00:00:00.000Z"
CONTENTS = [b"<one/>", b"<two/>"]
OUTCOMES = {outcome: Attempt(outcome) for outcome in RestartOutcome} | {
    RestartOutcome.ACCEPTED: Attempt(RestartOutcome.ACCEPTED, "cgi-keys")
}
USER = {
    "first_name": "Anna",
    "last_name": "Arendt",
    "username": "anna",
    "email": "anna@example.org",
    "lang": "en",
    "timezone": "UTC",
}
UNWRITTEN = {DeploymentState.DEFERRED, DeploymentState.RECORDED, DeploymentState.FAILED, DeploymentState.CANCELLED}


class DeploymentLife(RuleBasedStateMachine):
    """One phone, with every operation on its deployments."""

    def __init__(self) -> None:
        super().__init__()
        self.connection = connect()
        self.tx = Write(self.connection)
        user = users.create(self.tx, SYSTEM, USER, "$hash")
        row = {"user_uuid": user.uuid, "name": "Desk", "cnf_xml": b"<device/>"}
        self.profile: Profile = profiles.create(self.tx, SYSTEM, row)

    def teardown(self) -> None:
        self.connection.close()

    def all(self) -> list[Deployment]:
        rows = self.tx.rows("SELECT uuid FROM deployments ORDER BY number")
        return [deployments.get(self.tx, row["uuid"]) for row in rows]

    def one(self, data: st.DataObject) -> Deployment:
        return data.draw(st.sampled_from(self.all()), label="deployment")

    def do(self, work: Callable[[Write], object]) -> None:
        """Run one transaction; check that each moved deployment follows the table and has its step."""
        before = {each.uuid: situation_of(each) for each in self.all()}
        last = steps.last(self.tx)
        self.connection.execute("BEGIN")
        try:
            work(self.tx)
        except CisiskError:
            self.connection.rollback()
            return
        self.connection.commit()
        for deployment in self.all():
            left = [step for step in steps.after(self.tx, last, 99) if step.deployment == deployment.uuid]
            self.check(before.get(deployment.uuid), situation_of(deployment), left)

    def check(self, before: Situation | None, after: Situation, left: list[Step]) -> None:
        assert left or before == after, f"{before} -> {after} without a step"
        assert all(Situation(step.state, step.ended) == after for step in left), (after, left)
        assert not left or any(is_allowed(before, step.step, after) for step in left), (before, after, left)

    def plan(self, content: bytes) -> Plan:
        return plan(MAC, self.profile, content)

    @rule(
        content=st.sampled_from(CONTENTS), found=st.sampled_from([None, *CONTENTS]), when=st.sampled_from([NOW, IDLE])
    )
    def record(self, content: bytes, found: bytes | None, when: StartTime) -> None:
        wanted = replace(self.plan(content), policy=Policy(when=when), deferred_until=None if when == NOW else when)
        self.do(lambda tx: progress.record(tx, SYSTEM, wanted, found))

    @precondition(lambda self: self.all())
    @rule(data=st.data(), content=st.sampled_from(CONTENTS))
    def record_rollback(self, data: st.DataObject, content: bytes) -> None:
        wanted = replace(self.plan(content), rolls_back=self.one(data).uuid)
        self.do(lambda tx: progress.record(tx, SYSTEM, wanted, None))

    @precondition(lambda self: self.all())
    @rule(data=st.data(), content=st.sampled_from(CONTENTS))
    def begin(self, data: st.DataObject, content: bytes) -> None:
        deployment = self.one(data)
        self.do(lambda tx: progress.begun(tx, deployment, self.plan(content), None))

    @precondition(lambda self: self.all())
    @rule(data=st.data(), moment=st.sampled_from([LONG_AGO, None, IN_FUTURE]))
    def write(self, data: st.DataObject, moment: str | None) -> None:
        deployment = self.one(data)
        self.do(lambda tx: progress.written(tx, SYSTEM, deployment, moment or now()))

    @precondition(lambda self: self.all())
    @rule(data=st.data())
    def fail(self, data: st.DataObject) -> None:
        deployment = self.one(data)
        self.do(lambda tx: progress.failed(tx, deployment, DeploymentFailure.CUT_OFF.notice()))

    @precondition(lambda self: self.all())
    @rule(data=st.data())
    def defer_again(self, data: st.DataObject) -> None:
        deployment = self.one(data)
        if deployment.policy.when != NOW:
            self.do(lambda tx: progress.deferred_again(tx, deployment))

    @precondition(lambda self: self.all())
    @rule(data=st.data(), outcome=st.sampled_from(RestartOutcome))
    def restart(self, data: st.DataObject, outcome: RestartOutcome) -> None:
        deployment = self.one(data)
        self.do(lambda tx: progress.restart_tried(tx, deployment, OUTCOMES[outcome], "restart"))

    @precondition(lambda self: self.all())
    @rule(data=st.data())
    def register(self, data: st.DataObject) -> None:
        deployment = self.one(data)
        evidence = RegistrationEvidence.SCCP_DEVICE.notice(name=MAC.device_name)
        self.do(lambda tx: progress.registered(tx, deployment, evidence))

    @precondition(lambda self: self.all())
    @rule(data=st.data(), transition=st.sampled_from([END_UNOBSERVED, KEEP, NO_RESTART_NEEDED]))
    def end(self, data: st.DataObject, transition: Transition) -> None:
        deployment = self.one(data)
        notice = StepNotice.REGISTRATION_UNOBSERVABLE.notice()
        self.do(lambda tx: progress.ended(tx, deployment, transition, notice))

    @precondition(lambda self: self.all())
    @rule(data=st.data(), on=st.sampled_from(Awaited), final=st.booleans())
    def time_out(self, data: st.DataObject, on: Awaited, final: bool) -> None:
        deployment = self.one(data)
        reason = TimeoutNotice.NO_RESTART.notice()
        self.do(lambda tx: progress.timed_out(tx, deployment, on, reason, final=final))

    @precondition(lambda self: self.all())
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        uuid = self.one(data).uuid
        self.do(lambda tx: progress.cancelled(tx, SYSTEM, uuid))

    @precondition(lambda self: self.all())
    @rule(data=st.data(), asked_at=st.sampled_from([LONG_AGO, None, IN_FUTURE]))
    def fetch(self, data: st.DataObject, asked_at: str | None) -> None:
        fetched = Delivery(mac=MAC, sha256=self.one(data).sha256, ip="192.0.2.7", asked_at=asked_at or now())
        self.do(lambda tx: progress.delivered(tx, [fetched]))

    @precondition(lambda self: self.all())
    @rule(data=st.data())
    def break_off_fetch(self, data: st.DataObject) -> None:
        begun = Delivery(mac=MAC, sha256=self.one(data).sha256, ip="192.0.2.7", asked_at=now())
        self.do(lambda tx: progress.broken_off(tx, begun, StepNotice.FETCH_STARTED.notice(address="192.0.2.7")))

    @rule(content=st.sampled_from([None, *CONTENTS, b"<foreign/>"]))
    def find_on_disk(self, content: bytes | None) -> None:
        self.do(lambda tx: configs.found(tx, MAC, content))

    @rule()
    def adopt(self) -> None:
        self.do(lambda tx: configs.adopted(tx, SYSTEM, MAC, configs.about_to_adopt(tx, MAC, b"<foreign/>")))

    @rule()
    def delete_phone(self) -> None:
        self.do(lambda tx: phones.delete(tx, SYSTEM, MAC))

    @invariant()
    def columns_agree_with_the_state(self) -> None:
        for each in self.all():
            is_superseded = each.state is DeploymentState.SUPERSEDED
            assert (each.deferred_until is not None) == (each.state is DeploymentState.DEFERRED), each
            assert is_superseded or (each.written_at is None) == (each.state in UNWRITTEN), each
            assert each.fetched_at is not None or each.state is not DeploymentState.FETCHED, each


DeploymentLife.TestCase.settings = settings(max_examples=60, stateful_step_count=40)
TestDeploymentLife = DeploymentLife.TestCase


def reachable() -> Iterator[Situation]:
    """Return the situations that transitions reach from a new deployment."""
    found: set[Situation] = set()
    waiting: list[Situation | None] = [None]
    every = [Situation(state, ended) for state in DeploymentState for ended in (False, True)]
    while waiting:
        before = waiting.pop()
        new = {after for each in TRANSITIONS for after in every if each.leads(before, after)} - found
        found |= new
        waiting += new
    yield from found


def test_deployment_states_are_all_reachable() -> None:
    assert {situation.state for situation in reachable()} == set(DeploymentState)


@pytest.mark.parametrize("transition", TRANSITIONS, ids=lambda each: f"{each.steps[-1]}-{each.target}")
def test_transition_sources_are_all_reachable(transition: Transition) -> None:
    assert transition.sources <= set(reachable())
