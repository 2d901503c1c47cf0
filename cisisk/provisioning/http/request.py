"""Parses requests (RFC 9112). Pure: bytes in, a request or an error out."""

import re
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import unquote_to_bytes

LONGEST_HEAD = 8192
"""Bytes of a request line and its fields. A phone sends about three hundred; common servers allow this many."""

REMEMBERED = 1024
"""Parsed heads that are remembered: phones of one model send the same heads for shared files. At most 8 MiB."""

_END = re.compile(rb"\n\r?\n")
"""Of a head. RFC 9112 2.2 lets a server take a line feed alone for the end of a line."""
_REQUEST_LINE = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]{1,32}) ([^\s\0][^\r\n\0]*) HTTP/([0-9])\.([0-9])\r?")
"""The target may hold spaces, of which RFC 9112 3.2 warns because of proxies: the names of locales do, small clients
send them as they are, and no proxy is between a phone and its server."""
_ORIGIN = re.compile(rb"https?://[^/\\?]*", re.IGNORECASE)
_FIELDS = re.compile(rb"(?:\n[^\s:][^:\r\n\0]*:[^\r\n\0]*\r?)*")
"""None is folded over two lines (RFC 9112 5.2)."""
_READ = re.compile(
    rb"\n(connection|content-length|transfer-encoding|range|if-range)[ \t]*:[ \t]*([^\r\n]*)", re.IGNORECASE
)
"""The fields that are used. ``Host`` is not: a phone may know the server by any name."""


class MalformedHttp(ValueError):
    """A request that cannot be answered with a file.

    Attributes:
        status: of the response.
    """

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


class HttpRequest(NamedTuple):
    """A request for a file.

    Attributes:
        method: as it was sent; methods are case-sensitive.
        name: of the file, decoded, as in a TFTP request. It may hold any characters.
        keep_alive: whether the client may send another request on this connection.
        is_old: whether it is HTTP/1.0. Such a client keeps a connection only if the answer says so.
        has_body: whether a body follows the head.
        byte_range: the value of the only ``Range``; None if there is none that may be used.
    """

    method: str
    name: str
    keep_alive: bool
    is_old: bool
    has_body: bool
    byte_range: str | None


def split(received: bytes) -> tuple[bytes | None, bytes]:
    """Return the first head in ``received``, or None while it is incomplete, and the bytes after it.

    Empty lines before a request are skipped (RFC 9112 2.2).

    Raises:
        MalformedHttp: the head has no end within the limit.
    """
    if received[:1] in b"\r\n":
        received = received.lstrip(b"\r\n")
    end = _END.search(received)
    if (end.start() if end else len(received)) > LONGEST_HEAD:
        raise MalformedHttp(431)
    return (received[: end.start()], received[end.end() :]) if end else (None, received)


@lru_cache(maxsize=REMEMBERED)
def parse(head: bytes) -> HttpRequest:
    """Parse a ``head``, as :func:`split` returns it.

    Raises:
        MalformedHttp: it is not a request of HTTP/1.
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
    # Responses carry no validator, so that If-Range never matches: send the whole file (RFC 9110 13.1.5).
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
