"""The record of one fetch: what a protocol server reports when a transfer has ended."""

from collections.abc import Callable
from enum import StrEnum
from typing import NamedTuple, TypeAlias

from cisisk.model.clock import Timestamp


class FetchOutcome(StrEnum):
    """How a fetch ended."""

    COMPLETED = "completed"
    """The peer acknowledged the last byte."""
    ABSENT = "absent"
    """There is no such file, or this peer may not have it."""
    REFUSED = "refused"
    """The server does not answer such a request with a file."""
    ABORTED = "aborted"
    """The peer sent an error, or replaced the transfer by another request."""
    TIMED_OUT = "timed_out"
    """The peer stopped answering."""
    CUT = "cut"
    """The server stopped, or could not read the file any more."""

    __hash__ = str.__hash__
    """The hash of the text. The one of Enum is written in Python, and each fetch needs it."""


class Fetch(NamedTuple):
    """One ended fetch.

    Attributes:
        protocol: ``tftp``, ``http`` or ``ftp``.
        started_at: when the request arrived.
        peer: address and port of the client.
        local: the address that received the request.
        name: the requested name, unchanged, at most a datagram long.
        sha256: of the content, hexadecimal; None if nothing was opened or it was too large to hash.
        size: bytes of the file; 0 if nothing was opened.
        acknowledged: bytes that the peer has confirmed.
        blocks: blocks that the peer has confirmed.
        retransmits: packets that were sent again.
        duration: seconds from the request to the end.
        options: the negotiated transfer options.
    """

    protocol: str
    started_at: Timestamp
    peer: tuple[str, int]
    local: str
    name: str
    outcome: FetchOutcome
    sha256: str | None = None
    size: int = 0
    acknowledged: int = 0
    blocks: int = 0
    retransmits: int = 0
    duration: float = 0.0
    options: tuple[tuple[str, int], ...] = ()


FetchListener: TypeAlias = Callable[[Fetch], None]
"""Called once per ended fetch, on the protocol server's thread. Must return at once and must not raise."""
