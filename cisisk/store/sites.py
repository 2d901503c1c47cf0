"""Sites, and what a phone takes from its site: logout profile, logout times, and data for emergency calls."""

import json
import sqlite3
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

from cisisk.model.clock import now
from cisisk.model.contact import folded
from cisisk.model.errors import Conflict, NotFound
from cisisk.model.listing import Listing, Page
from cisisk.model.mac import Mac
from cisisk.model.phone_login import ReturnedTo
from cisisk.model.revision import require_current
from cisisk.model.site import EmergencyCall, Site
from cisisk.model.user import Actor
from cisisk.store import audit, profiles
from cisisk.store.changes import change, insert
from cisisk.store.listing import ListSource
from cisisk.store.transaction import Read, Write

_SELECT = (
    "SELECT uuid, name, logout_profile_uuid, emergency_location, emergency_caller_id, logout_at, created_at,"
    " updated_at, revision FROM sites"
)
OF_PHONES = (
    "LEFT JOIN sites ON sites.uuid = COALESCE((SELECT uuid FROM sites WHERE name = phones.location),"
    " (SELECT uuid FROM sites WHERE folded_name = folded(phones.location) ORDER BY created_at, uuid LIMIT 1))"
)
"""Joins the phones with their sites. Old stores can have sites whose names differ in case and accents only: then
the one that is spelled like the phone's location wins, else the oldest."""
_OF_PHONE = f"FROM phones {OF_PHONES} WHERE mac = ?"
_OF_LOGINS_AT = (
    f"FROM phone_logins JOIN phones ON phones.mac = phone_logins.mac {OF_PHONES}"  # noqa: S608 -- names of our own
    " WHERE logged_in_at IS NOT NULL AND ended_at IS NULL AND folded(location) IN (SELECT value FROM json_each(?))"
)


def _site(row: sqlite3.Row) -> Site:
    return Site(**{**dict(row), "logout_at": logout_times(row["logout_at"])})


def logout_times(stored: str | None) -> tuple[str, ...] | None:
    """Return the logout times of a site from their stored form."""
    return None if stored is None else tuple(json.loads(stored))


def _columns(attributes: Mapping[str, Any]) -> dict[str, Any]:
    columns = dict(attributes)
    if "name" in columns:
        columns["folded_name"] = folded(columns["name"])
    if columns.get("logout_at") is not None:
        columns["logout_at"] = json.dumps(columns["logout_at"])
    return columns


_SITES = ListSource(
    select=_SELECT,
    searched=("name", "emergency_location", "emergency_caller_id"),
    sortable=("name", "emergency_location", "emergency_caller_id", "created_at", "updated_at"),
    order="name, uuid",
    item=_site,
)


def page(tx: Read, listing: Listing) -> Page[Site]:
    """Return the sites, by name."""
    return _SITES.page(tx, listing)


def get(tx: Read, uuid: str) -> Site:
    """Return one site. Raises NotFound."""
    row = tx.row(f"{_SELECT} WHERE uuid = ?", (uuid,))
    if row is None:
        raise NotFound("Site not found")
    return _site(row)


def create(tx: Write, actor: Actor, attributes: Mapping[str, Any]) -> Site:
    """Add a site. ``attributes`` are the writable ones of a :class:`Site`.

    Raises:
        Invalid: there is no such profile.
        Conflict: there is a site of that name, ignoring case and accents.
    """
    _require_possible(tx, attributes)
    uuid, moment = str(uuid4()), now()
    row = {"uuid": uuid, **_columns(attributes), "created_at": moment, "updated_at": moment}
    with _times_compared(tx, attributes["name"]):
        insert(tx, "sites", row)
    audit.record(tx, actor, "site.created", uuid, {"name": attributes["name"]})
    return get(tx, uuid)


def update(
    tx: Write, actor: Actor, uuid: str, attributes: Mapping[str, Any], seen: Collection[str] | None = None
) -> Site:
    """Change the given attributes. Raises NotFound, Stale, Invalid, Conflict as :func:`create`."""
    site = get(tx, uuid)
    require_current(site, seen)
    _require_possible(tx, attributes, site)
    with _times_compared(tx, site.name, attributes.get("name", site.name)):
        change(tx, "sites", ("uuid", uuid), {**_columns(attributes), "updated_at": now()})
    audit.record(tx, actor, "site.updated", uuid, {"changed": sorted(attributes)})
    return get(tx, uuid)


def delete(tx: Write, actor: Actor, uuid: str, seen: Collection[str] | None = None) -> None:
    """Remove a site; its phones stay. Raises NotFound, Stale."""
    site = get(tx, uuid)
    require_current(site, seen)
    with _times_compared(tx, site.name):
        tx.rows("DELETE FROM sites WHERE uuid = ?", (uuid,))
    audit.record(tx, actor, "site.deleted", uuid, {"name": site.name})


def logout_profiles(tx: Read, mac: Mac) -> list[tuple[ReturnedTo, str]]:
    """Return the logout profiles of a phone: its own first, then that of its site."""
    row = tx.row(
        f"SELECT phones.logout_profile_uuid AS of_phone, sites.logout_profile_uuid AS of_site {_OF_PHONE}",
        (mac.digits,),
    )
    if row is None:
        return []
    both = ((ReturnedTo.PHONE, row["of_phone"]), (ReturnedTo.SITE, row["of_site"]))
    return [(whose, uuid) for whose, uuid in both if uuid is not None]


def logout_at(tx: Read, mac: Mac) -> tuple[str, ...] | None:
    """Return the logout times of a phone's site; None means those of the settings."""
    row = tx.row(f"SELECT logout_at {_OF_PHONE}", (mac.digits,))
    return None if row is None else logout_times(row["logout_at"])


def moved(tx: Write, mac: Mac) -> None:
    """Record that other logout times hold for a phone: only times from now on count."""
    _times_changed(tx, [mac.digits])


def emergency_call(tx: Read, mac: Mac) -> EmergencyCall:
    """Return the data for emergency calls of a phone: each value from the phone, else from its site."""
    row = tx.row(
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


@contextmanager
def _times_compared(tx: Write, *names: str) -> Iterator[None]:
    """Record other logout times for the phones whose times change by what the block does to sites of these names."""
    before = _times_at(tx, names)
    yield
    _times_changed(tx, [mac for mac, times in _times_at(tx, names).items() if times != before[mac]])


def _times_at(tx: Read, names: Collection[str]) -> dict[str, str | None]:
    """Return the stored logout times of each phone with an open login and one of these locations."""
    rows = tx.rows(f"SELECT phones.mac, logout_at {_OF_LOGINS_AT}", (json.dumps([folded(name) for name in names]),))
    return {row["mac"]: row["logout_at"] for row in rows}


def _times_changed(tx: Write, macs: list[str]) -> None:
    """Record that other logout times hold for the open logins on these phones, given by their digits."""
    tx.rows(
        "UPDATE phone_logins SET times_since = ? WHERE logged_in_at IS NOT NULL AND ended_at IS NULL"
        " AND mac IN (SELECT value FROM json_each(?))",
        (now(), json.dumps(macs)),
    )


def _require_possible(tx: Read, attributes: Mapping[str, Any], site: Site | None = None) -> None:
    profiles.require_named(tx, "logout_profile_uuid", attributes)
    name = attributes.get("name")
    if name is None or (site is not None and name == site.name):
        return
    uuid = None if site is None else site.uuid
    if tx.row("SELECT 1 FROM sites WHERE folded_name = ? AND uuid IS NOT ?", (folded(name), uuid)) is not None:
        raise Conflict(f"There is a site {name} already")
