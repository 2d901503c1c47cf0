"""FTP with explicit TLS (RFC 4217).

Overrides internals of pyftpdlib's TLS_FTPHandler and TLS_DTPHandler; see the package's docstring.
"""

from pathlib import Path

from OpenSSL import SSL
from pyftpdlib.exceptions import _RetryError
from pyftpdlib.handlers import TLS_DTPHandler, TLS_FTPHandler

from cisisk.model.errors import ConfigurationError
from cisisk.provisioning.ftp.data import DataConnection
from cisisk.provisioning.ftp.session import Session


def context(certificate: Path, key: Path) -> SSL.Context:
    """Read the certificate that clients are shown.

    Raises:
        ConfigurationError: the files cannot be used.
    """
    made = SSL.Context(SSL.TLS_SERVER_METHOD)
    made.set_min_proto_version(SSL.TLS1_2_VERSION)
    made.set_options(SSL.OP_NO_COMPRESSION | SSL.OP_NO_RENEGOTIATION)
    try:
        # OpenSSL would ask for the passphrase on the terminal.
        if b"ENCRYPTED" in key.read_bytes():
            raise ConfigurationError(
                "ftp.tls_key: the key has a passphrase. Remove it: Cisisk needs the key without one"
            )
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
    """A transfer over TLS, which announces the end of the data."""

    _error: bool

    @property
    def is_handshaking(self) -> bool:
        """Whether the TLS handshake needs to read."""
        return bool(self._ssl_accepting or self._ssl_want_read)

    def recv(self, size: int) -> bytes:
        """Return the next bytes; none when the connection has ended."""
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
            # Also the end of the TCP stream without TLS's close_notify: anyone on the path can cut a connection.
            self.handle_close()
        return b""

    def close(self) -> None:
        """End the transfer. After an error no close_notify is sent, so that the client notices."""
        self._error = self._error or not self.transfer_finished
        super().close()


class TlsSession(Session, TLS_FTPHandler):
    """A client that must use TLS for commands and for data."""

    dtp_handler = TlsDataConnection
    tls_control_required = True
    tls_data_required = True
    proto_cmds = {  # noqa: RUF012 -- pyftpdlib's attribute
        **Session.proto_cmds,
        **{name: TLS_FTPHandler.proto_cmds[name] for name in ("AUTH", "PBSZ", "PROT")},
    }

    def process_command(self, cmd: str, *args: object, **named: object) -> None:
        """Carry out a command. Passwords without TLS are refused."""
        if cmd in {"USER", "PASS"} and not self._ssl_established:
            self.reply(530, "Passwords are taken over TLS only: send AUTH TLS first")
        else:
            super().process_command(cmd, *args, **named)

    def ftp_AUTH(self, line: str) -> None:
        """Begin TLS. Commands that arrived before it are dropped: an attacker on the path may have inserted them."""
        super().ftp_AUTH(line)
        self.forget_all_commands()

    def ftp_PROT(self, line: str) -> None:
        """Set the protection of data connections."""
        if line.upper() == "C":
            self.reply(534, "Data is transferred over TLS only: PROT P")
        else:
            super().ftp_PROT(line)
