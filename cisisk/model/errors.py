"""The errors of Cisisk. Their messages are for people, and never hold a secret."""

from collections.abc import Mapping, Sequence
from typing import ClassVar

from cisisk.model.codes.error import CallsUnknownCause, ErrorKind
from cisisk.model.messages import render
from cisisk.model.notice import Notice, NoticeCode


class CisiskError(Exception):
    """Base of every error that Cisisk raises deliberately.

    Args:
        message: a sentence, or the notice that it is rendered from.

    Attributes:
        notice_code: of the notice of an error that was raised with a sentence, which becomes its parameter ``text``.
        notice: what happened, as it is stored and compared.
    """

    notice_code: ClassVar[NoticeCode] = ErrorKind.TEXT

    def __init__(self, message: str | Notice) -> None:
        super().__init__(message)
        self.notice = message if isinstance(message, Notice) else self.notice_code.notice(text=message)

    def __str__(self) -> str:
        return render(self.notice)


class Invalid(CisiskError):
    """A request holds invalid data.

    Attributes:
        fields: the reasons for each rejected field. A reason says what would be right.
    """

    notice_code = ErrorKind.INVALID

    def __init__(self, message: str, fields: Mapping[str, Sequence[str]] | None = None) -> None:
        super().__init__(message)
        self.fields = {name: list(reasons) for name, reasons in (fields or {}).items()}

    @classmethod
    def field(cls, name: str, *reasons: str) -> "Invalid":
        """Return the error for one rejected field."""
        return cls(f"{name}: {'; '.join(reasons)}", {name: reasons})


class TooLarge(CisiskError):
    """A request has more bytes than are accepted."""


class NotFound(CisiskError):
    """The requested object does not exist."""

    notice_code = ErrorKind.NOT_FOUND


class Conflict(CisiskError):
    """The request is valid, but conflicts with the current state."""

    notice_code = ErrorKind.CONFLICT


class PhoneInCall(Conflict):
    """The phone must not restart: it is in a call, or was until a moment ago."""


class CallsUnknown(Conflict):
    """Nothing tells whether the phone is in a call.

    Attributes:
        cause: why not.
    """

    def __init__(self, cause: CallsUnknownCause, reason: Notice) -> None:
        super().__init__(ErrorKind.CALLS_UNKNOWN.notice(reason=reason))
        self.cause = cause


class Stale(CisiskError):
    """The caller changes an outdated version of a resource."""


class Unauthenticated(CisiskError):
    """The client is not authenticated."""


class Forbidden(CisiskError):
    """The client is authenticated, but lacks the permission."""


class TooManyAttempts(CisiskError):
    """Too many wrong passwords or PINs.

    Attributes:
        retry_after: whole seconds until the next attempt is checked.
    """

    def __init__(self, retry_after: int) -> None:
        super().__init__(f"Too many attempts. Try again in {retry_after} s.")
        self.retry_after = retry_after


class TooBusy(CisiskError):
    """The maximum number of concurrent operations is reached.

    Attributes:
        retry_after: whole seconds until another attempt makes sense.
    """

    def __init__(self, message: str, *, retry_after: int) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class StorageFailed(CisiskError):
    """The disk or the database refused a write. The previous data is unchanged."""

    notice_code = ErrorKind.STORAGE_FAILED


class ConfigurationError(CisiskError):
    """A setting is missing, misspelt or invalid. The message names the key."""


class StartRefused(CisiskError):
    """The appliance cannot start. The message says why, and what to do."""
