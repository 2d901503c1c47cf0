"""Blocks that follow one another without a decision: what a storm consists of, ready to be counted through."""

import functools
import itertools
import sys
from array import array
from collections.abc import Iterator
from operator import length_hint
from typing import TypeAlias

from cisisk.provisioning.tftp import wire

Lane: TypeAlias = tuple[Iterator[int], Iterator[int]]
"""The acknowledgements that are awaited one after the other, each read as one big-endian number; and for each of them
where its answer begins in memory: two ``struct iovec``, head and payload of a DATA packet. The answers end first."""

NO_LANE: Lane = (itertools.repeat(wire.NO_WORD), itertools.repeat(0))
"""Awaits nothing and answers nothing."""

LONGEST_RUN = 128
"""Blocks of one run, which take 4 KiB to describe: a config is one run, and nobody who agrees on blocks of 8 bytes gets
megabytes for that."""
VECTORS_LENGTH = 32
"""Bytes of the two ``struct iovec`` (address and length, 8 bytes each) of one answer."""


def _every_head() -> "array[int]":
    """The head of every possible DATA packet: 256 KiB in place of one made for each packet."""
    numbers = array("H", range(wire.BLOCK_NUMBERS))
    if sys.byteorder == "little":
        numbers.byteswap()
    heads = array("H", wire.data(0, b"")) * wire.BLOCK_NUMBERS
    heads[1::2] = numbers
    return heads


_HEADERS = _every_head()
_HEADERS_AT = _HEADERS.buffer_info()[0]


class Run:
    """The rest of a stretch, block by block, to whoever acknowledges one block after the other.

    It keeps no second count: how far it has come is what is left of its answers.
    """

    __slots__ = ("_length", "_vectors", "lane")

    def __init__(self, sent: int, blocks: int, address: int, blksize: int, last_length: int) -> None:
        """Describe the ``blocks`` that come after block ``sent``, which is on its way.

        Their numbers must not pass 65,535, and they are :data:`LONGEST_RUN` at most.

        Args:
            sent: counted without rollover; 0 while the OACK is on its way.
            blocks: how many.
            address: where the first of them begins in memory, the others behind it; it must stay there.
            blksize: bytes of each block but the last.
            last_length: bytes of the last.
        """
        number = sent % wire.BLOCK_NUMBERS
        vectors = _heads_and_lengths(number + 1, blocks, blksize)[:]
        vectors[2::4] = array("Q", [*range(address, address + blksize * blocks, blksize)])
        if blocks:
            vectors[-1] = last_length
        first = vectors.buffer_info()[0]
        self._vectors = vectors
        self._length = blocks
        answers = iter(range(first, first + VECTORS_LENGTH * blocks, VECTORS_LENGTH))
        self.lane: Lane = (itertools.count(wire.ACK_WORD | number), answers)

    @property
    def left(self) -> int:
        """Blocks that were not asked for yet."""
        return length_hint(self.lane[1])

    @property
    def answered(self) -> int:
        """Blocks that were asked for."""
        return self._length - self.left


@functools.lru_cache(256)
def _heads_and_lengths(number: int, blocks: int, blksize: int) -> "array[int]":
    """The vectors of ``blocks`` full blocks from ``number`` on, without their payloads: as storms ask for them."""
    vectors = array("Q", bytes(VECTORS_LENGTH * blocks))
    head = _HEADERS_AT + wire.HEADER_LENGTH * number
    vectors[0::4] = array("Q", [*range(head, head + wire.HEADER_LENGTH * blocks, wire.HEADER_LENGTH)])
    vectors[1::4] = array("Q", [wire.HEADER_LENGTH]) * blocks
    vectors[3::4] = array("Q", [blksize]) * blocks
    return vectors
