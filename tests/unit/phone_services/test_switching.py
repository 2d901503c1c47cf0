"""The pages on a login or logout, in every state of its switch."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any
from unittest.mock import Mock

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request

from cisisk.identity.passwords import Passwords
from cisisk.identity.pin_login import PinLogin
from cisisk.identity.tickets import Tickets
from cisisk.mobility.phone_logins import PhoneLogins
from cisisk.model.clock import now
from cisisk.model.deployment import Deployment, DeploymentState, Plan
from cisisk.model.errors import Conflict, NotFound, PhoneInCall, StorageFailed
from cisisk.model.mac import Mac
from cisisk.model.notice import Notice, NoticeCode
from cisisk.model.phone_login import (
    EndReason,
    LoggedInElsewhere,
    LoginRefused,
    LoginWay,
    NoFittingProfile,
    PhoneDisabled,
    PhoneLogin,
)
from cisisk.model.profile import ProfileHead
from cisisk.model.restart import Attempt, RestartOutcome
from cisisk.model.start_time import IDLE
from cisisk.model.user import SYSTEM
from cisisk.phone_services import request
from cisisk.phone_services.answers import PageAnswer
from cisisk.phone_services.auth import PageAuth, PageSession
from cisisk.phone_services.objects import Text
from cisisk.phone_services.pages import Pages
from cisisk.phone_services.problems import NotShown
from cisisk.phone_services.request import PhoneRequest
from cisisk.phone_services.switching import KEPT_SECONDS, MAX_SWITCHES, ProfileSwitch, Switches
from cisisk.phone_services.texts import ScreenProblem, ScreenText, Words
from cisisk.store import deployments, phone_logins, profiles, progress, service_sessions, users
from cisisk.store.database import Database
from cisisk.store.service_sessions import PhoneContext, ServiceSession
from cisisk.store.transaction import Read
from tests.unit.mobility.login_setup import LoginSetup
from tests.unit.phone_services.limits import seen

MAC = Mac("AABBCCDDEE01")
HEAD = ProfileHead(uuid="1", name="Desk 201", compatible_models=(), software_type=None)
SESSION = ServiceSession(
    mac=MAC, user_uuid="u", user_name="Anna", username="anna", language="en", ip="", created_at="", active_at=""
)

LOGIN = PhoneLogin(
    uuid="1",
    mac=MAC,
    phone_name="Desk 5",
    location="Lisbon",
    user_uuid="u",
    username="anna",
    profile_uuid="1",
    profile_name="Desk 201",
    way=LoginWay.PHONE,
    home_sha256=None,
    requested_at="",
    logged_in_at="",
    until=None,
    deployment=None,
    reason=None,
    returned_to=None,
    ended_at=None,
    ended_by=None,
)

Record = Callable[[], Awaitable[Deployment]]


async def known_as(monkeypatch: pytest.MonkeyPatch, record: Record, state: DeploymentState, **more: Any) -> Deployment:
    """Return a stored deployment in this state."""
    known = replace(await record(), state=state, **more)

    def get(_tx: Read, _uuid: str) -> Deployment:
        return known

    monkeypatch.setattr(deployments, "get", get)
    return known


async def asking(query: str = "", page: str = "profile-switch/progress") -> PhoneRequest:
    url = f"/cisco/services/{page}?mac={MAC.digits}&{query}"
    return await request.read(make_mocked_request("GET", url, headers={"Host": "192.0.2.5"}), [], "")


class SwitchSetup:
    """A chosen switch, and the result of the switcher."""

    def __init__(self, db: Database, max_switches: int = MAX_SWITCHES) -> None:
        self.outcome: asyncio.Future[Deployment | None] = asyncio.get_running_loop().create_future()
        self.now = 0.0
        logins = Mock(spec=PhoneLogins)
        logins.log_in = lambda *_, **__: self._logged_in()
        logins.log_out = lambda *_, **__: self._logged_out()
        self.switches = Switches(logins, clock=lambda: self.now, max_switches=max_switches)
        gate = PageAuth(db, PinLogin(db, Passwords()), Tickets())
        self.pages = ProfileSwitch(db, gate, logins, self.switches)

    async def _logged_in(self) -> PhoneLogin:
        outcome = await self.outcome
        return replace(LOGIN, deployment=outcome.uuid if outcome else None)

    async def _logged_out(self) -> PhoneLogin | None:
        outcome = await self.outcome
        return replace(LOGIN, ended_by=outcome.uuid) if outcome else None

    async def begin(self) -> str:
        visit = PageSession(request=await asking(), context=PhoneContext(mac=MAC), login=SESSION, is_new=False)
        return self.switches.begin(visit, HEAD)

    async def end(self) -> str:
        return self.switches.end(await asking(), [LOGIN])

    async def look(self, name: str) -> PageAnswer:
        # Let the task of the switch end first.
        for _ in range(5):
            await asyncio.sleep(0)
        return await self.pages.progress(await asking(f"switch={name}"))

    async def said(self, name: str) -> tuple[Words, int | None]:
        """Return the text or problem on the screen, and the seconds until the phone asks again."""
        try:
            answer = await self.look(name)
        except NotShown as problem:
            return problem.notice, None
        assert isinstance(answer.page, Text)
        text = answer.page.text
        return text[0] if isinstance(text, tuple) else text, answer.refresh[0] if answer.refresh else None

    async def problem(self, name: str) -> tuple[str, int | None]:
        """Return the code of the problem on the screen, and the seconds until the phone asks again."""
        shown, again = await self.said(name)
        assert isinstance(shown, Notice)
        return shown.code, again


@pytest.fixture
async def switch_setup(db: Database) -> SwitchSetup:
    return SwitchSetup(db)


@pytest.fixture
def record(db: Database) -> Record:
    async def make() -> Deployment:
        row = {"first_name": "A", "last_name": "A", "username": "anna", "email": "a@b", "lang": "en", "timezone": "UTC"}
        user = await db.write(users.create, SYSTEM, row, "$hash")
        profile = await db.write(
            profiles.create, SYSTEM, {"user_uuid": user.uuid, "name": "Desk 201", "cnf_xml": b"<device/>"}
        )
        plan = Plan(mac=MAC, content=b"<device/>", profile_uuid=profile.uuid, profile_name=profile.name)
        return await db.write(progress.record, SYSTEM, plan, None)

    return make


async def test_login_page_shows_result_after_switch(switch_setup: SwitchSetup, db: Database, record: Record) -> None:
    name = await switch_setup.begin()
    assert await switch_setup.said(name) == (ScreenText.ACTIVATING.notice(profile="Desk 201"), 2)
    deployment = await record()
    await db.write(progress.written, SYSTEM, deployment, now())
    switch_setup.outcome.set_result(deployment)
    await db.write(progress.restart_tried, deployment, Attempt(RestartOutcome.ACCEPTED, "cgi-keys"), "restart")
    assert await switch_setup.said(name) == (ScreenText.READY.notice(profile="Desk 201"), 2)


@pytest.mark.parametrize(
    ("state", "said", "again"),
    [
        (DeploymentState.WRITTEN, ScreenText.READY, 2),
        (DeploymentState.FETCHED, ScreenText.ACTIVE, None),
        (DeploymentState.CONFIRMED, ScreenText.ACTIVE, None),
        (DeploymentState.WAITING, ScreenProblem.NOT_RESTARTED, 10),
        (DeploymentState.TIMED_OUT, ScreenProblem.NOT_RESTARTED, 10),
        (DeploymentState.SUPERSEDED, ScreenProblem.SUPERSEDED, None),
        (DeploymentState.FAILED, ScreenProblem.NOT_SWITCHED, None),
        (DeploymentState.ROLLED_BACK, ScreenProblem.NOT_SWITCHED, None),
        (DeploymentState.CANCELLED, ScreenProblem.NOT_SWITCHED, None),
    ],
)
async def test_login_page_follows_the_deployment_state(
    switch_setup: SwitchSetup,
    monkeypatch: pytest.MonkeyPatch,
    record: Record,
    state: DeploymentState,
    said: NoticeCode,
    again: int | None,
) -> None:
    name = await switch_setup.begin()
    switch_setup.outcome.set_result(await known_as(monkeypatch, record, state))
    assert await switch_setup.said(name) == (said.notice(**dict.fromkeys(said.parameters, "Desk 201")), again)


async def test_deferred_switch_names_the_call(
    switch_setup: SwitchSetup, monkeypatch: pytest.MonkeyPatch, record: Record
) -> None:
    name = await switch_setup.begin()
    switch_setup.outcome.set_result(await known_as(monkeypatch, record, DeploymentState.DEFERRED, deferred_until=IDLE))
    assert await switch_setup.said(name) == (ScreenText.AFTER_CALL.notice(profile="Desk 201"), 10)


@pytest.mark.parametrize(
    ("state", "said"),
    [
        (DeploymentState.WRITTEN, (ScreenText.LOGGED_OUT_RESTARTING, 2)),
        (DeploymentState.RESTARTING, (ScreenText.LOGGED_OUT_RESTARTING, 2)),
        (DeploymentState.CONFIRMED, (ScreenText.LOGGED_OUT, None)),
        (DeploymentState.SUPERSEDED, (ScreenText.LOGGED_OUT, None)),
    ],
)
async def test_logout_page_follows_the_deployment_state(
    switch_setup: SwitchSetup,
    monkeypatch: pytest.MonkeyPatch,
    record: Record,
    state: DeploymentState,
    said: tuple[NoticeCode, int | None],
) -> None:
    name = await switch_setup.end()
    assert await switch_setup.said(name) == (ScreenText.LOGGED_OUT_RESTARTING, 2)
    switch_setup.outcome.set_result(await known_as(monkeypatch, record, state))
    assert await switch_setup.said(name) == said


async def test_logout_without_restart_asks_to_unplug(
    switch_setup: SwitchSetup, monkeypatch: pytest.MonkeyPatch, record: Record
) -> None:
    name = await switch_setup.end()
    switch_setup.outcome.set_result(await known_as(monkeypatch, record, DeploymentState.WAITING))
    assert await switch_setup.problem(name) == (ScreenProblem.NOT_RETURNED, 10)


async def test_logout_without_other_config_says_so(switch_setup: SwitchSetup) -> None:
    name = await switch_setup.end()
    switch_setup.outcome.set_result(None)
    assert await switch_setup.said(name) == (ScreenText.LOGGED_OUT, None)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (Conflict("The profile is for SCCP"), "C09"),
        (PhoneInCall("The phone is in a call"), "C19"),
        (NotFound("Profile not found"), "C07"),
        (RuntimeError("a bug"), "C09"),
        # The config may be served nevertheless.
        (StorageFailed("the disk is full"), "C12"),
        (asyncio.CancelledError(), "C12"),
    ],
)
async def test_failed_switch_shows_code_and_is_logged(
    switch_setup: SwitchSetup, error: BaseException, code: str, caplog: pytest.LogCaptureFixture
) -> None:
    name = await switch_setup.begin()
    if isinstance(error, asyncio.CancelledError):
        switch_setup.outcome.cancel()
    else:
        switch_setup.outcome.set_exception(error)
    assert await switch_setup.problem(name) == (code, None)
    warned = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert len(warned) == (0 if isinstance(error, asyncio.CancelledError) else 1)


@pytest.mark.parametrize(
    ("refused", "code"),
    [
        (PhoneDisabled(), "C17"),
        (NoFittingProfile(), "C06"),
        (LoggedInElsewhere([LOGIN], may_take_over=False), "C18"),
    ],
)
async def test_refused_login_shows_code_without_warning(
    switch_setup: SwitchSetup, refused: LoginRefused, code: str, caplog: pytest.LogCaptureFixture
) -> None:
    name = await switch_setup.begin()
    switch_setup.outcome.set_exception(refused)
    assert (await switch_setup.problem(name))[0] == code
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


async def two_at_one_phone(db: Database) -> tuple[LoginSetup, PhoneLogin, PhoneLogin]:
    """Log in Zoe, who is in a call, and Yan, whose login waits for its end."""
    setup = LoginSetup(db)
    zoe, yan = await setup.user("zoe"), await setup.user("yan")
    await setup.profile(zoe, "Zoe")
    await setup.profile(yan, "Yan")
    await setup.phone(MAC, phone_ip="127.0.0.1")
    on_it = await setup.logins.log_in(SYSTEM, zoe.uuid, MAC, None, how=LoginWay.PHONE)
    setup.switches.in_call.add(MAC)
    return setup, on_it, await setup.logins.log_in(SYSTEM, yan.uuid, MAC, None, how=LoginWay.PHONE)


async def test_logout_of_waiting_user_keeps_other_user(db: Database) -> None:
    setup, on_it, waiting = await two_at_one_phone(db)
    gate = Mock(spec=PageAuth)
    pages = ProfileSwitch(db, gate, setup.logins, Switches(setup.logins))
    session = replace(SESSION, user_uuid=waiting.user_uuid, username="yan")
    asked = await asking(page="profile-switch/logout")
    await pages.logout(
        PageSession(request=asked, context=PhoneContext(mac=MAC, occupant="zoe"), login=session, is_new=False)
    )

    async def is_called_off() -> bool:
        return await db.read(phone_logins.beginning_on, MAC) == []

    await setup.settled(is_called_off)
    assert await setup.logins.on(MAC) == on_it
    gate.leave.assert_awaited_once()


async def test_leave_logs_out_only_the_named_user(db: Database) -> None:
    setup, on_it, _ = await two_at_one_phone(db)
    gate = Mock(spec=PageAuth)
    gate.redeem.return_value = True
    pages = ProfileSwitch(db, gate, setup.logins, Switches(setup.logins))
    asked = await asking(page="profile-switch/leave")
    gate.occupant.return_value = "yan"
    answer = await pages.leave(asked)
    assert isinstance(answer.page, Text)
    assert answer.page.text == ScreenText.NOT_HERE.notice(username="yan")
    assert await setup.logins.on(MAC) == on_it
    gate.occupant.return_value = "zoe"
    await pages.leave(asked)

    async def is_out() -> bool:
        return (await db.read(phone_logins.get, on_it.uuid)).reason is EndReason.MANUAL

    await setup.settled(is_out)


async def test_logout_ends_present_and_waiting_login(db: Database) -> None:
    setup, on_it, _ = await two_at_one_phone(db)
    await setup.profile(await db.read(users.get, on_it.user_uuid), "Another")
    await setup.logins.log_in(SYSTEM, on_it.user_uuid, MAC, None, how=LoginWay.PHONE)
    pages = ProfileSwitch(db, Mock(spec=PageAuth), setup.logins, Switches(setup.logins))
    session = replace(SESSION, user_uuid=on_it.user_uuid, username="zoe")
    asked = await asking(page="profile-switch/logout")
    await pages.logout(
        PageSession(request=asked, context=PhoneContext(mac=MAC, occupant="zoe"), login=session, is_new=False)
    )

    async def is_out() -> bool:
        return await setup.logins.where(on_it.user_uuid) == []

    await setup.settled(is_out)
    assert await setup.logins.on(MAC) is None


async def test_progress_needs_the_name_of_the_switch(switch_setup: SwitchSetup) -> None:
    name = await switch_setup.begin()
    assert switch_setup.switches.find(name, Mac("AABBCCDDEE02")) is None
    for other in ("", "x", f"{name}x"):
        assert await switch_setup.problem(other) == (ScreenProblem.UNKNOWN_SWITCH, None)
    switch_setup.outcome.cancel()


async def test_old_and_excess_switches_are_forgotten(db: Database) -> None:
    switch_setup = SwitchSetup(db, max_switches=3)
    names = [await switch_setup.begin() for _ in range(4)]
    assert [switch_setup.switches.find(name, MAC) is not None for name in names] == [False, True, True, True]
    switch_setup.now = KEPT_SECONDS + 1
    newest = await switch_setup.begin()
    assert [switch_setup.switches.find(name, MAC) for name in names] == [None] * 4
    assert switch_setup.switches.find(newest, MAC)
    switch_setup.outcome.cancel()


@pytest.mark.parametrize(("error", "code"), [(StorageFailed("full"), "C08"), (RuntimeError("a bug"), "C16")])
async def test_internal_error_is_shown_with_code(
    db: Database, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, error: Exception, code: str
) -> None:
    def fail(*_: Any) -> PhoneContext:
        raise error

    monkeypatch.setattr(service_sessions, "context", fail)
    pages = Pages(db, PinLogin(db, Passwords()), Mock(spec=PhoneLogins), [], "")
    headers = {"Host": "x", "x-CiscoIPPhoneModelName": "CP-7942G"}
    asked = make_mocked_request(
        "GET", f"/cisco/services/pdir?mac={MAC.digits}&pin=314159", headers=headers, match_info={"page": "pdir"}
    )
    answered = await pages._handle(asked)
    assert isinstance(answered, web.Response)
    assert isinstance(answered.body, bytes)
    page = seen(answered.body, answered.headers["Content-Type"], "CP-7942G")
    assert f" {code}" in page.text
    assert "the page /cisco/services/pdir" in caplog.text
    assert "314159" not in caplog.text
