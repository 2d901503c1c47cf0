import asyncio
from datetime import UTC, datetime, time, timedelta, timezone

import pytest

from cisisk.mobility.auto_logout import MAX_SLEEP, RETRY_AFTER
from cisisk.model.clock import timestamp
from cisisk.model.deployment import Deployment
from cisisk.model.errors import Conflict, StorageFailed
from cisisk.model.mac import Mac
from cisisk.model.phone_login import EndReason, LoginState, LoginWay, PhoneLogin
from cisisk.model.profile import Profile
from cisisk.model.user import SUPERADMIN_PERMISSION, SYSTEM, User
from cisisk.pbx.calls import CallState
from cisisk.store import deployments, permissions, phone_logins, phones, sites, users
from cisisk.store.database import Database
from cisisk.store.transaction import Read, Write
from tests.unit.mobility.office import Office

DESK, LOBBY = Mac("AABBCCDDEE01"), Mac("AABBCCDDEE02")


class Evening(Office):
    """Anna is logged in at her desk."""

    anna: User
    home: Profile
    before: Deployment
    login: PhoneLogin

    async def again(self, **options: object) -> PhoneLogin:
        return await self.logins.log_in(SYSTEM, self.anna.uuid, DESK, None, how=LoginWay.PHONE, **options)  # type: ignore[arg-type]  # whatever it takes

    async def state(self) -> tuple[LoginState, EndReason | None]:
        login = await self.db.read(phone_logins.get, self.login.uuid)
        return login.state, login.reason


STAYS = (LoginState.OPEN, None)


def ended(reason: EndReason) -> tuple[LoginState, EndReason]:
    return LoginState.ENDED, reason


@pytest.fixture
async def office(db: Database) -> Evening:
    made = Evening(db)
    made.anna = await made.user("anna")
    await made.profile(made.anna, "Anna")
    made.home = await made.profile(await made.user("desk"), "Home")
    await made.phone(DESK, location="Lisbon")
    made.before = await made.switches.switch(SYSTEM, made.home.uuid, DESK)
    made.login = await made.again()
    return made


async def test_auto_logout_without_limits_ends_no_login(office: Evening) -> None:
    office.ahead = timedelta(days=1000)
    assert await office.auto_logout.look() == MAX_SLEEP
    assert await office.state() == STAYS


async def test_login_ends_when_its_time_is_over(office: Evening) -> None:
    office.open(maximum=timedelta(minutes=30))
    office.login = await office.again()
    watch = office.watch()
    office.ahead = timedelta(minutes=29, seconds=30)
    pause = await watch.look()
    assert timedelta(seconds=20) < pause <= timedelta(seconds=30)
    assert await office.state() == STAYS
    office.ahead += pause
    await watch.look()
    assert await office.state() == ended(EndReason.TIMEOUT)
    assert await office.served(DESK) == office.home.cnf_xml


async def test_time_of_day_ends_every_login(office: Evening) -> None:
    zone = timezone(timedelta(hours=5, minutes=45))
    in_an_hour = (office.now() + timedelta(hours=1)).astimezone(zone).replace(second=0, microsecond=0)
    watch = office.watch(logout_at=(in_an_hour.time(),), zone=zone)
    office.ahead = in_an_hour - datetime.now(UTC) - timedelta(seconds=5)
    assert await watch.look() <= timedelta(seconds=5)
    assert await office.state() == STAYS
    office.ahead += timedelta(seconds=10)
    await watch.look()
    assert await office.state() == ended(EndReason.TIME_OF_DAY)


async def test_login_after_the_time_of_day_lasts_until_the_next(office: Evening) -> None:
    just_now = office.now() - timedelta(minutes=2)
    watch = office.watch(logout_at=(time(just_now.hour, just_now.minute),))
    office.ahead = timedelta(hours=23, minutes=50)
    await watch.look()
    assert await office.state() == STAYS
    office.ahead = timedelta(hours=24)
    await watch.look()
    assert await office.state() == ended(EndReason.TIME_OF_DAY)


async def test_site_times_replace_the_settings(office: Evening) -> None:
    late, early = (office.now() + timedelta(hours=5)), (office.now() + timedelta(hours=2))
    of_site = await office.db.write(sites.create, SYSTEM, {"name": "lisbon", "logout_at": [f"{early:%H:%M}"]})
    watch = office.watch(logout_at=(time(late.hour, late.minute),))
    office.ahead = timedelta(hours=2, minutes=1)
    await watch.look()
    assert await office.state() == ended(EndReason.TIME_OF_DAY)
    office.login = await office.again()
    await office.db.write(sites.update, SYSTEM, of_site.uuid, {"logout_at": []})
    office.ahead = timedelta(days=3)
    await watch.look()
    assert await office.state() == STAYS
    await office.db.write(sites.update, SYSTEM, of_site.uuid, {"logout_at": None})
    await watch.look()
    assert await office.state() == ended(EndReason.TIME_OF_DAY)


@pytest.mark.parametrize("change", ["set", "added", "renamed", "moved", "deleted", "namesake deleted"])
async def test_time_that_has_passed_when_set_ends_no_login(office: Evening, change: str) -> None:
    over = office.now() - timedelta(hours=1)
    times = {"logout_at": [f"{over:%H:%M}"]}
    await office.db.write(
        Write.rows, "UPDATE phone_logins SET logged_in_at = ?", (timestamp(over - timedelta(hours=1)),)
    )
    of_settings: tuple[time, ...] = ()
    if change == "set":
        site = await office.db.write(sites.create, SYSTEM, {"name": "LISBON", "logout_at": []})
        await office.db.write(sites.update, SYSTEM, site.uuid, times)
    elif change == "added":
        await office.db.write(sites.create, SYSTEM, {"name": "LISBON", **times})
    elif change == "renamed":
        site = await office.db.write(sites.create, SYSTEM, {"name": "Porto", **times})
        await office.db.write(sites.update, SYSTEM, site.uuid, {"name": "Lisbon"})
    elif change == "moved":
        await office.db.write(sites.create, SYSTEM, {"name": "Porto", **times})
        await office.db.write(phones.update, SYSTEM, DESK, {"location": "Porto"})
    elif change == "namesake deleted":
        # Two of one name, as they could once be added.
        site = await office.db.write(sites.create, SYSTEM, {"name": "Porto"})
        await office.db.write(sites.create, SYSTEM, {"name": "Lísbon", **times})

        def work(tx: Write) -> None:
            tx.rows("UPDATE sites SET name = 'Lisbon', folded_name = 'lisbon' WHERE uuid = ?", (site.uuid,))
            tx.rows("UPDATE phone_logins SET times_since = NULL")

        await office.db.write(work)
        await office.db.write(sites.delete, SYSTEM, site.uuid)
    else:
        site = await office.db.write(sites.create, SYSTEM, {"name": "Lisbon", "logout_at": []})
        of_settings = (time(over.hour, over.minute),)
        await office.db.write(sites.delete, SYSTEM, site.uuid)
    watch = office.watch(logout_at=of_settings)
    await watch.look()
    assert await office.state() == STAYS
    office.ahead = timedelta(hours=23, minutes=1)
    await watch.look()
    assert await office.state() == ended(EndReason.TIME_OF_DAY)


async def test_change_that_keeps_the_times_delays_no_logout(office: Evening) -> None:
    over = office.now() - timedelta(hours=1)
    times = {"logout_at": [f"{over:%H:%M}"]}
    site = await office.db.write(sites.create, SYSTEM, {"name": "Lisbon", **times})

    def work(tx: Write) -> None:
        begun = timestamp(over - timedelta(hours=1))
        tx.rows("UPDATE phone_logins SET logged_in_at = ?, times_since = ?", (begun, begun))

    await office.db.write(work)
    await office.db.write(sites.update, SYSTEM, site.uuid, {**times, "name": "LISBON", "emergency_location": "Rua 1"})
    await office.db.write(phones.update, SYSTEM, DESK, {"location": "lisbon", "name": "Desk 7"})
    await office.watch().look()
    assert await office.state() == ended(EndReason.TIME_OF_DAY)


@pytest.mark.parametrize("change", ["renamed", "set to what holds", "deleted"])
async def test_site_without_times_delays_no_logout(office: Evening, change: str) -> None:
    over = office.now() - timedelta(hours=1)
    site = await office.db.write(sites.create, SYSTEM, {"name": "Lisbon"})
    await office.db.write(
        Write.rows, "UPDATE phone_logins SET logged_in_at = ?", (timestamp(over - timedelta(hours=1)),)
    )
    if change == "renamed":
        await office.db.write(sites.update, SYSTEM, site.uuid, {"name": "Porto", "logout_at": None})
    elif change == "set to what holds":
        await office.db.write(sites.update, SYSTEM, site.uuid, {"logout_at": None, "emergency_location": "Rua 1"})
    else:
        await office.db.write(sites.delete, SYSTEM, site.uuid)
    await office.watch(logout_at=(time(over.hour, over.minute),)).look()
    assert await office.state() == ended(EndReason.TIME_OF_DAY)


async def test_logout_due_during_downtime_happens_at_the_start(office: Evening) -> None:
    office.open(maximum=timedelta(minutes=30))
    office.login = await office.again()
    office.ahead = timedelta(days=2)
    office.open()
    running = asyncio.create_task(office.watch().run())

    async def is_out() -> bool:
        return await office.state() == ended(EndReason.TIMEOUT)

    await office.settled(is_out)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


@pytest.mark.parametrize("reason", [EndReason.MANUAL, EndReason.TAKE_OVER])
async def test_logout_that_was_cut_off_is_finished(office: Evening, reason: EndReason) -> None:
    await office.db.write(phone_logins.leave, DESK, reason)
    office.calls.states[DESK] = CallState(in_call=True)
    await office.auto_logout.look()
    assert await office.state() == ended(reason)


async def test_deactivated_or_deleted_user_is_logged_out(office: Evening) -> None:
    await office.db.write(permissions.give, SYSTEM, (await office.user("root")).uuid, SUPERADMIN_PERMISSION)
    await office.db.write(users.update, SYSTEM, office.anna.uuid, {"is_active": False}, None)
    await office.auto_logout.look()
    assert await office.state() == ended(EndReason.USER_REMOVED)
    await office.db.write(users.update, SYSTEM, office.anna.uuid, {"is_active": True}, None)
    office.login = await office.again()
    await office.db.write(users.delete, SYSTEM, office.anna.uuid)
    await office.auto_logout.look()
    assert await office.state() == ended(EndReason.USER_REMOVED)
    assert await office.served(DESK) == office.home.cnf_xml


async def test_logout_by_the_clock_waits_for_the_call(office: Evening) -> None:
    office.open(maximum=timedelta(minutes=30))
    office.login = await office.again()
    watch = office.watch()
    office.ahead = timedelta(minutes=31)
    office.calls.states[DESK] = CallState(in_call=True)
    await watch.look()
    assert await office.state() == STAYS
    office.calls.states[DESK] = CallState(in_call=False)
    # It is not asked after all the time.
    await watch.look()
    assert await office.state() == STAYS
    office.ahead += RETRY_AFTER
    await watch.look()
    assert await office.state() == ended(EndReason.TIMEOUT)


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        (CallState(in_call=False), ended(EndReason.IDLE)),
        (CallState(in_call=False, ended=3000.0), ended(EndReason.IDLE)),
        (CallState(in_call=False, ended=60.0), STAYS),
        (CallState(in_call=True), STAYS),
        (CallState(in_call=None), STAYS),
    ],
)
async def test_idle_logout_needs_a_known_absence_of_calls(
    office: Evening, state: CallState, expected: tuple[LoginState, EndReason | None]
) -> None:
    watch = office.watch(idle=timedelta(minutes=30))
    office.calls.states[DESK] = state
    office.ahead = timedelta(minutes=29)
    await watch.look()
    assert await office.state() == STAYS
    office.ahead = timedelta(minutes=31)
    await watch.look()
    assert await office.state() == expected


@pytest.mark.parametrize("reason", [EndReason.TIMEOUT, EndReason.USER_REMOVED, EndReason.MANUAL])
async def test_call_does_not_delay_other_logouts(office: Evening, reason: EndReason) -> None:
    office.open(maximum=timedelta(hours=5) if reason is EndReason.TIMEOUT else None)
    office.login = await office.again()
    watch = office.watch(idle=timedelta(hours=4))
    office.ahead = timedelta(hours=4, seconds=1)
    office.calls.states[DESK] = CallState(in_call=False, ended=10.0)
    await watch.look()
    assert await office.state() == STAYS
    if reason is EndReason.USER_REMOVED:
        await office.db.write(permissions.give, SYSTEM, (await office.user("root")).uuid, SUPERADMIN_PERMISSION)
        await office.db.write(users.update, SYSTEM, office.anna.uuid, {"is_active": False}, None)
    elif reason is EndReason.MANUAL:
        await office.db.write(phone_logins.leave, DESK, reason)
    office.ahead = timedelta(hours=5, minutes=1)
    office.calls.states[DESK] = CallState(in_call=False, ended=3600.0)
    await watch.look()
    assert await office.state() == ended(reason)


async def test_delay_of_one_logout_does_not_delay_the_next_login(office: Evening) -> None:
    watch = office.watch(idle=timedelta(minutes=30))
    office.ahead = timedelta(minutes=31)
    office.calls.states[DESK] = CallState(in_call=False, ended=1.0)
    await watch.look()
    assert await office.state() == STAYS
    office.login = await office.again()
    office.calls.states[DESK] = CallState(in_call=False)
    # The idleness of the new login is looked at as soon as it may have come.
    office.ahead = timedelta(minutes=31, seconds=1)
    await watch.look()
    assert await office.state() == ended(EndReason.IDLE)


async def test_rolled_back_login_leaves_out_a_user_who_moved_on(
    office: Evening,
) -> None:
    bert = await office.user("bert")
    await office.profile(bert, "Bert")
    berts = await office.logins.log_in(SYSTEM, bert.uuid, DESK, None, how=LoginWay.PHONE)
    second = await office.logins.log_in(SYSTEM, office.anna.uuid, LOBBY, None, how=LoginWay.PHONE)
    await office.switches.roll_back(await office.db.read(deployments.get, berts.deployment or ""))
    assert await office.state() == (LoginState.ENDING, EndReason.TAKE_OVER)
    await office.auto_logout.look()
    assert await office.state() == ended(EndReason.TAKE_OVER)
    assert await office.served(DESK) == office.home.cnf_xml
    assert await office.logins.where(office.anna.uuid) == [second]


async def test_logout_during_the_begin_of_a_login_follows_it(office: Evening, monkeypatch: pytest.MonkeyPatch) -> None:
    async def refuse(*_: object) -> Deployment:
        raise Conflict("The deployment has begun already")

    await office.logins.log_out(SYSTEM, DESK, EndReason.MANUAL)
    office.switches.in_call.add(DESK)
    office.login = await office.again()
    monkeypatch.setattr(office.switches, "cancel", refuse)
    (leaving,) = await office.logins.log_out_everywhere(SYSTEM, office.anna.uuid, EndReason.ADMINISTRATOR)
    assert (leaving.uuid, leaving.ended_at) == (office.login.uuid, None)
    assert await office.state() == (LoginState.BEGINNING, EndReason.ADMINISTRATOR)
    await office.auto_logout.look()
    await office.switches.begin(await office.db.read(deployments.get, office.login.deployment or ""))
    assert await office.state() == (LoginState.ENDING, EndReason.ADMINISTRATOR)
    await office.auto_logout.look()
    assert await office.state() == ended(EndReason.ADMINISTRATOR)
    assert await office.served(DESK) == office.home.cnf_xml


async def test_idle_time_begins_at_the_start(office: Evening) -> None:
    office.calls.states[DESK] = CallState(in_call=False)
    office.ahead = timedelta(hours=5)
    watch = office.watch(idle=timedelta(minutes=30))
    await watch.look()
    assert await office.state() == STAYS
    office.ahead += timedelta(minutes=31)
    await watch.look()
    assert await office.state() == ended(EndReason.IDLE)


async def test_page_on_the_screen_counts_as_use(office: Evening) -> None:
    office.calls.states[DESK] = CallState(in_call=False)
    watch = office.watch(idle=timedelta(minutes=30))
    office.ahead = timedelta(minutes=31)
    await office.db.write(
        Write.rows,
        "INSERT INTO service_sessions (mac, user_uuid, ip, created_at, active_at) VALUES (?, ?, '', ?, ?)",
        (DESK.digits, office.anna.uuid, "", (datetime.now(UTC) + timedelta(minutes=20)).isoformat()),
    )
    await watch.look()
    assert await office.state() == STAYS
    office.ahead = timedelta(minutes=51)
    await watch.look()
    assert await office.state() == ended(EndReason.IDLE)


async def test_phone_that_cannot_be_written_delays_no_other_logout(office: Evening) -> None:
    office.open(maximum=timedelta(minutes=30))
    office.login = await office.again()
    anton = await office.user("anton")
    await office.profile(anton, "Anton")
    other = await office.logins.log_in(SYSTEM, anton.uuid, LOBBY, None, how=LoginWay.EMAPI)
    office.switches.refuses[office.before.sha256] = StorageFailed("The disk is full")
    watch = office.watch()
    office.ahead = timedelta(minutes=31)
    await watch.look()
    assert await office.state() == (LoginState.ENDING, EndReason.TIMEOUT)
    assert (await office.db.read(phone_logins.get, other.uuid)).state is LoginState.ENDED
    office.switches.refuses.clear()
    await watch.look()
    assert await office.state() == (LoginState.ENDING, EndReason.TIMEOUT)
    office.ahead += RETRY_AFTER
    await watch.look()
    assert await office.state() == ended(EndReason.TIMEOUT)


async def test_auto_logout_continues_after_a_store_failure(
    office: Evening, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(_: Read) -> None:
        raise StorageFailed("The database cannot be read")

    monkeypatch.setattr(phone_logins, "all_open", fail)
    running = asyncio.create_task(office.auto_logout.run())

    async def is_told() -> bool:
        return "cannot be read" in caplog.text

    await office.settled(is_told)
    assert not running.done()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
