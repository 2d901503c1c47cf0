"""Migration of sentences from databases written before notices existed."""

import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import pytest

from cisisk.model.codes.deployment import DeploymentFailure, TimeoutNotice
from cisisk.model.codes.error import ErrorKind
from cisisk.model.codes.restart import RestartNotice, Sequel
from cisisk.model.codes.webhook import DeliveryDetail, GiveUpReason
from cisisk.model.deployment import OnTimeout
from cisisk.model.listing import Listing
from cisisk.model.notice import Notice
from cisisk.model.restart import MethodRefusal, RestartOutcome
from cisisk.model.start_time import IDLE, NOW, StartTime
from cisisk.store import deployments, jobs, migrations, steps, webhooks
from cisisk.store.database import Database

BEFORE = Path(__file__).with_name("before_notices.sql")


def text(sentence: str) -> Notice:
    return ErrorKind.TEXT.notice(text=sentence)


@pytest.fixture
async def migrated(tmp_path: Path) -> AsyncIterator[Database]:
    path = tmp_path / "cisisk.db"
    migrations.migrate(path, migrations.steps()[:11])
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(BEFORE.read_text(encoding="utf-8"))
    migrations.migrate(path, migrations.steps())
    async with Database.open(path.as_uri()) as db:
        yield db


@pytest.mark.parametrize(
    ("uuid", "outcome"),
    [
        ("accepted", RestartOutcome.ACCEPTED),
        ("refused", RestartOutcome.REFUSED),
        ("no method", RestartOutcome.NO_METHOD),
        ("not needed", RestartOutcome.NOT_NEEDED),
        ("needed", RestartOutcome.NEEDED_AFTER_ALL),
        ("superseded", RestartOutcome.SUPERSEDED),
        ("stopped", RestartOutcome.STOPPED),
        ("cut off", RestartOutcome.CUT_OFF),
        ("failed", None),
    ],
)
async def test_restart_sentence_becomes_an_outcome(
    migrated: Database, uuid: str, outcome: RestartOutcome | None
) -> None:
    deployment = await migrated.read(deployments.get, uuid)
    assert deployment.restart_outcome is outcome
    refusal = MethodRefusal("", text("cgi-keys: the phone is off; sip-notify: it is busy"))
    assert deployment.restart_detail == ((refusal,) if uuid == "refused" else ())


@pytest.mark.parametrize(
    ("uuid", "failure", "registered_as"),
    [
        ("accepted", None, text("endpoint 305 registered from 192.0.2.7 with a new Call-ID")),
        ("failed", DeploymentFailure.CUT_OFF.notice(), None),
        ("full", text("No space left on device"), None),
    ],
)
async def test_failure_and_registration_become_notices(
    migrated: Database, uuid: str, failure: Notice | None, registered_as: Notice | None
) -> None:
    deployment = await migrated.read(deployments.get, uuid)
    assert (deployment.failure, deployment.registered_as) == (failure, registered_as)


@pytest.mark.parametrize(
    ("uuid", "when", "deferred_until"),
    [
        ("refused", NOW, None),
        ("idle", IDLE, IDLE),
        ("later", StartTime.parse("2027-01-01T00:00:00.000Z"), StartTime.parse("2027-01-01T00:00:00.000Z")),
    ],
)
async def test_start_times_keep_their_form(
    migrated: Database, uuid: str, when: StartTime, deferred_until: StartTime | None
) -> None:
    deployment = await migrated.read(deployments.get, uuid)
    assert (deployment.policy.when, deployment.deferred_until) == (when, deferred_until)


async def test_known_sentences_of_steps_become_their_codes(migrated: Database) -> None:
    assert [step.notice for step in await migrated.read(steps.after, 0, 9)] == [
        text('Served as "SEP".cnf.xml'),
        TimeoutNotice.NO_RESTART.notice(),
        RestartNotice.STOPPED.notice(sequel=Sequel.WHEN_RUNNING.notice()),
    ]


async def test_jobs_keep_their_reasons(migrated: Database) -> None:
    job = await migrated.read(jobs.get, "job")
    assert job.reason == text("Of the 2 phone(s) that ended, 1 took the config: 50%, and 90% are wanted")
    assert (job.policy.when, job.policy.on_timeout) == (IDLE, OnTimeout.KEEP)
    rows = (await migrated.read(jobs.rows_page, "job", Listing(), None)).items
    assert [(row.state, row.restart_outcome, row.notice) for row in rows] == [
        ("waiting", RestartOutcome.REFUSED, TimeoutNotice.NO_RESTART.notice()),
        ("refused", None, ErrorKind.INTERNAL.notice()),
        ("refused", None, text("Profile not found")),
    ]


async def test_deliveries_keep_what_came_of_them(migrated: Database) -> None:
    found = (await migrated.read(webhooks.deliveries, "webhook", Listing())).items
    assert {each.uuid: (each.detail, each.reason) for each in found} == {
        "delivered": (DeliveryDetail.ANSWERED.notice(status=204), None),
        "untried": (None, GiveUpReason.SWITCHED_OFF.notice()),
        "tried": (text("cannot be reached: No route to host. It could not be delivered in time"), None),
        "new": (None, None),
    }
