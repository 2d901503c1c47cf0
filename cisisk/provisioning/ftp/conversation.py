"""The conversation on a control connection: commands in, answers out, one after the other.

pyftpdlib's, with the limits and the patience that Cisisk needs.
"""

import logging
import re
import sys
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from typing import Any

from pyftpdlib.handlers import FTPHandler

log = logging.getLogger(__name__)
# What it says at lower levels quotes clients, and each of its steps.
logging.getLogger("pyftpdlib").setLevel(logging.WARNING)

IDLE_SECONDS = 300
"""Between two commands; what RFC 1123 (4.1.3.2) asks for as the least."""
MAX_COMMAND_BYTES = 2048
"""A path has 255 at the most, a password 1024."""
MAX_WAITING = 128
"""Commands sent ahead of the answer to an earlier one."""
MAX_UNREAD = 512
"""Answers that a client has not taken; it is not listening."""
LINGER_SECONDS = 5
"""For the last answer to be taken."""

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_TELNET = re.compile(rb"\xff[\xf0-\xfe]")
"""Telnet's interrupt and data mark, sent before an ABOR (RFC 959, 4.1.3)."""


class FtpControl(FTPHandler):
    """One client. A command may wait for an answer from another thread; those behind it then wait as well."""

    banner = "Cisisk"
    timeout = IDLE_SECONDS
    ac_in_buffer_size = 4096
    unicode_errors = "replace"
    """For names on the disk that are no UTF-8; what comes in has to be."""

    # pyftpdlib's, which declares none.
    _in_buffer: list[bytes]
    _in_buffer_len: int

    def __init__(self, conn: object, server: object, ioloop: object = None) -> None:
        self._awaited = 0
        self._lines: deque[bytes] = deque()
        self._too_long = False
        super().__init__(conn, server, ioloop)

    def collect_incoming_data(self, data: bytes) -> None:
        """Part of a command."""
        self._in_buffer_len += len(data)
        if self._in_buffer_len > MAX_COMMAND_BYTES:
            self._too_long = True
            self._in_buffer.clear()
        else:
            self._in_buffer.append(data)

    def found_terminator(self) -> None:
        """The end of a command."""
        if self._idler is not None and not self._idler.cancelled:
            self._idler.reset()
        line = b"".join(self._in_buffer) if not self._too_long else None
        self._in_buffer, self._in_buffer_len, self._too_long = [], 0, False
        if len(self._lines) >= MAX_WAITING or len(self.producer_fifo) >= MAX_UNREAD:
            self.close()
        elif line is None:
            self.reply(500, "The command is too long")
        elif self._awaited:
            self._lines.append(line)
        else:
            self.obey(line)

    def obey(self, line: bytes) -> None:
        """Carry out one command."""
        try:
            text = _TELNET.sub(b"", line).decode()
        except UnicodeDecodeError:
            self.reply(501, "Not UTF-8")
            return
        command, _, argument = text.partition(" ")
        if _CONTROL.search(text if command.upper() != "PASS" else command):
            self.reply(501, "No control characters")
        else:
            self.pre_process_command(text, command.upper(), argument)

    def wait_for(self, future: "Future[Any]", then: Callable[["Future[Any]"], None]) -> None:
        """Go on with ``then`` in the loop's thread when ``future`` is done; other sessions do not wait meanwhile."""
        self._awaited += 1
        future.add_done_callback(
            lambda done: self.ioloop.call_soon_threadsafe(partial(self.go_on, partial(then, done)))
        )

    def go_on(self, then: Callable[[], None]) -> None:
        """Do ``then``, and the commands that have arrived meanwhile; nothing when the client is gone."""
        if self._closed:
            return
        self._awaited -= 1
        try:
            then()
            while self._lines and not self._awaited and not self._closed:
                self.obey(self._lines.popleft())
        except Exception:  # noqa: BLE001 -- as in the library's own loop: one session fails, not the server
            self.handle_error()

    def reply(self, code: int, text: str) -> None:
        """Answer with as many lines as ``text`` has."""
        *first, last = [_CONTROL.sub("?", line) for line in text.splitlines()] or [""]
        for line in first:
            self.push(f"{code}-{line}\r\n")
        self.respond(f"{code} {last}")

    @property
    def host(self) -> str:
        """The client's IP address."""
        return str(self.remote_ip).removeprefix("::ffff:")

    @property
    def peer(self) -> tuple[str, int]:
        """The client's IP address and port."""
        return self.host, int(self.remote_port or 0)

    @property
    def local(self) -> str:
        """The IP address that the client has connected to."""
        return str(self.socket.getsockname()[0]).removeprefix("::ffff:")

    def run_as_current_user(self, function: Callable[..., Any], *args: Any, **named: Any) -> Any:
        """Call ``function``: there are no system users behind these."""
        return function(*args, **named)

    def close_when_done(self) -> None:
        """Send the client away, with the last answer if it takes that."""
        super().close_when_done()
        if not self._closed:
            self.call_later(LINGER_SECONDS, self.close)

    # pyftpdlib's own log lines quote what came from the network.

    def log(self, msg: str, logfun: object = None) -> None:
        """Nothing."""

    def logline(self, msg: str, logfun: object = None) -> None:
        """Nothing."""

    def log_cmd(self, cmd: str, arg: str, respcode: int, respstr: str) -> None:
        """Nothing."""

    def log_transfer(self, **_: object) -> None:
        """Nothing: transfers are reported."""

    def log_exception(self, _instance: object) -> None:
        """A defect."""
        log.error("an FTP session has failed", exc_info=sys.exception())
