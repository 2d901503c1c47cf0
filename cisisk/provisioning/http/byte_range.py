"""The part of a file that a client requests (RFC 9110 14)."""

import re
from typing import NamedTuple

_SINGLE = re.compile(r"bytes\s*=\s*(?:,\s*)*([0-9]{0,100})-([0-9]{0,100})\s*(?:,\s*)*", re.IGNORECASE | re.ASCII)


class ByteRange(NamedTuple):
    """Bytes of a file.

    Attributes:
        offset: of the first byte.
        length: number of bytes.
    """

    offset: int
    length: int


class Unsatisfiable(ValueError):
    """The file has no byte of the requested range."""


def part_of(value: str, size: int) -> ByteRange | None:
    """Return the part of a file of ``size`` bytes that the ``Range`` field ``value`` requests.

    None means the whole file: RFC 9110 14.2 allows to ignore several ranges, other units and malformed values.

    Raises:
        Unsatisfiable: the range begins after the end, or is empty.
    """
    found = _SINGLE.fullmatch(value)
    if found is None or not any(found.groups()):
        return None
    first, last = found.groups()
    if not first:
        return _suffix(int(last), size)
    begin = int(first)
    end = min(int(last), size - 1) if last else size - 1
    if last and int(last) < begin:
        return None
    if begin >= size:
        raise Unsatisfiable
    return ByteRange(begin, end - begin + 1)


def _suffix(length: int, size: int) -> ByteRange | None:
    if length == 0:
        raise Unsatisfiable
    if size == 0:
        # Content-Range cannot describe a part of an empty file.
        return None
    return ByteRange(max(size - length, 0), min(length, size))
