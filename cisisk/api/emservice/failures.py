"""Failure responses for applications: the call manager's codes and texts."""

from dataclasses import dataclass

from cisisk.model.errors import (
    CisiskError,
    Conflict,
    Forbidden,
    Invalid,
    NotFound,
    StorageFailed,
    TooManyAttempts,
    Unauthenticated,
)
from cisisk.model.phone_login import LoggedInElsewhere, NoFittingProfile, OccupiedByAnother, PhoneDisabled


class BadMessage(Invalid):
    """The message is invalid. The text never quotes it, because it contains a password."""


class UnknownQuery(BadMessage):
    """The query is unknown."""


class UnknownDevice(NotFound):
    """The phone is not in the inventory."""


class UnknownUser(NotFound):
    """The user does not exist."""


class UserDeactivated(Conflict):
    """The user is deactivated."""


class NoUserLoggedIn(Conflict):
    """No user is logged in on the phone."""


@dataclass(frozen=True, slots=True)
class Failure:
    """A failure response.

    Attributes:
        code: the call manager's code.
        text: the call manager's text; applications compare it.
    """

    code: int
    text: str


_NO_PROFILE = Failure(12, "Dev. Profile not found")
"""Also for a profile that was deleted meanwhile; missing users and phones have other errors."""
UNKNOWN = Failure(0, "Unknown Error")
FAILURES: dict[type[CisiskError], Failure] = {
    BadMessage: Failure(1, "Error on Parsing"),
    Unauthenticated: Failure(3, "Invalid App User"),
    Conflict: Failure(4, "Policy Validation error"),
    StorageFailed: Failure(6, "Database Error"),
    UnknownQuery: Failure(8, "Query type undetermined"),
    UserDeactivated: Failure(9, "Dir. User Info Error"),
    Forbidden: Failure(10, "User lacks app proxy rights"),
    UnknownDevice: Failure(11, "Device does not exist"),
    NotFound: _NO_PROFILE,
    NoFittingProfile: _NO_PROFILE,
    OccupiedByAnother: Failure(18, "Another user logged in"),
    NoUserLoggedIn: Failure(19, "No user logged in"),
    PhoneDisabled: Failure(22, "Device logon disabled"),
    UnknownUser: Failure(23, "User not found"),
    LoggedInElsewhere: Failure(25, "User logged in elsewhere"),
    TooManyAttempts: Failure(26, "Busy, please try again"),
}
"""The failure responses by error class. docs/administration/hot-desk.md explains them to administrators.

Source: "Response Codes" in Cisco's Extension Mobility API developer guide. Every failed authentication gets 3, which
the guide's examples use ("Could not authenticate 'appid'"). Its table describes 3 as an unknown user, which must not be
revealed, and 2 ("Cannot authorize App user") as a blank user or PIN. 26 throttles password guessing.
"""


def failure_of(error: CisiskError) -> Failure:
    """Return the failure response for ``error``."""
    return next((FAILURES[kind] for kind in type(error).__mro__ if kind in FAILURES), UNKNOWN)
