import socket
import struct

import pytest

from cisisk.provisioning.tftp.sockets import unicast_destination

IP_PKTINFO = 8


def ipv4(ours: str, destination: str) -> tuple[int, int, bytes]:
    data = struct.pack("=I4s4s", 2, socket.inet_aton(ours), socket.inet_aton(destination))
    return socket.IPPROTO_IP, IP_PKTINFO, data


def ipv6(destination: str) -> tuple[int, int, bytes]:
    data = struct.pack("=16sI", socket.inet_pton(socket.AF_INET6, destination), 2)
    return socket.IPPROTO_IPV6, socket.IPV6_PKTINFO, data


@pytest.mark.parametrize(
    ("item", "address"),
    [
        (ipv4("192.0.2.69", "192.0.2.69"), "192.0.2.69"),
        (ipv6("2001:db8::69"), "2001:db8::69"),
        (ipv6("fe80::69"), "fe80::69"),
    ],
)
def test_destination_of_datagram_is_read(item: tuple[int, int, bytes], address: str) -> None:
    assert unicast_destination([item]) == address


@pytest.mark.parametrize(
    "item",
    [
        ipv4("192.0.2.69", "192.0.2.255"),
        ipv4("192.0.2.69", "255.255.255.255"),
        ipv4("192.0.2.69", "224.0.0.1"),
        ipv6("ff02::1"),
    ],
)
def test_multicast_datagram_has_no_local_destination(item: tuple[int, int, bytes]) -> None:
    assert unicast_destination([item]) is None


def test_datagram_without_control_message_has_no_destination() -> None:
    assert unicast_destination([(socket.SOL_SOCKET, 1, b"")]) is None
