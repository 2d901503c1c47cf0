"""What can keep a page from being shown: in words for the screen, with a code that an administrator looks up here."""

from dataclasses import dataclass

from cisisk.model.errors import CisiskError


@dataclass(frozen=True, slots=True)
class Problem:
    """One row of the table.

    Attributes:
        says: on the screen; may have places for values.
        means: to the administrator.
    """

    code: str
    says: str
    means: str


NO_PHONE = Problem(
    "C01",
    "This page does not know which phone asks.",
    "the service URL has no `mac`, `name` or `device` with the phone's MAC: end it in `?mac=#DEVICENAME#`",
)
ELSEWHERE = Problem(
    "C02",
    "This phone is known at another address. Restart it, then try again.",
    "the request came from an address that is not the phone's: not the one where it last took a file, nor its"
    " `phone_ip`. Correct `phone_ip`, or restart the phone; behind a proxy, set `server.trusted_proxies`",
)
BRAKED = Problem(
    "C03",
    "Too many attempts. Try again in {seconds} s.",
    "too many failures of this user, at this phone, or from this address, or too many logins at once; the wait doubles"
    " from 2 s to 15 min and is forgotten after an hour",
)
WRONG_LOGIN = Problem(
    "C04",
    "Wrong user or PIN",
    "no such user, a user without a PIN, deactivated, or another PIN: the audit log has a row `phone.login_failed`",
)
FORM_EXPIRED = Problem(
    "C05",
    "Please fill it in again",
    "the form was sent twice, after more than ten minutes, from another phone, or Cisisk was restarted meanwhile",
)
NOTHING_FITS = Problem(
    "C06",
    "None of your profiles fits this phone. Ask your administrator for one.",
    "the user has no profile whose models and software fit the phone: correct them, or the phone's",
)
GONE = Problem(
    "C07",
    "This is no longer there. Go back and choose again.",
    "the contact or the profile has been deleted meanwhile, or is another user's",
)
NOT_STORED = Problem(
    "C08",
    "This cannot be done at the moment. Try again later.",
    "the disk or the database refused; the log says why",
)
NOT_SWITCHED = Problem(
    "C09",
    "{profile} could not be activated. This phone keeps what it has.",
    "the switch was refused, called off, or failed: `failure` of the phone's latest deployment, or the log, says why",
)
NOT_RESTARTED = Problem(
    "C10",
    "{profile} is ready, but this phone could not be restarted. Unplug it and plug it in again.",
    "no restart method was accepted, or the phone did not come: `restart` of its latest deployment says why",
)
SUPERSEDED = Problem(
    "C11",
    "Another profile was chosen for this phone meanwhile.",
    "a newer switch of the same phone, made here or over the API, replaced this one",
)
UNKNOWN_SWITCH = Problem(
    "C12",
    "It is not known how this went. If the phone does not restart, unplug it and plug it in again.",
    "Cisisk was restarted or could not write during the switch, or the switch is more than ten minutes old: see the"
    " phone's deployments",
)
NO_NUMBER = Problem("C13", "{name} has no number that can be dialled.", "correct the contact's numbers")
FULL = Problem("C14", "Your directory is full.", "a personal directory has at most 10,000 contacts")
NO_PAGE = Problem(
    "C15",
    "There is no such page.",
    "a service URL of the phone's config leads to a page that does not exist",
)
FAILED = Problem(
    "C16",
    "Something went wrong in Cisisk. Try again, and tell your administrator.",
    "an error of Cisisk itself: its log has the details",
)
DISABLED = Problem(
    "C17",
    "Nobody can log in on this phone.",
    "the phone is not active in the inventory: `is_active`",
)
LOGGED_IN_ELSEWHERE = Problem(
    "C18",
    "You are logged in at {where}. Log out there first.",
    "the user has a login on another phone, and `phone_login.multiple` is `deny`: log the user out there, or by"
    " `POST /api/v1/phone-logins/<mac>/logout`",
)
IN_CALL = Problem(
    "C19",
    "{profile} cannot be activated during a call, nor right after it. Try again later.",
    "`switch.refuse_in_call` is on, and the phone was in a call less than `switch.quiet_minutes` ago",
)
NOT_RETURNED = Problem(
    "C20",
    "You are logged out, but this phone could not be restarted. Unplug it and plug it in again.",
    "as `C10`, for the config that the phone returns to",
)

PROBLEMS = (
    NO_PHONE,
    ELSEWHERE,
    BRAKED,
    WRONG_LOGIN,
    FORM_EXPIRED,
    NOTHING_FITS,
    GONE,
    NOT_STORED,
    NOT_SWITCHED,
    NOT_RESTARTED,
    SUPERSEDED,
    UNKNOWN_SWITCH,
    NO_NUMBER,
    FULL,
    NO_PAGE,
    FAILED,
    DISABLED,
    LOGGED_IN_ELSEWHERE,
    IN_CALL,
    NOT_RETURNED,
)


class NotShown(CisiskError):
    """Instead of the page a problem is shown."""

    def __init__(self, problem: Problem, **values: str) -> None:
        self.problem = problem
        super().__init__(f"{problem.says.format_map(values)}\n\nError {problem.code}")
