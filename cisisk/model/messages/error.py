"""Sentences of :mod:`cisisk.model.codes.error`."""

from cisisk.model.codes.error import ErrorCode
from cisisk.model.messages.marker import N_

TEMPLATES: dict[str, str] = {
    ErrorCode.TEXT: N_("{text}"),
    ErrorCode.NOT_FOUND: N_("{text}"),
    ErrorCode.CONFLICT: N_("{text}"),
    ErrorCode.INVALID: N_("{text}"),
    ErrorCode.PHONE_IN_CALL: N_("The phone is in a call"),
    ErrorCode.PHONE_IN_CALL_LATELY: N_("The phone is in a call, or was in one less than {minutes} min ago"),
    ErrorCode.STORAGE_FAILED: N_("{text}"),
    ErrorCode.SERVED_NEVERTHELESS: N_("{reason}. The phone is served the new config nevertheless"),
    ErrorCode.INTERNAL: N_("Cisisk failed here. Its log has the details"),
}
