"""Consecutive blocks of one chunk, laid out as the kernel reads them, so that each can be sent without more work."""

import functools
import itertools
import sys
from array import array
from collections.abc import Iterator
from operator import length_hint
from typing import TypeAlias

from cisisk.provisioning.tftp import wire

PreparedAnswers: TypeAlias = tuple[Iterator[int], Iterator[int]]
"""The acknowledgements that are awaited, in order, each read as one big-endian number; and for each of them the address
of its answer: two ``struct iovec``, header and payload of a DATA packet. The answers end first."""

NO_ANSWERS: PreparedAnswers = (itertools.repeat(wire.NO_WORD), itertools.repeat(0))
"""Awaits no acknowledgement and has no answer."""

LONGEST_RUN = 128
"""Blocks of one run. They take 4 KiB to describe, whatever the block size: a peer that negotiates blocks of 8 bytes
cannot make a run of megabytes. A config is one run."""
VECTORS_LENGTH = 32
"""Bytes of the two ``struct iovec`` (address and length, 8 bytes each) of one answer."""


@functools.cache
def all_headers() -> "array[int]":
    """Return the headers of all DATA packets, made once: 256 KiB instead of a header for each packet."""
    numbers = array("H", range(wire.BLOCK_NUMBERS))
    if sys.byteorder == "little":
        numbers.byteswap()
    headers = array("H", wire.data(0, b"")) * wire.BLOCK_NUMBERS
    headers[1::2] = numbers
    return headers


class BlockRun:
    """The answers to the next acknowledgements of one transfer.

    It keeps no count: the number of blocks sent follows from the answers that are left.

    Attributes:
        prepared: the acknowledgements and their answers.
    """

    __slots__ = ("_length", "_vectors", "prepared")

    def __init__(self, sent: int, blocks: int, address: int, blksize: int, last_length: int) -> None:
        """Describe the ``blocks`` that come after block ``sent``, which is on its way.

        Their numbers must not pass 65,535, and they are :data:`LONGEST_RUN` at most.

        Args:
            sent: counted without rollover; 0 while the OACK is on its way.
            blocks: how many.
            address: of the first of them in memory, the others behind it; the bytes must live as long as the run.
            blksize: bytes of each block but the last.
            last_length: bytes of the last.
        """
        number = sent % wire.BLOCK_NUMBERS
        vectors = _headers_and_lengths(number + 1, blocks, blksize)[:]
        vectors[2::4] = array("Q", [*range(address, address + blksize * blocks, blksize)])
        if blocks:
            vectors[-1] = last_length
        first = vectors.buffer_info()[0]
        self._vectors = vectors
        self._length = blocks
        answers = iter(range(first, first + VECTORS_LENGTH * blocks, VECTORS_LENGTH))
        self.prepared: PreparedAnswers = (itertools.count(wire.ACK_WORD | number), answers)

    @property
    def left(self) -> int:
        """Blocks that were not asked for yet."""
        return length_hint(self.prepared[1])

    @property
    def answered(self) -> int:
        """Blocks that were asked for."""
        return self._length - self.left


@functools.lru_cache(256)
def _headers_and_lengths(number: int, blocks: int, blksize: int) -> "array[int]":
    """Vectors of ``blocks`` full blocks from ``number`` on, without payload addresses: many transfers share them."""
    vectors = array("Q", bytes(VECTORS_LENGTH * blocks))
    header = all_headers().buffer_info()[0] + wire.HEADER_LENGTH * number
    vectors[0::4] = array("Q", [*range(header, header + wire.HEADER_LENGTH * blocks, wire.HEADER_LENGTH)])
    vectors[1::4] = array("Q", [wire.HEADER_LENGTH]) * blocks
    vectors[3::4] = array("Q", [blksize]) * blocks
    return vectors
