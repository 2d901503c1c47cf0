"""Where Python objects lie in memory, and whether this system has the layout that the fast path writes."""

import ctypes
import functools
import struct
import sys
from collections.abc import Callable
from typing import Any

_PROBE = b"\1\2\3"


@functools.cache
def kernel() -> ctypes.CDLL:
    """Return the C library with the system calls."""
    return ctypes.CDLL(None, use_errno=True)


@functools.cache
def _address_function() -> Callable[[bytes], int]:
    prototype = ctypes.PYFUNCTYPE(ctypes.c_void_p, ctypes.py_object)
    return prototype(("PyBytes_AsString", ctypes.pythonapi))


def address_of(content: bytes) -> int:
    """Return the address of the first byte. It is valid as long as ``content`` lives."""
    return _address_function()(content)


def buffer_address(buffer: Any) -> int:
    """Return the address of a writable buffer. It is valid as long as the buffer lives and keeps its size."""
    return ctypes.addressof(ctypes.c_char.from_buffer(buffer))


def unsupported_reason() -> str | None:
    """Return why the fast path cannot be used here; None when it can."""
    if sys.platform != "linux":
        return "not Linux"
    if sys.byteorder != "little" or struct.calcsize("P") != 8:
        return "not a 64-bit little-endian machine"
    if not (hasattr(kernel(), "recvmmsg") and hasattr(kernel(), "sendmmsg")):
        return "the C library lacks recvmmsg or sendmmsg"
    try:
        found = ctypes.string_at(address_of(_PROBE), len(_PROBE))
    except (AttributeError, ctypes.ArgumentError):
        return "this Python gives no address of bytes"
    return None if found == _PROBE else "this Python gives no address of bytes"
