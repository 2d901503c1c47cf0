"""Many datagrams in one system call: recvmmsg(2) and sendmmsg(2).

``Batch.advance`` answers the acknowledgements that transfers await by pointing the kernel at the next block in memory.
No packet is built, and Python code handles the batch as a whole instead of each datagram. All others are returned.
"""

import ctypes
import struct
from array import array
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import repeat
from typing import Any, NamedTuple

from cisisk.provisioning.tftp.fastpath.block_run import NO_ANSWERS, PreparedAnswers
from cisisk.provisioning.tftp.fastpath.memory import buffer_address, kernel
from cisisk.provisioning.tftp.fastpath.socket_names import SocketName
from cisisk.provisioning.tftp.fastpath.transfer import FastTransfer

RECEIVED_AT_ONCE = 256
"""Datagrams of one recvmmsg: enough to make the call's cost negligible, and handled within a millisecond."""
SENT_AT_ONCE = 128
"""Copied datagrams of one sendmmsg: the first blocks of transfers, OACKs, errors."""
LONGEST_COPY = 1536
"""Bytes of the longest copied datagram: an Ethernet frame. Longer ones are sent singly."""
SHORT_READ = 64
"""Bytes kept of a transfer's datagram: an acknowledgement has 4, and of an error only the code matters."""
LONGEST_CONTROL = 64
"""Bytes kept of what the kernel adds to a datagram: IP_PKTINFO takes 32, IPV6_PKTINFO 40."""

_MSG_DONTWAIT = 0x40
_FORM_STEP = 16
_ACK_LENGTH = 4

# A struct mmsghdr of 64-bit Linux, in words of 8 bytes: name, its length, vector, its length, control, its length,
# flags, length of the datagram. A struct iovec is address and length.
_MESSAGE = 8
_NAME, _NAME_LENGTH, _VECTOR, _VECTOR_LENGTH, _CONTROL, _CONTROL_LENGTH, _DATAGRAM_LENGTH = 0, 1, 2, 3, 4, 5, 7


class _NoTransfer:
    """Stands for the transfer of a sender that has none."""

    prepared = NO_ANSWERS


_NO_TRANSFER: Any = _NoTransfer()


class BatchResult(NamedTuple):
    """What one call of recvmmsg brought.

    Attributes:
        received: number of datagrams.
        unanswered: sender and content, as far as it is kept, of each datagram that had no prepared answer.
    """

    received: int
    unanswered: list[tuple[SocketName, bytes]]


class Inbox:
    """Buffers that one recvmmsg fills. Belongs to one thread."""

    def __init__(self, name_length: int, longest: int, *, slots: int = RECEIVED_AT_ONCE, control: int = 0) -> None:
        """Allocate the buffers.

        Args:
            name_length: bytes of a socket name, 16 for IPv4, 28 for IPv6.
            longest: bytes kept of a datagram.
            slots: datagrams received at once.
            control: bytes kept of what the kernel adds to each.
        """
        self._slots, self._longest, self._name_length, self._control_length = slots, longest, name_length, control
        self._call = kernel().recvmmsg
        self._call.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_uint, ctypes.c_int, ctypes.c_void_p]
        self.senders = memoryview(bytearray(name_length * slots))
        self.datagrams = memoryview(bytearray(longest * slots))
        self._control = memoryview(bytearray(max(control, 1) * slots))
        self._vectors = array("Q", bytes(16 * slots))
        self._vectors[0::2] = _addresses(self.datagrams, longest, slots)
        self._vectors[1::2] = array("Q", [longest]) * slots
        self._messages = _messages(self.senders, name_length, self._vectors, slots, parts=1)
        if control:
            self._messages[_CONTROL::_MESSAGE] = _addresses(self._control, control, slots)
        self._controls = array("Q", [control]) * slots

    def receive(self, descriptor: int) -> int:
        """Fill the slots with datagrams that have arrived, from the first on; return their number."""
        # The kernel overwrites the available lengths with the used ones.
        self._messages[_CONTROL_LENGTH::_MESSAGE] = self._controls
        count: int = self._call(descriptor, self._messages.buffer_info()[0], self._slots, _MSG_DONTWAIT, None)
        return max(count, 0)

    def names(self, count: int) -> tuple[SocketName, ...]:
        """Return the senders of the first ``count`` datagrams."""
        some = _rounded(count)
        return _form("=", f"{self._name_length}s", some).unpack_from(self.senders)[:count]

    def words(self, count: int) -> tuple[int, ...]:
        """Return the first four bytes of ``count`` datagrams, each as one big-endian number."""
        some = _rounded(count)
        return _form(">", f"I{self._longest - 4}x", some).unpack_from(self.datagrams)[:count]

    def lengths(self, count: int) -> "array[int]":
        """Return the lengths of the first ``count`` datagrams, as far as they are kept."""
        return self._messages[_DATAGRAM_LENGTH : _MESSAGE * count : _MESSAGE]

    def datagram(self, slot: int, length: int) -> tuple[SocketName, bytes]:
        """Return sender and content of one datagram."""
        name, start = self._name_length * slot, self._longest * slot
        return bytes(self.senders[name : name + self._name_length]), bytes(self.datagrams[start : start + length])

    def arrivals(self, descriptor: int) -> Iterator[tuple[SocketName, bytes, bytes]]:
        """Yield sender, content and control data of what has arrived."""
        count = self.receive(descriptor)
        controls = self._messages[_CONTROL_LENGTH : _MESSAGE * count : _MESSAGE]
        for slot, (length, used) in enumerate(zip(self.lengths(count), controls, strict=True)):
            start = self._control_length * slot
            yield (*self.datagram(slot, length), bytes(self._control[start : start + used]))


class Batch:
    """The buffers for the transfers of one address family. Belongs to one thread."""

    def __init__(self, name_length: int, longest: int) -> None:
        """Allocate the buffers.

        Args:
            name_length: bytes of a socket name, 16 for IPv4, 28 for IPv6.
            longest: bytes kept of a datagram.
        """
        self._inbox = Inbox(name_length, longest)
        self._name_length = name_length
        self._call = kernel().sendmmsg
        self._call.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_uint, ctypes.c_int]
        # An answer goes to the sender in the same slot.
        nowhere = array("Q", bytes(8))
        self._answers = _messages(self._inbox.senders, name_length, nowhere, RECEIVED_AT_ONCE, parts=2)
        self._receivers = memoryview(bytearray(name_length * SENT_AT_ONCE))
        self._copies = memoryview(bytearray(LONGEST_COPY * SENT_AT_ONCE))
        self._copied = array("Q", bytes(16 * SENT_AT_ONCE))
        self._copied[0::2] = _addresses(self._copies, LONGEST_COPY, SENT_AT_ONCE)
        self._posts = _messages(self._receivers, name_length, self._copied, SENT_AT_ONCE, parts=1)

    def advance(self, descriptor: int, transfers: Mapping[SocketName, FastTransfer]) -> BatchResult:
        """Read the socket ``descriptor`` once and send the prepared answers to what was read."""
        count = self._inbox.receive(descriptor)
        if not count:
            return BatchResult(0, [])
        # From here to the system call each step handles the whole batch in C: this is where a storm spends its time.
        found = list(map(transfers.get, self._inbox.names(count), repeat(_NO_TRANSFER)))
        words, lengths = self._inbox.words(count), self._inbox.lengths(count)
        prepared: list[PreparedAnswers] = [transfer.prepared for transfer in found]
        expected = tuple([next(awaited) for awaited, _ in prepared])
        if words != expected or lengths.count(_ACK_LENGTH) != count:
            odd = _odd(found, words, expected, lengths)
            prepared = [NO_ANSWERS if slot in odd else each for slot, each in enumerate(prepared)]
        vectors = array("Q", [next(answers, 0) for _, answers in prepared])
        self._answers[_VECTOR : _MESSAGE * count : _MESSAGE] = vectors
        unanswered = []
        first = 0
        for gap in _gaps(vectors):
            self._flush(descriptor, self._answers, first, gap)
            first = gap + 1
            unanswered.append(self._inbox.datagram(gap, lengths[gap]))
        self._flush(descriptor, self._answers, first, count)
        return BatchResult(count, unanswered)

    def send(self, descriptor: int, datagrams: Sequence[tuple[SocketName, bytes]]) -> None:
        """Send datagrams of at most ``LONGEST_COPY`` bytes."""
        size = self._name_length
        for begin in range(0, len(datagrams), SENT_AT_ONCE):
            some = datagrams[begin : begin + SENT_AT_ONCE]
            for slot, (receiver, datagram) in enumerate(some):
                start = LONGEST_COPY * slot
                self._copies[start : start + len(datagram)] = datagram
                self._copied[2 * slot + 1] = len(datagram)
                self._receivers[size * slot : size * slot + size] = receiver
            self._flush(descriptor, self._posts, 0, len(some))

    def _flush(self, descriptor: int, messages: "array[int]", first: int, end: int) -> None:
        """Send prepared messages. A datagram that the kernel refuses is lost and repeated like any other."""
        address = messages.buffer_info()[0]
        while first < end:
            sent = self._call(descriptor, address + 8 * _MESSAGE * first, end - first, _MSG_DONTWAIT)
            first += max(sent, 1)


def _rounded(count: int) -> int:
    """Round up, so that fewer structs are cached. The number of slots is a multiple of it."""
    return count + -count % _FORM_STEP


@lru_cache
def _form(order: str, item: str, count: int) -> struct.Struct:
    return struct.Struct(order + item * count)


def _odd(found: Sequence[object], words: Sequence[int], expected: Sequence[int], lengths: Sequence[int]) -> set[int]:
    """Return the slots of all senders with an unexpected datagram: the state machine must see theirs in order."""
    slots = {
        slot
        for slot, (word, awaited, length) in enumerate(zip(words, expected, lengths, strict=True))
        if word != awaited or length != _ACK_LENGTH
    }
    senders = {found[slot] for slot in slots}
    return {slot for slot, sender in enumerate(found) if sender in senders}


def _gaps(vectors: "array[int]") -> Iterator[int]:
    """Yield the slots without an answer."""
    gap = -1
    for _ in range(vectors.count(0)):
        gap = vectors.index(0, gap + 1)
        yield gap


def _messages(names: Any, name_length: int, vectors: Any, slots: int, *, parts: int) -> "array[int]":
    """Build message headers, each with its own name and vectors."""
    messages = array("Q", bytes(8 * _MESSAGE * slots))
    messages[_NAME::_MESSAGE] = _addresses(names, name_length, slots)
    messages[_NAME_LENGTH::_MESSAGE] = array("Q", [name_length]) * slots
    messages[_VECTOR::_MESSAGE] = _addresses(vectors, 16 * parts, slots)
    messages[_VECTOR_LENGTH::_MESSAGE] = array("Q", [parts]) * slots
    return messages


def _addresses(buffer: Any, step: int, slots: int) -> "array[int]":
    """Return the addresses of a buffer's slots. The buffer must outlive their use and keep its size."""
    first = buffer_address(buffer)
    return array("Q", range(first, first + step * slots, step))
