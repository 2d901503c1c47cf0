"""SIP messages to and from bytes (RFC 3261 sections 7, 18.3, 25). Pure; rejects what could smuggle a header."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias
from urllib.parse import quote

VERSION = "SIP/2.0"
MAX_BYTES = 16 * 1024
"""A phone's messages have one or two KB. Longer ones are rejected."""
MAX_HEADERS = 100
"""A REGISTER of a Cisco phone has about twenty."""

_TOKEN = re.compile(r"[A-Za-z0-9\-.!%*_+`'~]+", re.ASCII)
_STATUS_LINE = re.compile(r"SIP/2\.0 ([1-6][0-9]{2}) (.*)", re.ASCII)
_DIGITS = re.compile(r"[0-9]{1,9}", re.ASCII)
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
"""All control characters but the tab, which is white space."""
_FOLD = re.compile(r"\r\n[ \t]+")
_COMPACT = {
    "c": "Content-Type",
    "f": "From",
    "i": "Call-ID",
    "k": "Supported",
    "l": "Content-Length",
    "m": "Contact",
    "o": "Event",
    "t": "To",
    "v": "Via",
}
_USER_UNRESERVED = "-_.!~*'()&=+$,;?/"
"""The characters that need no escape in the user part of a URI (RFC 3261 25.1)."""

Headers: TypeAlias = tuple[tuple[str, str], ...]
"""Names and values, in order."""


class MalformedSip(ValueError):
    """The bytes are not a SIP message, or not one that is supported."""


class Unsendable(ValueError):
    """A value would break out of its place in the message. The error does not repeat it."""


@dataclass(frozen=True, slots=True)
class SipMessage:
    """The common part of requests and responses."""

    headers: Headers
    body: bytes = b""

    def all(self, name: str) -> list[str]:
        """Return the values of every header with this name, in order."""
        return [value for known, value in self.headers if known.lower() == name.lower()]

    def get(self, name: str) -> str | None:
        """Return the value of a header; None if it is absent. Raises MalformedSip if it is there more than once."""
        values = self.all(name)
        if len(values) > 1:
            raise MalformedSip(f"more than one {name}")
        return values[0] if values else None


@dataclass(frozen=True, slots=True, kw_only=True)
class SipRequest(SipMessage):
    """A request."""

    method: str
    uri: str

    def render(self) -> bytes:
        """Return the bytes, with a Content-Length. Raises Unsendable."""
        if not _TOKEN.fullmatch(self.method) or not self.uri or any(c <= " " or c == "\x7f" for c in self.uri):
            raise Unsendable("the request line would break")
        return _render(f"{self.method} {self.uri} {VERSION}", self)


@dataclass(frozen=True, slots=True, kw_only=True)
class SipResponse(SipMessage):
    """A response."""

    status: int
    reason: str = ""

    def render(self) -> bytes:
        """Return the bytes, with a Content-Length. Raises Unsendable."""
        if not 100 <= self.status <= 699:
            raise Unsendable("no status of SIP")
        return _render(f"{VERSION} {self.status} {self.reason}", self)


def parse(data: bytes) -> SipRequest | SipResponse:
    """Parse one whole message, as a datagram has it. Bytes beyond its Content-Length are dropped.

    Raises:
        MalformedSip: it is malformed or too large, or shorter than its Content-Length.
    """
    if len(data) > MAX_BYTES:
        raise MalformedSip("too large")
    head, found, body = data.partition(b"\r\n\r\n")
    if not found:
        raise MalformedSip("no end of the headers")
    message = parse_head(head)
    length = len(body) if message.get("Content-Length") is None else stated_length(message)
    if length > len(body):
        raise MalformedSip("the body is shorter than its Content-Length")
    return _with_body(message, body[:length])


def parse_head(head: bytes) -> SipRequest | SipResponse:
    """Parse a message without its body, from the bytes before the empty line. Raises MalformedSip."""
    try:
        text = head.decode()
    except UnicodeDecodeError:
        raise MalformedSip("not UTF-8") from None
    start, *lines = _FOLD.sub(" ", text).split("\r\n")
    if len(lines) > MAX_HEADERS:
        raise MalformedSip("too many headers")
    headers = tuple(_header(line) for line in lines)
    if _CONTROL.search(start):
        raise MalformedSip("a control character")
    if matched := _STATUS_LINE.fullmatch(start):
        return SipResponse(headers, status=int(matched[1]), reason=matched[2])
    method, _, rest = start.partition(" ")
    uri, _, version = rest.partition(" ")
    if version != VERSION or not uri or not _TOKEN.fullmatch(method):
        raise MalformedSip("neither a request nor a response")
    return SipRequest(headers, method=method, uri=uri)


def stated_length(message: SipMessage) -> int:
    """Return its Content-Length. Raises MalformedSip if it is absent, not a number, or too large."""
    value = message.get("Content-Length") or ""
    if not _DIGITS.fullmatch(value) or int(value) > MAX_BYTES:
        raise MalformedSip("no Content-Length that is taken")
    return int(value)


def branch(message: SipMessage) -> str | None:
    """Return the branch of a response's only Via; None if there are more, or it has no branch."""
    vias = [via for value in message.all("Via") for via in split(value, ",")]
    return parameter(vias[0], "branch") if len(vias) == 1 else None


def cseq_method(message: SipMessage) -> str | None:
    """Return the method in its CSeq. Raises MalformedSip if there is more than one CSeq."""
    parts = (message.get("CSeq") or "").split()
    return parts[1] if len(parts) == 2 else None


def parameter(value: str, name: str) -> str | None:
    """Return the ``;name=value`` parameter of a header's value; None if it is absent, empty for a flag."""
    for part in split(value, ";")[1:]:
        key, _, given = part.partition("=")
        if key.strip().lower() == name.lower():
            return given.strip()
    return None


def split(value: str, separator: str) -> list[str]:
    """Split a header's value at a separator outside quotes and angle brackets, and strip the parts."""
    return [part.strip() for part in _parts(value, separator)]


def user_part(user: str) -> str:
    """Return a user as it stands in a URI, escaped. Raises Unsendable if it is empty or has control characters."""
    if not user or _CONTROL.search(user) or "\t" in user:
        raise Unsendable("no user of a SIP URI")
    try:
        return quote(user, safe=_USER_UNRESERVED)
    except UnicodeEncodeError:
        raise Unsendable("no user of a SIP URI") from None


def quoted(text: str) -> str:
    """Return a quoted-string. Raises Unsendable if it has control characters."""
    if _CONTROL.search(text):
        raise Unsendable("a control character in a quoted string")
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _parts(value: str, separator: str) -> Iterator[str]:
    start, in_quotes, in_angles, escaped = 0, False, False, False
    for position, character in enumerate(value):
        if escaped:
            escaped = False
        elif in_quotes and character == "\\":
            escaped = True
        elif character == '"':
            in_quotes = not in_quotes
        elif in_quotes:
            continue
        elif character in "<>":
            in_angles = character == "<"
        elif character == separator and not in_angles:
            yield value[start:position]
            start = position + 1
    yield value[start:]


def _header(line: str) -> tuple[str, str]:
    name, colon, value = line.partition(":")
    name = name.rstrip(" \t")
    if not colon or not _TOKEN.fullmatch(name) or _CONTROL.search(value):
        raise MalformedSip("a line that is no header")
    return _COMPACT.get(name.lower(), name), value.strip(" \t")


def _with_body(message: SipRequest | SipResponse, body: bytes) -> SipRequest | SipResponse:
    if isinstance(message, SipRequest):
        return SipRequest(message.headers, body, method=message.method, uri=message.uri)
    return SipResponse(message.headers, body, status=message.status, reason=message.reason)


def _render(start: str, message: SipMessage) -> bytes:
    lines = [start, *(f"{name}: {value}" for name, value in _checked(message.headers))]
    if _CONTROL.search(start):
        raise Unsendable("the first line would break")
    try:
        head = "\r\n".join([*lines, f"Content-Length: {len(message.body)}", "", ""]).encode()
    except UnicodeEncodeError:
        raise Unsendable("text that is no Unicode") from None
    return head + message.body


def _checked(headers: Sequence[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    for name, value in headers:
        if not _TOKEN.fullmatch(name) or name.lower() in {"content-length", "l"} or _CONTROL.search(value):
            raise Unsendable(f"the header {name!a:.40} would break")
        yield name, value
