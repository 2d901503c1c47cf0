"""TFTP packets: parsing and building. Bytes from the network are parsed here only."""

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from types import MappingProxyType
from typing import NamedTuple, TypeAlias

MAX_REQUEST = 512
"""Bytes of the longest request (RFC 2347 allows 512 octets)."""
DEFAULT_BLKSIZE = 512
"""RFC 1350 section 2."""
MIN_BLKSIZE, MAX_BLKSIZE = 8, 65464
"""RFC 2348."""
BLOCK_NUMBERS = 65536
"""After 65,535 comes 0. RFC 1350 does not define it; firmware images need it."""

_HEADER = struct.Struct("!HH")
HEADER_LENGTH = _HEADER.size
"""Bytes before the payload of a DATA packet."""
_RRQ, _WRQ, _DATA, _ACK, _ERROR, _OACK = range(1, 7)
_REQUESTS = (_HEADER.pack(_RRQ, 0)[:2], _HEADER.pack(_WRQ, 0)[:2])
_ERROR_CODE = _HEADER.pack(_ERROR, 0)[:2]
ACK_WORD = _ACK << 16
"""An acknowledgement as one big-endian number, without its block number."""
NO_WORD = 0
"""A number that no acknowledgement has."""


class ErrorCode(IntEnum):
    """RFC 1350 appendix, RFC 2347."""

    UNDEFINED = 0
    NOT_FOUND = 1
    ACCESS_VIOLATION = 2
    DISK_FULL = 3
    ILLEGAL_OPERATION = 4
    UNKNOWN_TID = 5
    FILE_EXISTS = 6
    NO_SUCH_USER = 7
    OPTION_REFUSED = 8


class MalformedTftp(ValueError):
    """A datagram that is not a TFTP packet."""


NO_OPTIONS: Mapping[str, str] = MappingProxyType({})


class TftpRequest(NamedTuple):
    """A read or write request. Option names are in lower case; bytes that are not UTF-8 become U+FFFD."""

    name: str
    mode: str
    options: Mapping[str, str] = NO_OPTIONS
    is_write: bool = False


@dataclass(frozen=True, slots=True)
class Data:
    """One block of the file."""

    block: int
    payload: bytes


@dataclass(frozen=True, slots=True)
class Ack:
    """The receiver has all blocks up to ``block``."""

    block: int


@dataclass(frozen=True, slots=True)
class Error:
    """Ends the transfer."""

    code: int
    message: str


@dataclass(frozen=True, slots=True)
class Oack:
    """The options a server accepted (RFC 2347)."""

    options: Mapping[str, str]


Packet: TypeAlias = TftpRequest | Data | Ack | Error | Oack


def parse(datagram: bytes) -> Packet:
    """Parse ``datagram``.

    Raises:
        MalformedTftp: it is not a TFTP packet; the message says why.
    """
    if len(datagram) < 4:
        raise MalformedTftp("shorter than any packet")
    opcode, number = _HEADER.unpack_from(datagram)
    if opcode in (_RRQ, _WRQ):
        return _request(datagram, is_write=opcode == _WRQ)
    if opcode == _DATA:
        return Data(number, datagram[4:])
    if opcode == _ACK:
        return Ack(number)
    if opcode == _ERROR:
        return Error(number, _text(datagram[4:].partition(b"\0")[0]))
    if opcode == _OACK:
        return Oack(_options(_fields(datagram)))
    raise MalformedTftp(f"opcode {opcode}")


def is_request(datagram: bytes) -> bool:
    """Whether ``datagram`` begins like a request, at a port that also receives other packets."""
    return datagram[:2] in _REQUESTS


def acknowledged(datagram: bytes) -> int | None:
    """Return the block number of an acknowledgement; None for any other packet, which is not examined."""
    if len(datagram) < HEADER_LENGTH:
        return None
    opcode, number = _HEADER.unpack_from(datagram)
    return number if opcode == _ACK else None


def is_error(datagram: bytes) -> bool:
    """Whether ``datagram`` is an ERROR packet. Nothing else is examined."""
    return len(datagram) >= HEADER_LENGTH and datagram[:2] == _ERROR_CODE


def _request(datagram: bytes, *, is_write: bool) -> TftpRequest:
    if len(datagram) > MAX_REQUEST:
        raise MalformedTftp("request longer than 512 bytes")
    fields = _fields(datagram)
    if len(fields) < 2 or not fields[0]:
        raise MalformedTftp("request without name and mode")
    options = _options(fields[2:]) if len(fields) > 2 else NO_OPTIONS
    return TftpRequest(fields[0], fields[1].lower(), options, is_write)


def _fields(datagram: bytes) -> list[str]:
    if datagram[-1]:
        raise MalformedTftp("last field is not ended by a zero byte")
    return [_text(value) for value in datagram[2:-1].split(b"\0")]


def _options(fields: list[str]) -> dict[str, str]:
    if len(fields) % 2:
        raise MalformedTftp("option without a value")
    return {name.lower(): value for name, value in zip(fields[::2], fields[1::2], strict=True)}


def _text(value: bytes) -> str:
    return value.decode(errors="replace")


def read_request(name: str, mode: str = "octet", options: Mapping[str, int] | None = None) -> bytes:
    """Build a read request for ``name``."""
    fields = [name, mode, *(str(part) for option in (options or {}).items() for part in option)]
    return struct.pack("!H", _RRQ) + b"".join(value.encode() + b"\0" for value in fields)


def data(block: int, payload: bytes) -> bytes:
    """Build the DATA packet of block ``block``, counted modulo 65,536."""
    return _HEADER.pack(_DATA, block % BLOCK_NUMBERS) + payload


def ack(block: int) -> bytes:
    """Build the acknowledgement of ``block``, counted modulo 65,536."""
    return _HEADER.pack(_ACK, block % BLOCK_NUMBERS)


def error(code: ErrorCode, message: str) -> bytes:
    """Build the error that ends a transfer or refuses a request."""
    return _HEADER.pack(_ERROR, code) + message.encode("ascii", "replace") + b"\0"


def oack(options: Mapping[str, int]) -> bytes:
    """Build the OACK with the accepted options (RFC 2347)."""
    fields = b"".join(f"{name}\0{value}\0".encode() for name, value in options.items())
    return struct.pack("!H", _OACK) + fields
