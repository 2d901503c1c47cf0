"""The codes of logins on phones: why one is refused, and why one ends."""

from cisisk.model.notice import NoticeCode


class LoginRefusal(NoticeCode):
    """Why a user cannot log in on a phone."""

    PHONE_DISABLED = "phone_disabled"
    """The phone is not active in the inventory."""
    NO_FITTING_PROFILE = "no_fitting_profile"
    """The user has no profile for this phone."""
    PROFILE_DOES_NOT_FIT = "profile_does_not_fit"
    """The chosen profile is not for this phone."""
    NO_PROFILE_OF_NAME = "no_profile_of_name"
    """No profile of the user that fits this phone has the wanted name."""
    OCCUPIED_BY_ANOTHER = "occupied_by_another", "username"
    """Another user is logged in on the phone, and must not be replaced."""
    LOGGED_IN_ELSEWHERE = "logged_in_elsewhere", "places"
    """The user is logged in on other phones."""


class EndNotice(NoticeCode):
    """Why a login ends or ended; one code for each :class:`~cisisk.model.phone_login.EndReason`."""

    MANUAL = "login_ended_by_user"
    TIMEOUT = "login_ended_by_timeout"
    TIME_OF_DAY = "login_ended_by_time_of_day"
    IDLE = "login_ended_idle"
    TAKE_OVER = "login_ended_by_login_elsewhere"
    NEXT_USER = "login_ended_by_next_user"
    ADMINISTRATOR = "login_ended_by_administrator"
    APPLICATION = "login_ended_by_application"
    SWITCHED = "login_ended_by_switch"
    ROLLED_BACK = "login_ended_by_rollback"
    USER_REMOVED = "login_ended_user_removed"
    PHONE_REMOVED = "login_ended_phone_removed"
