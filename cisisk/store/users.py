"""Users. Passwords are hashes here."""

import sqlite3
from collections.abc import Collection, Mapping
from dataclasses import fields
from typing import Any
from uuid import uuid4

from cisisk.model.clock import now
from cisisk.model.errors import Conflict, NotFound
from cisisk.model.listing import Listing, Page
from cisisk.model.revision import require_current
from cisisk.model.user import SUPERADMIN_LEVEL, SUPERADMIN_PERMISSION, SYSTEM, Actor, User
from cisisk.store import audit
from cisisk.store.changes import change, insert
from cisisk.store.listing import ListSource
from cisisk.store.transaction import Read, Write

_SELECT = (
    "SELECT users.uuid, first_name, last_name, username, email, phone, lang, location, nationality, timezone,"
    " last_uuid, last_login_ip, last_login_at, last_logout_ip, is_active, users.created_at, created_by,"
    " users.updated_at, created_ip, updated_ip, users.revision, level, permissions.name AS perm_name, password_hash"
    " FROM users LEFT JOIN user_permissions ON user_uuid = users.uuid"
    " LEFT JOIN permissions ON perm_uuid = permissions.uuid"
)
_ATTRIBUTES = frozenset(attribute.name for attribute in fields(User))


def _user(row: sqlite3.Row) -> User:
    values = {name: row[name] for name in _ATTRIBUTES}
    return User(**{**values, "is_active": bool(row["is_active"])})


_USERS = ListSource(
    select=_SELECT,
    searched=("first_name", "last_name", "username", "email", "users.phone"),
    sortable=("username", "first_name", "last_name", "email", "users.created_at", "users.updated_at", "last_login_at"),
    order="username, users.uuid",
    item=_user,
)


def page(tx: Read, listing: Listing) -> Page[User]:
    """Return the users, by name."""
    return _USERS.page(tx, listing)


def get(tx: Read, uuid: str) -> User:
    """Return one user. Raises NotFound."""
    row = tx.row(f"{_SELECT} WHERE users.uuid = ?", (uuid,))
    if row is None:
        raise NotFound("User not found")
    return _user(row)


def credentials(tx: Read, username: str) -> tuple[User, str] | None:
    """Return the user of that name, in any case, and the password hash; None if there is no such user."""
    row = tx.row(f"{_SELECT} WHERE username = ?", (username,))
    return None if row is None else (_user(row), row["password_hash"])


def any_exist(tx: Read) -> bool:
    """Return whether there are any users."""
    return tx.row("SELECT 1 FROM users LIMIT 1") is not None


def create(
    tx: Write, actor: Actor, columns: Mapping[str, Any], password_hash: str, *, action: str = "user.created"
) -> User:
    """Add a user.

    Args:
        columns: the writable columns of a :class:`User`.

    Raises:
        Conflict: the username or the email is taken.
    """
    return _insert(tx, actor, columns, password_hash, action)


def create_superadmin(tx: Write, columns: Mapping[str, Any], password_hash: str) -> User:
    """Add a user with level 0. Raises Conflict as :func:`create`."""
    user = _insert(tx, SYSTEM, columns, password_hash, "user.created")
    tx.rows("INSERT INTO user_permissions VALUES (?, ?)", (user.uuid, SUPERADMIN_PERMISSION))
    return get(tx, user.uuid)


def update(tx: Write, actor: Actor, uuid: str, columns: Mapping[str, Any], seen: Collection[str] | None = None) -> User:
    """Change the given columns, including ``password_hash``. A new password or a deactivation ends the user's logins.

    Raises:
        NotFound: there is no such user.
        Stale: the version is not in ``seen``.
        Conflict: the username or the email is taken, or no active superadmin would be left.
    """
    require_current(get(tx, uuid), seen)
    _require_free(tx, columns, uuid)
    by = {"updated_at": now(), "updated_ip": actor.ip, "last_uuid": actor.user_uuid}
    change(tx, "users", ("uuid", uuid), {**columns, **by})
    if "password_hash" in columns or columns.get("is_active") is False:
        end_logins(tx, uuid)
    require_a_superadmin(tx)
    changed = sorted("password" if column == "password_hash" else column for column in columns)
    audit.record(tx, actor, "user.updated", uuid, {"changed": changed})
    return get(tx, uuid)


def delete(tx: Write, actor: Actor, uuid: str, seen: Collection[str] | None = None) -> None:
    """Remove a user with the user's profiles, PIN, logins and personal directory.

    Raises as :func:`update`.
    """
    user = get(tx, uuid)
    require_current(user, seen)
    profiles = tx.rows("SELECT uuid, name FROM profiles WHERE user_uuid = ?", (uuid,))
    extensions = tx.rows(
        "SELECT extension FROM extensions JOIN user_extensions ON extension_uuid = extensions.uuid WHERE user_uuid = ?",
        (uuid,),
    )
    tx.rows("DELETE FROM users WHERE uuid = ?", (uuid,))
    require_a_superadmin(tx)
    payload = {
        "username": user.username,
        "profiles": [dict(profile) for profile in profiles],
        "extensions": [row["extension"] for row in extensions],
    }
    audit.record(tx, actor, "user.deleted", uuid, payload)


def end_logins(tx: Write, uuid: str) -> None:
    """Revoke all tokens of a user."""
    tx.rows("UPDATE login_sessions SET revoked_at = ? WHERE user_uuid = ? AND revoked_at IS NULL", (now(), uuid))


def first_superadmin(tx: Read) -> str | None:
    """Return the uuid of the oldest active superadmin, or None."""
    row = tx.row(
        "SELECT users.uuid FROM users JOIN user_permissions ON user_permissions.user_uuid = users.uuid"
        " JOIN permissions ON permissions.uuid = perm_uuid WHERE level = 0 AND is_active"
        " ORDER BY users.created_at, users.uuid LIMIT 1"
    )
    return None if row is None else str(row["uuid"])


def require_a_superadmin(tx: Read) -> None:
    """Check, after a change that can reduce access, that an active superadmin is left.

    Raises:
        Conflict: no active user has level 0, so no user could administer Cisisk.
    """
    left = tx.row(
        "SELECT 1 FROM users JOIN user_permissions ON user_uuid = users.uuid"
        " JOIN permissions ON perm_uuid = permissions.uuid WHERE level = ? AND is_active LIMIT 1",
        (SUPERADMIN_LEVEL,),
    )
    if left is None:
        raise Conflict("The last superadmin cannot be demoted, deactivated or deleted")


def _insert(tx: Write, actor: Actor, columns: Mapping[str, Any], password_hash: str, action: str) -> User:
    _require_free(tx, columns, None)
    uuid, moment = str(uuid4()), now()
    row = {
        "uuid": uuid,
        "password_hash": password_hash,
        "is_active": True,
        **columns,
        "created_at": moment,
        "created_by": actor.user_uuid,
        "created_ip": actor.ip,
        "updated_at": moment,
        "updated_ip": actor.ip,
        "last_uuid": actor.user_uuid,
    }
    insert(tx, "users", row)
    audit.record(tx, actor, action, uuid, {"username": columns["username"]})
    return get(tx, uuid)


def _require_free(tx: Read, columns: Mapping[str, Any], uuid: str | None) -> None:
    for column in ("username", "email"):
        taken = column in columns and tx.row(
            f"SELECT 1 FROM users WHERE {column} = ? AND uuid IS NOT ?",  # noqa: S608 -- one of two names of our own
            (columns[column], uuid),
        )
        if taken:
            raise Conflict(f"Another user has this {column}")
