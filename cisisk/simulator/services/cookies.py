"""The cookie store of a phone (docs/phone-protocol/xml-services.md#answers)."""

import re
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

MAX_COOKIES = 4
"""Cookies per host."""
MAX_SESSIONS = 8
"""Sessions in total, one per host."""
MAX_BYTES = 255
"""Bytes of one cookie: name and value."""
IDLE_SECONDS = 30 * 60
"""Idle time after which a session is dropped."""
_PRINTABLE = re.compile(r"[ -~]+")
"""More than RFC 6265 section 4.1.1 allows."""


@dataclass(slots=True)
class _Session:
    used: float
    cookies: dict[str, str] = field(default_factory=dict)


class Cookies:
    """A limited number of small cookies by host; port and path are ignored."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Measure idle time with ``clock``, in seconds."""
        self._clock = clock
        self._sessions: dict[str, _Session] = {}

    def header(self, host: str) -> str:
        """Return the ``Cookie`` header of a request to ``host``, or an empty string."""
        session = self._session(host)
        return "" if session is None else "; ".join(f"{name}={value}" for name, value in session.cookies.items())

    def store(self, host: str, headers: Iterable[str]) -> int:
        """Apply the ``Set-Cookie`` headers of ``host``. Return the number of refused cookies."""
        return sum(not self._store(host, header) for header in headers)

    def _store(self, host: str, header: str) -> bool:
        pair, *attributes = header.split(";")
        name, equals, value = (part.strip() for part in pair.partition("="))
        if not name or not equals or not _PRINTABLE.fullmatch(name + value):
            return False
        session = self._session(host)
        if _is_deleted(attributes):
            if session is not None:
                session.cookies.pop(name, None)
            return True
        if len(f"{name}={value}") > MAX_BYTES:
            return False
        if session is None:
            session = self._new_session(host)
        if name not in session.cookies and len(session.cookies) >= MAX_COOKIES:
            return False
        session.cookies[name] = value
        return True

    def _session(self, host: str) -> _Session | None:
        """Return the session of ``host`` and mark it as used, or None."""
        now = self._clock()
        session = self._sessions.get(host)
        if session is None or now - session.used > IDLE_SECONDS:
            self._sessions.pop(host, None)
            return None
        session.used = now
        return session

    def _new_session(self, host: str) -> _Session:
        """Create a session; if all are in use, drop the one that has been idle longest."""
        if len(self._sessions) >= MAX_SESSIONS:
            del self._sessions[min(self._sessions, key=lambda known: self._sessions[known].used)]
        session = self._sessions[host] = _Session(self._clock())
        return session


def _is_deleted(attributes: Iterable[str]) -> bool:
    """Return whether the server deletes the cookie."""
    for attribute in attributes:
        name, _, value = (part.strip().lower() for part in attribute.partition("="))
        if name == "max-age" and value.startswith(("0", "-")):
            return True
        if name == "expires" and is_past(value):
            return True
    return False


def is_past(date: str) -> bool:
    """Return whether the ``date`` of a header has passed; False if it is unreadable."""
    when = read_date(date)
    return when is not None and when <= datetime.now(UTC)


def read_date(date: str) -> datetime | None:
    """Return the ``date`` of a header, or None if it is unreadable."""
    try:
        when = parsedate_to_datetime(date)
    except (ValueError, OverflowError):
        return None
    return when.replace(tzinfo=UTC) if when.tzinfo is None else when
