"""Deployments and their steps, put into a store without a switch."""

from uuid import uuid4

from cisisk.model.clock import Timestamp, now
from cisisk.model.deployment import DeploymentState, StepName
from cisisk.model.mac import Mac
from cisisk.store import steps
from cisisk.store.database import Database

SHA256 = "0" * 64


async def deployment(db: Database, mac: Mac, *, ended_at: Timestamp | None = None) -> str:
    """The uuid of a new deployment."""
    uuid = str(uuid4())
    async with db.transaction() as tx:
        await tx.rows("INSERT OR IGNORE INTO contents VALUES (?, X'00')", (SHA256,))
        await tx.rows(
            "INSERT OR IGNORE INTO config_versions (mac, sha256, origin, created_at) VALUES (?, ?, 'switch', ?)",
            (mac.digits, SHA256, now()),
        )
        await tx.rows(
            "INSERT INTO deployments (uuid, mac, sha256, profile_name, recorded_at, ended_at)"
            " VALUES (?, ?, ?, 'Desk', ?, ?)",
            (uuid, mac.digits, SHA256, now(), ended_at),
        )
    return uuid


async def happened(
    db: Database,
    uuid: str,
    mac: Mac,
    *names: StepName,
    ended: bool = False,
    at: Timestamp | None = None,
    told: str = "",
) -> None:
    """Store steps of a deployment; with ``ended`` the last one ends it."""
    async with db.transaction() as tx:
        for name in names:
            is_end = ended and name is names[-1]
            await steps.add(tx, uuid, mac, at or now(), name, told, state=DeploymentState.WRITTEN, ended=is_end)
        if ended:
            await tx.rows("UPDATE deployments SET ended_at = ? WHERE uuid = ?", (now(), uuid))
