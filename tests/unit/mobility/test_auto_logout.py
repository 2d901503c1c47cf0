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
from tests.unit.mobility.login_setup import LoginSetup

DESK, LOBBY = Mac("AABBCCDDEE01"), Mac("AABBCCDDEE02")


class Evening(LoginSetup):
    """Log Anna in at her desk."""

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
async def setup(db: Database) -> Evening:
    made = Evening(db)
    made.anna = await made.user("anna")
    await made.profile(made.anna, "Anna")
    made.home = await made.profile(await made.user("desk"), "Home")
    await made.phone(DESK, location="Lisbon")
    made.before = await made.switches.switch(SYSTEM, made.home.uuid, DESK)
    made.login = await made.again()
    return made


async def test_auto_logout_without_limits_ends_no_login(setup: Evening) -> None:
    setup.ahead = timedelta(days=1000)
    assert await setup.auto_logout.look() == MAX_SLEEP
    assert await setup.state() == STAYS


async def test_login_ends_when_its_time_is_over(setup: Evening) -> None:
    setup.open(maximum=timedelta(minutes=30))
    setup.login = await setup.again()
    watch = setup.watch()
    setup.ahead = timedelta(minutes=29, seconds=30)
    pause = await watch.look()
    assert timedelta(seconds=20) < pause <= timedelta(seconds=30)
    assert await setup.state() == STAYS
    setup.ahead += pause
    await watch.look()
    assert await setup.state() == ended(EndReason.TIMEOUT)
    assert await setup.served(DESK) == setup.home.cnf_xml


async def test_time_of_day_ends_every_login(setup: Evening) -> None:
    zone = timezone(timedelta(hours=5, minutes=45))
    in_an_hour = (setup.now() + timedelta(hours=1)).astimezone(zone).replace(second=0, microsecond=0)
    watch = setup.watch(logout_at=(in_an_hour.time(),), zone=zone)
    setup.ahead = in_an_hour - datetime.now(UTC) - timedelta(seconds=5)
    assert await watch.look() <= timedelta(seconds=5)
    assert await setup.state() == STAYS
    setup.ahead += timedelta(seconds=10)
    await watch.look()
    assert await setup.state() == ended(EndReason.TIME_OF_DAY)


async def test_login_after_the_time_of_day_lasts_until_the_next(setup: Evening) -> None:
    just_now = setup.now() - timedelta(minutes=2)
    watch = setup.watch(logout_at=(time(just_now.hour, just_now.minute),))
    setup.ahead = timedelta(hours=23, minutes=50)
    await watch.look()
    assert await setup.state() == STAYS
    setup.ahead = timedelta(hours=24)
    await watch.look()
    assert await setup.state() == ended(EndReason.TIME_OF_DAY)


async def test_site_times_replace_the_settings(setup: Evening) -> None:
    late, early = (setup.now() + timedelta(hours=5)), (setup.now() + timedelta(hours=2))
    of_site = await setup.db.write(sites.create, SYSTEM, {"name": "lisbon", "logout_at": [f"{early:%H:%M}"]})
    watch = setup.watch(logout_at=(time(late.hour, late.minute),))
    setup.ahead = timedelta(hours=2, minutes=1)
    await watch.look()
    assert await setup.state() == ended(EndReason.TIME_OF_DAY)
    setup.login = await setup.again()
    await setup.db.write(sites.update, SYSTEM, of_site.uuid, {"logout_at": []})
    setup.ahead = timedelta(days=3)
    await watch.look()
    assert await setup.state() == STAYS
    await setup.db.write(sites.update, SYSTEM, of_site.uuid, {"logout_at": None})
    await watch.look()
    assert await setup.state() == ended(EndReason.TIME_OF_DAY)


@pytest.mark.parametrize("change", ["set", "added", "renamed", "moved", "deleted", "namesake deleted"])
async def test_time_that_has_passed_when_set_ends_no_login(setup: Evening, change: str) -> None:
    over = setup.now() - timedelta(hours=1)
    times = {"logout_at": [f"{over:%H:%M}"]}
    await setup.db.write(
        Write.rows, "UPDATE phone_logins SET logged_in_at = ?", (timestamp(over - timedelta(hours=1)),)
    )
    of_settings: tuple[time, ...] = ()
    if change == "set":
        site = await setup.db.write(sites.create, SYSTEM, {"name": "LISBON", "logout_at": []})
        await setup.db.write(sites.update, SYSTEM, site.uuid, times)
    elif change == "added":
        await setup.db.write(sites.create, SYSTEM, {"name": "LISBON", **times})
    elif change == "renamed":
        site = await setup.db.write(sites.create, SYSTEM, {"name": "Porto", **times})
        await setup.db.write(sites.update, SYSTEM, site.uuid, {"name": "Lisbon"})
    elif change == "moved":
        await setup.db.write(sites.create, SYSTEM, {"name": "Porto", **times})
        await setup.db.write(phones.update, SYSTEM, DESK, {"location": "Porto"})
    elif change == "namesake deleted":
        # Two sites with one name, as earlier versions permitted.
        site = await setup.db.write(sites.create, SYSTEM, {"name": "Porto"})
        await setup.db.write(sites.create, SYSTEM, {"name": "Lísbon", **times})

        def work(tx: Write) -> None:
            tx.rows("UPDATE sites SET name = 'Lisbon', folded_name = 'lisbon' WHERE uuid = ?", (site.uuid,))
            tx.rows("UPDATE phone_logins SET times_since = NULL")

        await setup.db.write(work)
        await setup.db.write(sites.delete, SYSTEM, site.uuid)
    else:
        site = await setup.db.write(sites.create, SYSTEM, {"name": "Lisbon", "logout_at": []})
        of_settings = (time(over.hour, over.minute),)
        await setup.db.write(sites.delete, SYSTEM, site.uuid)
    watch = setup.watch(logout_at=of_settings)
    await watch.look()
    assert await setup.state() == STAYS
    setup.ahead = timedelta(hours=23, minutes=1)
    await watch.look()
    assert await setup.state() == ended(EndReason.TIME_OF_DAY)


async def test_change_that_keeps_the_times_delays_no_logout(setup: Evening) -> None:
    over = setup.now() - timedelta(hours=1)
    times = {"logout_at": [f"{over:%H:%M}"]}
    site = await setup.db.write(sites.create, SYSTEM, {"name": "Lisbon", **times})

    def work(tx: Write) -> None:
        begun = timestamp(over - timedelta(hours=1))
        tx.rows("UPDATE phone_logins SET logged_in_at = ?, times_since = ?", (begun, begun))

    await setup.db.write(work)
    await setup.db.write(sites.update, SYSTEM, site.uuid, {**times, "name": "LISBON", "emergency_location": "Rua 1"})
    await setup.db.write(phones.update, SYSTEM, DESK, {"location": "lisbon", "name": "Desk 7"})
    await setup.watch().look()
    assert await setup.state() == ended(EndReason.TIME_OF_DAY)


@pytest.mark.parametrize("change", ["renamed", "set to what holds", "deleted"])
async def test_site_without_times_delays_no_logout(setup: Evening, change: str) -> None:
    over = setup.now() - timedelta(hours=1)
    site = await setup.db.write(sites.create, SYSTEM, {"name": "Lisbon"})
    await setup.db.write(
        Write.rows, "UPDATE phone_logins SET logged_in_at = ?", (timestamp(over - timedelta(hours=1)),)
    )
    if change == "renamed":
        await setup.db.write(sites.update, SYSTEM, site.uuid, {"name": "Porto", "logout_at": None})
    elif change == "set to what holds":
        await setup.db.write(sites.update, SYSTEM, site.uuid, {"logout_at": None, "emergency_location": "Rua 1"})
    else:
        await setup.db.write(sites.delete, SYSTEM, site.uuid)
    await setup.watch(logout_at=(time(over.hour, over.minute),)).look()
    assert await setup.state() == ended(EndReason.TIME_OF_DAY)


async def test_logout_due_during_downtime_happens_at_the_start(setup: Evening) -> None:
    setup.open(maximum=timedelta(minutes=30))
    setup.login = await setup.again()
    setup.ahead = timedelta(days=2)
    setup.open()
    running = asyncio.create_task(setup.watch().run())

    async def is_out() -> bool:
        return await setup.state() == ended(EndReason.TIMEOUT)

    await setup.settled(is_out)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


@pytest.mark.parametrize("reason", [EndReason.MANUAL, EndReason.TAKE_OVER])
async def test_logout_that_was_cut_off_is_finished(setup: Evening, reason: EndReason) -> None:
    await setup.db.write(phone_logins.leave, DESK, reason)
    setup.calls.states[DESK] = CallState(in_call=True)
    await setup.auto_logout.look()
    assert await setup.state() == ended(reason)


async def test_deactivated_or_deleted_user_is_logged_out(setup: Evening) -> None:
    await setup.db.write(permissions.give, SYSTEM, (await setup.user("root")).uuid, SUPERADMIN_PERMISSION)
    await setup.db.write(users.update, SYSTEM, setup.anna.uuid, {"is_active": False}, None)
    await setup.auto_logout.look()
    assert await setup.state() == ended(EndReason.USER_REMOVED)
    await setup.db.write(users.update, SYSTEM, setup.anna.uuid, {"is_active": True}, None)
    setup.login = await setup.again()
    await setup.db.write(users.delete, SYSTEM, setup.anna.uuid)
    await setup.auto_logout.look()
    assert await setup.state() == ended(EndReason.USER_REMOVED)
    assert await setup.served(DESK) == setup.home.cnf_xml


async def test_logout_by_the_clock_waits_for_the_call(setup: Evening) -> None:
    setup.open(maximum=timedelta(minutes=30))
    setup.login = await setup.again()
    watch = setup.watch()
    setup.ahead = timedelta(minutes=31)
    setup.calls.states[DESK] = CallState(in_call=True)
    await watch.look()
    assert await setup.state() == STAYS
    setup.calls.states[DESK] = CallState(in_call=False)
    # Idleness is not polled continuously.
    await watch.look()
    assert await setup.state() == STAYS
    setup.ahead += RETRY_AFTER
    await watch.look()
    assert await setup.state() == ended(EndReason.TIMEOUT)


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
    setup: Evening, state: CallState, expected: tuple[LoginState, EndReason | None]
) -> None:
    watch = setup.watch(idle=timedelta(minutes=30))
    setup.calls.states[DESK] = state
    setup.ahead = timedelta(minutes=29)
    await watch.look()
    assert await setup.state() == STAYS
    setup.ahead = timedelta(minutes=31)
    await watch.look()
    assert await setup.state() == expected


@pytest.mark.parametrize("reason", [EndReason.TIMEOUT, EndReason.USER_REMOVED, EndReason.MANUAL])
async def test_call_does_not_delay_other_logouts(setup: Evening, reason: EndReason) -> None:
    setup.open(maximum=timedelta(hours=5) if reason is EndReason.TIMEOUT else None)
    setup.login = await setup.again()
    watch = setup.watch(idle=timedelta(hours=4))
    setup.ahead = timedelta(hours=4, seconds=1)
    setup.calls.states[DESK] = CallState(in_call=False, ended=10.0)
    await watch.look()
    assert await setup.state() == STAYS
    if reason is EndReason.USER_REMOVED:
        await setup.db.write(permissions.give, SYSTEM, (await setup.user("root")).uuid, SUPERADMIN_PERMISSION)
        await setup.db.write(users.update, SYSTEM, setup.anna.uuid, {"is_active": False}, None)
    elif reason is EndReason.MANUAL:
        await setup.db.write(phone_logins.leave, DESK, reason)
    setup.ahead = timedelta(hours=5, minutes=1)
    setup.calls.states[DESK] = CallState(in_call=False, ended=3600.0)
    await watch.look()
    assert await setup.state() == ended(reason)


async def test_delay_of_one_logout_does_not_delay_the_next_login(setup: Evening) -> None:
    watch = setup.watch(idle=timedelta(minutes=30))
    setup.ahead = timedelta(minutes=31)
    setup.calls.states[DESK] = CallState(in_call=False, ended=1.0)
    await watch.look()
    assert await setup.state() == STAYS
    setup.login = await setup.again()
    setup.calls.states[DESK] = CallState(in_call=False)
    # The next check is at the earliest end of the idle time of the new login.
    setup.ahead = timedelta(minutes=31, seconds=1)
    await watch.look()
    assert await setup.state() == ended(EndReason.IDLE)


async def test_rolled_back_login_leaves_out_a_user_who_moved_on(
    setup: Evening,
) -> None:
    bert = await setup.user("bert")
    await setup.profile(bert, "Bert")
    berts = await setup.logins.log_in(SYSTEM, bert.uuid, DESK, None, how=LoginWay.PHONE)
    second = await setup.logins.log_in(SYSTEM, setup.anna.uuid, LOBBY, None, how=LoginWay.PHONE)
    await setup.switches.roll_back(await setup.db.read(deployments.get, berts.deployment or ""))
    assert await setup.state() == (LoginState.ENDING, EndReason.TAKE_OVER)
    await setup.auto_logout.look()
    assert await setup.state() == ended(EndReason.TAKE_OVER)
    assert await setup.served(DESK) == setup.home.cnf_xml
    assert await setup.logins.where(setup.anna.uuid) == [second]


async def test_logout_during_the_begin_of_a_login_follows_it(setup: Evening, monkeypatch: pytest.MonkeyPatch) -> None:
    async def refuse(*_: object) -> Deployment:
        raise Conflict("The deployment has begun already")

    await setup.logins.log_out(SYSTEM, DESK, EndReason.MANUAL)
    setup.switches.in_call.add(DESK)
    setup.login = await setup.again()
    monkeypatch.setattr(setup.switches, "cancel", refuse)
    (leaving,) = await setup.logins.log_out_everywhere(SYSTEM, setup.anna.uuid, EndReason.ADMINISTRATOR)
    assert (leaving.uuid, leaving.ended_at) == (setup.login.uuid, None)
    assert await setup.state() == (LoginState.BEGINNING, EndReason.ADMINISTRATOR)
    await setup.auto_logout.look()
    await setup.switches.begin(await setup.db.read(deployments.get, setup.login.deployment or ""))
    assert await setup.state() == (LoginState.ENDING, EndReason.ADMINISTRATOR)
    await setup.auto_logout.look()
    assert await setup.state() == ended(EndReason.ADMINISTRATOR)
    assert await setup.served(DESK) == setup.home.cnf_xml


async def test_idle_time_begins_at_the_start(setup: Evening) -> None:
    setup.calls.states[DESK] = CallState(in_call=False)
    setup.ahead = timedelta(hours=5)
    watch = setup.watch(idle=timedelta(minutes=30))
    await watch.look()
    assert await setup.state() == STAYS
    setup.ahead += timedelta(minutes=31)
    await watch.look()
    assert await setup.state() == ended(EndReason.IDLE)


async def test_page_on_the_screen_counts_as_use(setup: Evening) -> None:
    setup.calls.states[DESK] = CallState(in_call=False)
    watch = setup.watch(idle=timedelta(minutes=30))
    setup.ahead = timedelta(minutes=31)
    await setup.db.write(
        Write.rows,
        "INSERT INTO service_sessions (mac, user_uuid, ip, created_at, active_at) VALUES (?, ?, '', ?, ?)",
        (DESK.digits, setup.anna.uuid, "", (datetime.now(UTC) + timedelta(minutes=20)).isoformat()),
    )
    await watch.look()
    assert await setup.state() == STAYS
    setup.ahead = timedelta(minutes=51)
    await watch.look()
    assert await setup.state() == ended(EndReason.IDLE)


async def test_phone_that_cannot_be_written_delays_no_other_logout(setup: Evening) -> None:
    setup.open(maximum=timedelta(minutes=30))
    setup.login = await setup.again()
    anton = await setup.user("anton")
    await setup.profile(anton, "Anton")
    other = await setup.logins.log_in(SYSTEM, anton.uuid, LOBBY, None, how=LoginWay.EMAPI)
    setup.switches.refuses[setup.before.sha256] = StorageFailed("The disk is full")
    watch = setup.watch()
    setup.ahead = timedelta(minutes=31)
    await watch.look()
    assert await setup.state() == (LoginState.ENDING, EndReason.TIMEOUT)
    assert (await setup.db.read(phone_logins.get, other.uuid)).state is LoginState.ENDED
    setup.switches.refuses.clear()
    await watch.look()
    assert await setup.state() == (LoginState.ENDING, EndReason.TIMEOUT)
    setup.ahead += RETRY_AFTER
    await watch.look()
    assert await setup.state() == ended(EndReason.TIMEOUT)


async def test_auto_logout_continues_after_a_store_failure(
    setup: Evening, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(_: Read) -> None:
        raise StorageFailed("The database cannot be read")

    monkeypatch.setattr(phone_logins, "all_open", fail)
    running = asyncio.create_task(setup.auto_logout.run())

    async def is_told() -> bool:
        return "cannot be read" in caplog.text

    await setup.settled(is_told)
    assert not running.done()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
