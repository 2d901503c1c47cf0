"""Logins of users on phones: their states, their end, and the errors that refuse one."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from cisisk.model.clock import Timestamp
from cisisk.model.codes.phone_login import EndNotice, LoginRefusal
from cisisk.model.errors import Conflict
from cisisk.model.mac import Mac
from cisisk.model.notice import Notice


class LoginWay(StrEnum):
    """How a user logged in."""

    PHONE = "phone"
    """On the screen of the phone."""
    EMAPI = "emapi"
    """By an application, over the Extension Mobility API."""


class LoginState(StrEnum):
    """The state of a login."""

    BEGINNING = "beginning"
    """The profile is not served yet: the phone is in a call, or the switch has just begun."""
    OPEN = "open"
    """The profile is served, and the user is logged in."""
    ENDING = "ending"
    """The logout is decided, and the profile is still served."""
    ENDED = "ended"
    """The phone is served another config, or there is no other config for it."""


class EndReason(StrEnum):
    """Why a login ends or ended."""

    MANUAL = "manual"
    """The user logged out."""
    TIMEOUT = "timeout"
    """The maximum duration of the login was over."""
    TIME_OF_DAY = "time_of_day"
    """All users are logged out at this time of day."""
    IDLE = "idle"
    """The phone was not used."""
    TAKE_OVER = "take_over"
    """The user logged in on another phone."""
    NEXT_USER = "next_user"
    """Another user logged in on this phone."""
    ADMINISTRATOR = "administrator"
    """An administrator logged the user out."""
    APPLICATION = "application"
    """An application logged the user out, over the Extension Mobility API."""
    SWITCHED = "switched"
    """The phone was switched by an administrator, or the user chose another profile."""
    ROLLED_BACK = "rolled_back"
    """The switch was rolled back: the phone did not take the profile, or an administrator undid it."""
    USER_REMOVED = "user_removed"
    """The user was deactivated or deleted."""
    PHONE_REMOVED = "phone_removed"
    """The phone was removed from the inventory. Its served config stays."""

    @property
    def notice(self) -> Notice:
        """The notice of this reason."""
        return EndNotice[self.name].notice()


class ReturnedTo(StrEnum):
    """What a phone is served after a logout."""

    PHONE = "phone"
    """The logout profile of the phone."""
    SITE = "site"
    """The logout profile of its site."""
    BEFORE = "before"
    """The config that it was served before the first login."""
    NOTHING = "nothing"
    """None of these exists: the phone keeps the config of the user."""


class Multiple(StrEnum):
    """What happens to a login of a user who is logged in on another phone."""

    DENY = "deny"
    """The new login is refused."""
    ALLOW = "allow"
    """Both logins are allowed."""
    TAKE_OVER = "take_over"
    """After the user confirms it, the other login ends."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PhoneLogin:
    """A login of a user on a phone.

    Attributes:
        username: at the time of the login; the user may be deleted.
        phone_name, location: present values of the phone; None if it is not in the inventory.
        home_sha256: of the config that the phone was served before the first login; None for no config.
        until: when it ends at the latest; None if it has no limit.
        deployment: the one that served the profile.
        reason: why it ends or ended; None while it is open.
        ended_by: the deployment that served the next config.
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
        """The state, derived from the other attributes."""
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
    """Return where a user is logged in: the name and location of the phone, else its MAC address."""
    return ", ".join(part for part in (login.phone_name, login.location) if part) or str(login.mac)
