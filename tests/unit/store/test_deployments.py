import hashlib
from dataclasses import replace
from typing import Any

import pytest

from cisisk.model.clock import now
from cisisk.model.deployment import (
    IDLE,
    NOT_NEEDED,
    RESTART_OK,
    Awaited,
    Deployment,
    DeploymentState,
    Plan,
    Policy,
    StepName,
)
from cisisk.model.errors import NotFound
from cisisk.model.listing import Listing
from cisisk.model.mac import Mac
from cisisk.model.profile import Profile
from cisisk.model.user import Actor, User
from cisisk.store import configs, database, deployments, phones, profiles, progress, steps
from cisisk.store.database import Database
from cisisk.store.progress import Delivery
from tests.unit.plans import plan
from tests.unit.store.conftest import NewProfile

FIRST, SECOND, FOREIGN = b"<first/>", b"<second/>", b"<foreign/>"
LONG_AGO, IN_THE_FUTURE = "2000-01-01T00:00:00.000Z", "2199-01-01T00:00:00.000Z"


@pytest.fixture
async def profile(superadmin: User, new_profile: NewProfile) -> Profile:
    return await new_profile(superadmin, "Desk")


async def versions(db: Database, mac: Mac) -> list[tuple[bytes, str]]:
    rows = await db.rows(
        "SELECT content, origin FROM config_versions JOIN contents USING (sha256) WHERE mac = ?"
        " ORDER BY config_versions.rowid",
        (mac.digits,),
    )
    return [(row["content"], row["origin"]) for row in rows]


def delivery(deployment: Deployment, *, asked_at: str = IN_THE_FUTURE, sha256: str | None = None) -> Delivery:
    return Delivery(mac=deployment.mac, sha256=sha256 or deployment.sha256, ip="192.0.2.7", asked_at=asked_at)


async def switched(db: Database, actor: Actor, mac: Mac, profile: Profile, content: bytes) -> Deployment:
    deployment = await progress.record(db, actor, plan(mac, profile, content), None)
    await progress.written(db, actor, deployment, now())
    return await deployments.get(db, deployment.uuid)


async def test_what_is_decided_is_recorded_before_it_is_done(
    db: Database, actor: Actor, mac: Mac, profile: Profile
) -> None:
    made = await progress.record(db, actor, plan(mac, profile, FIRST), None)
    assert made == await deployments.get(db, made.uuid)
    assert made.sha256 == hashlib.sha256(FIRST).hexdigest()
    assert (made.mac, made.profile_uuid, made.profile_name, made.requested_by) == (
        mac,
        profile.uuid,
        "Desk",
        actor.user_uuid,
    )
    assert made.state is DeploymentState.RECORDED
    assert await versions(db, mac) == [(FIRST, "switch")]


async def test_an_unknown_phone_is_added_and_a_known_one_left_as_it_is(
    db: Database, actor: Actor, mac: Mac, profile: Profile
) -> None:
    await progress.record(db, actor, plan(mac, profile, FIRST), None)
    added = await phones.get(db, mac)
    await progress.record(db, actor, plan(mac, profile, SECOND), None)
    assert await phones.get(db, mac) == added
    assert (await phones.page(db, Listing())).total == 1


async def test_what_somebody_else_wrote_is_adopted_once(db: Database, actor: Actor, mac: Mac, profile: Profile) -> None:
    for _ in range(3):
        await progress.record(db, actor, plan(mac, profile, FIRST), FOREIGN)
    async with db.transaction() as tx:
        await configs.found(tx, mac, FOREIGN)
    assert await versions(db, mac) == [(FOREIGN, "adopted"), (FIRST, "switch")]


async def test_what_is_ours_is_not_adopted(db: Database, actor: Actor, mac: Mac, profile: Profile) -> None:
    await progress.record(db, actor, plan(mac, profile, FIRST), None)
    await progress.record(db, actor, plan(mac, profile, SECOND), FIRST)
    async with db.transaction() as tx:
        await configs.found(tx, mac, SECOND)
    assert await versions(db, mac) == [(FIRST, "switch"), (SECOND, "switch")]


async def test_the_same_content_for_two_phones_is_kept_once(
    db: Database, actor: Actor, mac: Mac, profile: Profile
) -> None:
    other = Mac("AABBCCDDEE02")
    for phone in (mac, other):
        await progress.record(db, actor, plan(phone, profile, FIRST), b"")
    assert await versions(db, mac) == await versions(db, other) == [(b"", "adopted"), (FIRST, "switch")]
    assert len(await db.rows("SELECT 1 FROM contents")) == 2


async def test_a_deleted_profile_is_not_deployed(db: Database, actor: Actor, mac: Mac, profile: Profile) -> None:
    await profiles.delete(db, actor, profile.uuid)
    with pytest.raises(NotFound, match="Profile not found"):
        await progress.record(db, actor, plan(mac, profile, FIRST), FOREIGN)
    assert await versions(db, mac) == []
    assert await phones.find(db, mac) is None


async def test_a_profile_deleted_between_record_and_write_leaves_the_phone_without_one(
    db: Database, actor: Actor, mac: Mac, profile: Profile
) -> None:
    made = await progress.record(db, actor, plan(mac, profile, FIRST), None)
    await profiles.delete(db, actor, profile.uuid)
    await progress.written(db, actor, made, now())
    assert (await phones.get(db, mac)).current_profile_uuid is None
    assert (await deployments.get(db, made.uuid)).state is DeploymentState.WRITTEN


async def test_a_phone_deleted_between_record_and_write_stays_deleted(
    db: Database, actor: Actor, mac: Mac, profile: Profile
) -> None:
    made = await progress.record(db, actor, plan(mac, profile, FIRST), None)
    await phones.delete(db, actor, mac)
    await progress.written(db, actor, made, now())
    assert await phones.find(db, mac) is None


async def test_what_is_written_is_the_phones_profile_and_nobody_is_logged_in_on_its_screen(
    db: Database, actor: Actor, mac: Mac, profile: Profile, superadmin: User
) -> None:
    made = await progress.record(db, actor, plan(mac, profile, FIRST), None)
    async with db.transaction() as tx:
        for digits in (mac.digits, "AABBCCDDEE02"):
            await tx.rows("INSERT INTO service_sessions VALUES (?, ?, 'ip', '2026', '2026')", (digits, superadmin.uuid))
    await progress.written(db, actor, made, now())
    assert (await phones.get(db, mac)).current_profile_uuid == profile.uuid
    assert [row["mac"] for row in await db.rows("SELECT mac FROM service_sessions")] == ["AABBCCDDEE02"]
    assert (await deployments.get(db, made.uuid)).state is DeploymentState.WRITTEN


async def test_a_newer_write_supersedes_what_the_phone_was_not_seen_to_take(
    db: Database, actor: Actor, mac: Mac, profile: Profile
) -> None:
    other = await switched(db, actor, Mac("AABBCCDDEE02"), profile, FIRST)
    taken = await switched(db, actor, mac, profile, FIRST)
    await progress.delivered(db, [delivery(taken)])
    waiting = await switched(db, actor, mac, profile, SECOND)
    recorded = await progress.record(db, actor, plan(mac, profile, FIRST), None)
    newest = await switched(db, actor, mac, profile, FOREIGN)
    states = {
        name: (await deployments.get(db, deployment.uuid)).state
        for name, deployment in [
            ("other phone's", other),
            ("taken", taken),
            ("waiting", waiting),
            ("recorded", recorded),
            ("newest", newest),
        ]
    }
    assert states == {
        "other phone's": DeploymentState.WRITTEN,
        "taken": DeploymentState.FETCHED,
        "waiting": DeploymentState.SUPERSEDED,
        "recorded": DeploymentState.RECORDED,
        "newest": DeploymentState.WRITTEN,
    }
    # It was taken, and nobody will see any more whether the phone would have registered with it.
    assert (await deployments.get(db, taken.uuid)).ended_at is not None


async def test_a_delivery_marks_what_it_proves(db: Database, actor: Actor, mac: Mac, profile: Profile) -> None:
    made = await switched(db, actor, mac, profile, FIRST)
    await progress.delivered(db, [delivery(made)])
    fetched = await deployments.get(db, made.uuid)
    assert (fetched.state, fetched.fetched_from) == (DeploymentState.FETCHED, "192.0.2.7")
    assert fetched.fetched_at is not None
    await progress.delivered(db, [delivery(made)])
    assert await deployments.get(db, made.uuid) == fetched


async def test_what_was_asked_for_before_it_was_written_marks_nothing(
    db: Database, actor: Actor, mac: Mac, profile: Profile
) -> None:
    recorded = await progress.record(db, actor, plan(mac, profile, FIRST), None)
    await progress.delivered(db, [delivery(recorded)])
    assert (await deployments.get(db, recorded.uuid)).state is DeploymentState.RECORDED
    await progress.written(db, actor, recorded, now())
    await progress.delivered(db, [delivery(recorded, asked_at=LONG_AGO)])
    assert (await deployments.get(db, recorded.uuid)).state is DeploymentState.WRITTEN


async def test_what_was_taken_before_it_was_superseded_is_marked_though_it_is_told_later(
    db: Database, actor: Actor, mac: Mac, profile: Profile
) -> None:
    taken = await switched(db, actor, mac, profile, FIRST)
    asked_at = now()
    async with db.transaction() as tx:
        await tx.rows("UPDATE deployments SET written_at = ?", (LONG_AGO,))
    newer = await switched(db, actor, mac, profile, SECOND)
    async with db.transaction() as tx:
        await tx.rows("UPDATE deployments SET superseded_at = ? WHERE superseded_at IS NOT NULL", (IN_THE_FUTURE,))
    await progress.delivered(db, [delivery(taken, asked_at=asked_at)])
    assert (await deployments.get(db, taken.uuid)).state is DeploymentState.FETCHED
    assert (await deployments.get(db, newer.uuid)).state is DeploymentState.WRITTEN


async def test_another_content_or_another_phone_marks_nothing(
    db: Database, actor: Actor, mac: Mac, profile: Profile
) -> None:
    made = await switched(db, actor, mac, profile, FIRST)
    await progress.delivered(db, [delivery(made, sha256=hashlib.sha256(SECOND).hexdigest())])
    elsewhere = Delivery(mac=Mac("AABBCCDDEE02"), sha256=made.sha256, ip="192.0.2.7", asked_at=IN_THE_FUTURE)
    await progress.delivered(db, [elsewhere])
    assert (await deployments.get(db, made.uuid)).state is DeploymentState.WRITTEN


async def test_of_two_switches_to_the_same_content_the_waiting_one_is_marked(
    db: Database, actor: Actor, mac: Mac, profile: Profile
) -> None:
    first = await switched(db, actor, mac, profile, FIRST)
    await switched(db, actor, mac, profile, SECOND)
    async with db.transaction() as tx:
        await tx.rows("UPDATE deployments SET superseded_at = ? WHERE superseded_at IS NOT NULL", (LONG_AGO,))
    again = await switched(db, actor, mac, profile, FIRST)
    await progress.delivered(db, [delivery(again, asked_at=now())])
    assert (await deployments.get(db, first.uuid)).state is DeploymentState.SUPERSEDED
    assert (await deployments.get(db, again.uuid)).state is DeploymentState.FETCHED


async def test_awaited_is_what_a_delivery_can_still_mark(
    db: Database, actor: Actor, mac: Mac, profile: Profile
) -> None:
    assert await progress.awaited(db, LONG_AGO) == set()
    taken, failed = await switched(db, actor, mac, profile, FIRST), Mac("AABBCCDDEE02")
    await progress.delivered(db, [delivery(taken)])
    await progress.failed(db, await progress.record(db, actor, plan(failed, profile, FIRST), None), "the disk is full")
    await progress.record(db, actor, plan(mac, profile, SECOND), None)
    assert await progress.awaited(db, LONG_AGO) == set()
    waiting = await switched(db, actor, mac, profile, SECOND)
    assert await progress.awaited(db, IN_THE_FUTURE) == {(mac.digits, waiting.sha256)}
    newer = await switched(db, actor, mac, profile, FOREIGN)
    assert await progress.awaited(db, LONG_AGO) == {(mac.digits, each.sha256) for each in (waiting, newer)}
    assert await progress.awaited(db, IN_THE_FUTURE) == {(mac.digits, newer.sha256)}


async def test_the_awaited_are_found_without_going_through_the_history(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    plans: list[str] = []
    rows = database._AtOnce.rows

    async def explained(tx: database._AtOnce, sql: str, parameters: Any = ()) -> Any:
        plans.extend(row["detail"] for row in await rows(tx, f"EXPLAIN QUERY PLAN {sql}", parameters))
        return await rows(tx, sql, parameters)

    monkeypatch.setattr(database._AtOnce, "rows", explained)
    await progress.awaited(db, LONG_AGO)
    assert [plan for plan in plans if "SCAN" in plan] == []
    assert len([plan for plan in plans if "deployments_awaited" in plan]) == 2


async def test_the_restart_and_the_failure_are_told_in_words(
    db: Database, actor: Actor, mac: Mac, profile: Profile
) -> None:
    made = await switched(db, actor, mac, profile, FIRST)
    await progress.restart_tried(db, made, "the phone is off", None, "restart")
    waiting = await deployments.get(db, made.uuid)
    assert (waiting.state, waiting.restart, waiting.restarted_at) == (
        DeploymentState.WAITING,
        "the phone is off",
        None,
    )
    await progress.restart_tried(db, made, RESTART_OK, "cgi-keys", "restart")
    restarting = await deployments.get(db, made.uuid)
    assert (restarting.state, restarting.restart_method) == (DeploymentState.RESTARTING, "cgi-keys")
    assert restarting.restarted_at is not None
    broken = await progress.record(db, actor, plan(mac, profile, SECOND), None)
    await progress.failed(db, broken, "disk full")
    failed = await deployments.get(db, broken.uuid)
    assert (failed.state, failed.failure) == (DeploymentState.FAILED, "disk full")


async def test_the_unfinished_are_those_that_were_cut_off_the_oldest_first(
    db: Database, actor: Actor, mac: Mac, profile: Profile
) -> None:
    recorded = await progress.record(db, actor, plan(mac, profile, FIRST), None)
    failed = await progress.record(db, actor, plan(mac, profile, FIRST), None)
    await progress.failed(db, failed, "disk full")
    await switched(db, actor, mac, profile, SECOND)
    restarted = await switched(db, actor, mac, profile, FIRST)
    await progress.restart_tried(db, restarted, RESTART_OK, "cgi-keys", "restart")
    written = await switched(db, actor, Mac("AABBCCDDEE02"), profile, FIRST)
    assert [deployment.uuid for deployment in await deployments.unfinished(db)] == [recorded.uuid, written.uuid]
    assert [deployment.uuid for deployment in await deployments.unfinished(db, mac)] == [recorded.uuid]


async def test_what_is_not_there_is_not_found(db: Database) -> None:
    with pytest.raises(NotFound, match="Deployment not found"):
        await deployments.get(db, "nothing")


def deferred(mac: Mac, profile: Profile) -> Plan:
    return replace(plan(mac, profile, SECOND), deferred_until=IN_THE_FUTURE)


async def ends(db: Database, made: Deployment) -> list[StepName]:
    return [step.step for step in await steps.of(db, made.uuid) if step.ended]


async def test_what_was_cancelled_does_not_fail_any_more(
    db: Database, actor: Actor, mac: Mac, profile: Profile
) -> None:
    made = await progress.record(db, actor, deferred(mac, profile), None)
    await progress.cancelled(db, actor, made.uuid)
    await progress.failed(db, made, "the profile was deleted")
    assert (await deployments.get(db, made.uuid)).state is DeploymentState.CANCELLED
    assert await ends(db, made) == [StepName.CANCELLED]


async def test_a_phone_that_leaves_the_inventory_is_not_switched_later(
    db: Database, actor: Actor, mac: Mac, profile: Profile
) -> None:
    made = await progress.record(db, actor, deferred(mac, profile), None)
    await phones.delete(db, actor, mac)
    assert (await deployments.get(db, made.uuid)).state is DeploymentState.SUPERSEDED


async def test_a_rollback_leaves_what_is_planned_for_tonight(
    db: Database, actor: Actor, mac: Mac, profile: Profile
) -> None:
    undone = await switched(db, actor, mac, profile, FIRST)
    tonight = await progress.record(db, actor, deferred(mac, profile), FIRST)
    await progress.record(db, actor, replace(plan(mac, profile, FOREIGN), rolls_back=undone.uuid), FIRST)
    assert (await deployments.get(db, tonight.uuid)).state is DeploymentState.DEFERRED


async def test_a_restart_that_was_accepted_stays_so_when_the_next_is_refused(
    db: Database, actor: Actor, mac: Mac, profile: Profile
) -> None:
    made = await switched(db, actor, mac, profile, FIRST)
    await progress.restart_tried(db, made, RESTART_OK, "cgi-keys", "restart")
    again = await progress.restart_tried(db, made, "the phone is off", None, "restart")
    assert (again.restart, again.restart_method, again.tries) == (RESTART_OK, "cgi-keys", 2)
    assert again.state is DeploymentState.RESTARTING


async def test_what_has_just_been_fetched_does_not_time_out_for_that(
    db: Database, actor: Actor, mac: Mac, profile: Profile
) -> None:
    made = await switched(db, actor, mac, profile, FIRST)
    await progress.delivered(db, [delivery(made)])
    await progress.timed_out(db, made, Awaited.FETCH, "It has not come", final=True)
    fetched = await deployments.get(db, made.uuid)
    assert (fetched.state, fetched.ended_at) == (DeploymentState.FETCHED, None)


async def test_a_phone_that_ends_its_fetch_of_what_is_taken_back_has_to_restart(
    db: Database, actor: Actor, mac: Mac, profile: Profile
) -> None:
    undone = await switched(db, actor, mac, profile, FIRST)
    asked_at = now()
    undoing = await progress.record(db, actor, replace(plan(mac, profile, SECOND), rolls_back=undone.uuid), FIRST)
    await progress.written(db, actor, undoing, IN_THE_FUTURE)
    await progress.restart_tried(db, undoing, NOT_NEEDED, None, None)
    await progress.ended(db, undoing, StepName.WRITTEN, DeploymentState.WRITTEN, NOT_NEEDED)
    await progress.delivered(db, [delivery(undone, asked_at=asked_at)])
    assert (await deployments.get(db, undone.uuid)).state is DeploymentState.ROLLED_BACK
    reopened = await deployments.get(db, undoing.uuid)
    assert (reopened.tries, reopened.ended_at, reopened.state) == (0, None, DeploymentState.WAITING)


async def test_a_restart_after_the_end_is_no_second_end(db: Database, actor: Actor, mac: Mac, profile: Profile) -> None:
    made = await switched(db, actor, mac, profile, FIRST)
    await progress.registered(db, made, "endpoint 305")
    await progress.restart_tried(db, made, RESTART_OK, "cgi-keys", "restart")
    assert await ends(db, made) == [StepName.REGISTERED]


async def test_one_that_was_cut_off_before_it_changed_anything_is_deferred_again(
    db: Database, actor: Actor, mac: Mac, profile: Profile
) -> None:
    policy = Policy(when=IDLE)
    made = await progress.record(db, actor, replace(deferred(mac, profile), deferred_until=IDLE, policy=policy), None)
    begun = await progress.begun(db, made, plan(mac, profile, SECOND), None)
    await progress.deferred_again(db, begun)
    again = await deployments.get(db, made.uuid)
    assert (again.deferred_until, again.state) == (IDLE, DeploymentState.DEFERRED)
