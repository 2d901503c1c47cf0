"""Permissions and their holders."""

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
from cisisk.store.changes import change, insert
from cisisk.store.listing import ListSource
from cisisk.store.transaction import Read, Write

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


def page(tx: Read, listing: Listing) -> Page[Permission]:
    """Return the permissions, by level."""
    return _PERMISSIONS.page(tx, listing)


def get(tx: Read, uuid: str) -> Permission:
    """Return one permission. Raises NotFound."""
    row = tx.row(f"{_SELECT} WHERE uuid = ?", (uuid,))
    if row is None:
        raise NotFound("Permission not found")
    return _permission(row)


def create(tx: Write, actor: Actor, columns: Mapping[str, Any]) -> Permission:
    """Add a permission. Raises Conflict: the name is taken."""
    uuid, moment = str(uuid4()), now()
    _require_free(tx, columns, uuid)
    insert(tx, "permissions", {**columns, "uuid": uuid, "created_at": moment, "updated_at": moment})
    audit.record(tx, actor, "permission.created", uuid, {"name": columns["name"], "level": columns["level"]})
    return get(tx, uuid)


def update(
    tx: Write, actor: Actor, uuid: str, columns: Mapping[str, Any], seen: Collection[str] | None = None
) -> Permission:
    """Change the given columns.

    Raises:
        NotFound: there is no such permission.
        Stale: the version is not in ``seen``.
        Conflict: the name is taken, the seeded permission would lose level 0, or no active superadmin would be left.
    """
    require_current(get(tx, uuid), seen)
    if uuid == SUPERADMIN_PERMISSION and columns.get("level", SUPERADMIN_LEVEL) != SUPERADMIN_LEVEL:
        raise Conflict("The superadmin permission keeps its level")
    _require_free(tx, columns, uuid)
    change(tx, "permissions", ("uuid", uuid), {**columns, "updated_at": now()})
    users.require_a_superadmin(tx)
    audit.record(tx, actor, "permission.updated", uuid, {"changed": sorted(columns)})
    return get(tx, uuid)


def delete(tx: Write, actor: Actor, uuid: str, seen: Collection[str] | None = None) -> None:
    """Remove a permission without holders. Raises NotFound, Stale, Conflict: it has holders, or is the seeded one."""
    permission = get(tx, uuid)
    require_current(permission, seen)
    if uuid == SUPERADMIN_PERMISSION:
        raise Conflict("The superadmin permission cannot be deleted")
    if tx.row("SELECT 1 FROM user_permissions WHERE perm_uuid = ? LIMIT 1", (uuid,)):
        raise Conflict("Users hold this permission. Give them another one first")
    tx.rows("DELETE FROM permissions WHERE uuid = ?", (uuid,))
    audit.record(tx, actor, "permission.deleted", uuid, {"name": permission.name})


def held_by(tx: Read, user_uuid: str) -> UserPermission:
    """Return the permission of a user. Raises NotFound: there is no such user, or the user has none."""
    row = tx.row(f"{_SELECT_HELD} WHERE user_uuid = ?", (user_uuid,))
    if row is None:
        raise NotFound("User permission not found")
    return UserPermission(**dict(row))


def give(tx: Write, actor: Actor, user_uuid: str, perm_uuid: str) -> UserPermission:
    """Give a user this permission instead of any other.

    Raises:
        Invalid: there is no such user or permission.
        Conflict: no active superadmin would be left.
    """
    for field, table, uuid in (("user_uuid", "users", user_uuid), ("perm_uuid", "permissions", perm_uuid)):
        if tx.row(f"SELECT 1 FROM {table} WHERE uuid = ?", (uuid,)) is None:  # noqa: S608 -- one of two names
            raise Invalid.field(field, "No such " + field.partition("_")[0].replace("perm", "permission"))
    tx.rows("INSERT OR REPLACE INTO user_permissions VALUES (?, ?)", (user_uuid, perm_uuid))
    users.require_a_superadmin(tx)
    audit.record(tx, actor, "user.permission_given", user_uuid, {"perm_uuid": perm_uuid})
    return held_by(tx, user_uuid)


def take(tx: Write, actor: Actor, user_uuid: str, seen: Collection[str] | None = None) -> None:
    """Take the permission from a user. Raises NotFound, Stale, Conflict: no active superadmin would be left."""
    held = held_by(tx, user_uuid)
    require_current(held, seen)
    tx.rows("DELETE FROM user_permissions WHERE user_uuid = ?", (user_uuid,))
    users.require_a_superadmin(tx)
    audit.record(tx, actor, "user.permission_taken", user_uuid, {"perm_uuid": held.perm_uuid})


def _require_free(tx: Read, columns: Mapping[str, Any], uuid: str) -> None:
    if "name" in columns and tx.row("SELECT 1 FROM permissions WHERE name = ? AND uuid <> ?", (columns["name"], uuid)):
        raise Conflict("Another permission has this name")
