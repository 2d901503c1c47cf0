"""Negotiation of transfer options (RFC 2347, 2348, 2349, 7440)."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from cisisk.provisioning.tftp.wire import DEFAULT_BLKSIZE, MAX_BLKSIZE, MIN_BLKSIZE

DEFAULT_LARGEST_BLKSIZE = 1428
"""The largest block size by default: 1,500 bytes of Ethernet less 40 (IPv6), 8 (UDP) and 4 (TFTP) leave 1,448, and 20
more are left for a tunnel. A larger block would be fragmented, and a lost fragment loses the block."""
MIN_WINDOWSIZE, MAX_WINDOWSIZE = 1, 65535
"""Blocks, RFC 7440."""
LARGEST_WINDOWSIZE = 64
"""The largest window: 64 blocks of an Ethernet frame each take 147 of the 208 KiB that Linux gives a receiver, and
delay the blocks of other transfers no longer than that."""
MIN_TIMEOUT, MAX_TIMEOUT = 1, 255
"""Seconds, RFC 2349."""

_NUMBER = re.compile(r"[0-9]{1,20}", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """The options of one transfer.

    Attributes:
        accepted: the options of the OACK, in the order of the request. If there are none, no OACK is sent.
        blksize: bytes of every block but the last.
        windowsize: blocks that are sent before an acknowledgement is due.
        timeout: seconds before the server repeats a packet, as the peer asked; None if it did not ask.
    """

    accepted: Mapping[str, int]
    blksize: int
    windowsize: int
    timeout: int | None


PLAIN = Agreement(accepted={}, blksize=DEFAULT_BLKSIZE, windowsize=1, timeout=None)
"""A transfer without options, as most phones request it."""


def negotiate(asked: Mapping[str, str], size: int, *, largest_blksize: int = DEFAULT_LARGEST_BLKSIZE) -> Agreement:
    """Return the options of a read request for a content of ``size`` bytes.

    An option that is unknown, not a decimal number, or outside its RFC's range counts as absent. This includes a
    blksize above 65,464: RFC 2348 lets a server lower valid values only, and every client accepts a transfer without
    the option.
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
