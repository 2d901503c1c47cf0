"""A transfer whose next blocks are laid out for the kernel in advance."""

from typing import NamedTuple

from cisisk.provisioning.fetch import FetchOutcome
from cisisk.provisioning.source import Content
from cisisk.provisioning.tftp import wire
from cisisk.provisioning.tftp.fastpath.block_run import LONGEST_RUN, NO_ANSWERS, BlockRun, PreparedAnswers
from cisisk.provisioning.tftp.fastpath.memory import address_of
from cisisk.provisioning.tftp.options import DEFAULT_LARGEST_BLKSIZE
from cisisk.provisioning.tftp.transfer import NOTHING, Datagrams, Transfer


class Chunk(NamedTuple):
    """A part of a content in memory.

    Attributes:
        start: offset of its first byte in the content.
        end: offset after its last byte.
    """

    start: int
    end: int
    content: bytes


_NO_CHUNK = Chunk(0, 0, b"")


class FastTransfer(Transfer):
    """Sends the same packets as Transfer.

    After ``make_ready`` the caller may send the answer to the next acknowledgement from ``prepared`` instead of calling
    ``receive``. When no answer is left it must call ``receive`` again. The next call of another method counts what was
    sent in that way.

    Attributes:
        prepared: what is awaited and how it is answered; ``NO_ANSWERS`` unless made ready.
    """

    __slots__ = ("_chunk", "_left", "_run", "prepared")

    def __init__(
        self,
        request: wire.TftpRequest,
        content: Content,
        now: float,
        *,
        largest_blksize: int = DEFAULT_LARGEST_BLKSIZE,
    ) -> None:
        super().__init__(request, content, now, largest_blksize=largest_blksize)
        self.prepared: PreparedAnswers = NO_ANSWERS
        self._run: BlockRun | None = None
        self._left = 0
        self._chunk = _NO_CHUNK

    def proceed(self, datagram: bytes, now: float) -> bytes | None:
        """Return what ``receive`` would answer, where that is the next block and lies in the current chunk.

        None: it is not, and nothing has changed. The shortest way for a caller that reads one datagram at a time.
        """
        block, chunk = self.sent, self._chunk
        offset = block * self.blksize - chunk.start
        if (
            datagram != wire.ack(block)
            or self._sendings > 1
            or self.blocks == 0
            or self._run is not None
            or self.options.windowsize > 1
            or block * self.blksize + self.blksize > chunk.end
            or self.outcome is not None
        ):
            return None
        self.blocks, self.sent, self.sent_at = block, block + 1, now
        return wire.data(block + 1, chunk.content[offset : offset + self.blksize])

    def make_ready(self) -> None:
        """Prepare the answers to the acknowledgements that need no more than the current chunk.

        Only in lock-step: the answer to a window depends on what arrives. And not while a packet is being repeated: the
        next acknowledgement must also reset the interval.
        """
        if self._run is not None or self.outcome is not None or self.options.windowsize > 1 or self._sendings > 1:
            return
        chunk, blksize = self._chunk, self.blksize
        in_chunk = self.total if chunk.end >= self.size else chunk.end // blksize
        last = min(in_chunk, self.sent + LONGEST_RUN, self.sent | wire.BLOCK_NUMBERS - 1)
        last_length = self.size % blksize if last == self.total else blksize
        address = address_of(chunk.content) - chunk.start + self.sent * blksize
        self._run = BlockRun(self.sent, last - self.sent, address, blksize, last_length)
        self.prepared, self._left = self._run.prepared, last - self.sent

    def receive(self, datagram: bytes, now: float) -> Datagrams:
        """See Transfer."""
        self._leave_run()
        return super().receive(datagram, now)

    def repeat(self) -> Datagrams:
        """See Transfer."""
        self._leave_run()
        return super().repeat()

    def is_due(self, now: float) -> bool:
        """See Transfer. This is also where it is seen that prepared answers were sent: ask often."""
        if self._run is not None and (left := self._run.left) != self._left:
            self._left, self.sent_at = left, now
        return super().is_due(now)

    def expire(self, now: float) -> Datagrams:
        """See Transfer."""
        if self.outcome is not None or not self.is_due(now):
            return NOTHING
        self._leave_run()
        return super().expire(now)

    def _end(self, outcome: FetchOutcome, *last_words: bytes) -> Datagrams:
        self._leave_run()
        return super()._end(outcome, *last_words)

    def _payload(self, block: int) -> bytes:
        start, end = self._bounds(block)
        chunk = self._chunk
        if not chunk.start <= start <= end <= chunk.end:
            content = self._read(start, end - start, at_once=self._content.read_ahead)
            chunk = self._chunk = Chunk(start, start + len(content), content)
        return chunk.content[start - chunk.start : end - chunk.start]

    def _leave_run(self) -> None:
        """Count the blocks that prepared answers have sent, and prepare no more of them."""
        run = self._run
        if run is not None:
            if answered := run.answered:
                self.sent += answered
                self.blocks = self.sent - 1
            self._run, self.prepared = None, NO_ANSWERS
