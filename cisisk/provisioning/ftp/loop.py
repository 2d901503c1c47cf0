"""pyftpdlib's own event loop, with a bell that other threads can ring."""

import logging
import math
import os
import sys
import threading
from collections import deque
from collections.abc import Callable

from pyftpdlib.ioloop import IOLoop

log = logging.getLogger(__name__)


class Loop(IOLoop):
    """The loop of one FTP server. Everything but :meth:`call_soon_threadsafe` belongs to its thread."""

    def __init__(self) -> None:
        super().__init__()
        self._calls: deque[Callable[[], None]] = deque()
        self._open = threading.Lock()
        self._bell: _Bell | None = _Bell(self._answer_calls)
        self.register(self._bell.fileno, self._bell, self.READ)
        self._next_timer = math.inf

    def turn(self, longest: float) -> None:
        """Wait for what happens next, ``longest`` seconds at the most, and deal with it."""
        # To epoll less than nothing is for ever.
        self.poll(max(0.0, min(longest, self._next_timer)))
        until_next = self.sched.poll()
        self._next_timer = math.inf if until_next is None else until_next

    def call_soon_threadsafe(self, call: Callable[[], None]) -> None:
        """Have ``call`` made by the loop's thread; not at all once the loop is closed."""
        with self._open:
            if self._bell is not None:
                self._calls.append(call)
                self._bell.ring()

    def close(self) -> None:
        """Close every connection."""
        with self._open:
            self._bell = None
        super().close()

    def _answer_calls(self) -> None:
        while self._calls:
            self._calls.popleft()()


class _Bell:
    """An eventfd, in the shape that the loop expects of everything it polls."""

    def __init__(self, answer: Callable[[], None]) -> None:
        self.fileno = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._fileno = self.fileno
        """By which pyftpdlib orders what it closes."""
        self._answer = answer

    def ring(self) -> None:
        os.eventfd_write(self.fileno, 1)

    def readable(self) -> bool:
        return True

    def writable(self) -> bool:
        return False

    def handle_read_event(self) -> None:
        os.eventfd_read(self.fileno)
        self._answer()

    def handle_error(self) -> None:
        log.error("a call into the FTP thread has failed", exc_info=sys.exception())

    def close(self) -> None:
        os.close(self.fileno)
