"""Requests, read by the batch."""

import socket
import struct
from collections.abc import Iterator

from cisisk.provisioning.tftp.fastpath.batch import LONGEST_CONTROL, Inbox
from cisisk.provisioning.tftp.fastpath.socket_names import NAME_LENGTHS, socket_address
from cisisk.provisioning.tftp.sockets import LONGEST_READ, Datagram, unicast_destination

REQUESTS_AT_ONCE = 64
"""Requests of one recvmmsg."""
MAX_DESTINATIONS = 1024
"""Destinations remembered. An appliance has one or two addresses, but all of 127.0.0.0/8 are its own too."""

_CONTROL_HEADER = struct.Struct("=Qii")
"""A ``struct cmsghdr`` of 64-bit Linux: length, level, type."""


class BatchReader:
    """Reads many requests with each system call. See RequestReader."""

    def __init__(self, bound: socket.socket) -> None:
        self._socket = bound
        self._destinations: dict[bytes, str | None] = {}
        self._inbox = Inbox(
            NAME_LENGTHS[socket.AddressFamily(bound.family)],
            LONGEST_READ,
            slots=REQUESTS_AT_ONCE,
            control=LONGEST_CONTROL,
        )

    def arrivals(self, limit: int) -> Iterator[Datagram]:
        """See RequestReader."""
        for _ in range(0, limit, REQUESTS_AT_ONCE):
            arrived = list(self._inbox.arrivals(self._socket.fileno()))
            for name, datagram, control in arrived:
                local = self._destination(control)
                if local is not None:
                    yield Datagram(datagram, socket_address(name), local)
            if len(arrived) < REQUESTS_AT_ONCE:
                return

    def _destination(self, control: bytes) -> str | None:
        """``unicast_destination``, remembered: there are few addresses, and many requests."""
        if control not in self._destinations:
            if len(self._destinations) >= MAX_DESTINATIONS:
                self._destinations.clear()
            self._destinations[control] = unicast_destination(_ancillary(control))
        return self._destinations[control]


def _ancillary(control: bytes) -> list[tuple[int, int, bytes]]:
    """The ancillary data as ``recvmsg`` returns it."""
    if len(control) < _CONTROL_HEADER.size:
        return []
    _, level, kind = _CONTROL_HEADER.unpack_from(control)
    return [(level, kind, control[_CONTROL_HEADER.size :])]
