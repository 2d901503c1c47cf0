"""Authentication of phone pages: the session, the login form, and the tickets of forms."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from cisisk.identity.pin_login import PinLogin
from cisisk.identity.tickets import Tickets
from cisisk.model.errors import TooManyAttempts, Unauthenticated
from cisisk.phone_services.answers import PageAnswer, refusal
from cisisk.phone_services.families import screen_of
from cisisk.phone_services.objects import BACKSPACE, SUBMIT, Input, InputItem, SoftKey
from cisisk.phone_services.problems import NotShown, as_prompt
from cisisk.phone_services.request import PhoneRequest
from cisisk.phone_services.texts import ScreenLabel, ScreenProblem, Words
from cisisk.store import service_sessions
from cisisk.store.database import Database
from cisisk.store.service_sessions import PhoneContext, ServiceSession

TICKET = "t"
"""The URL parameter of a ticket."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PageSession:
    """A request of a logged-in user.

    Attributes:
        login: the service session of the user on this phone.
        is_new: whether this request contained the login.
    """

    request: PhoneRequest
    context: PhoneContext
    login: ServiceSession
    is_new: bool


class PageAuth:
    """Authenticates users on their phones."""

    def __init__(self, db: Database, pins: PinLogin, tickets: Tickets) -> None:
        self._db = db
        self._pins = pins
        self._tickets = tickets

    async def recognised(self, request: PhoneRequest) -> PhoneRequest:
        """Return the request, with the screen of the phone's known model if the request names no model."""
        if request.mac is None or request.model is not None:
            return request
        model = (await self._db.read(service_sessions.context, request.mac)).model
        if model is None:
            return request
        screen = screen_of(model)
        # The charset in the request takes precedence.
        charset = request.screen.charset if request.screen.charset != "utf-8" else screen.charset
        return replace(request, screen=replace(screen, charset=charset))

    async def known(self, request: PhoneRequest) -> PhoneContext:
        """Return what the store knows about the phone.

        Raises:
            NotShown: the request does not name its phone, or comes from an address that is not the phone's.
        """
        context = await self._db.read(service_sessions.context, request.phone)
        if context.addresses and request.address not in context.addresses:
            raise NotShown(ScreenProblem.ELSEWHERE)
        return context

    async def enter(self, request: PhoneRequest, entrance: str, leave: str = "") -> PageSession | PageAnswer:
        """Return the session of the user, or the login form.

        Args:
            entrance: the page to which the form leads.
            leave: the page that logs out the present user of the phone; the form then shows this user. Empty for none.

        Raises:
            NotShown: as :meth:`known`.
        """
        context = await self.known(request)
        login = await self._pins.session(context, request.address)
        if login is not None:
            return PageSession(request=self._with_user(request, login), context=context, login=login, is_new=False)
        username, pin = request.get("user"), request.get("pin")
        occupant = self.occupant(context) if leave else None

        def form(prompt: Words) -> PageAnswer:
            keys = [SUBMIT, BACKSPACE, *([SoftKey(ScreenLabel.LOGOUT, request.links.to(leave))] if occupant else [])]
            return self._form(request, entrance, prompt, username, keys)

        if not username or not pin:
            return form(ScreenLabel.LOGGED_IN.notice(username=occupant) if occupant else ScreenLabel.USER_AND_PIN)
        if not self.redeem(request, "login"):
            return form(as_prompt(ScreenProblem.FORM_EXPIRED))
        try:
            login = await self._pins.login(request.actor, context, username, pin)
        except Unauthenticated:
            return form(as_prompt(ScreenProblem.WRONG_LOGIN))
        except TooManyAttempts as error:
            return self.throttled(request, error, entrance)
        return PageSession(request=self._with_user(request, login), context=context, login=login, is_new=True)

    @staticmethod
    def occupant(context: PhoneContext) -> str | None:
        """Return the user on the phone if a logout needs no PIN, which requires a known address of the phone."""
        return context.occupant if context.addresses else None

    async def leave(self, session: PageSession) -> None:
        """End the service session."""
        await self._pins.logout(session.request.actor, session.request.phone)

    async def change_pin(self, session: PageSession, current: str, new: str) -> None:
        """Change the PIN of the logged-in user. Raises Unauthenticated, TooManyAttempts."""
        await self._pins.change_pin(session.request.actor, session.context, session.login, current, new)

    def ticket(self, request: PhoneRequest, purpose: str) -> str:
        """Return a ticket for a form. It is valid for this phone, its address and this purpose."""
        return self._tickets.issue(request.phone.digits, request.address, purpose)

    def redeem(self, request: PhoneRequest, purpose: str) -> bool:
        """Return whether the request carries a valid ticket, and invalidate the ticket."""
        return self._tickets.redeem(request.get(TICKET), request.phone.digits, request.address, purpose)

    def throttled(self, request: PhoneRequest, error: TooManyAttempts, page: str) -> PageAnswer:
        """Return the page that shows the waiting time. The phone then loads ``page``."""
        answer = refusal(NotShown(ScreenProblem.THROTTLED, seconds=str(error.retry_after)))
        return replace(answer, refresh=(error.retry_after, request.links.to(page)))

    def _form(
        self, request: PhoneRequest, entrance: str, prompt: Words, username: str, keys: Sequence[SoftKey]
    ) -> PageAnswer:
        items = (
            InputItem(label=ScreenLabel.USER, parameter="user", flags="A", default=username),
            InputItem(label=ScreenLabel.PIN, parameter="pin", flags="NP"),
        )
        url = request.links.to(entrance, **{TICKET: self.ticket(request, "login")})
        return PageAnswer(page=Input(title=ScreenLabel.LOGIN, prompt=prompt, url=url, items=items, keys=keys))

    @staticmethod
    def _with_user(request: PhoneRequest, login: ServiceSession) -> PhoneRequest:
        return replace(request, actor=replace(request.actor, user_uuid=login.user_uuid))
