"""The cookies a phone keeps (docs/phone-protocol/xml-services.md#answers)."""

import re
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

MAX_COOKIES = 4
"""Of one host."""
MAX_SESSIONS = 8
"""One for each host."""
MAX_BYTES = 255
"""Of one cookie, its name and the value."""
IDLE_SECONDS = 30 * 60
"""Then a session is forgotten."""
_PRINTABLE = re.compile(r"[ -~]+")
"""RFC 6265, 4.1.1 allows less."""


@dataclass(slots=True)
class _Session:
    used: float
    cookies: dict[str, str] = field(default_factory=dict)


class Cookies:
    """A few small cookies. They go back to the host they came from, whatever its port and their path."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """``clock`` counts seconds."""
        self._clock = clock
        self._sessions: dict[str, _Session] = {}

    def header(self, host: str) -> str:
        """The ``Cookie`` of a request to ``host``, empty without one."""
        session = self._session(host)
        return "" if session is None else "; ".join(f"{name}={value}" for name, value in session.cookies.items())

    def store(self, host: str, headers: Iterable[str]) -> int:
        """Keep what the ``Set-Cookie`` headers of ``host`` say. Returns how many cookies were not kept."""
        return sum(not self._store(host, header) for header in headers)

    def _store(self, host: str, header: str) -> bool:
        pair, *attributes = header.split(";")
        name, equals, value = (part.strip() for part in pair.partition("="))
        if not name or not equals or not _PRINTABLE.fullmatch(name + value):
            return False
        session = self._session(host)
        if _is_over(attributes):
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
        """The one of ``host``, used now."""
        now = self._clock()
        session = self._sessions.get(host)
        if session is None or now - session.used > IDLE_SECONDS:
            self._sessions.pop(host, None)
            return None
        session.used = now
        return session

    def _new_session(self, host: str) -> _Session:
        """In the place of the one that has been idle longest, if there is no other."""
        if len(self._sessions) >= MAX_SESSIONS:
            del self._sessions[min(self._sessions, key=lambda known: self._sessions[known].used)]
        session = self._sessions[host] = _Session(self._clock())
        return session


def _is_over(attributes: Iterable[str]) -> bool:
    """Whether a server takes its cookie back."""
    for attribute in attributes:
        name, _, value = (part.strip().lower() for part in attribute.partition("="))
        if name == "max-age" and value.startswith(("0", "-")):
            return True
        if name == "expires" and is_past(value):
            return True
    return False


def is_past(date: str) -> bool:
    """Whether the ``date`` of a header is over. One that cannot be read is not."""
    when = read_date(date)
    return when is not None and when <= datetime.now(UTC)


def read_date(date: str) -> datetime | None:
    """The ``date`` of a header, None if it is none."""
    try:
        when = parsedate_to_datetime(date)
    except (ValueError, OverflowError):
        return None
    return when.replace(tzinfo=UTC) if when.tzinfo is None else when
