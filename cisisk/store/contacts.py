"""The directories: one per user, in the user's order, and the company's, by name."""

import sqlite3
from collections.abc import Collection, Mapping
from dataclasses import asdict, replace
from typing import Any
from uuid import uuid4

from cisisk.model.clock import now
from cisisk.model.contact import CompanyContact, PersonalContact, digits, folded, is_number
from cisisk.model.errors import Conflict, NotFound
from cisisk.model.listing import Listing, Page
from cisisk.model.revision import require_current
from cisisk.model.user import Actor
from cisisk.store import audit, users
from cisisk.store.changes import change, insert
from cisisk.store.listing import ListSource
from cisisk.store.transaction import Read, Write

MAX_PERSONAL = 10_000
"""Limit of contacts per user: more than a user pages through on a phone; it bounds the disk space."""
_MAX_WORDS = 8
"""Limit of words in a search; each word is one more SQL condition."""

_NUMBERS = ("work", "mobile", "home")
_TEXTS = ("name", "email", "department", "company", "location", "building")
_SELECT_PERSONAL = (
    "SELECT uuid, user_uuid, position, name, work, mobile, home, email, ringtone, created_at, updated_at, revision"
    " FROM personal_contacts"
)
_SELECT_COMPANY = (
    "SELECT uuid, name, work, mobile, home, email, ringtone, department, company, location, building,"
    " created_at, updated_at, revision FROM company_contacts"
)


def _personal(row: sqlite3.Row) -> PersonalContact:
    return PersonalContact(**dict(row))


def _company(row: sqlite3.Row) -> CompanyContact:
    return CompanyContact(**dict(row))


# The searched text is folded here: LIKE of SQLite ignores the case of ASCII letters only.
_PERSONAL = ListSource(
    select=_SELECT_PERSONAL,
    searched=(),
    sortable=("name", "email", "created_at", "updated_at"),
    sorted_as={"name": "folded_name"},
    order="position, uuid",
    item=_personal,
)
_COMPANY = ListSource(
    select=_SELECT_COMPANY,
    searched=(),
    sortable=("name", "email", "department", "company", "location", "building", "created_at", "updated_at"),
    sorted_as={"name": "folded_name"},
    order="folded_name, uuid",
    item=_company,
)


def page_of_personal(
    tx: Read, listing: Listing, user_uuid: str, *, name: str = "", number: str = ""
) -> Page[PersonalContact]:
    """Return a user's own contacts, in the user's order.

    Args:
        listing: its ``q`` is searched in all texts, and in the numbers if it can be part of one.
        name: words that must all occur in the name; blank matches any name.
        number: digits that must occur in one of the numbers; blank matches any number.
    """
    where, values = _search(listing.q, name, number)
    return _PERSONAL.page(tx, replace(listing, q=None), f"user_uuid = ? AND {where}", (user_uuid, *values))


def get_personal(tx: Read, uuid: str, owner: str | None = None) -> PersonalContact:
    """Return one contact. Raises NotFound, also if ``owner`` is given and is not the uuid of the contact's user."""
    row = tx.row(f"{_SELECT_PERSONAL} WHERE uuid = ?", (uuid,))
    if row is None or owner not in (None, row["user_uuid"]):
        raise NotFound("Personal contact not found")
    return _personal(row)


def create_personal(
    tx: Write, actor: Actor, user_uuid: str, columns: Mapping[str, Any], maximum: int = MAX_PERSONAL
) -> PersonalContact:
    """Add a contact at the end.

    Args:
        columns: the writable columns of a :class:`Contact`.

    Raises:
        NotFound: there is no such user.
        Conflict: the user has ``maximum`` contacts.
    """
    users.get(tx, user_uuid)
    last = _last_position(tx, user_uuid)
    if last >= maximum:
        raise Conflict(f"A personal directory has at most {maximum} contacts")
    uuid, moment = str(uuid4()), now()
    row = {"uuid": uuid, "user_uuid": user_uuid, "position": last + 1, **columns, **_keys(columns)}
    insert(tx, "personal_contacts", {**row, "created_at": moment, "updated_at": moment})
    audit.record(tx, actor, "personal_contact.created", uuid, {"user_uuid": user_uuid})
    return get_personal(tx, uuid)


def update_personal(
    tx: Write,
    actor: Actor,
    uuid: str,
    columns: Mapping[str, Any],
    seen: Collection[str] | None = None,
    owner: str | None = None,
) -> PersonalContact:
    """Change the given columns. Raises NotFound as :func:`get_personal`; Stale."""
    contact = get_personal(tx, uuid, owner)
    require_current(contact, seen)
    keys = _keys({**asdict(contact), **columns})
    change(tx, "personal_contacts", ("uuid", uuid), {**columns, **keys, "updated_at": now()})
    payload = {"user_uuid": contact.user_uuid, "changed": sorted(columns)}
    audit.record(tx, actor, "personal_contact.updated", uuid, payload)
    return get_personal(tx, uuid)


def move_personal(tx: Write, actor: Actor, uuid: str, position: int, owner: str | None = None) -> PersonalContact:
    """Move a contact to ``position``, counted from 1; a position beyond the end means the last.

    The contacts between the old and the new position move by one. Raises NotFound as :func:`get_personal`.
    """
    contact = get_personal(tx, uuid, owner)
    new = min(max(1, position), _last_position(tx, contact.user_uuid))
    if new == contact.position:
        return contact
    step = 1 if new < contact.position else -1
    tx.rows(
        "UPDATE personal_contacts SET position = position + ? WHERE user_uuid = ? AND position BETWEEN ? AND ?",
        (step, contact.user_uuid, min(new, contact.position), max(new, contact.position)),
    )
    change(tx, "personal_contacts", ("uuid", uuid), {"position": new, "updated_at": now()})
    payload = {"user_uuid": contact.user_uuid, "position": new}
    audit.record(tx, actor, "personal_contact.moved", uuid, payload)
    return get_personal(tx, uuid)


def delete_personal(
    tx: Write, actor: Actor, uuid: str, seen: Collection[str] | None = None, owner: str | None = None
) -> None:
    """Remove a contact. Raises NotFound as :func:`get_personal`; Stale."""
    contact = get_personal(tx, uuid, owner)
    require_current(contact, seen)
    tx.rows("DELETE FROM personal_contacts WHERE uuid = ?", (uuid,))
    tx.rows(
        "UPDATE personal_contacts SET position = position - 1 WHERE user_uuid = ? AND position > ?",
        (contact.user_uuid, contact.position),
    )
    audit.record(tx, actor, "personal_contact.deleted", uuid, {"user_uuid": contact.user_uuid})


def page_of_company(tx: Read, listing: Listing, *, name: str = "", number: str = "") -> Page[CompanyContact]:
    """Return the company's directory, by name; searched like :func:`page_of_personal`."""
    where, values = _search(listing.q, name, number)
    return _COMPANY.page(tx, replace(listing, q=None), where, values)


def get_company(tx: Read, uuid: str) -> CompanyContact:
    """Return one contact. Raises NotFound."""
    row = tx.row(f"{_SELECT_COMPANY} WHERE uuid = ?", (uuid,))
    if row is None:
        raise NotFound("Company contact not found")
    return _company(row)


def create_company(tx: Write, actor: Actor, columns: Mapping[str, Any]) -> CompanyContact:
    """Add a contact. ``columns`` are the writable columns of a :class:`CompanyContact`."""
    uuid, moment = str(uuid4()), now()
    row = {"uuid": uuid, **columns, **_keys(columns), "created_at": moment, "updated_at": moment}
    insert(tx, "company_contacts", row)
    audit.record(tx, actor, "company_contact.created", uuid, {"name": columns["name"]})
    return get_company(tx, uuid)


def update_company(
    tx: Write, actor: Actor, uuid: str, columns: Mapping[str, Any], seen: Collection[str] | None = None
) -> CompanyContact:
    """Change the given columns. Raises NotFound, Stale."""
    contact = get_company(tx, uuid)
    require_current(contact, seen)
    keys = _keys({**asdict(contact), **columns})
    change(tx, "company_contacts", ("uuid", uuid), {**columns, **keys, "updated_at": now()})
    audit.record(tx, actor, "company_contact.updated", uuid, {"changed": sorted(columns)})
    return get_company(tx, uuid)


def delete_company(tx: Write, actor: Actor, uuid: str, seen: Collection[str] | None = None) -> None:
    """Remove a contact. Raises NotFound, Stale."""
    contact = get_company(tx, uuid)
    require_current(contact, seen)
    tx.rows("DELETE FROM company_contacts WHERE uuid = ?", (uuid,))
    audit.record(tx, actor, "company_contact.deleted", uuid, {"name": contact.name})


def _last_position(tx: Read, user_uuid: str) -> int:
    row = tx.row("SELECT MAX(position) AS last FROM personal_contacts WHERE user_uuid = ?", (user_uuid,))
    return (row and row["last"]) or 0


def _keys(contact: Mapping[str, Any]) -> dict[str, str]:
    """Return the search columns of a contact."""
    return {
        "folded_name": folded(contact["name"]),
        "folded": "\n".join(folded(contact.get(column) or "") for column in _TEXTS),
        "digits": " ".join(digits(contact.get(column) or "") for column in _NUMBERS),
    }


def _search(q: str | None, name: str, number: str) -> tuple[str, list[str]]:
    """Return an SQL condition for a search, and its values."""
    wanted = [("folded_name", word) for word in folded(name).split()[:_MAX_WORDS]]
    if digits(number):
        wanted.append(("digits", digits(number)))
    conditions = ["1", *(f"instr({column}, ?)" for column, _ in wanted)]
    values = [text for _, text in wanted]
    if q and is_number(q) and digits(q):
        conditions.append("(instr(folded, ?) OR instr(digits, ?))")
        values += [folded(q), digits(q)]
    elif q:
        conditions.append("instr(folded, ?)")
        values.append(folded(q))
    return " AND ".join(conditions), values
