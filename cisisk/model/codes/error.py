"""The codes of errors, by class. The text is the error's own."""

from enum import Enum

from cisisk.model.notice import TEXT as PLAIN_TEXT
from cisisk.model.notice import NoticeCode


class ErrorKind(NoticeCode):
    """What kind of error a text belongs to."""

    TEXT = PLAIN_TEXT, "text"
    """Of no kind in particular; also a sentence that was stored before there were codes."""
    NOT_FOUND = "not_found", "text"
    CONFLICT = "conflict", "text"
    INVALID = "invalid", "text"
    PHONE_IN_CALL = "phone_in_call"
    PHONE_IN_CALL_LATELY = "phone_in_call_lately", "minutes"
    CALLS_UNKNOWN = "calls_unknown", "reason"
    STORAGE_FAILED = "storage_failed", "text"
    SERVED_NEVERTHELESS = "served_nevertheless", "reason"
    """The database or the disk refused something after the new config was served."""
    INTERNAL = "internal_error"


class CallsUnknownCause(Enum):
    """Why nothing tells whether a phone is in a call."""

    NO_ASTERISK = "no_asterisk"
    AWAY = "away"
    """Asterisk does not answer now."""
    REFUSED = "refused"
    """Asterisk does not tell, and will not until its settings change."""
    PHONE = "phone"
    """Asterisk answers, but the phone is not found there."""
