"""One file on its way to one peer: the sender of RFC 1350 and 7440 as a state machine without sockets and clock."""

import logging
from typing import TypeAlias

from cisisk.provisioning.fetch import FetchOutcome
from cisisk.provisioning.source import Content
from cisisk.provisioning.tftp import wire
from cisisk.provisioning.tftp.options import DEFAULT_LARGEST_BLKSIZE, Agreement, negotiate

INTERVALS = (0.2, 0.4, 0.8, 1.6, 3.2, 4.0)
"""Seconds the server waits after each sending of a packet; after the last it gives the peer up. No phone's own timer is
known, likely a second: 0.2 s mends a loss before it, is long for a LAN, and the growth leaves a congested one alone."""
UNPROVEN_SENDINGS = 3
"""So often is the first packet sent. Until its acknowledgement the address may be a forged one, and every sending is
traffic aimed at somebody who asked for nothing."""
UNPROVEN_LIFE = 30.0
"""Seconds a transfer lives without any acknowledgement. Only a timeout option above 10 s gets that far; without the
limit 4,096 forged requests with 255 s would close the server to phones for a quarter of an hour."""

Datagrams: TypeAlias = tuple[bytes, ...]
"""What is to be sent to the peer now."""

NOTHING: Datagrams = ()

CANNOT_READ = "the file cannot be read"
"""What the peer is told; why is none of its business and stands in the log."""

log = logging.getLogger(__name__)


class Transfer:
    """Sends one content, a block or a window of blocks at a time.

    Every method that takes ``now`` (seconds of a monotonic clock) answers with what is to be sent. When ``deadline``
    has come, ``expire`` is due. Once ``outcome`` is set nothing more is sent, and the content can be closed by whoever
    opened it.

    Attributes:
        request: what the peer asked for.
        options: what was agreed on; ``blksize`` is the one from there.
        size: bytes of the content.
        sha256: of the content, hexadecimal, or None.
        outcome: how it ended; None while it lives.
        blocks: blocks the peer has acknowledged.
        sent: the last block that is on its way, counted from 1 without rollover; 0 while the OACK is.
        sent_at: monotonic time at which it was sent, or seen to have been.
        retransmits: packets sent again.
        total: blocks of the whole content.
    """

    __slots__ = (
        "_content",
        "_sendings",
        "_started",
        "_wait",
        "_went_back_to",
        "blksize",
        "blocks",
        "options",
        "outcome",
        "request",
        "retransmits",
        "sent",
        "sent_at",
        "sha256",
        "size",
        "total",
    )

    def __init__(
        self,
        request: wire.TftpRequest,
        content: Content,
        now: float,
        *,
        largest_blksize: int = DEFAULT_LARGEST_BLKSIZE,
    ) -> None:
        self.request = request
        self.size = content.size
        self.sha256 = content.sha256
        self.options: Agreement = negotiate(request.options, self.size, largest_blksize=largest_blksize)
        self.blksize = self.options.blksize
        self.outcome: FetchOutcome | None = None
        self.blocks = self.sent = self.retransmits = 0
        self.sent_at = self._started = now
        self.total = self.size // self.blksize + 1
        self._content = content
        self._sendings = 0
        self._wait = 0.0
        self._went_back_to = -1

    @property
    def acknowledged(self) -> int:
        """Bytes the peer has confirmed."""
        return min(self.blocks * self.blksize, self.size)

    @property
    def deadline(self) -> float:
        """Monotonic time at which what is on its way has waited long enough."""
        return self.sent_at + self._wait

    def start(self, now: float) -> Datagrams:
        """The OACK, or block 1 when there is nothing to agree on (RFC 2347)."""
        if not self.options.accepted:
            return self._send(1, now)
        self._wait_anew(now)
        return self._on_its_way()

    def receive(self, datagram: bytes, now: float) -> Datagrams:
        """The answer to what the peer sent.

        In lock-step only the acknowledgement of the packet on its way moves the transfer. An older one must not bring
        forth a packet (the Sorcerer's Apprentice, RFC 1123 section 4.2.3.1), a later one cannot be honest.
        """
        if self.outcome is not None:
            return NOTHING
        number = wire.acknowledged(datagram)
        if number is not None:
            return self._acknowledge(number, now)
        return self._end(FetchOutcome.ABORTED) if wire.is_error(datagram) else NOTHING

    def repeat(self) -> Datagrams:
        """What is on its way once more: the peer has sent its request again, so it lacks the answer.

        The deadline stands. A phone that has restarted asks on and on from the same port and cannot use a block from
        the middle: it gets a new transfer when this one is given up.
        """
        if self.outcome is not None:
            return NOTHING
        return self._repeated()

    def is_due(self, now: float) -> bool:
        """Whether ``expire`` is due."""
        return now >= self.sent_at + self._wait

    def expire(self, now: float) -> Datagrams:
        """What is on its way once more, or the end, when ``deadline`` has come."""
        if self.outcome is not None or not self.is_due(now):
            return NOTHING
        tries = len(INTERVALS) if self.is_proven else UNPROVEN_SENDINGS
        if self._sendings >= tries or (not self.is_proven and now >= self._started + UNPROVEN_LIFE):
            return self._end(FetchOutcome.TIMED_OUT)
        self._sendings += 1
        self._wait_from(now)
        return self._repeated()

    def abandon(self) -> Datagrams:
        """The peer has turned to another request and hears no more of this one."""
        return self._end(FetchOutcome.ABORTED)

    def cut(self, reason: str) -> Datagrams:
        """The server ends it; ``reason`` is told to the peer."""
        return self._end(FetchOutcome.CUT, wire.error(wire.ErrorCode.UNDEFINED, reason))

    @property
    def is_proven(self) -> bool:
        """Whether the peer has acknowledged anything: it is there, and wants this."""
        return self.blocks > 0 or (self.sent > 0 and bool(self.options.accepted))

    def _acknowledge(self, number: int, now: float) -> Datagrams:
        """``number`` confirms everything up to the block it means: one of those on their way, or the one before.

        Of a window RFC 7440 lets the receiver confirm a part, and the rest is sent again. A receiver that lacks the
        first block of a window says so by confirming the last one of the window before: that is heeded once.
        """
        confirmed = (number - self.blocks) % wire.BLOCK_NUMBERS
        if confirmed > self.sent - self.blocks:
            return NOTHING
        if confirmed == 0 and self.sent > 0:
            if self.options.windowsize == 1 or not self.is_proven or self._went_back_to == self.blocks:
                return NOTHING
            self._went_back_to = self.blocks
        self.blocks += confirmed
        if self.blocks == self.total:
            return self._end(FetchOutcome.COMPLETED)
        return self._send(min(self.blocks + self.options.windowsize, self.total), now)

    def _send(self, last: int, now: float) -> Datagrams:
        """The blocks from the first that is not acknowledged to ``last``, for the first time or after a gap."""
        self.retransmits += self.sent - self.blocks
        self.sent = last
        self._wait_anew(now)
        return self._on_its_way()

    def _repeated(self) -> Datagrams:
        datagrams = self._on_its_way()
        self.retransmits += len(datagrams)
        return datagrams

    def _on_its_way(self) -> Datagrams:
        try:
            if self.sent == 0:
                self._payload(1)  # a disk that fails is better told now
                return (wire.oack(self.options.accepted),)
            return tuple([wire.data(block, self._payload(block)) for block in range(self.blocks + 1, self.sent + 1)])
        except OSError as error:
            log.error("cannot read %r: %s", self.request.name, error)  # noqa: TRY400 -- a disk's fault, not the code's
            return self.cut(CANNOT_READ)

    def _payload(self, block: int) -> bytes:
        """The bytes of a block. Raises OSError: the disk fails, or the file has shrunk."""
        start, end = self._bounds(block)
        return self._read(start, end - start)

    def _bounds(self, block: int) -> tuple[int, int]:
        """Offsets of the first byte of a block and after its last."""
        start = (block - 1) * self.blksize
        return start, min(start + self.blksize, self.size)

    def _read(self, start: int, length: int, *, at_once: int = 0) -> bytes:
        """At least ``length`` bytes, ``at_once`` if there are as many. Raises OSError."""
        content = self._content.read(start, max(length, at_once))
        if len(content) < length:
            raise OSError(f"{len(content)} bytes at {start} instead of {length}")
        return content

    def _wait_anew(self, now: float) -> None:
        self._sendings = 1
        self._wait_from(now)

    def _wait_from(self, now: float) -> None:
        self.sent_at = now
        self._wait = max(INTERVALS[self._sendings - 1], self.options.timeout or 0)
        if not self.is_proven:
            self._wait = min(self._wait, self._started + UNPROVEN_LIFE - now)

    def _end(self, outcome: FetchOutcome, *last_words: bytes) -> Datagrams:
        if self.outcome is not None:
            return NOTHING
        self.outcome = outcome
        return last_words
