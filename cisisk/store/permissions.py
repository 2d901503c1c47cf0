"""Permissions, and which user holds which."""

import sqlite3
from collections.abc import Collection, Mapping
from typing import Any
from uuid import uuid4

from cisisk.model.clock import now
from cisisk.model.errors import Conflict, Invalid, NotFound
from cisisk.model.listing import Listing, Page
from cisisk.model.revision import require_current
from cisisk.model.user import SUPERADMIN_LEVEL, SUPERADMIN_PERMISSION, Actor, Permission, UserPermission
from cisisk.store import audit, users
from cisisk.store.changes import change
from cisisk.store.database import Database, Transaction
from cisisk.store.listing import ListSource

_SELECT = "SELECT uuid, level, name, description, created_at, updated_at, revision FROM permissions"
_SELECT_HELD = (
    "SELECT user_uuid, perm_uuid, level, name AS perm_name, created_at, revision"
    " FROM user_permissions JOIN permissions ON perm_uuid = permissions.uuid"
)


def _permission(row: sqlite3.Row) -> Permission:
    return Permission(**dict(row))


_PERMISSIONS = ListSource(
    select=_SELECT,
    searched=("name", "description"),
    sortable=("level", "name", "created_at", "updated_at"),
    order="level, name",
    item=_permission,
)


async def page(db: Database, listing: Listing) -> Page[Permission]:
    """The permissions, by level."""
    return await _PERMISSIONS.page(db, listing)


async def get(db: Database | Transaction, uuid: str) -> Permission:
    """One permission. Raises NotFound."""
    row = await db.row(f"{_SELECT} WHERE uuid = ?", (uuid,))
    if row is None:
        raise NotFound("Permission not found")
    return _permission(row)


async def create(db: Database, actor: Actor, columns: Mapping[str, Any]) -> Permission:
    """Add a permission. Raises Conflict when the name is taken."""
    async with db.transaction() as tx:
        uuid, moment = str(uuid4()), now()
        await _require_free(tx, columns, uuid)
        await tx.rows(
            "INSERT INTO permissions (uuid, level, name, description, created_at, updated_at)"
            " VALUES (?, ?, ?, ?, ?, ?)",
            (uuid, columns["level"], columns["name"], columns.get("description"), moment, moment),
        )
        await audit.record(tx, actor, "permission.created", uuid, {"name": columns["name"], "level": columns["level"]})
        return await get(tx, uuid)


async def update(
    db: Database, actor: Actor, uuid: str, columns: Mapping[str, Any], seen: Collection[str] | None = None
) -> Permission:
    """Change the given columns.

    Raises:
        NotFound: no such permission.
        Stale: not the version ``seen``.
        Conflict: the name is taken, the seeded permission would no longer be one for everything, or nobody would be
            left who may do everything.
    """
    async with db.transaction() as tx:
        require_current(await get(tx, uuid), seen)
        if uuid == SUPERADMIN_PERMISSION and columns.get("level", SUPERADMIN_LEVEL) != SUPERADMIN_LEVEL:
            raise Conflict("The superadmin permission keeps its level")
        await _require_free(tx, columns, uuid)
        await change(tx, "permissions", ("uuid", uuid), {**columns, "updated_at": now()})
        await users.require_a_superadmin(tx)
        await audit.record(tx, actor, "permission.updated", uuid, {"changed": sorted(columns)})
        return await get(tx, uuid)


async def delete(db: Database, actor: Actor, uuid: str, seen: Collection[str] | None = None) -> None:
    """Remove a permission that nobody holds. Raises NotFound, Stale, and Conflict when it is held or the seeded one."""
    async with db.transaction() as tx:
        permission = await get(tx, uuid)
        require_current(permission, seen)
        if uuid == SUPERADMIN_PERMISSION:
            raise Conflict("The superadmin permission cannot be deleted")
        if await tx.row("SELECT 1 FROM user_permissions WHERE perm_uuid = ? LIMIT 1", (uuid,)):
            raise Conflict("Users hold this permission. Give them another one first")
        await tx.rows("DELETE FROM permissions WHERE uuid = ?", (uuid,))
        await audit.record(tx, actor, "permission.deleted", uuid, {"name": permission.name})


async def held_by(db: Database | Transaction, user_uuid: str) -> UserPermission:
    """What a user holds. Raises NotFound: no such user, or one without a permission."""
    row = await db.row(f"{_SELECT_HELD} WHERE user_uuid = ?", (user_uuid,))
    if row is None:
        raise NotFound("User permission not found")
    return UserPermission(**dict(row))


async def give(db: Database, actor: Actor, user_uuid: str, perm_uuid: str) -> UserPermission:
    """Let a user hold this permission instead of any other.

    Raises:
        Invalid: no such user or permission.
        Conflict: nobody would be left who may do everything.
    """
    async with db.transaction() as tx:
        for field, table, uuid in (("user_uuid", "users", user_uuid), ("perm_uuid", "permissions", perm_uuid)):
            if await tx.row(f"SELECT 1 FROM {table} WHERE uuid = ?", (uuid,)) is None:  # noqa: S608 -- one of two names
                raise Invalid.field(field, "No such " + field.partition("_")[0].replace("perm", "permission"))
        await tx.rows("INSERT OR REPLACE INTO user_permissions VALUES (?, ?)", (user_uuid, perm_uuid))
        await users.require_a_superadmin(tx)
        await audit.record(tx, actor, "user.permission_given", user_uuid, {"perm_uuid": perm_uuid})
        return await held_by(tx, user_uuid)


async def take(db: Database, actor: Actor, user_uuid: str, seen: Collection[str] | None = None) -> None:
    """Leave a user without any permission. Raises NotFound, Stale, and Conflict as the others."""
    async with db.transaction() as tx:
        held = await held_by(tx, user_uuid)
        require_current(held, seen)
        await tx.rows("DELETE FROM user_permissions WHERE user_uuid = ?", (user_uuid,))
        await users.require_a_superadmin(tx)
        await audit.record(tx, actor, "user.permission_taken", user_uuid, {"perm_uuid": held.perm_uuid})


async def _require_free(tx: Transaction, columns: Mapping[str, Any], uuid: str) -> None:
    if "name" in columns and await tx.row(
        "SELECT 1 FROM permissions WHERE name = ? AND uuid <> ?", (columns["name"], uuid)
    ):
        raise Conflict("Another permission has this name")
