"""The services that phones offer to users."""

import sqlite3
from collections.abc import Collection, Mapping
from typing import Any
from uuid import uuid4

from cisisk.model.clock import now
from cisisk.model.errors import NotFound
from cisisk.model.listing import Listing, Page
from cisisk.model.revision import require_current
from cisisk.model.service import Service
from cisisk.model.user import Actor
from cisisk.store import audit
from cisisk.store.changes import change, insert
from cisisk.store.listing import ListSource
from cisisk.store.transaction import Read, Write

_SELECT = "SELECT uuid, name, url, type, created_at, updated_at, revision FROM services"


def _service(row: sqlite3.Row) -> Service:
    return Service(**dict(row))


_SERVICES = ListSource(
    select=_SELECT,
    searched=("name", "url", "type"),
    sortable=("name", "url", "type", "created_at", "updated_at"),
    order="name, uuid",
    item=_service,
)


def page(tx: Read, listing: Listing) -> Page[Service]:
    """Return the services, by name."""
    return _SERVICES.page(tx, listing)


def get(tx: Read, uuid: str) -> Service:
    """Return one service. Raises NotFound."""
    row = tx.row(f"{_SELECT} WHERE uuid = ?", (uuid,))
    if row is None:
        raise NotFound("Cisco service not found")
    return _service(row)


def create(tx: Write, actor: Actor, columns: Mapping[str, Any]) -> Service:
    """Add a service. ``columns`` are the writable columns of a :class:`Service`."""
    uuid, moment = str(uuid4()), now()
    insert(tx, "services", {"uuid": uuid, **columns, "created_at": moment, "updated_at": moment})
    audit.record(tx, actor, "cisco_service.created", uuid, {"name": columns.get("name")})
    return get(tx, uuid)


def update(
    tx: Write, actor: Actor, uuid: str, columns: Mapping[str, Any], seen: Collection[str] | None = None
) -> Service:
    """Change the given columns. Raises NotFound, Stale."""
    require_current(get(tx, uuid), seen)
    change(tx, "services", ("uuid", uuid), {**columns, "updated_at": now()})
    audit.record(tx, actor, "cisco_service.updated", uuid, {"changed": sorted(columns)})
    return get(tx, uuid)


def delete(tx: Write, actor: Actor, uuid: str, seen: Collection[str] | None = None) -> None:
    """Remove a service. Raises NotFound, Stale."""
    service = get(tx, uuid)
    require_current(service, seen)
    tx.rows("DELETE FROM services WHERE uuid = ?", (uuid,))
    audit.record(tx, actor, "cisco_service.deleted", uuid, {"name": service.name})
