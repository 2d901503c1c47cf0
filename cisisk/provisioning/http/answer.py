"""Heads of responses.

A body is a file's content or empty. An error has no page, which a phone could take for a config
(docs/phone-protocol/file-transfer.md#absent-files).
"""

import time
from email.utils import formatdate
from functools import lru_cache

from cisisk.provisioning.http.byte_range import ByteRange

_REASONS = {
    400: b"400 Bad Request",
    404: b"404 Not Found",
    405: b"405 Method Not Allowed",
    416: b"416 Range Not Satisfiable",
    431: b"431 Request Header Fields Too Large",
    500: b"500 Internal Server Error",
    505: b"505 HTTP Version Not Supported",
}
CLOSE = b"Connection: close\r\n"
_KEEP = b"Connection: keep-alive\r\n"


def file_head(name: str, size: int, part: ByteRange | None, connection: bytes) -> bytes:
    """Return the head of a response with a file of ``size`` bytes, or with ``part`` of it."""
    kind = b"text/xml" if name[-4:].lower() == ".xml" else b"application/octet-stream"
    if part is None:
        status, length, described = b"200 OK", size, b"Accept-Ranges: bytes\r\n"
    else:
        status, length = b"206 Partial Content", part.length
        described = b"Content-Range: bytes %d-%d/%d\r\n" % (part.offset, part.offset + part.length - 1, size)
    return b"HTTP/1.1 %b\r\n%bContent-Type: %b\r\nContent-Length: %d\r\n%b%b\r\n" % (
        status,
        _origin(int(time.time())),
        kind,
        length,
        described,
        connection,
    )


def error_head(status: int, connection: bytes, size: int | None = None) -> bytes:
    """Return a response without a file. ``size``: of the file, if a part was requested that it does not have."""
    fields = b"Allow: GET, HEAD\r\n" if status == 405 else b""
    if size is not None:
        fields = b"Content-Range: bytes */%d\r\n" % size
    return b"HTTP/1.1 %b\r\n%bContent-Length: 0\r\n%b%b\r\n" % (
        _REASONS[status],
        _origin(int(time.time())),
        fields,
        connection,
    )


def connection_field(*, keep_alive: bool, is_old: bool) -> bytes:
    """Return the Connection field. Each version of HTTP has another default (RFC 9112 9.3)."""
    if not keep_alive:
        return CLOSE
    return _KEEP if is_old else b""


@lru_cache(maxsize=1)
def _origin(second: int) -> bytes:
    """Return the fields that all responses of one second share."""
    return b"Server: Cisisk\r\nDate: %b\r\n" % formatdate(second, usegmt=True).encode("ascii")
