"""Sites, and what a phone has from its own: where it returns to, and what its emergency calls tell."""

import json
import sqlite3
from collections.abc import Collection, Mapping
from typing import Any
from uuid import uuid4

from cisisk.model.clock import now
from cisisk.model.contact import folded
from cisisk.model.errors import Conflict, NotFound
from cisisk.model.mac import Mac
from cisisk.model.phone_login import ReturnedTo
from cisisk.model.revision import require_current
from cisisk.model.site import EmergencyCall, Site
from cisisk.model.user import Actor
from cisisk.store import audit, profiles
from cisisk.store.changes import change, insert
from cisisk.store.database import Database, Transaction
from cisisk.store.listing import Listing, Page, Source

_SELECT = (
    "SELECT uuid, name, logout_profile_uuid, emergency_location, emergency_caller_id, logout_at, created_at,"
    " updated_at, revision FROM sites"
)
OF_PHONES = (
    "LEFT JOIN sites ON sites.uuid = COALESCE((SELECT uuid FROM sites WHERE name = phones.location),"
    " (SELECT uuid FROM sites WHERE folded_name = folded(phones.location) ORDER BY created_at, uuid LIMIT 1))"
)
"""Joins the phones with their sites. Of two that differ in case and accents only, as they could once be added, the one
that is written as the phone has it, or was there first."""
_TIMES_CHANGED = "UPDATE phone_logins SET times_since = ? WHERE logged_in_at IS NOT NULL AND ended_at IS NULL"
_OF_PHONE = f"FROM phones {OF_PHONES} WHERE mac = ?"


def _site(row: sqlite3.Row) -> Site:
    return Site(**{**dict(row), "logout_at": logout_times(row["logout_at"])})


def logout_times(stored: str | None) -> tuple[str, ...] | None:
    """The times of a site as it stores them."""
    return None if stored is None else tuple(json.loads(stored))


def _columns(attributes: Mapping[str, Any]) -> dict[str, Any]:
    columns = dict(attributes)
    if "name" in columns:
        columns["folded_name"] = folded(columns["name"])
    if columns.get("logout_at") is not None:
        columns["logout_at"] = json.dumps(columns["logout_at"])
    return columns


_SITES = Source(
    select=_SELECT,
    searched=("name", "emergency_location", "emergency_caller_id"),
    sortable=("name", "emergency_location", "emergency_caller_id", "created_at", "updated_at"),
    order="name, uuid",
    item=_site,
)


async def page(db: Database, listing: Listing) -> Page[Site]:
    """The sites, by name."""
    return await _SITES.page(db, listing)


async def get(db: Database | Transaction, uuid: str) -> Site:
    """One site. Raises NotFound."""
    row = await db.row(f"{_SELECT} WHERE uuid = ?", (uuid,))
    if row is None:
        raise NotFound("Site not found")
    return _site(row)


async def create(db: Database, actor: Actor, attributes: Mapping[str, Any]) -> Site:
    """Add a site. ``attributes`` are the writable ones of a :class:`Site`.

    Raises:
        Invalid: no such profile.
        Conflict: there is a site of that name, in any case of letters, with accents or without.
    """
    async with db.transaction() as tx:
        await _require_possible(tx, attributes)
        uuid, moment = str(uuid4()), now()
        await insert(tx, "sites", {"uuid": uuid, **_columns(attributes), "created_at": moment, "updated_at": moment})
        await audit.record(tx, actor, "site.created", uuid, {"name": attributes["name"]})
        site = await get(tx, uuid)
        if site.logout_at is not None:
            await _times_changed(tx, site)
        return site


async def update(
    db: Database, actor: Actor, uuid: str, attributes: Mapping[str, Any], seen: Collection[str] | None = None
) -> Site:
    """Change the given attributes. Raises NotFound, Stale, Invalid, Conflict as :func:`create`."""
    async with db.transaction() as tx:
        site = await get(tx, uuid)
        require_current(site, seen)
        await _require_possible(tx, attributes, site)
        await change(tx, "sites", ("uuid", uuid), {**_columns(attributes), "updated_at": now()})
        await audit.record(tx, actor, "site.updated", uuid, {"changed": sorted(attributes)})
        changed = await get(tx, uuid)
        if (folded(changed.name), changed.logout_at) != (folded(site.name), site.logout_at):
            await _times_changed(tx, site)
            await _times_changed(tx, changed)
        return changed


async def delete(db: Database, actor: Actor, uuid: str, seen: Collection[str] | None = None) -> None:
    """Remove a site; its phones stay. Raises NotFound, Stale."""
    async with db.transaction() as tx:
        site = await get(tx, uuid)
        require_current(site, seen)
        await tx.rows("DELETE FROM sites WHERE uuid = ?", (uuid,))
        await audit.record(tx, actor, "site.deleted", uuid, {"name": site.name})
        if site.logout_at is not None:
            await _times_changed(tx, site)


async def logout_profiles(db: Database, mac: Mac) -> list[tuple[ReturnedTo, str]]:
    """The uuids of the profiles that a phone is given when a user leaves it: its own before that of its site."""
    row = await db.row(
        f"SELECT phones.logout_profile_uuid AS of_phone, sites.logout_profile_uuid AS of_site {_OF_PHONE}",
        (mac.digits,),
    )
    if row is None:
        return []
    both = ((ReturnedTo.PHONE, row["of_phone"]), (ReturnedTo.SITE, row["of_site"]))
    return [(whose, uuid) for whose, uuid in both if uuid is not None]


async def logout_at(tx: Transaction, mac: Mac) -> tuple[str, ...] | None:
    """The times of a phone's site, within a transaction; None for those of the settings."""
    row = await tx.row(f"SELECT logout_at {_OF_PHONE}", (mac.digits,))
    return None if row is None else logout_times(row["logout_at"])


async def moved(tx: Transaction, mac: Mac) -> None:
    """A phone has come under other times, within a transaction: those count that come from now on."""
    await tx.rows(f"{_TIMES_CHANGED} AND mac = ?", (now(), mac.digits))


async def emergency_call(db: Database | Transaction, mac: Mac) -> EmergencyCall:
    """What is told of a phone: each thing as the phone has it, else as its site."""
    row = await db.row(
        "SELECT phones.emergency_location, phones.emergency_caller_id, sites.emergency_location AS location_of_site,"
        f" sites.emergency_caller_id AS caller_id_of_site {_OF_PHONE}",
        (mac.digits,),
    )
    if row is None:
        return EmergencyCall()
    return EmergencyCall(
        location=row["emergency_location"] or row["location_of_site"] or None,
        caller_id=row["emergency_caller_id"] or row["caller_id_of_site"] or None,
    )


async def _times_changed(tx: Transaction, site: Site) -> None:
    """Others hold for the phones of a site: of these too those count that come from now on."""
    of_site = "mac IN (SELECT mac FROM phones WHERE folded(location) = ?)"
    await tx.rows(f"{_TIMES_CHANGED} AND {of_site}", (now(), folded(site.name)))


async def _require_possible(tx: Transaction, attributes: Mapping[str, Any], site: Site | None = None) -> None:
    await profiles.require_named(tx, "logout_profile_uuid", attributes)
    name = attributes.get("name")
    if name is None or (site is not None and name == site.name):
        return
    uuid = None if site is None else site.uuid
    if await tx.row("SELECT 1 FROM sites WHERE folded_name = ? AND uuid IS NOT ?", (folded(name), uuid)) is not None:
        raise Conflict(f"There is a site {name} already")
