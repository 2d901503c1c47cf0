import asyncio
from datetime import timedelta
from typing import Any

import pytest

from cisisk.model.clock import after
from cisisk.model.user import Actor, User
from cisisk.store import logins, users
from cisisk.store.database import Database
from cisisk.store.transaction import Read
from tests.unit.store.conftest import NewUser

LATER, EARLIER = after(timedelta(days=30)), after(timedelta(seconds=-1))


@pytest.fixture
async def anna(db: Database, superadmin: User, new_user: NewUser) -> User:
    return await new_user("anna", "$hash")


async def begin(db: Database, user: User, session: str = "session", token: bytes = b"1", expires: str = LATER) -> None:
    assert await db.write(logins.begin, Actor(ip="192.0.2.1"), user.uuid, "$hash", session, token, expires)


async def rotate(db: Database, token: bytes, following: bytes, expires: str = LATER) -> str | None:
    rotated = await db.write(logins.rotate, Actor(), token, following, expires)
    return None if rotated is None else rotated[1]


async def logged_in(db: Database, user: User, session: str = "session") -> bool:
    return await db.read(logins.user_of, session, user.uuid) is not None


async def test_login_is_found_by_session_and_recorded_on_user(db: Database, anna: User) -> None:
    user = await db.write(logins.begin, Actor(ip="192.0.2.1"), anna.uuid, "$hash", "session", b"1", LATER)
    assert user is not None
    assert user.last_login_ip == "192.0.2.1"
    assert user.last_login_at is not None
    assert await db.read(logins.user_of, "session", anna.uuid) == user


async def test_session_of_another_user_is_unknown(db: Database, anna: User, superadmin: User) -> None:
    await begin(db, anna)
    assert await db.read(logins.user_of, "session", superadmin.uuid) is None
    assert await db.read(logins.user_of, "another", anna.uuid) is None


@pytest.mark.parametrize("change", [{"password_hash": "$other"}, {"is_active": False}, None])
async def test_login_after_change_of_user_is_refused(
    db: Database, anna: User, actor: Actor, change: dict[str, Any] | None
) -> None:
    if change is None:
        await db.write(users.delete, actor, anna.uuid)
    else:
        await db.write(users.update, actor, anna.uuid, change)
    assert await db.write(logins.begin, actor, anna.uuid, "$hash", "session", b"1", LATER) is None
    assert await db.read(Read.rows, "SELECT * FROM login_sessions") == []


async def test_refresh_tokens_are_exchanged_repeatedly(db: Database, anna: User) -> None:
    await begin(db, anna)
    for number in range(1, 5):
        assert await rotate(db, str(number).encode(), str(number + 1).encode()) == "session"
    assert await logged_in(db, anna)


async def test_second_use_of_token_ends_session(db: Database, anna: User) -> None:
    await begin(db, anna)
    await begin(db, anna, "another", b"a")
    assert await rotate(db, b"1", b"2") == "session"
    assert await rotate(db, b"1", b"thief's") is None
    assert not await logged_in(db, anna)
    assert await rotate(db, b"2", b"3") is None
    assert await rotate(db, b"thief's", b"4") is None
    assert await logged_in(db, anna, "another")


async def test_use_of_older_token_ends_session(db: Database, anna: User) -> None:
    await begin(db, anna)
    await rotate(db, b"1", b"2")
    await rotate(db, b"2", b"3")
    assert await rotate(db, b"1", b"thief's") is None
    assert await rotate(db, b"3", b"4") is None


async def test_concurrent_exchanges_end_the_session(db: Database, anna: User) -> None:
    await begin(db, anna)
    outcomes = await asyncio.gather(*(rotate(db, b"1", f"next {number}".encode()) for number in range(8)))
    assert sorted(outcome or "" for outcome in outcomes) == [""] * 7 + ["session"]
    assert not await logged_in(db, anna)


async def test_unknown_token_ends_no_session(db: Database, anna: User) -> None:
    await begin(db, anna)
    assert await rotate(db, b"unknown", b"2") is None
    assert await logged_in(db, anna)


async def test_expired_token_is_refused(db: Database, anna: User) -> None:
    await begin(db, anna, expires=EARLIER)
    assert await rotate(db, b"1", b"2") is None
    assert await db.read(Read.rows, "SELECT 1 FROM refresh_tokens WHERE token_hash = ?", (b"2",)) == []


async def test_exchange_extends_the_session(db: Database, anna: User) -> None:
    await begin(db, anna, expires=after(timedelta(seconds=60)))
    assert await rotate(db, b"1", b"2", EARLIER) == "session"
    assert await rotate(db, b"2", b"3") is None


async def test_new_login_deletes_expired_sessions(db: Database, anna: User, superadmin: User) -> None:
    await begin(db, superadmin, "old", b"old", EARLIER)
    await begin(db, anna)
    assert [row["uuid"] for row in await db.read(Read.rows, "SELECT uuid FROM login_sessions")] == ["session"]
    assert [row["token_hash"] for row in await db.read(Read.rows, "SELECT token_hash FROM refresh_tokens")] == [b"1"]


async def test_deactivation_ends_logins_for_good(db: Database, anna: User, actor: Actor) -> None:
    await begin(db, anna)
    await db.write(users.update, actor, anna.uuid, {"is_active": False})
    assert not await logged_in(db, anna)
    assert await rotate(db, b"1", b"2") is None
    await db.write(users.update, actor, anna.uuid, {"is_active": True})
    assert not await logged_in(db, anna)
    assert await rotate(db, b"1", b"2") is None


async def test_new_password_ends_logins_of_that_user_only(
    db: Database, anna: User, superadmin: User, actor: Actor
) -> None:
    await begin(db, anna)
    await begin(db, anna, "second", b"2")
    await begin(db, superadmin, "other", b"3")
    await db.write(users.update, actor, anna.uuid, {"password_hash": "$new"})
    assert not await logged_in(db, anna)
    assert not await logged_in(db, anna, "second")
    assert await logged_in(db, superadmin, "other")


async def test_other_changes_of_user_keep_logins(db: Database, anna: User, actor: Actor) -> None:
    await begin(db, anna)
    await db.write(users.update, actor, anna.uuid, {"first_name": "Anne", "is_active": True})
    assert await logged_in(db, anna)


async def test_deleted_user_has_no_login(db: Database, anna: User, actor: Actor) -> None:
    await begin(db, anna)
    await db.write(users.delete, actor, anna.uuid)
    assert not await logged_in(db, anna)
    assert await rotate(db, b"1", b"2") is None


async def test_logout_with_token_ends_its_session_only(db: Database, anna: User) -> None:
    await begin(db, anna, "here", b"1")
    await begin(db, anna, "there", b"a")
    await rotate(db, b"1", b"2")
    await db.write(logins.end, Actor(ip="192.0.2.5"), anna.uuid, b"1")
    assert not await logged_in(db, anna, "here")
    assert await rotate(db, b"2", b"3") is None
    assert await logged_in(db, anna, "there")
    assert (await db.read(users.get, anna.uuid)).last_logout_ip == "192.0.2.5"


async def test_logout_without_token_ends_all_sessions_of_user(db: Database, anna: User, superadmin: User) -> None:
    await begin(db, anna, "here", b"1")
    await begin(db, anna, "there", b"a")
    await begin(db, superadmin, "other", b"b")
    await db.write(logins.end, Actor(), anna.uuid, None)
    assert [await logged_in(db, anna, session) for session in ("here", "there")] == [False, False]
    assert await logged_in(db, superadmin, "other")


async def test_logout_with_token_of_another_ends_nothing(db: Database, anna: User, superadmin: User) -> None:
    await begin(db, superadmin, "other", b"b")
    await db.write(logins.end, Actor(), anna.uuid, b"b")
    assert await logged_in(db, superadmin, "other")
