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
    """There is no such file, or none that this peer may know of."""
    REFUSED = "refused"
    """The request was not one that this server answers with a file."""
    ABORTED = "aborted"
    """The peer sent an error, or replaced the transfer by another request."""
    TIMED_OUT = "timed_out"
    """The peer stopped answering."""
    CUT = "cut"
    """The server stopped, or could no longer read the file."""

    __hash__ = str.__hash__
    """As a text hashes. The one that enumerations bring is written in Python, and every fetch is counted by this."""


class Fetch(NamedTuple):
    """One ended fetch.

    Attributes:
        protocol: ``tftp``, ``http`` or ``ftp``.
        started_at: when the request arrived.
        peer: address and port of the client.
        local: the address the request was sent to.
        name: what was asked for, as it was written, at most a datagram long.
        sha256: of the content that was sent, hexadecimal; None when nothing was opened or it was too large to hash.
        size: bytes of the file; 0 when nothing was opened.
        acknowledged: bytes the peer has confirmed.
        blocks: blocks the peer has confirmed.
        retransmits: packets sent again.
        duration: seconds from the request to the end.
        options: the transfer options agreed on.
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
"""Called once per ended fetch, on the protocol server's own thread; must return at once and never raise."""
