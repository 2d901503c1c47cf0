"""The limits of the FTP server."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class FtpLimits:
    """Limits of the server and of each session. Times are in seconds.

    Attributes:
        max_connections: of all clients, commands and data together: a few administrators, each with several transfers.
        max_per_address: sessions of one address; clients that mirror a tree open up to ten.
        accept_pause_seconds: without a new connection after the system had no descriptor for one.
        login_seconds: to log in, TLS included: a client that does not must not hold a connection for long.
        idle_seconds: between two commands: the least that RFC 1123 section 4.1.3.2 asks for.
        max_waiting_commands: commands that a client may send before it has the reply to an earlier one.
        connect_seconds: to connect after PASV or PORT; many clients give up earlier.
        stalled_seconds: without a byte in either direction, after which a transfer ends. It may take twice as long.
    """

    max_connections: int = 100
    max_per_address: int = 16
    accept_pause_seconds: float = 1.0
    login_seconds: float = 30
    idle_seconds: float = 300
    max_waiting_commands: int = 128
    connect_seconds: float = 30
    stalled_seconds: float = 60


DEFAULT_LIMITS = FtpLimits()
