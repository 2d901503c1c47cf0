"""Sentences of :mod:`cisisk.model.codes.phone_login`."""

from cisisk.model.codes.phone_login import EndNotice, LoginRefusal
from cisisk.model.messages.marker import N_

TEMPLATES: dict[str, str] = {
    LoginRefusal.PHONE_DISABLED: N_("Users cannot log in on this phone: it is not active."),
    LoginRefusal.NO_FITTING_PROFILE: N_("The user has no profile that fits this phone."),
    LoginRefusal.PROFILE_DOES_NOT_FIT: N_("The profile does not fit this phone."),
    LoginRefusal.NO_PROFILE_OF_NAME: N_("The user has no profile of that name that fits this phone."),
    LoginRefusal.OCCUPIED_BY_ANOTHER: N_("{username} is logged in on this phone."),
    LoginRefusal.LOGGED_IN_ELSEWHERE: N_("The user is already logged in at {places}."),
    EndNotice.MANUAL: N_("The user logged out."),
    EndNotice.TIMEOUT: N_("The time of the login was over."),
    EndNotice.TIME_OF_DAY: N_("All users are logged out at this time of day."),
    EndNotice.IDLE: N_("The phone was not used."),
    EndNotice.TAKE_OVER: N_("The user logged in on another phone."),
    EndNotice.NEXT_USER: N_("Another user logged in on this phone."),
    EndNotice.ADMINISTRATOR: N_("An administrator logged the user out."),
    EndNotice.APPLICATION: N_("An application logged the user out over the Extension Mobility API."),
    EndNotice.SWITCHED: N_("The phone was switched to another config."),
    EndNotice.ROLLED_BACK: N_("The switch was rolled back."),
    EndNotice.USER_REMOVED: N_("The user was deactivated or deleted."),
    EndNotice.PHONE_REMOVED: N_("The phone was removed from the inventory."),
}
