"""The codes of problems that a phone shows on its screen. The phone shows the code beside the sentence."""

from cisisk.model.notice import NoticeCode


class ScreenProblem(NoticeCode):
    """Why a page is not shown."""

    NO_PHONE = "C01"
    ELSEWHERE = "C02"
    THROTTLED = "C03", "seconds"
    WRONG_LOGIN = "C04"
    FORM_EXPIRED = "C05"
    NOTHING_FITS = "C06"
    GONE = "C07"
    NOT_STORED = "C08"
    NOT_SWITCHED = "C09", "profile"
    NOT_RESTARTED = "C10", "profile"
    SUPERSEDED = "C11"
    UNKNOWN_SWITCH = "C12"
    NO_NUMBER = "C13", "name"
    FULL = "C14"
    NO_PAGE = "C15"
    FAILED = "C16"
    DISABLED = "C17"
    LOGGED_IN_ELSEWHERE = "C18", "where"
    IN_CALL = "C19", "profile"
    NOT_RETURNED = "C20"
