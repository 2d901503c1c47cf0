"""Sessions of users on the screens of phones."""

import sqlite3
from dataclasses import dataclass, replace

from cisisk.model.clock import Timestamp
from cisisk.model.mac import Mac
from cisisk.model.phone import Software
from cisisk.model.user import Actor
from cisisk.store import audit, pins
from cisisk.store.transaction import Read, Write


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceSession:
    """A session of a user on the screen of a phone.

    Attributes:
        ip: the only address for which it is valid.
        user_name: first and last name.
    """

    mac: Mac
    user_uuid: str
    user_name: str
    username: str
    language: str
    ip: str
    created_at: Timestamp
    active_at: Timestamp


@dataclass(frozen=True, slots=True, kw_only=True)
class PhoneContext:
    """What is known about a phone that requests a page.

    Attributes:
        model, software, current_profile_uuid: None if unknown, or if the phone is not in the inventory.
        addresses: entered by an administrator, or proved by a whole file that it took there.
        session: on its screen, of any age.
        occupant: the username of the open login on the phone.
    """

    mac: Mac
    model: str | None = None
    software: Software | None = None
    current_profile_uuid: str | None = None
    addresses: frozenset[str] = frozenset()
    session: ServiceSession | None = None
    occupant: str | None = None


def context(tx: Read, mac: Mac) -> PhoneContext:
    """Return what is known about one phone, in the inventory or not."""
    row = tx.row(
        "SELECT model, phone_ip, software, current_profile_uuid, sightings.ip AS seen_ip, service_sessions.user_uuid,"
        " first_name, last_name, users.username, lang, service_sessions.ip, service_sessions.created_at, active_at,"
        " phone_logins.username AS occupant"
        " FROM (SELECT ? AS mac) AS asked"
        " LEFT JOIN phones ON phones.mac = asked.mac"
        " LEFT JOIN cisco_phones ON cisco_phones.mac = asked.mac"
        " LEFT JOIN sightings ON sightings.mac = asked.mac AND proved"
        " LEFT JOIN service_sessions ON service_sessions.mac = asked.mac"
        " LEFT JOIN users ON users.uuid = service_sessions.user_uuid AND users.is_active"
        " LEFT JOIN phone_logins ON phone_logins.mac = asked.mac AND logged_in_at IS NOT NULL AND ended_at IS NULL",
        (mac.digits,),
    )
    if row is None:
        return PhoneContext(mac=mac)
    return PhoneContext(
        mac=mac,
        model=row["model"],
        software=Software(row["software"]) if row["software"] else None,
        current_profile_uuid=row["current_profile_uuid"],
        addresses=frozenset(ip for ip in (row["phone_ip"], row["seen_ip"]) if ip),
        session=_session(row, mac) if row["username"] else None,
        occupant=row["occupant"],
    )


def begin(
    tx: Write, actor: Actor, mac: Mac, user_uuid: str, pin_hash: str, ip: str, moment: Timestamp
) -> ServiceSession | None:
    """Begin a session of a user on a phone; it replaces another one.

    Returns:
        The session; None if the user was deactivated, or got another PIN, since ``pin_hash`` was read.
    """
    if not _may_log_in(tx, user_uuid, pin_hash):
        return None
    tx.rows(
        "INSERT OR REPLACE INTO service_sessions (mac, user_uuid, ip, created_at, active_at) VALUES (?, ?, ?, ?, ?)",
        (mac.digits, user_uuid, ip, moment, moment),
    )
    audit.record(tx, actor, "phone.login", str(mac), {"user_uuid": user_uuid})
    return context(tx, mac).session


def change_pin(
    tx: Write, actor: Actor, mac: Mac, known: pins.PinHolder, pin_hash: str, moment: Timestamp
) -> ServiceSession | None:
    """Set another PIN, end the user's sessions, and begin a new one on a phone. Returns as :func:`begin`.

    Args:
        known: the user, with the hash of the PIN that was verified.
        pin_hash: of the new PIN.
    """
    if not _may_log_in(tx, known.user_uuid, known.pin_hash):
        return None
    pins.put(tx, actor, known.user_uuid, pin_hash)
    user = replace(actor, user_uuid=known.user_uuid)
    return begin(tx, user, mac, known.user_uuid, pin_hash, actor.ip or "", moment)


def _may_log_in(tx: Read, user_uuid: str, pin_hash: str | None) -> bool:
    """Return whether the user is active and still has this PIN."""
    known = tx.row(
        "SELECT 1 FROM pins JOIN users ON users.uuid = user_uuid WHERE user_uuid = ? AND pin_hash = ? AND is_active",
        (user_uuid, pin_hash),
    )
    return known is not None


def refused(tx: Write, actor: Actor, mac: Mac, user_uuid: str | None) -> None:
    """Record in the audit log that a login failed, with its user, or None if there is no such user.

    The typed text is not stored: it may be a PIN in the wrong field.
    """
    audit.record(tx, actor, "phone.login_failed", str(mac), {"user_uuid": user_uuid})


def active(tx: Write, session: ServiceSession, moment: Timestamp) -> None:
    """Record the last activity of a session."""
    tx.rows(
        "UPDATE service_sessions SET active_at = ? WHERE mac = ? AND user_uuid = ? AND created_at = ?",
        (moment, session.mac.digits, session.user_uuid, session.created_at),
    )


def end(tx: Write, actor: Actor, mac: Mac) -> None:
    """End the session on a phone."""
    ended = tx.row("DELETE FROM service_sessions WHERE mac = ? RETURNING user_uuid", (mac.digits,))
    if ended is not None:
        audit.record(tx, actor, "phone.logout", str(mac), {"user_uuid": ended["user_uuid"]})


def _session(row: sqlite3.Row, mac: Mac) -> ServiceSession:
    return ServiceSession(
        mac=mac,
        user_uuid=row["user_uuid"],
        user_name=f"{row['first_name']} {row['last_name']}".strip(),
        username=row["username"],
        language=row["lang"],
        ip=row["ip"],
        created_at=row["created_at"],
        active_at=row["active_at"],
    )
