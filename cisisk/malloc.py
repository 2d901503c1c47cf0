"""The C library's allocator, told what kind of process this is."""

import ctypes

LARGE = 4 << 20
"""Bytes: above whatever a transfer or a request takes and gives back time and again, below the 19 MiB of a password."""
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
"""mallopt(3), from <malloc.h>."""


def return_large_blocks() -> None:
    """Have blocks of :data:`LARGE` bytes and more given back to the system as soon as they are freed.

    glibc does so only until the first of them is freed, and then takes its size for usual: every thread that ever
    hashed a password would keep those 19 MiB for ever. Libraries without mallopt(3), such as musl, have no such habit.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, LARGE)
        # Either limit, once set, stays as it is. The default of this one, 128 KiB, would have every burst of requests
        # fetch its memory from the system anew.
        mallopt(_M_TRIM_THRESHOLD, LARGE)
