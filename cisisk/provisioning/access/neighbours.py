"""The machines on this machine's network segments, as the kernel knows them from ARP."""

import re
import time
from collections.abc import Callable
from pathlib import Path

TABLE = Path("/proc/net/arp")
"""proc(5): IP address, hardware type, flags, hardware address, mask, device; IPv4 only."""
FRESH_SECONDS = 0.25
"""A phone asks for our hardware address right before its first request. A much older copy of the table would lack that
phone. Four reads a second with thousands of neighbours take 2 % of one core."""
_ENTRY = re.compile(
    r"^(?P<host>[0-9.]{7,15}) +0x1 +0x[0-9a-f]?[2367abef] +(?P<mac>[0-9a-f]{2}(?::[0-9a-f]{2}){5}) ",
    re.MULTILINE | re.ASCII,
)
"""Ethernet (type 1) and complete: ATF_COM, the bit of 2."""


class Neighbours:
    """The ARP table, read again when it is older than :data:`FRESH_SECONDS`. Belongs to one thread."""

    def __init__(self, table: Path = TABLE, clock: Callable[[], float] = time.monotonic) -> None:
        self._table = table
        self._clock = clock
        self._read_at = -FRESH_SECONDS
        self._macs: dict[str, str] = {}

    def mac_of(self, host: str) -> str | None:
        """Return the digits of the hardware address at ``host``; None if it is behind a router, or not IPv4."""
        now = self._clock()
        if now - self._read_at >= FRESH_SECONDS:
            self._read_at = now
            self._macs = _read(self._table)
        return self._macs.get(host)


def _read(table: Path) -> dict[str, str]:
    try:
        text = table.read_text("ascii", errors="replace")
    except OSError:
        # Without the table no neighbour is known.
        return {}
    return {found["host"]: found["mac"].replace(":", "").upper() for found in _ENTRY.finditer(text)}
