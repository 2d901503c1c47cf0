"""What the TFTP server has done since it started, for metrics."""

from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum

from cisisk.provisioning.fetch import Fetch, FetchOutcome


class Dropped(StrEnum):
    """Why a request got no answer."""

    MALFORMED = "malformed"
    """It was none."""
    REFLECTOR = "reflector"
    """It came from a port on which a service answers, or its address has ignored what it was sent: likely forged."""
    SATURATED = "saturated"
    """Too many transfers, to its address or altogether, or no port to answer from."""


@dataclass(slots=True)
class Counters:
    """Written by the server's thread only; another one that reads may see some of a fetch already and some not yet.

    Attributes:
        requests: that arrived, answered or not.
        dropped: those that got no answer, by reason.
        fetches: ended, by outcome.
        payload: bytes that peers have acknowledged.
        blocks: blocks that peers have acknowledged.
        retransmits: packets sent again.
        strangers: datagrams that were answered with error 5, unknown transfer ID.
    """

    requests: int = 0
    dropped: Counter[Dropped] = field(default_factory=Counter)
    fetches: Counter[FetchOutcome] = field(default_factory=Counter)
    payload: int = 0
    blocks: int = 0
    retransmits: int = 0
    strangers: int = 0

    def add(self, fetch: Fetch) -> None:
        """Count a fetch that has ended."""
        self.fetches[fetch.outcome] += 1
        self.payload += fetch.acknowledged
        self.blocks += fetch.blocks
        self.retransmits += fetch.retransmits
