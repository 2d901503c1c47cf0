import asyncio
import hashlib
import random
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import pytest

from cisisk.model.codes.deployment import DeploymentFailure
from cisisk.model.codes.phone_login import LoginRefusal
from cisisk.model.deployment import Deployment, OnTimeout, Origin
from cisisk.model.errors import Conflict, NotFound, StorageFailed
from cisisk.model.listing import Listing
from cisisk.model.mac import Mac
from cisisk.model.phone_login import (
    EndReason,
    LoggedInElsewhere,
    LoginState,
    LoginWay,
    Multiple,
    NoFittingProfile,
    OccupiedByAnother,
    PhoneDisabled,
    PhoneLogin,
    ReturnedTo,
)
from cisisk.model.profile import Profile
from cisisk.model.start_time import NOW
from cisisk.model.user import SUPERADMIN_PERMISSION, SYSTEM, Actor, User
from cisisk.store import (
    audit,
    configs,
    default_profiles,
    deployments,
    permissions,
    phone_logins,
    phones,
    profiles,
    progress,
    sites,
    users,
)
from cisisk.store.database import Database
from cisisk.store.transaction import Read, Write
from tests.unit.mobility.login_setup import LoginSetup

DESK, LOBBY, LAB = Mac("AABBCCDDEE01"), Mac("AABBCCDDEE02"), Mac("AABBCCDDEE03")
ACTOR = Actor(user_uuid="11111111-1111-1111-1111-111111111111", ip="192.0.2.9")


@dataclass
class People(LoginSetup):
    """Create two users, and a phone with a config from before the first login."""

    anna: User
    anton: User
    annas: Profile
    antons: Profile
    home: Profile

    async def log_in(self, user: User, mac: Mac, profile: str | None = None, **more: object) -> PhoneLogin:
        return await self.logins.log_in(ACTOR, user.uuid, mac, profile, how=LoginWay.PHONE, **more)  # type: ignore[arg-type]  # whatever it takes

    async def serve_again(self, mac: Mac) -> None:
        """Return the profile of the user who is logged in on a phone."""
        login = await self.logins.on(mac)
        if login is not None:
            await self.switches.switch(ACTOR, login.profile_uuid, mac)

    async def take_back(self, mac: Mac) -> None:
        """Return the latest audit actions, without those of the setup."""
        (newest,) = (await self.db.read(deployments.page, Listing(limit=1), mac, None)).items
        if newest.origin is not Origin.LOGOUT and newest.replaced is not None:
            await self.switches.roll_back(newest)


@pytest.fixture
async def setup(db: Database) -> People:
    made = People.__new__(People)
    LoginSetup.__init__(made, db)
    made.anna, made.anton = await made.user("anna"), await made.user("anton")
    made.annas, made.antons = await made.profile(made.anna, "Anna"), await made.profile(made.anton, "Anton")
    made.home = await made.profile(await made.user("desk"), "Home")
    for mac, name in ((DESK, "Desk 7"), (LOBBY, None)):
        await made.phone(mac, name=name, location="Lisbon", model="CP-7942G")
    await made.switches.switch(SYSTEM, made.home.uuid, DESK)
    return made


async def actions(db: Database) -> list[tuple[str, object]]:
    rows = (await db.read(audit.entries, Listing(limit=50))).items
    return [(row.action, row.payload) for row in reversed(rows) if row.action.startswith("phone_login")]


async def test_login_and_logout_switch_to_the_profile_and_back(setup: People) -> None:
    login = await setup.log_in(setup.anna, DESK)
    assert await setup.served(DESK) == setup.annas.cnf_xml
    assert (login.state, login.username, login.profile_name) == (LoginState.OPEN, "anna", "Anna")
    assert (login.phone_name, login.location, login.until) == ("Desk 7", "Lisbon", None)
    deployment = await setup.db.read(deployments.get, login.deployment or "")
    assert (deployment.profile_uuid, deployment.sha256) != (None, login.home_sha256)
    assert await setup.logins.on(DESK) == login
    assert await setup.logins.where(setup.anna.uuid) == [login]

    ended = await setup.logins.log_out(ACTOR, DESK, EndReason.MANUAL)
    assert ended is not None
    assert await setup.served(DESK) == setup.home.cnf_xml
    assert (ended.state, ended.reason, ended.returned_to) == (LoginState.ENDED, EndReason.MANUAL, ReturnedTo.BEFORE)
    assert ended.ended_by not in (None, login.deployment)
    assert await setup.logins.on(DESK) is None
    assert await setup.logins.log_out(ACTOR, DESK, EndReason.MANUAL) is None
    assert (await setup.logins.page(Listing())).items == []
    assert (await setup.logins.page(Listing(), history=True)).items == [ended]
    about = {"user_uuid": setup.anna.uuid, "profile_uuid": setup.annas.uuid}
    assert await actions(setup.db) == [
        ("phone_login.begun", {**about, "way": "phone"}),
        ("phone_login.ended", {**about, "returned_to": "before", "reason": "manual"}),
    ]


async def test_logout_prefers_phone_then_site_then_earlier_config(
    setup: People,
) -> None:
    owner = await setup.user("reception")
    of_phone, of_site = await setup.profile(owner, "Of the phone"), await setup.profile(owner, "Of the site")
    site = await setup.db.write(sites.create, SYSTEM, {"name": "LISBON", "logout_profile_uuid": of_site.uuid})
    for columns, expected, returned_to in (
        ({}, of_site, ReturnedTo.SITE),
        ({"logout_profile_uuid": of_phone.uuid}, of_phone, ReturnedTo.PHONE),
        ({"logout_profile_uuid": None, "location": "Porto"}, setup.home, ReturnedTo.BEFORE),
    ):
        await setup.switches.switch(SYSTEM, setup.home.uuid, DESK)
        await setup.db.write(phones.update, SYSTEM, DESK, columns)
        await setup.log_in(setup.anna, DESK)
        ended = await setup.logins.log_out(ACTOR, DESK, EndReason.MANUAL)
        assert ended is not None
        assert (ended.returned_to, await setup.served(DESK)) == (returned_to, expected.cnf_xml)
    assert site.name == "LISBON"


async def test_logout_ignores_calls_and_is_never_rolled_back(setup: People) -> None:
    await setup.db.write(phones.update, SYSTEM, DESK, {"logout_profile_uuid": setup.home.uuid})
    await setup.log_in(setup.anna, DESK)
    await setup.logins.log_out(ACTOR, DESK, EndReason.MANUAL)
    policy = setup.switches.policies[-1]
    assert policy is not None
    assert (policy.when, policy.refuse_in_call, policy.on_timeout) == (NOW, False, OnTimeout.KEEP)


async def test_logout_skips_a_profile_that_does_not_fit(setup: People) -> None:
    await setup.db.write(phones.update, SYSTEM, DESK, {"logout_profile_uuid": setup.antons.uuid})
    setup.switches.refuses[setup.antons.uuid] = Conflict("It is for another model")
    await setup.log_in(setup.anna, DESK)
    ended = await setup.logins.log_out(ACTOR, DESK, EndReason.MANUAL)
    assert ended is not None
    assert (ended.returned_to, await setup.served(DESK)) == (ReturnedTo.BEFORE, setup.home.cnf_xml)


async def test_logout_without_an_earlier_config_keeps_the_users(
    setup: People, caplog: pytest.LogCaptureFixture
) -> None:
    await setup.log_in(setup.anna, LOBBY)
    ended = await setup.logins.log_out(ACTOR, LOBBY, EndReason.MANUAL)
    assert ended is not None
    assert (ended.state, ended.returned_to, ended.ended_by) == (LoginState.ENDED, ReturnedTo.NOTHING, None)
    assert await setup.served(LOBBY) == setup.annas.cnf_xml
    assert "the phone keeps the config" in caplog.text
    # A config left by Anna's login is no home config.
    await setup.log_in(setup.anton, LOBBY)
    ended = await setup.logins.log_out(ACTOR, LOBBY, EndReason.MANUAL)
    assert ended is not None
    assert (ended.home_sha256, ended.returned_to) == (None, ReturnedTo.NOTHING)


async def test_next_user_leaves_the_phone_as_before_both(setup: People) -> None:
    first = await setup.log_in(setup.anna, DESK)
    second = await setup.log_in(setup.anton, DESK)
    first = await setup.db.read(phone_logins.get, first.uuid)
    assert (first.state, first.reason, first.ended_by) == (LoginState.ENDED, EndReason.NEXT_USER, second.deployment)
    await setup.logins.log_out(ACTOR, DESK, EndReason.MANUAL)
    assert await setup.served(DESK) == setup.home.cnf_xml


async def test_second_profile_of_a_user_is_another_login(setup: People) -> None:
    other = await setup.profile(setup.anna, "Other")
    first = await setup.log_in(setup.anna, DESK, setup.annas.uuid)
    second = await setup.log_in(setup.anna, DESK, other.uuid)
    assert (await setup.db.read(phone_logins.get, first.uuid)).reason is EndReason.SWITCHED
    assert (second.profile_name, second.home_sha256) == ("Other", first.home_sha256)


async def test_switch_by_an_administrator_ends_the_login(setup: People) -> None:
    login = await setup.log_in(setup.anna, DESK)
    switched = await setup.switches.switch(ACTOR, setup.antons.uuid, DESK)
    login = await setup.db.read(phone_logins.get, login.uuid)
    assert (login.state, login.reason, login.ended_by) == (LoginState.ENDED, EndReason.SWITCHED, switched.uuid)
    assert await setup.logins.on(DESK) is None
    # A config that an administrator put there is the home config.
    later = await setup.log_in(setup.anna, DESK)
    assert later.home_sha256 == switched.sha256


async def test_switch_to_the_same_profile_keeps_the_login(setup: People) -> None:
    login = await setup.log_in(setup.anna, DESK)
    changed = b"<device><!-- Anna, changed --></device>"
    await setup.db.write(profiles.update, SYSTEM, setup.annas.uuid, {"cnf_xml": changed})
    switched = await setup.switches.switch(ACTOR, setup.annas.uuid, DESK)
    assert (await setup.served(DESK), await setup.logins.on(DESK)) == (changed, login)
    # A rollback does not log her out, and neither does the rollback of the rollback.
    back = await setup.switches.roll_back(switched)
    assert (await setup.served(DESK), await setup.logins.on(DESK)) == (setup.annas.cnf_xml, login)
    await setup.switches.roll_back(back)
    assert (await setup.served(DESK), await setup.logins.on(DESK)) == (changed, login)
    await setup.logins.log_out(ACTOR, DESK, EndReason.MANUAL)
    assert await setup.served(DESK) == setup.home.cnf_xml
    assert await actions(setup.db) == [
        ("phone_login.begun", {"user_uuid": setup.anna.uuid, "profile_uuid": setup.annas.uuid, "way": "phone"}),
        (
            "phone_login.ended",
            {
                "user_uuid": setup.anna.uuid,
                "profile_uuid": setup.annas.uuid,
                "returned_to": "before",
                "reason": "manual",
            },
        ),
    ]


async def test_logout_from_the_own_profile_returns_to_the_last_config(setup: People) -> None:
    before = await setup.switches.switch(SYSTEM, setup.annas.uuid, DESK)
    await setup.log_in(setup.anna, DESK)
    changed = b"<device><!-- Anna, changed --></device>"
    await setup.db.write(profiles.update, SYSTEM, setup.annas.uuid, {"cnf_xml": changed})
    switched = await setup.switches.switch(ACTOR, setup.annas.uuid, DESK)
    back = await setup.switches.roll_back(switched)
    login = await setup.logins.on(DESK)
    assert login is not None
    assert login.home_sha256 == before.sha256
    await setup.switches.roll_back(back)
    await setup.logins.log_out(ACTOR, DESK, EndReason.MANUAL)
    assert await setup.served(DESK) == changed


async def test_same_profile_during_a_logout_continues_the_logout(setup: People) -> None:
    await setup.log_in(setup.anna, DESK)
    leaving = await setup.db.write(phone_logins.leave, DESK, EndReason.TIMEOUT)
    await setup.switches.switch(ACTOR, setup.annas.uuid, DESK)
    assert leaving is not None
    assert leaving.state is LoginState.ENDING
    assert await setup.logins.on(DESK) == leaving


async def test_next_user_after_the_same_profile_leaves_as_before_both(
    setup: People,
) -> None:
    first = await setup.log_in(setup.anna, DESK)
    await setup.switches.switch(ACTOR, setup.annas.uuid, DESK)
    second = await setup.log_in(setup.anton, DESK)
    first = await setup.db.read(phone_logins.get, first.uuid)
    assert (first.reason, second.home_sha256) == (EndReason.NEXT_USER, first.home_sha256)


async def test_config_of_a_deleted_user_is_not_the_home_config(setup: People) -> None:
    login = await setup.log_in(setup.anna, DESK)
    await setup.db.write(permissions.give, SYSTEM, setup.anton.uuid, SUPERADMIN_PERMISSION)
    await setup.db.write(users.delete, SYSTEM, setup.anna.uuid)
    assert (await setup.log_in(setup.anton, DESK)).home_sha256 == login.home_sha256


async def test_profile_before_its_users_login_is_the_home_config(setup: People) -> None:
    desk = await setup.switches.switch(SYSTEM, setup.annas.uuid, DESK)
    login = await setup.log_in(setup.anna, DESK)
    assert login.home_sha256 == desk.sha256
    # The rollback of the login restores the config without an open login.
    await setup.switches.roll_back(await setup.db.read(deployments.get, login.deployment or ""))
    login = await setup.db.read(phone_logins.get, login.uuid)
    assert (login.reason, await setup.logins.on(DESK)) == (EndReason.ROLLED_BACK, None)
    assert (await setup.log_in(setup.anton, DESK)).home_sha256 == desk.sha256


async def test_rollback_of_an_older_switch_ends_the_login(setup: People) -> None:
    older = await setup.switches.switch(SYSTEM, setup.annas.uuid, DESK)
    await setup.switches.switch(SYSTEM, setup.home.uuid, DESK)
    login = await setup.log_in(setup.anna, DESK)
    await setup.switches.roll_back(older)
    assert await setup.served(DESK) == setup.home.cnf_xml
    login = await setup.db.read(phone_logins.get, login.uuid)
    assert (login.state, login.reason) == (LoginState.ENDED, EndReason.SWITCHED)


async def test_rolled_back_login_restores_the_earlier_one(setup: People) -> None:
    first = await setup.log_in(setup.anna, DESK)
    second = await setup.log_in(setup.anton, DESK)
    back = await setup.switches.roll_back(await setup.db.read(deployments.get, second.deployment or ""))
    second = await setup.db.read(phone_logins.get, second.uuid)
    assert (second.reason, second.ended_by) == (EndReason.ROLLED_BACK, back.uuid)
    again = await setup.logins.on(DESK)
    assert again is not None
    assert (again.uuid, again.state, again.deployment) == (first.uuid, LoginState.OPEN, back.uuid)
    # The home config is still recorded.
    third = await setup.log_in(setup.anton, DESK)
    assert third.home_sha256 == first.home_sha256
    await setup.logins.log_out(ACTOR, DESK, EndReason.MANUAL)
    assert await setup.served(DESK) == setup.home.cnf_xml


async def test_rollback_can_be_rolled_back(setup: People) -> None:
    first = await setup.log_in(setup.anna, DESK)
    second = await setup.log_in(setup.anton, DESK)
    back = await setup.switches.roll_back(await setup.db.read(deployments.get, second.deployment or ""))
    await setup.switches.roll_back(back)
    again = await setup.logins.on(DESK)
    assert again is not None
    assert again.uuid == second.uuid
    assert (await setup.db.read(phone_logins.get, first.uuid)).reason is EndReason.ROLLED_BACK


async def test_ending_login_keeps_ending_after_a_rollback(setup: People) -> None:
    first = await setup.log_in(setup.anna, DESK)
    await setup.db.write(phone_logins.leave, DESK, EndReason.TIMEOUT)
    second = await setup.log_in(setup.anton, DESK)
    assert (await setup.db.read(phone_logins.get, first.uuid)).reason is EndReason.TIMEOUT
    await setup.switches.roll_back(await setup.db.read(deployments.get, second.deployment or ""))
    first = await setup.db.read(phone_logins.get, first.uuid)
    assert (first.state, first.reason) == (LoginState.ENDING, EndReason.TIMEOUT)


async def test_rolled_back_logout_logs_no_user_in(setup: People) -> None:
    await setup.log_in(setup.anna, DESK)
    ended = await setup.logins.log_out(ACTOR, DESK, EndReason.TIMEOUT)
    assert ended is not None
    await setup.switches.roll_back(await setup.db.read(deployments.get, ended.ended_by or ""))
    assert await setup.logins.on(DESK) is None
    assert await setup.db.read(phone_logins.get, ended.uuid) == ended
    # Her config is served again and is still not the home config.
    later = await setup.log_in(setup.anton, DESK)
    assert later.home_sha256 == ended.home_sha256
    await setup.logins.log_out(ACTOR, DESK, EndReason.MANUAL)
    assert await setup.served(DESK) == setup.home.cnf_xml


async def test_config_pushed_after_cancelled_logout_becomes_home_config(
    setup: People,
) -> None:
    login = await setup.log_in(setup.anna, DESK)
    ended = await setup.logins.log_out(ACTOR, DESK, EndReason.MANUAL)
    assert ended is not None
    await setup.switches.roll_back(await setup.db.read(deployments.get, ended.ended_by or ""))
    switched = await setup.switches.switch(ACTOR, setup.antons.uuid, DESK)
    later = await setup.log_in(setup.anna, DESK)
    assert later.home_sha256 == switched.sha256
    await setup.switches.roll_back(await setup.db.read(deployments.get, later.deployment or ""))
    await setup.switches.roll_back(switched)
    assert await setup.served(DESK) == setup.annas.cnf_xml
    assert (await setup.log_in(setup.anton, DESK)).home_sha256 == login.home_sha256


async def test_phone_that_kept_a_users_config_has_no_home_config(setup: People) -> None:
    await setup.log_in(setup.anna, LAB)
    await setup.switches.switch(ACTOR, setup.annas.uuid, LAB)
    await setup.logins.log_out(ACTOR, LAB, EndReason.MANUAL)
    login = await setup.log_in(setup.anton, LAB)
    assert login.home_sha256 is None
    await setup.switches.roll_back(await setup.db.read(deployments.get, login.deployment or ""))
    assert await setup.served(LAB) == setup.annas.cnf_xml
    assert (await setup.log_in(setup.anton, LAB)).home_sha256 is None


async def test_file_from_outside_is_the_home_config(setup: People) -> None:
    await setup.log_in(setup.anna, DESK)
    await setup.logins.log_out(ACTOR, DESK, EndReason.MANUAL)
    foreign = b"<device><!-- by hand --></device>"
    await setup.db.write(configs.found, DESK, foreign)
    login = await setup.log_in(setup.anton, DESK)
    assert login.home_sha256 == hashlib.sha256(foreign).hexdigest()


async def test_second_login_is_refused_with_the_place_of_the_first(setup: People) -> None:
    login = await setup.log_in(setup.anna, DESK)
    with pytest.raises(LoggedInElsewhere) as refused:
        await setup.log_in(setup.anna, LOBBY, takes_over=True)
    assert (refused.value.where, refused.value.may_take_over) == ([login], False)
    assert refused.value.notice == LoginRefusal.LOGGED_IN_ELSEWHERE.notice(places=("Desk 7, Lisbon",))
    assert await setup.served(LOBBY) is None
    # On the same phone it is no second login, and other users may log in.
    await setup.log_in(setup.anna, DESK)
    await setup.log_in(setup.anton, LOBBY)


async def test_concurrent_logins_let_one_phone_in(setup: People) -> None:
    macs = [Mac(f"AABBCCDDEE{number:02}") for number in range(10, 18)]
    answers = await asyncio.gather(*(setup.log_in(setup.anna, mac) for mac in macs), return_exceptions=True)
    assert sum(isinstance(answer, PhoneLogin) for answer in answers) == 1
    assert sum(isinstance(answer, LoggedInElsewhere) for answer in answers) == 7
    assert len(await setup.logins.where(setup.anna.uuid)) == 1


async def test_settings_can_allow_several_phones(setup: People) -> None:
    setup.open(multiple=Multiple.ALLOW)
    logins = [await setup.log_in(setup.anna, mac) for mac in (DESK, LOBBY)]
    assert await setup.logins.where(setup.anna.uuid) == logins[::-1]


async def test_confirmed_take_over_ends_the_other_login(setup: People) -> None:
    setup.open(multiple=Multiple.TAKE_OVER)
    first = await setup.log_in(setup.anna, DESK)
    with pytest.raises(LoggedInElsewhere) as refused:
        await setup.log_in(setup.anna, LOBBY)
    assert (refused.value.where, refused.value.may_take_over) == ([first], True)
    second = await setup.log_in(setup.anna, LOBBY, takes_over=True)

    async def is_over() -> bool:
        return (await setup.db.read(phone_logins.get, first.uuid)).state is LoginState.ENDED

    await setup.settled(is_over)
    assert (await setup.db.read(phone_logins.get, first.uuid)).reason is EndReason.TAKE_OVER
    assert await setup.served(DESK) == setup.home.cnf_xml
    assert await setup.logins.where(setup.anna.uuid) == [second]


async def test_failed_take_over_keeps_the_first_login(setup: People) -> None:
    setup.open(multiple=Multiple.TAKE_OVER)
    first = await setup.log_in(setup.anna, DESK)
    setup.switches.refuses[setup.annas.uuid] = Conflict("Somebody else keeps changing the file")
    with pytest.raises(Conflict, match="Somebody else"):
        await setup.log_in(setup.anna, LOBBY, takes_over=True)
    assert await setup.logins.where(setup.anna.uuid) == [first]
    assert (await setup.logins.page(Listing(), history=True)).items == [first]


async def test_log_out_everywhere_ends_every_login(setup: People) -> None:
    setup.open(multiple=Multiple.ALLOW)
    for mac in (DESK, LOBBY):
        await setup.log_in(setup.anna, mac)
    stays = await setup.log_in(setup.anton, LAB)
    ended = await setup.logins.log_out_everywhere(ACTOR, setup.anna.uuid, EndReason.ADMINISTRATOR)
    assert {(login.mac, login.reason, login.state) for login in ended} == {
        (mac, EndReason.ADMINISTRATOR, LoginState.ENDED) for mac in (DESK, LOBBY)
    }
    assert await setup.logins.where(setup.anna.uuid) == []
    assert await setup.logins.on(LAB) == stays


async def test_login_during_a_call_begins_after_it(setup: People) -> None:
    setup.switches.in_call.add(DESK)
    login = await setup.log_in(setup.anna, DESK)
    assert (login.state, login.logged_in_at) == (LoginState.BEGINNING, None)
    assert await setup.logins.on(DESK) is None
    await setup.logins.forget_what_never_begins()
    with pytest.raises(LoggedInElsewhere):
        await setup.log_in(setup.anna, LOBBY)
    await setup.switches.begin(await setup.db.read(deployments.get, login.deployment or ""))
    begun = await setup.logins.on(DESK)
    assert begun is not None
    assert (begun.uuid, begun.state, begun.deployment) == (login.uuid, LoginState.OPEN, login.deployment)
    await setup.logins.log_out(ACTOR, DESK, EndReason.MANUAL)
    assert await setup.served(DESK) == setup.home.cnf_xml


@pytest.mark.parametrize("called_off_by", ["a logout", "an administrator", "a switch", "a take-over"])
async def test_login_that_waits_for_a_call_can_be_cancelled(setup: People, called_off_by: str) -> None:
    setup.open(multiple=Multiple.TAKE_OVER)
    setup.switches.in_call.add(DESK)
    login = await setup.log_in(setup.anna, DESK)
    if called_off_by == "a logout":
        called_off = await setup.logins.log_out(ACTOR, DESK, EndReason.MANUAL)
        assert called_off is not None
        assert (called_off.uuid, called_off.state, called_off.reason) == (
            login.uuid,
            LoginState.ENDED,
            EndReason.MANUAL,
        )
        assert called_off.logged_in_at is None
    elif called_off_by == "an administrator":
        (called_off,) = await setup.logins.log_out_everywhere(ACTOR, setup.anna.uuid, EndReason.ADMINISTRATOR)
        assert (called_off.uuid, called_off.reason) == (login.uuid, EndReason.ADMINISTRATOR)
    elif called_off_by == "a switch":
        setup.switches.in_call.clear()
        await setup.switches.switch(ACTOR, setup.antons.uuid, DESK)
        await setup.logins.forget_what_never_begins()
    else:
        await setup.log_in(setup.anna, LOBBY, takes_over=True)

    async def is_gone() -> bool:
        return all(each.mac != DESK for each in await setup.logins.where(setup.anna.uuid))

    await setup.settled(is_gone)
    assert (await setup.db.read(deployments.get, login.deployment or "")).ended_at is not None
    assert await setup.db.read(phone_logins.beginning_on, DESK) == []


@pytest.mark.parametrize("how", ["called off", "failed"])
async def test_login_of_an_ended_switch_is_not_logged_out(setup: People, how: str) -> None:
    setup.switches.in_call.add(DESK)
    login = await setup.log_in(setup.anna, DESK)
    deployment = await setup.db.read(deployments.get, login.deployment or "")
    if how == "called off":
        await setup.switches.cancel(ACTOR, deployment.uuid)
    else:
        await setup.db.write(progress.failed, deployment, DeploymentFailure.CUT_OFF.notice())
    assert await setup.logins.log_out(ACTOR, DESK, EndReason.MANUAL) is None
    assert await setup.db.read(phone_logins.beginning_on, DESK) == []
    assert await setup.served(DESK) == setup.home.cnf_xml


async def test_login_continues_if_the_caller_is_cancelled(setup: People) -> None:
    setup.switches.going.clear()
    caller = asyncio.create_task(setup.log_in(setup.anna, DESK))

    async def is_asked_for() -> bool:
        return bool(setup.switches.policies[1:])

    await setup.settled(is_asked_for)
    caller.cancel()
    await asyncio.gather(caller, return_exceptions=True)
    await setup.logins.forget_what_never_begins()
    setup.switches.going.set()

    async def is_there() -> bool:
        return await setup.logins.on(DESK) is not None

    await setup.settled(is_there)


async def test_next_start_forgets_or_continues_logins(setup: People) -> None:
    (head,) = await setup.db.read(profiles.heads, setup.anna.uuid)

    def work(tx: Write) -> None:
        options = {"way": LoginWay.PHONE, "takes_over": False, "is_only": True, "minutes": None}
        phone_logins.begin(tx, DESK, setup.anna.uuid, head, **options)  # type: ignore[arg-type]  # as named
        phone_logins.begin(tx, LAB, setup.anna.uuid, head, **options)  # type: ignore[arg-type]  # as named

    await setup.db.write(work)
    # The switch of one login had begun; the next start settles it.
    await setup.switches.switch(ACTOR, setup.annas.uuid, LAB)
    setup.open()
    await setup.logins.forget_what_never_begins()
    (login,) = await setup.logins.where(setup.anna.uuid)
    assert (login.mac, login.state) == (LAB, LoginState.OPEN)


async def test_logout_refused_by_the_disk_stays_due(setup: People) -> None:
    await setup.log_in(setup.anna, DESK)
    login = await setup.logins.on(DESK)
    assert login is not None
    setup.switches.refuses[login.home_sha256 or ""] = StorageFailed("The disk is full")
    with pytest.raises(StorageFailed):
        await setup.logins.log_out(ACTOR, DESK, EndReason.ADMINISTRATOR)
    login = await setup.logins.on(DESK)
    assert login is not None
    assert (login.state, login.reason) == (LoginState.ENDING, EndReason.ADMINISTRATOR)
    # A login that is ending does not block the next one.
    await setup.log_in(setup.anna, LOBBY)
    setup.switches.refuses.clear()
    ended = await setup.logins.log_out(ACTOR, DESK, EndReason.MANUAL)
    assert ended is not None
    assert (ended.state, ended.reason) == (LoginState.ENDED, EndReason.ADMINISTRATOR)


async def test_logout_of_another_users_login_does_nothing(setup: People) -> None:
    first = await setup.log_in(setup.anna, DESK)
    second = await setup.log_in(setup.anton, DESK)
    assert await setup.logins.log_out(ACTOR, DESK, EndReason.TIMEOUT, login=first) is None
    assert await setup.logins.on(DESK) == second


async def test_concurrent_logins_without_replacement_let_one_user_in(setup: People) -> None:
    people = (setup.anna, setup.anton)
    ended = await asyncio.gather(*(setup.log_in(user, DESK, replaces=False) for user in people), return_exceptions=True)
    (winner,) = [each for each in ended if isinstance(each, PhoneLogin)]
    (refused,) = [each for each in ended if isinstance(each, OccupiedByAnother)]
    assert refused.notice == LoginRefusal.OCCUPIED_BY_ANOTHER.notice(username=winner.username)
    assert [login.username for login in (await setup.logins.page(Listing(), history=True)).items] == [winner.username]
    again = await setup.logins.log_in(ACTOR, winner.user_uuid, DESK, None, replaces=False, how=LoginWay.EMAPI)
    await setup.logins.log_out(ACTOR, DESK, EndReason.MANUAL)
    last = await setup.logins.last_on(DESK)
    assert last is not None
    assert (last.uuid, await setup.logins.last_on(LOBBY)) == (again.uuid, None)


async def test_profiles_begin_with_the_default_of_the_model(setup: People) -> None:
    for name, models in (("A", ()), ("B", ("7942",)), ("C", ("8845",)), ("D", ("7942", "8845"))):
        await setup.profile(setup.anna, name, compatible_models=models)
    names = {head.name: head.uuid for head in await setup.db.read(profiles.heads, setup.anna.uuid)}

    async def offered(mac: Mac, model: str | None) -> list[str]:
        return [head.name for head in await setup.logins.profiles_for(setup.anna.uuid, mac, model)]

    assert await offered(DESK, "CP-8845") == ["A", "Anna", "B", "D"]
    await setup.db.write(
        default_profiles.put, SYSTEM, setup.anna.uuid, [("CP-7942G", names["D"]), ("8845", names["C"])]
    )
    assert await offered(DESK, "CP-8845") == ["D", "A", "Anna", "B"]
    assert (await setup.log_in(setup.anna, DESK)).profile_name == "D"
    # A phone without known facts is used as it describes itself.
    await setup.db.write(phones.create, SYSTEM, LAB, {})
    assert await offered(LAB, "CP-8845") == ["C", "A", "Anna", "D"]
    assert await offered(Mac("AABBCCDDEE99"), "CP-8845") == ["C", "A", "Anna", "D"]
    assert await offered(LAB, None) == ["A", "Anna", "B", "C", "D"]


async def test_login_with_an_unfit_profile_is_refused(setup: People) -> None:
    other = await setup.profile(setup.anna, "For another", compatible_models=("8845",))
    with pytest.raises(NoFittingProfile) as misfit:
        await setup.log_in(setup.anna, DESK, other.uuid)
    assert misfit.value.notice.code == LoginRefusal.PROFILE_DOES_NOT_FIT
    with pytest.raises(NotFound):
        await setup.log_in(setup.anna, DESK, setup.antons.uuid)
    with pytest.raises(NoFittingProfile) as none:
        await setup.log_in(await setup.user("carol"), DESK)
    assert none.value.notice.code == LoginRefusal.NO_FITTING_PROFILE
    await setup.db.write(phones.update, SYSTEM, DESK, {"is_active": False})
    with pytest.raises(PhoneDisabled):
        await setup.log_in(setup.anna, DESK)
    assert (await setup.logins.page(Listing(), history=True)).items == []


@pytest.mark.parametrize(
    ("maximum", "minutes", "expected"), [(None, None, None), (8, None, 480), (8, 60, 60), (1, 600, 60), (None, 5, 5)]
)
async def test_login_lasts_its_minutes_or_the_maximum(
    setup: People, maximum: int | None, minutes: int | None, expected: int | None
) -> None:
    setup.open(maximum=None if maximum is None else timedelta(hours=maximum))
    before = setup.now()
    login = await setup.log_in(setup.anna, DESK, minutes=minutes)
    if expected is None:
        assert login.until is None
        return
    lasts = datetime.fromisoformat(login.until or "") - before
    assert timedelta(0) <= lasts - timedelta(minutes=expected) + timedelta(seconds=1) < timedelta(seconds=10)


async def test_minutes_of_a_deferred_login_count_from_its_beginning(setup: People) -> None:
    setup.switches.in_call.add(DESK)
    login = await setup.log_in(setup.anna, DESK, minutes=30)
    assert (login.state, login.until) == (LoginState.BEGINNING, None)
    deferred = await setup.db.read(deployments.get, login.deployment or "")
    await setup.switches.begin(deferred, "2099-06-28T23:59:00.000Z")
    login = await setup.db.read(phone_logins.get, login.uuid)
    assert (login.logged_in_at, login.until) == ("2099-06-28T23:59:00.000Z", "2099-06-29T00:29:00.000Z")


@pytest.mark.parametrize("who", ["another user", "the same user"])
async def test_refused_login_keeps_the_waiting_one(setup: People, who: str) -> None:
    setup.switches.in_call.add(DESK)
    waits = await setup.log_in(setup.anna, DESK)
    user, profile = (setup.anna, setup.annas) if who == "the same user" else (setup.anton, setup.antons)
    setup.switches.refuses[profile.uuid] = Conflict("The phone is in a call")
    with pytest.raises(Conflict, match="in a call"):
        await setup.log_in(user, DESK)
    await setup.logins.forget_what_never_begins()
    assert await setup.db.read(phone_logins.beginning_on, DESK) == [waits]
    await setup.switches.begin(await setup.db.read(deployments.get, waits.deployment or ""))
    begun = await setup.logins.on(DESK)
    assert begun is not None
    assert (begun.uuid, begun.deployment) == (waits.uuid, waits.deployment)


async def test_login_that_begins_during_the_next_is_its_users(setup: People) -> None:
    setup.switches.in_call.add(DESK)
    waits = await setup.log_in(setup.anna, DESK)
    setup.switches.in_call.clear()
    setup.switches.going.clear()
    following = asyncio.create_task(setup.log_in(setup.anton, DESK))

    async def is_asked_for() -> bool:
        return len(await setup.db.read(phone_logins.beginning_on, DESK)) == 2

    await setup.settled(is_asked_for)
    await setup.logins.forget_what_never_begins()
    await setup.switches.begin(await setup.db.read(deployments.get, waits.deployment or ""))
    begun = await setup.logins.on(DESK)
    assert begun is not None
    assert begun.uuid == waits.uuid
    setup.switches.going.set()
    followed = await following
    assert await setup.logins.on(DESK) == followed
    assert (await setup.db.read(phone_logins.get, waits.uuid)).reason is EndReason.NEXT_USER


async def test_late_cancellation_takes_over_no_other_login(setup: People, monkeypatch: pytest.MonkeyPatch) -> None:
    async def refuse(*_: object) -> Deployment:
        raise Conflict("The deployment has begun already")

    setup.open(multiple=Multiple.TAKE_OVER)
    first = await setup.log_in(setup.anna, DESK)
    setup.switches.in_call.add(LOBBY)
    second = await setup.log_in(setup.anna, LOBBY, takes_over=True)
    monkeypatch.setattr(setup.switches, "cancel", refuse)
    too_late = await setup.logins.log_out(ACTOR, LOBBY, EndReason.MANUAL, login=second)
    assert too_late is not None
    assert (too_late.uuid, too_late.state, too_late.reason) == (second.uuid, LoginState.BEGINNING, EndReason.MANUAL)
    await setup.switches.begin(await setup.db.read(deployments.get, second.deployment or ""))
    assert await setup.logins.on(DESK) == first
    leaving = await setup.logins.on(LOBBY)
    assert leaving is not None
    assert (leaving.state, leaving.reason) == (LoginState.ENDING, EndReason.MANUAL)


async def test_open_logins_are_found_by_an_index(setup: People, monkeypatch: pytest.MonkeyPatch) -> None:
    plans: list[str] = []
    read = Read.rows

    def explained(tx: Read, sql: str, parameters: Any = ()) -> Any:
        plans.extend(row["detail"] for row in read(tx, f"EXPLAIN QUERY PLAN {sql}", parameters))
        return read(tx, sql, parameters)

    monkeypatch.setattr(Read, "rows", explained)
    await setup.db.read(phone_logins.all_open)
    await setup.logins.page(Listing())
    await setup.logins.page(Listing(limit=5, sort="username"))
    await setup.logins.forget_what_never_begins()
    partial = ("phone_logins_not_ended", "phone_logins_open", "phone_logins_beginning")
    about_logins = [plan for plan in plans if "phone_logins" in plan]
    assert len(about_logins) == 5
    assert [plan for plan in about_logins if not plan.endswith(partial)] == []
    assert [plan for plan in plans if "ORDER BY" in plan] == ["USE TEMP B-TREE FOR ORDER BY"]


async def test_deleted_phone_ends_its_login(setup: People) -> None:
    login = await setup.log_in(setup.anna, DESK)
    await setup.db.write(phones.delete, SYSTEM, DESK)
    login = await setup.db.read(phone_logins.get, login.uuid)
    assert (login.state, login.reason, login.phone_name) == (LoginState.ENDED, EndReason.PHONE_REMOVED, None)
    assert await setup.served(DESK) == setup.annas.cnf_xml


async def test_stop_leaves_logins_in_progress_to_the_next_start(setup: People) -> None:
    await setup.log_in(setup.anna, DESK)
    setup.switches.going.clear()
    leaving = asyncio.create_task(setup.logins.log_out(ACTOR, DESK, EndReason.MANUAL))

    async def is_leaving() -> bool:
        login = await setup.logins.on(DESK)
        return login is not None and login.returned_to is not None

    await setup.settled(is_leaving)
    await setup.logins.stop()
    with pytest.raises(asyncio.CancelledError):
        await leaving
    login = await setup.logins.on(DESK)
    assert login is not None
    assert login.state is LoginState.ENDING


@pytest.mark.parametrize("seed", range(8))
async def test_phone_serves_its_users_profile_after_any_events(setup: People, seed: int) -> None:
    chance = random.Random(seed)
    setup.open(multiple=Multiple.ALLOW)
    guest = await setup.profile(await setup.user("guest"), "Guest")
    await setup.switches.switch(SYSTEM, setup.home.uuid, LOBBY)
    home_configs = {setup.home.cnf_xml, guest.cnf_xml}
    contents = {setup.annas.uuid: setup.annas.cnf_xml, setup.antons.uuid: setup.antons.cnf_xml}
    for _ in range(60):
        mac, user = chance.choice([DESK, LOBBY]), chance.choice([setup.anna, setup.anton])
        match chance.randrange(7):
            case 0 | 1:
                await setup.log_in(user, mac)
            case 2:
                await setup.logins.log_out(ACTOR, mac, EndReason.MANUAL)
            case 3:
                await setup.logins.log_out_everywhere(ACTOR, user.uuid, EndReason.ADMINISTRATOR)
            case 4:
                await setup.switches.switch(ACTOR, guest.uuid, mac)
            case 5:
                await setup.take_back(mac)
            case 6:
                await setup.serve_again(mac)
        for phone in (DESK, LOBBY):
            login, served = await setup.logins.on(phone), await setup.served(phone)
            assert served in home_configs if login is None else served == contents[login.profile_uuid]
    for mac in (DESK, LOBBY):
        await setup.logins.log_out(ACTOR, mac, EndReason.MANUAL)
        assert await setup.served(mac) in home_configs
    history = (await setup.logins.page(Listing(), history=True)).items
    assert all(login.state is LoginState.ENDED and login.reason is not None for login in history)
