"""Phone profiles."""

import json
import sqlite3
from collections.abc import Collection, Mapping
from typing import Any
from uuid import uuid4

from cisisk.model.clock import now
from cisisk.model.errors import Invalid, NotFound
from cisisk.model.listing import Listing, Page
from cisisk.model.phone import Software
from cisisk.model.profile import Profile, ProfileHead
from cisisk.model.revision import require_current
from cisisk.model.user import Actor
from cisisk.store import audit
from cisisk.store.changes import change
from cisisk.store.database import Database, Transaction
from cisisk.store.listing import ListSource

_SELECT = (
    "SELECT uuid, user_uuid, name, description, cnf_xml, compatible_models, software_type, placeholders,"
    " created_at, updated_at, revision FROM profiles"
)


def _profile(row: sqlite3.Row) -> Profile:
    return Profile(
        **{
            **dict(row),
            "compatible_models": tuple(json.loads(row["compatible_models"])),
            "software_type": Software(row["software_type"]) if row["software_type"] else None,
            "placeholders": bool(row["placeholders"]),
        }
    )


def _columns(attributes: Mapping[str, Any]) -> dict[str, Any]:
    columns = dict(attributes)
    if "compatible_models" in columns:
        columns["compatible_models"] = json.dumps(list(columns["compatible_models"]))
    return columns


_PROFILES = ListSource(
    select=_SELECT,
    searched=("name", "description"),
    sortable=("name", "software_type", "created_at", "updated_at"),
    order="name, uuid",
    item=_profile,
)


async def page(db: Database, listing: Listing, user_uuid: str | None = None) -> Page[Profile]:
    """The profiles by name; those of one user if named."""
    if user_uuid is None:
        return await _PROFILES.page(db, listing)
    return await _PROFILES.page(db, listing, "user_uuid = ?", (user_uuid,))


async def heads(db: Database, user_uuid: str) -> list[ProfileHead]:
    """One user's profiles by name, without their configs."""
    rows = await db.rows(
        "SELECT uuid, name, compatible_models, software_type FROM profiles WHERE user_uuid = ? ORDER BY name, uuid",
        (user_uuid,),
    )
    return [
        ProfileHead(
            uuid=row["uuid"],
            name=row["name"],
            compatible_models=tuple(json.loads(row["compatible_models"])),
            software_type=Software(row["software_type"]) if row["software_type"] else None,
        )
        for row in rows
    ]


async def get(db: Database | Transaction, uuid: str) -> Profile:
    """One profile. Raises NotFound."""
    row = await db.row(f"{_SELECT} WHERE uuid = ?", (uuid,))
    if row is None:
        raise NotFound("Profile not found")
    return _profile(row)


async def require(tx: Transaction, uuid: str) -> None:
    """Raise NotFound when there is no such profile, within a transaction."""
    if await tx.row("SELECT 1 FROM profiles WHERE uuid = ?", (uuid,)) is None:
        raise NotFound("Profile not found")


async def create(db: Database, actor: Actor, attributes: Mapping[str, Any]) -> Profile:
    """Add a profile. ``attributes`` are those of :class:`Profile`. Raises Invalid: no such user."""
    async with db.transaction() as tx:
        return await get(tx, await add(tx, actor, attributes))


async def add(tx: Transaction, actor: Actor, attributes: Mapping[str, Any]) -> str:
    """The same within a transaction; the uuid of the new profile."""
    await _require_user(tx, attributes)
    uuid, moment = str(uuid4()), now()
    row = {
        "uuid": uuid,
        "compatible_models": "[]",
        "placeholders": False,
        **_columns(attributes),
        "created_at": moment,
        "updated_at": moment,
    }
    await tx.rows(
        f"INSERT INTO profiles ({', '.join(row)}) VALUES ({', '.join('?' * len(row))})",  # noqa: S608 -- our names
        tuple(row.values()),
    )
    payload = {"name": attributes["name"], "user_uuid": attributes["user_uuid"]}
    await audit.record(tx, actor, "profile.created", uuid, payload)
    return uuid


async def update(
    db: Database, actor: Actor, uuid: str, attributes: Mapping[str, Any], seen: Collection[str] | None = None
) -> Profile:
    """Change the given attributes; phones keep what they have. Raises NotFound, Stale, Invalid (no such user)."""
    async with db.transaction() as tx:
        require_current(await get(tx, uuid), seen)
        await _require_user(tx, attributes)
        await change(tx, "profiles", ("uuid", uuid), {**_columns(attributes), "updated_at": now()})
        await audit.record(tx, actor, "profile.updated", uuid, {"changed": sorted(attributes)})
        return await get(tx, uuid)


async def delete(db: Database, actor: Actor, uuid: str, seen: Collection[str] | None = None) -> None:
    """Remove a profile; phones keep what they were given. Raises NotFound, Stale."""
    async with db.transaction() as tx:
        profile = await get(tx, uuid)
        require_current(profile, seen)
        await tx.rows("DELETE FROM profiles WHERE uuid = ?", (uuid,))
        await audit.record(tx, actor, "profile.deleted", uuid, {"name": profile.name, "user_uuid": profile.user_uuid})


async def require_named(tx: Transaction, field: str, attributes: Mapping[str, Any]) -> None:
    """See that ``field`` of ``attributes``, if it is there and not None, is the uuid of a profile. Raises Invalid."""
    uuid = attributes.get(field)
    if uuid is not None and not await tx.row("SELECT 1 FROM profiles WHERE uuid = ?", (uuid,)):
        raise Invalid.field(field, "No such profile")


async def _require_user(tx: Transaction, attributes: Mapping[str, Any]) -> None:
    if "user_uuid" in attributes and not await tx.row("SELECT 1 FROM users WHERE uuid = ?", (attributes["user_uuid"],)):
        raise Invalid.field("user_uuid", "No such user")
