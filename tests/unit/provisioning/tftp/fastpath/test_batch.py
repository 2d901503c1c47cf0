"""One batch against a state machine that uses the plain path."""

import socket
from collections.abc import Callable, Iterator

import pytest

from cisisk.provisioning.tftp import wire
from cisisk.provisioning.tftp.fastpath.batch import RECEIVED_AT_ONCE, SENT_AT_ONCE, SHORT_READ, Batch, BatchResult
from cisisk.provisioning.tftp.fastpath.socket_names import socket_address, socket_name
from cisisk.provisioning.tftp.fastpath.transfer import FastTransfer
from cisisk.provisioning.tftp.wire import TftpRequest
from tests.unit.provisioning.tftp.conftest import MakeContent

Begin = Callable[..., FastTransfer]


class Wire:
    """A socket of the server, one of a phone, and the batch between them."""

    def __init__(self, host: str) -> None:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.server, self.phone = (socket.socket(family, socket.SOCK_DGRAM) for _ in range(2))
        for end in (self.server, self.phone):
            end.bind((host, 0))
            end.settimeout(5)
        self.name = socket_name(self.phone.getsockname())
        self.batch = Batch(len(self.name), SHORT_READ)

    def bring(self, *datagrams: bytes) -> None:
        for datagram in datagrams:
            self.phone.sendto(datagram, self.server.getsockname())

    def advance(self, *transfers: FastTransfer) -> BatchResult:
        return self.batch.advance(self.server.fileno(), dict(zip([self.name], transfers, strict=False)))


@pytest.fixture(name="line", params=["127.0.0.1", "::1"])
def line_of(request: pytest.FixtureRequest) -> Iterator[Wire]:
    line = Wire(request.param)
    yield line
    line.server.close()
    line.phone.close()


@pytest.fixture(name="begin")
def whole_of(content: MakeContent) -> Begin:
    def begin(data: bytes, **options: int) -> FastTransfer:
        file = content(data)
        file.read_ahead = len(data)
        transfer = FastTransfer(
            TftpRequest("a", "octet", {key: str(value) for key, value in options.items()}), file, 0.0
        )
        transfer.start(0.0)
        transfer.make_ready()
        return transfer

    return begin


def test_socket_name_is_the_kernels_form_of_an_address(line: Wire) -> None:
    assert socket_address(line.name) == line.phone.getsockname()


@pytest.mark.parametrize("size", [0, 1, 511, 512, 513, 1024, 1025])
def test_it_answers_as_the_state_machine_does(line: Wire, begin: Begin, size: int) -> None:
    data = bytes(index % 251 for index in range(size))
    transfer, model = begin(data), begin(data)
    for block in range(1, size // 512 + 1):
        line.bring(wire.ack(block))
        assert line.advance(transfer) == (1, [])
        assert (line.phone.recv(600),) == model.receive(wire.ack(block), 7.0)
    line.bring(wire.ack(size // 512 + 1))
    last = wire.ack(size // 512 + 1)
    assert line.advance(transfer) == (1, [(line.name, last)])
    for each in (transfer, model):
        each.receive(last, 7.0)
    assert (transfer.blocks, transfer.sent, transfer.acknowledged) == (model.blocks, model.sent, size)


def test_after_an_oack_it_sends_block_1(line: Wire, begin: Begin) -> None:
    transfer = begin(b"x" * 3000, blksize=1000)
    line.bring(wire.ack(0))
    assert line.advance(transfer) == (1, [])
    assert line.phone.recv(2000) == wire.data(1, b"x" * 1000)
    transfer.abandon()
    assert (transfer.sent, transfer.is_proven) == (1, True)


def test_prepared_answers_stop_at_the_rollover_and_continue(line: Wire, begin: Begin) -> None:
    data = bytes(index % 251 for index in range(8 * 65_540))
    transfer = begin(data, blksize=8)
    for block in range(65_533):
        transfer.receive(wire.ack(block), 0.0)
    transfer.make_ready()
    for block in range(65_533, 65_540):
        line.bring(wire.ack(block))
        left = [(line.name, wire.ack(block))] if block == 65_535 else []
        assert line.advance(transfer).unanswered == left
        if left:
            assert transfer.receive(wire.ack(block), 0.0) == (wire.data(65_536, data[8 * block : 8 * block + 8]),)
            transfer.make_ready()
        else:
            assert line.phone.recv(100) == wire.data(block + 1, data[8 * block : 8 * block + 8])


@pytest.mark.parametrize(
    "datagram",
    [wire.ack(2), wire.ack(0), b"\0\4\0", b"\0\4\0\1\0", b"", wire.error(wire.ErrorCode.UNDEFINED, "x"), b"\0\3\0\1"],
)
def test_other_datagrams_are_left_to_the_state_machine(line: Wire, begin: Begin, datagram: bytes) -> None:
    transfer = begin(b"x" * 3000)
    line.bring(datagram)
    assert line.advance(transfer) == (1, [(line.name, datagram)])
    transfer.abandon()
    assert (transfer.sent, transfer.blocks) == (1, 0)


def test_unexpected_datagram_leaves_its_sender_to_the_state_machine(line: Wire, begin: Begin) -> None:
    transfer, sent = begin(b"x" * 3000), [wire.ack(0), wire.ack(1), wire.ack(1), wire.ack(2)]
    line.bring(*sent)
    assert line.advance(transfer) == (4, [(line.name, datagram) for datagram in sent])
    assert [len(transfer.receive(datagram, 0.0)) for datagram in sent] == [0, 1, 0, 1]


def test_unexpected_datagram_does_not_delay_other_senders(line: Wire, begin: Begin) -> None:
    other = Wire(line.phone.getsockname()[0])
    other.phone.sendto(wire.ack(9), line.server.getsockname())
    line.bring(wire.ack(1))
    transfers = {line.name: begin(b"x" * 3000), other.name: begin(b"x" * 3000)}
    result = line.batch.advance(line.server.fileno(), transfers)
    assert result == (2, [(other.name, wire.ack(9))])
    assert line.phone.recv(600) == wire.data(2, b"x" * 512)
    other.server.close()
    other.phone.close()


def test_short_datagram_is_not_completed_from_old_buffer_content(line: Wire, begin: Begin) -> None:
    transfer = begin(b"x" * 3000)
    line.bring(wire.ack(2))
    line.advance(transfer)
    line.bring(b"\0\4\0")
    line.advance(transfer)
    line.bring(wire.ack(1)[:3])
    assert line.advance(transfer).unanswered == [(line.name, b"\0\4\0")]


def test_datagram_of_unknown_sender_is_left(line: Wire) -> None:
    line.bring(wire.ack(1))
    assert line.batch.advance(line.server.fileno(), {}) == (1, [(line.name, wire.ack(1))])


def test_empty_socket_returns_nothing(line: Wire) -> None:
    assert line.batch.advance(line.server.fileno(), {}) == (0, [])


def test_more_than_a_batch_is_read_in_two(line: Wire) -> None:
    line.server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
    line.bring(*[wire.ack(9)] * (RECEIVED_AT_ONCE + 1))
    assert [line.advance().received for _ in range(3)] == [RECEIVED_AT_ONCE, 1, 0]


def test_copied_datagrams_are_sent_in_batches(line: Wire) -> None:
    line.phone.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
    datagrams = [index.to_bytes(2, "big") * (index % 700) for index in range(2 * SENT_AT_ONCE + 1)]
    line.batch.send(line.server.fileno(), [(line.name, datagram) for datagram in datagrams])
    assert [line.phone.recv(2000) for _ in datagrams] == datagrams


def test_datagram_that_cannot_be_sent_does_not_stop_others(line: Wire) -> None:
    nowhere = socket_name((*line.phone.getsockname()[:1], 0, *line.phone.getsockname()[2:]))
    line.batch.send(line.server.fileno(), [(nowhere, b"lost"), (line.name, b"arrives")])
    assert line.phone.recv(100) == b"arrives"
