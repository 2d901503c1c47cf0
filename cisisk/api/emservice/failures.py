"""What applications are told when something is refused: the call manager's codes and words."""

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
    """What was sent is none of the API's messages. Its text never quotes the message, which holds a password."""


class UnknownQuery(BadMessage):
    """A query that is none of the API's."""


class UnknownDevice(NotFound):
    """The phone is not in the inventory."""


class UnknownUser(NotFound):
    """There is no user of that name."""


class UserDeactivated(Conflict):
    """The user exists and may not log in."""


class NobodyLoggedIn(Conflict):
    """The phone is nobody's to be logged out of."""


@dataclass(frozen=True, slots=True)
class Failure:
    """One row of the table.

    Attributes:
        text: the call manager's; applications compare it.
        means: here, to the administrator.
    """

    code: int
    text: str
    means: str


_NO_PROFILE = Failure(
    12,
    "Dev. Profile not found",
    "the user has no profile of that name, or none at all, whose models and software fit the phone",
)
"""Also when it is deleted meanwhile: users and phones that are not found have errors of their own."""
UNKNOWN = Failure(0, "Unknown Error", "an error of Cisisk itself: its log has the details")
FAILURES: dict[type[CisiskError], Failure] = {
    BadMessage: Failure(
        1,
        "Error on Parsing",
        "the body is no form whose field `xml` holds one of these messages; a DTD is refused, and more than 64 KiB",
    ),
    Unauthenticated: Failure(
        3,
        "Invalid App User",
        "`appID` and `appCertificate` are not the username and the password of an active user",
    ),
    Conflict: Failure(4, "Policy Validation error", "the switch was refused: the log says why"),
    StorageFailed: Failure(6, "Database Error", "the disk or the database refused: the log says why"),
    UnknownQuery: Failure(8, "Query type undetermined", "a query that is none of those above"),
    UserDeactivated: Failure(9, "Dir. User Info Error", "the user is deactivated"),
    Forbidden: Failure(10, "User lacks app proxy rights", "the user in `appID` has not the permission level 0"),
    UnknownDevice: Failure(11, "Device does not exist", "the phone is not in the inventory"),
    NotFound: _NO_PROFILE,
    NoFittingProfile: _NO_PROFILE,
    OccupiedByAnother: Failure(
        18, "Another user logged in", "another user is logged in on the phone: log that one out first"
    ),
    NobodyLoggedIn: Failure(19, "No user logged in", "nobody is logged in on the phone"),
    PhoneDisabled: Failure(22, "Device logon disabled", "the phone is not active"),
    UnknownUser: Failure(23, "User not found", "there is no such user"),
    LoggedInElsewhere: Failure(
        25, "User logged in elsewhere", "the user is logged in on another phone, and may be on one only"
    ),
    TooManyAttempts: Failure(
        26,
        "Busy, please try again",
        "too many wrong passwords of this `appID` or from this address: the wait doubles from 2 s to 15 min",
    ),
}
"""The one table of which error is which answer.

Codes and texts are those of "Response Codes" in Cisco's Extension Mobility API developer guide. Who cannot be
authenticated gets 3 in any case: the guide's "Request Types Reference" has that code in each of its examples of a
failure ("Could not authenticate 'appid'"), though its table only says that there is no such user, which is nobody's
business here; the 2 ("Cannot authorize App user") stands there for a blank user or PIN. 26 slows down who guesses.
"""


def failure_of(error: CisiskError) -> Failure:
    """What an application is told of ``error``."""
    return next((FAILURES[kind] for kind in type(error).__mro__ if kind in FAILURES), UNKNOWN)
