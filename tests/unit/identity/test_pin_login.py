"""Phone logins with a PIN: sessions, throttling, and equal work for every failure."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from unittest.mock import patch

import pytest

from cisisk.identity import throttle
from cisisk.identity.passwords import PASSWORD, Cost, Passwords
from cisisk.identity.passwords import PIN as PIN_COST
from cisisk.identity.pin_login import SESSION_LIFETIME, PinLimits, PinLogin
from cisisk.model.errors import StorageFailed, TooManyAttempts, Unauthenticated
from cisisk.model.listing import Listing
from cisisk.model.mac import Mac
from cisisk.model.user import Actor, User
from cisisk.store import audit, pins, service_sessions, users
from cisisk.store.database import Database
from cisisk.store.service_sessions import PhoneContext, ServiceSession
from cisisk.store.transaction import Write
from tests.unit.identity.conftest import Clock

PIN, IP = "2468", "192.0.2.7"
ACTOR = Actor(ip=IP, user_agent="Allegro")
PHONE = PhoneContext(mac=Mac("AABBCCDDEE01"))

NewUser = Callable[[str], Awaitable[User]]


class Calendar:
    """A settable clock of the time of day."""

    def __init__(self) -> None:
        self.now = datetime(2026, 6, 28, 12, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def calendar() -> Calendar:
    return Calendar()


@pytest.fixture
def passwords() -> Passwords:
    return Passwords(PIN_COST)


@pytest.fixture
def login(db: Database, passwords: Passwords, clock: Clock, calendar: Calendar) -> PinLogin:
    return PinLogin(db, passwords, clock=clock, now=calendar)


@pytest.fixture
def new_user(db: Database, passwords: Passwords) -> NewUser:
    async def make(username: str) -> User:
        row = {"first_name": "Anna", "last_name": "Arendt", "username": username, "email": f"{username}@example.org"}
        user = await db.write(users.create, ACTOR, {**row, "lang": "en", "timezone": "UTC"}, "$hash")
        await db.write(pins.put, ACTOR, user.uuid, await passwords.hash(PIN))
        return user

    return make


@pytest.fixture
async def anna(new_user: NewUser) -> User:
    return await new_user("anna")


async def at(db: Database, login: PinLogin, ip: str = IP, mac: Mac = PHONE.mac) -> ServiceSession | None:
    return await login.session(await db.read(service_sessions.context, mac), ip)


async def test_login_correct_pin_starts_session(db: Database, login: PinLogin, anna: User) -> None:
    begun = await login.login(ACTOR, PHONE, "Anna", PIN)
    assert (begun.user_uuid, begun.user_name, begun.username, begun.ip) == (anna.uuid, "Anna Arendt", "anna", IP)
    assert await at(db, login) == begun
    assert await at(db, login, ip="192.0.2.8") is None
    assert await at(db, login, mac=Mac("AABBCCDDEE02")) is None


async def test_session_expires_one_day_after_last_activity(
    db: Database, login: PinLogin, anna: User, calendar: Calendar
) -> None:
    await login.login(ACTOR, PHONE, "anna", PIN)
    for _ in range(3):
        calendar.now += timedelta(hours=23, minutes=59)
        assert await at(db, login)
    calendar.now += SESSION_LIFETIME + timedelta(seconds=1)
    assert await at(db, login) is None
    # The expired lookup did not renew it.
    calendar.now -= timedelta(seconds=1)
    assert await at(db, login)


async def test_activity_is_stored_every_five_minutes(
    db: Database, login: PinLogin, anna: User, calendar: Calendar
) -> None:
    begun = await login.login(ACTOR, PHONE, "anna", PIN)
    calendar.now += timedelta(minutes=4)
    await at(db, login)
    assert await at(db, login) == begun
    calendar.now += timedelta(minutes=2)
    await at(db, login)
    again = await at(db, login)
    assert again is not None
    assert again.active_at == "2026-06-28T12:06:00.000Z"


async def test_session_survives_failed_write_of_activity(
    db: Database, login: PinLogin, anna: User, calendar: Calendar, caplog: pytest.LogCaptureFixture
) -> None:
    await login.login(ACTOR, PHONE, "anna", PIN)
    calendar.now += timedelta(hours=1)
    with patch.object(service_sessions, "active", side_effect=StorageFailed("the disk is full")):
        assert await at(db, login)
    assert caplog.record_tuples == [("cisisk.identity.pin_login", logging.WARNING, caplog.messages[0])]
    assert "the disk is full" in caplog.messages[0]


async def test_deactivated_user_has_no_session(db: Database, login: PinLogin, anna: User) -> None:
    await login.login(ACTOR, PHONE, "anna", PIN)
    await db.write(Write.rows, "UPDATE users SET is_active = 0")
    assert await at(db, login) is None
    with pytest.raises(Unauthenticated):
        await login.login(ACTOR, PHONE, "anna", PIN)


async def test_login_replaces_session_of_previous_user(
    db: Database, login: PinLogin, anna: User, new_user: NewUser
) -> None:
    bob = await new_user("bob")
    await login.login(ACTOR, PHONE, "anna", PIN)
    await login.login(ACTOR, PHONE, "bob", PIN)
    session = await at(db, login)
    assert session is not None
    assert session.user_uuid == bob.uuid
    await login.logout(ACTOR, PHONE.mac)
    assert await at(db, login) is None


async def test_login_with_pin_changed_meanwhile_is_refused(
    db: Database, login: PinLogin, anna: User, passwords: Passwords
) -> None:
    matches = passwords.matches

    async def changed_meanwhile(secret: str, known: str | None, substitute: str | None) -> bool:
        is_correct = await matches(secret, known, substitute)
        await db.write(pins.put, ACTOR, anna.uuid, "$another")
        return is_correct

    with patch.object(passwords, "matches", changed_meanwhile), pytest.raises(Unauthenticated):
        await login.login(ACTOR, PHONE, "anna", PIN)
    assert await at(db, login) is None


async def test_login_failures_do_same_work_with_same_message(
    db: Database, login: PinLogin, anna: User, new_user: NewUser, passwords: Passwords
) -> None:
    no_pin = await new_user("bob")
    await db.write(pins.delete, ACTOR, no_pin.uuid)
    work, messages = [], set()
    for username, pin in (("anna", "0000"), ("unknown", PIN), ("bob", PIN), ("anna", "x" * 5000), ("\ud800", PIN)):
        before = len((await db.read(audit.entries, Listing())).items)
        with patch.object(passwords, "_verify", wraps=passwords._verify) as verify:
            with pytest.raises(Unauthenticated) as refused:
                await login.login(
                    Actor(ip=username.encode(errors="replace").decode()),
                    PHONE,
                    username.encode(errors="replace").decode(),
                    pin,
                )
            work.append((verify.call_count, len((await db.read(audit.entries, Listing())).items) - before))
        messages.add(str(refused.value))
    assert work == [(1, 1)] * 5
    assert messages == {"Wrong user or PIN"}


async def test_login_failures_throttle_user_phone_and_address(
    login: PinLogin, anna: User, new_user: NewUser, clock: Clock
) -> None:
    await new_user("bob")
    elsewhere = Actor(ip="192.0.2.99")
    known, other = (PhoneContext(mac=Mac(f"AABBCCDDEE0{number}"), addresses=frozenset({IP})) for number in (1, 2))
    for _ in range(5):
        with pytest.raises(Unauthenticated):
            await login.login(ACTOR, known, "anna", "0000")
    for actor, phone, username in ((elsewhere, other, "anna"), (elsewhere, known, "bob"), (ACTOR, other, "bob")):
        with pytest.raises(TooManyAttempts):
            await login.login(actor, phone, username, PIN)
    assert await login.login(elsewhere, other, "bob", PIN)
    clock.go_on(2.1)
    assert await login.login(ACTOR, known, "anna", PIN)


async def fail(login: PinLogin, phone: PhoneContext, ip: str, username: str) -> None:
    with pytest.raises(Unauthenticated):
        await login.login(Actor(ip=ip), phone, username, "0000")


async def test_guesses_from_other_address_do_not_throttle_phone(login: PinLogin, anna: User) -> None:
    for number in range(5):
        await fail(login, PHONE, "198.51.100.9", f"user{number}")
    assert await login.login(ACTOR, PHONE, "anna", PIN)


async def test_guesses_at_unknown_phones_do_not_throttle_known_phones(login: PinLogin, anna: User) -> None:
    for number in range(5):
        await fail(login, PhoneContext(mac=Mac(f"0011223344{number:02X}")), IP, f"user{number}")
    assert await login.login(ACTOR, PhoneContext(mac=PHONE.mac, addresses=frozenset({IP})), "anna", PIN)


async def test_ipv6_network_is_throttled_as_one(login: PinLogin, anna: User) -> None:
    for number in range(5):
        await fail(login, PhoneContext(mac=Mac(f"0011223344{number:02X}")), f"2001:db8::{number}", f"user{number}")
    with pytest.raises(TooManyAttempts):
        await login.login(Actor(ip="2001:db8::ffff:1"), PHONE, "anna", PIN)
    assert await login.login(Actor(ip="2001:db8:0:1::1"), PHONE, "anna", PIN)


async def test_throttled_user_can_log_in_on_usual_phone(login: PinLogin, anna: User, clock: Clock) -> None:
    usual, *others = (
        PhoneContext(mac=Mac(f"AABBCCDDEE{n:02X}"), addresses=frozenset({f"192.0.2.{n}"})) for n in range(20)
    )
    await login.login(Actor(ip="192.0.2.0"), usual, "ANNA", PIN)
    for number in range(1, 6):
        await fail(login, others[number], f"192.0.2.{number}", "anna")
    with pytest.raises(TooManyAttempts):
        await login.login(Actor(ip="192.0.2.7"), others[7], "anna", PIN)
    assert await login.login(Actor(ip="192.0.2.0"), usual, "anna", PIN)
    # The success does not reset the failures on other phones.
    with pytest.raises(TooManyAttempts):
        await login.login(Actor(ip="192.0.2.7"), others[7], "anna", PIN)
    # The usual phone is throttled too.
    for _ in range(5):
        await fail(login, usual, "192.0.2.0", "anna")
    with pytest.raises(TooManyAttempts):
        await login.login(Actor(ip="192.0.2.0"), usual, "anna", PIN)


async def test_made_up_names_do_not_displace_failures_of_user(db: Database, anna: User, clock: Clock) -> None:
    limits = PinLimits(max_tracked=30, unknown_phone_buckets=30)
    login = PinLogin(db, Passwords(Cost(1, 8)), clock=clock, limits=limits)
    for number in range(5):
        await fail(login, PhoneContext(mac=Mac(f"0011223344{number:02X}")), f"198.51.100.{number}", "anna")
    for number in range(200):
        phone = PhoneContext(mac=Mac(f"0022334455{number:02X}"))
        with pytest.raises((Unauthenticated, TooManyAttempts)):
            await login.login(Actor(ip=f"198.51.101.{number}"), phone, f"user{number}", "0000")
    with pytest.raises(TooManyAttempts):
        await login.login(Actor(ip="198.51.100.99"), PHONE, "anna", PIN)


def test_unknown_phone_buckets_fit_into_throttle() -> None:
    assert PinLimits().unknown_phone_buckets <= PinLimits().max_tracked


async def test_login_without_pin_costs_same_as_with_pin(
    db: Database, login: PinLogin, anna: User, new_user: NewUser, passwords: Passwords
) -> None:
    old = await Passwords(PASSWORD).hash(PIN)
    others = [await new_user(f"other{number}") for number in range(20)]
    for user in (anna, *others[:10]):
        await db.write(pins.put, ACTOR, user.uuid, old)
    bob = await new_user("bob")
    await db.write(pins.delete, ACTOR, bob.uuid)
    compared: list[str] = []

    def seen(_secret: str, known: str) -> bool:
        compared.append(known)
        return True

    with patch.object(passwords, "_verify", seen):
        for number, name in enumerate([*(f"unknown{number}" for number in range(40)), "bob", "BOB"]):
            for again in range(2):
                phone = PhoneContext(mac=Mac(f"0011223344{number:02X}"))
                # Even the PIN of the substitute is refused.
                with pytest.raises(Unauthenticated):
                    await login.login(Actor(ip=f"198.51.{again}.{number}"), phone, name, PIN)
    # A name always has the same substitute; over all names both costs occur.
    assert compared[::2] == compared[1::2]
    assert compared[-1] == compared[-4]
    assert {passwords.is_outdated(each) for each in compared} == {True, False}


async def test_login_replaces_pin_hash_of_other_cost(
    db: Database, login: PinLogin, anna: User, passwords: Passwords
) -> None:
    old = await Passwords(PASSWORD).hash(PIN)
    await db.write(pins.put, ACTOR, anna.uuid, old)
    before = await db.read(pins.get, anna.uuid)
    begun = await login.login(ACTOR, PHONE, "anna", PIN)
    after = await db.read(pins.get, anna.uuid)
    assert passwords.is_outdated(old)
    assert not passwords.is_outdated(after.pin_hash)
    assert (after.revision, after.updated_at) == (before.revision, before.updated_at)
    assert await at(db, login) == begun
    assert await login.login(ACTOR, PHONE, "anna", PIN)
    assert (await db.read(pins.get, anna.uuid)).pin_hash == after.pin_hash


async def test_login_succeeds_if_hash_cannot_be_replaced(
    db: Database, login: PinLogin, anna: User, caplog: pytest.LogCaptureFixture
) -> None:
    await db.write(pins.put, ACTOR, anna.uuid, await Passwords(PASSWORD).hash(PIN))
    with patch.object(pins, "rehashed", side_effect=StorageFailed("the disk is full")):
        assert await login.login(ACTOR, PHONE, "anna", PIN)
    assert "the disk is full" in caplog.messages[0]


@pytest.mark.parametrize("refusing", [(service_sessions, "begin"), (pins, "holder")], ids=["written", "read"])
async def test_login_storage_failure_is_not_counted(login: PinLogin, anna: User, refusing: tuple[object, str]) -> None:
    with patch.object(*refusing, side_effect=StorageFailed("the disk is full")):
        for _ in range(20):
            with pytest.raises(StorageFailed):
                await login.login(ACTOR, PHONE, "anna", PIN)
    assert await login.login(ACTOR, PHONE, "anna", PIN)


async def test_change_pin_storage_failure_is_not_counted(login: PinLogin, anna: User) -> None:
    session = await login.login(ACTOR, PHONE, "anna", PIN)
    with patch.object(pins, "put", side_effect=StorageFailed("the disk is full")):
        for _ in range(20):
            with pytest.raises(StorageFailed):
                await login.change_pin(ACTOR, PHONE, session, PIN, "13579")
    assert await login.change_pin(ACTOR, PHONE, session, PIN, "13579")


@pytest.mark.parametrize("username", ["anna", "unknown"])
async def test_login_failures_are_throttled_while_disk_is_full(
    login: PinLogin, anna: User, username: str, caplog: pytest.LogCaptureFixture
) -> None:
    with patch.object(service_sessions, "refused", side_effect=StorageFailed("the disk is full")):
        for _ in range(throttle.FREE_FAILURES):
            with pytest.raises(Unauthenticated, match=r"^Wrong user or PIN$"):
                await login.login(ACTOR, PHONE, username, "0000")
        with pytest.raises(TooManyAttempts):
            await login.login(ACTOR, PHONE, username, PIN)
    assert (
        caplog.messages
        == [f"failed login not recorded phone={PHONE.mac} reason='the disk is full'"] * throttle.FREE_FAILURES
    )


async def test_login_wait_doubles_with_each_failure(login: PinLogin, anna: User, clock: Clock) -> None:
    waits = []
    for number in range(12):
        with pytest.raises(Unauthenticated):
            await login.login(ACTOR, PHONE, "anna", "0000")
        if number >= 4:
            with pytest.raises(TooManyAttempts) as refused:
                await login.login(ACTOR, PHONE, "anna", "0000")
            waits.append(refused.value.retry_after)
            clock.go_on(refused.value.retry_after)
    assert waits == [2, 4, 8, 16, 32, 64, 128, 256]


async def test_guesses_at_unknown_phones_do_not_lock_user_out(login: PinLogin, anna: User) -> None:
    for number in range(5):
        made_up = PhoneContext(mac=Mac(f"0011223344{number:02X}"))
        with pytest.raises(Unauthenticated):
            await login.login(Actor(ip=f"198.51.100.{number}"), made_up, "anna", "0000")
    with pytest.raises(TooManyAttempts):
        await login.login(Actor(ip="198.51.100.9"), PHONE, "anna", PIN)
    known = PhoneContext(mac=PHONE.mac, addresses=frozenset({IP}))
    assert await login.login(ACTOR, known, "anna", PIN)


async def test_concurrent_logins_from_one_address_are_not_throttled(login: PinLogin, new_user: NewUser) -> None:
    names = [f"user{number}" for number in range(20)]
    for name in names:
        await new_user(name)
    phones = [PhoneContext(mac=Mac(f"0011223344{number:02X}"), addresses=frozenset({IP})) for number in range(20)]
    crowd = (login.login(ACTOR, phone, name, PIN) for phone, name in zip(phones, names, strict=True))
    assert len(await asyncio.gather(*crowd)) == 20


async def test_flood_of_attempts_is_refused_instead_of_queued(login: PinLogin, anna: User) -> None:
    flood = (
        login.login(Actor(ip=f"198.51.{number}.1"), PhoneContext(mac=Mac(f"0011223344{number:02X}")), f"u{number}", "0")
        for number in range(250)
    )
    known = PhoneContext(mac=PHONE.mac, addresses=frozenset({IP}))
    *refused, honest = await asyncio.gather(*flood, login.login(ACTOR, known, "anna", PIN), return_exceptions=True)
    assert isinstance(honest, ServiceSession)
    kinds = [type(each) for each in refused]
    assert kinds.count(TooManyAttempts) == 150
    assert kinds.count(Unauthenticated) == 100


async def test_change_pin_ends_other_sessions(db: Database, login: PinLogin, anna: User) -> None:
    other = PhoneContext(mac=Mac("AABBCCDDEE02"))
    session = await login.login(ACTOR, PHONE, "anna", PIN)
    await login.login(ACTOR, other, "anna", PIN)
    with pytest.raises(Unauthenticated):
        await login.change_pin(ACTOR, PHONE, session, "0000", "9999")
    await login.change_pin(ACTOR, PHONE, session, PIN, "9999")
    assert await at(db, login)
    assert await at(db, login, mac=other.mac) is None
    with pytest.raises(Unauthenticated):
        await login.login(ACTOR, other, "anna", PIN)
    assert await login.login(ACTOR, other, "anna", "9999")


async def test_change_pin_keeps_pin_that_was_reset_meanwhile(
    db: Database, login: PinLogin, passwords: Passwords, anna: User
) -> None:
    session = await login.login(ACTOR, PHONE, "anna", PIN)
    reset, new = await passwords.hash("1357"), await passwords.hash("9999")

    async def hash_slowly(_pin: str) -> str:
        await db.write(pins.put, Actor(), anna.uuid, reset)
        return new

    with patch.object(passwords, "hash", hash_slowly), pytest.raises(Unauthenticated, match="Wrong user or PIN"):
        await login.change_pin(ACTOR, PHONE, session, PIN, "9999")
    assert (await db.read(pins.get, anna.uuid)).pin_hash == reset
    assert await at(db, login) is None


async def test_change_pin_is_undone_without_its_session(db: Database, login: PinLogin, anna: User) -> None:
    session = await login.login(ACTOR, PHONE, "anna", PIN)
    refused = patch.object(service_sessions, "begin", side_effect=StorageFailed("the disk is full"))
    with refused, pytest.raises(StorageFailed):
        await login.change_pin(ACTOR, PHONE, session, PIN, "9999")
    assert await at(db, login) == session
    assert await login.login(ACTOR, PHONE, "anna", PIN)


async def test_audit_log_records_logins_without_input(db: Database, login: PinLogin, anna: User) -> None:
    await login.login(ACTOR, PHONE, "anna", PIN)
    await login.logout(ACTOR, PHONE.mac)
    with pytest.raises(Unauthenticated):
        await login.login(ACTOR, PHONE, "8642", "8642")
    entries = (await db.read(audit.entries, Listing(limit=3))).items
    assert [(each.action, each.entity_uuid, each.payload) for each in reversed(entries)] == [
        ("phone.login", str(PHONE.mac), {"user_uuid": anna.uuid}),
        ("phone.logout", str(PHONE.mac), {"user_uuid": anna.uuid}),
        ("phone.login_failed", str(PHONE.mac), {"user_uuid": None}),
    ]
    assert entries[2].user_uuid == anna.uuid


async def test_audit_log_of_failures_is_limited_per_minute(
    db: Database, login: PinLogin, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    known = frozenset({IP})
    for minute in (1, 2):
        for number in range(70):
            phone = PhoneContext(mac=Mac(f"00112233{minute:02X}{number:02X}"), addresses=known)
            with pytest.raises(Unauthenticated):
                await login.login(Actor(ip=f"198.51.{minute}.{number}"), phone, f"u{minute}-{number}", "0")
        clock.go_on(60)
        assert len((await db.read(audit.entries, Listing())).items) == 60 * minute
        assert len(caplog.messages) == minute


async def test_pin_holder_repr_hides_hash(db: Database, anna: User) -> None:
    holder, substitute = await db.read(pins.holder, "ANNA", "g")
    assert holder is not None
    assert holder.pin_hash == substitute
    assert "argon2" not in repr(holder)
