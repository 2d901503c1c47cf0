"""What becomes of deployments: each fact is stored together with the step that tells it."""

import hashlib
import json
from collections.abc import Collection
from dataclasses import asdict, dataclass
from typing import TypeAlias
from uuid import uuid4

from cisisk.model.clock import Timestamp, now
from cisisk.model.deployment import (
    NOT_NEEDED,
    RESTART_OK,
    Awaited,
    Deployment,
    DeploymentState,
    Origin,
    Plan,
    StepName,
    when_it_begins,
)
from cisisk.model.errors import Conflict
from cisisk.model.mac import Mac
from cisisk.model.user import Actor
from cisisk.store import audit, configs, deployments, phone_logins, phones, profiles, steps
from cisisk.store.transaction import Write

_VALUES = ", ".join("?" * len(deployments.COLUMNS))
_INSERT = f"INSERT INTO deployments ({', '.join(deployments.COLUMNS)}) VALUES ({_VALUES})"  # noqa: S608 -- own names
_ACTIONS = {Origin.SWITCH: "profile.switched", Origin.ROLLBACK: "profile.rolled_back", Origin.LOGOUT: "profile.logout"}
"""What the audit log calls them."""

_TAKEN_ALL_THE_SAME = "The phone has taken the config that was taken back, while that was done. It is to restart"

ConfigKey: TypeAlias = tuple[str, str]
"""One content as the config of one phone: the digits of its MAC and the sha256."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """A phone's config was asked for by ``ip`` at ``asked_at``, and sent."""

    mac: Mac
    sha256: str
    ip: str
    asked_at: Timestamp


def record(tx: Write, actor: Actor, plan: Plan, found: bytes | None) -> Deployment:
    """Write down, before anything is done, what goes to the phone; or that it will, when its time has come.

    The phone is added to the inventory if it is not in it. ``found`` is what lies in the served directory under the
    phone's name: if it is not a version of ours it becomes one, as :func:`configs.found` tells. Those of the phone that
    have not begun never will, unless this is a rollback.

    Raises:
        NotFound: the profile has been deleted.
    """
    if plan.profile_uuid is not None:
        profiles.require(tx, plan.profile_uuid)
    phones.enter(tx, actor, plan.mac)
    configs.found(tx, plan.mac, found)
    moment = now()
    if plan.rolls_back is None:
        deployments.call_off(tx, plan.mac, moment, "A newer switch of this phone was accepted")
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
        state=DeploymentState.DEFERRED if plan.deferred_until else DeploymentState.RECORDED,
        rolls_back=plan.rolls_back,
        line=plan.line,
        before_peer=plan.before_peer,
        before_call_id=plan.before_call_id,
        deferred_until=plan.deferred_until,
        recorded_at=moment,
    )
    _insert(tx, deployment)
    later = f", {when_it_begins(plan.deferred_until)}" if plan.deferred_until else ""
    _told(tx, deployment, StepName(deployment.state), f"{plan.profile_name}{later}")
    return deployment


def _insert(tx: Write, deployment: Deployment) -> None:
    values = {name: getattr(deployment, name) for name in deployments.COLUMNS}
    values |= {"mac": deployment.mac.digits, "policy": json.dumps(asdict(deployment.policy))}
    tx.rows(_INSERT, list(values.values()))


def _sha256(content: bytes | None) -> str | None:
    return None if content is None else hashlib.sha256(content).hexdigest()


def begun(tx: Write, deployment: Deployment, plan: Plan, found: bytes | None) -> Deployment:
    """A deferred deployment begins; ``plan`` tells what is served, and how the phone is registered now.

    ``found`` is as for :func:`record`.

    Raises:
        Conflict: it has ended meanwhile.
    """
    configs.found(tx, deployment.mac, found)
    row = tx.row(
        "UPDATE deployments SET deferred_until = NULL, state = ?, sha256 = ?, replaced = ?, line = ?,"
        " before_peer = ?, before_call_id = ?"
        " WHERE uuid = ? AND ended_at IS NULL AND deferred_until IS NOT NULL RETURNING *",
        (
            DeploymentState.RECORDED,
            configs.keep_version(tx, deployment.mac, plan.content, plan.origin),
            _sha256(found),
            plan.line,
            plan.before_peer,
            plan.before_call_id,
            deployment.uuid,
        ),
    )
    if row is None:
        raise Conflict("The deployment has ended, or has begun already")
    begun = deployments.of(row)
    _told(tx, begun, StepName.RECORDED, begun.profile_name)
    return begun


def written(tx: Write, actor: Actor, deployment: Deployment, moment: Timestamp) -> None:
    """The served file is this deployment's: it is the phone's profile now, and nobody is logged in on its screen.

    Args:
        moment: before the file was written, so that no fetch of it can be earlier.
    """
    mac = deployment.mac.digits
    if deployment.rolls_back is not None:
        _rolled_back(tx, deployment.rolls_back, moment)
    configs.supersede(tx, deployment.mac, moment, f"{deployment.profile_name} replaces it", deployment.uuid)
    rows = tx.rows(
        "UPDATE deployments SET written_at = ?, state = ? WHERE uuid = ? RETURNING uuid, mac, state, ended_at",
        (moment, DeploymentState.WRITTEN, deployment.uuid),
    )
    told = f"Served as {deployment.mac.config_name}, and read back whole (sha256 {deployment.sha256[:12]})"
    steps.add_to_each(tx, rows, moment, StepName.WRITTEN, lambda _: told)
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


def failed(tx: Write, deployment: Deployment, why: str) -> None:
    """The file was not written."""
    moment = now()
    rows = tx.rows(
        "UPDATE deployments SET failed_at = ?, ended_at = ?, failure = ?, state = ?, deferred_until = NULL"
        " WHERE uuid = ? AND ended_at IS NULL RETURNING uuid, mac, state, ended_at",
        (moment, moment, why, DeploymentState.FAILED, deployment.uuid),
    )
    steps.add_to_each(tx, rows, moment, StepName.FAILED, lambda _: why)


def deferred_again(tx: Write, deployment: Deployment) -> None:
    """One that had been deferred was cut off before it changed anything: it begins another time."""
    moment = now()
    rows = tx.rows(
        "UPDATE deployments SET deferred_until = ?, state = ? WHERE uuid = ? AND ended_at IS NULL"
        " RETURNING uuid, mac, state, ended_at",
        (deployment.policy.when, DeploymentState.DEFERRED, deployment.uuid),
    )
    told = f"Cut off before it began; it begins {when_it_begins(deployment.policy.when)}"
    steps.add_to_each(tx, rows, moment, StepName.DEFERRED, lambda _: told)


def restart_tried(
    tx: Write, deployment: Deployment, outcome: str, method: str | None, action: str | None, *, counts: bool = True
) -> Deployment:
    """Keep what became of a restart: ``outcome`` as in :attr:`Deployment.restart`; the deployment after it.

    A restart that was accepted once stays so when the next one is refused.

    Args:
        deployment: with the registration as it was before this restart.
        counts: whether the phone was told, or tried to be.
    """
    accepted = outcome == RESTART_OK

    moment = now()
    [row] = tx.rows(
        "UPDATE deployments SET tries = tries + ?, tried_at = ?, action = ?, line = ?, before_peer = ?,"
        " before_call_id = ? WHERE uuid = ? RETURNING *",
        (
            counts,
            moment,
            action,
            deployment.line,
            deployment.before_peer,
            deployment.before_call_id,
            deployment.uuid,
        ),
    )
    if accepted or row["restart"] != RESTART_OK:
        state = DeploymentState.RESTARTING if accepted else DeploymentState.WAITING
        [row] = tx.rows(
            "UPDATE deployments SET restart = ?, restart_method = ?, restarted_at = ?,"
            " state = CASE WHEN ended_at IS NULL AND fetched_at IS NULL THEN ? ELSE state END WHERE uuid = ?"
            " RETURNING *",
            (outcome, method, moment if accepted else None, state, deployment.uuid),
        )
    after = deployments.of(row)
    if after.ended_at is None:
        step = StepName.RESTART_ACCEPTED if accepted else StepName.RESTART_REFUSED
        _told(tx, after, step, f"{method}: {action or 'restart'}" if accepted else outcome)
    return after


def registered(tx: Write, deployment: Deployment, evidence: str) -> None:
    """The phone has registered with its new config."""
    moment = now()
    rows = tx.rows(
        "UPDATE deployments SET registered_at = ?, registered_as = ?, state = ?, ended_at = ?"
        " WHERE uuid = ? AND ended_at IS NULL RETURNING uuid, mac, state, ended_at",
        (moment, evidence, DeploymentState.CONFIRMED, moment, deployment.uuid),
    )
    steps.add_to_each(tx, rows, moment, StepName.REGISTERED, lambda _: evidence)


def ended(tx: Write, deployment: Deployment, step: StepName, state: DeploymentState, told: str) -> bool:
    """Nothing more is awaited. Whether it was until now."""
    moment = now()
    rows = tx.rows(
        "UPDATE deployments SET state = ?, ended_at = ?, deferred_until = NULL WHERE uuid = ? AND ended_at IS NULL"
        " RETURNING uuid, mac, state, ended_at",
        (state, moment, deployment.uuid),
    )
    steps.add_to_each(tx, rows, moment, step, lambda _: told)
    return bool(rows)


def timed_out(tx: Write, deployment: Deployment, on: Awaited, told: str, *, final: bool) -> bool:
    """Something did not happen in time, unless it just has. If that is not ``final``, something is done about it.

    Returns:
        Whether it still was awaited.
    """
    moment = now()
    rows = tx.rows(
        "UPDATE deployments SET state = ?, ended_at = ?, timed_out_on = ? WHERE uuid = ? AND ended_at IS NULL"
        " AND (fetched_at IS NOT NULL) = ? RETURNING uuid, mac, state, ended_at",
        (DeploymentState.TIMED_OUT, moment if final else None, on, deployment.uuid, on is Awaited.REGISTRATION),
    )
    steps.add_to_each(tx, rows, moment, StepName.TIMED_OUT, lambda _: told)
    return bool(rows)


def cancelled(tx: Write, actor: Actor, uuid: str) -> Deployment:
    """A deferred deployment is called off.

    Raises:
        NotFound: there is none.
        Conflict: it has begun, or has ended.
    """
    deployment = deployments.get(tx, uuid)
    if deployment.ended_at is not None:
        raise Conflict(f"The deployment has ended: {deployment.state}")
    if deployment.deferred_until is None:
        raise Conflict("The deployment has begun: roll it back instead")
    deployments.call_off(tx, deployment.mac, now(), "Called off", cancelled=True)
    audit.record(tx, actor, "deployment.cancelled", uuid, {"mac": str(deployment.mac)})
    return deployments.get(tx, uuid)


def awaited(tx: Write, since: Timestamp) -> set[ConfigKey]:
    """What :func:`delivered` may mark of deliveries that were asked for at ``since`` or later, and that have ended."""
    waiting = "SELECT mac, sha256 FROM deployments WHERE written_at IS NOT NULL AND fetched_at IS NULL"

    # A write, although it only reads: it sees what an earlier write is about to commit as written.
    rows = tx.rows(
        # Not one SELECT with OR, for which SQLite goes through all that was ever superseded.
        f"{waiting} AND superseded_at IS NULL UNION ALL {waiting} AND superseded_at > ?",
        (since,),
    )
    return {(row["mac"], row["sha256"]) for row in rows}


def delivered(tx: Write, deliveries: Collection[Delivery]) -> None:
    """Phones acknowledged whole configs: the deployment that waited for each is fetched.

    One that had timed out waits again, now for the registration.
    """
    asked = json.dumps([{**asdict(each), "mac": each.mac.digits} for each in deliveries])

    moment = now()
    rows = tx.rows(
        "UPDATE deployments SET fetched_at = ?, fetched_from = asked.ip,"
        " fetch_started_at = asked.asked_at, timed_out_on = NULL,"
        " state = CASE WHEN state IN ('rolled_back', 'confirmed') THEN state ELSE 'fetched' END,"
        " ended_at = CASE WHEN superseded_at IS NULL AND state <> 'confirmed' THEN NULL ELSE ended_at END"
        " FROM (SELECT value ->> 'mac' AS phone, value ->> 'sha256' AS hash, value ->> 'ip' AS ip,"
        " value ->> 'asked_at' AS asked_at FROM json_each(?)) AS asked"
        " WHERE mac = asked.phone AND sha256 = asked.hash AND written_at <= asked.asked_at AND fetched_at IS NULL"
        " AND (superseded_at IS NULL OR superseded_at > asked.asked_at)"
        " RETURNING uuid, mac, state, ended_at, fetched_from, fetch_started_at AS at",
        (moment, asked),
    )
    steps.add_to_each(tx, rows, None, StepName.FETCH_STARTED, lambda row: f"{row['fetched_from']} has asked for it")
    steps.add_to_each(tx, rows, moment, StepName.FETCHED, lambda row: f"{row['fetched_from']} has taken it whole")
    for row in rows:
        if row["state"] == DeploymentState.ROLLED_BACK:
            _restart_after_all(tx, row["mac"], row["uuid"], moment)


def _restart_after_all(tx: Write, mac: str, taken_back: str, moment: Timestamp) -> None:
    """A phone has come to the end of a config that was taken back meanwhile: it has to come for what is served now."""
    rows = tx.rows(
        "UPDATE deployments SET restart = ?, tries = 0, state = ?, ended_at = NULL WHERE mac = ? AND rolls_back = ?"
        " AND restart = ? AND superseded_at IS NULL AND fetched_at IS NULL RETURNING uuid, mac, state, ended_at",
        (_TAKEN_ALL_THE_SAME, DeploymentState.WAITING, mac, taken_back, NOT_NEEDED),
    )
    steps.add_to_each(tx, rows, moment, StepName.RESTART_REFUSED, lambda _: _TAKEN_ALL_THE_SAME)


def broken_off(tx: Write, fetch: Delivery, told: str) -> None:
    """A phone has begun to fetch the config that waits for it, and has not come to its end."""
    rows = tx.rows(
        "UPDATE deployments SET fetch_started_at = COALESCE(fetch_started_at, ?) WHERE mac = ? AND sha256 = ?"
        " AND written_at <= ? AND fetched_at IS NULL AND superseded_at IS NULL"
        " RETURNING uuid, mac, state, ended_at",
        (fetch.asked_at, fetch.mac.digits, fetch.sha256, fetch.asked_at),
    )
    steps.add_to_each(tx, rows, now(), StepName.FETCH_BROKEN_OFF, lambda _: told)


def _rolled_back(tx: Write, uuid: str, moment: Timestamp) -> None:
    rows = tx.rows(
        "UPDATE deployments SET state = ?, superseded_at = COALESCE(superseded_at, ?), ended_at = COALESCE(ended_at, ?)"
        " WHERE uuid = ? RETURNING uuid, mac, state, ended_at",
        (DeploymentState.ROLLED_BACK, moment, moment, uuid),
    )
    told = "The phone is served again what it was served before"
    steps.add_to_each(tx, rows, moment, StepName.ROLLED_BACK, lambda _: told)


def _told(tx: Write, deployment: Deployment, step: StepName, told: str) -> None:
    steps.add(tx, deployment.uuid, deployment.mac, now(), step, told, state=deployment.state)
