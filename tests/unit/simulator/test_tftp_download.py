import pytest
from hypothesis import given
from hypothesis import strategies as st

from cisisk.provisioning.tftp import wire
from cisisk.simulator.tftp_download import FileAbsent, TftpDownload, TransferFailed

SERVER = ("127.0.0.1", 69)
TID = ("127.0.0.1", 40001)
UNKNOWN_TID = wire.Error(5, "Unknown transfer ID")


def blocks(content: bytes, blksize: int = 512) -> list[bytes]:
    count = len(content) // blksize + 1
    return [wire.data(n + 1, content[n * blksize : (n + 1) * blksize]) for n in range(count)]


@given(size=st.integers(0, 1600), repeats=st.lists(st.integers(1, 3), min_size=4, max_size=4))
def test_repeated_block_is_acknowledged_and_stored_once(size: int, repeats: list[int]) -> None:
    content = bytes(number % 251 for number in range(size))
    download = TftpDownload("f", server=SERVER)
    for number, block in enumerate(blocks(content)):
        for _ in range(repeats[number]):
            assert download.take(block, TID) == wire.ack(number + 1)
    assert download.complete
    assert download.content == content


def test_block_number_wraps_from_65535_to_0() -> None:
    download = TftpDownload("f", server=SERVER, options={"blksize": 8})
    assert download.take(wire.oack({"blksize": 8}), TID) == wire.ack(0)
    for number in range(1, 65_540):
        assert download.take(wire.data(number, b"8 octets"), TID) == wire.ack(number)
    assert download.take(wire.data(65_540, b""), TID) == wire.ack(4)
    assert download.complete
    assert len(download.content) == 8 * 65_539


def test_block_from_other_port_gets_error_5() -> None:
    download = TftpDownload("f", server=SERVER)
    download.take(wire.data(1, b"a" * 512), TID)
    answer = download.take(wire.data(2, b"stray"), ("127.0.0.1", 40002))
    assert answer is not None
    assert wire.parse(answer) == UNKNOWN_TID
    download.take(wire.data(2, b"true"), TID)
    assert download.content == b"a" * 512 + b"true"


def test_error_from_other_port_is_ignored() -> None:
    download = TftpDownload("f", server=SERVER)
    download.take(wire.data(1, b"a" * 512), TID)
    assert download.take(wire.error(wire.ErrorCode.NOT_FOUND, ""), ("127.0.0.1", 40002)) is None
    assert not download.complete


@pytest.mark.parametrize(
    ("packet", "sender"),
    [
        pytest.param(wire.data(7, b"late"), TID, id="late block of the transfer before"),
        pytest.param(wire.data(1, b"x"), ("127.0.0.9", 69), id="other address"),
        pytest.param(wire.oack({"blksize": 8}), TID, id="options that were not requested"),
    ],
)
def test_packet_that_cannot_open_transfer_gets_error_5(packet: bytes, sender: tuple[str, int]) -> None:
    download = TftpDownload("f", server=SERVER)
    answer = download.take(packet, sender)
    assert answer is not None
    assert wire.parse(answer) == UNKNOWN_TID
    assert download.peer == SERVER


def test_error_1_raises_file_absent_other_errors_transfer_failed() -> None:
    with pytest.raises(FileAbsent):
        TftpDownload("f", server=SERVER).take(wire.error(wire.ErrorCode.NOT_FOUND, "none"), TID)
    with pytest.raises(TransferFailed, match="error 2: no"):
        TftpDownload("f", server=SERVER).take(wire.error(wire.ErrorCode.ACCESS_VIOLATION, "no"), TID)


@pytest.mark.parametrize(
    ("packet", "code"),
    [
        (wire.oack({"blksize": 2048}), wire.ErrorCode.OPTION_REFUSED),
        (wire.oack({"blksize": 4}), wire.ErrorCode.OPTION_REFUSED),
        (wire.oack({"timeout": 4}), wire.ErrorCode.OPTION_REFUSED),
        (b"\0\6blksize\0many\0", wire.ErrorCode.OPTION_REFUSED),
        (wire.oack({"tsize": 5000}), wire.ErrorCode.DISK_FULL),
        (wire.data(1, b"x" * 513), wire.ErrorCode.ILLEGAL_OPERATION),
    ],
)
def test_invalid_server_packet_fails_transfer(packet: bytes, code: wire.ErrorCode) -> None:
    download = TftpDownload("f", server=SERVER, options={"blksize": 1024, "tsize": 0}, max_bytes=4096)
    with pytest.raises(TransferFailed) as failure:
        download.take(packet, TID)
    assert failure.value.error_packet is not None
    packet_sent = wire.parse(failure.value.error_packet)
    assert isinstance(packet_sent, wire.Error)
    assert packet_sent.code == code


def test_file_over_size_limit_fails_transfer() -> None:
    download = TftpDownload("f", server=SERVER, max_bytes=600)
    download.take(wire.data(1, b"a" * 512), TID)
    with pytest.raises(TransferFailed, match="larger than 600"):
        download.take(wire.data(2, b"b" * 100), TID)


def test_repeated_oack_is_acknowledged_only_before_first_block() -> None:
    download = TftpDownload("f", server=SERVER, options={"blksize": 1024})
    oack = wire.oack({"blksize": 1000})
    assert download.take(oack, TID) == wire.ack(0)
    assert download.take(oack, TID) == wire.ack(0)
    assert download.take(wire.data(1, b"x" * 1000), TID) == wire.ack(1)
    assert download.take(oack, TID) is None


@given(st.lists(st.binary(max_size=600)))
def test_any_datagram_sequence_is_handled(datagrams: list[bytes]) -> None:
    download = TftpDownload("f", server=SERVER, options={"blksize": 600, "tsize": 0})
    try:
        for datagram in datagrams:
            download.take(datagram, TID)
    except (FileAbsent, TransferFailed):
        pass
    assert len(download.content) <= 600 * len(datagrams)
