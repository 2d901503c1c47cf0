"""People on phones: who is logged in where, how that ends, and what refuses it."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from cisisk.model.clock import Timestamp
from cisisk.model.codes.phone_login import EndNotice, LoginRefusal
from cisisk.model.errors import Conflict
from cisisk.model.mac import Mac
from cisisk.model.notice import Notice


class LoginWay(StrEnum):
    """How somebody came onto a phone."""

    PHONE = "phone"
    """On its own screen."""
    EMAPI = "emapi"
    """By an application that speaks the call manager's Extension Mobility API."""


class LoginState(StrEnum):
    """How far a login is."""

    BEGINNING = "beginning"
    """The phone is not served the profile yet: it is in a call, or Cisisk is just about to."""
    OPEN = "open"
    """The phone is the user's."""
    ENDING = "ending"
    """It is decided that it ends, but the phone is still served the profile."""
    ENDED = "ended"
    """The phone is served something else, or has nothing else that it could be served."""


class EndReason(StrEnum):
    """Why a login ended."""

    MANUAL = "manual"
    """The user logged out."""
    TIMEOUT = "timeout"
    """Its time was over."""
    TIME_OF_DAY = "time_of_day"
    """It is a time at which all are logged out."""
    IDLE = "idle"
    """Nobody used the phone."""
    TAKE_OVER = "take_over"
    """The user logged in on another phone."""
    NEXT_USER = "next_user"
    """Somebody else logged in on this phone."""
    ADMINISTRATOR = "administrator"
    """An administrator logged the user out."""
    APPLICATION = "application"
    """An application did, by the Extension Mobility API."""
    SWITCHED = "switched"
    """The phone was given another config: by an administrator, or by the same user who chose another profile."""
    ROLLED_BACK = "rolled_back"
    """The phone did not take the profile, or an administrator took it back."""
    USER_REMOVED = "user_removed"
    """The user was deactivated or deleted."""
    PHONE_REMOVED = "phone_removed"
    """The phone was taken out of the inventory; what it is served stays."""

    @property
    def notice(self) -> Notice:
        """The reason as a message shows it."""
        return EndNotice[self.name].notice()


class ReturnedTo(StrEnum):
    """What a phone is given when a user leaves it."""

    PHONE = "phone"
    """The logout profile of the phone."""
    SITE = "site"
    """That of its site."""
    BEFORE = "before"
    """The config that it was served before anybody logged in."""
    NOTHING = "nothing"
    """There is none of them: the phone keeps the user's."""


class Multiple(StrEnum):
    """What becomes of a login while the same user is logged in on another phone."""

    DENY = "deny"
    """It is refused."""
    ALLOW = "allow"
    """Both stand."""
    TAKE_OVER = "take_over"
    """Once the user has confirmed it, the other one ends."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PhoneLogin:
    """A user on a phone.

    Attributes:
        username: as it was then; the user may be gone.
        phone_name, location: of the phone now, as far as it is in the inventory.
        home_sha256: of the config that the phone was served before anybody logged in; None for no config.
        until: when it ends at the latest; None when nothing says so.
        deployment: by which the phone was served the profile.
        reason: why it ends or ended; None while it is open.
        ended_by: the deployment that served the phone something else.
    """

    uuid: str
    mac: Mac
    phone_name: str | None
    location: str | None
    user_uuid: str
    username: str
    profile_uuid: str
    profile_name: str
    way: LoginWay
    home_sha256: str | None
    requested_at: Timestamp
    logged_in_at: Timestamp | None
    until: Timestamp | None
    deployment: str | None
    reason: EndReason | None
    returned_to: ReturnedTo | None
    ended_at: Timestamp | None
    ended_by: str | None

    @property
    def state(self) -> LoginState:
        """Derived from what is known."""
        if self.ended_at is not None:
            return LoginState.ENDED
        if self.logged_in_at is None:
            return LoginState.BEGINNING
        return LoginState.OPEN if self.reason is None else LoginState.ENDING


class LoginRefused(Conflict):
    """A user cannot log in on a phone; the notice is a :class:`~cisisk.model.codes.phone_login.LoginRefusal`."""


class PhoneDisabled(LoginRefused):
    """The phone is not active in the inventory."""

    def __init__(self) -> None:
        super().__init__(LoginRefusal.PHONE_DISABLED.notice())


class NoFittingProfile(LoginRefused):
    """The user has no profile for this phone, or the chosen one is not for it."""

    def __init__(self, code: LoginRefusal = LoginRefusal.NO_FITTING_PROFILE) -> None:
        super().__init__(code.notice())


class OccupiedByAnother(LoginRefused):
    """Another user is logged in on the phone, and must not be replaced."""

    def __init__(self, username: str) -> None:
        super().__init__(LoginRefusal.OCCUPIED_BY_ANOTHER.notice(username=username))


class LoggedInElsewhere(LoginRefused):
    """The user is logged in on other phones.

    Attributes:
        where: those logins, the newest first.
        may_take_over: whether the user may confirm that they end.
    """

    def __init__(self, where: Sequence[PhoneLogin], *, may_take_over: bool) -> None:
        self.where = list(where)
        self.may_take_over = may_take_over
        super().__init__(LoginRefusal.LOGGED_IN_ELSEWHERE.notice(places=tuple(place(login) for login in where)))


def place(login: PhoneLogin) -> str:
    """Where somebody is logged in, as people know it: the phone's name and location, else its address."""
    return ", ".join(part for part in (login.phone_name, login.location) if part) or str(login.mac)
