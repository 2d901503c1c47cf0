"""Who is logged in on which phone, and who was."""

import json
import sqlite3
from collections.abc import Collection
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
from cisisk.store.listing import ListSource
from cisisk.store.transaction import Read, Write

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


def page(tx: Read, listing: Listing, *, user_uuid: str | None = None, history: bool = False) -> Page[PhoneLogin]:
    """The logins, the newest first: those of one user if named; with ``history`` those that have ended too."""
    conditions = ["1"] if history else ["ended_at IS NULL"]
    if user_uuid is not None:
        conditions.append("user_uuid = ?")
    return _LIST.page(tx, listing, " AND ".join(conditions), [user_uuid] if user_uuid is not None else [])


def get(tx: Read, uuid: str) -> PhoneLogin:
    """One login. Raises NotFound."""
    row = tx.row(f"{_SELECT} WHERE phone_logins.uuid = ?", (uuid,))
    if row is None:
        raise NotFound("Login not found")
    return _login(row)


def on(tx: Read, mac: Mac) -> PhoneLogin | None:
    """Who is logged in on a phone."""
    row = tx.row(f"{_SELECT} WHERE {_OPEN}", (mac.digits,))
    return None if row is None else _login(row)


def last_on(tx: Read, mac: Mac) -> PhoneLogin | None:
    """The latest login on a phone that has begun, whether it has ended or not."""
    row = tx.row(
        f"{_SELECT} WHERE phone_logins.mac = ? AND logged_in_at IS NOT NULL ORDER BY number DESC LIMIT 1", (mac.digits,)
    )
    return None if row is None else _login(row)


def beginning_on(tx: Read, mac: Mac) -> list[PhoneLogin]:
    """Who is to be logged in on a phone, and is not yet: one, but while it is uncertain that the next replaces them."""
    rows = tx.rows(f"{_SELECT} WHERE phone_logins.mac = ? AND logged_in_at IS NULL", (mac.digits,))
    return [_login(row) for row in rows]


def of_user(tx: Read, user_uuid: str) -> list[PhoneLogin]:
    """The logins of a user that have not ended, the newest first."""
    rows = tx.rows(f"{_SELECT} WHERE user_uuid = ? AND ended_at IS NULL ORDER BY number DESC", (user_uuid,))
    return [_login(row) for row in rows]


def elsewhere(tx: Read, user_uuid: str, mac: Mac) -> list[PhoneLogin]:
    """The logins of a user on other phones that nothing has ended or is ending, the newest first."""
    rows = tx.rows(
        f"{_SELECT} WHERE user_uuid = ? AND phone_logins.mac <> ? AND reason IS NULL ORDER BY number DESC",
        (user_uuid, mac.digits),
    )
    return [_login(row) for row in rows]


def all_open(tx: Read) -> list[OpenLogin]:
    """Every login that has begun and not ended."""
    rows = tx.rows(
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


def begin(
    tx: Write,
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
    user = tx.row("SELECT username FROM users WHERE uuid = ?", (user_uuid,))
    if user is None:
        raise NotFound("User not found")
    uuid = str(uuid4())
    tx.rows(
        "INSERT INTO phone_logins (uuid, mac, user_uuid, username, profile_uuid, profile_name, way, takes_over,"
        " is_only, minutes, requested_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            *(uuid, mac.digits, user_uuid, user["username"], profile.uuid, profile.name),
            *(way, takes_over, is_only, minutes, now()),
        ),
    )
    return get(tx, uuid)


def requested(tx: Write, login: PhoneLogin, deployment: str) -> PhoneLogin:
    """The deployment that serves the phone the profile, now or later; the login as it is then.

    Nobody else who was to be logged in there will be: that deployment has superseded theirs.
    """
    tx.rows(
        "DELETE FROM phone_logins WHERE mac = ? AND logged_in_at IS NULL AND uuid <> ?",
        (login.mac.digits, login.uuid),
    )
    tx.rows("UPDATE phone_logins SET deployment = ? WHERE uuid = ? AND logged_in_at IS NULL", (deployment, login.uuid))
    return get(tx, login.uuid)


def forget(tx: Write, login: PhoneLogin) -> None:
    """What was to begin does not."""
    tx.rows("DELETE FROM phone_logins WHERE uuid = ? AND logged_in_at IS NULL", (login.uuid,))


def not_begun(tx: Read) -> list[tuple[str, Mac]]:
    """Return the uuid and the phone of each login that has not begun."""
    return [
        (row["uuid"], Mac(row["mac"]))
        for row in tx.rows("SELECT uuid, mac FROM phone_logins WHERE logged_in_at IS NULL")
    ]


def forget_abandoned(tx: Write, uuids: Collection[str]) -> None:
    """Delete those of the logins that never begin: no unfinished deployment would serve the phone their profile."""
    tx.rows(
        "DELETE FROM phone_logins"
        " WHERE logged_in_at IS NULL AND uuid IN (SELECT value FROM json_each(?))"
        " AND NOT EXISTS (SELECT 1 FROM deployments WHERE deployments.mac = phone_logins.mac"
        " AND deployments.profile_uuid = phone_logins.profile_uuid"
        " AND deployments.uuid = COALESCE(phone_logins.deployment, deployments.uuid)"
        " AND written_at IS NULL AND deployments.ended_at IS NULL)",
        (json.dumps(list(uuids)),),
    )


def leave(tx: Write, mac: Mac, reason: EndReason, uuid: str | None = None) -> PhoneLogin | None:
    """Decide that the login on a phone ends, unless that is decided; None when nobody is logged in.

    Args:
        uuid: of the login that is meant; None for whichever is there.
    """
    login = on(tx, mac)
    if login is None or uuid not in (None, login.uuid):
        return None
    tx.rows("UPDATE phone_logins SET reason = ? WHERE uuid = ? AND reason IS NULL", (reason, login.uuid))
    return get(tx, login.uuid)


def leave_once_begun(tx: Write, login: PhoneLogin, reason: EndReason) -> None:
    """Decide it for a login that can no longer be kept from beginning."""
    tx.rows(
        "UPDATE phone_logins SET reason = ? WHERE uuid = ? AND ended_at IS NULL AND reason IS NULL",
        (reason, login.uuid),
    )


def leave_everywhere(tx: Write, user_uuid: str, reason: EndReason) -> list[PhoneLogin]:
    """Decide it for all logins of a user that have not ended; those that have begun."""
    tx.rows(
        "UPDATE phone_logins SET reason = ?"
        " WHERE user_uuid = ? AND logged_in_at IS NOT NULL AND ended_at IS NULL AND reason IS NULL",
        (reason, user_uuid),
    )
    return of_user(tx, user_uuid)


def returning(tx: Write, login: PhoneLogin, to: ReturnedTo) -> None:
    """What the phone is about to be given instead."""
    tx.rows("UPDATE phone_logins SET returned_to = ? WHERE uuid = ? AND ended_at IS NULL", (to, login.uuid))


def stays(tx: Write, actor: Actor, login: PhoneLogin) -> PhoneLogin:
    """The login ends, but there is nothing else that its phone could be served."""
    reason = login.reason or EndReason.MANUAL
    _end(tx, actor, login.mac, reason, now(), returned_to=ReturnedTo.NOTHING)
    return get(tx, login.uuid)


def removed(tx: Write, actor: Actor, mac: Mac) -> None:
    """The phone is taken out of the inventory, within a transaction."""
    tx.rows("DELETE FROM phone_logins WHERE mac = ? AND logged_in_at IS NULL", (mac.digits,))
    _end(tx, actor, mac, EndReason.PHONE_REMOVED, now())


def replaced(tx: Write, actor: Actor, mac: Mac) -> None:
    """The phone is served another file, which is no deployment's, within a transaction."""
    _end(tx, actor, mac, EndReason.SWITCHED, now())


def served(tx: Write, actor: Actor, deployment: Deployment, moment: Timestamp) -> None:
    """The phone is served a deployment's config from now on, within a transaction.

    Whoever was logged in no longer is, unless it is the same profile once more; whoever was to be is.
    """
    mac = deployment.mac
    begun = None
    if deployment.origin is Origin.SWITCH:
        begun = tx.row(
            "SELECT uuid, user_uuid, takes_over, minutes FROM phone_logins"
            " WHERE mac = ? AND logged_in_at IS NULL AND profile_uuid = ? AND COALESCE(deployment, ?) = ?"
            " ORDER BY deployment IS NULL, number DESC LIMIT 1",
            (mac.digits, deployment.profile_uuid, deployment.uuid, deployment.uuid),
        )
    left = on(tx, mac)
    if left is not None and begun is None and _stays_on(tx, left, deployment):
        # Where the phone's own config is the same, that is replaced as well.
        tx.rows(
            "UPDATE phone_logins SET home_sha256 = ? WHERE uuid = ? AND home_sha256 = ?",
            (deployment.sha256, left.uuid, deployment.replaced),
        )
        return
    if left is not None:
        returned_to = left.returned_to if deployment.origin is Origin.LOGOUT else None
        why = _why(left, deployment, begun)
        _end(tx, actor, mac, why, moment, returned_to=returned_to, ended_by=deployment.uuid)
    if deployment.rolls_back is not None:
        _reopen(tx, deployment, deployment.rolls_back)
    if begun is not None:
        _begun(tx, actor, deployment, begun, moment, _home(tx, deployment))


def _begun(
    tx: Write, actor: Actor, deployment: Deployment, begun: sqlite3.Row, moment: Timestamp, home: str | None
) -> None:
    until = None
    if begun["minutes"] is not None:
        until = timestamp(datetime.fromisoformat(moment) + timedelta(minutes=begun["minutes"]))
    tx.rows(
        "UPDATE phone_logins SET logged_in_at = ?, until = ?, deployment = ?, home_sha256 = ? WHERE uuid = ?",
        (moment, until, deployment.uuid, home, begun["uuid"]),
    )
    login = get(tx, begun["uuid"])
    payload = {"user_uuid": login.user_uuid, "profile_uuid": login.profile_uuid, "way": login.way}
    audit.record(tx, actor, "phone_login.begun", str(login.mac), payload)
    if begun["takes_over"] and login.reason is None:
        tx.rows(
            "UPDATE phone_logins SET reason = ? WHERE user_uuid = ? AND mac <> ? AND logged_in_at IS NOT NULL"
            " AND reason IS NULL",
            (EndReason.TAKE_OVER, login.user_uuid, login.mac.digits),
        )


def _stays_on(tx: Read, left: PhoneLogin, deployment: Deployment) -> bool:
    """Whether a phone is served the profile of whoever is logged in there once more, with nobody's login.

    An administrator may do so, when the profile has been changed perhaps, and may take that back: which is another
    thing than to take back the login, and than to take back what was there before it.
    """
    if deployment.origin is Origin.LOGOUT or deployment.profile_uuid != left.profile_uuid:
        return False
    if deployment.rolls_back is None:
        return True
    meanwhile = tx.row(
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


def _reopen(tx: Write, rollback: Deployment, undone: str) -> None:
    """What is served again may be somebody's whose login only ended because the phone was given something else.

    That login goes on, or goes on ending; where users may be on one phone only, it ends if they are on another by now.
    One that ended with a logout does not: whoever takes that back wants the config there, and nobody who is logged out
    again at once.
    """
    tx.rows(
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


def _end(
    tx: Write,
    actor: Actor,
    mac: Mac,
    reason: EndReason,
    moment: Timestamp,
    *,
    returned_to: ReturnedTo | None = None,
    ended_by: str | None = None,
) -> None:
    """Whoever is logged in on a phone no longer is."""
    ended = tx.row(
        "UPDATE phone_logins SET reason = ?, ended_at = ?, returned_to = ?, ended_by = ?"  # noqa: S608 -- own names
        f" WHERE {_OPEN} RETURNING user_uuid, profile_uuid, returned_to",
        (reason, moment, returned_to, ended_by, mac.digits),
    )
    if ended is not None:
        audit.record(tx, actor, "phone_login.ended", str(mac), {**dict(ended), "reason": reason})


def _home(tx: Read, deployment: Deployment) -> str | None:
    """What the phone has when nobody is logged in on it, as ``deployment`` found it; None for no config.

    That is what somebody has put there who is no user of it: an administrator, a logout, or a hand on the disk. What a
    login has put there never is, though it may be served without anybody's being logged in: where there was nothing to
    return to, and where a logout was taken back.
    """
    found, looked_at = deployment.replaced, deployment.uuid
    while (before := _written_before(tx, looked_at)) is not None and before["sha256"] == found:
        login = tx.row(
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
        undone = tx.row("SELECT replaced FROM deployments WHERE uuid = ?", (looked_at,))
        found = None if undone is None else undone["replaced"]
    return found


def _written_before(tx: Read, uuid: str) -> sqlite3.Row | None:
    """The deployment whose config was written to the same phone before that of another."""
    return tx.row(
        "SELECT earlier.uuid, earlier.mac, earlier.sha256, earlier.profile_uuid, earlier.rolls_back,"
        " earlier.written_at FROM deployments JOIN deployments AS earlier ON earlier.mac = deployments.mac"
        " WHERE deployments.uuid = ? AND (earlier.written_at, earlier.number) <"
        " (deployments.written_at, deployments.number) ORDER BY earlier.written_at DESC, earlier.number DESC LIMIT 1",
        (uuid,),
    )
