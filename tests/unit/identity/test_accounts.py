import asyncio
import threading
from collections import Counter
from datetime import timedelta
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

from cisisk.identity.accounts import ADMIN, Accounts, Login
from cisisk.identity.administrators import Administrators
from cisisk.identity.passwords import Passwords
from cisisk.identity.throttle import FREE_FAILURES, Throttle
from cisisk.identity.tokens import KeyRing
from cisisk.model.errors import (
    CisiskError,
    Conflict,
    Forbidden,
    Invalid,
    StorageFailed,
    TooManyAttempts,
    Unauthenticated,
)
from cisisk.model.listing import Listing
from cisisk.model.user import SUPERADMIN_PERMISSION, Actor, User
from cisisk.store import audit, logins, permissions, pins, users
from cisisk.store.database import Database
from cisisk.store.transaction import Read
from tests.patience import PATIENCE

PASSWORD, PIN = "sentinel-password", "73317331"
HERE, THERE = Actor(ip="192.0.2.1", user_agent="tests"), Actor(ip="192.0.2.2")
WRONG = "Wrong username or password"
ANNA = {
    "username": "Anna",
    "first_name": "Anna",
    "last_name": "Arendt",
    "email": "anna@example.org",
    "lang": "en",
    "timezone": "UTC",
}


@pytest.fixture(scope="module")
def password_hash() -> str:
    return asyncio.run(Passwords().hash(PASSWORD))


@pytest.fixture
async def accounts(db: Database, ring: KeyRing, clock: Any) -> Accounts:
    made = Accounts(db, ring, timedelta(days=30))
    made._throttle = Throttle(clock)
    await db.write(users.create_superadmin, ADMIN, "$no password")
    return made


@pytest.fixture
async def anna(accounts: Accounts, db: Database, password_hash: str) -> User:
    return await db.write(users.create, Actor(), ANNA, password_hash)


async def attempt(accounts: Accounts, username: str, password: str, actor: Actor = HERE) -> str:
    """Return the class name of the result or error of a login."""
    try:
        login: object = await accounts.login(username, password, actor)
    except CisiskError as error:
        login = error
    return type(login).__name__


async def test_login_returns_valid_tokens(accounts: Accounts, anna: User) -> None:
    login = await accounts.login("anna", PASSWORD, HERE)
    assert login.user.uuid == anna.uuid
    assert login.user.last_login_ip == HERE.ip
    assert await accounts.user_of(login.access_token) == login.user
    assert login.access_token not in repr(login)
    assert login.refresh_token not in repr(login)


@pytest.mark.parametrize("case", ["anna", "ANNA", "aNNa"])
async def test_login_ignores_case_of_username(accounts: Accounts, anna: User, case: str) -> None:
    assert await attempt(accounts, case, PASSWORD) == "Login"


@pytest.mark.parametrize(
    ("username", "password"),
    [("anna", "wrong"), ("anna", PASSWORD.upper()), ("unknown", PASSWORD), ("", ""), ("'", "'")],
)
async def test_login_wrong_name_and_password_give_same_message(
    accounts: Accounts, anna: User, username: str, password: str
) -> None:
    with pytest.raises(Unauthenticated, match=WRONG):
        await accounts.login(username, password, HERE)


@pytest.mark.parametrize("refusing", [(logins, "begin"), (users, "credentials")], ids=["written", "read"])
async def test_login_storage_failure_is_not_counted(
    accounts: Accounts, anna: User, refusing: tuple[object, str]
) -> None:
    with patch.object(*refusing, side_effect=StorageFailed("the disk is full")):
        assert {await attempt(accounts, "anna", PASSWORD) for _ in range(2 * FREE_FAILURES)} == {"StorageFailed"}
    assert await attempt(accounts, "anna", PASSWORD) == "Login"


async def test_login_deactivated_user_gives_same_message(accounts: Accounts, anna: User) -> None:
    await accounts.update(Actor(), anna.uuid, {"is_active": False})
    with pytest.raises(Unauthenticated, match=WRONG):
        await accounts.login("anna", PASSWORD, HERE)
    assert await accounts._db.read(Read.rows, "SELECT * FROM login_sessions") == []


async def test_login_concurrent_guesses_are_throttled(accounts: Accounts, anna: User) -> None:
    guesses = [attempt(accounts, "anna", f"guess {number}", Actor(ip=f"192.0.2.{number}")) for number in range(100)]
    assert Counter(await asyncio.gather(*guesses)) == {
        "Unauthenticated": FREE_FAILURES,
        "TooManyAttempts": 100 - FREE_FAILURES,
    }


async def test_login_correct_password_among_guesses_is_throttled(accounts: Accounts, anna: User) -> None:
    guesses = [attempt(accounts, "anna", f"guess {number}") for number in range(99)]
    outcomes = await asyncio.gather(*guesses, attempt(accounts, "anna", PASSWORD))
    assert outcomes[-1] == "TooManyAttempts"


async def test_login_guesses_in_other_case_count_together(accounts: Accounts, anna: User) -> None:
    names = ["anna", "Anna", "ANNA", "aNNA", "anNA", "annA", "AnnA"]
    outcomes = [await attempt(accounts, name, "wrong", Actor(ip=f"192.0.2.{at}")) for at, name in enumerate(names)]
    assert outcomes == ["Unauthenticated"] * FREE_FAILURES + ["TooManyAttempts"] * (7 - FREE_FAILURES)


async def test_login_failures_of_address_throttle_other_accounts(accounts: Accounts, anna: User) -> None:
    for number in range(FREE_FAILURES):
        assert await attempt(accounts, f"user {number}", "password1") == "Unauthenticated"
    assert await attempt(accounts, "anna", PASSWORD) == "TooManyAttempts"
    assert await attempt(accounts, "anna", PASSWORD, THERE) == "Login"


async def test_login_success_keeps_failures_of_address(accounts: Accounts, anna: User) -> None:
    for _ in range(FREE_FAILURES - 1):
        assert await attempt(accounts, "admin", "guess") == "Unauthenticated"
        assert await attempt(accounts, "anna", PASSWORD) == "Login"
    assert await attempt(accounts, "admin", "guess") == "Unauthenticated"
    assert await attempt(accounts, "anna", PASSWORD) == "TooManyAttempts"


async def test_login_success_does_not_extend_wait_of_address(accounts: Accounts, anna: User, clock: Any) -> None:
    for _ in range(FREE_FAILURES):
        await attempt(accounts, "admin", "guess")
    clock.go_on(2)
    assert await attempt(accounts, "anna", PASSWORD) == "Login"
    assert await attempt(accounts, "anna", PASSWORD) == "Login"


async def test_login_success_clears_failures_of_account(accounts: Accounts, anna: User) -> None:
    for number in range(2):
        for slip in range(FREE_FAILURES - 1):
            await attempt(accounts, "anna", "slip", Actor(ip=f"192.0.2.{number}{slip}"))
        assert await attempt(accounts, "anna", PASSWORD, Actor(ip=f"198.51.100.{number}")) == "Login"


async def test_login_after_wait_succeeds(accounts: Accounts, anna: User, clock: Any) -> None:
    for _ in range(FREE_FAILURES):
        await attempt(accounts, "anna", "guess")
    with pytest.raises(TooManyAttempts) as refused:
        await accounts.login("anna", PASSWORD, HERE)
    clock.go_on(refused.value.retry_after)
    assert await attempt(accounts, "anna", PASSWORD) == "Login"


@pytest.mark.parametrize("change", [{"password": "another one"}, {"is_active": False}, None])
async def test_login_in_progress_is_refused_after_user_change(
    accounts: Accounts, anna: User, db: Database, change: dict[str, Any] | None
) -> None:
    threads, go_on = accounts._passwords._threads, threading.Event()
    busy = [threads.submit(go_on.wait, 5) for _ in range(2)]
    login = asyncio.create_task(attempt(accounts, "anna", PASSWORD))
    async with asyncio.timeout(PATIENCE):
        while not threads._work_queue.qsize():  # noqa: ASYNC110 -- an executor has no event for a queued task
            await asyncio.sleep(0)
    if change is None:
        await db.write(users.delete, Actor(), anna.uuid)
    elif "password" in change:
        await db.write(users.update, Actor(), anna.uuid, {"password_hash": "$another"})
    else:
        await db.write(users.update, Actor(), anna.uuid, change)
    go_on.set()
    assert await login == "Unauthenticated"
    assert all(each.result() for each in busy)
    assert await db.read(Read.rows, "SELECT * FROM login_sessions") == []


async def test_refresh_token_reuse_ends_session(accounts: Accounts, anna: User) -> None:
    first = await accounts.login("anna", PASSWORD, HERE)
    second = await accounts.refresh(first.refresh_token, HERE)
    assert second.refresh_token != first.refresh_token
    assert (await accounts.user_of(second.access_token)).uuid == anna.uuid
    with pytest.raises(Unauthenticated, match=r"^The refresh token is not valid\. Log in again$"):
        await accounts.refresh(first.refresh_token, HERE)
    for token in (first.access_token, second.access_token):
        with pytest.raises(Unauthenticated, match="The access token is no longer valid"):
            await accounts.user_of(token)
    with pytest.raises(Unauthenticated):
        await accounts.refresh(second.refresh_token, HERE)


@pytest.mark.parametrize("token", ["", "unknown", "ü", "\ud800", "x" * 100_000])
async def test_refresh_unknown_token_is_refused(accounts: Accounts, anna: User, token: str) -> None:
    login = await accounts.login("anna", PASSWORD, HERE)
    with pytest.raises(Unauthenticated):
        await accounts.refresh(token, HERE)
    assert await accounts.user_of(login.access_token)


async def test_refresh_expired_token_is_refused(db: Database, ring: KeyRing, accounts: Accounts, anna: User) -> None:
    short = Accounts(db, ring, timedelta(seconds=-1))
    login = await short.login("anna", PASSWORD, HERE)
    with pytest.raises(Unauthenticated):
        await accounts.refresh(login.refresh_token, HERE)


async def test_logout_ends_one_or_all_sessions(accounts: Accounts, anna: User) -> None:
    async def in_(login: Login) -> bool:
        try:
            await accounts.user_of(login.access_token)
        except Unauthenticated:
            return False
        return True

    first, second, third = [await accounts.login("anna", PASSWORD, HERE) for _ in range(3)]
    await accounts.logout(Actor(), None)
    assert [await in_(login) for login in (first, second, third)] == [True, True, True]
    await accounts.logout(Actor(user_uuid=anna.uuid), first.refresh_token)
    assert [await in_(login) for login in (first, second, third)] == [False, True, True]
    await accounts.logout(Actor(user_uuid=anna.uuid), None)
    assert [await in_(login) for login in (first, second, third)] == [False, False, False]


async def test_first_superadmin_is_created_once(db: Database, ring: KeyRing) -> None:
    accounts = Accounts(db, ring, timedelta(days=1))
    password = await accounts.first_superadmin(None)
    assert password is not None
    assert len(password) >= 20
    assert (await accounts.login("admin", password, HERE)).user.is_superadmin
    assert await accounts.first_superadmin(None) is None
    assert await accounts.first_superadmin("another") is None
    assert (await db.read(users.page, Listing())).total == 1


async def test_first_superadmin_uses_given_password(db: Database, ring: KeyRing) -> None:
    accounts = Accounts(db, ring, timedelta(days=1))
    assert await accounts.first_superadmin("given") is None
    assert (await accounts.login("admin", "given", HERE)).user.is_superadmin


async def test_first_superadmin_refuses_invalid_password(db: Database, ring: KeyRing) -> None:
    accounts = Accounts(db, ring, timedelta(days=1))
    with pytest.raises(Invalid, match="at most 1024 bytes"):
        await accounts.first_superadmin("x" * 2000)
    assert not await db.read(users.any_exist)


async def test_password_change_ends_sessions_and_replaces_password(accounts: Accounts, anna: User) -> None:
    login = await accounts.login("anna", PASSWORD, HERE)
    await accounts.update(Actor(), anna.uuid, {"password": "new password"})
    with pytest.raises(Unauthenticated):
        await accounts.user_of(login.access_token)
    assert await attempt(accounts, "anna", PASSWORD) == "Unauthenticated"
    assert await attempt(accounts, "anna", "new password") == "Login"


async def test_create_user_with_used_name_raises_conflict(accounts: Accounts, anna: User) -> None:
    with pytest.raises(Conflict):
        await accounts.create(Actor(), {**ANNA, "password": PASSWORD})


async def test_set_pin_stores_hash(accounts: Accounts, anna: User, db: Database) -> None:
    made = await accounts.set_pin(Actor(), anna.uuid, PIN)
    assert await accounts._passwords.matches(PIN, made.pin_hash)
    assert await db.read(pins.get, anna.uuid) == made


async def test_database_files_contain_no_secret(accounts: Accounts, db_path: Path) -> None:
    anna = await accounts.create(Actor(), {**ANNA, "password": PASSWORD})
    await accounts.set_pin(Actor(), anna.uuid, PIN)
    login = await accounts.login("anna", PASSWORD, HERE)
    following = await accounts.refresh(login.refresh_token, HERE)
    secrets = [PASSWORD, PIN, login.access_token, login.refresh_token, following.refresh_token]
    for path in db_path.parent.iterdir():
        content = path.read_bytes()
        assert [secret for secret in secrets if secret.encode() in content] == [], path.name
        assert path.stat().st_mode & 0o077 == 0, path.name


async def test_login_is_recorded_in_audit_log(accounts: Accounts, anna: User, db: Database) -> None:
    await accounts.login("anna", PASSWORD, HERE)
    entry = (await db.read(audit.entries, Listing(limit=1))).items[0]
    assert (entry.action, entry.user_uuid, entry.entity_uuid) == ("auth.login", anna.uuid, anna.uuid)
    assert (entry.ip, entry.user_agent, entry.payload) == (HERE.ip, HERE.user_agent, {})


async def test_administrators_admits_only_level_0(accounts: Accounts, anna: User, db: Database) -> None:
    administrators = Administrators(accounts, "FTP")
    for password, refusal in (("wrong", Unauthenticated), (PASSWORD, Forbidden)):
        with pytest.raises(refusal):
            await asyncio.wrap_future(administrators.admit("anna", password, "192.0.2.1"))
    await db.write(permissions.give, Actor(), anna.uuid, SUPERADMIN_PERMISSION)
    admitted = await asyncio.wrap_future(administrators.admit("ANNA", PASSWORD, "192.0.2.1"))
    assert admitted.username == "Anna"
    assert admitted.actor == Actor(user_uuid=anna.uuid, ip="192.0.2.1", user_agent="FTP")
    assert await asyncio.wrap_future(admitted.is_still_admitted())
    assert PASSWORD not in repr(vars(admitted))


@pytest.mark.parametrize("change", ["password", "activity", "permission", "name", "existence"])
async def test_administrator_change_ends_admission(accounts: Accounts, anna: User, db: Database, change: str) -> None:
    await db.write(permissions.give, Actor(), anna.uuid, SUPERADMIN_PERMISSION)
    user, password_hash = await accounts.authenticate_administrator("anna", PASSWORD, HERE)
    assert await accounts.is_still_administrator(user, password_hash)
    if change == "permission":
        await db.write(permissions.take, Actor(), anna.uuid)
    elif change == "existence":
        await db.write(users.delete, Actor(), anna.uuid)
    else:
        fields: dict[str, dict[str, Any]] = {
            "password": {"password": PASSWORD},
            "activity": {"is_active": False},
            "name": {"username": "Berta"},
        }
        await accounts.update(Actor(), anna.uuid, fields[change])
    assert not await accounts.is_still_administrator(user, password_hash)


async def test_administrator_and_login_share_throttle(accounts: Accounts, anna: User) -> None:
    for _ in range(FREE_FAILURES):
        with pytest.raises(Unauthenticated):
            await accounts.authenticate_administrator("anna", "wrong", THERE)
    assert await attempt(accounts, "anna", PASSWORD) == "TooManyAttempts"


async def test_administrator_without_permission_is_not_counted_as_failure(accounts: Accounts, anna: User) -> None:
    for _ in range(FREE_FAILURES + 1):
        with pytest.raises(Forbidden):
            await accounts.authenticate_administrator("anna", PASSWORD, HERE)
    assert await attempt(accounts, "anna", PASSWORD) == "Login"
