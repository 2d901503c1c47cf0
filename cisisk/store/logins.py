"""Login sessions and the hashes of their refresh tokens."""

from cisisk.model.clock import Timestamp, now
from cisisk.model.errors import NotFound
from cisisk.model.user import Actor, User
from cisisk.store import audit, users
from cisisk.store.transaction import Read, Write


def begin(
    tx: Write,
    actor: Actor,
    user_uuid: str,
    password_hash: str,
    session_uuid: str,
    token_hash: bytes,
    expires_at: Timestamp,
) -> User | None:
    """Record a login with its first refresh token.

    Returns:
        The user. None if the user was deactivated or deleted, or got another password, since ``password_hash`` was
        read: such a change ends all logins, so none may begin after it.
    """
    moment = now()
    if not tx.row("SELECT 1 FROM users WHERE uuid = ? AND password_hash = ? AND is_active", (user_uuid, password_hash)):
        return None
    tx.rows("DELETE FROM login_sessions WHERE expires_at < ?", (moment,))
    tx.rows(
        "INSERT INTO login_sessions (uuid, user_uuid, created_at, expires_at) VALUES (?, ?, ?, ?)",
        (session_uuid, user_uuid, moment, expires_at),
    )
    tx.rows("INSERT INTO refresh_tokens (token_hash, session_uuid) VALUES (?, ?)", (token_hash, session_uuid))
    tx.rows("UPDATE users SET last_login_at = ?, last_login_ip = ? WHERE uuid = ?", (moment, actor.ip, user_uuid))
    audit.record(tx, actor, "auth.login", user_uuid)
    return users.get(tx, user_uuid)


def user_of(tx: Read, session_uuid: str, user_uuid: str) -> User | None:
    """Return the user of a session, or None if the session has ended or the user was deactivated or deleted."""
    session = tx.row(
        "SELECT 1 FROM login_sessions WHERE uuid = ? AND user_uuid = ? AND revoked_at IS NULL",
        (session_uuid, user_uuid),
    )
    if session is None:
        return None
    try:
        user = users.get(tx, user_uuid)
    except NotFound:
        return None
    return user if user.is_active else None


def rotate(
    tx: Write, actor: Actor, token_hash: bytes, next_hash: bytes, expires_at: Timestamp
) -> tuple[User, str] | None:
    """Exchange a refresh token for the next one.

    If a token is used twice, two clients have it: its session ends.

    Returns:
        The user and the uuid of the session; None if the token is not valid.
    """
    session = _session_of(tx, token_hash)
    if session is None:
        return None
    session_uuid, user_uuid, used = session
    if used:
        tx.rows("UPDATE login_sessions SET revoked_at = ? WHERE uuid = ?", (now(), session_uuid))
        audit.record(tx, actor, "auth.refresh_reused", user_uuid)
        return None
    tx.rows("UPDATE refresh_tokens SET used_at = ? WHERE token_hash = ?", (now(), token_hash))
    tx.rows("INSERT INTO refresh_tokens (token_hash, session_uuid) VALUES (?, ?)", (next_hash, session_uuid))
    tx.rows("UPDATE login_sessions SET expires_at = ? WHERE uuid = ?", (expires_at, session_uuid))
    return users.get(tx, user_uuid), session_uuid


def end(tx: Write, actor: Actor, user_uuid: str, token_hash: bytes | None) -> None:
    """End the session that ``token_hash`` belongs to, or all sessions of the user if it is None."""
    if token_hash is None:
        users.end_logins(tx, user_uuid)
    else:
        tx.rows(
            "UPDATE login_sessions SET revoked_at = ? WHERE user_uuid = ? AND revoked_at IS NULL"
            " AND uuid = (SELECT session_uuid FROM refresh_tokens WHERE token_hash = ?)",
            (now(), user_uuid, token_hash),
        )
    tx.rows("UPDATE users SET last_logout_ip = ? WHERE uuid = ?", (actor.ip, user_uuid))
    audit.record(tx, actor, "auth.logout", user_uuid)


def _session_of(tx: Read, token_hash: bytes) -> tuple[str, str, bool] | None:
    row = tx.row(
        "SELECT session_uuid, user_uuid, used_at IS NOT NULL AS used FROM refresh_tokens"
        " JOIN login_sessions ON login_sessions.uuid = session_uuid JOIN users ON users.uuid = user_uuid"
        " WHERE token_hash = ? AND revoked_at IS NULL AND expires_at >= ? AND is_active",
        (token_hash, now()),
    )
    return None if row is None else (row["session_uuid"], row["user_uuid"], bool(row["used"]))
