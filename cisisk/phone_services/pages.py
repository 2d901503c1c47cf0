"""The routes of the phone pages (docs/api.md#phone-pages)."""

import logging
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import replace
from typing import TypeAlias

from aiohttp import web

from cisisk.identity.pin_login import PinLogin
from cisisk.identity.tickets import Tickets
from cisisk.mobility.phone_logins import PhoneLogins
from cisisk.model.errors import StorageFailed
from cisisk.phone_services import request as requests
from cisisk.phone_services.answers import PageAnswer, refusal, response, shown
from cisisk.phone_services.auth import PageAuth, PageSession
from cisisk.phone_services.corporate import CorporateDirectory
from cisisk.phone_services.families import ScreenProfile
from cisisk.phone_services.links import PREFIX
from cisisk.phone_services.objects import SELECT, Menu, MenuItem
from cisisk.phone_services.personal import PersonalDirectory
from cisisk.phone_services.problems import NotShown
from cisisk.phone_services.request import PhoneRequest
from cisisk.phone_services.switching import ProfileSwitch, Switches
from cisisk.phone_services.texts import ScreenLabel, ScreenProblem
from cisisk.store.database import Database

log = logging.getLogger(__name__)

_OpenPage: TypeAlias = Callable[[PhoneRequest], Awaitable[PageAnswer]]
_UsersPage: TypeAlias = Callable[[PageSession], Awaitable[PageAnswer]]


class Pages:
    """All pages, by path.

    Args:
        proxies: the addresses of proxies whose ``X-Forwarded-For`` is trusted.
        public_url: the URL of this server for phones behind one of them; may be empty.
        body_seconds: for the body of a request to arrive.
    """

    def __init__(
        self,
        db: Database,
        login: PinLogin,
        logins: PhoneLogins,
        proxies: Collection[str],
        public_url: str,
        body_seconds: float = requests.BODY_SECONDS,
    ) -> None:
        self._body_seconds = body_seconds
        self._auth = PageAuth(db, login, Tickets())
        self._proxies = proxies
        self._public_url = public_url
        personal = PersonalDirectory(db, self._auth)
        corporate = CorporateDirectory(db)
        switch = ProfileSwitch(db, self._auth, logins, Switches(logins))

        def mobile(page: _UsersPage) -> _OpenPage:
            return self._users(page, "profile-switch", "profile-switch/leave")

        self._pages: Mapping[str, _OpenPage] = {
            "dir": _directories,
            "cdir": corporate.start,
            "cdir/search": corporate.search,
            "cdir/contacts": corporate.contacts,
            "cdir/contact": corporate.contact,
            "cdir/call": corporate.call,
            "pdir": self._users(personal.start),
            "pdir/search": self._users(personal.search),
            "pdir/options": self._users(personal.options),
            "pdir/contacts": self._users(personal.contacts),
            "pdir/reorder": self._users(personal.reorder),
            "pdir/contact": self._users(personal.contact),
            "pdir/call": self._users(personal.call),
            "pdir/add": self._users(personal.add),
            "pdir/edit": self._users(personal.edit),
            "pdir/delete": self._users(personal.delete),
            "pdir/move": self._users(personal.move),
            "pdir/place": self._users(personal.place),
            "pdir/pin": self._users(personal.pin),
            "pdir/logout": self._users(personal.logout),
            "profile-switch": mobile(switch.start),
            "profile-switch/select": mobile(switch.select),
            "profile-switch/take-over": mobile(switch.take_over),
            "profile-switch/where": mobile(switch.where),
            "profile-switch/logout": mobile(switch.logout),
            "profile-switch/leave": switch.leave,
            "profile-switch/progress": self._phones(switch.progress),
        }

    def routes(self) -> list[web.RouteDef]:
        """Return the routes below the prefix. An unknown page shows a problem on the screen."""
        path = f"{PREFIX}/{{page:.*}}"
        return [web.get(path, self._handle, allow_head=False), web.post(path, self._handle)]

    async def _handle(self, request: web.Request) -> web.Response:
        screen = ScreenProfile()
        try:
            phone_request = await requests.read(request, self._proxies, self._public_url, self._body_seconds)
            screen = phone_request.screen
            phone_request = await self._auth.recognised(phone_request)
            screen = phone_request.screen
            return response(await self._answer(phone_request, request.match_info["page"].rstrip("/")), screen)
        except StorageFailed as error:
            log.error("the page %s: %s", request.rel_url.raw_path, error)  # noqa: TRY400 -- the text holds the cause
            return response(refusal(NotShown(ScreenProblem.NOT_STORED)), screen)
        except ConnectionError:
            # The phone closed the connection: there is no one to answer.
            raise
        except Exception:
            log.exception("the page %s failed", request.rel_url.raw_path)
            return response(refusal(NotShown(ScreenProblem.FAILED)), screen)

    async def _answer(self, request: PhoneRequest, page: str) -> PageAnswer:
        if request.is_misnamed:
            return refusal(NotShown(ScreenProblem.NO_PHONE))
        if page not in self._pages:
            return refusal(NotShown(ScreenProblem.NO_PAGE))
        return await shown(self._pages[page](request))

    def _phones(self, page: _OpenPage) -> _OpenPage:
        """Return a page that needs a known phone, and no login."""

        async def open_page(request: PhoneRequest) -> PageAnswer:
            await self._auth.known(request)
            return await page(request)

        return open_page

    def _users(self, page: _UsersPage, entrance: str = "pdir", leave: str = "") -> _OpenPage:
        """Return a page that needs a login; without one it shows the login form, as :meth:`PageAuth.enter` does."""

        async def open_page(request: PhoneRequest) -> PageAnswer:
            entered = await self._auth.enter(request, entrance, leave)
            if not isinstance(entered, PageSession):
                return entered
            return replace(await shown(page(entered)), language=entered.login.language)

        return open_page


async def _directories(request: PhoneRequest) -> PageAnswer:
    """Return the page of the Directories key: a menu (docs/phone-protocol/xml-services.md#directories)."""
    items = [
        MenuItem(ScreenLabel.PERSONAL, request.links.to("pdir")),
        MenuItem(ScreenLabel.CORPORATE, request.links.to("cdir")),
    ]
    return PageAnswer(page=Menu(title=ScreenLabel.DIRECTORIES, items=items, keys=[SELECT]), is_kept=True)
