"""What happened to the deployments, step by step."""

import sqlite3
from collections.abc import Callable, Iterable

from cisisk.model.clock import Timestamp
from cisisk.model.deployment import DeploymentState, Step, StepName
from cisisk.model.mac import Mac
from cisisk.store.transaction import Read, Write

_SELECT = "SELECT number, deployment, mac, at, step, state, ended, told FROM deployment_steps"
_INSERT = "INSERT INTO deployment_steps (deployment, mac, at, step, state, ended, told) VALUES (?, ?, ?, ?, ?, ?, ?)"


def _step(row: sqlite3.Row) -> Step:
    return Step(
        number=row["number"],
        deployment=row["deployment"],
        mac=Mac(row["mac"]),
        at=row["at"],
        step=StepName(row["step"]),
        state=DeploymentState(row["state"]),
        ended=bool(row["ended"]),
        told=row["told"],
    )


def add(
    tx: Write,
    deployment: str,
    mac: Mac,
    at: Timestamp,
    step: StepName,
    told: str,
    *,
    state: DeploymentState,
    ended: bool = False,
) -> None:
    """Keep one more step of a deployment; the parameters as in :class:`Step`."""
    tx.rows(_INSERT, (deployment, mac.digits, at, step, state, ended, told))


def add_to_each(
    tx: Write,
    rows: Iterable[sqlite3.Row],
    at: Timestamp | None,
    step: StepName,
    told: Callable[[sqlite3.Row], str],
) -> None:
    """Keep the same step of several deployments, whose uuid, mac, state and ended_at are in ``rows``; and ``at``."""
    steps = [
        (row["uuid"], row["mac"], at or row["at"], step, row["state"], row["ended_at"] is not None, told(row))
        for row in rows
    ]
    if steps:
        tx.many(_INSERT, steps)


def of(tx: Read, deployment: str) -> list[Step]:
    """All steps of a deployment, the first one first."""
    return [_step(row) for row in tx.rows(f"{_SELECT} WHERE deployment = ? ORDER BY number", (deployment,))]


def after(tx: Read, number: int, limit: int, deployment: str | None = None) -> list[Step]:
    """The steps after ``number``, at most ``limit`` of them, the first one first; those of one deployment if named."""
    whose = "" if deployment is None else " AND deployment = ?"
    parameters = (number, limit) if deployment is None else (number, deployment, limit)
    rows = tx.rows(f"{_SELECT} WHERE number > ?{whose} ORDER BY number LIMIT ?", parameters)
    return [_step(row) for row in rows]


def last(tx: Read) -> int:
    """The number of the latest step; 0 when there is none."""
    row = tx.row("SELECT MAX(number) AS number FROM deployment_steps")
    return int(row["number"] or 0) if row else 0
