"""The control connection: reads commands, and sends replies in the order of the commands.

Overrides internals of pyftpdlib's FTPHandler; see the package's docstring.
"""

import logging
import re
import sys
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from typing import Any, Protocol

from pyftpdlib.handlers import FTPHandler

from cisisk.provisioning.ftp.data import ActiveConnection, DataConnection, PassivePort
from cisisk.provisioning.ftp.limits import FtpLimits

log = logging.getLogger(__name__)

MAX_COMMAND_BYTES = 2048
"""A path has 255 at most, a password 1024."""
MAX_UNREAD_REPLIES = 512
"""A client that leaves more replies unread is disconnected."""
LINGER_SECONDS = 5
"""Time for a client to read the last reply before its connection is closed."""

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_TELNET = re.compile(rb"\xff[\xf0-\xfe]")
"""Telnet's interrupt and data mark, sent before an ABOR (RFC 959, 4.1.3)."""


def quiet_library() -> None:
    """Drop pyftpdlib's log records below WARNING: they quote clients. May be called more than once."""
    logging.getLogger("pyftpdlib").setLevel(logging.WARNING)


class Closable(Protocol):
    """A transfer that waits for its data connection."""

    def close(self) -> None:
        """Give up the transfer."""


class FtpControl(FTPHandler):
    """One client. While a command waits for another thread, the commands after it wait as well.

    Attributes:
        limits: limits of the session.
        passive_ports: for data; None means any.
        holds_reply: whether the reply to an upload is still to come although its data connection has ended.
    """

    banner = "Cisisk"
    ac_in_buffer_size = 4096
    unicode_errors = "replace"
    """For names on the disk that are not UTF-8. Commands must be UTF-8."""
    active_dtp = ActiveConnection
    passive_dtp = PassivePort
    dtp_handler = DataConnection

    limits: FtpLimits
    passive_ports: range | None
    holds_reply: bool

    # Attributes that pyftpdlib sets and does not declare.
    authenticated: bool
    data_channel: DataConnection | None
    username: str
    _dtp_connector: ActiveConnection | None
    _in_buffer: list[bytes]
    _in_buffer_len: int
    _in_dtp_queue: tuple[Closable, str] | None
    _out_dtp_queue: tuple[Any, bool, Closable | None, str] | None
    _restart_position: int

    def __init__(self, conn: object, server: object, ioloop: object = None) -> None:
        self._awaited = 0
        self._lines: deque[bytes] = deque()
        self._too_long = False
        self.holds_reply = False
        super().__init__(conn, server, ioloop)
        self.set_binary()
        self._current_facts = self._available_facts = ["type", "perm", "size", "modify"]

    @property
    def timeout(self) -> float:
        """Seconds between two commands, for pyftpdlib."""
        return self.limits.idle_seconds

    # Commands and replies.

    def collect_incoming_data(self, data: bytes) -> None:
        """Add a part of a command."""
        self._in_buffer_len += len(data)
        if self._in_buffer_len > MAX_COMMAND_BYTES:
            self._too_long = True
            self._in_buffer.clear()
        else:
            self._in_buffer.append(data)

    def found_terminator(self) -> None:
        """Carry out the command that is now complete, or let it wait for those before it."""
        if self._idler is not None and not self._idler.cancelled:
            self._idler.reset()
        line = b"".join(self._in_buffer) if not self._too_long else None
        self.forget_partial_command()
        if len(self._lines) >= self.limits.max_waiting_commands or len(self.producer_fifo) >= MAX_UNREAD_REPLIES:
            self.close()
        elif line is None:
            self.reply(500, "The command is too long")
        elif self._awaited:
            self._lines.append(line)
        else:
            self._parse(line)

    def forget_partial_command(self) -> None:
        """Drop what was read of a command that is not complete."""
        self._in_buffer, self._in_buffer_len, self._too_long = [], 0, False

    def forget_all_commands(self) -> None:
        """Drop everything that was read and not carried out."""
        self.ac_in_buffer = b""
        self.forget_partial_command()
        self._lines.clear()

    def wait_for(self, future: "Future[Any]", then: Callable[["Future[Any]"], None]) -> None:
        """Call ``then`` in the loop's thread when ``future`` is done. Other sessions continue meanwhile."""
        self._awaited += 1
        future.add_done_callback(
            lambda done: self.ioloop.call_soon_threadsafe(partial(self._go_on, partial(then, done)))
        )

    def wait_seconds(self, seconds: float, then: Callable[[], None]) -> None:
        """Call ``then`` in the loop's thread after so many seconds. Other sessions continue meanwhile."""
        self._awaited += 1
        self.call_later(seconds, partial(self._go_on, then))

    def _go_on(self, then: Callable[[], None]) -> None:
        """Call ``then`` and carry out the waiting commands, unless the client has disconnected."""
        if self._closed:
            return
        self._awaited -= 1
        try:
            then()
            while self._lines and not self._awaited and not self._closed:
                self._parse(self._lines.popleft())
        except Exception:  # noqa: BLE001 -- as in the library's own loop: one session fails, not the server
            self.handle_error()

    def _parse(self, line: bytes) -> None:
        try:
            text = _TELNET.sub(b"", line).decode()
        except UnicodeDecodeError:
            self.reply(501, "Not UTF-8")
            return
        command, _, argument = text.partition(" ")
        if _CONTROL.search(text if command.upper() != "PASS" else command):
            self.reply(501, "No control characters")
        else:
            self.carry_out(text, command.upper(), argument)

    def carry_out(self, line: str, command: str, argument: str) -> None:
        """Carry out a command: ``line`` is all of it, ``command`` its name in upper case."""
        self.pre_process_command(line, command, argument)

    def reply(self, code: int, text: str) -> None:
        """Reply with as many lines as ``text`` has."""
        *first, last = [_CONTROL.sub("?", line) for line in text.splitlines()] or [""]
        for line in first:
            self.push(f"{code}-{line}\r\n")
        self.respond(f"{code} {last}")

    @property
    def is_closed(self) -> bool:
        """Whether the connection has ended."""
        return bool(self._closed)

    @property
    def is_quitting(self) -> bool:
        """Whether the client has sent QUIT during a transfer."""
        return bool(self._quit_pending)

    @property
    def is_waiting(self) -> bool:
        """Whether a command waits for another thread."""
        return self._awaited > 0

    # Addresses.

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

    # Transfers.

    @property
    def has_waiting_transfer(self) -> bool:
        """Whether a transfer waits for its data connection."""
        return self._in_dtp_queue is not None or self._out_dtp_queue is not None

    @property
    def has_data_address(self) -> bool:
        """Whether PORT or PASV has given an address for the data connection."""
        return self._dtp_acceptor is not None or self._dtp_connector is not None

    def receive_into(self, file: Closable) -> None:
        """Receive an upload into ``file``, as soon as there is a data connection."""
        if self.data_channel is not None:
            self.reply(125, "Send it")
            self.data_channel.file_obj = file
            self.data_channel.enable_receiving(self._current_type, "STOR")
        else:
            self.reply(150, "Connect and send it")
            self._in_dtp_queue = (file, "STOR")

    def take_restart_position(self) -> int:
        """Return the offset that REST has set for the next transfer, and reset it."""
        position, self._restart_position = self._restart_position, 0
        return position

    def set_binary(self) -> None:
        """Transfer bytes unchanged, whatever the client's TYPE."""
        self._current_type = "i"

    def drop_waiting(self) -> bool:
        """Give up the transfer that waits for its data connection; return whether there was one."""
        incoming, outgoing = self._in_dtp_queue, self._out_dtp_queue
        self._in_dtp_queue = self._out_dtp_queue = None
        if outgoing is not None and outgoing[2] is not None:
            outgoing[2].close()
        if incoming is not None:
            incoming[0].close()
        return incoming is not None or outgoing is not None

    def release_reply(self) -> None:
        """The reply to an upload was sent: the session continues, or ends after QUIT."""
        self.holds_reply = False
        self._on_dtp_close()

    def _on_dtp_close(self) -> None:
        if self.holds_reply:
            self.data_channel = None
        else:
            super()._on_dtp_close()

    def _on_dtp_connection(self) -> None:
        # The data connection owns the connector's socket from here on.
        self._dtp_connector = None
        super()._on_dtp_connection()

    def _shutdown_connecting_dtp(self) -> None:
        super()._shutdown_connecting_dtp()
        self.drop_waiting()

    def _make_epasv(self, extmode: bool = False) -> None:  # noqa: FBT001, FBT002 -- pyftpdlib's parameter
        try:
            super()._make_epasv(extmode)
        except OSError:
            self.reply(425, "No port for data is free at the moment")

    # The end.

    def run_as_current_user(self, function: Callable[..., Any], *args: Any, **named: Any) -> Any:
        """Call ``function``. FTP users are not users of the system, so there is no user to change to."""
        return function(*args, **named)

    def flush_account(self) -> None:
        """Log out."""
        super().flush_account()
        self.set_binary()

    def close_when_done(self) -> None:
        """Disconnect the client once it has read the last reply, or after :data:`LINGER_SECONDS`."""
        super().close_when_done()
        if not self._closed:
            self.call_later(LINGER_SECONDS, self.close)

    # pyftpdlib's own log lines quote what came from the network.

    def log(self, msg: str, logfun: object = None) -> None:
        """Log nothing."""

    def logline(self, msg: str, logfun: object = None) -> None:
        """Log nothing."""

    def log_cmd(self, cmd: str, arg: str, respcode: int, respstr: str) -> None:
        """Log nothing."""

    def log_transfer(self, **_: object) -> None:
        """Log nothing: transfers are reported as fetches."""

    def log_exception(self, _instance: object) -> None:
        """Log an error of this program."""
        log.error("FTP session failed", exc_info=sys.exception())
