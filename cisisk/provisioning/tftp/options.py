"""Which transfer options a request gets (RFC 2347, 2348, 2349, 7440)."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from cisisk.provisioning.tftp.wire import DEFAULT_BLKSIZE, MAX_BLKSIZE, MIN_BLKSIZE

DEFAULT_LARGEST_BLKSIZE = 1428
"""The most that is agreed on unless the settings say otherwise: 1,500 bytes of Ethernet less 40 (IPv6), 8 (UDP) and 4
(TFTP) leave 1,448; 20 more for a tunnel. A larger block would travel in fragments, and the loss of one fragment loses
the block."""
MIN_WINDOWSIZE, MAX_WINDOWSIZE = 1, 65535
"""Blocks, RFC 7440."""
LARGEST_WINDOWSIZE = 64
"""The most that is agreed on: 64 blocks of an Ethernet frame each take 147 of the 208 KiB that Linux gives a receiver,
and nobody else's block waits longer than they take."""
MIN_TIMEOUT, MAX_TIMEOUT = 1, 255
"""Seconds, RFC 2349."""

_NUMBER = re.compile(r"[0-9]{1,20}", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """What holds for one transfer.

    Attributes:
        accepted: what the OACK carries, in the order of the request; empty: the transfer begins without an OACK.
        blksize: bytes in every block but the last.
        windowsize: blocks that travel before an acknowledgement is due.
        timeout: the seconds the peer asked the server to wait before it repeats a packet; None: it asked for none.
    """

    accepted: Mapping[str, int]
    blksize: int
    windowsize: int
    timeout: int | None


PLAIN = Agreement(accepted={}, blksize=DEFAULT_BLKSIZE, windowsize=1, timeout=None)
"""A transfer without options, which is what most phones ask for."""


def negotiate(asked: Mapping[str, str], size: int, *, largest_blksize: int = DEFAULT_LARGEST_BLKSIZE) -> Agreement:
    """The options of a read request for a content of ``size`` bytes.

    What is unknown, is no decimal number or lies outside its RFC's range counts as not sent. That holds for a blksize
    above 65,464 too: RFC 2348 lets a server lower a valid value only, and a plain transfer suits every client.
    """
    if not asked:
        return PLAIN
    accepted: dict[str, int] = {}
    for name, text in asked.items():
        value = _accept(name, int(text), size, largest_blksize) if _NUMBER.fullmatch(text) else None
        if value is not None:
            accepted[name] = value
    return Agreement(
        accepted=accepted,
        blksize=accepted.get("blksize", DEFAULT_BLKSIZE),
        windowsize=accepted.get("windowsize", 1),
        timeout=accepted.get("timeout"),
    )


def _accept(name: str, value: int, size: int, largest_blksize: int) -> int | None:
    if name == "blksize" and MIN_BLKSIZE <= value <= MAX_BLKSIZE:
        return min(value, largest_blksize)
    if name == "windowsize" and MIN_WINDOWSIZE <= value <= MAX_WINDOWSIZE:
        return min(value, LARGEST_WINDOWSIZE)
    if name == "timeout" and MIN_TIMEOUT <= value <= MAX_TIMEOUT:
        return value
    return size if name == "tsize" else None
