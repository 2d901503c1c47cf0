from collections.abc import Callable

import pytest

from cisisk.provisioning.fetch import FetchOutcome
from cisisk.provisioning.tftp import wire
from cisisk.provisioning.tftp.path import DatagramPath
from cisisk.provisioning.tftp.transfer import INTERVALS, UNPROVEN_LIFE, UNPROVEN_SENDINGS, Transfer
from cisisk.provisioning.tftp.wire import Data, ErrorCode, Oack, TftpRequest
from tests.unit.provisioning.tftp.conftest import MakeContent

Begin = Callable[..., Transfer]


@pytest.fixture(name="begin")
def transfer_of(content: MakeContent, tftp_path: DatagramPath) -> Begin:
    def begin(data: bytes, **options: object) -> Transfer:
        request = TftpRequest("a.xml", "octet", {name: str(value) for name, value in options.items()})
        return tftp_path.new_transfer(request, content(data), 0.0)

    return begin


def drain(transfer: Transfer) -> bytes:
    """Return the bytes of a receiver that acknowledges every packet immediately."""
    received = bytearray()
    packets = transfer.start(0.0)
    while packets:
        packet = wire.parse(packets[0])
        if isinstance(packet, Data):
            received += packet.payload
        packets = transfer.receive(wire.ack(packet.block if isinstance(packet, Data) else 0), 0.0)
    return bytes(received)


def sending_times(transfer: Transfer, first: float) -> list[float]:
    """Return the times of retransmissions and of the end of the transfer."""
    times = []
    while transfer.outcome is None:
        times.append(transfer.deadline - first)
        transfer.expire(transfer.deadline)
    return times


@pytest.mark.parametrize("size", [0, 1, 511, 512, 513, 1024, 70_000])
def test_transfer_ends_with_short_block(begin: Begin, size: int) -> None:
    data = bytes(index % 251 for index in range(size))
    transfer = begin(data)
    assert drain(transfer) == data
    assert transfer.outcome is FetchOutcome.COMPLETED
    assert (transfer.blocks, transfer.acknowledged, transfer.retransmits) == (size // 512 + 1, size, 0)


def test_request_without_options_gets_first_block(begin: Begin) -> None:
    assert begin(b"hello").start(0.0) == (wire.data(1, b"hello"),)


def test_with_only_unknown_options_the_first_block_is_the_answer(begin: Begin) -> None:
    assert begin(b"hello", multicast="", blksize="abc").start(0.0) == (wire.data(1, b"hello"),)


def test_with_options_the_oack_waits_for_acknowledgement_0(begin: Begin) -> None:
    transfer = begin(b"hello", blksize=1024, tsize=0, timeout=2)
    (packet,) = transfer.start(0.0)
    assert wire.parse(packet) == Oack({"blksize": "1024", "tsize": "5", "timeout": "2"})
    assert transfer.receive(wire.ack(1), 0.0) == ()
    assert transfer.receive(wire.ack(0), 0.0) == (wire.data(1, b"hello"),)


def test_blocks_have_negotiated_size(begin: Begin) -> None:
    transfer = begin(b"x" * 3000, blksize=1200)
    transfer.start(0.0)
    assert transfer.receive(wire.ack(0), 0.0) == (wire.data(1, b"x" * 1200),)
    assert transfer.receive(wire.ack(1), 0.0) == (wire.data(2, b"x" * 1200),)
    assert transfer.receive(wire.ack(2), 0.0) == (wire.data(3, b"x" * 600),)


def test_after_block_65535_comes_block_0(begin: Begin) -> None:
    data = bytes(index % 251 for index in range(8 * 65_537 + 3))
    transfer = begin(data, blksize=8)
    assert drain(transfer) == data
    assert (transfer.outcome, transfer.blocks, transfer.acknowledged) == (FetchOutcome.COMPLETED, 65_538, len(data))


def test_duplicate_acknowledgement_is_ignored(begin: Begin) -> None:
    transfer = begin(b"x" * 2000)
    transfer.start(0.0)
    assert transfer.receive(wire.ack(1), 0.0) == (wire.data(2, b"x" * 512),)
    assert transfer.receive(wire.ack(1), 0.0) == ()
    assert transfer.receive(wire.ack(0), 0.0) == ()


@pytest.mark.parametrize("block", [2, 3, 65_535])
def test_acknowledgement_of_an_unsent_block_is_ignored(begin: Begin, block: int) -> None:
    transfer = begin(b"x" * 2000)
    transfer.start(0.0)
    assert transfer.receive(wire.ack(block), 0.0) == ()
    assert (transfer.blocks, transfer.outcome) == (0, None)


@pytest.mark.parametrize(
    "datagram", [b"", b"\0\4", b"\0\x63abcd", wire.data(1, b"x"), wire.oack({"tsize": 1}), wire.read_request("a")]
)
def test_packets_that_no_receiver_sends_are_ignored(begin: Begin, datagram: bytes) -> None:
    transfer = begin(b"x" * 2000)
    transfer.start(0.0)
    assert transfer.receive(datagram, 0.0) == ()
    assert transfer.outcome is None


def test_error_from_peer_ends_transfer(begin: Begin) -> None:
    transfer = begin(b"x" * 2000)
    transfer.start(0.0)
    transfer.receive(wire.ack(1), 0.0)
    assert transfer.receive(wire.error(ErrorCode.DISK_FULL, "full"), 0.0) == ()
    assert (transfer.outcome, transfer.acknowledged) == (FetchOutcome.ABORTED, 512)


def test_packet_is_repeated_at_growing_intervals_until_the_end(begin: Begin) -> None:
    transfer = begin(b"x" * 2000)
    transfer.start(0.0)
    transfer.receive(wire.ack(1), 100.0)
    assert sending_times(transfer, 100.0) == pytest.approx([0.2, 0.6, 1.4, 3.0, 6.2, 10.2])
    assert (transfer.outcome, transfer.retransmits) == (FetchOutcome.TIMED_OUT, len(INTERVALS) - 1)


def test_peer_without_acknowledgement_gets_fewer_packets(begin: Begin) -> None:
    transfer = begin(b"x" * 2000)
    transfer.start(0.0)
    assert sending_times(transfer, 0.0) == pytest.approx([0.2, 0.6, 1.4])
    assert (transfer.outcome, transfer.retransmits) == (FetchOutcome.TIMED_OUT, UNPROVEN_SENDINGS - 1)


def test_acknowledgement_resets_intervals(begin: Begin) -> None:
    transfer = begin(b"x" * 2000)
    transfer.start(0.0)
    transfer.expire(0.2)
    transfer.receive(wire.ack(1), 0.5)
    assert transfer.deadline == 0.7


def test_timeout_of_peer_is_least_interval(begin: Begin) -> None:
    transfer = begin(b"x" * 2000, timeout=3)
    transfer.start(0.0)
    transfer.receive(wire.ack(0), 100.0)
    assert sending_times(transfer, 100.0) == pytest.approx([3.0, 6.0, 9.0, 12.0, 15.2, 19.2])


def test_long_timeout_does_not_keep_an_unacknowledged_transfer(begin: Begin) -> None:
    transfer = begin(b"x" * 2000, timeout=255)
    transfer.start(0.0)
    assert transfer.deadline == UNPROVEN_LIFE
    transfer.expire(UNPROVEN_LIFE)
    assert transfer.outcome is FetchOutcome.TIMED_OUT


def test_packet_is_not_repeated_early(begin: Begin) -> None:
    transfer = begin(b"x" * 2000)
    transfer.start(0.0)
    assert transfer.expire(0.199) == ()
    assert transfer.expire(0.2) == (wire.data(1, b"x" * 512),)


def test_repeated_request_repeats_the_packet_without_a_try(begin: Begin) -> None:
    transfer = begin(b"x" * 2000, tsize=0)
    oack = transfer.start(0.0)
    for _ in range(10):
        assert transfer.repeat() == oack
    assert len(sending_times(transfer, 0.0)) == UNPROVEN_SENDINGS
    assert transfer.retransmits == 10 + UNPROVEN_SENDINGS - 1


def test_repeated_requests_do_not_extend_a_transfer(begin: Begin) -> None:
    transfer = begin(b"x" * 2000)
    transfer.start(0.0)
    transfer.receive(wire.ack(1), 0.0)
    for tenth in range(10 * int(sum(INTERVALS) + 2)):  # each at most a tenth late
        transfer.repeat()
        transfer.expire(tenth / 10)
    assert transfer.outcome is FetchOutcome.TIMED_OUT


def test_read_failure_ends_transfer_with_error(content: MakeContent, caplog: pytest.LogCaptureFixture) -> None:
    file = content(b"x" * 2000)
    transfer = Transfer(TftpRequest("a.xml", "octet"), file, 0.0)
    transfer.start(0.0)
    file.failure = OSError(5, "Input/output error")
    (packet,) = transfer.receive(wire.ack(1), 0.0)
    assert wire.parse(packet) == wire.Error(ErrorCode.UNDEFINED, "the file cannot be read")
    assert (transfer.outcome, transfer.acknowledged) == (FetchOutcome.CUT, 512)
    assert "Input/output error" in caplog.text


def test_shrunken_file_is_not_reported_complete(content: MakeContent) -> None:
    file = content(b"x" * 2000)
    transfer = Transfer(TftpRequest("a.xml", "octet"), file, 0.0)
    transfer.start(0.0)
    file.truncate(700)
    (packet,) = transfer.receive(wire.ack(1), 0.0)
    assert isinstance(wire.parse(packet), wire.Error)
    assert transfer.outcome is FetchOutcome.CUT


def test_ended_transfer_does_not_change(begin: Begin) -> None:
    transfer = begin(b"hello")
    drain(transfer)
    assert transfer.receive(wire.ack(1), 0.0) == ()
    assert transfer.receive(wire.error(ErrorCode.UNDEFINED, ""), 0.0) == ()
    assert transfer.repeat() == ()
    assert transfer.expire(99.0) == ()
    assert transfer.cut("late") == ()
    assert transfer.abandon() == ()
    assert transfer.outcome is FetchOutcome.COMPLETED


def blocks(packets: tuple[bytes, ...]) -> list[int]:
    return [packet.block for packet in map(wire.parse, packets) if isinstance(packet, Data)]


@pytest.fixture(name="window")
def windowed_of(begin: Begin) -> Begin:
    """Start a transfer of 20 blocks in windows of 4; its first window is sent at time 0."""

    def window() -> Transfer:
        transfer = begin(b"x" * (8 * 19 + 3), blksize=8, windowsize=4)
        transfer.start(0.0)
        assert blocks(transfer.receive(wire.ack(0), 0.0)) == [1, 2, 3, 4]
        return transfer

    return window


def test_last_acknowledgement_of_window_sends_next_window(window: Begin) -> None:
    transfer = window()
    assert blocks(transfer.receive(wire.ack(4), 0.0)) == [5, 6, 7, 8]
    assert transfer.retransmits == 0
    for last in (8, 12, 16):
        sent = blocks(transfer.receive(wire.ack(last), 0.0))
    assert sent == [17, 18, 19, 20]
    assert transfer.receive(wire.ack(20), 0.0) == ()
    assert (transfer.outcome, transfer.blocks) == (FetchOutcome.COMPLETED, 20)


def test_acknowledgement_within_a_window_sends_the_next_blocks(window: Begin) -> None:
    transfer = window()
    assert blocks(transfer.receive(wire.ack(2), 0.0)) == [3, 4, 5, 6]
    assert (transfer.blocks, transfer.retransmits) == (2, 2)


def test_window_without_its_first_block_is_repeated_once(window: Begin) -> None:
    transfer = window()
    transfer.receive(wire.ack(4), 0.0)
    assert blocks(transfer.receive(wire.ack(4), 0.0)) == [5, 6, 7, 8]
    assert transfer.receive(wire.ack(4), 0.0) == ()
    assert blocks(transfer.receive(wire.ack(8), 0.0)) == [9, 10, 11, 12]
    assert blocks(transfer.receive(wire.ack(8), 0.0)) == [9, 10, 11, 12]


@pytest.mark.parametrize("block", [5, 3, 9, 60_000])
def test_acknowledgement_outside_window_is_ignored(window: Begin, block: int) -> None:
    transfer = window()
    transfer.receive(wire.ack(4), 0.0)
    assert transfer.receive(wire.ack(block), 0.0) == () or block == 5
    assert transfer.outcome is None


def test_window_after_timeout_is_repeated_completely(window: Begin) -> None:
    transfer = window()
    assert blocks(transfer.expire(0.2)) == [1, 2, 3, 4]
    assert transfer.retransmits == 4


def test_windows_pass_block_65535(begin: Begin) -> None:
    data = bytes(index % 251 for index in range(8 * 65_540))
    transfer = begin(data, blksize=8, windowsize=64)
    transfer.start(0.0)
    packets = transfer.receive(wire.ack(0), 0.0)
    received = bytearray()
    while packets:
        received += b"".join(packet[4:] for packet in packets)
        packets = transfer.receive(packets[-1][:1] + b"\4" + packets[-1][2:4], 0.0)
    assert received == data
    assert transfer.outcome is FetchOutcome.COMPLETED
