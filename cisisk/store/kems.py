"""Key expansion modules."""

import json
import sqlite3
from collections.abc import Collection, Mapping
from typing import Any
from uuid import uuid4

from cisisk.model.clock import now
from cisisk.model.errors import Invalid, NotFound
from cisisk.model.kem import Kem
from cisisk.model.listing import Listing, Page
from cisisk.model.mac import Mac
from cisisk.model.revision import require_current
from cisisk.model.user import Actor
from cisisk.store import audit, phones
from cisisk.store.changes import change, insert
from cisisk.store.listing import ListSource
from cisisk.store.transaction import Read, Write

_SELECT = (
    "SELECT kems.uuid, kems.model, kems.mac, ip, connected_phone, kems.software_version, software_type,"
    " phones.model AS phone_model, (SELECT json_group_array(other.model) FROM kems AS other"
    " WHERE other.connected_phone = kems.connected_phone AND other.uuid <> kems.uuid) AS beside,"
    " kems.created_at, kems.updated_at, kems.revision"
    " FROM kems LEFT JOIN phones ON phones.mac = connected_phone"
)


def _kem(row: sqlite3.Row) -> Kem:
    macs = {column: Mac(row[column]) if row[column] else None for column in ("mac", "connected_phone")}
    return Kem(**{**dict(row), **macs, "beside": tuple(json.loads(row["beside"]))})


def _columns(attributes: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value.digits if isinstance(value, Mac) else value for name, value in attributes.items()}


_KEMS = ListSource(
    select=_SELECT,
    searched=(
        *("kems.mac", phones.SHOWN_MAC.format("kems.mac"), "connected_phone"),
        *(phones.SHOWN_MAC.format("connected_phone"), "kems.model", "ip", "kems.software_version", "software_type"),
    ),
    sortable=(
        *("kems.model", "kems.mac", "ip", "connected_phone", "kems.software_version", "software_type"),
        *("kems.created_at", "kems.updated_at"),
    ),
    order="connected_phone, kems.created_at, kems.uuid",
    item=_kem,
)


def page(tx: Read, listing: Listing) -> Page[Kem]:
    """Return the modules, by phone."""
    return _KEMS.page(tx, listing)


def get(tx: Read, uuid: str) -> Kem:
    """Return one module. Raises NotFound."""
    row = tx.row(f"{_SELECT} WHERE kems.uuid = ?", (uuid,))
    if row is None:
        raise NotFound("Cisco KEM not found")
    return _kem(row)


def create(tx: Write, actor: Actor, attributes: Mapping[str, Any]) -> Kem:
    """Add a module. ``attributes`` are the writable ones of a :class:`Kem`. Raises Invalid: there is no such phone."""
    _require_phone(tx, attributes)
    uuid, moment = str(uuid4()), now()
    row = {"uuid": uuid, **_columns(attributes), "created_at": moment, "updated_at": moment}
    insert(tx, "kems", row)
    kem = get(tx, uuid)
    audit.record(tx, actor, "cisco_kem.created", uuid, _payload(kem))
    return kem


def update(
    tx: Write, actor: Actor, uuid: str, attributes: Mapping[str, Any], seen: Collection[str] | None = None
) -> Kem:
    """Change the given attributes. Raises NotFound, Stale, Invalid: there is no such phone."""
    require_current(get(tx, uuid), seen)
    _require_phone(tx, attributes)
    change(tx, "kems", ("uuid", uuid), {**_columns(attributes), "updated_at": now()})
    audit.record(tx, actor, "cisco_kem.updated", uuid, {"changed": sorted(attributes)})
    return get(tx, uuid)


def delete(tx: Write, actor: Actor, uuid: str, seen: Collection[str] | None = None) -> None:
    """Remove a module. Raises NotFound, Stale."""
    kem = get(tx, uuid)
    require_current(kem, seen)
    tx.rows("DELETE FROM kems WHERE uuid = ?", (uuid,))
    audit.record(tx, actor, "cisco_kem.deleted", uuid, _payload(kem))


def _payload(kem: Kem) -> dict[str, str | None]:
    return {"model": kem.model, "connected_phone": str(kem.connected_phone) if kem.connected_phone else None}


def _require_phone(tx: Write, attributes: Mapping[str, Any]) -> None:
    phone: Mac | None = attributes.get("connected_phone")
    if phone is None:
        return
    if phones.find(tx, phone) is None:
        raise Invalid.field("connected_phone", "No such phone")
    # A discovered phone is not enough: it can be removed automatically, with its modules.
    phones.confirm(tx, phone)
