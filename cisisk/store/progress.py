"""The progress of deployments: each fact is stored together with the step that reports it."""

import hashlib
import json
from collections.abc import Collection
from dataclasses import asdict, dataclass
from typing import TypeAlias
from uuid import uuid4

from cisisk.model import deployment_states as life
from cisisk.model.clock import Timestamp, now
from cisisk.model.codes.deployment import StepNotice
from cisisk.model.codes.restart import RestartNotice
from cisisk.model.deployment import Awaited, Deployment, DeploymentState, Origin, Plan, StepName
from cisisk.model.deployment_states import Transition
from cisisk.model.errors import Conflict
from cisisk.model.mac import Mac
from cisisk.model.notice import Notice
from cisisk.model.restart import Attempt, RestartOutcome
from cisisk.model.start_time import StartTime
from cisisk.model.user import Actor
from cisisk.store import audit, configs, deployments, moves, phone_logins, phones, profiles, running, steps
from cisisk.store.transaction import Read, Write

_ACTIONS = {Origin.SWITCH: "profile.switched", Origin.ROLLBACK: "profile.rolled_back", Origin.LOGOUT: "profile.logout"}
"""Their actions in the audit log."""
_BEGUN = {"deferred_until": None}
_FETCHES = (life.FETCH, life.FETCH_SUPERSEDED, life.FETCH_AFTERWARDS)

ConfigKey: TypeAlias = tuple[str, str]
"""A config of a phone: the digits of its MAC, and the sha256."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """A transfer of a phone's config that ``ip`` requested at ``asked_at``."""

    mac: Mac
    sha256: str
    ip: str
    asked_at: Timestamp


def record(tx: Write, actor: Actor, plan: Plan, found: bytes | None) -> Deployment:
    """Record, before anything is done, what goes to the phone now or when the plan says.

    The phone is added to the inventory if it is not in it. Unless this is a rollback, the phone's deployments that have
    not begun are superseded.

    Args:
        found: the content of the phone's file in the served directory. If it is not a version it becomes one, see
            :func:`configs.found`.

    Raises:
        NotFound: the profile has been deleted.
    """
    if plan.profile_uuid is not None:
        profiles.require(tx, plan.profile_uuid)
    phones.enter(tx, actor, plan.mac)
    configs.found(tx, plan.mac, found)
    moment = now()
    if plan.rolls_back is None:
        moves.call_off(tx, plan.mac, moment, StepNotice.SUPERSEDED.notice())
    transition = life.DEFER if plan.deferred_until else life.RECORD
    deployment = Deployment(
        uuid=str(uuid4()),
        mac=plan.mac,
        origin=plan.origin,
        profile_uuid=plan.profile_uuid,
        profile_name=plan.profile_name,
        sha256=configs.keep_version(tx, plan.mac, plan.content, plan.origin),
        replaced=_sha256(found),
        requested_by=actor.user_uuid,
        policy=plan.policy,
        state=transition.target or DeploymentState.RECORDED,
        rolls_back=plan.rolls_back,
        line=plan.line,
        before=plan.before,
        deferred_until=plan.deferred_until,
        recorded_at=moment,
    )
    deployments.add(tx, deployment)
    for step in transition.steps:
        steps.add(tx, deployment, now(), step, _recorded(plan.profile_name, plan.deferred_until))
    return deployment


def _recorded(profile: str, deferred_until: StartTime | None) -> Notice:
    if deferred_until is None:
        return StepNotice.RECORDED.notice(profile=profile)
    if deferred_until.at is None:
        return StepNotice.DEFERRED_UNTIL_IDLE.notice(profile=profile)
    return StepNotice.DEFERRED.notice(profile=profile, at=deferred_until.at)


def _sha256(content: bytes | None) -> str | None:
    return None if content is None else hashlib.sha256(content).hexdigest()


def begun(tx: Write, deployment: Deployment, plan: Plan, found: bytes | None) -> Deployment:
    """Record that a deferred deployment begins.

    Args:
        plan: what is served, and how the phone is registered now.
        found: as for :func:`record`.

    Raises:
        Conflict: it has ended meanwhile.
    """
    configs.found(tx, deployment.mac, found)
    columns = {
        **_BEGUN,
        "sha256": configs.keep_version(tx, deployment.mac, plan.content, plan.origin),
        "replaced": _sha256(found),
        "line": plan.line,
        "before": plan.before,
    }
    notice = StepNotice.RECORDED.notice(profile=deployment.profile_name)
    after = moves.move(tx, _current(tx, deployment), [life.BEGIN], now(), notice, columns)
    if after is None:
        raise Conflict("The deployment has ended, or has begun already")
    return after


def written(tx: Write, actor: Actor, deployment: Deployment, moment: Timestamp, file: str | None = None) -> None:
    """Record that the served file is this deployment's.

    The phone's profile is the deployment's from now on, and its service session ends.

    Args:
        moment: before the file was written, so that no fetch of it can be earlier.
        file: its name; None for the usual one.

    Raises:
        Conflict: the deployment has ended, or its file was written before.
    """
    mac = deployment.mac.digits
    if deployment.rolls_back is not None:
        _rolled_back(tx, deployment.rolls_back, moment)
    replaced = StepNotice.REPLACED_BY_PROFILE.notice(profile=deployment.profile_name)
    configs.supersede(tx, deployment.mac, moment, replaced, deployment.uuid)
    notice = StepNotice.WRITTEN.notice(file=file or deployment.mac.config_name, sha256=deployment.sha256)
    if moves.move(tx, _current(tx, deployment), [life.WRITE], moment, notice, {"written_at": moment}) is None:
        raise Conflict("The deployment has ended, or its file was written before")
    configs.switched(tx, deployment.mac, deployment.sha256)
    tx.rows(
        "INSERT INTO cisco_phones (mac, current_profile_uuid, created_at)"
        " SELECT mac, (SELECT uuid FROM profiles WHERE uuid = ?), ? FROM phones WHERE mac = ?"
        " ON CONFLICT (mac) DO UPDATE"
        " SET current_profile_uuid = excluded.current_profile_uuid, revision = revision + 1",
        (deployment.profile_uuid, moment, mac),
    )
    tx.rows("DELETE FROM service_sessions WHERE mac = ?", (mac,))
    phone_logins.served(tx, actor, deployment, moment)
    payload = {"deployment": deployment.uuid, "mac": str(deployment.mac), "sha256": deployment.sha256}
    entity = deployment.profile_uuid or str(deployment.mac)
    audit.record(tx, actor, _ACTIONS[deployment.origin], entity, payload)


def _rolled_back(tx: Write, uuid: str, moment: Timestamp) -> None:
    undone = deployments.get(tx, uuid)
    notice = StepNotice.ROLLED_BACK.notice()
    moves.move(tx, undone, [life.ROLL_BACK], moment, notice, {"superseded_at": undone.superseded_at or moment})


def _current(tx: Read, deployment: Deployment) -> Deployment:
    """Return a deployment as it is in this transaction."""
    return deployments.get(tx, deployment.uuid)


def failed(tx: Write, deployment: Deployment, failure: Notice) -> None:
    """Record that the file was not written, and why."""
    moment = now()
    columns = {**_BEGUN, "failed_at": moment, "failure": failure}
    moves.move(tx, _current(tx, deployment), [life.FAIL], moment, failure, columns)


def deferred_again(tx: Write, deployment: Deployment) -> None:
    """Record that a deferred deployment was cut off before it changed anything. It begins another time."""
    when = deployment.policy.when
    if when.at is None:
        notice = StepNotice.DEFERRED_AGAIN_UNTIL_IDLE.notice()
    else:
        notice = StepNotice.DEFERRED_AGAIN.notice(at=when.at)
    moves.move(tx, _current(tx, deployment), [life.DEFER_AGAIN], now(), notice, {"deferred_until": when})


def restart_tried(
    tx: Write, deployment: Deployment, attempt: Attempt, action: str | None, *, goes_on: bool = False
) -> Deployment:
    """Record the result of a restart. An accepted restart stays accepted when the next one is refused.

    Args:
        deployment: with the registration as it was before this restart.
        action: what the phone was asked for; None when it was not asked, or that is not known.
        goes_on: whether these are further methods of the same restart.

    Returns:
        The deployment after it.
    """
    before, moment = _current(tx, deployment), now()
    columns = {
        # A restart that the end of the process prevented does not count.
        "tries": before.tries + (attempt.outcome is not RestartOutcome.STOPPED and not goes_on),
        "tried_methods": (*before.tried_methods, *attempt.tried) if goes_on else attempt.tried,
        "tried_at": moment,
        "action": action,
        "line": deployment.line,
        "before": before.before or deployment.before if goes_on else deployment.before,
    }
    accepted = attempt.outcome is RestartOutcome.ACCEPTED
    if accepted or before.restart_outcome is not RestartOutcome.ACCEPTED:
        columns |= {
            "restart_outcome": attempt.outcome,
            "restart_method": attempt.method,
            "restart_detail": () if accepted else attempt.refusals,
            "restarted_at": moment if accepted else None,
        }
    notice = attempt.notice(action)
    if accepted:
        candidates = [life.ACCEPT_RESTART, life.ACCEPT_RESTART_LATE]
    else:
        candidates = [life.REFUSE_RESTART, life.REFUSE_RESTART_LATE]
    after = moves.move(tx, before, candidates, moment, notice, columns)
    return after or deployments.update(tx, before, columns)


def registered(tx: Write, deployment: Deployment, evidence: Notice) -> None:
    """Record that the phone has registered with its new config."""
    moment = now()
    columns = {"registered_at": moment, "registered_as": evidence}
    if moves.move(tx, _current(tx, deployment), [life.REGISTER], moment, evidence, columns) is not None:
        running.registered(tx, deployment.mac, deployment.sha256, moment, evidence)


def ended(tx: Write, deployment: Deployment, transition: Transition, reason: Notice) -> bool:
    """End a deployment of which nothing more is awaited. Returns whether it was until now."""
    return moves.move(tx, _current(tx, deployment), [transition], now(), reason) is not None


def timed_out(tx: Write, deployment: Deployment, on: Awaited, reason: Notice, *, final: bool) -> bool:
    """Record that something did not happen in time, unless it just has.

    Args:
        final: whether the deployment has ended; otherwise a rollback follows.

    Returns:
        Whether it still was awaited.
    """
    before = _current(tx, deployment)
    if (before.fetched_at is not None) != (on is Awaited.REGISTRATION):
        return False
    transition = life.TIME_OUT if final else life.TIME_OUT_BEFORE_ROLLBACK
    return moves.move(tx, before, [transition], now(), reason, {"timed_out_on": on}) is not None


def cancelled(tx: Write, actor: Actor, uuid: str) -> Deployment:
    """Cancel a deferred deployment.

    Raises:
        NotFound: there is none.
        Conflict: it has begun, or has ended.
    """
    deployment = deployments.get(tx, uuid)
    if deployment.ended_at is not None:
        raise Conflict(f"The deployment has ended: {deployment.state}")
    if deployment.deferred_until is None:
        raise Conflict("The deployment has begun: roll it back instead")
    moves.move(tx, deployment, [life.CANCEL], now(), StepNotice.CANCELLED.notice(), _BEGUN)
    audit.record(tx, actor, "deployment.cancelled", uuid, {"mac": str(deployment.mac)})
    return deployments.get(tx, uuid)


def awaited(tx: Write, since: Timestamp) -> set[ConfigKey]:
    """Return the configs that :func:`delivered` may mark as fetched, for transfers requested at ``since`` or later."""
    waiting = "SELECT mac, sha256 FROM deployments WHERE written_at IS NOT NULL AND fetched_at IS NULL"

    # This is a write, although it only reads: it has to see what earlier writes are about to commit.
    rows = tx.rows(
        # With OR instead of UNION, SQLite would scan all superseded deployments.
        f"{waiting} AND superseded_at IS NULL UNION ALL {waiting} AND superseded_at > ?",
        (since,),
    )
    return {(row["mac"], row["sha256"]) for row in rows}


def delivered(tx: Write, deliveries: Collection[Delivery]) -> None:
    """Record that phones acknowledged whole configs.

    A deployment that had timed out waits again, now for the registration.
    """
    asked = json.dumps([{**asdict(each), "mac": each.mac.digits} for each in deliveries])

    moment = now()
    rows = tx.rows(
        # One statement for all phones of a boot storm.
        "UPDATE deployments SET fetched_at = ?, fetched_from = asked.ip,"  # noqa: S608 -- own names
        " fetch_started_at = asked.asked_at, timed_out_on = NULL,"
        f" state = {moves.state_after(*_FETCHES)},"
        f" ended_at = CASE WHEN superseded_at IS NULL AND {moves.is_in_sources(life.FETCH)} THEN NULL ELSE ended_at END"
        " FROM (SELECT value ->> 'mac' AS phone, value ->> 'sha256' AS hash, value ->> 'ip' AS ip,"
        " value ->> 'asked_at' AS asked_at FROM json_each(?)) AS asked"
        " WHERE mac = asked.phone AND sha256 = asked.hash AND written_at <= asked.asked_at AND fetched_at IS NULL"
        " AND (superseded_at IS NULL OR superseded_at > asked.asked_at)"
        f" AND {moves.is_in_sources(*_FETCHES)}"
        " RETURNING uuid, mac, state, ended_at, fetched_from, fetch_started_at AS at",
        (moment, asked),
    )
    steps.add_to_each(
        tx, rows, None, StepName.FETCH_STARTED, lambda row: StepNotice.FETCH_STARTED.notice(address=row["fetched_from"])
    )
    steps.add_to_each(
        tx, rows, moment, StepName.FETCHED, lambda row: StepNotice.FETCHED.notice(address=row["fetched_from"])
    )
    for row in rows:
        if row["state"] == DeploymentState.ROLLED_BACK:
            _restart_after_all(tx, row["mac"], row["uuid"], moment)


def _restart_after_all(tx: Write, mac: str, taken_back: str, moment: Timestamp) -> None:
    """Have a phone restart that took a config while it was being rolled back."""
    rollbacks = deployments.rollbacks_without_restart(tx, mac, taken_back)
    columns = {"restart_outcome": RestartOutcome.NEEDED_AFTER_ALL, "tries": 0}
    notice = RestartNotice.NEEDED_AFTER_ALL.notice()
    for rollback in rollbacks:
        moves.move(tx, rollback, [life.NEED_RESTART], moment, notice, columns)


def broken_off(tx: Write, fetch: Delivery, notice: Notice) -> None:
    """Record that a phone began to fetch the config that waits for it, and did not come to its end."""
    rows = tx.rows(
        "UPDATE deployments SET fetch_started_at = COALESCE(fetch_started_at, ?) WHERE mac = ? AND sha256 = ?"  # noqa: S608 -- own names
        f" AND written_at <= ? AND fetched_at IS NULL AND superseded_at IS NULL"
        f" AND {moves.is_in_sources(life.BREAK_OFF_FETCH)} RETURNING uuid, mac, state, ended_at",
        (fetch.asked_at, fetch.mac.digits, fetch.sha256, fetch.asked_at),
    )
    steps.add_to_each(tx, rows, now(), StepName.FETCH_BROKEN_OFF, lambda _: notice)
