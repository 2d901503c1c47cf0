"""Who may see a page: the login on the phone, its form, and the tickets of forms."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from cisisk.identity.pin_login import PinLogin
from cisisk.identity.tickets import Tickets
from cisisk.model.codes.phone_screen import ScreenProblem
from cisisk.model.errors import TooManyAttempts, Unauthenticated
from cisisk.phone_services.answers import PageAnswer, refusal
from cisisk.phone_services.families import screen_of
from cisisk.phone_services.objects import BACKSPACE, SUBMIT, Input, InputItem, SoftKey
from cisisk.phone_services.problems import NotShown, prompt
from cisisk.phone_services.request import PhoneRequest
from cisisk.store import service_sessions
from cisisk.store.database import Database
from cisisk.store.service_sessions import PhoneContext, ServiceSession

TICKET = "t"
"""The name of a ticket in a URL."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PageSession:
    """A page that is asked for by somebody who is logged in.

    Attributes:
        is_new: the login came with this request.
    """

    asked: PhoneRequest
    desk: PhoneContext
    session: ServiceSession
    is_new: bool


class PageAuth:
    """Lets users in at their phones."""

    def __init__(self, db: Database, login: PinLogin, tickets: Tickets) -> None:
        self._db = db
        self._login = login
        self._tickets = tickets

    async def recognised(self, asked: PhoneRequest) -> PhoneRequest:
        """The same, with the screen of the model that the phone is known to be where it says none itself."""
        if asked.mac is None or asked.model is not None:
            return asked
        model = (await self._db.read(service_sessions.desk, asked.mac)).model
        if model is None:
            return asked
        screen = screen_of(model)
        # What it said of its charset stands.
        charset = asked.screen.charset if asked.screen.charset != "utf-8" else screen.charset
        return replace(asked, screen=replace(screen, charset=charset))

    async def known(self, asked: PhoneRequest) -> PhoneContext:
        """What is known of the phone.

        Raises:
            NotShown: it does not say who it is, or asks from an address that is not its own.
        """
        desk = await self._db.read(service_sessions.desk, asked.phone)
        if desk.addresses and asked.address not in desk.addresses:
            raise NotShown(ScreenProblem.ELSEWHERE)
        return desk

    async def enter(self, asked: PhoneRequest, entrance: str, leave: str = "") -> PageSession | PageAnswer:
        """Let in who is logged in or logs in now; for everybody else the form that leads to the page ``entrance``.

        Args:
            leave: the page that logs out whoever the phone is at the moment; the form says then who that is.

        Raises:
            NotShown: as :meth:`known`.
        """
        desk = await self.known(asked)
        session = await self._login.session(desk, asked.address)
        if session is not None:
            return PageSession(asked=self._acting(asked, session), desk=desk, session=session, is_new=False)
        username, pin = asked.get("user"), asked.get("pin")
        occupant = self.occupant(desk) if leave else None

        def form(prompt: str) -> PageAnswer:
            keys = [SUBMIT, BACKSPACE, *([SoftKey("Logout", asked.links.to(leave))] if occupant else [])]
            return self._form(asked, entrance, prompt, username, keys)

        if not username or not pin:
            return form(f"Logged in: {occupant}" if occupant else "User and PIN, please")
        if not self.redeem(asked, "login"):
            return form(prompt(ScreenProblem.FORM_EXPIRED))
        try:
            session = await self._login.login(asked.actor, desk, username, pin)
        except Unauthenticated:
            return form(prompt(ScreenProblem.WRONG_LOGIN))
        except TooManyAttempts as error:
            return self.braked(asked, error, entrance)
        return PageSession(asked=self._acting(asked, session), desk=desk, session=session, is_new=True)

    @staticmethod
    def occupant(desk: PhoneContext) -> str | None:
        """Whose phone it is, if that login may be ended without a PIN: only where it must be the phone that asks."""
        return desk.occupant if desk.addresses else None

    async def leave(self, visit: PageSession) -> None:
        """End the session."""
        await self._login.logout(visit.asked.actor, visit.asked.phone)

    async def change_pin(self, visit: PageSession, current: str, new: str) -> None:
        """Change the PIN of who is logged in. Raises Unauthenticated, TooManyAttempts."""
        await self._login.change_pin(visit.asked.actor, visit.desk, visit.session, current, new)

    def ticket(self, asked: PhoneRequest, purpose: str) -> str:
        """A ticket for a form, good for this phone at this address and this purpose."""
        return self._tickets.issue(asked.phone.digits, asked.address, purpose)

    def redeem(self, asked: PhoneRequest, purpose: str) -> bool:
        """Whether a form, or a key that changes something, came with its ticket."""
        return self._tickets.redeem(asked.get(TICKET), asked.phone.digits, asked.address, purpose)

    def braked(self, asked: PhoneRequest, error: TooManyAttempts, page: str) -> PageAnswer:
        """Says how long to wait, and comes back to ``page`` by itself."""
        told = refusal(NotShown(ScreenProblem.BRAKED, seconds=str(error.retry_after)))
        return replace(told, refresh=(error.retry_after, asked.links.to(page)))

    def _form(
        self, asked: PhoneRequest, entrance: str, prompt: str, username: str, keys: Sequence[SoftKey]
    ) -> PageAnswer:
        items = (
            InputItem(label="User", parameter="user", flags="A", default=username),
            InputItem(label="PIN", parameter="pin", flags="NP"),
        )
        url = asked.links.to(entrance, **{TICKET: self.ticket(asked, "login")})
        return PageAnswer(page=Input(title="Login", prompt=prompt, url=url, items=items, keys=keys))

    @staticmethod
    def _acting(asked: PhoneRequest, session: ServiceSession) -> PhoneRequest:
        return replace(asked, actor=replace(asked.actor, user_uuid=session.user_uuid))
