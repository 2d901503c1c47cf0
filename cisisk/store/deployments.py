"""Deployments, as far as they are known to have come."""

import json
import sqlite3
from collections.abc import Collection
from dataclasses import fields
from typing import Any

from cisisk.model.clock import Timestamp
from cisisk.model.deployment import (
    Awaited,
    Deployment,
    DeploymentState,
    OnTimeout,
    Origin,
    Policy,
    StepName,
)
from cisisk.model.errors import NotFound
from cisisk.model.listing import Listing, Page
from cisisk.model.mac import Mac
from cisisk.store import steps
from cisisk.store.listing import ListSource
from cisisk.store.transaction import Read, Write

COLUMNS = tuple(column.name for column in fields(Deployment))
"""The columns have the names of what they hold."""
_SELECT = f"SELECT {', '.join(COLUMNS)} FROM deployments"  # noqa: S608 -- own names
UNSETTLED = "superseded_at IS NULL AND (fetched_at IS NULL OR ended_at IS NULL)"
"""True of all that have not ended; the words of an index, with which a phone's history does not have to be read."""
_NAMED = "uuid IN (SELECT value FROM json_each(?))"


def of(row: sqlite3.Row) -> Deployment:
    """The deployment in a row that has all :data:`COLUMNS`."""
    columns: dict[str, Any] = {name: row[name] for name in COLUMNS}
    policy = json.loads(columns["policy"])
    if "on_timeout" in policy:
        policy["on_timeout"] = OnTimeout(policy["on_timeout"])
    return Deployment(
        **{
            **columns,
            "mac": Mac(columns["mac"]),
            "origin": Origin(columns["origin"]),
            "policy": Policy(**policy),
            "state": DeploymentState(columns["state"]),
            "timed_out_on": Awaited(columns["timed_out_on"]) if columns["timed_out_on"] else None,
        }
    )


_LIST = ListSource(
    select=_SELECT,
    searched=("mac", "profile_name", "state"),
    sortable=("recorded_at", "ended_at", "state", "mac", "profile_name"),
    order="number DESC",
    item=of,
)


def page(tx: Read, listing: Listing, mac: Mac | None, state: DeploymentState | None) -> Page[Deployment]:
    """The deployments, the newest first; those of one phone, or in one state, if named."""
    wanted = {"mac": mac and mac.digits, "state": state}
    conditions = [f"{column} = ?" for column, value in wanted.items() if value is not None]
    return _LIST.page(
        tx, listing, " AND ".join(conditions) or "1", [value for value in wanted.values() if value is not None]
    )


def get(tx: Read, uuid: str) -> Deployment:
    """One deployment. Raises NotFound."""
    row = tx.row(f"{_SELECT} WHERE uuid = ?", (uuid,))
    if row is None:
        raise NotFound("Deployment not found")
    return of(row)


def of_config(tx: Read, mac: Mac, sha256: str) -> Deployment | None:
    """The newest deployment that served the phone this config."""
    row = tx.row(
        f"{_SELECT} WHERE mac = ? AND sha256 = ? AND written_at IS NOT NULL ORDER BY number DESC LIMIT 1",
        (mac.digits, sha256),
    )
    return None if row is None else of(row)


def still_open(tx: Read, uuids: Collection[str] | None = None) -> list[Deployment]:
    """Those of which something is still awaited, the oldest first; those of ``uuids`` only if given."""
    if uuids is None:
        rows = tx.rows(f"{_SELECT} WHERE ended_at IS NULL ORDER BY number")
    else:
        rows = tx.rows(f"{_SELECT} WHERE ended_at IS NULL AND {_NAMED} ORDER BY number", (json.dumps(list(uuids)),))
    return [of(row) for row in rows]


def unfinished(tx: Read, mac: Mac | None = None) -> list[Deployment]:
    """Those that have begun and of which it is not known what became of the restart; those of one phone if named."""
    whose = "" if mac is None else f" AND {UNSETTLED} AND mac = ?"
    rows = tx.rows(
        f"{_SELECT} WHERE ended_at IS NULL AND restart IS NULL AND deferred_until IS NULL{whose} ORDER BY number",
        () if mac is None else (mac.digits,),
    )
    return [of(row) for row in rows]


def awaited_since(tx: Read, mac: Mac) -> Timestamp | None:
    """When the config was written that the phone has not fetched yet; None when none waits for it."""
    row = tx.row(
        "SELECT written_at FROM deployments WHERE mac = ? AND written_at IS NOT NULL AND fetched_at IS NULL"
        " AND superseded_at IS NULL AND failed_at IS NULL ORDER BY number DESC LIMIT 1",
        (mac.digits,),
    )
    return None if row is None else str(row["written_at"])


def call_off(tx: Write, mac: Mac, moment: Timestamp, told: str, *, cancelled: bool = False) -> None:
    """Those of the phone that have not begun never will: they are superseded, or ``cancelled``."""
    state = DeploymentState.CANCELLED if cancelled else DeploymentState.SUPERSEDED
    rows = tx.rows(
        f"UPDATE deployments SET state = ?, ended_at = ?, deferred_until = NULL WHERE {UNSETTLED}"  # noqa: S608 -- own words
        " AND ended_at IS NULL AND deferred_until IS NOT NULL AND mac = ? RETURNING uuid, mac, state, ended_at",
        (state, moment, mac.digits),
    )
    steps.add_to_each(tx, rows, moment, StepName(state), lambda _: told)
