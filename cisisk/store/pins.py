"""The PINs with which users log in on a phone, as hashes."""

from collections.abc import Collection
from dataclasses import dataclass, field
from uuid import uuid4

from cisisk.model.clock import Timestamp, now
from cisisk.model.errors import NotFound
from cisisk.model.revision import require_current
from cisisk.model.user import Actor
from cisisk.store import audit, users
from cisisk.store.database import Database, Transaction


@dataclass(frozen=True, slots=True, kw_only=True)
class CiscoUser:
    """That a user may log in on phones."""

    uuid: str
    user_uuid: str
    pin_hash: str = field(repr=False)
    created_at: Timestamp
    updated_at: Timestamp
    revision: int


async def find(db: Database | Transaction, user_uuid: str) -> CiscoUser | None:
    """A user's PIN, or None."""
    row = await db.row(
        "SELECT uuid, user_uuid, pin_hash, created_at, updated_at, revision FROM pins WHERE user_uuid = ?", (user_uuid,)
    )
    return None if row is None else CiscoUser(**dict(row))


async def get(db: Database | Transaction, user_uuid: str) -> CiscoUser:
    """A user's PIN. Raises NotFound."""
    found = await find(db, user_uuid)
    if found is None:
        raise NotFound("Cisco user not found")
    return found


async def put(
    db: Database, actor: Actor, user_uuid: str, pin_hash: str, seen: Collection[str] | None = None
) -> CiscoUser:
    """Set a user's PIN, the first or a new one. Raises NotFound: no such user; Stale."""
    async with db.transaction() as tx:
        await users.get(tx, user_uuid)
        known = await find(tx, user_uuid)
        if seen is not None:
            require_current(await get(tx, user_uuid), seen)
        moment = now()
        await tx.rows(
            "INSERT INTO pins (uuid, user_uuid, pin_hash, created_at, updated_at) VALUES (?, ?, ?, ?, ?)"
            " ON CONFLICT (user_uuid) DO UPDATE"
            " SET pin_hash = excluded.pin_hash, updated_at = excluded.updated_at, revision = revision + 1",
            (str(uuid4()), user_uuid, pin_hash, moment, moment),
        )
        # Who is logged in on a phone with the old PIN may not be the one who set the new.
        await tx.rows("DELETE FROM service_sessions WHERE user_uuid = ?", (user_uuid,))
        action = "cisco_user.updated" if known else "cisco_user.created"
        await audit.record(tx, actor, action, user_uuid)
        return await get(tx, user_uuid)


async def delete(db: Database, actor: Actor, user_uuid: str, seen: Collection[str] | None = None) -> None:
    """Take a user's PIN away, so that no phone lets the user in. Raises NotFound, Stale."""
    async with db.transaction() as tx:
        require_current(await get(tx, user_uuid), seen)
        await tx.rows("DELETE FROM pins WHERE user_uuid = ?", (user_uuid,))
        await tx.rows("DELETE FROM service_sessions WHERE user_uuid = ?", (user_uuid,))
        await audit.record(tx, actor, "cisco_user.deleted", user_uuid)
