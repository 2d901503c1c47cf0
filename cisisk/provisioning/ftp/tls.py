"""FTP with explicit TLS (RFC 4217)."""

from pathlib import Path

from OpenSSL import SSL
from pyftpdlib.exceptions import _RetryError
from pyftpdlib.handlers import TLS_DTPHandler, TLS_FTPHandler

from cisisk.model.errors import ConfigurationError
from cisisk.provisioning.ftp.data import DataConnection
from cisisk.provisioning.ftp.session import Session


def context(certificate: Path, key: Path) -> SSL.Context:
    """What to show clients.

    Raises:
        ConfigurationError: the files cannot be used.
    """
    made = SSL.Context(SSL.TLS_SERVER_METHOD)
    made.set_min_proto_version(SSL.TLS1_2_VERSION)
    made.set_options(SSL.OP_NO_COMPRESSION | SSL.OP_NO_RENEGOTIATION)
    try:
        # Before OpenSSL asks for the passphrase on a terminal where nobody may be.
        if b"ENCRYPTED" in key.read_bytes():
            raise ConfigurationError("ftp.tls_key: the key is protected by a passphrase. Cisisk needs it without one")
        made.use_certificate_chain_file(str(certificate))
        made.use_privatekey_file(str(key))
        made.check_privatekey()
    except (OSError, SSL.Error) as error:
        reason = error.strerror if isinstance(error, OSError) else ", ".join(part[-1] for part in error.args[0])
        raise ConfigurationError(
            f"ftp.tls_cert, ftp.tls_key: {certificate} and {key} cannot be used: {reason or 'no PEM file'}"
        ) from error
    return made


class TlsDataConnection(DataConnection, TLS_DTPHandler):
    """A transfer over TLS, which says when it is over."""

    _error: bool

    @property
    def is_handshaking(self) -> bool:
        """Whether TLS itself has to read."""
        return bool(self._ssl_accepting or self._ssl_want_read)

    def recv(self, size: int) -> bytes:
        """The next bytes; none when the connection has ended, in whatever way."""
        try:
            return bytes(self.socket.recv(size))
        except SSL.WantReadError as error:
            self._ssl_want_read = True
            raise _RetryError from error
        except SSL.WantWriteError as error:
            self._ssl_want_write = True
            raise _RetryError from error
        except SSL.ZeroReturnError:
            self._ended(said=True)
        except (SSL.Error, OSError):
            # Among them the end of the TCP stream without TLS's close_notify: anybody on the way could cut it so.
            self.handle_close()
        return b""

    def close(self) -> None:
        """End the transfer. One that has broken gets no farewell, so that the other side can tell."""
        self._error = self._error or not self.transfer_finished
        super().close()


class TlsSession(Session, TLS_FTPHandler):
    """A client who has to use TLS for commands and for data."""

    dtp_handler = TlsDataConnection
    tls_control_required = True
    tls_data_required = True
    proto_cmds = {  # noqa: RUF012 -- pyftpdlib's attribute
        **Session.proto_cmds,
        **{name: TLS_FTPHandler.proto_cmds[name] for name in ("AUTH", "PBSZ", "PROT")},
    }

    def process_command(self, cmd: str, *args: object, **named: object) -> None:
        """Carry out a command, if it may be sent like this."""
        if cmd in {"USER", "PASS"} and not self._ssl_established:
            self.reply(530, "Passwords are taken over TLS only: send AUTH TLS first")
        else:
            super().process_command(cmd, *args, **named)

    def ftp_AUTH(self, line: str) -> None:
        """Begin TLS. What was sent in the clear behind this command may be somebody else's."""
        super().ftp_AUTH(line)
        self.ac_in_buffer = b""
        self._in_buffer, self._in_buffer_len = [], 0
        self._lines.clear()

    def ftp_PROT(self, line: str) -> None:
        """How data is protected."""
        if line.upper() == "C":
            self.reply(534, "Data is transferred over TLS only: PROT P")
        else:
            super().ftp_PROT(line)
