"""Logging in and out on the phone itself, and seeing what becomes of it as long as the phone can show it."""

import asyncio
import logging
import secrets
import time
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, replace
from typing import Any

from cisisk.mobility.phone_logins import PhoneLogins
from cisisk.model.codes.phone_screen import ScreenProblem
from cisisk.model.deployment import Deployment, DeploymentState, when_it_begins
from cisisk.model.errors import CisiskError, NotFound, PhoneInCall, StorageFailed
from cisisk.model.mac import Mac
from cisisk.model.phone_login import (
    EndReason,
    LoggedInElsewhere,
    LoginRefused,
    LoginState,
    LoginWay,
    NoFittingProfile,
    PhoneDisabled,
    PhoneLogin,
    place,
)
from cisisk.model.profile import ProfileHead
from cisisk.phone_services.answers import PageAnswer, refusal
from cisisk.phone_services.auth import TICKET, PageAuth, PageSession
from cisisk.phone_services.objects import SELECT, Menu, MenuItem, SoftKey, Text
from cisisk.phone_services.paging import ListPart, last_start, start_from
from cisisk.phone_services.problems import NotShown
from cisisk.phone_services.request import PhoneRequest
from cisisk.store import deployments
from cisisk.store.database import Database

log = logging.getLogger(__name__)

TITLE, LOGOUT = "Profiles", "Logout"
LOOK_SECONDS = 2
"""How often a phone asks how far its switch is: it restarts some seconds after the first."""
WAIT_SECONDS = 10
"""How often once nothing but the phone's next boot, or the end of a call, is waited for."""
KEPT_SECONDS = 600.0
"""How long a phone can ask what became of its switch; a boot with new firmware takes some minutes."""
MAX_SWITCHES = 10_000
"""Switches that phones can ask for: a site where all phones change hands within those minutes."""
_NO = SoftKey("No", "SoftKey:Exit")
_OUT, _OUT_SOON = "You are logged out.", "You are logged out. The phone restarts."


@dataclass(slots=True)
class _Switch:
    """One login or logout that was asked for on a phone.

    Attributes:
        profile: the name of what the phone gets; None at a logout.
        task: gives the login that began or ended; None when there was none to end.
    """

    mac: Mac
    profile: str | None
    task: asyncio.Task[PhoneLogin | None]
    begun_at: float

    @property
    def login(self) -> PhoneLogin | None:
        """What it has led to, once it is done. Raises NotShown."""
        error = None if self.task.cancelled() else self.task.exception()
        if self.task.cancelled() or isinstance(error, StorageFailed):
            # The phone may be served the other config all the same.
            raise NotShown(ScreenProblem.UNKNOWN_SWITCH)
        if error is not None:
            raise _refused(error, self.profile or "")
        return self.task.result()


class Switches:
    """The logins and logouts that were asked for on phones, for those who want to know how far they are.

    Args:
        clock: in seconds.
    """

    def __init__(self, logins: PhoneLogins, clock: Callable[[], float] = time.monotonic) -> None:
        self._logins = logins
        self._clock = clock
        self._begun: dict[str, _Switch] = {}

    def begin(self, visit: PageSession, profile: ProfileHead, *, takes_over: bool = False) -> str:
        """Begin a login; its name, which nobody can guess. It goes on when the phone no longer asks."""
        mac = visit.asked.phone
        logging_in = self._logins.log_in(
            visit.asked.actor,
            visit.session.user_uuid,
            mac,
            profile.uuid,
            takes_over=takes_over,
            how=LoginWay.PHONE,
        )
        return self._keep(mac, profile.name, logging_in)

    def end(self, asked: PhoneRequest, logins: Sequence[PhoneLogin]) -> str:
        """Begin the end of a user's logins on the phone, of which one may be waiting; its name likewise."""
        return self._keep(asked.phone, None, self._log_out(asked, logins))

    def find(self, name: str, mac: Mac) -> _Switch | None:
        """One of them by its name, if the same phone asks."""
        known = self._begun.get(name)
        return known if known is not None and known.mac == mac else None

    async def _log_out(self, asked: PhoneRequest, logins: Sequence[PhoneLogin]) -> PhoneLogin | None:
        ended = [
            await self._logins.log_out(asked.actor, asked.phone, EndReason.MANUAL, login=login) for login in logins
        ]
        # Of one that only waited there is nothing that becomes of the phone.
        return next((login for login in ended if login is not None and login.logged_in_at is not None), None)

    def _keep(self, mac: Mac, profile: str | None, work: Coroutine[Any, Any, PhoneLogin | None]) -> str:
        self._forget()
        what = "logout from" if profile is None else "login on"
        task = asyncio.create_task(work, name=f"{what} the screen of {mac}")
        task.add_done_callback(_tell)
        name = secrets.token_urlsafe(12)
        self._begun[name] = _Switch(mac, profile, task, self._clock())
        return name

    def _forget(self) -> None:
        now = self._clock()
        while self._begun:
            name, oldest = next(iter(self._begun.items()))
            if now - oldest.begun_at <= KEPT_SECONDS and len(self._begun) < MAX_SWITCHES:
                break
            del self._begun[name]


class ProfileSwitch:
    """The pages of logins and logouts."""

    def __init__(self, db: Database, gate: PageAuth, logins: PhoneLogins, switches: Switches) -> None:
        self._db = db
        self._gate = gate
        self._logins = logins
        self._switches = switches

    async def start(self, visit: PageSession) -> PageAnswer:
        """The profiles that fit; who has just given the PIN and has only one is not asked."""
        fitting = await self._fitting(visit)
        if not fitting:
            raise NotShown(ScreenProblem.NOTHING_FITS)
        if visit.is_new and len(fitting) == 1 and fitting[0].uuid != visit.desk.current_profile_uuid:
            return await self._chosen(visit, fitting[0])
        return self._list(visit, fitting, "")

    async def select(self, visit: PageSession) -> PageAnswer:
        """Begin the switch to the chosen profile, or ask about a login elsewhere first."""
        fitting = await self._fitting(visit)
        if not self._gate.redeem(visit.asked, "select"):
            if not fitting:
                raise NotShown(ScreenProblem.NOTHING_FITS)
            return self._list(visit, fitting, f"Please choose again ({ScreenProblem.FORM_EXPIRED})")
        return await self._chosen(visit, _by_uuid(fitting, visit.asked.get("id")))

    async def take_over(self, visit: PageSession) -> PageAnswer:
        """Begin that switch once it is confirmed that the login elsewhere ends."""
        fitting = await self._fitting(visit)
        profile = _by_uuid(fitting, visit.asked.get("id"))
        if not self._gate.redeem(visit.asked, _taking_over(profile)):
            return self._list(visit, fitting, f"Please choose again ({ScreenProblem.FORM_EXPIRED})")
        return self._begin(visit, profile, takes_over=True)

    async def where(self, visit: PageSession) -> PageAnswer:
        """On which phones the user is logged in."""
        asked = visit.asked
        lines = [
            f"{'This phone' if login.mac == asked.phone else place(login)}: {login.profile_name}"
            for login in await self._logins.where(visit.session.user_uuid)
            if login.state is LoginState.OPEN
        ]
        text = "\n".join(lines) or "You are logged in on no phone."
        keys = [SoftKey("Back", asked.links.to("profile-switch"))]
        return PageAnswer(page=Text(title="Where", prompt=visit.session.user_name, text=text, keys=keys))

    async def progress(self, asked: PhoneRequest) -> PageAnswer:
        """How far a switch is. The session has ended with it, so the name of the switch is all that is asked for."""
        name = asked.get("switch")
        switch = self._switches.find(name, asked.phone)
        if switch is None:
            raise NotShown(ScreenProblem.UNKNOWN_SWITCH)
        look_again = asked.links.to("profile-switch/progress", switch=name)
        if not switch.task.done():
            return _under_way(switch.profile, look_again)
        login = switch.login
        if switch.profile is None:
            return await self._left(login, look_again)
        if login is None or login.deployment is None:
            raise NotShown(ScreenProblem.UNKNOWN_SWITCH)
        return _told(await self._db.read(deployments.get, login.deployment), look_again)

    async def logout(self, visit: PageSession) -> PageAnswer:
        """The end of the session, and of what that user has on the phone, or waits for; another's profile stays."""
        asked = visit.asked
        await self._gate.leave(visit)
        return await self._end(asked, visit.session.user_uuid)

    async def leave(self, asked: PhoneRequest) -> PageAnswer:
        """Asks before whoever is logged in on the phone is logged out, and does it: who is at the phone needs no PIN.

        Raises:
            NotShown: it is not known that it is the phone that asks.
        """
        desk = await self._gate.known(asked)
        if desk.occupant is None:
            return _said(LOGOUT, "Nobody is logged in on this phone.")
        occupant = self._gate.occupant(desk)
        if occupant is None:
            raise NotShown(ScreenProblem.ELSEWHERE)
        purpose = f"leave {occupant}"
        if self._gate.redeem(asked, purpose):
            login = await self._logins.on(asked.phone)
            if login is None or login.username != occupant:
                return _said(LOGOUT, f"{occupant} is no longer logged in on this phone.")
            return await self._end(asked, login.user_uuid)
        yes = asked.links.to("profile-switch/leave", **{TICKET: self._gate.ticket(asked, purpose)})
        return _question(LOGOUT, f"Log {occupant} out? The phone restarts.", yes)

    async def _fitting(self, visit: PageSession) -> list[ProfileHead]:
        try:
            return await self._logins.profiles_for(visit.session.user_uuid, visit.asked.phone, visit.asked.model)
        except PhoneDisabled as error:
            raise _refused(error, "") from error

    def _list(self, visit: PageSession, fitting: list[ProfileHead], prompt: str) -> PageAnswer:
        asked, size = visit.asked, visit.asked.screen.menu_items
        start = min(start_from(asked.get("start")), last_start(len(fitting), size))
        part = ListPart(items=fitting[start : start + size], start=start, size=size, total=len(fitting))
        links, ticket = asked.links, self._gate.ticket(asked, "select")
        items = [
            MenuItem(profile.name, links.to("profile-switch/select", id=profile.uuid, **{TICKET: ticket}))
            for profile in part.items
        ]
        paging = part.keys(lambda at: links.to("profile-switch", start=at or ""))
        logout, where = (SoftKey(name, links.to(f"profile-switch/{name.lower()}")) for name in (LOGOUT, "Where"))
        prompt = prompt or part.prompt or _present(visit, fitting)
        return PageAnswer(page=Menu(title=TITLE, prompt=prompt, items=items, keys=[SELECT, logout, *paging, where]))

    async def _chosen(self, visit: PageSession, profile: ProfileHead) -> PageAnswer:
        """Begin the switch unless the user is logged in elsewhere, which is to be confirmed or refused first."""
        asked = visit.asked
        try:
            await self._logins.require_possible(visit.session.user_uuid, asked.phone, takes_over=False)
        except LoggedInElsewhere as error:
            if not error.may_take_over:
                raise _refused(error, profile.name) from error
            ticket = self._gate.ticket(asked, _taking_over(profile))
            yes = asked.links.to("profile-switch/take-over", id=profile.uuid, **{TICKET: ticket})
            text = f"You are logged in at {_places(error)}. Log out there and log in here?"
            return _question(TITLE, text, yes)
        return self._begin(visit, profile)

    def _begin(self, visit: PageSession, profile: ProfileHead, *, takes_over: bool = False) -> PageAnswer:
        """Answer at once: a phone gives up after some seconds, and a switch may take longer."""
        return self._answer(visit.asked, profile.name, self._switches.begin(visit, profile, takes_over=takes_over))

    async def _end(self, asked: PhoneRequest, user_uuid: str) -> PageAnswer:
        logins = [login for login in await self._logins.where(user_uuid) if login.mac == asked.phone]
        return self._answer(asked, None, self._switches.end(asked, logins)) if logins else _said(LOGOUT, _OUT)

    @staticmethod
    def _answer(asked: PhoneRequest, profile: str | None, name: str) -> PageAnswer:
        return _under_way(profile, asked.links.to("profile-switch/progress", switch=name))

    async def _left(self, login: PhoneLogin | None, look_again: str) -> PageAnswer:
        """A logout in plain words."""
        if login is None:
            return _said(LOGOUT, _OUT)
        if login.ended_by is None:
            return _said(LOGOUT, f"{_OUT} This phone keeps what it has.")
        match (await self._db.read(deployments.get, login.ended_by)).state:
            case DeploymentState.WAITING | DeploymentState.TIMED_OUT:
                return replace(refusal(NotShown(ScreenProblem.NOT_RETURNED)), refresh=(WAIT_SECONDS, look_again))
            case DeploymentState.RECORDED | DeploymentState.WRITTEN | DeploymentState.RESTARTING:
                return _said(LOGOUT, _OUT_SOON, (LOOK_SECONDS, look_again))
            case _:
                return _said(LOGOUT, _OUT)


def _told(deployment: Deployment, look_again: str) -> PageAnswer:
    """A deployment in plain words."""
    name = deployment.profile_name
    match deployment.state:
        case DeploymentState.FAILED | DeploymentState.ROLLED_BACK | DeploymentState.CANCELLED:
            raise NotShown(ScreenProblem.NOT_SWITCHED, profile=name)
        case DeploymentState.SUPERSEDED:
            raise NotShown(ScreenProblem.SUPERSEDED)
        case DeploymentState.DEFERRED:
            when = when_it_begins(deployment.deferred_until or "")
            return _said(TITLE, f"{name} will be activated {when}.", (WAIT_SECONDS, look_again))
        case DeploymentState.WAITING | DeploymentState.TIMED_OUT:
            return replace(
                refusal(NotShown(ScreenProblem.NOT_RESTARTED, profile=name)), refresh=(WAIT_SECONDS, look_again)
            )
        case DeploymentState.FETCHED | DeploymentState.CONFIRMED:
            return _said(TITLE, f"{name} is active: this phone has taken it.")
        case _:
            return _said(TITLE, f"{name} is ready. The phone restarts now.", (LOOK_SECONDS, look_again))


def _refused(error: BaseException, profile: str) -> NotShown:
    """What the screen says of a refusal or a failure."""
    match error:
        case PhoneDisabled():
            return NotShown(ScreenProblem.DISABLED)
        case NoFittingProfile():
            return NotShown(ScreenProblem.NOTHING_FITS)
        case LoggedInElsewhere():
            return NotShown(ScreenProblem.LOGGED_IN_ELSEWHERE, where=_places(error))
        case PhoneInCall():
            return NotShown(ScreenProblem.IN_CALL, profile=profile)
        case NotFound():
            return NotShown(ScreenProblem.GONE)
        case _:
            return NotShown(ScreenProblem.NOT_SWITCHED, profile=profile)


def _places(error: LoggedInElsewhere) -> str:
    return " and ".join(place(login) for login in error.where)


def _present(visit: PageSession, fitting: list[ProfileHead]) -> str:
    """Who is logged in on the phone if that is somebody else, else the active profile, else who asks."""
    desk, session = visit.desk, visit.session
    if desk.occupant not in (None, session.username):
        return f"Logged in: {desk.occupant}"
    active = next((each.name for each in fitting if each.uuid == desk.current_profile_uuid), None)
    return f"Active: {active}" if active else session.user_name


def _by_uuid(fitting: list[ProfileHead], uuid: str) -> ProfileHead:
    for profile in fitting:
        if profile.uuid == uuid:
            return profile
    raise NotShown(ScreenProblem.GONE)


def _taking_over(profile: ProfileHead) -> str:
    """What the ticket of a confirmation is good for."""
    return f"take over {profile.uuid}"


def _question(title: str, text: str, yes: str) -> PageAnswer:
    page = Text(title=title, prompt="Are you sure?", text=text, keys=[SoftKey("Yes", yes)], leave=_NO)
    return PageAnswer(page=page)


def _under_way(profile: str | None, look_again: str) -> PageAnswer:
    if profile is None:
        return _said(LOGOUT, _OUT_SOON, (LOOK_SECONDS, look_again))
    return _said(TITLE, f"Activating {profile}. The phone restarts.", (LOOK_SECONDS, look_again))


def _said(title: str, text: str, refresh: tuple[int, str] | None = None) -> PageAnswer:
    return PageAnswer(page=Text(title=title, text=text), refresh=refresh)


def _tell(task: asyncio.Task[PhoneLogin | None]) -> None:
    """The phone shows only that it failed; what was refused to a user needs no administrator."""
    if not task.cancelled() and (error := task.exception()) and not isinstance(error, LoginRefused):
        log.warning("the %s failed: %s", task.get_name(), error if isinstance(error, CisiskError) else repr(error))
