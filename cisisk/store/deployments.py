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
)
from cisisk.model.errors import NotFound
from cisisk.model.mac import Mac
from cisisk.store.database import Database, Transaction
from cisisk.store.listing import Listing, Page, Source

COLUMNS = tuple(column.name for column in fields(Deployment))
"""The columns have the names of what they hold."""
_SELECT = f"SELECT {', '.join(COLUMNS)} FROM deployments"  # noqa: S608 -- own names
_NAMED = "uuid IN (SELECT value FROM json_each(?))"


def _deployment(row: sqlite3.Row) -> Deployment:
    columns: dict[str, Any] = dict(row)
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


_LIST = Source(
    select=_SELECT,
    searched=("mac", "profile_name", "state"),
    sortable=("recorded_at", "ended_at", "state", "mac", "profile_name"),
    order="number DESC",
    item=_deployment,
)


async def page(db: Database, listing: Listing, mac: Mac | None, state: DeploymentState | None) -> Page[Deployment]:
    """The deployments, the newest first; those of one phone, or in one state, if named."""
    wanted = {"mac": mac and mac.digits, "state": state}
    conditions = [f"{column} = ?" for column, value in wanted.items() if value is not None]
    return await _LIST.page(
        db, listing, " AND ".join(conditions) or "1", [value for value in wanted.values() if value is not None]
    )


async def get(db: Database | Transaction, uuid: str) -> Deployment:
    """One deployment. Raises NotFound."""
    row = await db.row(f"{_SELECT} WHERE uuid = ?", (uuid,))
    if row is None:
        raise NotFound("Deployment not found")
    return _deployment(row)


async def of_config(db: Database, mac: Mac, sha256: str) -> Deployment | None:
    """The newest deployment that served the phone this config."""
    row = await db.row(
        f"{_SELECT} WHERE mac = ? AND sha256 = ? AND written_at IS NOT NULL ORDER BY number DESC LIMIT 1",
        (mac.digits, sha256),
    )
    return None if row is None else _deployment(row)


async def still_open(db: Database, uuids: Collection[str] | None = None) -> list[Deployment]:
    """Those of which something is still awaited, the oldest first; those of ``uuids`` only if given."""
    if uuids is None:
        rows = await db.rows(f"{_SELECT} WHERE ended_at IS NULL ORDER BY number")
    else:
        rows = await db.rows(
            f"{_SELECT} WHERE ended_at IS NULL AND {_NAMED} ORDER BY number", (json.dumps(list(uuids)),)
        )
    return [_deployment(row) for row in rows]


async def unfinished(db: Database, mac: Mac | None = None) -> list[Deployment]:
    """Those that have begun and of which it is not known what became of the restart; those of one phone if named."""
    whose = "" if mac is None else " AND mac = ?"
    rows = await db.rows(
        f"{_SELECT} WHERE ended_at IS NULL AND restart IS NULL AND deferred_until IS NULL{whose} ORDER BY number",
        () if mac is None else (mac.digits,),
    )
    return [_deployment(row) for row in rows]


async def awaited_since(db: Database, mac: Mac) -> Timestamp | None:
    """When the config was written that the phone has not fetched yet; None when none waits for it."""
    row = await db.row(
        "SELECT written_at FROM deployments WHERE mac = ? AND written_at IS NOT NULL AND fetched_at IS NULL"
        " AND superseded_at IS NULL AND failed_at IS NULL ORDER BY number DESC LIMIT 1",
        (mac.digits,),
    )
    return None if row is None else str(row["written_at"])
