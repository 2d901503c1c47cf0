import hashlib
from dataclasses import replace
from typing import Any

import pytest

from cisisk.model.clock import now
from cisisk.model.codes.asterisk import RegistrationEvidence
from cisisk.model.codes.deployment import TimeoutNotice
from cisisk.model.codes.error import ErrorKind
from cisisk.model.codes.restart import RestartNotice, RestartRefusal
from cisisk.model.deployment import Awaited, Deployment, DeploymentState, Plan, Policy, StepName
from cisisk.model.deployment_states import NO_RESTART_NEEDED
from cisisk.model.errors import NotFound
from cisisk.model.listing import Listing
from cisisk.model.mac import Mac
from cisisk.model.profile import Profile
from cisisk.model.restart import Attempt, MethodRefusal, RestartOutcome
from cisisk.model.start_time import IDLE, StartTime
from cisisk.model.user import Actor, User
from cisisk.store import configs, deployments, phones, profiles, progress, steps
from cisisk.store.database import Database
from cisisk.store.progress import Delivery
from cisisk.store.transaction import Read, Write
from tests.unit.plans import plan
from tests.unit.store.conftest import NewProfile

FIRST, SECOND, FOREIGN = b"<first/>", b"<second/>", b"<foreign/>"
ACCEPTED = Attempt(RestartOutcome.ACCEPTED, "cgi-keys")
REFUSAL = MethodRefusal("cgi-keys", RestartRefusal.HTTP_NO_ANSWER.notice(address="192.0.2.7", seconds=2))
REFUSED = Attempt(RestartOutcome.REFUSED, refusals=(REFUSAL,))
NOT_NEEDED = Attempt(RestartOutcome.NOT_NEEDED)
DISK_FULL = ErrorKind.STORAGE_FAILED.notice(text="disk full")
LONG_AGO, IN_THE_FUTURE = "2000-01-01T00:00:00.000Z", "2199-01-01T00:00:00.000Z"


@pytest.fixture
async def profile(superadmin: User, new_profile: NewProfile) -> Profile:
    return await new_profile(superadmin, "Desk")


async def versions(db: Database, mac: Mac) -> list[tuple[bytes, str]]:
    rows = await db.read(
        Read.rows,
        "SELECT content, origin FROM config_versions JOIN contents USING (sha256) WHERE mac = ?"
        " ORDER BY config_versions.rowid",
        (mac.digits,),
    )
    return [(row["content"], row["origin"]) for row in rows]


def delivery(deployment: Deployment, *, asked_at: str = IN_THE_FUTURE, sha256: str | None = None) -> Delivery:
    return Delivery(mac=deployment.mac, sha256=sha256 or deployment.sha256, ip="192.0.2.7", asked_at=asked_at)


async def switched(db: Database, actor: Actor, mac: Mac, profile: Profile, content: bytes) -> Deployment:
    deployment = await db.write(progress.record, actor, plan(mac, profile, content), None)
    await db.write(progress.written, actor, deployment, now())
    return await db.read(deployments.get, deployment.uuid)


async def test_record_stores_deployment_and_version(db: Database, actor: Actor, mac: Mac, profile: Profile) -> None:
    made = await db.write(progress.record, actor, plan(mac, profile, FIRST), None)
    assert made == await db.read(deployments.get, made.uuid)
    assert made.sha256 == hashlib.sha256(FIRST).hexdigest()
    assert (made.mac, made.profile_uuid, made.profile_name, made.requested_by) == (
        mac,
        profile.uuid,
        "Desk",
        actor.user_uuid,
    )
    assert made.state is DeploymentState.RECORDED
    assert await versions(db, mac) == [(FIRST, "switch")]


async def test_record_adds_unknown_phone_only(db: Database, actor: Actor, mac: Mac, profile: Profile) -> None:
    await db.write(progress.record, actor, plan(mac, profile, FIRST), None)
    added = await db.read(phones.get, mac)
    await db.write(progress.record, actor, plan(mac, profile, SECOND), None)
    assert await db.read(phones.get, mac) == added
    assert (await db.read(phones.page, Listing())).total == 1


async def test_foreign_config_is_adopted_once(db: Database, actor: Actor, mac: Mac, profile: Profile) -> None:
    for _ in range(3):
        await db.write(progress.record, actor, plan(mac, profile, FIRST), FOREIGN)
    await db.write(configs.found, mac, FOREIGN)
    assert await versions(db, mac) == [(FOREIGN, "adopted"), (FIRST, "switch")]


async def test_own_config_is_not_adopted(db: Database, actor: Actor, mac: Mac, profile: Profile) -> None:
    await db.write(progress.record, actor, plan(mac, profile, FIRST), None)
    await db.write(progress.record, actor, plan(mac, profile, SECOND), FIRST)
    await db.write(configs.found, mac, SECOND)
    assert await versions(db, mac) == [(FIRST, "switch"), (SECOND, "switch")]


async def test_content_of_two_phones_is_stored_once(db: Database, actor: Actor, mac: Mac, profile: Profile) -> None:
    other = Mac("AABBCCDDEE02")
    for phone in (mac, other):
        await db.write(progress.record, actor, plan(phone, profile, FIRST), b"")
    assert await versions(db, mac) == await versions(db, other) == [(b"", "adopted"), (FIRST, "switch")]
    assert len(await db.read(Read.rows, "SELECT 1 FROM contents")) == 2


async def test_record_of_deleted_profile_is_refused(db: Database, actor: Actor, mac: Mac, profile: Profile) -> None:
    await db.write(profiles.delete, actor, profile.uuid)
    with pytest.raises(NotFound, match="Profile not found"):
        await db.write(progress.record, actor, plan(mac, profile, FIRST), FOREIGN)
    assert await versions(db, mac) == []
    assert await db.read(phones.find, mac) is None


async def test_profile_deleted_before_write_leaves_phone_without_profile(
    db: Database, actor: Actor, mac: Mac, profile: Profile
) -> None:
    made = await db.write(progress.record, actor, plan(mac, profile, FIRST), None)
    await db.write(profiles.delete, actor, profile.uuid)
    await db.write(progress.written, actor, made, now())
    assert (await db.read(phones.get, mac)).current_profile_uuid is None
    assert (await db.read(deployments.get, made.uuid)).state is DeploymentState.WRITTEN


async def test_phone_deleted_before_write_stays_deleted(db: Database, actor: Actor, mac: Mac, profile: Profile) -> None:
    made = await db.write(progress.record, actor, plan(mac, profile, FIRST), None)
    await db.write(phones.delete, actor, mac)
    await db.write(progress.written, actor, made, now())
    assert await db.read(phones.find, mac) is None


async def test_written_sets_profile_and_ends_service_session(
    db: Database, actor: Actor, mac: Mac, profile: Profile, superadmin: User
) -> None:
    made = await db.write(progress.record, actor, plan(mac, profile, FIRST), None)

    def work(tx: Write) -> None:
        for digits in (mac.digits, "AABBCCDDEE02"):
            tx.rows("INSERT INTO service_sessions VALUES (?, ?, 'ip', '2026', '2026')", (digits, superadmin.uuid))

    await db.write(work)
    await db.write(progress.written, actor, made, now())
    assert (await db.read(phones.get, mac)).current_profile_uuid == profile.uuid
    assert [row["mac"] for row in await db.read(Read.rows, "SELECT mac FROM service_sessions")] == ["AABBCCDDEE02"]
    assert (await db.read(deployments.get, made.uuid)).state is DeploymentState.WRITTEN


async def test_newer_write_supersedes_unfetched_deployment(
    db: Database, actor: Actor, mac: Mac, profile: Profile
) -> None:
    other = await switched(db, actor, Mac("AABBCCDDEE02"), profile, FIRST)
    taken = await switched(db, actor, mac, profile, FIRST)
    await db.write(progress.delivered, [delivery(taken)])
    waiting = await switched(db, actor, mac, profile, SECOND)
    recorded = await db.write(progress.record, actor, plan(mac, profile, FIRST), None)
    newest = await switched(db, actor, mac, profile, FOREIGN)
    states = {
        name: (await db.read(deployments.get, deployment.uuid)).state
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
    # The config was fetched; its registration can no longer be observed.
    assert (await db.read(deployments.get, taken.uuid)).ended_at is not None


async def test_delivery_marks_deployment_fetched(db: Database, actor: Actor, mac: Mac, profile: Profile) -> None:
    made = await switched(db, actor, mac, profile, FIRST)
    await db.write(progress.delivered, [delivery(made)])
    fetched = await db.read(deployments.get, made.uuid)
    assert (fetched.state, fetched.fetched_from) == (DeploymentState.FETCHED, "192.0.2.7")
    assert fetched.fetched_at is not None
    await db.write(progress.delivered, [delivery(made)])
    assert await db.read(deployments.get, made.uuid) == fetched


async def test_delivery_requested_before_write_marks_nothing(
    db: Database, actor: Actor, mac: Mac, profile: Profile
) -> None:
    recorded = await db.write(progress.record, actor, plan(mac, profile, FIRST), None)
    await db.write(progress.delivered, [delivery(recorded)])
    assert (await db.read(deployments.get, recorded.uuid)).state is DeploymentState.RECORDED
    await db.write(progress.written, actor, recorded, now())
    await db.write(progress.delivered, [delivery(recorded, asked_at=LONG_AGO)])
    assert (await db.read(deployments.get, recorded.uuid)).state is DeploymentState.WRITTEN


async def test_late_delivery_marks_superseded_deployment(
    db: Database, actor: Actor, mac: Mac, profile: Profile
) -> None:
    taken = await switched(db, actor, mac, profile, FIRST)
    asked_at = now()
    await db.write(Write.rows, "UPDATE deployments SET written_at = ?", (LONG_AGO,))
    newer = await switched(db, actor, mac, profile, SECOND)
    await db.write(
        Write.rows, "UPDATE deployments SET superseded_at = ? WHERE superseded_at IS NOT NULL", (IN_THE_FUTURE,)
    )
    await db.write(progress.delivered, [delivery(taken, asked_at=asked_at)])
    assert (await db.read(deployments.get, taken.uuid)).state is DeploymentState.FETCHED
    assert (await db.read(deployments.get, newer.uuid)).state is DeploymentState.WRITTEN


async def test_delivery_of_other_content_or_phone_marks_nothing(
    db: Database, actor: Actor, mac: Mac, profile: Profile
) -> None:
    made = await switched(db, actor, mac, profile, FIRST)
    await db.write(progress.delivered, [delivery(made, sha256=hashlib.sha256(SECOND).hexdigest())])
    elsewhere = Delivery(mac=Mac("AABBCCDDEE02"), sha256=made.sha256, ip="192.0.2.7", asked_at=IN_THE_FUTURE)
    await db.write(progress.delivered, [elsewhere])
    assert (await db.read(deployments.get, made.uuid)).state is DeploymentState.WRITTEN


async def test_delivery_marks_waiting_switch_of_same_content(
    db: Database, actor: Actor, mac: Mac, profile: Profile
) -> None:
    first = await switched(db, actor, mac, profile, FIRST)
    await switched(db, actor, mac, profile, SECOND)
    await db.write(Write.rows, "UPDATE deployments SET superseded_at = ? WHERE superseded_at IS NOT NULL", (LONG_AGO,))
    again = await switched(db, actor, mac, profile, FIRST)
    await db.write(progress.delivered, [delivery(again, asked_at=now())])
    assert (await db.read(deployments.get, first.uuid)).state is DeploymentState.SUPERSEDED
    assert (await db.read(deployments.get, again.uuid)).state is DeploymentState.FETCHED


async def test_awaited_lists_configs_a_delivery_can_mark(
    db: Database, actor: Actor, mac: Mac, profile: Profile
) -> None:
    assert await db.write(progress.awaited, LONG_AGO) == set()
    taken, failed = await switched(db, actor, mac, profile, FIRST), Mac("AABBCCDDEE02")
    await db.write(progress.delivered, [delivery(taken)])
    await db.write(
        progress.failed, await db.write(progress.record, actor, plan(failed, profile, FIRST), None), DISK_FULL
    )
    await db.write(progress.record, actor, plan(mac, profile, SECOND), None)
    assert await db.write(progress.awaited, LONG_AGO) == set()
    waiting = await switched(db, actor, mac, profile, SECOND)
    assert await db.write(progress.awaited, IN_THE_FUTURE) == {(mac.digits, waiting.sha256)}
    newer = await switched(db, actor, mac, profile, FOREIGN)
    assert await db.write(progress.awaited, LONG_AGO) == {(mac.digits, each.sha256) for each in (waiting, newer)}
    assert await db.write(progress.awaited, IN_THE_FUTURE) == {(mac.digits, newer.sha256)}


async def test_awaited_uses_indexes_only(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    plans: list[str] = []
    rows = Read.rows

    def explained(tx: Read, sql: str, parameters: Any = ()) -> Any:
        plans.extend(row["detail"] for row in rows(tx, f"EXPLAIN QUERY PLAN {sql}", parameters))
        return rows(tx, sql, parameters)

    monkeypatch.setattr(Read, "rows", explained)
    await db.write(progress.awaited, LONG_AGO)
    assert [plan for plan in plans if "SCAN" in plan] == []
    assert len([plan for plan in plans if "deployments_awaited" in plan]) == 2


async def test_restart_and_failure_are_stored_with_their_reasons(
    db: Database, actor: Actor, mac: Mac, profile: Profile
) -> None:
    made = await switched(db, actor, mac, profile, FIRST)
    await db.write(progress.restart_tried, made, REFUSED, "restart")
    waiting = await db.read(deployments.get, made.uuid)
    assert (waiting.state, waiting.restart_outcome) == (DeploymentState.WAITING, RestartOutcome.REFUSED)
    assert (waiting.restart_detail, waiting.restarted_at) == ((REFUSAL,), None)
    await db.write(progress.restart_tried, made, ACCEPTED, "restart")
    restarting = await db.read(deployments.get, made.uuid)
    assert (restarting.state, restarting.restart_method) == (DeploymentState.RESTARTING, "cgi-keys")
    assert restarting.restarted_at is not None
    broken = await db.write(progress.record, actor, plan(mac, profile, SECOND), None)
    await db.write(progress.failed, broken, DISK_FULL)
    failed = await db.read(deployments.get, broken.uuid)
    assert (failed.state, failed.failure) == (DeploymentState.FAILED, DISK_FULL)


async def test_unfinished_lists_interrupted_deployments_in_order(
    db: Database, actor: Actor, mac: Mac, profile: Profile
) -> None:
    recorded = await db.write(progress.record, actor, plan(mac, profile, FIRST), None)
    failed = await db.write(progress.record, actor, plan(mac, profile, FIRST), None)
    await db.write(progress.failed, failed, DISK_FULL)
    await switched(db, actor, mac, profile, SECOND)
    restarted = await switched(db, actor, mac, profile, FIRST)
    await db.write(progress.restart_tried, restarted, ACCEPTED, "restart")
    written = await switched(db, actor, Mac("AABBCCDDEE02"), profile, FIRST)
    assert [deployment.uuid for deployment in await db.read(deployments.unfinished)] == [recorded.uuid, written.uuid]
    assert [deployment.uuid for deployment in await db.read(deployments.unfinished, mac)] == [recorded.uuid]


async def test_missing_deployment_is_not_found(db: Database) -> None:
    with pytest.raises(NotFound, match="Deployment not found"):
        await db.read(deployments.get, "nothing")


def deferred(mac: Mac, profile: Profile) -> Plan:
    return replace(plan(mac, profile, SECOND), deferred_until=StartTime.parse(IN_THE_FUTURE))


async def ends(db: Database, made: Deployment) -> list[StepName]:
    return [step.step for step in await db.read(steps.of, made.uuid) if step.ended]


async def test_cancelled_deployment_does_not_fail(db: Database, actor: Actor, mac: Mac, profile: Profile) -> None:
    made = await db.write(progress.record, actor, deferred(mac, profile), None)
    await db.write(progress.cancelled, actor, made.uuid)
    await db.write(progress.failed, made, DISK_FULL)
    assert (await db.read(deployments.get, made.uuid)).state is DeploymentState.CANCELLED
    assert await ends(db, made) == [StepName.CANCELLED]


async def test_removed_phone_loses_deferred_deployment(db: Database, actor: Actor, mac: Mac, profile: Profile) -> None:
    made = await db.write(progress.record, actor, deferred(mac, profile), None)
    await db.write(phones.delete, actor, mac)
    assert (await db.read(deployments.get, made.uuid)).state is DeploymentState.SUPERSEDED


async def test_rollback_keeps_deferred_deployment(db: Database, actor: Actor, mac: Mac, profile: Profile) -> None:
    undone = await switched(db, actor, mac, profile, FIRST)
    tonight = await db.write(progress.record, actor, deferred(mac, profile), FIRST)
    await db.write(progress.record, actor, replace(plan(mac, profile, FOREIGN), rolls_back=undone.uuid), FIRST)
    assert (await db.read(deployments.get, tonight.uuid)).state is DeploymentState.DEFERRED


async def test_refused_restart_keeps_earlier_acceptance(db: Database, actor: Actor, mac: Mac, profile: Profile) -> None:
    made = await switched(db, actor, mac, profile, FIRST)
    await db.write(progress.restart_tried, made, ACCEPTED, "restart")
    again = await db.write(progress.restart_tried, made, REFUSED, "restart")
    assert (again.restart_outcome, again.restart_method, again.tries) == (RestartOutcome.ACCEPTED, "cgi-keys", 2)
    assert again.state is DeploymentState.RESTARTING


async def test_fetched_deployment_does_not_time_out_on_fetch(
    db: Database, actor: Actor, mac: Mac, profile: Profile
) -> None:
    made = await switched(db, actor, mac, profile, FIRST)
    await db.write(progress.delivered, [delivery(made)])
    await db.write(progress.timed_out, made, Awaited.FETCH, TimeoutNotice.NO_FETCH.notice(seconds=1), final=True)
    fetched = await db.read(deployments.get, made.uuid)
    assert (fetched.state, fetched.ended_at) == (DeploymentState.FETCHED, None)


async def test_fetch_of_rolled_back_config_requires_restart(
    db: Database, actor: Actor, mac: Mac, profile: Profile
) -> None:
    undone = await switched(db, actor, mac, profile, FIRST)
    asked_at = now()
    undoing = await db.write(progress.record, actor, replace(plan(mac, profile, SECOND), rolls_back=undone.uuid), FIRST)
    await db.write(progress.written, actor, undoing, IN_THE_FUTURE)
    await db.write(progress.restart_tried, undoing, NOT_NEEDED, None)
    await db.write(progress.ended, undoing, NO_RESTART_NEEDED, RestartNotice.NOT_NEEDED.notice())
    await db.write(progress.delivered, [delivery(undone, asked_at=asked_at)])
    assert (await db.read(deployments.get, undone.uuid)).state is DeploymentState.ROLLED_BACK
    reopened = await db.read(deployments.get, undoing.uuid)
    assert (reopened.tries, reopened.ended_at, reopened.state) == (0, None, DeploymentState.WAITING)


async def test_restart_after_end_adds_no_second_end(db: Database, actor: Actor, mac: Mac, profile: Profile) -> None:
    made = await switched(db, actor, mac, profile, FIRST)
    await db.write(progress.delivered, [delivery(made)])
    await db.write(progress.registered, made, RegistrationEvidence.SCCP_DEVICE.notice(name="SEP001122334455"))
    await db.write(progress.restart_tried, made, ACCEPTED, "restart")
    assert await ends(db, made) == [StepName.REGISTERED]


async def test_interrupted_deferred_deployment_is_deferred_again(
    db: Database, actor: Actor, mac: Mac, profile: Profile
) -> None:
    policy = Policy(when=IDLE)
    made = await db.write(
        progress.record, actor, replace(deferred(mac, profile), deferred_until=IDLE, policy=policy), None
    )
    begun = await db.write(progress.begun, made, plan(mac, profile, SECOND), None)
    await db.write(progress.deferred_again, begun)
    again = await db.read(deployments.get, made.uuid)
    assert (again.deferred_until, again.state) == (IDLE, DeploymentState.DEFERRED)


@pytest.mark.parametrize("text", ["", "busy", "7", "[7]", "{}x", '[{"method": "cgi-keys"}]'])
def test_refusals_that_were_edited_by_hand_are_read_as_a_reason(text: str) -> None:
    assert deployments.refusals_from_json(text) == (MethodRefusal("", ErrorKind.TEXT.notice(text=text)),)
