"""Phones: the inventory, their software, and where each was last seen."""

import json
import sqlite3
from collections.abc import Collection, Mapping
from dataclasses import dataclass, fields
from datetime import timedelta
from typing import Any

from cisisk.model.clock import Timestamp, after, now
from cisisk.model.codes.deployment import StepNotice
from cisisk.model.discovery import DiscoveredPhone
from cisisk.model.errors import Conflict, NotFound
from cisisk.model.listing import Listing, Page
from cisisk.model.mac import Mac
from cisisk.model.notice import Notice
from cisisk.model.phone import ConfigInUse, Phone, PhoneConfig, RunningEvidence, Software
from cisisk.model.revision import require_current
from cisisk.model.user import Actor
from cisisk.store import audit, moves, phone_logins, profiles, sites
from cisisk.store.changes import change, insert
from cisisk.store.listing import ListSource
from cisisk.store.transaction import Read, Write

MAX_STRANGERS = 10_000
"""Limit of sightings of phones outside the inventory: more than a site has; it bounds the cost of a hostile LAN."""
MAX_DISCOVERED = 1000
"""Limit of discovered phones: enough for the first day of a large site, and few enough to review. Beyond it, phones
that took no file are removed, the longest silent first."""
DISCOVERED_DAYS = 7
"""A discovered phone that took no file is removed after this many days without a request."""

_PERSON = (
    "(SELECT json_array(profiles.name, users.uuid, username) FROM profiles JOIN users ON users.uuid = user_uuid"
    " WHERE profiles.uuid = {profile})"
)
"""SQL expression of the name of a profile and its user; the placeholder is the column with its uuid."""
_SELECT = (
    "SELECT phones.mac, model, phone_ip, location, description, software, name, hostname, phone_vlan, brand,"  # noqa: S608 -- own names
    " software_version, is_active, current_profile_uuid, ip AS seen_ip, seen_at,"
    " served_configs.sha256 AS served_sha256, served_configs.since AS served_since,"
    " CASE origin WHEN 'drift' THEN served_configs.since END AS drifted_at, discovery, logout_profile_uuid,"
    " emergency_location, emergency_caller_id, phones.created_at, updated_at, phones.revision,"
    f" {_PERSON.format(profile='current_profile_uuid')} AS served_person,"
    " phones_run.sha256 AS running_sha256, phones_run.since AS running_since, evidence,"
    f" phones_run.profile_uuid AS running_profile, {_PERSON.format(profile='phones_run.profile_uuid')}"
    " AS running_person, registered_at, registered_as"
    " FROM phones"
    " LEFT JOIN cisco_phones ON cisco_phones.mac = phones.mac LEFT JOIN sightings ON sightings.mac = phones.mac"
    " LEFT JOIN served_configs ON served_configs.mac = phones.mac"
    " LEFT JOIN phones_run ON phones_run.mac = phones.mac"
)
_SELECT_CISCO = "SELECT mac, software, current_profile_uuid, created_at, revision FROM cisco_phones"
SHOWN_MAC = " || ':' || ".join(f"substr({{0}}, {at}, 2)" for at in range(1, 12, 2))
"""SQL expression of a MAC with colons; the placeholder is the column with its digits."""


_ATTRIBUTES = tuple(each.name for each in fields(Phone) if each.name not in {"current", "running"})


@dataclass(frozen=True, slots=True, kw_only=True)
class CiscoPhone:
    """The software and the current profile of a phone."""

    mac: Mac
    software: Software | None
    current_profile_uuid: str | None
    created_at: Timestamp
    revision: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Sighting:
    """A fetch of a phone.

    Attributes:
        proved: it acknowledged a whole file, which is impossible with a forged source address.
    """

    mac: Mac
    ip: str
    seen_at: Timestamp
    proved: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class PhoneAddress:
    """The known addresses of a phone, in the inventory or not.

    Attributes:
        phone_ip: the address an administrator entered.
        seen_ip: the address from which it last took a whole file, at ``seen_at``; only that proves an address.
    """

    mac: Mac
    phone_ip: str | None
    seen_ip: str | None
    seen_at: Timestamp | None


def _software(row: sqlite3.Row) -> Software | None:
    return Software(row["software"]) if row["software"] else None


def _phone(row: sqlite3.Row) -> Phone:
    columns = dict(row)
    values = {
        "mac": Mac(row["mac"]),
        "software": _software(row),
        "is_active": bool(row["is_active"]),
        "discovery": DiscoveredPhone.from_json(row["discovery"]) if row["discovery"] else None,
        "current": _current(row),
        "running": _running(row),
    }
    return Phone(**({name: columns[name] for name in _ATTRIBUTES} | values))


def _current(row: sqlite3.Row) -> PhoneConfig | None:
    if row["served_sha256"] is None:
        return None
    return PhoneConfig(
        sha256=row["served_sha256"],
        since=row["served_since"],
        **_person(row["served_person"], row["current_profile_uuid"]),
    )


def _running(row: sqlite3.Row) -> ConfigInUse | None:
    if row["running_sha256"] is None:
        return None
    return ConfigInUse(
        sha256=row["running_sha256"],
        since=row["running_since"],
        evidence=RunningEvidence(row["evidence"]),
        registered_at=row["registered_at"],
        registered_as=Notice.from_json(row["registered_as"]) if row["registered_as"] else None,
        **_person(row["running_person"], row["running_profile"]),
    )


def _person(person: str | None, profile: str | None) -> dict[str, str | None]:
    """Return the profile of a config and its user; None for what is not there any more."""
    name, user, username = json.loads(person) if person else (None, None, None)
    uuid = profile if person else None
    return {"profile_uuid": uuid, "profile_name": name, "user_uuid": user, "username": username}


def _cisco_phone(row: sqlite3.Row) -> CiscoPhone:
    return CiscoPhone(**{**dict(row), "mac": Mac(row["mac"]), "software": _software(row)})


_PHONES = ListSource(
    select=_SELECT,
    searched=(
        *("phones.mac", SHOWN_MAC.format("phones.mac")),
        *("name", "model", "location", "description", "phone_ip", "ip", "hostname"),
    ),
    sortable=(
        *("phones.mac", "name", "model", "location", "phone_ip", "software"),
        *("seen_at", "phones.created_at", "updated_at"),
    ),
    order="phones.mac",
    item=_phone,
)
_CISCO_PHONES = ListSource(
    select=_SELECT_CISCO,
    searched=("mac", SHOWN_MAC.format("mac"), "software"),
    sortable=("mac", "software"),
    order="mac",
    item=_cisco_phone,
)


def page(tx: Read, listing: Listing) -> Page[Phone]:
    """Return the inventory, by MAC."""
    return _PHONES.page(tx, listing)


def page_of_user(tx: Read, listing: Listing, user_uuid: str) -> Page[Phone]:
    """Return the phones that are served or run one of this user's profiles."""
    owned = "{} IN (SELECT uuid FROM profiles WHERE user_uuid = ?)"
    either = f"({owned.format('current_profile_uuid')} OR {owned.format('phones_run.profile_uuid')})"
    return _PHONES.page(tx, listing, either, (user_uuid, user_uuid))


def find(tx: Read, mac: Mac) -> Phone | None:
    """Return one phone of the inventory, or None."""
    row = tx.row(f"{_SELECT} WHERE phones.mac = ?", (mac.digits,))
    return None if row is None else _phone(row)


def get(tx: Read, mac: Mac) -> Phone:
    """Return one phone. Raises NotFound."""
    phone = find(tx, mac)
    if phone is None:
        raise NotFound("Phone not found")
    return phone


def create(tx: Write, actor: Actor, mac: Mac, columns: Mapping[str, Any]) -> Phone:
    """Add a phone. ``columns`` are those of :class:`Phone`. It replaces a discovered phone.

    Raises:
        Conflict: the phone is in the inventory.
        Invalid: the logout profile does not exist.
    """
    tx.rows("DELETE FROM phones WHERE mac = ? AND discovery IS NOT NULL", (mac.digits,))
    if find(tx, mac):
        raise Conflict(f"The phone {mac} is in the inventory already")
    profiles.require_named(tx, "logout_profile_uuid", columns)
    add(tx, actor, mac, columns)
    return get(tx, mac)


def add(tx: Write, actor: Actor, mac: Mac, columns: Mapping[str, Any]) -> None:
    """Add a phone that is not in the inventory."""
    moment = now()
    row = {**columns, "mac": mac.digits, "created_at": moment, "updated_at": moment}
    software = row.pop("software", None)
    insert(tx, "phones", row)
    insert(tx, "cisco_phones", {"mac": mac.digits, "software": software, "created_at": moment})
    audit.record(tx, actor, "phone.created", str(mac))


def update(tx: Write, actor: Actor, mac: Mac, columns: Mapping[str, Any], seen: Collection[str] | None = None) -> Phone:
    """Change the given columns. Raises NotFound, Stale, Invalid: the logout profile does not exist."""
    require_current(get(tx, mac), seen)
    profiles.require_named(tx, "logout_profile_uuid", columns)
    logout_at = sites.logout_at(tx, mac)
    of_phone = {column: value for column, value in columns.items() if column != "software"}
    change(tx, "phones", ("mac", mac.digits), {**of_phone, "discovery": None, "updated_at": now()})
    if "software" in columns:
        _set_software(tx, mac, columns["software"])
    if sites.logout_at(tx, mac) != logout_at:
        sites.moved(tx, mac)
    audit.record(tx, actor, "phone.updated", str(mac), {"changed": sorted(columns)})
    return get(tx, mac)


def delete(tx: Write, actor: Actor, mac: Mac, seen: Collection[str] | None = None) -> None:
    """Remove a phone and its key expansion modules from the inventory. Its served config stays, and its login ends.

    Raises NotFound, Stale.
    """
    require_current(get(tx, mac), seen)
    kems = tx.rows("SELECT uuid, model FROM kems WHERE connected_phone = ?", (mac.digits,))
    tx.rows("DELETE FROM phones WHERE mac = ?", (mac.digits,))
    phone_logins.removed(tx, actor, mac)
    moves.call_off(tx, mac, now(), StepNotice.PHONE_REMOVED.notice())
    audit.record(tx, actor, "phone.deleted", str(mac), {"kems": [dict(kem) for kem in kems]})


def note_allowed_fetch(tx: Write, actor: Actor, mac: Mac, until: Timestamp) -> None:
    """Record in the audit log that a phone may fetch from any address. Raises NotFound."""
    get(tx, mac)
    audit.record(tx, actor, "phone.fetch_allowed", str(mac), {"until": until})


def page_of_cisco_phones(tx: Read, listing: Listing) -> Page[CiscoPhone]:
    """Return the software of the phones, by MAC."""
    return _CISCO_PHONES.page(tx, listing)


def get_cisco_phone(tx: Read, mac: Mac) -> CiscoPhone:
    """Return the software of one phone. Raises NotFound."""
    row = tx.row(f"{_SELECT_CISCO} WHERE mac = ?", (mac.digits,))
    if row is None:
        raise NotFound("Cisco phone not found")
    return _cisco_phone(row)


def put_cisco_phone(
    tx: Write, actor: Actor, mac: Mac, software: Software, seen: Collection[str] | None = None
) -> CiscoPhone:
    """Set the software of a phone of the inventory. Raises NotFound, Stale."""
    get(tx, mac)
    if seen is not None:
        require_current(get_cisco_phone(tx, mac), seen)
    _set_software(tx, mac, software)
    change(tx, "phones", ("mac", mac.digits), {"discovery": None, "updated_at": now()})
    audit.record(tx, actor, "cisco_phone.updated", str(mac), {"software": software})
    return get_cisco_phone(tx, mac)


def delete_cisco_phone(tx: Write, actor: Actor, mac: Mac, seen: Collection[str] | None = None) -> None:
    """Remove a phone's software and current profile; the phone stays. Raises NotFound, Stale."""
    require_current(get_cisco_phone(tx, mac), seen)
    tx.rows("DELETE FROM cisco_phones WHERE mac = ?", (mac.digits,))
    change(tx, "phones", ("mac", mac.digits), {"updated_at": now()})
    audit.record(tx, actor, "cisco_phone.deleted", str(mac))


def last_seen(tx: Read, mac: Mac) -> str | None:
    """Return the address from which a phone last fetched, in the inventory or not."""
    row = tx.row("SELECT ip FROM sightings WHERE mac = ?", (mac.digits,))
    return None if row is None else str(row["ip"])


def addresses(tx: Read) -> list[PhoneAddress]:
    """Return every phone with a known address."""
    entered = dict(tuple(row) for row in tx.rows("SELECT mac, phone_ip FROM phones WHERE phone_ip IS NOT NULL"))
    seen = tx.rows("SELECT mac, ip, seen_at FROM sightings WHERE proved")
    found = [
        PhoneAddress(mac=Mac(mac), phone_ip=entered.pop(mac, None), seen_ip=ip, seen_at=seen_at)
        for mac, ip, seen_at in seen
    ]
    return found + [
        PhoneAddress(mac=Mac(mac), phone_ip=phone_ip, seen_ip=None, seen_at=None) for mac, phone_ip in entered.items()
    ]


def changes(tx: Read) -> int:
    """Return a number that differs after each commit (PRAGMA data_version)."""
    row = tx.row("PRAGMA data_version")
    return 0 if row is None else int(row[0])


def note_sightings(tx: Write, sightings: Collection[Sighting], max_strangers: int = MAX_STRANGERS) -> None:
    """Record where phones were seen. An unproved sighting does not replace a proved one."""
    tx.many(
        "INSERT INTO sightings (mac, ip, seen_at, proved) VALUES (?, ?, ?, ?) ON CONFLICT (mac) DO UPDATE"
        " SET ip = excluded.ip, seen_at = excluded.seen_at, proved = excluded.proved"
        " WHERE excluded.proved >= sightings.proved",
        [(each.mac.digits, each.ip, each.seen_at, each.proved) for each in sightings],
    )
    # This check is much cheaper than the query for the surplus.
    if tx.row("SELECT 1 FROM sightings LIMIT 1 OFFSET ?", (max_strangers,)):
        tx.rows(
            "DELETE FROM sightings WHERE mac IN"
            " (SELECT mac FROM sightings WHERE mac NOT IN (SELECT mac FROM phones)"
            " ORDER BY proved DESC, seen_at DESC LIMIT -1 OFFSET ?)",
            (max_strangers,),
        )


def confirm(tx: Write, mac: Mac) -> None:
    """Turn a discovered phone into one of the inventory."""
    tx.rows("UPDATE phones SET discovery = NULL WHERE mac = ? AND discovery IS NOT NULL", (mac.digits,))


def enter(tx: Write, actor: Actor, mac: Mac) -> None:
    """Add a phone to the inventory, whether it is unknown, discovered or in it already."""
    if tx.row("SELECT 1 FROM phones WHERE mac = ?", (mac.digits,)) is None:
        add(tx, actor, mac, {})
    confirm(tx, mac)


def discover(
    tx: Write,
    found: Mapping[Mac, DiscoveredPhone],
    max_discovered: int = MAX_DISCOVERED,
    days: int = DISCOVERED_DAYS,
) -> None:
    """Add phones that requested their files as discovered ones, within the limits; known phones stay as they are."""
    moment = now()
    tx.many(
        "INSERT INTO phones (mac, discovery, created_at, updated_at) VALUES (?, ?, ?, ?) ON CONFLICT (mac) DO NOTHING",
        [(mac.digits, discovery.to_json(), moment, moment) for mac, discovery in found.items()],
    )
    # Only phones without a profile or software: those have a row there.
    tx.rows(
        "DELETE FROM phones WHERE mac IN (SELECT phones.mac FROM phones LEFT JOIN sightings USING (mac)"
        " WHERE discovery IS NOT NULL AND phones.mac NOT IN (SELECT mac FROM cisco_phones)"
        " AND COALESCE(proved, 0) = 0 AND COALESCE(seen_at, created_at) < ?)",
        (after(-timedelta(days=days)),),
    )
    tx.rows(
        "DELETE FROM phones WHERE mac IN (SELECT phones.mac FROM phones LEFT JOIN sightings USING (mac)"
        " WHERE discovery IS NOT NULL AND phones.mac NOT IN (SELECT mac FROM cisco_phones)"
        " ORDER BY COALESCE(proved, 0) DESC, COALESCE(seen_at, created_at) DESC LIMIT -1 OFFSET ?)",
        (max_discovered,),
    )


def discovered_since(tx: Read, number: int) -> dict[Mac, tuple[str, DiscoveredPhone]]:
    """Return the discovered phones from whose addresses something was fetched after ``number`` of the fetch log.

    Each comes with that address and what is known of it.
    """
    rows = tx.rows(
        "SELECT phones.mac, ip, discovery FROM phones JOIN sightings ON sightings.mac = phones.mac"
        " WHERE discovery IS NOT NULL AND ip IN (SELECT peer FROM fetches WHERE number > ?)",
        (number,),
    )
    return {Mac(row["mac"]): (row["ip"], DiscoveredPhone.from_json(row["discovery"])) for row in rows}


def learn(tx: Write, news: Mapping[Mac, DiscoveredPhone]) -> None:
    """Store what discovered phones have revealed."""
    tx.many(
        "UPDATE phones SET discovery = ? WHERE mac = ? AND discovery IS NOT NULL",
        [(discovery.to_json(), mac.digits) for mac, discovery in news.items()],
    )


def _set_software(tx: Write, mac: Mac, software: Software | None) -> None:
    tx.rows(
        "INSERT INTO cisco_phones (mac, software, created_at) VALUES (?, ?, ?)"
        " ON CONFLICT (mac) DO UPDATE SET software = excluded.software, revision = revision + 1",
        (mac.digits, software, now()),
    )
