"""Deployments and steps stored without a switch."""

from dataclasses import replace
from uuid import uuid4

from cisisk.model.clock import Timestamp, now
from cisisk.model.codes.error import ErrorKind
from cisisk.model.deployment import DeploymentState, StepName
from cisisk.model.mac import Mac
from cisisk.model.notice import Notice
from cisisk.store import deployments, steps
from cisisk.store.database import Database
from cisisk.store.transaction import Write

SHA256 = "0" * 64


async def deployment(db: Database, mac: Mac, *, ended_at: Timestamp | None = None) -> str:
    """Store a new deployment and return its uuid."""
    uuid = str(uuid4())

    def work(tx: Write) -> None:
        tx.rows("INSERT OR IGNORE INTO contents VALUES (?, X'00')", (SHA256,))
        tx.rows(
            "INSERT OR IGNORE INTO config_versions (mac, sha256, origin, created_at) VALUES (?, ?, 'switch', ?)",
            (mac.digits, SHA256, now()),
        )
        tx.rows(
            "INSERT INTO deployments (uuid, mac, sha256, profile_name, recorded_at, ended_at)"
            " VALUES (?, ?, ?, 'Desk', ?, ?)",
            (uuid, mac.digits, SHA256, now(), ended_at),
        )

    await db.write(work)
    return uuid


async def happened(
    db: Database,
    uuid: str,
    *names: StepName,
    ended: bool = False,
    at: Timestamp | None = None,
    notice: Notice = ErrorKind.TEXT.notice(text=""),  # noqa: B008 -- a constant
) -> None:
    """Store steps of a deployment; with ``ended`` the last step ends it."""

    def work(tx: Write) -> None:
        written = replace(deployments.get(tx, uuid), state=DeploymentState.WRITTEN)
        for name in names:
            is_end = ended and name is names[-1]
            steps.add(tx, replace(written, ended_at=now() if is_end else None), at or now(), name, notice)
        if ended:
            tx.rows("UPDATE deployments SET ended_at = ? WHERE uuid = ?", (now(), uuid))

    await db.write(work)
