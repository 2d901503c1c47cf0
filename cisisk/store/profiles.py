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
from cisisk.model.profile import Profile, ProfileHead, config_of
from cisisk.model.revision import require_current
from cisisk.model.user import Actor
from cisisk.store import audit
from cisisk.store.changes import change, insert
from cisisk.store.listing import ListSource
from cisisk.store.transaction import Read, Write

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


def page(tx: Read, listing: Listing, user_uuid: str | None = None) -> Page[Profile]:
    """Return the profiles, by name; only those of one user if given."""
    if user_uuid is None:
        return _PROFILES.page(tx, listing)
    return _PROFILES.page(tx, listing, "user_uuid = ?", (user_uuid,))


def heads(tx: Read, user_uuid: str) -> list[ProfileHead]:
    """Return one user's profiles, by name, with the facts of their configs."""
    rows = tx.rows(
        "SELECT uuid, name, compatible_models, software_type, cnf_xml FROM profiles"
        " WHERE user_uuid = ? ORDER BY name, uuid",
        (user_uuid,),
    )
    return [
        ProfileHead(
            uuid=row["uuid"],
            name=row["name"],
            compatible_models=tuple(json.loads(row["compatible_models"])),
            software_type=Software(row["software_type"]) if row["software_type"] else None,
            config=config_of(row["cnf_xml"]),
        )
        for row in rows
    ]


def get(tx: Read, uuid: str) -> Profile:
    """Return one profile. Raises NotFound."""
    row = tx.row(f"{_SELECT} WHERE uuid = ?", (uuid,))
    if row is None:
        raise NotFound("Profile not found")
    return _profile(row)


def require(tx: Read, uuid: str) -> None:
    """Raise NotFound if there is no such profile."""
    if tx.row("SELECT 1 FROM profiles WHERE uuid = ?", (uuid,)) is None:
        raise NotFound("Profile not found")


def create(tx: Write, actor: Actor, attributes: Mapping[str, Any]) -> Profile:
    """Add a profile. ``attributes`` are those of :class:`Profile`. Raises Invalid: there is no such user."""
    return get(tx, add(tx, actor, attributes))


def add(tx: Write, actor: Actor, attributes: Mapping[str, Any]) -> str:
    """Add a profile as :func:`create` does; return its uuid."""
    _require_user(tx, attributes)
    uuid, moment = str(uuid4()), now()
    row = {
        "uuid": uuid,
        "compatible_models": "[]",
        "placeholders": False,
        **_columns(attributes),
        "created_at": moment,
        "updated_at": moment,
    }
    insert(tx, "profiles", row)
    payload = {"name": attributes["name"], "user_uuid": attributes["user_uuid"]}
    audit.record(tx, actor, "profile.created", uuid, payload)
    return uuid


def update(
    tx: Write, actor: Actor, uuid: str, attributes: Mapping[str, Any], seen: Collection[str] | None = None
) -> Profile:
    """Change the given attributes; phones keep their configs. Raises NotFound, Stale, Invalid (no such user)."""
    require_current(get(tx, uuid), seen)
    _require_user(tx, attributes)
    change(tx, "profiles", ("uuid", uuid), {**_columns(attributes), "updated_at": now()})
    audit.record(tx, actor, "profile.updated", uuid, {"changed": sorted(attributes)})
    return get(tx, uuid)


def delete(tx: Write, actor: Actor, uuid: str, seen: Collection[str] | None = None) -> None:
    """Remove a profile; phones keep their configs. Raises NotFound, Stale."""
    profile = get(tx, uuid)
    require_current(profile, seen)
    tx.rows("DELETE FROM profiles WHERE uuid = ?", (uuid,))
    audit.record(tx, actor, "profile.deleted", uuid, {"name": profile.name, "user_uuid": profile.user_uuid})


def require_named(tx: Read, field: str, attributes: Mapping[str, Any]) -> None:
    """Raise Invalid if ``field`` of ``attributes`` is neither absent, None nor the uuid of a profile."""
    uuid = attributes.get(field)
    if uuid is not None and not tx.row("SELECT 1 FROM profiles WHERE uuid = ?", (uuid,)):
        raise Invalid.field(field, "No such profile")


def _require_user(tx: Read, attributes: Mapping[str, Any]) -> None:
    if "user_uuid" in attributes and not tx.row("SELECT 1 FROM users WHERE uuid = ?", (attributes["user_uuid"],)):
        raise Invalid.field("user_uuid", "No such user")
