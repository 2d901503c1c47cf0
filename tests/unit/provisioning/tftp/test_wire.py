from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cisisk.provisioning.tftp import wire
from cisisk.provisioning.tftp.wire import Ack, Data, Error, ErrorCode, MalformedTftp, Oack, TftpRequest

field = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=20)
option_name = st.text("abcdefghijklmnopqrstuvwxyz", min_size=1, max_size=10)
number = st.integers(0, 2**31)
block = st.integers(0, 65535)


@given(
    st.binary(max_size=600)
    | st.builds(lambda code, rest: bytes([0, code]) + rest, block.map(lambda n: n % 8), st.binary())
)
def test_any_datagram_is_a_packet_or_malformed(datagram: bytes) -> None:
    try:
        packet = wire.parse(datagram)
    except MalformedTftp:
        return
    assert isinstance(packet, TftpRequest | Data | Ack | Error | Oack)


@given(field.filter(bool), st.dictionaries(option_name, number, max_size=5))
def test_read_request_round_trips(name: str, options: dict[str, int]) -> None:
    request = wire.parse(wire.read_request(name, "octet", options))
    assert request == TftpRequest(name, "octet", {key: str(value) for key, value in options.items()})


@given(block, st.binary(max_size=1428))
def test_data_comes_back_as_it_was_sent(number: int, payload: bytes) -> None:
    assert wire.parse(wire.data(number, payload)) == Data(number, payload)


@given(block)
def test_acknowledgement_round_trips(number: int) -> None:
    assert wire.parse(wire.ack(number)) == Ack(number)


@given(st.sampled_from(ErrorCode), st.text(st.characters(codec="ascii", exclude_characters="\0")))
def test_error_round_trips(code: ErrorCode, message: str) -> None:
    assert wire.parse(wire.error(code, message)) == Error(code, message)


@given(st.dictionaries(option_name, number, min_size=1, max_size=5))
def test_accepted_options_come_back_as_they_were_sent(options: dict[str, int]) -> None:
    assert wire.parse(wire.oack(options)) == Oack({key: str(value) for key, value in options.items()})


@pytest.mark.parametrize("encode", [lambda number: wire.data(number, b""), wire.ack])
def test_block_numbers_are_counted_modulo_65536(encode: Callable[[int], bytes]) -> None:
    assert encode(65536 + 7) == encode(7)


def test_packets_have_formats_of_rfcs() -> None:
    assert wire.read_request("a.xml", "octet", {"blksize": 8}) == b"\0\1a.xml\0octet\0blksize\x008\0"
    assert wire.data(258, b"xyz") == b"\0\3\1\2xyz"
    assert wire.ack(258) == b"\0\4\1\2"
    assert wire.error(ErrorCode.NOT_FOUND, "no") == b"\0\5\0\1no\0"
    assert wire.oack({"tsize": 9}) == b"\0\6tsize\x009\0"


def test_mode_and_option_names_are_read_in_any_case() -> None:
    assert wire.parse(b"\0\1A.xml\0OcTeT\0BLKSIZE\x001024\0") == TftpRequest("A.xml", "octet", {"blksize": "1024"})


def test_bytes_that_are_no_text_stand_as_replacement_characters() -> None:
    assert wire.parse(b"\0\1\xff\xfe.xml\0octet\0") == TftpRequest("\ufffd\ufffd.xml", "octet")


def test_write_request_is_parsed_as_such() -> None:
    assert wire.parse(b"\0\2a\0octet\0") == TftpRequest("a", "octet", is_write=True)


@pytest.mark.parametrize(
    "datagram",
    [
        b"",
        b"\1",
        b"\0\1",
        b"\0\1abc",
        b"\0\1abc\0",
        b"\0\1abc\0octet",
        b"\0\1\0octet\0",
        b"\0\1abc\0octet\0blksize\0",
        b"\0\1" + b"a" * 600 + b"\0octet\0",
        b"\0\0abc\0",
        b"\0\x63x\0y\0",
        b"\1\1abc\0octet\0",
        b"\0\4\0",
        b"\0\6blksize",
        b"\0\6blksize\0",
    ],
)
def test_packets_outside_the_rfcs_are_malformed(datagram: bytes) -> None:
    with pytest.raises(MalformedTftp):
        wire.parse(datagram)
