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


async def test_a_login_is_known_by_its_session_and_noted_on_the_user(db: Database, anna: User) -> None:
    user = await db.write(logins.begin, Actor(ip="192.0.2.1"), anna.uuid, "$hash", "session", b"1", LATER)
    assert user is not None
    assert user.last_login_ip == "192.0.2.1"
    assert user.last_login_at is not None
    assert await db.read(logins.user_of, "session", anna.uuid) == user


async def test_a_session_belongs_to_its_user_only(db: Database, anna: User, superadmin: User) -> None:
    await begin(db, anna)
    assert await db.read(logins.user_of, "session", superadmin.uuid) is None
    assert await db.read(logins.user_of, "another", anna.uuid) is None


@pytest.mark.parametrize("change", [{"password_hash": "$other"}, {"is_active": False}, None])
async def test_what_changed_since_the_password_was_checked_begins_no_login(
    db: Database, anna: User, actor: Actor, change: dict[str, Any] | None
) -> None:
    if change is None:
        await db.write(users.delete, actor, anna.uuid)
    else:
        await db.write(users.update, actor, anna.uuid, change)
    assert await db.write(logins.begin, actor, anna.uuid, "$hash", "session", b"1", LATER) is None
    assert await db.read(Read.rows, "SELECT * FROM login_sessions") == []


async def test_a_refresh_token_is_exchanged_again_and_again(db: Database, anna: User) -> None:
    await begin(db, anna)
    for number in range(1, 5):
        assert await rotate(db, str(number).encode(), str(number + 1).encode()) == "session"
    assert await logged_in(db, anna)


async def test_a_used_token_ends_the_session_for_both_who_have_it(db: Database, anna: User) -> None:
    await begin(db, anna)
    await begin(db, anna, "another", b"a")
    assert await rotate(db, b"1", b"2") == "session"
    assert await rotate(db, b"1", b"thief's") is None
    assert not await logged_in(db, anna)
    assert await rotate(db, b"2", b"3") is None
    assert await rotate(db, b"thief's", b"4") is None
    assert await logged_in(db, anna, "another")


async def test_an_old_used_token_ends_the_session_too(db: Database, anna: User) -> None:
    await begin(db, anna)
    await rotate(db, b"1", b"2")
    await rotate(db, b"2", b"3")
    assert await rotate(db, b"1", b"thief's") is None
    assert await rotate(db, b"3", b"4") is None


async def test_of_two_exchanges_at_once_at_most_one_is_good_and_the_session_ends(db: Database, anna: User) -> None:
    await begin(db, anna)
    outcomes = await asyncio.gather(*(rotate(db, b"1", f"next {number}".encode()) for number in range(8)))
    assert sorted(outcome or "" for outcome in outcomes) == [""] * 7 + ["session"]
    assert not await logged_in(db, anna)


async def test_an_unknown_token_is_worth_nothing_and_ends_nothing(db: Database, anna: User) -> None:
    await begin(db, anna)
    assert await rotate(db, b"unknown", b"2") is None
    assert await logged_in(db, anna)


async def test_an_expired_token_is_worth_nothing(db: Database, anna: User) -> None:
    await begin(db, anna, expires=EARLIER)
    assert await rotate(db, b"1", b"2") is None
    assert await db.read(Read.rows, "SELECT 1 FROM refresh_tokens WHERE token_hash = ?", (b"2",)) == []


async def test_each_exchange_counts_the_days_anew(db: Database, anna: User) -> None:
    await begin(db, anna, expires=after(timedelta(seconds=60)))
    assert await rotate(db, b"1", b"2", EARLIER) == "session"
    assert await rotate(db, b"2", b"3") is None


async def test_a_new_login_clears_away_what_has_expired(db: Database, anna: User, superadmin: User) -> None:
    await begin(db, superadmin, "old", b"old", EARLIER)
    await begin(db, anna)
    assert [row["uuid"] for row in await db.read(Read.rows, "SELECT uuid FROM login_sessions")] == ["session"]
    assert [row["token_hash"] for row in await db.read(Read.rows, "SELECT token_hash FROM refresh_tokens")] == [b"1"]


async def test_a_deactivated_user_is_out_and_stays_out_after_coming_back(
    db: Database, anna: User, actor: Actor
) -> None:
    await begin(db, anna)
    await db.write(users.update, actor, anna.uuid, {"is_active": False})
    assert not await logged_in(db, anna)
    assert await rotate(db, b"1", b"2") is None
    await db.write(users.update, actor, anna.uuid, {"is_active": True})
    assert not await logged_in(db, anna)
    assert await rotate(db, b"1", b"2") is None


async def test_a_new_password_ends_every_login_of_that_user_alone(
    db: Database, anna: User, superadmin: User, actor: Actor
) -> None:
    await begin(db, anna)
    await begin(db, anna, "second", b"2")
    await begin(db, superadmin, "other", b"3")
    await db.write(users.update, actor, anna.uuid, {"password_hash": "$new"})
    assert not await logged_in(db, anna)
    assert not await logged_in(db, anna, "second")
    assert await logged_in(db, superadmin, "other")


async def test_other_changes_end_no_login(db: Database, anna: User, actor: Actor) -> None:
    await begin(db, anna)
    await db.write(users.update, actor, anna.uuid, {"first_name": "Anne", "is_active": True})
    assert await logged_in(db, anna)


async def test_a_deleted_user_is_out(db: Database, anna: User, actor: Actor) -> None:
    await begin(db, anna)
    await db.write(users.delete, actor, anna.uuid)
    assert not await logged_in(db, anna)
    assert await rotate(db, b"1", b"2") is None


async def test_logging_out_ends_the_tokens_session_only(db: Database, anna: User) -> None:
    await begin(db, anna, "here", b"1")
    await begin(db, anna, "there", b"a")
    await rotate(db, b"1", b"2")
    await db.write(logins.end, Actor(ip="192.0.2.5"), anna.uuid, b"1")
    assert not await logged_in(db, anna, "here")
    assert await rotate(db, b"2", b"3") is None
    assert await logged_in(db, anna, "there")
    assert (await db.read(users.get, anna.uuid)).last_logout_ip == "192.0.2.5"


async def test_logging_out_without_a_token_ends_all_of_ones_own(db: Database, anna: User, superadmin: User) -> None:
    await begin(db, anna, "here", b"1")
    await begin(db, anna, "there", b"a")
    await begin(db, superadmin, "other", b"b")
    await db.write(logins.end, Actor(), anna.uuid, None)
    assert [await logged_in(db, anna, session) for session in ("here", "there")] == [False, False]
    assert await logged_in(db, superadmin, "other")


async def test_nobody_is_logged_out_by_anothers_token(db: Database, anna: User, superadmin: User) -> None:
    await begin(db, superadmin, "other", b"b")
    await db.write(logins.end, Actor(), anna.uuid, b"b")
    assert await logged_in(db, superadmin, "other")
