"""Counters of the TFTP server since its start, for metrics."""

from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum

from cisisk.provisioning.fetch import Fetch, FetchOutcome


class Dropped(StrEnum):
    """Why a request got no answer."""

    MALFORMED = "malformed"
    """It is not a TFTP request."""
    REFLECTOR = "reflector"
    """It came from the port of a service, or its address has ignored earlier answers: probably forged."""
    SATURATED = "saturated"
    """Too many transfers, of its address or in total, or no free reply port."""


@dataclass(slots=True)
class Counters:
    """Written by the server's thread only. A reader in another thread may see a fetch counted in part.

    Attributes:
        requests: that arrived, answered or not.
        dropped: requests without an answer, by reason.
        fetches: that have ended, by outcome.
        payload: bytes that peers have acknowledged.
        blocks: blocks that peers have acknowledged.
        retransmits: packets that were sent again.
        unknown_tids: datagrams that were answered with error 5, unknown transfer ID.
    """

    requests: int = 0
    dropped: Counter[Dropped] = field(default_factory=Counter)
    fetches: Counter[FetchOutcome] = field(default_factory=Counter)
    payload: int = 0
    blocks: int = 0
    retransmits: int = 0
    unknown_tids: int = 0

    def add(self, fetch: Fetch) -> None:
        """Count a fetch that has ended."""
        self.fetches[fetch.outcome] += 1
        self.payload += fetch.acknowledged
        self.blocks += fetch.blocks
        self.retransmits += fetch.retransmits
