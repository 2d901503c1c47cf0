"""How the server moves datagrams: the parts that the plain and the fast path implement differently."""

import socket
from collections.abc import Callable
from dataclasses import dataclass

from cisisk.provisioning.tftp.ports import Ports
from cisisk.provisioning.tftp.sockets import PlainReader, RequestReader
from cisisk.provisioning.tftp.transfer import Transfer


@dataclass(frozen=True, slots=True, kw_only=True)
class DatagramPath:
    """The classes that a server is built from. Both paths speak the same protocol.

    Attributes:
        name: for the log and for metrics.
        new_transfer: makes the state machine of one transfer.
        new_ports: makes the ports that transfers are answered from.
        new_reader: reads the requests that arrive at one socket.
    """

    name: str
    new_transfer: Callable[..., Transfer]
    new_ports: Callable[..., Ports]
    new_reader: Callable[[socket.socket], RequestReader]


PLAIN = DatagramPath(name="plain", new_transfer=Transfer, new_ports=Ports, new_reader=PlainReader)
"""One system call for each datagram. Works wherever Python runs on Linux."""
