"""Ports that answer in batches while they are busy, and one datagram at a time while they are not."""

import select
import socket
import struct
from typing import cast

from cisisk.provisioning.tftp.addresses import SocketAddress
from cisisk.provisioning.tftp.fastpath.batch import LONGEST_COPY, RECEIVED_AT_ONCE, SHORT_READ, Batch
from cisisk.provisioning.tftp.fastpath.block_run import all_headers
from cisisk.provisioning.tftp.fastpath.socket_names import NAME_LENGTHS, SocketName, socket_address, socket_name
from cisisk.provisioning.tftp.fastpath.transfer import FastTransfer
from cisisk.provisioning.tftp.ports import OpenSingle, Port, PortReading, Ports
from cisisk.provisioning.tftp.sockets import LONGEST_READ
from cisisk.provisioning.tftp.transfer import Datagrams, Transfer

FEW = 3
"""Up to this many transfers a port is read and answered one datagram at a time: cheaper than to prepare a batch."""
MAX_SEGMENTS, LONGEST_WRITE = 64, 65_000
"""Datagrams and bytes of one segmented write: UDP_MAX_SEGMENTS of kernels before 6.10, and the longest datagram."""

_UDP_SEGMENT = 103
"""Linux's number: the kernel cuts one long write into datagrams of this length (4.18 and later)."""
_SEGMENT_LENGTH = struct.Struct("=H")

_NOTHING_READ, _ANSWERED = PortReading(there_may_be_more=False), PortReading(there_may_be_more=True)


class FastPort(Port):
    """See Port. Its transfers are all FastTransfer.

    Attributes:
        by_name: the transfers by the kernel's name of their peer.
    """

    def __init__(self, ports: "FastPorts", bound: socket.socket, local: str, *, takes_requests: bool = False) -> None:
        super().__init__(ports, bound, local, takes_requests=takes_requests)
        self._fast_ports = ports
        self.family = bound.family
        self.by_name: dict[SocketName, FastTransfer] = {}

    @property
    def is_quiet(self) -> bool:
        """Whether one datagram at a time is the cheapest way to serve it."""
        return len(self.transfers) <= FEW

    @property
    def readings_per_turn(self) -> int:
        """See Port."""
        return 1 if self.is_quiet else super().readings_per_turn

    def carry(self, transfer: Transfer, peer: SocketAddress) -> None:
        """See Endpoint."""
        super().carry(transfer, peer)
        self.by_name[socket_name(peer)] = cast("FastTransfer", transfer)

    def release(self, peer: SocketAddress) -> None:
        """See Endpoint."""
        super().release(peer)
        del self.by_name[socket_name(peer)]

    def read(self, now: float) -> PortReading:
        """See Port. What has a prepared answer is answered at once."""
        if not self.is_quiet:
            result = self._fast_ports.batch(self).advance(self.fileno(), self.by_name)
            unanswered = [(datagram, socket_address(name)) for name, datagram in result.unanswered]
            return PortReading(result.received == RECEIVED_AT_ONCE, unanswered)
        try:
            datagram, sender = self._socket.recvfrom(LONGEST_READ)
        except OSError:
            return _NOTHING_READ
        transfer = cast("FastTransfer | None", self.transfers.get(sender))
        answer = transfer.proceed(datagram, now) if transfer is not None else None
        if answer is None:
            return PortReading(there_may_be_more=True, unanswered=[(datagram, sender)])
        self._send_each((answer,), sender)
        return _ANSWERED

    def flush(self) -> None:
        """See Port."""
        if not self._outgoing:
            return
        outgoing, self._outgoing = self._outgoing, []
        is_quiet = self.is_quiet
        copied = []
        for datagrams, to in outgoing:
            if len(datagrams) > 1 and not is_quiet:
                self._send_window(datagrams, to)
            elif len(datagrams) > 1 or len(outgoing) <= FEW or len(datagrams[0]) > LONGEST_COPY:
                self._send_each(datagrams, to)
            else:
                copied.append((socket_name(to), datagrams[0]))
        if copied:
            self._fast_ports.batch(self).send(self.fileno(), copied)
        if not is_quiet:
            for _, to in outgoing:
                if (transfer := self.transfers.get(to)) is not None:
                    cast("FastTransfer", transfer).make_ready()

    def _send_window(self, window: Datagrams, to: SocketAddress) -> None:
        """Send datagrams of one length, except a shorter last one, in as few writes as possible.

        Only from a busy port: the peer of a quiet one begins with the first block while the others are being sent.
        """
        length = len(window[0])
        together = min(MAX_SEGMENTS, max(LONGEST_WRITE // length, 1))
        for first in range(0, len(window), together):
            some = window[first : first + together]
            if not self._send_segments(some, length, to):
                self._send_each(some, to)

    def _send_segments(self, datagrams: Datagrams, length: int, to: SocketAddress) -> bool:
        """Whether the kernel took them all in one write. It refuses where a block is longer than a frame."""
        cut = (socket.IPPROTO_UDP, _UDP_SEGMENT, _SEGMENT_LENGTH.pack(length))
        try:
            self._socket.sendmsg(datagrams, [cut], 0, to)
        except BlockingIOError:
            return True  # lost, like any other
        except OSError:
            return False
        return True


class FastPorts(Ports):
    """See Ports."""

    def __init__(
        self, poll: select.epoll, *, port_range: tuple[int, int] | None = None, single: OpenSingle | None = None
    ) -> None:
        """See Ports. Makes the headers of all packets, which the first transfer would else wait for."""
        super().__init__(poll, port_range=port_range, single=single)
        all_headers()
        self._batches: dict[tuple[int, bool], Batch] = {}

    def batch(self, port: FastPort) -> Batch:
        """Return the buffers for a port, which it shares with the others of its kind."""
        kind = (port.family, port.takes_requests)
        batch = self._batches.get(kind)
        if batch is None:
            longest = LONGEST_READ if port.takes_requests else SHORT_READ
            batch = self._batches[kind] = Batch(NAME_LENGTHS[socket.AddressFamily(port.family)], longest)
        return batch

    def _new_port(self, bound: socket.socket, local: str, *, takes_requests: bool = False) -> Port:
        return FastPort(self, bound, local, takes_requests=takes_requests)
