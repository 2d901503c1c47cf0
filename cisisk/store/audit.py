"""The audit log: one row per action, written in the transaction of that action."""

import json
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from cisisk.model.clock import Timestamp, now
from cisisk.model.listing import Listing, Page
from cisisk.model.user import Actor
from cisisk.store.changes import insert
from cisisk.store.listing import ListSource
from cisisk.store.transaction import Read, Write


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEntry:
    """One action: who did what to which entity.

    Attributes:
        action: such as ``user.created``.
        payload: further facts; never a secret.
    """

    uuid: str
    user_uuid: str | None
    action: str
    entity_type: str
    entity_uuid: str | None
    payload: Mapping[str, Any]
    ip: str | None
    user_agent: str | None
    created_at: Timestamp


def record(
    tx: Write, actor: Actor, action: str, entity_uuid: str | None, payload: Mapping[str, Any] | None = None
) -> None:
    """Write one row. The part of ``action`` before the dot is the entity's type."""
    row = {
        "uuid": str(uuid4()),
        "user_uuid": actor.user_uuid,
        "action": action,
        "entity_type": action.partition(".")[0],
        "entity_uuid": entity_uuid,
        "payload": json.dumps(payload or {}),
        "ip": actor.ip,
        "user_agent": actor.user_agent,
        "created_at": now(),
    }
    insert(tx, "audit_log", row)


def _entry(row: sqlite3.Row) -> AuditEntry:
    return AuditEntry(**{**dict(row), "payload": json.loads(row["payload"])})


_LOG = ListSource(
    select=(
        "SELECT uuid, user_uuid, action, entity_type, entity_uuid, payload, ip, user_agent, created_at FROM audit_log"
    ),
    searched=("action", "entity_uuid", "ip"),
    sortable=("created_at", "action"),
    order="number DESC",
    item=_entry,
)


def entries(tx: Read, listing: Listing, user_uuid: str | None = None) -> Page[AuditEntry]:
    """Return the entries, the newest first; only those of one user if ``user_uuid`` is given."""
    if user_uuid is None:
        return _LOG.page(tx, listing)
    return _LOG.page(tx, listing, "user_uuid = ?", (user_uuid,))
