"""Many datagrams in one system call, and the transfers that go on without leaving these buffers.

In a boot storm nearly every datagram is the acknowledgement that a transfer waits for, and its answer is the next full
block. ``Batch.advance`` answers those by pointing the kernel at the block where it lies in memory: no packet is built
and no object made. All other datagrams it hands back.
"""

import ctypes
import struct
import sys
from array import array
from collections.abc import Mapping
from typing import Any, NamedTuple, TypeAlias

from cisisk.provisioning.tftp import wire
from cisisk.provisioning.tftp.transfer import Transfer
from cisisk.provisioning.tftp.wire import ACK_WORD, NO_WORD

RECEIVED_AT_ONCE = 256
"""Datagrams of one recvmmsg: enough to make the price of the call vanish, and answered within a millisecond."""

SENT_AT_ONCE = 128
"""Datagrams of one sendmmsg that were made one by one: the first blocks of new transfers, OACKs, errors, windows."""
LONGEST_COPY = 1536
"""Bytes of such a datagram: what one frame of Ethernet holds. A longer one is a block of jumbo size."""
SHORT_READ = 64
"""Bytes kept of a datagram of a transfer: an acknowledgement has 4, of an error the code counts."""

SocketName: TypeAlias = bytes
"""A ``struct sockaddr_in`` or ``sockaddr_in6`` as the kernel writes it: quicker to look up than a Python address."""

_MSG_DONTWAIT = 0x40
_ACK_LENGTH = 4

# A struct mmsghdr of 64-bit Linux, in words of 8 bytes: name, its length, vector, its length, control, its length,
# flags, length of the datagram. A struct iovec is address and length.
_MESSAGE = 8
_NAME, _NAME_LENGTH, _VECTOR, _VECTOR_LENGTH, _DATAGRAM_LENGTH = 0, 1, 2, 3, 7

_kernel = ctypes.CDLL(None, use_errno=True)


def is_available() -> bool:
    """Whether this system has the two calls, and the layout this module writes."""
    known_layout = sys.platform == "linux" and sys.byteorder == "little" and struct.calcsize("P") == 8
    return known_layout and hasattr(_kernel, "recvmmsg") and hasattr(_kernel, "sendmmsg")


class Turn(NamedTuple):
    """What one reading of a socket brought.

    Attributes:
        datagrams: how many.
        completed: who acknowledged the last block.
        left: what was not dealt with: sender, and the datagram as far as it is kept.
    """

    datagrams: int
    completed: list[SocketName]
    left: list[tuple[SocketName, bytes]]


class Batch:
    """The buffers for the sockets of one address family. Belongs to one thread."""

    def __init__(self, name_length: int, longest: int) -> None:
        """Make them.

        Args:
            name_length: bytes of a socket name, 16 for IPv4, 28 for IPv6.
            longest: bytes kept of a datagram.
        """
        self._longest = longest
        self._word_form = f">I{longest - 4}x"
        self._name_length = name_length
        self._name_form = f"{name_length}s"
        self._receive, self._send = _kernel.recvmmsg, _kernel.sendmmsg
        self._receive.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_uint, ctypes.c_int, ctypes.c_void_p]
        self._send.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_uint, ctypes.c_int]
        self._senders = memoryview(bytearray(name_length * RECEIVED_AT_ONCE))
        self._senders_at = _address(self._senders)
        self._datagrams = memoryview(bytearray(self._longest * RECEIVED_AT_ONCE))
        self._received = array("Q", bytes(8 * _MESSAGE * RECEIVED_AT_ONCE))
        self._receivers = bytearray(name_length * RECEIVED_AT_ONCE)
        self._answers = array("Q", bytes(8 * _MESSAGE * RECEIVED_AT_ONCE))
        self._copies = bytearray(LONGEST_COPY * SENT_AT_ONCE)
        self._posts = array("Q", bytes(8 * _MESSAGE * SENT_AT_ONCE))
        self._vectors_in = array("Q", bytes(16 * RECEIVED_AT_ONCE))
        self._vectors_out = array("Q", bytes(32 * RECEIVED_AT_ONCE))
        self._vectors_posted = array("Q", bytes(16 * SENT_AT_ONCE))
        self._lay_out()

    def _lay_out(self) -> None:
        """Point every message at its slots; what lies in them changes later, and the vectors of what is sent."""
        datagrams, copies = _address(self._datagrams), _address(self._copies)
        for slot in range(RECEIVED_AT_ONCE):
            self._vectors_in[2 * slot] = datagrams + self._longest * slot
            self._vectors_in[2 * slot + 1] = self._longest
            self._vectors_out[4 * slot + 1] = wire.HEADER_LENGTH
        for slot in range(SENT_AT_ONCE):
            self._vectors_posted[2 * slot] = copies + LONGEST_COPY * slot
        self._join(self._received, self._senders, self._vectors_in, 1)
        self._join(self._answers, self._senders, self._vectors_out, 2)
        self._join(self._posts, self._receivers, self._vectors_posted, 1)

    def _join(self, messages: "array[int]", names: Any, vectors: "array[int]", parts: int) -> None:
        first_name, first_vector = _address(names), _address(vectors)
        for slot in range(len(messages) // _MESSAGE):
            message = _MESSAGE * slot
            messages[message + _NAME] = first_name + self._name_length * slot
            messages[message + _NAME_LENGTH] = self._name_length
            messages[message + _VECTOR] = first_vector + 16 * parts * slot
            messages[message + _VECTOR_LENGTH] = parts

    def advance(self, descriptor: int, transfers: Mapping[Any, Transfer], now: float) -> Turn:
        """Read the socket ``descriptor`` once and answer every acknowledgement that its transfer awaits."""
        count = self._receive(descriptor, self._received.buffer_info()[0], RECEIVED_AT_ONCE, _MSG_DONTWAIT, None)
        if count <= 0:
            return Turn(0, [], [])
        turn = Turn(count, [], [])
        answered = 0
        find, messages, vectors, name_length = transfers.get, self._answers, self._vectors_out, self._name_length
        senders = struct.iter_unpack(self._name_form, self._senders[: name_length * count])
        words = struct.iter_unpack(self._word_form, self._datagrams[: self._longest * count])
        lengths = self._received[_DATAGRAM_LENGTH : _MESSAGE * count : _MESSAGE]
        for index, ((sender,), (word,), length) in enumerate(zip(senders, words, lengths, strict=True)):
            transfer = find(sender)
            if transfer is None or word != transfer.awaited or length != _ACK_LENGTH:
                start = self._longest * index
                turn.left.append((sender, bytes(self._datagrams[start : start + length])))
                continue
            # What Transfer.receive would do, for the one case that is nearly every case.
            acknowledged = transfer.sent
            if acknowledged == transfer.total:
                turn.completed.append(sender)
                continue
            transfer.blocks = acknowledged
            transfer.sent = block = acknowledged + 1
            transfer.sent_at = now
            number = block & 0xFFFF
            transfer.awaited = ACK_WORD | number if block <= transfer.last_ready else NO_WORD
            messages[_MESSAGE * answered] = self._senders_at + name_length * index
            slot = 4 * answered
            vectors[slot] = _HEADERS_AT + 4 * number
            vectors[slot + 2] = transfer.stretch_at + acknowledged * transfer.blksize
            vectors[slot + 3] = transfer.blksize if block < transfer.total else transfer.rest
            answered += 1
        if answered:
            self._flush(descriptor, messages, answered)
        return turn

    def send(self, descriptor: int, datagrams: list[tuple[SocketName, bytes]]) -> None:
        """Send datagrams of at most ``LONGEST_COPY`` bytes."""
        size = self._name_length
        for first in range(0, len(datagrams), SENT_AT_ONCE):
            some = datagrams[first : first + SENT_AT_ONCE]
            for slot, (receiver, datagram) in enumerate(some):
                start = LONGEST_COPY * slot
                self._copies[start : start + len(datagram)] = datagram
                self._vectors_posted[2 * slot + 1] = len(datagram)
                self._receivers[size * slot : size * slot + size] = receiver
            self._flush(descriptor, self._posts, len(some))

    def _flush(self, descriptor: int, messages: "array[int]", count: int) -> None:
        """Send what stands ready. A datagram that the kernel refuses is lost like any other, and repeated like any."""
        address = messages.buffer_info()[0]
        first = 0
        while first < count:
            sent = self._send(descriptor, address + 8 * _MESSAGE * first, count - first, _MSG_DONTWAIT)
            first += max(sent, 1)


def _address(buffer: Any) -> int:
    """Where a buffer lies in memory. It must outlive the use, and an array must not grow."""
    return ctypes.addressof(ctypes.c_char.from_buffer(buffer))


_HEADERS = bytearray(b"".join(wire.data(block, b"") for block in range(wire.BLOCK_NUMBERS)))
"""The head of every possible DATA packet: 256 KiB in place of one made for each packet."""
_HEADERS_AT = _address(_HEADERS)
