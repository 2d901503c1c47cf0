"""Which transfer options a request gets (RFC 2347, 2348, 2349)."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from cisisk.provisioning.tftp.wire import DEFAULT_BLKSIZE, MAX_BLKSIZE, MIN_BLKSIZE

LARGEST_BLKSIZE = 1428
"""The most that is agreed on: 1,500 bytes of Ethernet less 40 (IPv6), 8 (UDP) and 4 (TFTP) leave 1,448; 20 more for a
tunnel. A larger block would travel in fragments, and the loss of one fragment loses the block."""
MIN_TIMEOUT, MAX_TIMEOUT = 1, 255
"""Seconds, RFC 2349."""

_NUMBER = re.compile(r"[0-9]{1,20}", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """What holds for one transfer.

    Attributes:
        accepted: what the OACK carries, in the order of the request; empty: the transfer begins without an OACK.
        blksize: bytes in every block but the last.
        timeout: the seconds the peer asked the server to wait before it repeats a packet; None: it asked for none.
    """

    accepted: Mapping[str, int]
    blksize: int
    timeout: int | None


def negotiate(asked: Mapping[str, str], size: int) -> Agreement:
    """The options of a read request for a file of ``size`` bytes.

    What is unknown, is no decimal number or lies outside its RFC's range counts as not sent. That holds for a blksize
    above 65,464 too: RFC 2348 lets a server lower a valid value only, and a plain transfer suits every client.
    """
    accepted: dict[str, int] = {}
    for name, text in asked.items():
        value = _accept(name, int(text), size) if _NUMBER.fullmatch(text) else None
        if value is not None:
            accepted[name] = value
    return Agreement(
        accepted=accepted,
        blksize=accepted.get("blksize", DEFAULT_BLKSIZE),
        timeout=accepted.get("timeout"),
    )


def _accept(name: str, value: int, size: int) -> int | None:
    if name == "blksize" and MIN_BLKSIZE <= value <= MAX_BLKSIZE:
        return min(value, LARGEST_BLKSIZE)
    if name == "timeout" and MIN_TIMEOUT <= value <= MAX_TIMEOUT:
        return value
    return size if name == "tsize" else None
