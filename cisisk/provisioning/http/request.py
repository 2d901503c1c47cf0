"""What a client's request says (RFC 9112). Pure: bytes in, a request or a refusal out."""

import re
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import unquote_to_bytes

LONGEST_HEAD = 8192
"""Bytes of a request line and its fields: a phone sends some three hundred; this is what the common servers allow."""

REMEMBERED = 1024
"""Heads whose meaning is remembered: phones of one model ask for what they share in the same words. 8 MiB at most."""

_END = re.compile(rb"\n\r?\n")
"""Of a head. RFC 9112 2.2 lets a server take a line feed alone for the end of a line."""
_REQUEST_LINE = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]{1,32}) ([^\s\0][^\r\n\0]*) HTTP/([0-9])\.([0-9])\r?")
"""The target may hold spaces, of which RFC 9112 3.2 warns because of proxies: the names of locales do, small clients
send them as they are, and nobody stands between a phone and its server."""
_ORIGIN = re.compile(rb"https?://[^/\\?]*", re.IGNORECASE)
_FIELDS = re.compile(rb"(?:\n[^\s:][^:\r\n\0]*:[^\r\n\0]*\r?)*")
"""None is folded over two lines (RFC 9112 5.2)."""
_READ = re.compile(
    rb"\n(connection|content-length|transfer-encoding|range|if-range)[ \t]*:[ \t]*([^\r\n]*)", re.IGNORECASE
)
"""The fields that mean something here. ``Host`` does not: whatever name a phone knows the server by, it is this one."""


class MalformedHttp(ValueError):
    """No request that can be answered.

    Attributes:
        status: what to say to it.
    """

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


class HttpRequest(NamedTuple):
    """A request for a file.

    Attributes:
        method: as it was written; methods are case-sensitive.
        name: of the file, decoded, as a phone would ask for it over TFTP; anything at all may stand in it.
        keep_alive: whether the client may send another request on this connection.
        is_old: HTTP/1.0, whose clients have to be told that the connection is kept.
        has_body: something follows the head that is no request.
        byte_range: the value of the only ``Range``; None when there is none that may be followed.
    """

    method: str
    name: str
    keep_alive: bool
    is_old: bool
    has_body: bool
    byte_range: str | None


def split(received: bytes) -> tuple[bytes | None, bytes]:
    """The first head in ``received``, None while it is incomplete, and what follows it.

    Empty lines before a request are passed over (RFC 9112 2.2).

    Raises:
        MalformedHttp: there is no end within what a head may take.
    """
    if received[:1] in b"\r\n":
        received = received.lstrip(b"\r\n")
    end = _END.search(received)
    if (end.start() if end else len(received)) > LONGEST_HEAD:
        raise MalformedHttp(431)
    return (received[: end.start()], received[end.end() :]) if end else (None, received)


@lru_cache(maxsize=REMEMBERED)
def parse(head: bytes) -> HttpRequest:
    """The request with this ``head``, as :func:`split` cuts it off.

    Raises:
        MalformedHttp: it is none of HTTP/1.
    """
    end = head.find(b"\n") if b"\n" in head else len(head)
    found = _REQUEST_LINE.fullmatch(head, 0, end)
    if found is None or not _FIELDS.fullmatch(head, end):
        raise MalformedHttp(400)
    method, target, major, minor = found.groups()
    if major != b"1":
        raise MalformedHttp(505)
    known: dict[bytes, list[bytes]] = {}
    for field, value in _READ.findall(head, end):
        known.setdefault(field.lower(), []).append(value.rstrip())
    options = {option.strip() for value in known.get(b"connection", ()) for option in value.lower().split(b",")}
    is_old = minor == b"0"
    has_body = b"transfer-encoding" in known or any(length != b"0" for length in known.get(b"content-length", ()))
    return HttpRequest(
        method=method.decode("ascii"),
        name=_name(target),
        keep_alive=not has_body and b"close" not in options and (not is_old or b"keep-alive" in options),
        is_old=is_old,
        has_body=has_body,
        byte_range=_range(known),
    )


def _range(known: dict[bytes, list[bytes]]) -> str | None:
    ranges = known.get(b"range", ())
    # No answer carries a validator, so that no If-Range can match one: its sender wants the whole (RFC 9110 13.1.5).
    if len(ranges) != 1 or b"if-range" in known:
        return None
    return ranges[0].decode("latin-1")


def _name(target: bytes) -> str:
    path = target.partition(b"?")[0]
    if origin := _ORIGIN.match(path):
        path = path[origin.end() :]
    if b"%" in path:
        path = unquote_to_bytes(path)
    return path.decode(errors="replace").removeprefix("/")
