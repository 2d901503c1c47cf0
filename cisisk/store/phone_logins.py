"""Logins on phones, current and past."""

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
from cisisk.store.changes import insert
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
    """A login that has not ended, with the facts that decide when it ends.

    Attributes:
        user_is_active: False if the user was deactivated or deleted.
        logout_at: the logout times of the phone's site; None means those of the settings.
        times_since: when the phone's logout times last changed; None if they have not since the login began.
        page_used_at: when the user last requested a personal page on this phone.
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
    """Return the logins, the newest first; only those of one user if given; with ``history`` the ended ones too."""
    conditions = ["1"] if history else ["ended_at IS NULL"]
    if user_uuid is not None:
        conditions.append("user_uuid = ?")
    return _LIST.page(tx, listing, " AND ".join(conditions), [user_uuid] if user_uuid is not None else [])


def get(tx: Read, uuid: str) -> PhoneLogin:
    """Return one login. Raises NotFound."""
    row = tx.row(f"{_SELECT} WHERE phone_logins.uuid = ?", (uuid,))
    if row is None:
        raise NotFound("Login not found")
    return _login(row)


def on(tx: Read, mac: Mac) -> PhoneLogin | None:
    """Return the open login on a phone, or None."""
    row = tx.row(f"{_SELECT} WHERE {_OPEN}", (mac.digits,))
    return None if row is None else _login(row)


def last_on(tx: Read, mac: Mac) -> PhoneLogin | None:
    """Return the latest login on a phone that has begun, or None."""
    row = tx.row(
        f"{_SELECT} WHERE phone_logins.mac = ? AND logged_in_at IS NOT NULL ORDER BY number DESC LIMIT 1", (mac.digits,)
    )
    return None if row is None else _login(row)


def beginning_on(tx: Read, mac: Mac) -> list[PhoneLogin]:
    """Return the logins on a phone that have not begun: two while it is uncertain whether the newer one begins."""
    rows = tx.rows(f"{_SELECT} WHERE phone_logins.mac = ? AND logged_in_at IS NULL", (mac.digits,))
    return [_login(row) for row in rows]


def of_user(tx: Read, user_uuid: str) -> list[PhoneLogin]:
    """Return the logins of a user that have not ended, the newest first."""
    rows = tx.rows(f"{_SELECT} WHERE user_uuid = ? AND ended_at IS NULL ORDER BY number DESC", (user_uuid,))
    return [_login(row) for row in rows]


def elsewhere(tx: Read, user_uuid: str, mac: Mac) -> list[PhoneLogin]:
    """Return the logins of a user on other phones that have not ended and are not ending, the newest first."""
    rows = tx.rows(
        f"{_SELECT} WHERE user_uuid = ? AND phone_logins.mac <> ? AND reason IS NULL ORDER BY number DESC",
        (user_uuid, mac.digits),
    )
    return [_login(row) for row in rows]


def all_open(tx: Read) -> list[OpenLogin]:
    """Return every login that has begun and not ended."""
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
    """Record, before anything else is done, that a login of a user on a phone will begin.

    Args:
        takes_over: end the user's logins on other phones once this one has begun.
        is_only: the user may have no login on another phone at the same time.
        minutes: the limit of its duration once it has begun; None for no limit.

    Raises:
        NotFound: there is no such user.
    """
    user = tx.row("SELECT username FROM users WHERE uuid = ?", (user_uuid,))
    if user is None:
        raise NotFound("User not found")
    uuid = str(uuid4())
    row = {
        "uuid": uuid,
        "mac": mac.digits,
        "user_uuid": user_uuid,
        "username": user["username"],
        "profile_uuid": profile.uuid,
        "profile_name": profile.name,
        "way": way,
        "takes_over": takes_over,
        "is_only": is_only,
        "minutes": minutes,
        "requested_at": now(),
    }
    insert(tx, "phone_logins", row)
    return get(tx, uuid)


def requested(tx: Write, login: PhoneLogin, deployment: str) -> PhoneLogin:
    """Record the deployment that serves the phone the login's profile; return the login.

    Other logins on the phone that have not begun are deleted: this deployment has superseded theirs.
    """
    tx.rows(
        "DELETE FROM phone_logins WHERE mac = ? AND logged_in_at IS NULL AND uuid <> ?",
        (login.mac.digits, login.uuid),
    )
    tx.rows("UPDATE phone_logins SET deployment = ? WHERE uuid = ? AND logged_in_at IS NULL", (deployment, login.uuid))
    return get(tx, login.uuid)


def forget(tx: Write, login: PhoneLogin) -> None:
    """Delete a login that has not begun."""
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
    """Record why the login on a phone ends, unless it is ending already; return the login, or None if there is none.

    Args:
        uuid: of the login to end; None for any login on the phone.
    """
    login = on(tx, mac)
    if login is None or uuid not in (None, login.uuid):
        return None
    tx.rows("UPDATE phone_logins SET reason = ? WHERE uuid = ? AND reason IS NULL", (reason, login.uuid))
    return get(tx, login.uuid)


def leave_once_begun(tx: Write, login: PhoneLogin, reason: EndReason) -> None:
    """Record why a login ends that will begin in any case."""
    tx.rows(
        "UPDATE phone_logins SET reason = ? WHERE uuid = ? AND ended_at IS NULL AND reason IS NULL",
        (reason, login.uuid),
    )


def leave_everywhere(tx: Write, user_uuid: str, reason: EndReason) -> list[PhoneLogin]:
    """Record why all logins of a user end; return those that have begun."""
    tx.rows(
        "UPDATE phone_logins SET reason = ?"
        " WHERE user_uuid = ? AND logged_in_at IS NOT NULL AND ended_at IS NULL AND reason IS NULL",
        (reason, user_uuid),
    )
    return of_user(tx, user_uuid)


def returning(tx: Write, login: PhoneLogin, to: ReturnedTo) -> None:
    """Record what the phone will be served after the login."""
    tx.rows("UPDATE phone_logins SET returned_to = ? WHERE uuid = ? AND ended_at IS NULL", (to, login.uuid))


def stays(tx: Write, actor: Actor, login: PhoneLogin) -> PhoneLogin:
    """End a login although there is no other config for its phone; return the login."""
    reason = login.reason or EndReason.MANUAL
    _end(tx, actor, login.mac, reason, now(), returned_to=ReturnedTo.NOTHING)
    return get(tx, login.uuid)


def removed(tx: Write, actor: Actor, mac: Mac) -> None:
    """End the login on a phone that is removed from the inventory."""
    tx.rows("DELETE FROM phone_logins WHERE mac = ? AND logged_in_at IS NULL", (mac.digits,))
    _end(tx, actor, mac, EndReason.PHONE_REMOVED, now())


def replaced(tx: Write, actor: Actor, mac: Mac) -> None:
    """End the login on a phone that is served a config which is of no deployment."""
    _end(tx, actor, mac, EndReason.SWITCHED, now())


def served(tx: Write, actor: Actor, deployment: Deployment, moment: Timestamp) -> None:
    """Update the logins of a phone that is served the config of ``deployment`` since ``moment``.

    The open login ends, unless its profile is deployed again. The login that this deployment was made for begins.
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
        # If the replaced config was the one that the phone has without a login, now the new one is.
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
    """Return whether a login stays open: its profile is deployed again, without a login.

    An administrator does that, for example after a change of the profile, and may roll it back. A rollback of the
    login itself, or of an earlier deployment, does end the login.
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
    """Return why the login on a phone ends with a deployment, which may begin another login."""
    if left.reason is not None:
        return left.reason
    if begun is not None and begun["user_uuid"] != left.user_uuid:
        return EndReason.NEXT_USER
    taken_back = deployment.rolls_back is not None and deployment.rolls_back == left.deployment
    return EndReason.ROLLED_BACK if taken_back else EndReason.SWITCHED


def _reopen(tx: Write, rollback: Deployment, undone: str) -> None:
    """Reopen the login that the undone deployment had ended by replacing its config.

    If users may be logged in on one phone only, the login ends if the user is logged in elsewhere by now. A login that
    ended by a logout stays ended: a rollback of the logout restores the config only.
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
    """End the open login on a phone."""
    ended = tx.row(
        "UPDATE phone_logins SET reason = ?, ended_at = ?, returned_to = ?, ended_by = ?"  # noqa: S608 -- own names
        f" WHERE {_OPEN} RETURNING user_uuid, profile_uuid, returned_to",
        (reason, moment, returned_to, ended_by, mac.digits),
    )
    if ended is not None:
        audit.record(tx, actor, "phone_login.ended", str(mac), {**dict(ended), "reason": reason})


def _home(tx: Read, deployment: Deployment) -> str | None:
    """Return the sha256 of the config that the phone has without a login, as of ``deployment``; None for no config.

    An administrator, a logout, or a change on the disk determines it, never a login. A login's config can be served
    without an open login: if there was no other config to return to, and after a rolled back logout.
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
        # What was served before the deployment that it undid.
        looked_at = before["rolls_back"]
        undone = tx.row("SELECT replaced FROM deployments WHERE uuid = ?", (looked_at,))
        found = None if undone is None else undone["replaced"]
    return found


def _written_before(tx: Read, uuid: str) -> sqlite3.Row | None:
    """Return the deployment whose config was written to the same phone before that of ``uuid``."""
    return tx.row(
        "SELECT earlier.uuid, earlier.mac, earlier.sha256, earlier.profile_uuid, earlier.rolls_back,"
        " earlier.written_at FROM deployments JOIN deployments AS earlier ON earlier.mac = deployments.mac"
        " WHERE deployments.uuid = ? AND (earlier.written_at, earlier.number) <"
        " (deployments.written_at, deployments.number) ORDER BY earlier.written_at DESC, earlier.number DESC LIMIT 1",
        (uuid,),
    )
