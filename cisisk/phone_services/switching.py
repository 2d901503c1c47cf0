"""The pages of logins and logouts on the phone, and of their progress."""

import asyncio
import logging
import secrets
import time
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, replace
from typing import Any

from cisisk.mobility.phone_logins import PhoneLogins
from cisisk.model.deployment import Deployment, DeploymentState
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
from cisisk.phone_services.answers import PageAnswer, refusal, shown
from cisisk.phone_services.auth import TICKET, PageAuth, PageSession
from cisisk.phone_services.objects import NO, SELECT, Menu, MenuItem, SoftKey, Text
from cisisk.phone_services.paging import ListPart, last_start, start_from
from cisisk.phone_services.problems import NotShown, prompt_with_code
from cisisk.phone_services.request import PhoneRequest
from cisisk.phone_services.texts import ScreenLabel, ScreenProblem, ScreenText, Words
from cisisk.store import deployments
from cisisk.store.database import Database

log = logging.getLogger(__name__)

LOOK_SECONDS = 2
"""The interval at which a phone asks for the progress. It restarts some seconds after the first request."""
WAIT_SECONDS = 10
"""The interval while the switch waits for the next boot of the phone, or for the end of a call."""
KEPT_SECONDS = 600.0
"""How long a phone can ask for the result of its switch. A boot with new firmware takes some minutes."""
MAX_SWITCHES = 10_000
"""Remembered switches: a site where all phones change users within :data:`KEPT_SECONDS`."""


@dataclass(slots=True)
class _Switch:
    """A login or logout that a user requested on a phone.

    Attributes:
        profile: the name of the new profile; None for a logout.
        task: returns the login that began or ended; None if there was none to end.
        language: of the user; None if the user is not known.
    """

    mac: Mac
    profile: str | None
    task: asyncio.Task[PhoneLogin | None]
    begun_at: float
    language: str | None

    @property
    def login(self) -> PhoneLogin | None:
        """The result of the finished task. Raises NotShown."""
        error = None if self.task.cancelled() else self.task.exception()
        if self.task.cancelled() or isinstance(error, StorageFailed):
            # The new config may be served nevertheless.
            raise NotShown(ScreenProblem.UNKNOWN_SWITCH)
        if error is not None:
            raise _refused(error, self.profile or "")
        return self.task.result()


class Switches:
    """Remembers the logins and logouts that users requested on phones, so that phones can ask for their progress.

    Args:
        clock: in seconds.
    """

    def __init__(
        self, logins: PhoneLogins, clock: Callable[[], float] = time.monotonic, max_switches: int = MAX_SWITCHES
    ) -> None:
        self._logins = logins
        self._max_switches = max_switches
        self._clock = clock
        self._begun: dict[str, _Switch] = {}

    def begin(self, session: PageSession, profile: ProfileHead, *, takes_over: bool = False) -> str:
        """Begin a login and return its name, which cannot be guessed. It continues if the phone no longer asks."""
        mac = session.request.phone
        logging_in = self._logins.log_in(
            session.request.actor,
            session.login.user_uuid,
            mac,
            profile.uuid,
            takes_over=takes_over,
            how=LoginWay.PHONE,
        )
        return self._keep(mac, profile.name, logging_in, session.login.language)

    def end(self, request: PhoneRequest, logins: Sequence[PhoneLogin], language: str | None = None) -> str:
        """Begin the logout of a user from the phone, and return its name. One of ``logins`` may be waiting."""
        return self._keep(request.phone, None, self._log_out(request, logins), language)

    def find(self, name: str, mac: Mac) -> _Switch | None:
        """Return a switch by its name, if the same phone asks; else None."""
        known = self._begun.get(name)
        return known if known is not None and known.mac == mac else None

    async def _log_out(self, request: PhoneRequest, logins: Sequence[PhoneLogin]) -> PhoneLogin | None:
        ended = [
            await self._logins.log_out(request.actor, request.phone, EndReason.MANUAL, login=login) for login in logins
        ]
        # A login that only waited changes nothing on the phone.
        return next((login for login in ended if login is not None and login.logged_in_at is not None), None)

    def _keep(
        self, mac: Mac, profile: str | None, work: Coroutine[Any, Any, PhoneLogin | None], language: str | None
    ) -> str:
        self._forget()
        what = "logout from" if profile is None else "login on"
        task = asyncio.create_task(work, name=f"{what} the screen of {mac}")
        task.add_done_callback(_log_failure)
        name = secrets.token_urlsafe(12)
        self._begun[name] = _Switch(mac, profile, task, self._clock(), language)
        return name

    def _forget(self) -> None:
        now = self._clock()
        while self._begun:
            name, oldest = next(iter(self._begun.items()))
            if now - oldest.begun_at <= KEPT_SECONDS and len(self._begun) < self._max_switches:
                break
            del self._begun[name]


class ProfileSwitch:
    """The pages of logins and logouts."""

    def __init__(self, db: Database, auth: PageAuth, logins: PhoneLogins, switches: Switches) -> None:
        self._db = db
        self._auth = auth
        self._logins = logins
        self._switches = switches

    async def start(self, session: PageSession) -> PageAnswer:
        """Return the menu of fitting profiles. With a new login and one profile, switch at once."""
        fitting = await self._fitting(session)
        if not fitting:
            raise NotShown(ScreenProblem.NOTHING_FITS)
        if session.is_new and len(fitting) == 1 and fitting[0].uuid != session.context.current_profile_uuid:
            return await self._chosen(session, fitting[0])
        return self._list(session, fitting, "")

    async def select(self, session: PageSession) -> PageAnswer:
        """Begin the switch to the chosen profile, or first ask about a login on another phone."""
        fitting = await self._fitting(session)
        if not self._auth.redeem(session.request, "select"):
            if not fitting:
                raise NotShown(ScreenProblem.NOTHING_FITS)
            return self._list(session, fitting, _choose_again())
        return await self._chosen(session, _by_uuid(fitting, session.request.get("id")))

    async def take_over(self, session: PageSession) -> PageAnswer:
        """Begin the switch after the user confirmed that the login on the other phone ends."""
        fitting = await self._fitting(session)
        profile = _by_uuid(fitting, session.request.get("id"))
        if not self._auth.redeem(session.request, _taking_over(profile)):
            return self._list(session, fitting, _choose_again())
        return self._begin(session, profile, takes_over=True)

    async def where(self, session: PageSession) -> PageAnswer:
        """Return the phones on which the user is logged in."""
        request = session.request
        lines = tuple(
            _where(login, request.phone)
            for login in await self._logins.where(session.login.user_uuid)
            if login.state is LoginState.OPEN
        )
        text = lines or ScreenText.NOWHERE
        keys = [SoftKey(ScreenLabel.BACK, request.links.to("profile-switch"))]
        return PageAnswer(page=Text(title=ScreenLabel.WHERE, prompt=session.login.user_name, text=text, keys=keys))

    async def progress(self, request: PhoneRequest) -> PageAnswer:
        """Return the progress of a switch. It needs its name and no session: the switch ended the session."""
        name = request.get("switch")
        switch = self._switches.find(name, request.phone)
        if switch is None:
            raise NotShown(ScreenProblem.UNKNOWN_SWITCH)
        look_again = request.links.to("profile-switch/progress", switch=name)
        return replace(await shown(self._progress(switch, look_again)), language=switch.language)

    async def _progress(self, switch: _Switch, look_again: str) -> PageAnswer:
        if not switch.task.done():
            return _under_way(switch.profile, look_again)
        login = switch.login
        if switch.profile is None:
            return await self._logout_progress(login, look_again)
        if login is None or login.deployment is None:
            raise NotShown(ScreenProblem.UNKNOWN_SWITCH)
        return _login_progress(await self._db.read(deployments.get, login.deployment), look_again)

    async def logout(self, session: PageSession) -> PageAnswer:
        """End the session and the user's logins on this phone. The login of another user stays."""
        request = session.request
        await self._auth.leave(session)
        return await self._end(request, session.login.user_uuid, session.login.language)

    async def leave(self, request: PhoneRequest) -> PageAnswer:
        """Ask for a confirmation, or log out the present user of the phone. This needs no PIN.

        Raises:
            NotShown: the address of the phone is unknown, so the request may come from another device.
        """
        context = await self._auth.known(request)
        if context.occupant is None:
            return _text(ScreenLabel.LOGOUT, ScreenText.NO_USER_HERE)
        occupant = self._auth.occupant(context)
        if occupant is None:
            raise NotShown(ScreenProblem.ELSEWHERE)
        purpose = f"leave {occupant}"
        if self._auth.redeem(request, purpose):
            login = await self._logins.on(request.phone)
            if login is None or login.username != occupant:
                return _text(ScreenLabel.LOGOUT, ScreenText.NOT_HERE.notice(username=occupant))
            return await self._end(request, login.user_uuid)
        yes = request.links.to("profile-switch/leave", **{TICKET: self._auth.ticket(request, purpose)})
        return _question(ScreenLabel.LOGOUT, ScreenText.LOG_OUT.notice(username=occupant), yes)

    async def _fitting(self, session: PageSession) -> list[ProfileHead]:
        try:
            return await self._logins.profiles_for(
                session.login.user_uuid, session.request.phone, session.request.model
            )
        except PhoneDisabled as error:
            raise _refused(error, "") from error

    def _list(self, session: PageSession, fitting: list[ProfileHead], prompt: Words) -> PageAnswer:
        request, size = session.request, session.request.screen.menu_items
        start = min(start_from(request.get("start")), last_start(len(fitting), size))
        part = ListPart(items=fitting[start : start + size], start=start, size=size, total=len(fitting))
        links, ticket = request.links, self._auth.ticket(request, "select")
        items = [
            MenuItem(profile.name, links.to("profile-switch/select", id=profile.uuid, **{TICKET: ticket}))
            for profile in part.items
        ]
        paging = part.keys(lambda at: links.to("profile-switch", start=at or ""))
        logout = SoftKey(ScreenLabel.LOGOUT, links.to("profile-switch/logout"))
        where = SoftKey(ScreenLabel.WHERE, links.to("profile-switch/where"))
        prompt = prompt or part.prompt or _present(session, fitting)
        return PageAnswer(
            page=Menu(title=ScreenLabel.PROFILES, prompt=prompt, items=items, keys=[SELECT, logout, *paging, where])
        )

    async def _chosen(self, session: PageSession, profile: ProfileHead) -> PageAnswer:
        """Begin the switch, or ask or refuse because the user is logged in on another phone."""
        request = session.request
        try:
            await self._logins.require_possible(session.login.user_uuid, request.phone, takes_over=False)
        except LoggedInElsewhere as error:
            if not error.may_take_over:
                raise _refused(error, profile.name) from error
            ticket = self._auth.ticket(request, _taking_over(profile))
            yes = request.links.to("profile-switch/take-over", id=profile.uuid, **{TICKET: ticket})
            return _question(ScreenLabel.PROFILES, ScreenText.TAKE_OVER.notice(where=_places(error)), yes)
        return self._begin(session, profile)

    def _begin(self, session: PageSession, profile: ProfileHead, *, takes_over: bool = False) -> PageAnswer:
        """Begin a switch and answer at once. A phone waits only some seconds, and a switch may take longer."""
        return self._answer(
            session.request, profile.name, self._switches.begin(session, profile, takes_over=takes_over)
        )

    async def _end(self, request: PhoneRequest, user_uuid: str, language: str | None = None) -> PageAnswer:
        logins = [login for login in await self._logins.where(user_uuid) if login.mac == request.phone]
        if not logins:
            return _text(ScreenLabel.LOGOUT, ScreenText.LOGGED_OUT)
        return self._answer(request, None, self._switches.end(request, logins, language))

    @staticmethod
    def _answer(request: PhoneRequest, profile: str | None, name: str) -> PageAnswer:
        return _under_way(profile, request.links.to("profile-switch/progress", switch=name))

    async def _logout_progress(self, login: PhoneLogin | None, look_again: str) -> PageAnswer:
        """Return the page on the progress of a logout."""
        if login is None:
            return _text(ScreenLabel.LOGOUT, ScreenText.LOGGED_OUT)
        if login.ended_by is None:
            return _text(ScreenLabel.LOGOUT, ScreenText.KEEPS_CONFIG)
        match (await self._db.read(deployments.get, login.ended_by)).state:
            case DeploymentState.WAITING | DeploymentState.TIMED_OUT:
                return replace(refusal(NotShown(ScreenProblem.NOT_RETURNED)), refresh=(WAIT_SECONDS, look_again))
            case DeploymentState.RECORDED | DeploymentState.WRITTEN | DeploymentState.RESTARTING:
                return _text(ScreenLabel.LOGOUT, ScreenText.LOGGED_OUT_RESTARTING, (LOOK_SECONDS, look_again))
            case _:
                return _text(ScreenLabel.LOGOUT, ScreenText.LOGGED_OUT)


def _login_progress(deployment: Deployment, look_again: str) -> PageAnswer:
    """Return the page on the progress of a deployment."""
    name = deployment.profile_name
    match deployment.state:
        case DeploymentState.FAILED | DeploymentState.ROLLED_BACK | DeploymentState.CANCELLED:
            raise NotShown(ScreenProblem.NOT_SWITCHED, profile=name)
        case DeploymentState.SUPERSEDED:
            raise NotShown(ScreenProblem.SUPERSEDED)
        case DeploymentState.DEFERRED:
            until = deployment.deferred_until
            if until is None or until.at is None:
                text = ScreenText.AFTER_CALL.notice(profile=name)
            else:
                text = ScreenText.AT_TIME.notice(profile=name, time=until.at)
            return _text(ScreenLabel.PROFILES, text, (WAIT_SECONDS, look_again))
        case DeploymentState.WAITING | DeploymentState.TIMED_OUT:
            return replace(
                refusal(NotShown(ScreenProblem.NOT_RESTARTED, profile=name)), refresh=(WAIT_SECONDS, look_again)
            )
        case DeploymentState.FETCHED | DeploymentState.CONFIRMED:
            return _text(ScreenLabel.PROFILES, ScreenText.ACTIVE.notice(profile=name))
        case _:
            return _text(ScreenLabel.PROFILES, ScreenText.READY.notice(profile=name), (LOOK_SECONDS, look_again))


def _refused(error: BaseException, profile: str) -> NotShown:
    """Return the problem that the screen shows for an error."""
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
    return "; ".join(place(login) for login in error.where)


def _where(login: PhoneLogin, phone: Mac) -> Words:
    at = ScreenText.THIS_PHONE.notice() if login.mac == phone else place(login)
    return ScreenText.FIELD.notice(field=at, value=login.profile_name)


def _choose_again() -> Words:
    return prompt_with_code(ScreenLabel.CHOOSE_AGAIN.notice(), ScreenProblem.FORM_EXPIRED)


def _present(session: PageSession, fitting: list[ProfileHead]) -> Words:
    """Return the prompt: another user on the phone, else the active profile, else the user's own name."""
    context, login = session.context, session.login
    if context.occupant is not None and context.occupant != login.username:
        return ScreenLabel.LOGGED_IN.notice(username=context.occupant)
    active = next((each.name for each in fitting if each.uuid == context.current_profile_uuid), None)
    return ScreenLabel.ACTIVE.notice(profile=active) if active else login.user_name


def _by_uuid(fitting: list[ProfileHead], uuid: str) -> ProfileHead:
    for profile in fitting:
        if profile.uuid == uuid:
            return profile
    raise NotShown(ScreenProblem.GONE)


def _taking_over(profile: ProfileHead) -> str:
    """Return the purpose of the ticket of a confirmation."""
    return f"take over {profile.uuid}"


def _question(title: Words, text: Words, yes: str) -> PageAnswer:
    page = Text(title=title, prompt=ScreenLabel.ARE_YOU_SURE, text=text, keys=[SoftKey(ScreenLabel.YES, yes)], leave=NO)
    return PageAnswer(page=page)


def _under_way(profile: str | None, look_again: str) -> PageAnswer:
    if profile is None:
        return _text(ScreenLabel.LOGOUT, ScreenText.LOGGED_OUT_RESTARTING, (LOOK_SECONDS, look_again))
    return _text(ScreenLabel.PROFILES, ScreenText.ACTIVATING.notice(profile=profile), (LOOK_SECONDS, look_again))


def _text(title: Words, text: Words, refresh: tuple[int, str] | None = None) -> PageAnswer:
    return PageAnswer(page=Text(title=title, text=text), refresh=refresh)


def _log_failure(task: asyncio.Task[PhoneLogin | None]) -> None:
    """Log a failure: the phone shows only a code. A refused login is no failure."""
    if not task.cancelled() and (error := task.exception()) and not isinstance(error, LoginRefused):
        log.warning(
            "%s failed: error=%s", task.get_name(), error.notice if isinstance(error, CisiskError) else repr(error)
        )
