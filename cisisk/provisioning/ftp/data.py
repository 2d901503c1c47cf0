"""Data connections, which tell a complete upload from a broken one.

Overrides internals of pyftpdlib's DTPHandler, ActiveDTP and PassiveDTP; see the package's docstring.
"""

import logging
import random
import socket
import sys
from typing import Any

from pyftpdlib.exceptions import _RetryError
from pyftpdlib.handlers import DTPHandler
from pyftpdlib.handlers.ftp.dispatchers import ActiveDTP, PassiveDTP
from pyftpdlib.ioloop import Acceptor

from cisisk.model.errors import CisiskError, StorageFailed
from cisisk.provisioning.fetch import FetchOutcome
from cisisk.provisioning.ftp.transfers import FtpDownload

log = logging.getLogger(__name__)


class DataConnection(DTPHandler):
    """One transfer."""

    # Attributes that pyftpdlib sets and does not declare.
    receive: bool
    file_obj: Any
    _lastdata: int

    @property
    def timeout(self) -> float:
        """Seconds without a byte, for pyftpdlib."""
        return float(self.cmd_channel.limits.stalled_seconds)

    @property
    def is_used(self) -> bool:
        """Whether a transfer has begun on it."""
        return bool(self._initialized)

    @property
    def is_handshaking(self) -> bool:
        """Whether a handshake needs to read."""
        return False

    def readable(self) -> bool:
        """Whether to read. What arrives before STOR stays in the socket, so that it is not taken for the end."""
        if self._initialized or self.is_handshaking:
            return bool(super().readable())
        self.modify_ioloop_events(0)
        return False

    def recv(self, size: int) -> bytes:
        """Return the next bytes; none when the connection has ended."""
        try:
            data: bytes = self.socket.recv(size)
        except BlockingIOError as error:
            raise _RetryError from error
        except OSError:
            self.handle_close()
            return b""
        if not data:
            self._ended(said=False)
        return data

    def handle_close(self) -> None:
        """The connection was lost: a download may be complete, an upload is not."""
        if not self.receive:
            super().handle_close()
        elif not self._closed:
            self._break_off("426 The connection was lost. Nothing was stored: send the file again.")

    def handle_timeout(self) -> None:
        """End a transfer that has not moved since the last call."""
        moved = self.get_transmitted_bytes()
        if moved > self._lastdata:
            self._lastdata = moved
        elif self._initialized:
            self._set_outcome(FetchOutcome.TIMED_OUT)
            self._break_off("426 No data was transferred for too long. Start the transfer again.")
        else:
            self.close()

    def handle_error(self) -> None:
        """End the transfer because of an exception: of pyftpdlib, of the disk, or an error of this program."""
        error = sys.exception()
        if isinstance(error, StorageFailed):
            self._break_off(f"{452 if self.receive else 451} {error}.")
        elif isinstance(error, CisiskError):
            self._break_off(f"552 {error}.")
        else:
            log.error("FTP transfer failed", exc_info=error)
            self._set_outcome(FetchOutcome.CUT)
            self._break_off("451 Cisisk has an internal error. Its log has the details.")

    def close(self) -> None:
        """End the transfer and note its outcome."""
        if isinstance(self.file_obj, FtpDownload):
            self.file_obj.sent = self.tot_bytes_sent
            if self.transfer_finished:
                self.file_obj.outcome = FetchOutcome.COMPLETED
        super().close()

    def _set_outcome(self, outcome: FetchOutcome) -> None:
        if isinstance(self.file_obj, FtpDownload):
            self.file_obj.outcome = outcome

    def _ended(self, *, said: bool) -> None:
        """The client has ended its side; ``said``: by TLS's close_notify, not only by the end of the stream."""
        if not self.receive:
            self.handle_close()
        elif (problem := self.file_obj.end(said=said)) is not None:
            self._break_off(f"426 The upload is incomplete: {problem}. Nothing was stored: send the file again.")
        else:
            # The session replies once the file is accepted.
            self.transfer_finished = True
            self.close()

    def _break_off(self, reply: str) -> None:
        self._resp = (reply, log.debug)
        self.transfer_finished = False
        self.close()


class ActiveConnection(ActiveDTP):
    """Connects to a client that has sent PORT or EPRT."""

    @property
    def timeout(self) -> float:
        """Seconds to connect, for pyftpdlib."""
        return float(self.cmd_channel.limits.connect_seconds)

    def close(self) -> None:
        """Give up connecting, and with it the waiting transfer."""
        was_open = not self._closed
        super().close()
        if was_open and self.cmd_channel.data_channel is None:
            self.cmd_channel.drop_waiting()


class PassivePort(PassiveDTP):
    """Listens for a client that has sent PASV or EPSV, on a port of the configured range."""

    @property
    def timeout(self) -> float:
        """Seconds to connect, for pyftpdlib."""
        return float(self.cmd_channel.limits.connect_seconds)

    def __init__(self, session: Any, extmode: bool = False) -> None:  # noqa: FBT001, FBT002 -- as pyftpdlib calls it
        """Raises OSError: no port of the range is free."""
        self.cmd_channel = session
        self.log = session.log
        self.log_exception = session.log_exception
        Acceptor.__init__(self, ioloop=session.ioloop)
        local = session.socket.getsockname()[0]
        self.create_socket(session.socket.family, socket.SOCK_STREAM)
        try:
            self._bind_one(local, session.passive_ports)
            self.listen(1)
        except OSError:
            self.close()
            raise
        port = self.socket.getsockname()[1]
        if extmode:
            session.respond(f"229 Entering extended passive mode (|||{port}|).")
        else:
            shown = local.removeprefix("::ffff:").replace(".", ",")
            session.respond(f"227 Entering passive mode ({shown},{port // 256},{port % 256}).")
        self.call_later(self.timeout, self.handle_timeout)

    def handle_timeout(self) -> None:
        """The client has not connected."""
        session = self.cmd_channel
        self.close()
        if session.connected and session.drop_waiting():
            session.respond("425 There was no connection to the data port. Check the firewall, or use active mode.")

    def handle_accepted(self, sock: socket.socket, address: tuple[Any, ...]) -> None:
        """Accept the client. A connection from another address is closed without a reply on the control connection."""
        if address[0] == self.cmd_channel.remote_ip:
            super().handle_accepted(sock, address)
        else:
            sock.close()

    def _bind_one(self, local: str, ports: range | None) -> None:
        self.set_reuse_addr()
        if self.socket.family == socket.AF_INET6:
            # An IPv4 client of a server on :: is reached at its mapped address.
            self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        candidates = [0] if ports is None else random.sample(ports, len(ports))
        for left, port in enumerate(candidates, 1 - len(candidates)):
            try:
                self.bind((local, port))
            except OSError:
                if left == 0:
                    raise
            else:
                return
