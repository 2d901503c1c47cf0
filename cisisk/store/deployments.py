"""Deployments and the config versions they put on phones."""

import sqlite3
from collections.abc import Collection
from dataclasses import dataclass
from typing import TypeAlias
from uuid import uuid4

from cisisk.model.clock import Timestamp, now
from cisisk.model.deployment import Deployment, Origin
from cisisk.model.errors import NotFound
from cisisk.model.mac import Mac
from cisisk.model.profile import Profile
from cisisk.model.user import Actor
from cisisk.store import audit, configs, phones, profiles
from cisisk.store.database import Database, Transaction

_SELECT = (
    "SELECT uuid, mac, sha256, profile_uuid, profile_name, requested_by, recorded_at, written_at, restart,"
    " restart_method, restarted_at, fetched_at, fetched_from, superseded_at, failed_at, failure FROM deployments"
)

ConfigKey: TypeAlias = tuple[str, str]
"""One content as the config of one phone: the digits of its MAC and the sha256."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """A phone's config was asked for at ``asked_at`` and acknowledged whole by ``ip``."""

    mac: Mac
    sha256: str
    ip: str
    asked_at: Timestamp


def _deployment(row: sqlite3.Row) -> Deployment:
    return Deployment(**{**dict(row), "mac": Mac(row["mac"])})


async def get(db: Database | Transaction, uuid: str) -> Deployment:
    """One deployment. Raises NotFound."""
    row = await db.row(f"{_SELECT} WHERE uuid = ?", (uuid,))
    if row is None:
        raise NotFound("Deployment not found")
    return _deployment(row)


async def unfinished(db: Database, mac: Mac | None = None) -> list[Deployment]:
    """Those of which it is not known what became of the restart, the oldest first; those of one phone if named."""
    cut_off = f"{_SELECT} WHERE restart IS NULL AND failed_at IS NULL AND superseded_at IS NULL"
    if mac is None:
        rows = await db.rows(f"{cut_off} ORDER BY number")
    else:
        rows = await db.rows(f"{cut_off} AND mac = ? ORDER BY number", (mac.digits,))
    return [_deployment(row) for row in rows]


async def awaited_since(db: Database, mac: Mac) -> Timestamp | None:
    """When the config was written that the phone has not fetched yet; None when none waits for it."""
    row = await db.row(
        "SELECT written_at FROM deployments WHERE mac = ? AND written_at IS NOT NULL AND fetched_at IS NULL"
        " AND superseded_at IS NULL AND failed_at IS NULL ORDER BY number DESC LIMIT 1",
        (mac.digits,),
    )
    return None if row is None else str(row["written_at"])


async def record(
    db: Database, actor: Actor, mac: Mac, profile: Profile, content: bytes, found: bytes | None
) -> Deployment:
    """Write down, before anything is done, that ``profile`` goes to the phone as ``content``.

    The phone is added to the inventory if it is not in it. ``found`` is what lies in the served directory under the
    phone's name: if it is not a version of ours it becomes one, as :func:`configs.found` tells.

    Raises:
        NotFound: the profile has been deleted.
    """
    async with db.transaction() as tx:
        await profiles.get(tx, profile.uuid)
        if await phones.find(tx, mac) is None:
            await phones.add(tx, actor, mac, {})
        await phones.confirm(tx, mac)
        await configs.found(tx, mac, found)
        sha256 = await configs.keep_version(tx, mac, content, Origin.SWITCH)
        uuid = str(uuid4())
        await tx.rows(
            "INSERT INTO deployments (uuid, mac, sha256, profile_uuid, profile_name, requested_by, recorded_at)"
            " VALUES (?, ?, ?, ?, ?, ?, ?)",
            (uuid, mac.digits, sha256, profile.uuid, profile.name, actor.user_uuid, now()),
        )
        return await get(tx, uuid)


async def written(db: Database, actor: Actor, deployment: Deployment) -> None:
    """The served file is this deployment's: it is the phone's profile now, and nobody is logged in on its screen."""
    async with db.transaction() as tx:
        moment, mac = now(), deployment.mac.digits
        await tx.rows("UPDATE deployments SET written_at = ? WHERE uuid = ?", (moment, deployment.uuid))
        await tx.rows(
            "UPDATE deployments SET superseded_at = ? WHERE mac = ? AND uuid <> ? AND written_at IS NOT NULL"
            " AND fetched_at IS NULL AND superseded_at IS NULL",
            (moment, mac, deployment.uuid),
        )
        await configs.switched(tx, deployment.mac, deployment.sha256)
        await tx.rows(
            "INSERT INTO cisco_phones (mac, current_profile_uuid, created_at)"
            " SELECT mac, (SELECT uuid FROM profiles WHERE uuid = ?), ? FROM phones WHERE mac = ?"
            " ON CONFLICT (mac) DO UPDATE"
            " SET current_profile_uuid = excluded.current_profile_uuid, revision = revision + 1",
            (deployment.profile_uuid, moment, mac),
        )
        await tx.rows("DELETE FROM service_sessions WHERE mac = ?", (mac,))
        payload = {"deployment": deployment.uuid, "mac": str(deployment.mac), "sha256": deployment.sha256}
        await audit.record(tx, actor, "profile.switched", deployment.profile_uuid, payload)


async def failed(db: Database, deployment: Deployment, why: str) -> None:
    """The file was not written."""
    async with db.transaction() as tx:
        await tx.rows("UPDATE deployments SET failed_at = ?, failure = ? WHERE uuid = ?", (now(), why, deployment.uuid))


async def restart_tried(db: Database, deployment: Deployment, outcome: str, method: str | None) -> None:
    """Keep what became of the restart: ``outcome`` as in :attr:`Deployment.restart`."""
    async with db.transaction() as tx:
        await tx.rows(
            "UPDATE deployments SET restart = ?, restart_method = ?, restarted_at = ? WHERE uuid = ?",
            (outcome, method, now() if method else None, deployment.uuid),
        )


async def awaited(db: Database, since: Timestamp) -> set[ConfigKey]:
    """What :func:`delivered` may mark of deliveries that were asked for at ``since`` or later, and that have ended."""
    waiting = "SELECT mac, sha256 FROM deployments WHERE written_at IS NOT NULL AND fetched_at IS NULL"
    # In its turn among the writers: what one of them is about to commit as written may have been delivered already.
    async with db.transaction() as tx:
        rows = await tx.rows(
            # Not one SELECT with OR, for which SQLite goes through all that was ever superseded.
            f"{waiting} AND superseded_at IS NULL UNION ALL {waiting} AND superseded_at > ?",
            (since,),
        )
    return {(row["mac"], row["sha256"]) for row in rows}


async def delivered(db: Database, deliveries: Collection[Delivery]) -> None:
    """Phones acknowledged whole configs: the deployment that waited for each is fetched."""
    async with db.transaction() as tx:
        moment = now()
        await tx.many(
            "UPDATE deployments SET fetched_at = ?, fetched_from = ? WHERE mac = ? AND sha256 = ?"
            " AND written_at <= ? AND fetched_at IS NULL AND (superseded_at IS NULL OR superseded_at > ?)",
            [(moment, each.ip, each.mac.digits, each.sha256, each.asked_at, each.asked_at) for each in deliveries],
        )
