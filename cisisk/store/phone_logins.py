"""Who is logged in on which phone, and who was."""

import json
import sqlite3
from collections.abc import Callable, Collection
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

from cisisk.model.clock import Timestamp, now, timestamp
from cisisk.model.deployment import Deployment, Origin
from cisisk.model.errors import NotFound
from cisisk.model.listing import Listing, Page
from cisisk.model.mac import Mac
from cisisk.model.phone_login import EndReason, LoginWay, PhoneLogin, ReturnedTo
from cisisk.model.profile import ProfileHead
from cisisk.model.user import Actor
from cisisk.store import audit, sites
from cisisk.store.database import Database, Transaction
from cisisk.store.listing import ListSource

_COLUMNS = (
    "phone_logins.uuid, phone_logins.mac, phones.name AS phone_name, phones.location, phone_logins.user_uuid,"
    " phone_logins.username, profile_uuid, profile_name, way, home_sha256, requested_at, logged_in_at, until,"
    " deployment, reason, returned_to, ended_at, ended_by"
)
_FROM = "FROM phone_logins LEFT JOIN phones ON phones.mac = phone_logins.mac"
_SELECT = f"SELECT {_COLUMNS} {_FROM}"
_ATTRIBUTES = tuple(attribute.name for attribute in fields(PhoneLogin))
_OPEN = "phone_logins.mac = ? AND logged_in_at IS NOT NULL AND ended_at IS NULL"


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenLogin:
    """A login that has not ended, and what else says when it does.

    Attributes:
        user_is_active: False when the user was deactivated or deleted.
        logout_at: the times of the phone's site; None for those of the settings.
        times_since: when others began to hold for the phone; None when none have since the login began.
        page_used_at: when the user last asked for one of their pages on this phone.
    """

    login: PhoneLogin
    user_is_active: bool
    logout_at: tuple[str, ...] | None
    times_since: Timestamp | None
    page_used_at: Timestamp | None


def _login(row: sqlite3.Row) -> PhoneLogin:
    columns: dict[str, Any] = {name: row[name] for name in _ATTRIBUTES}
    return PhoneLogin(
        **{
            **columns,
            "mac": Mac(columns["mac"]),
            "way": LoginWay(columns["way"]),
            "reason": EndReason(columns["reason"]) if columns["reason"] else None,
            "returned_to": ReturnedTo(columns["returned_to"]) if columns["returned_to"] else None,
        }
    )


_LIST = ListSource(
    select=_SELECT,
    searched=("phone_logins.mac", "phones.name", "phones.location", "username", "profile_name", "reason"),
    sortable=("phone_logins.mac", "username", "profile_name", "logged_in_at", "ended_at", "reason"),
    order="number DESC",
    item=_login,
)


async def page(
    db: Database, listing: Listing, *, user_uuid: str | None = None, history: bool = False
) -> Page[PhoneLogin]:
    """The logins, the newest first: those of one user if named; with ``history`` those that have ended too."""
    conditions = ["1"] if history else ["ended_at IS NULL"]
    if user_uuid is not None:
        conditions.append("user_uuid = ?")
    return await _LIST.page(db, listing, " AND ".join(conditions), [user_uuid] if user_uuid is not None else [])


async def get(db: Database | Transaction, uuid: str) -> PhoneLogin:
    """One login. Raises NotFound."""
    row = await db.row(f"{_SELECT} WHERE phone_logins.uuid = ?", (uuid,))
    if row is None:
        raise NotFound("Login not found")
    return _login(row)


async def on(db: Database | Transaction, mac: Mac) -> PhoneLogin | None:
    """Who is logged in on a phone."""
    row = await db.row(f"{_SELECT} WHERE {_OPEN}", (mac.digits,))
    return None if row is None else _login(row)


async def last_on(db: Database | Transaction, mac: Mac) -> PhoneLogin | None:
    """The latest login on a phone that has begun, whether it has ended or not."""
    row = await db.row(
        f"{_SELECT} WHERE phone_logins.mac = ? AND logged_in_at IS NOT NULL ORDER BY number DESC LIMIT 1", (mac.digits,)
    )
    return None if row is None else _login(row)


async def beginning_on(db: Database, mac: Mac) -> list[PhoneLogin]:
    """Who is to be logged in on a phone, and is not yet: one, but while it is uncertain that the next replaces them."""
    rows = await db.rows(f"{_SELECT} WHERE phone_logins.mac = ? AND logged_in_at IS NULL", (mac.digits,))
    return [_login(row) for row in rows]


async def of_user(db: Database | Transaction, user_uuid: str) -> list[PhoneLogin]:
    """The logins of a user that have not ended, the newest first."""
    rows = await db.rows(f"{_SELECT} WHERE user_uuid = ? AND ended_at IS NULL ORDER BY number DESC", (user_uuid,))
    return [_login(row) for row in rows]


async def elsewhere(db: Database | Transaction, user_uuid: str, mac: Mac) -> list[PhoneLogin]:
    """The logins of a user on other phones that nothing has ended or is ending, the newest first."""
    rows = await db.rows(
        f"{_SELECT} WHERE user_uuid = ? AND phone_logins.mac <> ? AND reason IS NULL ORDER BY number DESC",
        (user_uuid, mac.digits),
    )
    return [_login(row) for row in rows]


async def all_open(db: Database) -> list[OpenLogin]:
    """Every login that has begun and not ended."""
    rows = await db.rows(
        f"SELECT {_COLUMNS}, COALESCE(users.is_active, 0) AS user_is_active, logout_at, times_since, active_at"
        f" {_FROM} LEFT JOIN users ON users.uuid = phone_logins.user_uuid"
        f" {sites.OF_PHONES}"
        " LEFT JOIN service_sessions ON service_sessions.mac = phone_logins.mac"
        " AND service_sessions.user_uuid = phone_logins.user_uuid"
        " WHERE logged_in_at IS NOT NULL AND ended_at IS NULL ORDER BY number"
    )
    return [
        OpenLogin(
            login=_login(row),
            user_is_active=bool(row["user_is_active"]),
            logout_at=sites.logout_times(row["logout_at"]),
            times_since=row["times_since"],
            page_used_at=row["active_at"],
        )
        for row in rows
    ]


async def begin(
    tx: Transaction,
    mac: Mac,
    user_uuid: str,
    profile: ProfileHead,
    *,
    way: LoginWay,
    takes_over: bool,
    is_only: bool,
    minutes: int | None,
) -> PhoneLogin:
    """Write down, before anything is done, that a user is to be logged in on a phone.

    Args:
        takes_over: end the user's logins on other phones once this one has begun.
        is_only: the user may be logged in on no other phone at the same time.
        minutes: how long it may last once it has begun; None for as long as it likes.

    Raises:
        NotFound: no such user.
    """
    user = await tx.row("SELECT username FROM users WHERE uuid = ?", (user_uuid,))
    if user is None:
        raise NotFound("User not found")
    uuid = str(uuid4())
    await tx.rows(
        "INSERT INTO phone_logins (uuid, mac, user_uuid, username, profile_uuid, profile_name, way, takes_over,"
        " is_only, minutes, requested_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            *(uuid, mac.digits, user_uuid, user["username"], profile.uuid, profile.name),
            *(way, takes_over, is_only, minutes, now()),
        ),
    )
    return await get(tx, uuid)


async def requested(db: Database, login: PhoneLogin, deployment: str) -> PhoneLogin:
    """The deployment that serves the phone the profile, now or later; the login as it is then.

    Nobody else who was to be logged in there will be: that deployment has superseded theirs.
    """
    async with db.transaction() as tx:
        await tx.rows(
            "DELETE FROM phone_logins WHERE mac = ? AND logged_in_at IS NULL AND uuid <> ?",
            (login.mac.digits, login.uuid),
        )
        await tx.rows(
            "UPDATE phone_logins SET deployment = ? WHERE uuid = ? AND logged_in_at IS NULL", (deployment, login.uuid)
        )
        return await get(tx, login.uuid)


async def forget(db: Database, login: PhoneLogin) -> None:
    """What was to begin does not."""
    async with db.transaction() as tx:
        await tx.rows("DELETE FROM phone_logins WHERE uuid = ? AND logged_in_at IS NULL", (login.uuid,))


async def forget_what_never_begins(db: Database, busy: Callable[[], Collection[Mac]]) -> None:
    """Those that have not begun and never will: no deployment is under way that would serve the phone the profile.

    Args:
        busy: gives the phones on which somebody is about to ask for that deployment.
    """
    async with db.transaction() as tx:
        # Asked where nobody else can write: who has asked for one and is busy no more has it in the store.
        macs = json.dumps([mac.digits for mac in busy()])
        await tx.rows(
            "DELETE FROM phone_logins"
            " WHERE logged_in_at IS NULL AND mac NOT IN (SELECT value FROM json_each(?))"
            " AND NOT EXISTS (SELECT 1 FROM deployments WHERE deployments.mac = phone_logins.mac"
            " AND deployments.profile_uuid = phone_logins.profile_uuid"
            " AND deployments.uuid = COALESCE(phone_logins.deployment, deployments.uuid)"
            " AND written_at IS NULL AND deployments.ended_at IS NULL)",
            (macs,),
        )


async def leave(db: Database, mac: Mac, reason: EndReason, uuid: str | None = None) -> PhoneLogin | None:
    """Decide that the login on a phone ends, unless that is decided; None when nobody is logged in.

    Args:
        uuid: of the login that is meant; None for whichever is there.
    """
    async with db.transaction() as tx:
        login = await on(tx, mac)
        if login is None or uuid not in (None, login.uuid):
            return None
        await tx.rows("UPDATE phone_logins SET reason = ? WHERE uuid = ? AND reason IS NULL", (reason, login.uuid))
        return await get(tx, login.uuid)


async def leave_once_begun(db: Database, login: PhoneLogin, reason: EndReason) -> None:
    """Decide it for a login that can no longer be kept from beginning."""
    async with db.transaction() as tx:
        await tx.rows(
            "UPDATE phone_logins SET reason = ? WHERE uuid = ? AND ended_at IS NULL AND reason IS NULL",
            (reason, login.uuid),
        )


async def leave_everywhere(db: Database, user_uuid: str, reason: EndReason) -> list[PhoneLogin]:
    """Decide it for all logins of a user that have not ended; those that have begun."""
    async with db.transaction() as tx:
        await tx.rows(
            "UPDATE phone_logins SET reason = ?"
            " WHERE user_uuid = ? AND logged_in_at IS NOT NULL AND ended_at IS NULL AND reason IS NULL",
            (reason, user_uuid),
        )
        return await of_user(tx, user_uuid)


async def returning(db: Database, login: PhoneLogin, to: ReturnedTo) -> None:
    """What the phone is about to be given instead."""
    async with db.transaction() as tx:
        await tx.rows("UPDATE phone_logins SET returned_to = ? WHERE uuid = ? AND ended_at IS NULL", (to, login.uuid))


async def stays(db: Database, actor: Actor, login: PhoneLogin) -> PhoneLogin:
    """The login ends, but there is nothing else that its phone could be served."""
    async with db.transaction() as tx:
        reason = login.reason or EndReason.MANUAL
        await _end(tx, actor, login.mac, reason, now(), returned_to=ReturnedTo.NOTHING)
        return await get(tx, login.uuid)


async def removed(tx: Transaction, actor: Actor, mac: Mac) -> None:
    """The phone is taken out of the inventory, within a transaction."""
    await tx.rows("DELETE FROM phone_logins WHERE mac = ? AND logged_in_at IS NULL", (mac.digits,))
    await _end(tx, actor, mac, EndReason.PHONE_REMOVED, now())


async def replaced(tx: Transaction, actor: Actor, mac: Mac) -> None:
    """The phone is served another file, which is no deployment's, within a transaction."""
    await _end(tx, actor, mac, EndReason.SWITCHED, now())


async def served(tx: Transaction, actor: Actor, deployment: Deployment, moment: Timestamp) -> None:
    """The phone is served a deployment's config from now on, within a transaction.

    Whoever was logged in no longer is, unless it is the same profile once more; whoever was to be is.
    """
    mac = deployment.mac
    begun = None
    if deployment.origin is Origin.SWITCH:
        begun = await tx.row(
            "SELECT uuid, user_uuid, takes_over, minutes FROM phone_logins"
            " WHERE mac = ? AND logged_in_at IS NULL AND profile_uuid = ? AND COALESCE(deployment, ?) = ?"
            " ORDER BY deployment IS NULL, number DESC LIMIT 1",
            (mac.digits, deployment.profile_uuid, deployment.uuid, deployment.uuid),
        )
    left = await on(tx, mac)
    if left is not None and begun is None and await _stays_on(tx, left, deployment):
        # Where the phone's own config is the same, that is replaced as well.
        await tx.rows(
            "UPDATE phone_logins SET home_sha256 = ? WHERE uuid = ? AND home_sha256 = ?",
            (deployment.sha256, left.uuid, deployment.replaced),
        )
        return
    if left is not None:
        returned_to = left.returned_to if deployment.origin is Origin.LOGOUT else None
        why = _why(left, deployment, begun)
        await _end(tx, actor, mac, why, moment, returned_to=returned_to, ended_by=deployment.uuid)
    if deployment.rolls_back is not None:
        await _reopen(tx, deployment, deployment.rolls_back)
    if begun is not None:
        await _begun(tx, actor, deployment, begun, moment, await _home(tx, deployment))


async def _begun(
    tx: Transaction, actor: Actor, deployment: Deployment, begun: sqlite3.Row, moment: Timestamp, home: str | None
) -> None:
    until = None
    if begun["minutes"] is not None:
        until = timestamp(datetime.fromisoformat(moment) + timedelta(minutes=begun["minutes"]))
    await tx.rows(
        "UPDATE phone_logins SET logged_in_at = ?, until = ?, deployment = ?, home_sha256 = ? WHERE uuid = ?",
        (moment, until, deployment.uuid, home, begun["uuid"]),
    )
    login = await get(tx, begun["uuid"])
    payload = {"user_uuid": login.user_uuid, "profile_uuid": login.profile_uuid, "way": login.way}
    await audit.record(tx, actor, "phone_login.begun", str(login.mac), payload)
    if begun["takes_over"] and login.reason is None:
        await tx.rows(
            "UPDATE phone_logins SET reason = ? WHERE user_uuid = ? AND mac <> ? AND logged_in_at IS NOT NULL"
            " AND reason IS NULL",
            (EndReason.TAKE_OVER, login.user_uuid, login.mac.digits),
        )


async def _stays_on(tx: Transaction, left: PhoneLogin, deployment: Deployment) -> bool:
    """Whether a phone is served the profile of whoever is logged in there once more, with nobody's login.

    An administrator may do so, when the profile has been changed perhaps, and may take that back: which is another
    thing than to take back the login, and than to take back what was there before it.
    """
    if deployment.origin is Origin.LOGOUT or deployment.profile_uuid != left.profile_uuid:
        return False
    if deployment.rolls_back is None:
        return True
    meanwhile = await tx.row(
        "SELECT 1 FROM deployments WHERE uuid = ? AND uuid IS NOT ? AND written_at > ?",
        (deployment.rolls_back, left.deployment, left.logged_in_at),
    )
    return meanwhile is not None


def _why(left: PhoneLogin, deployment: Deployment, begun: sqlite3.Row | None) -> EndReason:
    """Why the login on a phone ends with a deployment, perhaps the one of another that begins."""
    if left.reason is not None:
        return left.reason
    if begun is not None and begun["user_uuid"] != left.user_uuid:
        return EndReason.NEXT_USER
    taken_back = deployment.rolls_back is not None and deployment.rolls_back == left.deployment
    return EndReason.ROLLED_BACK if taken_back else EndReason.SWITCHED


async def _reopen(tx: Transaction, rollback: Deployment, undone: str) -> None:
    """What is served again may be somebody's whose login only ended because the phone was given something else.

    That login goes on, or goes on ending; where users may be on one phone only, it ends if they are on another by now.
    One that ended with a logout does not: whoever takes that back wants the config there, and nobody who is logged out
    again at once.
    """
    await tx.rows(
        "UPDATE phone_logins SET ended_at = NULL, ended_by = NULL, deployment = ?,"
        " reason = CASE WHEN reason NOT IN (?, ?, ?) THEN reason"
        " WHEN is_only AND EXISTS (SELECT 1 FROM phone_logins AS other WHERE other.user_uuid = phone_logins.user_uuid"
        " AND other.mac <> phone_logins.mac AND other.reason IS NULL) THEN ? END"
        " WHERE ended_by = ? AND mac = ?"
        " AND EXISTS (SELECT 1 FROM deployments WHERE deployments.uuid = ? AND origin <> ?)",
        (
            *(rollback.uuid, EndReason.NEXT_USER, EndReason.SWITCHED, EndReason.ROLLED_BACK, EndReason.TAKE_OVER),
            *(undone, rollback.mac.digits, undone, Origin.LOGOUT),
        ),
    )


async def _end(
    tx: Transaction,
    actor: Actor,
    mac: Mac,
    reason: EndReason,
    moment: Timestamp,
    *,
    returned_to: ReturnedTo | None = None,
    ended_by: str | None = None,
) -> None:
    """Whoever is logged in on a phone no longer is."""
    ended = await tx.row(
        "UPDATE phone_logins SET reason = ?, ended_at = ?, returned_to = ?, ended_by = ?"  # noqa: S608 -- own names
        f" WHERE {_OPEN} RETURNING user_uuid, profile_uuid, returned_to",
        (reason, moment, returned_to, ended_by, mac.digits),
    )
    if ended is not None:
        await audit.record(tx, actor, "phone_login.ended", str(mac), {**dict(ended), "reason": reason})


async def _home(tx: Transaction, deployment: Deployment) -> str | None:
    """What the phone has when nobody is logged in on it, as ``deployment`` found it; None for no config.

    That is what somebody has put there who is no user of it: an administrator, a logout, or a hand on the disk. What a
    login has put there never is, though it may be served without anybody's being logged in: where there was nothing to
    return to, and where a logout was taken back.
    """
    found, looked_at = deployment.replaced, deployment.uuid
    while (before := await _written_before(tx, looked_at)) is not None and before["sha256"] == found:
        login = await tx.row(
            "SELECT home_sha256 FROM phone_logins WHERE mac = ? AND ended_by IS NOT ? AND (deployment = ?"
            " OR profile_uuid = ? AND logged_in_at <= ? AND (ended_at IS NULL OR ended_at > ?))"
            " ORDER BY number DESC LIMIT 1",
            (
                *(before["mac"], before["uuid"], before["uuid"]),
                *(before["profile_uuid"], before["written_at"], before["written_at"]),
            ),
        )
        if login is not None:
            return None if login["home_sha256"] is None else str(login["home_sha256"])
        if before["rolls_back"] is None:
            break
        # What was served before what it took back.
        looked_at = before["rolls_back"]
        undone = await tx.row("SELECT replaced FROM deployments WHERE uuid = ?", (looked_at,))
        found = None if undone is None else undone["replaced"]
    return found


async def _written_before(tx: Transaction, uuid: str) -> sqlite3.Row | None:
    """The deployment whose config was written to the same phone before that of another."""
    return await tx.row(
        "SELECT earlier.uuid, earlier.mac, earlier.sha256, earlier.profile_uuid, earlier.rolls_back,"
        " earlier.written_at FROM deployments JOIN deployments AS earlier ON earlier.mac = deployments.mac"
        " WHERE deployments.uuid = ? AND (earlier.written_at, earlier.number) <"
        " (deployments.written_at, deployments.number) ORDER BY earlier.written_at DESC, earlier.number DESC LIMIT 1",
        (uuid,),
    )
