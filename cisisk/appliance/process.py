"""The process: what it tells systemd, and how the C library gives its memory back."""

import ctypes
import logging
import os
import socket
from collections.abc import Callable

log = logging.getLogger(__name__)


LARGE = 4 << 20
"""Bytes: above whatever a transfer or a request takes and gives back time and again, below the 19 MiB of a password."""
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8
"""mallopt(3), from <malloc.h>."""


def configure_malloc() -> None:
    """Have memory given back, and shared. To be called before there is a second thread."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:  # libraries without mallopt(3), such as musl, have neither habit
        _return_large_blocks(mallopt)
        # Else glibc gives each thread a heap of its own, and what a boot storm took in one is of no use to the others.
        # They do not get in each other's way: Python's threads allocate one at a time.
        mallopt(_M_ARENA_MAX, 1)


def _return_large_blocks(mallopt: Callable[[int, int], int]) -> None:
    """Have blocks of :data:`LARGE` bytes and more given back to the system as soon as they are freed.

    glibc does so only until the first of them is freed, and then takes its size for usual: every thread that ever
    hashed a password would keep those 19 MiB for ever.
    """
    mallopt(_M_MMAP_THRESHOLD, LARGE)
    # Either limit, once set, stays as it is. The default of this one, 128 KiB, would have every burst of requests
    # fetch its memory from the system anew.
    mallopt(_M_TRIM_THRESHOLD, LARGE)


def notify(state: str) -> None:
    """Send assignments such as ``READY=1``, one a line. That nobody listens is no reason to stop, but logged."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    # A leading @ stands for the zero byte of an abstract socket.
    target = "\0" + address[1:] if address.startswith("@") else address
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
            sender.connect(target)
            sender.sendall(state.encode())
    except OSError as error:
        log.warning("the service manager at %s was not told %s: %s", address, state, error)


def watchdog_interval() -> float | None:
    """Seconds between two signs of life, half of what the unit allows; None when none are wanted."""
    microseconds = os.environ.get("WATCHDOG_USEC", "")
    ours = os.environ.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
    return int(microseconds) / 2_000_000 if ours and microseconds.isdecimal() and int(microseconds) else None
