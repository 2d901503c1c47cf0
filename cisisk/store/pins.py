"""The hashes of the PINs with which users log in on phones."""

from collections.abc import Collection
from dataclasses import dataclass, field
from uuid import uuid4

from cisisk.model.clock import Timestamp, now
from cisisk.model.errors import NotFound
from cisisk.model.revision import require_current
from cisisk.model.user import Actor
from cisisk.store import audit, users
from cisisk.store.transaction import Read, Write


@dataclass(frozen=True, slots=True, kw_only=True)
class CiscoUser:
    """The PIN of a user, who may log in on phones with it."""

    uuid: str
    user_uuid: str
    pin_hash: str = field(repr=False)
    created_at: Timestamp
    updated_at: Timestamp
    revision: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PinHolder:
    """A user found by the name that was typed at a phone.

    Attributes:
        pin_hash: None if the user has no PIN, or may not log in.
    """

    user_uuid: str
    username: str
    pin_hash: str | None = field(repr=False)


def holder(tx: Read, username: str, beside: str) -> tuple[PinHolder | None, str | None]:
    """Return the user of that name, in any case, and the hash of another user to compare with.

    Args:
        beside: the position of the other user among the uuids; the same position gives the same user.

    Returns:
        The user, or None if there is none. The hash, or None if no user has a PIN.
    """
    row = tx.row(
        "SELECT users.uuid AS user_uuid, username, CASE WHEN is_active THEN pins.pin_hash END AS pin_hash,"
        " COALESCE((SELECT pin_hash FROM pins WHERE user_uuid >= ? ORDER BY user_uuid LIMIT 1),"
        " (SELECT pin_hash FROM pins ORDER BY user_uuid LIMIT 1)) AS another"
        " FROM (SELECT 1) LEFT JOIN users ON username = ? LEFT JOIN pins ON user_uuid = users.uuid",
        (beside, username),
    )
    if row is None:
        return None, None
    if row["user_uuid"] is None:
        return None, row["another"]
    known = PinHolder(user_uuid=row["user_uuid"], username=row["username"], pin_hash=row["pin_hash"])
    return known, row["another"]


def find(tx: Read, user_uuid: str) -> CiscoUser | None:
    """Return a user's PIN, or None."""
    row = tx.row(
        "SELECT uuid, user_uuid, pin_hash, created_at, updated_at, revision FROM pins WHERE user_uuid = ?", (user_uuid,)
    )
    return None if row is None else CiscoUser(**dict(row))


def get(tx: Read, user_uuid: str) -> CiscoUser:
    """Return a user's PIN. Raises NotFound."""
    found = find(tx, user_uuid)
    if found is None:
        raise NotFound("Cisco user not found")
    return found


def put(tx: Write, actor: Actor, user_uuid: str, pin_hash: str, seen: Collection[str] | None = None) -> CiscoUser:
    """Set or replace a user's PIN. Raises NotFound, Stale."""
    users.get(tx, user_uuid)
    known = find(tx, user_uuid)
    if seen is not None:
        require_current(get(tx, user_uuid), seen)
    moment = now()
    tx.rows(
        "INSERT INTO pins (uuid, user_uuid, pin_hash, created_at, updated_at) VALUES (?, ?, ?, ?, ?)"
        " ON CONFLICT (user_uuid) DO UPDATE"
        " SET pin_hash = excluded.pin_hash, updated_at = excluded.updated_at, revision = revision + 1",
        (str(uuid4()), user_uuid, pin_hash, moment, moment),
    )
    # A phone session that began with the old PIN may be of another person.
    tx.rows("DELETE FROM service_sessions WHERE user_uuid = ?", (user_uuid,))
    action = "cisco_user.updated" if known else "cisco_user.created"
    audit.record(tx, actor, action, user_uuid)
    return get(tx, user_uuid)


def rehashed(tx: Write, known: PinHolder, pin_hash: str) -> None:
    """Replace the hash of a PIN by another hash of the same PIN, without an audit entry."""
    tx.rows(
        "UPDATE pins SET pin_hash = ? WHERE user_uuid = ? AND pin_hash = ?",
        (pin_hash, known.user_uuid, known.pin_hash),
    )


def delete(tx: Write, actor: Actor, user_uuid: str, seen: Collection[str] | None = None) -> None:
    """Remove a user's PIN. The user cannot log in on phones any more. Raises NotFound, Stale."""
    require_current(get(tx, user_uuid), seen)
    tx.rows("DELETE FROM pins WHERE user_uuid = ?", (user_uuid,))
    tx.rows("DELETE FROM service_sessions WHERE user_uuid = ?", (user_uuid,))
    audit.record(tx, actor, "cisco_user.deleted", user_uuid)
