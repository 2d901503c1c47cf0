"""Deployments and their states."""

import json
import sqlite3
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import fields, replace
from typing import Any

from cisisk.model.clock import Timestamp
from cisisk.model.deployment import Awaited, Deployment, DeploymentState, Origin
from cisisk.model.errors import NotFound
from cisisk.model.listing import Listing, Page
from cisisk.model.mac import Mac
from cisisk.model.notice import Notice
from cisisk.model.registration import Before
from cisisk.model.restart import MethodRefusal, RestartOutcome, TriedMethod, Worth
from cisisk.model.start_time import StartTime
from cisisk.store import policies
from cisisk.store.changes import insert
from cisisk.store.listing import ListSource
from cisisk.store.transaction import Read, Write

COLUMNS = tuple(column.name for column in fields(Deployment))
"""The columns have the names of the attributes."""
_SELECT = f"SELECT {', '.join(COLUMNS)} FROM deployments"  # noqa: S608 -- own names
UNSETTLED = "superseded_at IS NULL AND (fetched_at IS NULL OR ended_at IS NULL)"
"""An SQL condition that holds for all deployments that have not ended. It is the condition of a partial index, which
spares a scan of the history."""
_NAMED = "uuid IN (SELECT value FROM json_each(?))"


def of(row: sqlite3.Row) -> Deployment:
    """Return the deployment in a row with all :data:`COLUMNS`."""
    columns: dict[str, Any] = dict(zip(COLUMNS, row, strict=True))
    for name, (_, from_stored) in _FORMS.items():
        if columns[name] is not None:
            columns[name] = from_stored(columns[name])
    return Deployment(**columns)


def _stored(columns: Mapping[str, Any]) -> dict[str, Any]:
    """The stored forms of attributes of a deployment."""
    return {
        name: value if value is None or name not in _FORMS else _FORMS[name][0](value)
        for name, value in columns.items()
    }


def add(tx: Write, deployment: Deployment) -> None:
    """Store a new deployment."""
    insert(tx, "deployments", _stored({name: getattr(deployment, name) for name in COLUMNS}))


def _several_to_json(several: Sequence[MethodRefusal | TriedMethod]) -> str:
    """The stored form of methods that were refused, or tried."""
    return json.dumps([each.plain() for each in several])


def refusals_from_json(text: str) -> tuple[MethodRefusal, ...]:
    """The methods that were refused, from their stored form. Other text, of a row edited by hand, is a reason."""
    try:
        return tuple(MethodRefusal(each["method"], Notice.from_plain(each["reason"])) for each in json.loads(text))
    except (LookupError, TypeError, ValueError):
        return (MethodRefusal("", Notice.from_json(text)),)


def _tried_from_json(text: str) -> tuple[TriedMethod, ...]:
    return tuple(TriedMethod(each["method"], Worth(each["worth"])) for each in json.loads(text))


_FORMS: dict[str, tuple[Callable[[Any], Any], Callable[[Any], Any]]] = {
    "mac": (lambda mac: mac.digits, Mac),
    "origin": (str, Origin),
    "policy": (policies.to_json, policies.from_json),
    "state": (str, DeploymentState),
    "deferred_until": (str, StartTime.parse),
    "before": (Before.to_json, Before.from_json),
    "restart_outcome": (str, RestartOutcome),
    "restart_detail": (_several_to_json, refusals_from_json),
    "tried_methods": (_several_to_json, _tried_from_json),
    "registered_as": (Notice.to_json, Notice.from_json),
    "failure": (Notice.to_json, Notice.from_json),
    "timed_out_on": (str, Awaited),
}
"""The columns whose stored form is not their value: what writes them, and what reads them."""


_LIST = ListSource(
    select=_SELECT,
    searched=("mac", "profile_name", "state"),
    sortable=("recorded_at", "ended_at", "state", "mac", "profile_name"),
    order="number DESC",
    item=of,
)


def page(tx: Read, listing: Listing, mac: Mac | None, state: DeploymentState | None) -> Page[Deployment]:
    """Return the deployments, the newest first; only those of one phone or in one state if given."""
    wanted = {"mac": mac and mac.digits, "state": state}
    conditions = [f"{column} = ?" for column, value in wanted.items() if value is not None]
    return _LIST.page(
        tx, listing, " AND ".join(conditions) or "1", [value for value in wanted.values() if value is not None]
    )


def get(tx: Read, uuid: str) -> Deployment:
    """Return one deployment. Raises NotFound."""
    row = tx.row(f"{_SELECT} WHERE uuid = ?", (uuid,))
    if row is None:
        raise NotFound("Deployment not found")
    return of(row)


def of_config(tx: Read, mac: Mac, sha256: str) -> Deployment | None:
    """Return the newest deployment that served the phone this config, or None."""
    row = tx.row(
        f"{_SELECT} WHERE mac = ? AND sha256 = ? AND written_at IS NOT NULL ORDER BY number DESC LIMIT 1",
        (mac.digits, sha256),
    )
    return None if row is None else of(row)


def still_open(tx: Read, uuids: Collection[str] | None = None) -> list[Deployment]:
    """Return the deployments that have not ended, the oldest first; only those of ``uuids`` if given."""
    if uuids is None:
        rows = tx.rows(f"{_SELECT} WHERE ended_at IS NULL ORDER BY number")
    else:
        rows = tx.rows(f"{_SELECT} WHERE ended_at IS NULL AND {_NAMED} ORDER BY number", (json.dumps(list(uuids)),))
    return [of(row) for row in rows]


def unfinished(tx: Read, mac: Mac | None = None) -> list[Deployment]:
    """Return the deployments that have begun without a recorded restart; only those of one phone if given."""
    whose = "" if mac is None else f" AND {UNSETTLED} AND mac = ?"
    rows = tx.rows(
        f"{_SELECT} WHERE ended_at IS NULL AND restart_outcome IS NULL AND deferred_until IS NULL{whose}"
        " ORDER BY number",
        () if mac is None else (mac.digits,),
    )
    return [of(row) for row in rows]


def awaited_since(tx: Read, mac: Mac) -> Timestamp | None:
    """Return when the config was written that the phone has not fetched yet, or None if there is none."""
    row = tx.row(
        "SELECT written_at FROM deployments WHERE mac = ? AND written_at IS NOT NULL AND fetched_at IS NULL"
        " AND superseded_at IS NULL AND failed_at IS NULL ORDER BY number DESC LIMIT 1",
        (mac.digits,),
    )
    return None if row is None else str(row["written_at"])


def deferred(tx: Read, mac: Mac) -> list[Deployment]:
    """Return the phone's deployments that have not begun."""
    return _of_phone(tx, mac, "ended_at IS NULL AND deferred_until IS NOT NULL")


def replaceable(tx: Read, mac: Mac) -> list[Deployment]:
    """Return the phone's deployments that were written, and that another config replaces."""
    return _of_phone(tx, mac, "written_at IS NOT NULL")


def _of_phone(tx: Read, mac: Mac, condition: str) -> list[Deployment]:
    rows = tx.rows(f"{_SELECT} WHERE {UNSETTLED} AND {condition} AND mac = ?", (mac.digits,))
    return [of(row) for row in rows]


def rollbacks_without_restart(tx: Read, mac: str, uuid: str) -> list[Deployment]:
    """Return the rollbacks of a deployment for which the phone, given by its digits, did not have to restart."""
    rows = tx.rows(
        f"{_SELECT} WHERE mac = ? AND rolls_back = ? AND restart_outcome = ? AND superseded_at IS NULL",
        (mac, uuid, RestartOutcome.NOT_NEEDED),
    )
    return [of(row) for row in rows]


def update(tx: Write, deployment: Deployment, columns: Mapping[str, Any]) -> Deployment:
    """Set columns of a deployment, by the attributes of :class:`Deployment`. Returns the deployment after it.

    Args:
        deployment: as this transaction has read it.
    """
    assignments = ", ".join(f"{name} = ?" for name in columns)
    tx.rows(
        f"UPDATE deployments SET {assignments} WHERE uuid = ?",  # noqa: S608 -- own names
        (*_stored(columns).values(), deployment.uuid),
    )
    return replace(deployment, **columns)
