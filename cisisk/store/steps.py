"""The steps of deployments: what happened, in order."""

import sqlite3
from collections.abc import Callable, Iterable

from cisisk.model.clock import Timestamp
from cisisk.model.deployment import Deployment, DeploymentState, Step, StepName
from cisisk.model.mac import Mac
from cisisk.model.notice import Notice
from cisisk.store.transaction import Read, Write

_SELECT = "SELECT number, deployment, mac, at, step, state, ended, notice FROM deployment_steps"
_INSERT = "INSERT INTO deployment_steps (deployment, mac, at, step, state, ended, notice) VALUES (?, ?, ?, ?, ?, ?, ?)"


def _step(row: sqlite3.Row) -> Step:
    return Step(
        number=row["number"],
        deployment=row["deployment"],
        mac=Mac(row["mac"]),
        at=row["at"],
        step=StepName(row["step"]),
        state=DeploymentState(row["state"]),
        ended=bool(row["ended"]),
        notice=Notice.from_json(row["notice"]),
    )


def add(tx: Write, deployment: Deployment, at: Timestamp, step: StepName, notice: Notice) -> None:
    """Store a step of a deployment, which is as it is after the step."""
    has_ended = deployment.ended_at is not None
    tx.rows(
        _INSERT,
        (deployment.uuid, deployment.mac.digits, at, step, deployment.state, has_ended, notice.to_json()),
    )


def add_to_each(
    tx: Write,
    rows: Iterable[sqlite3.Row],
    at: Timestamp | None,
    step: StepName,
    notice: Callable[[sqlite3.Row], Notice],
) -> None:
    """Store the same step of several deployments.

    Args:
        rows: the uuid, mac, state and ended_at of each after the step; ``at`` too where that is not given.
    """
    steps = [
        (
            *(row["uuid"], row["mac"], at or row["at"], step, row["state"], row["ended_at"] is not None),
            notice(row).to_json(),
        )
        for row in rows
    ]
    if steps:
        tx.many(_INSERT, steps)


def of(tx: Read, deployment: str) -> list[Step]:
    """Return all steps of a deployment, in order."""
    return [_step(row) for row in tx.rows(f"{_SELECT} WHERE deployment = ? ORDER BY number", (deployment,))]


def after(tx: Read, number: int, limit: int, deployment: str | None = None) -> list[Step]:
    """Return at most ``limit`` steps after ``number``, in order; only those of one deployment if given."""
    whose = "" if deployment is None else " AND deployment = ?"
    parameters = (number, limit) if deployment is None else (number, deployment, limit)
    rows = tx.rows(f"{_SELECT} WHERE number > ?{whose} ORDER BY number LIMIT ?", parameters)
    return [_step(row) for row in rows]


def last(tx: Read) -> int:
    """Return the number of the latest step; 0 if there is none."""
    row = tx.row("SELECT MAX(number) AS number FROM deployment_steps")
    return int(row["number"] or 0) if row else 0


def restarts_of(tx: Read, mac: Mac, at_most: int) -> list[Timestamp]:
    """Return when a phone was asked to restart, the newest first. A refused restart may have happened nevertheless."""
    rows = tx.rows(
        "SELECT at FROM deployments JOIN deployment_steps ON deployment = uuid"
        " WHERE deployments.mac = ? AND step IN (?, ?) ORDER BY deployments.number DESC LIMIT ?",
        (mac.digits, StepName.RESTART_ACCEPTED, StepName.RESTART_REFUSED, at_most),
    )
    return [row["at"] for row in rows]
