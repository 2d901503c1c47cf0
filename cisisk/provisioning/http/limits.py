"""The limits of the HTTP server for phones."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpLimits:
    """Limits of the server and of each connection. Times are in seconds.

    Attributes:
        max_connections: open at the same time. Each takes a descriptor and a few KiB. The phones of a large site that
            start together hold a connection while they fetch a config.
        max_per_address: open from one address. One phone has one or two. Phones behind one address share them; those
            that are refused use TFTP.
        spared_seconds: after which a connection without a request is closed for a new one. A phone sends its request
            at once.
        pause_seconds: without accepting, after the system has run out of descriptors or memory.
        tick_seconds: between two checks of all deadlines.
        head_seconds: for the head of a request. A phone sends it in one packet and repeats a lost one within seconds.
        idle_seconds: for which a connection without a request is kept: a phone asks for the files of one boot within
            seconds.
        stall_seconds, stall_bytes: a client has to confirm so many bytes of an answer in that time, or the rest of it.
            The slowest lines to phones carry ten times as much.
        linger_seconds: for which the server reads after its last answer before it closes the connection. Closing a
            connection with unread data resets it, and the answer could be lost (RFC 9112 section 9.6).
    """

    max_connections: int = 2048
    max_per_address: int = 64
    spared_seconds: float = 1.0
    pause_seconds: float = 1.0
    tick_seconds: float = 1.0
    head_seconds: float = 10.0
    idle_seconds: float = 30.0
    stall_seconds: float = 30.0
    stall_bytes: int = 16 << 10
    linger_seconds: float = 2.0


DEFAULT_LIMITS = HttpLimits()
