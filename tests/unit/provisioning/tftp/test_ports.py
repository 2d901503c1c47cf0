"""Sending from one port."""

import select
import socket
from collections.abc import Iterator

import pytest

from cisisk.provisioning.tftp.fastpath import ports as fast_ports
from cisisk.provisioning.tftp.fastpath.ports import LONGEST_WRITE, MAX_SEGMENTS, FastPort
from cisisk.provisioning.tftp.path import DatagramPath
from cisisk.provisioning.tftp.ports import Port


class Line:
    """A port of the server and a phone."""

    def __init__(self, path: DatagramPath) -> None:
        self.poll = select.epoll()
        self.ports = path.new_ports(self.poll)
        self.phone = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.phone.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
        self.phone.bind(("127.0.0.1", 0))
        self.phone.settimeout(5)
        self.port: Port = self.ports.open(self.phone.getsockname(), "127.0.0.1")

    def close(self) -> None:
        self.ports.close()
        self.poll.close()
        self.phone.close()


@pytest.fixture(name="line")
def line_of(tftp_path: DatagramPath) -> Iterator[Line]:
    line = Line(tftp_path)
    yield line
    line.close()


@pytest.fixture(params=["quiet", "busy"], autouse=True)
def load_of_the_port(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FastPort, "is_quiet", request.param == "quiet")


def window(blocks: int, blksize: int, last: int) -> tuple[bytes, ...]:
    return tuple(bytes([block % 251]) * (last if block == blocks - 1 else blksize) for block in range(blocks))


@pytest.mark.parametrize("blksize", [12, 516, 1432])
@pytest.mark.parametrize("blocks", [2, 8, MAX_SEGMENTS, MAX_SEGMENTS + 1])
@pytest.mark.parametrize("last", [4, 11])
def test_window_arrives_as_single_blocks(line: Line, blocks: int, blksize: int, last: int) -> None:
    sent = window(blocks, blksize, last)
    line.port.send(sent, line.phone.getsockname())
    line.ports.flush()
    assert tuple(line.phone.recv(2000) for _ in sent) == sent


def test_blocks_too_long_to_go_together_go_one_by_one(line: Line) -> None:
    sent = window(3, LONGEST_WRITE + 1, 40_000)
    line.port.send(sent, line.phone.getsockname())
    line.ports.flush()
    assert tuple(line.phone.recv(70_000) for _ in sent) == sent


def test_blocks_are_sent_singly_without_udp_segment(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fast_ports, "_UDP_SEGMENT", 9999)
    for _ in range(2):
        sent = window(5, 516, 100)
        line.port.send(sent, line.phone.getsockname())
        line.ports.flush()
        assert tuple(line.phone.recv(2000) for _ in sent) == sent


def test_window_to_unreachable_address_is_lost(line: Line) -> None:
    line.port.send(window(5, 516, 100), ("127.0.0.1", 0))
    line.port.send((b"arrives",), line.phone.getsockname())
    line.ports.flush()
    assert line.phone.recv(100) == b"arrives"
