"""One file on its way to one peer: the sending side of RFC 1350 as a state machine without sockets and clock."""

import logging
from typing import TypeAlias

from cisisk.provisioning.fetch import Outcome
from cisisk.provisioning.source import Content
from cisisk.provisioning.tftp import wire
from cisisk.provisioning.tftp.options import Agreement, negotiate

INTERVALS = (1.0, 2.0, 4.0, 4.0, 4.0)
"""Seconds the server waits after each sending of a packet; after the last it gives the peer up. No phone's own timer is
known; a second is long for a LAN, and the growth leaves a congested one alone."""
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
    """Sends one content, a block at a time.

    Every method that takes ``now`` (seconds of a monotonic clock) answers with what is to be sent. When ``deadline``
    has come, ``expire`` is due. Once ``outcome`` is set nothing more is sent, and the content can be closed by whoever
    opened it.

    Attributes:
        request: what the peer asked for.
        options: what was agreed on.
        size: bytes of the content.
        sha256: of the content, hexadecimal, or None.
        deadline: monotonic time at which the packet on its way has waited long enough.
        outcome: how it ended; None while it lives.
        blocks: blocks the peer has acknowledged.
        retransmits: packets sent again.
    """

    __slots__ = (
        "_content",
        "_outstanding",
        "_packet",
        "_proven",
        "_sendings",
        "_started",
        "blocks",
        "deadline",
        "options",
        "outcome",
        "request",
        "retransmits",
        "sha256",
        "size",
    )

    def __init__(self, request: wire.Request, content: Content, now: float) -> None:
        self.request = request
        self.size = content.size
        self.sha256 = content.sha256
        self.options: Agreement = negotiate(request.options, self.size)
        self.deadline = now
        self.outcome: Outcome | None = None
        self.blocks = 0
        self.retransmits = 0
        self._content = content
        self._started = now
        self._outstanding = 0
        self._packet = b""
        self._sendings = 0
        self._proven = False

    @property
    def acknowledged(self) -> int:
        """Bytes the peer has confirmed."""
        return min(self.blocks * self.options.blksize, self.size)

    def start(self, now: float) -> Datagrams:
        """The OACK, or block 1 when there is nothing to agree on (RFC 2347)."""
        if self.options.accepted:
            return self._send(wire.oack(self.options.accepted), now)
        return self._send_block(1, now)

    def receive(self, datagram: bytes, now: float) -> Datagrams:
        """The answer to what the peer sent.

        Only the acknowledgement of the packet on its way moves the transfer. An older one must not bring forth a
        packet (the Sorcerer's Apprentice, RFC 1123 section 4.2.3.1), a later one cannot be honest.
        """
        if self.outcome is not None:
            return NOTHING
        try:
            packet = wire.parse(datagram)
        except wire.Malformed:
            return NOTHING
        if isinstance(packet, wire.Ack):
            return self._acknowledge(packet.block, now)
        return self._end(Outcome.ABORTED) if isinstance(packet, wire.Error) else NOTHING

    def repeat(self) -> Datagrams:
        """The packet on its way once more: the peer has sent its request again, so it lacks the answer.

        The deadline stands. A phone that has restarted asks on and on from the same port and cannot use a block from
        the middle: it gets a new transfer when this one is given up.
        """
        if self.outcome is not None:
            return NOTHING
        self.retransmits += 1
        return (self._packet,)

    def expire(self, now: float) -> Datagrams:
        """The packet on its way once more, or the end, when ``deadline`` has come."""
        if self.outcome is not None or now < self.deadline:
            return NOTHING
        if self._sendings >= self._tries or (not self._proven and now >= self._started + UNPROVEN_LIFE):
            return self._end(Outcome.TIMED_OUT)
        self._sendings += 1
        self.retransmits += 1
        self._wait(now)
        return (self._packet,)

    def abandon(self) -> Datagrams:
        """The peer has turned to another request and hears no more of this one."""
        return self._end(Outcome.ABORTED)

    def cut(self, reason: str) -> Datagrams:
        """The server ends it; ``reason`` is told to the peer."""
        return self._end(Outcome.CUT, wire.error(wire.ErrorCode.UNDEFINED, reason))

    @property
    def _tries(self) -> int:
        return len(INTERVALS) if self._proven else UNPROVEN_SENDINGS

    def _acknowledge(self, block: int, now: float) -> Datagrams:
        if block != self._outstanding % wire.BLOCK_NUMBERS:
            return NOTHING
        self._proven = True
        self.blocks = self._outstanding
        if self.blocks * self.options.blksize > self.size:
            return self._end(Outcome.COMPLETED)
        return self._send_block(self._outstanding + 1, now)

    def _send_block(self, block: int, now: float) -> Datagrams:
        offset = (block - 1) * self.options.blksize
        length = min(self.options.blksize, self.size - offset)
        try:
            payload = self._content.read(offset, length)
        except OSError as error:
            return self._unreadable(str(error))
        if len(payload) != length:
            return self._unreadable(f"{len(payload)} bytes at {offset} instead of {length}")
        self._outstanding = block
        return self._send(wire.data(block, payload), now)

    def _unreadable(self, reason: str) -> Datagrams:
        log.error("cannot read %r: %s", self.request.name, reason)
        return self.cut(CANNOT_READ)

    def _send(self, packet: bytes, now: float) -> Datagrams:
        self._packet = packet
        self._sendings = 1
        self._wait(now)
        return (packet,)

    def _wait(self, now: float) -> None:
        self.deadline = now + max(INTERVALS[self._sendings - 1], self.options.timeout or 0)
        if not self._proven:
            self.deadline = min(self.deadline, self._started + UNPROVEN_LIFE)

    def _end(self, outcome: Outcome, *last_words: bytes) -> Datagrams:
        if self.outcome is not None:
            return NOTHING
        self.outcome = outcome
        return last_words
