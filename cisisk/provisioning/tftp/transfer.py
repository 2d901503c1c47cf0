"""The transfer of one file to one peer: the sender of RFC 1350 and 7440 as a state machine.

It uses neither sockets nor a clock.
"""

import logging
from typing import TypeAlias

from cisisk.provisioning.fetch import FetchOutcome
from cisisk.provisioning.source import Content
from cisisk.provisioning.tftp import wire
from cisisk.provisioning.tftp.options import DEFAULT_LARGEST_BLKSIZE, Agreement, negotiate

INTERVALS = (0.2, 0.4, 0.8, 1.6, 3.2, 4.0)
"""Seconds the server waits after each sending of a packet; after the last it ends the transfer. The timers of phones
are not known, probably a second: 0.2 s repairs a loss earlier, is long for a LAN, and the growth spares a congested
one."""
UNPROVEN_SENDINGS = 3
"""Sendings of the first packet. Until it is acknowledged the address may be forged, and each sending is traffic to a
victim."""
UNPROVEN_LIFE = 30.0
"""Seconds that a transfer lasts without any acknowledgement. Only a timeout option above 10 s reaches it. Without the
limit, 4,096 forged requests with 255 s would block the server for a quarter of an hour."""

Datagrams: TypeAlias = tuple[bytes, ...]
"""The datagrams to send to the peer now."""

NOTHING: Datagrams = ()

CANNOT_READ = "the file cannot be read"
"""Sent to the peer. The log has the reason."""

log = logging.getLogger(__name__)


class Transfer:
    """Sends one content, a block or a window of blocks at a time.

    Methods return the datagrams to send. ``now`` is in seconds of a monotonic clock. At ``deadline``, ``expire`` is
    due. Once ``outcome`` is set nothing more is sent, and the caller can close the content.

    Attributes:
        request: of the peer.
        options: the negotiated ones; ``blksize`` is taken from there.
        size: bytes of the content.
        sha256: of the content, hexadecimal, or None.
        outcome: how it ended; None before that.
        blocks: blocks that the peer has acknowledged.
        sent: the last block that was sent, counted from 1 without rollover; 0 after the OACK.
        sent_at: monotonic time at which it was sent.
        retransmits: packets that were sent again.
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
        """Bytes that the peer has acknowledged."""
        return min(self.blocks * self.blksize, self.size)

    @property
    def deadline(self) -> float:
        """Monotonic time at which the last packet must be repeated."""
        return self.sent_at + self._wait

    def start(self, now: float) -> Datagrams:
        """Return the OACK, or block 1 if no option was accepted (RFC 2347)."""
        if not self.options.accepted:
            return self._send(1, now)
        self._wait_anew(now)
        return self._on_its_way()

    def receive(self, datagram: bytes, now: float) -> Datagrams:
        """Return the answer to a datagram from the peer.

        In lock-step only the acknowledgement of the last packet advances the transfer. An older one must not cause a
        packet (the Sorcerer's Apprentice, RFC 1123 section 4.2.3.1), and a later one cannot be valid.
        """
        if self.outcome is not None:
            return NOTHING
        number = wire.acknowledged(datagram)
        if number is not None:
            return self._acknowledge(number, now)
        return self._end(FetchOutcome.ABORTED) if wire.is_error(datagram) else NOTHING

    def repeat(self) -> Datagrams:
        """Repeat the last packets: the peer has repeated its request, so it lacks the answer.

        The deadline does not change. A phone that has restarted repeats its request from the same port and cannot use a
        block from the middle. It gets a new transfer when this one ends.
        """
        if self.outcome is not None:
            return NOTHING
        return self._repeated()

    def is_due(self, now: float) -> bool:
        """Whether ``expire`` is due."""
        return now >= self.sent_at + self._wait

    def expire(self, now: float) -> Datagrams:
        """Repeat the last packets at ``deadline``, or end the transfer."""
        if self.outcome is not None or not self.is_due(now):
            return NOTHING
        tries = len(INTERVALS) if self.is_proven else UNPROVEN_SENDINGS
        if self._sendings >= tries or (not self.is_proven and now >= self._started + UNPROVEN_LIFE):
            return self._end(FetchOutcome.TIMED_OUT)
        self._sendings += 1
        self._wait_from(now)
        return self._repeated()

    def abandon(self) -> Datagrams:
        """End the transfer, because the peer has sent another request."""
        return self._end(FetchOutcome.ABORTED)

    def cut(self, reason: str) -> Datagrams:
        """End the transfer, and send ``reason`` to the peer."""
        return self._end(FetchOutcome.CUT, wire.error(wire.ErrorCode.UNDEFINED, reason))

    @property
    def is_proven(self) -> bool:
        """Whether the peer has acknowledged anything, so that its address is not forged."""
        return self.blocks > 0 or (self.sent > 0 and bool(self.options.accepted))

    def _acknowledge(self, number: int, now: float) -> Datagrams:
        """Handle an acknowledgement: ``number`` confirms all blocks up to one of those sent, or to the one before them.

        RFC 7440 lets a receiver confirm a part of a window; the rest is sent again. A receiver that lacks the first
        block of a window confirms the last one of the window before: that repeats the window once.
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
        """Return the blocks after the acknowledged ones up to ``last``, which are sent for the first time or again."""
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
                self._payload(1)  # report a failing disk before the OACK
                return (wire.oack(self.options.accepted),)
            return tuple([wire.data(block, self._payload(block)) for block in range(self.blocks + 1, self.sent + 1)])
        except OSError as error:
            log.error("file not read: name=%r error=%r", self.request.name, error)  # noqa: TRY400 -- a disk's fault, not the code's
            return self.cut(CANNOT_READ)

    def _payload(self, block: int) -> bytes:
        """Return the bytes of a block. Raises OSError if the disk fails, or the file was truncated."""
        start, end = self._bounds(block)
        return self._read(start, end - start)

    def _bounds(self, block: int) -> tuple[int, int]:
        """Return the offsets of a block's first byte and after its last."""
        start = (block - 1) * self.blksize
        return start, min(start + self.blksize, self.size)

    def _read(self, start: int, length: int, *, at_once: int = 0) -> bytes:
        """Read at least ``length`` bytes, and ``at_once`` if there are that many. Raises OSError."""
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
