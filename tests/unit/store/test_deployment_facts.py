"""What each fact does to a deployment in each situation.

The tables repeat no code: they say what must happen. A transition that is missing from the model fails here.
"""

import hashlib
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace

import pytest

from cisisk.model.codes.error import ErrorKind
from cisisk.model.deployment import Awaited, Deployment, Plan, Policy
from cisisk.model.deployment_states import END_UNOBSERVED, KEEP, NO_RESTART_NEEDED, is_allowed, situation_of
from cisisk.model.errors import Conflict
from cisisk.model.mac import Mac
from cisisk.model.restart import Attempt, RestartOutcome
from cisisk.model.start_time import IDLE
from cisisk.model.user import SYSTEM
from cisisk.store import configs, deployments, phones, profiles, progress, steps, users
from cisisk.store.progress import Delivery
from cisisk.store.transaction import Write
from tests.unit.plans import plan
from tests.unit.store.memory import connect

MAC = Mac("AABBCCDDEE01")
CONFIG, OTHER = b"<device/>", b"<other/>"
WRITTEN, ASKED, REPLACED, TOO_LATE = (f"2{century}00-01-01T00:00:00.000Z" for century in range(4))
"""Times in order. The clock of the tests is earlier than all but the first."""
NOTICE = ErrorKind.TEXT.notice(text="")
USER = {
    "first_name": "Anna",
    "last_name": "Arendt",
    "username": "anna",
    "email": "anna@example.org",
    "lang": "en",
    "timezone": "UTC",
}


class Phone:
    """A phone in its own store, with one deployment."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self.tx = tx = Write(connection)
        owner = users.create(tx, SYSTEM, USER, "$hash")
        self._profile = profiles.create(tx, SYSTEM, {"user_uuid": owner.uuid, "name": "Desk", "cnf_xml": CONFIG})
        self._uuid = ""

    def take(self, fact: "Fact") -> None:
        """Store a fact in one transaction."""
        self._connection.execute("BEGIN")
        try:
            fact(self)
        except Conflict:
            self._connection.execute("ROLLBACK")
        else:
            self._connection.execute("COMMIT")

    @property
    def deployment(self) -> Deployment:
        return deployments.get(self.tx, self._uuid)

    def plan(self, content: bytes) -> Plan:
        return plan(MAC, self._profile, content)

    @property
    def served(self) -> bytes | None:
        """Return what the phone is served."""
        served = configs.served_to(self.tx, MAC)
        return configs.content_of(self.tx, served.sha256) if served and served.sha256 else None

    def record(self) -> None:
        self._uuid = progress.record(self.tx, SYSTEM, self.plan(CONFIG), self.served).uuid

    def defer(self) -> None:
        deferred = replace(self.plan(CONFIG), policy=Policy(when=IDLE), deferred_until=IDLE)
        self._uuid = progress.record(self.tx, SYSTEM, deferred, self.served).uuid

    def begin(self) -> None:
        progress.begun(self.tx, self.deployment, self.plan(CONFIG), self.served)

    def defer_again(self) -> None:
        recorded = replace(self.deployment, policy=Policy(when=IDLE))
        progress.deferred_again(self.tx, recorded)

    def cancel(self) -> None:
        progress.cancelled(self.tx, SYSTEM, self._uuid)

    def write(self) -> None:
        progress.written(self.tx, SYSTEM, self.deployment, WRITTEN)

    def fail(self) -> None:
        progress.failed(self.tx, self.deployment, NOTICE)

    def restart(self, outcome: RestartOutcome) -> None:
        progress.restart_tried(self.tx, self.deployment, Attempt(outcome), "restart")

    def accept(self) -> None:
        self.restart(RestartOutcome.ACCEPTED)

    def refuse(self) -> None:
        self.restart(RestartOutcome.REFUSED)

    def leave_alone(self) -> None:
        self.restart(RestartOutcome.NOT_NEEDED)

    def fetch(self, asked_at: str = ASKED) -> None:
        progress.delivered(self.tx, [self._delivery(asked_at)])

    def fetch_too_late(self) -> None:
        self.fetch(TOO_LATE)

    def break_off(self) -> None:
        progress.broken_off(self.tx, self._delivery(ASKED), NOTICE)

    def _delivery(self, asked_at: str) -> Delivery:
        sha256 = hashlib.sha256(CONFIG).hexdigest()
        return Delivery(mac=MAC, sha256=sha256, ip="192.0.2.7", asked_at=asked_at)

    def register(self) -> None:
        progress.registered(self.tx, self.deployment, NOTICE)

    def time_out(self, *, final: bool = True) -> None:
        on = Awaited.REGISTRATION if self.deployment.fetched_at else Awaited.FETCH
        progress.timed_out(self.tx, self.deployment, on, NOTICE, final=final)

    def time_out_before_rollback(self) -> None:
        self.time_out(final=False)

    def keep(self) -> None:
        progress.ended(self.tx, self.deployment, KEEP, NOTICE)

    def end_unobserved(self) -> None:
        progress.ended(self.tx, self.deployment, END_UNOBSERVED, NOTICE)

    def end_without_restart(self) -> None:
        progress.ended(self.tx, self.deployment, NO_RESTART_NEEDED, NOTICE)

    def replace(self) -> None:
        newer = progress.record(self.tx, SYSTEM, self.plan(OTHER), self.served)
        progress.written(self.tx, SYSTEM, newer, REPLACED)

    def accept_newer(self) -> None:
        progress.record(self.tx, SYSTEM, self.plan(OTHER), self.served)

    def change_outside(self) -> None:
        configs.found(self.tx, MAC, OTHER)

    def roll_back(self) -> None:
        undoing = progress.record(self.tx, SYSTEM, replace(self.plan(OTHER), rolls_back=self._uuid), self.served)
        progress.written(self.tx, SYSTEM, undoing, REPLACED)

    def turn_to_the_rollback(self) -> None:
        """Continue with the rollback as the deployment."""
        [row] = self.tx.rows("SELECT uuid FROM deployments WHERE rolls_back IS NOT NULL")
        self._uuid = row["uuid"]

    def remove(self) -> None:
        phones.delete(self.tx, SYSTEM, MAC)


Fact = Callable[[Phone], object]
PATHS: dict[str, list[Fact]] = {
    "deferred": [Phone.defer],
    "cancelled.": [Phone.defer, Phone.cancel],
    "recorded": [Phone.record],
    "failed.": [Phone.record, Phone.fail],
    "written": [Phone.record, Phone.write],
    "restarting": [Phone.record, Phone.write, Phone.accept],
    "waiting": [Phone.record, Phone.write, Phone.refuse],
    "fetched": [Phone.record, Phone.write, Phone.accept, Phone.fetch],
    "fetched.": [Phone.record, Phone.write, Phone.accept, Phone.fetch, Phone.end_unobserved],
    "confirmed.": [Phone.record, Phone.write, Phone.accept, Phone.fetch, Phone.register],
    "confirmed. unfetched": [Phone.record, Phone.write, Phone.accept, Phone.register],
    "timed_out": [Phone.record, Phone.write, Phone.accept, Phone.time_out_before_rollback],
    "timed_out fetched": [Phone.record, Phone.write, Phone.accept, Phone.fetch, Phone.time_out_before_rollback],
    "timed_out.": [Phone.record, Phone.write, Phone.refuse, Phone.time_out],
    "timed_out. fetched": [Phone.record, Phone.write, Phone.accept, Phone.fetch, Phone.time_out],
    "written.": [Phone.record, Phone.write, Phone.leave_alone, Phone.end_without_restart],
    "superseded.": [Phone.record, Phone.write, Phone.accept, Phone.replace],
    "fetched. superseded": [Phone.record, Phone.write, Phone.accept, Phone.fetch, Phone.replace],
    "timed_out. superseded": [Phone.record, Phone.write, Phone.accept, Phone.time_out, Phone.replace],
    "rolled_back.": [Phone.record, Phone.write, Phone.accept, Phone.roll_back],
    "rolled_back. fetched": [Phone.record, Phone.write, Phone.accept, Phone.fetch, Phone.roll_back],
}
"""How a deployment reaches a situation. A situation is a state, with a full stop if it has ended, and other facts."""
REPLACED_STATES = {
    "written": "superseded.",
    "restarting": "superseded.",
    "waiting": "superseded.",
    "fetched": "fetched.",
    "confirmed. unfetched": "confirmed.",
    "timed_out": "superseded.",
    "timed_out fetched": "timed_out.",
    "timed_out.": "timed_out.",
    "written.": "written.",
}
FETCHED_STATES = {
    "written": "fetched",
    "restarting": "fetched",
    "waiting": "fetched",
    "confirmed. unfetched": "confirmed.",
    "timed_out": "fetched",
    "timed_out.": "fetched",
    "written.": "fetched",
}
EXPECTED: list[tuple[Fact, dict[str, str]]] = [
    (Phone.begin, {"deferred": "recorded"}),
    (Phone.defer_again, {"recorded": "deferred"}),
    (Phone.cancel, {"deferred": "cancelled."}),
    (Phone.write, {"recorded": "written"}),
    (Phone.fail, {"deferred": "failed.", "recorded": "failed."}),
    (
        Phone.accept,
        {
            "written": "restarting",
            "restarting": "restarting",
            "waiting": "restarting",
            "fetched": "fetched",
            "timed_out": "timed_out",
            "timed_out fetched": "timed_out",
        },
    ),
    (
        Phone.refuse,
        {
            "written": "waiting",
            "restarting": "restarting",
            "waiting": "waiting",
            "fetched": "fetched",
            "timed_out": "timed_out",
            "timed_out fetched": "timed_out",
        },
    ),
    (
        Phone.fetch,
        {
            **FETCHED_STATES,
            "superseded.": "fetched.",
            "timed_out. superseded": "fetched.",
            "rolled_back.": "rolled_back.",
        },
    ),
    (Phone.fetch_too_late, FETCHED_STATES),
    (
        Phone.break_off,
        {
            "written": "written",
            "restarting": "restarting",
            "waiting": "waiting",
            "confirmed. unfetched": "confirmed.",
            "timed_out": "timed_out",
            "timed_out.": "timed_out.",
            "written.": "written.",
        },
    ),
    (
        Phone.register,
        {
            "restarting": "confirmed.",
            "fetched": "confirmed.",
            "timed_out": "confirmed.",
            "timed_out fetched": "confirmed.",
        },
    ),
    (Phone.time_out, {"restarting": "timed_out.", "waiting": "timed_out.", "fetched": "timed_out."}),
    (Phone.time_out_before_rollback, {"restarting": "timed_out", "waiting": "timed_out", "fetched": "timed_out"}),
    (Phone.keep, {"timed_out": "timed_out.", "timed_out fetched": "timed_out."}),
    (Phone.end_unobserved, {"fetched": "fetched."}),
    (Phone.end_without_restart, {"waiting": "written."}),
    (Phone.replace, {"deferred": "superseded.", **REPLACED_STATES}),
    (Phone.change_outside, REPLACED_STATES),
    (
        Phone.roll_back,
        dict.fromkeys(
            [
                *("written", "restarting", "waiting", "fetched", "timed_out", "timed_out fetched"),
                *("written.", "fetched.", "confirmed.", "confirmed. unfetched", "timed_out.", "timed_out. fetched"),
                *("superseded.", "fetched. superseded", "timed_out. superseded"),
            ],
            "rolled_back.",
        ),
    ),
    (Phone.accept_newer, {"deferred": "superseded."}),
    (Phone.remove, {"deferred": "superseded."}),
]
"""The effect of a fact. In situations that are not listed, the state stays and there is no step."""


def stands(phone: Phone) -> str:
    """Return the state of the deployment, with a full stop if it has ended."""
    deployment = phone.deployment
    return f"{deployment.state}{'.' if deployment.ended_at else ''}"


def outcomes(fact: Fact) -> dict[str, str]:
    """Return the situation after a fact for each situation in which the fact adds a step."""
    found = {}
    for situation, path in PATHS.items():
        with closing(connect()) as connection:
            phone = Phone(connection)
            for each in path:
                phone.take(each)
            last = steps.last(phone.tx)
            assert stands(phone) == situation.split()[0]
            before = situation_of(phone.deployment)
            phone.take(fact)
            after, left = situation_of(phone.deployment), steps.after(phone.tx, last, 9, phone.deployment.uuid)
            if left:
                found[situation] = stands(phone)
            # The statements that move many deployments at once repeat what the table says.
            assert all(is_allowed(before, each.step, after) for each in left) if left else before == after, situation
    return found


@pytest.mark.parametrize(("fact", "expected"), EXPECTED, ids=[fact.__name__ for fact, _ in EXPECTED])
def test_fact_moves_the_deployment_as_expected_in_every_situation(fact: Fact, expected: dict[str, str]) -> None:
    assert outcomes(fact) == expected


@pytest.mark.parametrize("has_ended", [False, True])
def test_fetch_of_the_undone_config_makes_its_rollback_restart_the_phone(has_ended: bool) -> None:
    with closing(connect()) as connection:
        phone = Phone(connection)
        path = [Phone.record, Phone.write, Phone.accept, Phone.roll_back, Phone.turn_to_the_rollback, Phone.leave_alone]
        for fact in [*path, Phone.end_without_restart] if has_ended else path:
            phone.take(fact)
        assert stands(phone) == ("written." if has_ended else "waiting")
        phone.take(Phone.fetch)
        assert (stands(phone), phone.deployment.restart_outcome, phone.deployment.tries) == (
            "waiting",
            RestartOutcome.NEEDED_AFTER_ALL,
            0,
        )
