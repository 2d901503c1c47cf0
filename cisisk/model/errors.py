"""The one tree of errors. A message is written for the person who reads it and never holds a secret."""

from collections.abc import Mapping, Sequence
from typing import ClassVar

from cisisk.model.codes.error import ErrorCode
from cisisk.model.messages import render
from cisisk.model.notice import Notice, NoticeCode


class CisiskError(Exception):
    """Base of every error that Cisisk raises on purpose.

    Args:
        message: a sentence, or the notice that it is rendered from.

    Attributes:
        notice_code: of the notice of an error that was raised with a sentence, which becomes its parameter ``text``.
        notice: what happened, as it is stored and compared.
    """

    notice_code: ClassVar[NoticeCode] = ErrorCode.TEXT

    def __init__(self, message: str | Notice) -> None:
        super().__init__(message)
        self.notice = message if isinstance(message, Notice) else self.notice_code.notice(text=message)

    def __str__(self) -> str:
        return render(self.notice)


class Invalid(CisiskError):
    """Something that was sent cannot be accepted.

    Attributes:
        fields: the name of each refused field and the reasons, in words that say what would be right.
    """

    notice_code = ErrorCode.INVALID

    def __init__(self, message: str, fields: Mapping[str, Sequence[str]] | None = None) -> None:
        super().__init__(message)
        self.fields = {name: list(reasons) for name, reasons in (fields or {}).items()}

    @classmethod
    def field(cls, name: str, *reasons: str) -> "Invalid":
        """One refused field."""
        return cls(f"{name}: {'; '.join(reasons)}", {name: reasons})


class TooLarge(CisiskError):
    """Something that was sent has more bytes than are taken."""


class NotFound(CisiskError):
    """The thing that was asked for does not exist."""

    notice_code = ErrorCode.NOT_FOUND


class Conflict(CisiskError):
    """The request is right in itself but does not fit what is already there."""

    notice_code = ErrorCode.CONFLICT


class PhoneInCall(Conflict):
    """The phone is in a call, or was just now, and must not restart because of that."""


class Stale(CisiskError):
    """The caller changes a version of a resource that is no longer the current one."""


class Unauthenticated(CisiskError):
    """Nobody, or nobody that Cisisk knows."""


class Forbidden(CisiskError):
    """Somebody Cisisk knows, who may not do this."""


class TooManyAttempts(CisiskError):
    """Too many wrong passwords or PINs.

    Attributes:
        retry_after: whole seconds until another attempt is looked at.
    """

    def __init__(self, retry_after: int) -> None:
        super().__init__(f"Too many attempts. Try again in {retry_after} s.")
        self.retry_after = retry_after


class TooBusy(CisiskError):
    """As much is being done at the same time as can be.

    Attributes:
        retry_after: whole seconds until it is worth another attempt.
    """

    def __init__(self, message: str, *, retry_after: int) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class StorageFailed(CisiskError):
    """The disk or the database refused a write; what was there before is untouched."""

    notice_code = ErrorCode.STORAGE_FAILED


class ConfigurationError(CisiskError):
    """A setting is missing, misspelt or impossible. The message names the key."""


class StartRefused(CisiskError):
    """The appliance cannot start here and now; the message says why and what to do."""
