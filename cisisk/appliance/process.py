"""The process: notifications to systemd, and the settings of the C library's allocator."""

import ctypes
import logging
import os
import socket
from collections.abc import Callable

log = logging.getLogger(__name__)


LARGE_BYTES = 4 << 20
"""Above the blocks that transfers and requests allocate repeatedly, below the 19 MiB of a password hash."""
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8
"""mallopt(3), from <malloc.h>."""


def configure_malloc() -> None:
    """Configure malloc to return memory to the system and to share it. Call it before a second thread starts."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:  # libraries without mallopt(3), such as musl, need neither
        _return_large_blocks(mallopt)
        # By default glibc gives each thread its own heap. Memory that one thread frees is then of no use to others.
        # One heap costs no time: Python's threads allocate one at a time.
        mallopt(_M_ARENA_MAX, 1)


def _return_large_blocks(mallopt: Callable[[int, int], int]) -> None:
    """Return freed blocks of :data:`LARGE_BYTES` and more to the system at once.

    glibc does so only until the first of them is freed, and then raises its limit: every thread that ever hashed a
    password would keep 19 MiB.
    """
    mallopt(_M_MMAP_THRESHOLD, LARGE_BYTES)
    # A limit that was set once does not change. The default of this one, 128 KiB, would make every burst of requests
    # fetch its memory from the system anew.
    mallopt(_M_TRIM_THRESHOLD, LARGE_BYTES)


def notify(state: str) -> None:
    """Send assignments such as ``READY=1``, one a line, to the service manager. A failure is logged."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    # A leading @ means the zero byte of an abstract socket.
    target = "\0" + address[1:] if address.startswith("@") else address
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
            sender.connect(target)
            sender.sendall(state.encode())
    except OSError as error:
        log.warning("service manager not notified: socket=%r state=%r error=%r", address, state, error)


def watchdog_interval() -> float | None:
    """Return the seconds between two watchdog notifications, half of what the unit allows; None if it wants none."""
    microseconds = os.environ.get("WATCHDOG_USEC", "")
    ours = os.environ.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
    return int(microseconds) / 2_000_000 if ours and microseconds.isdecimal() and int(microseconds) else None
