"""Which part of a file a client asks for (RFC 9110 14). Pure."""

import re
from typing import NamedTuple

_SINGLE = re.compile(r"bytes\s*=\s*(?:,\s*)*([0-9]{0,100})-([0-9]{0,100})\s*(?:,\s*)*", re.IGNORECASE | re.ASCII)


class ByteRange(NamedTuple):
    """Bytes of a file.

    Attributes:
        offset: of the first of them.
        length: their number.
    """

    offset: int
    length: int


class Unsatisfiable(ValueError):
    """The file has no byte of what was asked for."""


def part_of(value: str, size: int) -> ByteRange | None:
    """The part of a file of ``size`` bytes that the ``Range`` field ``value`` asks for.

    None stands for the whole file: several ranges, other units and nonsense need not be understood (RFC 9110 14.2).

    Raises:
        Unsatisfiable: a range that begins behind the end, or one of no bytes.
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
        # There is no way to say which bytes of an empty file are sent.
        return None
    return ByteRange(max(size - length, 0), min(length, size))
