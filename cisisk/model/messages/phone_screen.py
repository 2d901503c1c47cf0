"""Sentences of :mod:`cisisk.model.codes.phone_screen`."""

from cisisk.model.codes.phone_screen import ScreenProblem
from cisisk.model.messages.marker import N_

TEMPLATES: dict[str, str] = {
    ScreenProblem.NO_PHONE: N_("The request does not name this phone. Tell your administrator."),
    ScreenProblem.ELSEWHERE: N_("This phone is known at another address. Restart it, then try again."),
    ScreenProblem.THROTTLED: N_("Too many attempts. Try again in {seconds} s."),
    ScreenProblem.WRONG_LOGIN: N_("Wrong user or PIN"),
    ScreenProblem.FORM_EXPIRED: N_("Please fill it in again"),
    ScreenProblem.NOTHING_FITS: N_("None of your profiles fits this phone. Ask your administrator for one."),
    ScreenProblem.GONE: N_("This does not exist any more. Go back and choose again."),
    ScreenProblem.NOT_STORED: N_("This cannot be done at the moment. Try again later."),
    ScreenProblem.NOT_SWITCHED: N_("{profile} could not be activated. This phone keeps its config."),
    ScreenProblem.NOT_RESTARTED: N_(
        "{profile} is ready, but this phone could not be restarted. Unplug it and plug it in again."
    ),
    ScreenProblem.SUPERSEDED: N_("Another profile was chosen for this phone meanwhile."),
    ScreenProblem.UNKNOWN_SWITCH: N_(
        "The result is unknown. If the phone does not restart, unplug it and plug it in again."
    ),
    ScreenProblem.NO_NUMBER: N_("{name} has no number that can be dialled."),
    ScreenProblem.FULL: N_("Your directory is full."),
    ScreenProblem.NO_PAGE: N_("There is no such page."),
    ScreenProblem.FAILED: N_("Something went wrong in Cisisk. Try again, and tell your administrator."),
    ScreenProblem.DISABLED: N_("Users cannot log in on this phone."),
    ScreenProblem.LOGGED_IN_ELSEWHERE: N_("You are logged in at {where}. Log out there first."),
    ScreenProblem.IN_CALL: N_("{profile} cannot be activated during a call, nor right after it. Try again later."),
    ScreenProblem.NOT_RETURNED: N_(
        "You are logged out, but this phone could not be restarted. Unplug it and plug it in again."
    ),
}
