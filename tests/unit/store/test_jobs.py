"""Jobs in the store: recorded steps, and the state after a crash."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import pytest

from cisisk.model.clock import now
from cisisk.model.codes.deployment import DeploymentFailure, StepNotice
from cisisk.model.codes.error import ErrorKind
from cisisk.model.codes.restart import RestartNotice
from cisisk.model.deployment import Deployment, DeploymentState, OnTimeout, Policy
from cisisk.model.deployment_states import END_UNOBSERVED
from cisisk.model.errors import Conflict, NotFound
from cisisk.model.listing import Listing
from cisisk.model.mac import Mac
from cisisk.model.notice import Notice
from cisisk.model.profile import Profile
from cisisk.model.restart import Attempt, RestartOutcome
from cisisk.model.start_time import IDLE, StartTime
from cisisk.model.switch_job import JobState, NewRow, RolloutPlan, SwitchJob
from cisisk.model.user import Actor, User
from cisisk.store import audit, jobs, profiles, progress
from cisisk.store.database import Database
from cisisk.store.jobs import RowOutcome
from cisisk.store.progress import Delivery
from tests.unit.plans import plan
from tests.unit.store.conftest import NewProfile, NewUser

UNOBSERVED = StepNotice.REGISTRATION_UNOBSERVABLE.notice()
REFUSED = ErrorKind.CONFLICT.notice(text="no")
TOO_FEW = ErrorKind.TEXT.notice(text="Too few")
POLICY = Policy(when=IDLE, on_timeout=OnTimeout.ROLLBACK)
PACE = RolloutPlan(canary=1, wave=2, concurrency=3, min_confirmed=0.5)
CONFIG = b"<device/>"


@pytest.fixture
async def profile(superadmin: User, new_profile: NewProfile) -> Profile:
    return await new_profile(superadmin, "Desk")


def phone(number: int) -> Mac:
    return Mac(f"AABBCCDD{number:04X}")


async def new_job(db: Database, actor: Actor, profile: Profile, numbers: Sequence[int] = (1, 2, 3)) -> SwitchJob:
    rows = [NewRow(mac=phone(number), profile_uuid=profile.uuid, cells=(number, "ä")) for number in numbers]
    return await db.write(
        jobs.create, actor, policy=POLICY, pace=PACE, columns=("no", "desk"), delimiter=";", rows=rows
    )


async def made(db: Database, actor: Actor, profile: Profile, number: int) -> Deployment:
    """Record a switch of a phone, as the switch does first."""
    return await db.write(progress.record, actor, plan(phone(number), profile, CONFIG), None)


async def taken(db: Database, actor: Actor, deployment: Deployment) -> None:
    """End the deployment with a fetch of the config."""
    await db.write(progress.written, actor, deployment, now())
    fetch = Delivery(mac=deployment.mac, sha256=deployment.sha256, ip="192.0.2.7", asked_at=now())
    await db.write(progress.delivered, [fetch])
    await db.write(progress.ended, deployment, END_UNOBSERVED, UNOBSERVED)


async def states(db: Database, job: SwitchJob) -> list[tuple[str, Notice | None]]:
    page = await db.read(jobs.rows_page, job.uuid, Listing(), None)
    return [(row.state, row.notice) for row in page.items]


async def taken_up(db: Database, job: SwitchJob) -> Mapping[int, str | None]:
    """Return the rows that have begun, and their deployments."""
    return {row.number: row.deployment for row in await db.read(jobs.progress, job.uuid) if row.has_begun}


async def audited(db: Database) -> list[str]:
    entries = (await db.read(audit.entries, Listing())).items
    return [entry.action for entry in reversed(entries) if entry.entity_type == "switch_job"]


async def test_job_is_returned_as_stored(db: Database, actor: Actor, profile: Profile) -> None:
    job = await new_job(db, actor, profile)
    assert job == await db.read(jobs.get, job.uuid)
    assert (job.state, job.reason, job.actor, job.policy, job.pace) == (JobState.RUNNING, None, actor, POLICY, PACE)
    assert (job.columns, job.delimiter, job.rows, job.ended_at) == (("no", "desk"), ";", 3, None)
    rows = await db.read(jobs.rows_after, job.uuid, 1, 1, None)
    assert [(row.number, row.mac, row.profile_uuid, row.cells) for row in rows] == [
        (2, phone(2), profile.uuid, (2, "ä"))
    ]
    assert await db.read(jobs.running) == [job]
    assert (await db.read(jobs.page, Listing())).items == [job]
    assert await audited(db) == ["switch_job.created"]
    with pytest.raises(NotFound):
        await db.read(jobs.get, profile.uuid)


async def test_rows_show_their_states(db: Database, actor: Actor, profile: Profile) -> None:
    job = await new_job(db, actor, profile, range(1, 6))
    assert await db.write(jobs.begin, job.uuid, [1, 2, 3, 4]) == {1, 2, 3, 4}
    fetched, written = await made(db, actor, profile, 1), await made(db, actor, profile, 2)
    await db.write(progress.written, actor, written, now())
    await db.write(progress.restart_tried, written, Attempt(RestartOutcome.ACCEPTED, "ami-pjsip"), "restart")
    await taken(db, actor, fetched)
    ended = await db.write(
        jobs.settle,
        [
            RowOutcome((job.uuid, 1), fetched.uuid, None),
            RowOutcome((job.uuid, 2), written.uuid, None),
            RowOutcome((job.uuid, 3), None, REFUSED),
        ],
    )
    assert ended == {fetched.uuid: DeploymentState.FETCHED}
    assert await states(db, job) == [
        ("fetched", UNOBSERVED),
        ("restarting", RestartNotice.ACCEPTED.notice(method="ami-pjsip", action="restart")),
        ("refused", REFUSED),
        ("starting", None),
        ("pending", None),
    ]
    [restarting] = (await db.read(jobs.rows_page, job.uuid, Listing(), "restarting")).items
    assert restarting.restart_outcome is RestartOutcome.ACCEPTED
    assert (await db.read(jobs.rows_page, job.uuid, Listing(limit=1), None)).total == 5
    assert [row.number for row in await db.read(jobs.rows_after, job.uuid, 0, 9, "refused")] == [3]
    counts = {"fetched": 1, "restarting": 1, "refused": 1, "starting": 1, "pending": 1}
    assert await db.read(jobs.counts, [job.uuid]) == {job.uuid: counts}
    order = [(row.number, row.end) for row in await db.read(jobs.progress, job.uuid)]
    assert sorted(order[:2]) == [(1, "fetched"), (3, "refused")]
    assert order[2:] == [(2, None), (4, None), (5, None)]


async def test_phone_in_another_running_job_is_refused(db: Database, actor: Actor, profile: Profile) -> None:
    first = await new_job(db, actor, profile, (1, 2))
    with pytest.raises(Conflict, match=f"AA:BB:CC:DD:00:02 in job {first.uuid}"):
        await new_job(db, actor, profile, (2, 3))
    # A job without waiting rows does not block the phone.
    await db.write(jobs.begin, first.uuid, [2])
    await db.write(jobs.settle, [RowOutcome((first.uuid, 2), None, REFUSED)])
    second = await new_job(db, actor, profile, (2, 3))
    await db.write(jobs.pause, actor, second.uuid)
    third = await new_job(db, actor, profile, (3,))
    with pytest.raises(Conflict, match=f"AA:BB:CC:DD:00:03 in job {third.uuid}"):
        await db.write(jobs.resume, actor, second.uuid)
    assert (await db.read(jobs.get, second.uuid)).state is JobState.PAUSED
    with pytest.raises(Conflict, match=r"00:09 in job \S+, and 3 more$"):
        await new_job(db, actor, profile, (await _many(db, actor, profile)))


async def _many(db: Database, actor: Actor, profile: Profile) -> Sequence[int]:
    await new_job(db, actor, profile, range(5, 13))
    return range(5, 13)


async def test_row_begins_once_in_running_job(db: Database, actor: Actor, profile: Profile) -> None:
    job = await new_job(db, actor, profile)
    assert await db.write(jobs.begin, job.uuid, [1]) == {1}
    assert await db.write(jobs.begin, job.uuid, [1, 2]) == {2}
    await db.write(jobs.pause, actor, job.uuid)
    assert await db.write(jobs.begin, job.uuid, [3]) == set()


async def test_recover_finds_every_begun_switch(db: Database, actor: Actor, profile: Profile) -> None:
    earlier = await made(db, actor, profile, 1)
    job = await new_job(db, actor, profile, range(1, 6))
    await db.write(jobs.begin, job.uuid, [1, 2, 3, 4])
    found, failed = await made(db, actor, profile, 2), await made(db, actor, profile, 3)
    await db.write(progress.failed, failed, DeploymentFailure.CUT_OFF.notice())
    broken = await made(db, actor, profile, 4)
    await db.write(progress.written, actor, broken, now())
    await db.write(jobs.recover)
    # Rows 1 and 3 have no deployment, so they begin again.
    assert await taken_up(db, job) == {2: found.uuid, 4: broken.uuid}
    await db.write(jobs.recover)
    assert await db.write(jobs.begin, job.uuid, [1, 2, 3, 4]) == {1, 3}
    again = await made(db, actor, profile, 1)
    assert again != earlier
    assert await db.read(jobs.deployment_of, (job.uuid, 1)) == again.uuid
    assert await db.read(jobs.deployment_of, (job.uuid, 3)) is None


async def test_recover_ignores_deployments_of_others(
    db: Database, actor: Actor, profile: Profile, new_profile: NewProfile, superadmin: User
) -> None:
    job = await new_job(db, actor, profile)
    await db.write(jobs.begin, job.uuid, [1])
    await made(db, actor, await new_profile(superadmin, "Other"), 1)
    assert await db.read(jobs.deployment_of, (job.uuid, 1)) is None


async def test_job_is_stopped_and_resumed(db: Database, actor: Actor, profile: Profile) -> None:
    job = await new_job(db, actor, profile)
    await db.write(jobs.begin, job.uuid, [1])
    await db.write(jobs.settle, [RowOutcome((job.uuid, 1), None, REFUSED)])
    assert await db.write(jobs.stop, job.uuid, TOO_FEW)
    stopped = await db.read(jobs.get, job.uuid)
    assert (stopped.state, stopped.reason, stopped.ended_at) == (JobState.STOPPED, TOO_FEW, None)
    assert not await db.write(jobs.stop, job.uuid, TOO_FEW)
    assert not await db.write(jobs.complete, job.uuid)
    with pytest.raises(Conflict, match="The job is stopped"):
        await db.write(jobs.pause, actor, job.uuid)
    resumed = await db.write(jobs.resume, actor, job.uuid)
    assert (resumed.state, resumed.reason) == (JobState.RUNNING, None)
    assert [row.number for row in await db.read(jobs.progress, job.uuid) if row.is_forgiven] == [1]
    with pytest.raises(Conflict, match="The job is running"):
        await db.write(jobs.resume, actor, job.uuid)
    assert (await db.write(jobs.pause, actor, job.uuid)).state is JobState.PAUSED
    await db.write(jobs.resume, actor, job.uuid)
    assert await db.write(jobs.complete, job.uuid)
    assert (await db.read(jobs.get, job.uuid)).ended_at is not None
    for change in (jobs.pause, jobs.resume, jobs.cancel):
        with pytest.raises(Conflict, match="The job is completed"):
            await db.write(change, actor, job.uuid)
    names = ("created", "stopped", "resumed", "paused", "resumed", "completed")
    assert await audited(db) == [f"switch_job.{name}" for name in names]


async def test_cancel_returns_deferred_deployments(db: Database, actor: Actor, profile: Profile) -> None:
    job = await new_job(db, actor, profile)
    await db.write(jobs.begin, job.uuid, [1, 2])
    deferred = await db.write(
        progress.record,
        actor,
        replace(plan(phone(1), profile, CONFIG), deferred_until=StartTime.parse("2999-01-01T00:00:00.000Z")),
        None,
    )
    late = await db.write(progress.record, actor, replace(plan(phone(2), profile, CONFIG), deferred_until=IDLE), None)
    await db.write(jobs.settle, [RowOutcome((job.uuid, 1), deferred.uuid, None)])
    assert await db.write(jobs.cancel, actor, job.uuid) == [deferred.uuid]
    assert [state for state, _ in await states(db, job)] == ["deferred", "starting", "cancelled"]
    await db.write(jobs.settle, [RowOutcome((job.uuid, 2), late.uuid, None)])
    assert await db.read(jobs.deferred_for_nothing, [late.uuid]) == [late.uuid]
    assert await audited(db) == ["switch_job.created", "switch_job.cancelled"]


async def test_profiles_are_found_by_user_and_name(
    db: Database, profile: Profile, new_user: NewUser, new_profile: NewProfile
) -> None:
    anna = await new_user("anna")
    twice = [(await new_profile(anna, "Twice")).uuid for _ in range(2)]
    found = await db.read(
        jobs.profiles_named, [("ROOT", "Desk"), ("anna", "Desk"), ("anna", "Twice"), ("unknown", "Desk")]
    )
    assert found["ROOT", "Desk"] == [profile.uuid]
    assert sorted(found["anna", "Twice"]) == sorted(twice)
    assert set(found) == {("ROOT", "Desk"), ("anna", "Twice")}
    assert await db.read(jobs.missing_profiles, [profile.uuid, "nothing"]) == {"nothing"}


async def test_rows_outlive_their_profile(db: Database, actor: Actor, profile: Profile) -> None:
    job = await new_job(db, actor, profile)
    await db.write(profiles.delete, actor, profile.uuid, None)
    assert [row.profile_uuid for row in await db.read(jobs.rows_after, job.uuid, 0, 9, None)] == [profile.uuid] * 3
