"""Extensions and their users. Secrets are written, never read."""

import sqlite3
from collections.abc import Collection, Mapping
from typing import Any
from uuid import uuid4

from cisisk.model.clock import now
from cisisk.model.errors import Conflict, Invalid, NotFound
from cisisk.model.extension import Extension, ExtensionType, UserExtension
from cisisk.model.listing import Listing, Page
from cisisk.model.revision import require_current
from cisisk.model.user import Actor
from cisisk.store import audit
from cisisk.store.changes import change, insert
from cisisk.store.listing import ListSource
from cisisk.store.transaction import Read, Write

_SELECT = (
    "SELECT uuid, type, extension, name, description, voicemail, voicemail_passcode IS NOT NULL AS has_passcode,"
    " is_active, created_at, updated_at, revision FROM extensions"
)
_SELECT_LINK = (
    "SELECT user_extensions.uuid, user_uuid, extension_uuid, username, first_name, last_name, extension,"
    " extensions.name AS ext_name, type, user_extensions.created_at,"
    " users.revision + extensions.revision AS revision FROM user_extensions"
    " JOIN users ON users.uuid = user_uuid JOIN extensions ON extensions.uuid = extension_uuid"
)


def _extension(row: sqlite3.Row) -> Extension:
    flags = {column: bool(row[column]) for column in ("voicemail", "has_passcode", "is_active")}
    return Extension(**{**dict(row), **flags, "type": ExtensionType(row["type"])})


def _link(row: sqlite3.Row) -> UserExtension:
    return UserExtension(**{**dict(row), "type": ExtensionType(row["type"])})


_EXTENSIONS = ListSource(
    select=_SELECT,
    searched=("extension", "name", "description", "type"),
    sortable=("extension", "name", "type", "created_at", "updated_at"),
    order="extension",
    item=_extension,
)
_LINKS = ListSource(
    select=_SELECT_LINK,
    searched=("username", "first_name", "last_name", "extension", "extensions.name"),
    sortable=("username", "first_name", "last_name", "extension", "type", "user_extensions.created_at"),
    order="username, extension, user_extensions.uuid",
    item=_link,
)


def page(tx: Read, listing: Listing) -> Page[Extension]:
    """Return the extensions, by number."""
    return _EXTENSIONS.page(tx, listing)


def get(tx: Read, uuid: str) -> Extension:
    """Return one extension. Raises NotFound."""
    row = tx.row(f"{_SELECT} WHERE uuid = ?", (uuid,))
    if row is None:
        raise NotFound("Extension not found")
    return _extension(row)


def create(tx: Write, actor: Actor, columns: Mapping[str, Any]) -> Extension:
    """Add an extension.

    Args:
        columns: the writable columns of an :class:`Extension`, ``password`` and ``voicemail_passcode``.

    Raises:
        Conflict: the number is taken.
        Invalid: voicemail without a passcode.
    """
    _require_free(tx, columns, None)
    _require_passcode(voicemail=columns["voicemail"], has_passcode=bool(columns.get("voicemail_passcode")))
    uuid, moment = str(uuid4()), now()
    insert(tx, "extensions", {"uuid": uuid, **columns, "created_at": moment, "updated_at": moment})
    payload = {"extension": columns["extension"], "type": columns["type"]}
    audit.record(tx, actor, "extension.created", uuid, payload)
    return get(tx, uuid)


def update(
    tx: Write, actor: Actor, uuid: str, columns: Mapping[str, Any], seen: Collection[str] | None = None
) -> Extension:
    """Change the given columns. Raises NotFound, Stale, and as :func:`create`."""
    extension = get(tx, uuid)
    require_current(extension, seen)
    _require_free(tx, columns, uuid)
    has_passcode = bool(columns["voicemail_passcode"]) if "voicemail_passcode" in columns else extension.has_passcode
    _require_passcode(voicemail=columns.get("voicemail", extension.voicemail), has_passcode=has_passcode)
    change(tx, "extensions", ("uuid", uuid), {**columns, "updated_at": now()})
    audit.record(tx, actor, "extension.updated", uuid, {"changed": sorted(columns)})
    return get(tx, uuid)


def delete(tx: Write, actor: Actor, uuid: str, seen: Collection[str] | None = None) -> None:
    """Remove an extension, and its assignments to users. Raises NotFound, Stale."""
    extension = get(tx, uuid)
    require_current(extension, seen)
    links = tx.rows("SELECT user_uuid FROM user_extensions WHERE extension_uuid = ?", (uuid,))
    tx.rows("DELETE FROM extensions WHERE uuid = ?", (uuid,))
    payload = {"extension": extension.extension, "users": [link["user_uuid"] for link in links]}
    audit.record(tx, actor, "extension.deleted", uuid, payload)


def page_of_links(tx: Read, listing: Listing) -> Page[UserExtension]:
    """Return the assignments of extensions, by user."""
    return _LINKS.page(tx, listing)


def page_of_user(tx: Read, listing: Listing, user_uuid: str) -> Page[UserExtension]:
    """Return the assignments of a user."""
    return _LINKS.page(tx, listing, "user_uuid = ?", (user_uuid,))


def page_of_extension(tx: Read, listing: Listing, extension_uuid: str) -> Page[UserExtension]:
    """Return the assignments of an extension."""
    return _LINKS.page(tx, listing, "extension_uuid = ?", (extension_uuid,))


def get_link(tx: Read, uuid: str) -> UserExtension:
    """Return one assignment. Raises NotFound."""
    row = tx.row(f"{_SELECT_LINK} WHERE user_extensions.uuid = ?", (uuid,))
    if row is None:
        raise NotFound("Link not found")
    return _link(row)


def link(tx: Write, actor: Actor, user_uuid: str, extension_uuid: str) -> UserExtension:
    """Assign an extension to a user.

    Raises:
        Invalid: there is no such user or extension.
        Conflict: it is assigned to the user already.
    """
    for field, table, key in (("user_uuid", "users", user_uuid), ("extension_uuid", "extensions", extension_uuid)):
        if tx.row(f"SELECT 1 FROM {table} WHERE uuid = ?", (key,)) is None:  # noqa: S608 -- one of two names
            raise Invalid.field(field, "No such " + field.partition("_")[0])
    ids = (user_uuid, extension_uuid)
    if tx.row("SELECT 1 FROM user_extensions WHERE user_uuid = ? AND extension_uuid = ?", ids):
        raise Conflict("The extension is this user's already")
    uuid = str(uuid4())
    row = {"uuid": uuid, "user_uuid": user_uuid, "extension_uuid": extension_uuid, "created_at": now()}
    insert(tx, "user_extensions", row)
    payload = {"user_uuid": user_uuid, "extension_uuid": extension_uuid}
    audit.record(tx, actor, "user_extension.created", uuid, payload)
    return get_link(tx, uuid)


def unlink(tx: Write, actor: Actor, uuid: str, seen: Collection[str] | None = None) -> None:
    """Remove an assignment. Raises NotFound, Stale."""
    found = get_link(tx, uuid)
    require_current(found, seen)
    tx.rows("DELETE FROM user_extensions WHERE uuid = ?", (uuid,))
    payload = {"user_uuid": found.user_uuid, "extension_uuid": found.extension_uuid}
    audit.record(tx, actor, "user_extension.deleted", uuid, payload)


def _require_free(tx: Read, columns: Mapping[str, Any], uuid: str | None) -> None:
    if "extension" in columns and tx.row(
        "SELECT 1 FROM extensions WHERE extension = ? AND uuid IS NOT ?", (columns["extension"], uuid)
    ):
        raise Conflict("Another extension has this number")


def _require_passcode(*, voicemail: bool, has_passcode: bool) -> None:
    if voicemail and not has_passcode:
        raise Invalid.field("voicemail_passcode", "Voicemail needs one")
