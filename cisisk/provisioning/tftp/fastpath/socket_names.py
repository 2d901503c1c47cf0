"""Socket addresses as the kernel writes them."""

import socket
import struct
from typing import TypeAlias

from cisisk.provisioning.tftp.addresses import SocketAddress

SocketName: TypeAlias = bytes
"""A ``struct sockaddr_in`` or ``sockaddr_in6``."""

NAME_LENGTHS = {socket.AF_INET: 16, socket.AF_INET6: 28}
"""Bytes of a name, by the address family."""

_NAME_V4 = struct.Struct("=H2s4s8x")
_NAME_V6 = struct.Struct("=H2s4s16sI")


def socket_name(address: SocketAddress) -> SocketName:
    """Return ``address`` as the kernel writes it."""
    if len(address) == 2:
        return _NAME_V4.pack(socket.AF_INET, address[1].to_bytes(2, "big"), socket.inet_aton(address[0]))
    host, port, flow, scope = address
    return _NAME_V6.pack(
        socket.AF_INET6,
        port.to_bytes(2, "big"),
        flow.to_bytes(4, "big"),
        socket.inet_pton(socket.AF_INET6, host),
        scope,
    )


def socket_address(name: SocketName) -> SocketAddress:
    """Return the address that the kernel writes as ``name``."""
    if len(name) == _NAME_V4.size:
        return socket.inet_ntoa(name[4:8]), name[2] << 8 | name[3]
    _, port, flow, host, scope = _NAME_V6.unpack(name)
    return (
        socket.inet_ntop(socket.AF_INET6, host),
        int.from_bytes(port, "big"),
        int.from_bytes(flow, "big"),
        scope,
    )
