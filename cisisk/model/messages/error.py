"""Sentences of :mod:`cisisk.model.codes.error`."""

from cisisk.model.codes.error import ErrorKind
from cisisk.model.messages.marker import N_

TEMPLATES: dict[str, str] = {
    ErrorKind.TEXT: N_("{text}"),
    ErrorKind.NOT_FOUND: N_("{text}"),
    ErrorKind.CONFLICT: N_("{text}"),
    ErrorKind.INVALID: N_("{text}"),
    ErrorKind.PHONE_IN_CALL: N_("The phone is in a call"),
    ErrorKind.PHONE_IN_CALL_LATELY: N_("The phone is in a call, or was in one less than {minutes} min ago"),
    ErrorKind.CALLS_UNKNOWN: N_("Cisisk cannot tell whether the phone is in a call: {reason}"),
    ErrorKind.STORAGE_FAILED: N_("{text}"),
    ErrorKind.SERVED_NEVERTHELESS: N_("{reason}. The phone is served the new config nevertheless"),
    ErrorKind.INTERNAL: N_("Cisisk failed here. Its log has the details"),
}
