"""The event loop of the FTP thread, which other threads can wake, and its listening port.

Overrides internals of pyftpdlib's IOLoop and FTPServer; see the package's docstring.
"""

import logging
import math
import os
import socket
import sys
import threading
from collections import deque
from collections.abc import Callable

from pyftpdlib.ioloop import IOLoop
from pyftpdlib.servers import FTPServer

from cisisk.provisioning.ftp.limits import FtpLimits

log = logging.getLogger(__name__)


class Loop(IOLoop):
    """The loop of one FTP server. Everything but :meth:`call_soon_threadsafe` belongs to its thread."""

    def __init__(self) -> None:
        super().__init__()
        self._calls: deque[Callable[[], None]] = deque()
        self._open = threading.Lock()
        self._waker: _Waker | None = _Waker(self._make_calls)
        self.register(self._waker.fileno, self._waker, self.READ)
        self._next_timer = math.inf

    def turn(self, longest: float) -> None:
        """Wait for events for at most ``longest`` seconds, and handle them."""
        # To epoll a negative time means for ever.
        self.poll(max(0.0, min(longest, self._next_timer)))
        until_next = self.sched.poll()
        self._next_timer = math.inf if until_next is None else until_next

    def call_soon_threadsafe(self, call: Callable[[], None]) -> None:
        """Have the loop's thread make ``call``; it is dropped once the loop is closed."""
        with self._open:
            if self._waker is not None:
                self._calls.append(call)
                self._waker.wake()

    def close(self) -> None:
        """Close every connection."""
        with self._open:
            self._waker = None
        super().close()

    def _make_calls(self) -> None:
        while self._calls:
            self._calls.popleft()()


class _Waker:
    """An eventfd, with the methods that the loop calls on everything it polls."""

    def __init__(self, woken: Callable[[], None]) -> None:
        self.fileno = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._fileno = self.fileno
        """pyftpdlib sorts by it what it closes."""
        self._woken = woken

    def wake(self) -> None:
        os.eventfd_write(self.fileno, 1)

    def readable(self) -> bool:
        return True

    def writable(self) -> bool:
        return False

    def handle_read_event(self) -> None:
        os.eventfd_read(self.fileno)
        self._woken()

    def handle_error(self) -> None:
        log.error("call into the FTP thread failed", exc_info=sys.exception())

    def close(self) -> None:
        os.close(self.fileno)


class Listener(FTPServer):
    """The port that clients connect to."""

    def __init__(self, bound: socket.socket, handler: type, loop: Loop, limits: FtpLimits) -> None:
        super().__init__(bound, handler, ioloop=loop)
        # The loop also polls the listener itself and the waker.
        self.max_cons = limits.max_connections + 2
        self.max_cons_per_ip = limits.max_per_address
        self._pause_seconds = limits.accept_pause_seconds

    def handle_error(self) -> None:
        """Pause after a failed accept, most often for want of descriptors. pyftpdlib would close the port."""
        log.warning("FTP connection not accepted", exc_info=sys.exception())
        self.del_channel()
        self.call_later(self._pause_seconds, self.add_channel)
