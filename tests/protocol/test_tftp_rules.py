"""The rules of TFTP over real sockets."""

import itertools
import socket

import pytest

from cisisk.provisioning.fetch import FetchOutcome
from cisisk.provisioning.tftp import wire
from cisisk.provisioning.tftp.live import MAX_PER_ADDRESS
from cisisk.provisioning.tftp.ports import PORTS_PER_ADDRESS
from cisisk.provisioning.tftp.wire import Data, Error, ErrorCode, Oack
from tests.protocol.conftest import MakePhone, Serve

FILES = {"a.xml": b"a" * 1200, "b.xml": b"b" * 1200, "empty": b"", "even": b"e" * 1024}


def test_answer_comes_from_new_port(tftp_serve: Serve, tftp_phone: MakePhone) -> None:
    served = tftp_serve(FILES)
    phone = tftp_phone(served)
    for name in ("a.xml", "absent"):
        phone.ask(name)
        assert phone.tid[1] != served.port


def test_transfer_keeps_its_port(tftp_serve: Serve, tftp_phone: MakePhone) -> None:
    served = tftp_serve(FILES)
    phone = tftp_phone(served)
    phone.ask("a.xml")
    first = phone.tid
    for block in (1, 2):
        phone.send(wire.ack(block))
        assert phone.hear() == wire.Data(block + 1, FILES["a.xml"][512 * block :][:512])
        assert phone.tid == first


@pytest.mark.parametrize("is_finished", [True, False])
def test_next_transfer_of_fixed_port_gets_another_reply_port(
    tftp_serve: Serve, tftp_phone: MakePhone, is_finished: bool
) -> None:
    served = tftp_serve(FILES)
    phone = tftp_phone(served)
    seen = []
    for name in ["a.xml", "b.xml"] * 3:
        phone.ask(name)
        seen.append(phone.tid)
        if is_finished:
            for block in (1, 2):
                phone.send(wire.ack(block))
                phone.hear()
            phone.send(wire.ack(3))
    assert all(one != next_one for one, next_one in itertools.pairwise(seen))
    assert len(set(seen)) == PORTS_PER_ADDRESS


def test_late_datagrams_do_not_affect_the_next_transfer(tftp_serve: Serve, tftp_phone: MakePhone) -> None:
    served = tftp_serve(FILES)
    phone = tftp_phone(served)
    assert phone.fetch("empty") == b""
    former = phone.tid
    served.fetch()
    assert phone.ask("a.xml") == Data(1, b"a" * 512)
    for late in (wire.ack(1), wire.error(ErrorCode.UNDEFINED, "late")):
        phone.socket.sendto(late, former)
    assert phone.hears_nothing()
    phone.send(wire.ack(1))
    assert phone.hear() == Data(2, b"a" * 512)


@pytest.mark.parametrize(("host", "to"), [("127.0.0.1", "127.0.0.1"), ("0.0.0.0", "127.0.0.2"), ("::", "::1")])
def test_single_port_carries_all_transfers(tftp_serve: Serve, tftp_phone: MakePhone, host: str, to: str) -> None:
    served = tftp_serve(FILES, host=host, single_port=True)
    phones = [tftp_phone(served, host="::1" if ":" in to else "127.0.0.1", to=to) for _ in range(20)]
    for phone in phones:
        phone.ask("a.xml")
        assert phone.tid[:2] == (to, served.port)
    for phone in phones:
        phone.send(wire.ack(1))
        assert phone.hear() == Data(2, b"a" * 512)
    for phone in phones:
        for name in ("b.xml", "even", "b.xml"):
            assert phone.fetch(name) == FILES[name]
            assert phone.tid[:2] == (to, served.port)


def test_single_port_in_use_is_refused(tftp_serve: Serve, tftp_phone: MakePhone) -> None:
    served = tftp_serve(FILES, host="0.0.0.0", single_port=True)
    assert tftp_phone(served).fetch("a.xml") == FILES["a.xml"]
    for host in ("0.0.0.0", "127.0.0.1", "127.0.0.3"):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as thief, pytest.raises(OSError, match="in use"):
            thief.bind((host, served.port))


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])
def test_answer_comes_from_requested_address(tftp_serve: Serve, tftp_phone: MakePhone, host: str) -> None:
    served = tftp_serve(FILES, host=host)
    phone = tftp_phone(served, to="127.0.0.2")
    assert phone.fetch("a.xml") == FILES["a.xml"]
    assert phone.tid[0] == "127.0.0.2"
    fetch = served.fetch()
    assert (fetch.local, fetch.peer) == ("127.0.0.2", phone.address)
    phone.ask("absent")
    assert phone.tid[0] == "127.0.0.2"


@pytest.mark.parametrize("host", ["::", "::1"])
def test_phone_is_served_over_ipv6(tftp_serve: Serve, tftp_phone: MakePhone, host: str) -> None:
    served = tftp_serve(FILES, host=host)
    phone = tftp_phone(served, host="::1", to="::1")
    assert phone.fetch("a.xml", blksize=1024) == FILES["a.xml"]
    fetch = served.fetch()
    assert (fetch.local, fetch.peer) == ("::1", phone.address[:2])


def test_reply_ports_stay_in_range(tftp_serve: Serve, tftp_phone: MakePhone) -> None:
    low = free_range(3)
    served = tftp_serve(FILES, port_range=(low, low + 2))
    phone = tftp_phone(served)
    seen = set()
    for name in ["a.xml", "b.xml"] * 3:
        phone.ask(name)
        seen.add(phone.tid[1])
    assert seen == {low, low + 1, low + 2}


def test_request_without_free_reply_port_gets_no_answer(tftp_serve: Serve, tftp_phone: MakePhone) -> None:
    low = free_range(1)
    served = tftp_serve(FILES, port_range=(low, low))
    phone = tftp_phone(served)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(("127.0.0.1", low))
        phone.send_request(wire.read_request("a.xml"))
        assert phone.hears_nothing()
    assert phone.fetch("a.xml") == FILES["a.xml"]


def test_reply_port_in_use_is_skipped(tftp_serve: Serve, tftp_phone: MakePhone) -> None:
    low = free_range(2)
    served = tftp_serve(FILES, port_range=(low, low + 1))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(("127.0.0.1", low))
        phone = tftp_phone(served)
        for _ in range(3):
            assert phone.fetch("a.xml") == FILES["a.xml"]
            assert phone.tid[1] == low + 1
            served.fetch()


def free_range(length: int) -> int:
    """Return the first of ``length`` consecutive free ports outside the ephemeral range."""
    for low in range(20000, 32000, length):
        probes = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(length)]
        try:
            for offset, probe in enumerate(probes):
                probe.bind(("127.0.0.1", low + offset))
        except OSError:
            continue
        finally:
            for probe in probes:
                probe.close()
        return low
    pytest.fail("no free ports")


def test_options_are_acknowledged_in_oack(tftp_serve: Serve, tftp_phone: MakePhone) -> None:
    served = tftp_serve(FILES)
    phone = tftp_phone(served)
    assert phone.ask("a.xml", tsize=0, blksize=65464, windowsize=4, timeout=9) == Oack(
        {"tsize": "1200", "blksize": "1428", "windowsize": "4", "timeout": "9"}
    )
    phone.send(wire.ack(0))
    assert phone.hear() == Data(1, FILES["a.xml"])
    phone.send(wire.ack(1))
    fetch = served.fetch()
    assert fetch.options == (("tsize", 1200), ("blksize", 1428), ("windowsize", 4), ("timeout", 9))
    assert (fetch.outcome, fetch.acknowledged, fetch.blocks) == (FetchOutcome.COMPLETED, 1200, 1)


@pytest.mark.parametrize("options", [{}, {"blksize": "abc"}, {"blksize": 0}, {"blksize": 99999}, {"windowsize": 0}])
def test_request_without_valid_option_gets_block_1(
    tftp_serve: Serve, tftp_phone: MakePhone, options: dict[str, int]
) -> None:
    assert tftp_phone(tftp_serve(FILES)).ask("a.xml", "octet", **options) == Data(1, b"a" * 512)


@pytest.mark.parametrize("name", sorted(FILES))
def test_file_of_any_size_arrives_complete(tftp_serve: Serve, tftp_phone: MakePhone, name: str) -> None:
    served = tftp_serve(FILES)
    assert tftp_phone(served).fetch(name) == FILES[name]
    fetch = served.fetch()
    assert (fetch.outcome, fetch.name, fetch.size, fetch.acknowledged) == (
        FetchOutcome.COMPLETED,
        name,
        len(FILES[name]),
        len(FILES[name]),
    )


def test_replaced_file_is_sent_completely(tftp_serve: Serve, tftp_phone: MakePhone) -> None:
    served = tftp_serve(dict(FILES))
    phone = tftp_phone(served)
    phone.ask("a.xml")
    served.files["a.xml"] = b"new"
    phone.send(wire.ack(1))
    assert phone.hear() == Data(2, b"a" * 512)


def test_duplicate_and_future_acknowledgements_are_ignored(tftp_serve: Serve, tftp_phone: MakePhone) -> None:
    phone = tftp_phone(tftp_serve(FILES))
    phone.ask("a.xml")
    phone.send(wire.ack(1))
    assert phone.hear() == Data(2, b"a" * 512)
    for block in (1, 0, 3, 60000):
        phone.send(wire.ack(block))
    assert phone.hears_nothing()


def test_window_is_sent_without_acknowledgements(tftp_serve: Serve, tftp_phone: MakePhone) -> None:
    served = tftp_serve(FILES)
    phone = tftp_phone(served)
    assert phone.ask("a.xml", windowsize=2) == Oack({"windowsize": "2"})
    phone.send(wire.ack(0))
    assert [phone.hear(), phone.hear()] == [Data(1, b"a" * 512), Data(2, b"a" * 512)]
    assert phone.hears_nothing()
    phone.send(wire.ack(2))
    assert phone.hear() == Data(3, b"a" * 176)
    phone.send(wire.ack(3))
    assert served.fetch().outcome is FetchOutcome.COMPLETED


def test_block_size_is_limited_by_setting(tftp_serve: Serve, tftp_phone: MakePhone) -> None:
    served = tftp_serve({"a.bin": bytes(20_000)}, largest_blksize=8192)
    assert tftp_phone(served).ask("a.bin", blksize=65464) == Oack({"blksize": "8192"})


def test_lost_block_is_repeated_before_phone_repeats_request(tftp_serve: Serve, tftp_phone: MakePhone) -> None:
    served = tftp_serve(FILES)
    phone = tftp_phone(served)
    assert phone.ask("empty") == Data(1, b"")
    assert phone.hears_nothing(0.15)
    assert phone.hear() == Data(1, b"")
    phone.send(wire.ack(1))
    fetch = served.fetch()
    assert (fetch.outcome, fetch.retransmits) == (FetchOutcome.COMPLETED, 1)
    assert 0.2 <= fetch.duration < 1.0


def test_repeated_request_joins_its_transfer(tftp_serve: Serve, tftp_phone: MakePhone) -> None:
    served = tftp_serve(FILES)
    phone = tftp_phone(served)
    first = phone.ask("a.xml", tsize=0)
    tid = phone.tid
    assert phone.ask("a.xml", tsize=0) == first
    assert phone.tid == tid
    assert len(served.opened) == 1


def test_new_request_from_same_port_replaces_transfer(tftp_serve: Serve, tftp_phone: MakePhone) -> None:
    served = tftp_serve(FILES)
    phone = tftp_phone(served)
    phone.ask("a.xml")
    assert phone.fetch("b.xml") == FILES["b.xml"]
    assert [(fetch.name, fetch.outcome) for fetch in (served.fetch(), served.fetch())] == [
        ("a.xml", FetchOutcome.ABORTED),
        ("b.xml", FetchOutcome.COMPLETED),
    ]


def test_phone_with_fixed_port_fetches_several_files(tftp_serve: Serve, tftp_phone: MakePhone) -> None:
    served = tftp_serve(FILES)
    phone = tftp_phone(served)
    for name in ["absent", "a.xml", "b.xml", "b.xml", "empty"]:
        if name in FILES:
            assert phone.fetch(name) == FILES[name]
        else:
            assert phone.ask(name) == Error(ErrorCode.NOT_FOUND, "File not found")
    assert [served.fetch().outcome for _ in range(5)] == [FetchOutcome.ABSENT, *[FetchOutcome.COMPLETED] * 4]


def test_request_after_last_acknowledgement_is_processed_in_order(tftp_serve: Serve, tftp_phone: MakePhone) -> None:
    served = tftp_serve(FILES)
    phone = tftp_phone(served)
    for name in ["a.xml", "b.xml"] * 50:
        assert phone.fetch(name) == FILES[name]
    assert {served.fetch().outcome for _ in range(100)} == {FetchOutcome.COMPLETED}


def test_datagram_from_other_port_gets_error_5(tftp_serve: Serve, tftp_phone: MakePhone) -> None:
    served = tftp_serve(FILES)
    phone, stranger = tftp_phone(served), tftp_phone(served)
    phone.ask("a.xml")
    stranger.tid = phone.tid
    stranger.send(wire.ack(1))
    assert stranger.hear() == Error(ErrorCode.UNKNOWN_TID, "unknown transfer ID")
    stranger.send(wire.error(ErrorCode.UNDEFINED, "die"))
    assert stranger.hears_nothing()
    phone.send(wire.ack(1))
    assert phone.hear() == Data(2, b"a" * 512)


def test_error_from_peer_ends_transfer(tftp_serve: Serve, tftp_phone: MakePhone) -> None:
    served = tftp_serve(FILES)
    phone = tftp_phone(served)
    phone.ask("a.xml")
    phone.send(wire.error(ErrorCode.DISK_FULL, "full"))
    assert served.fetch().outcome is FetchOutcome.ABORTED


def test_write_request_is_refused(tftp_serve: Serve, tftp_phone: MakePhone) -> None:
    served = tftp_serve(FILES)
    phone = tftp_phone(served)
    phone.send_request(b"\0\2a.xml\0octet\0")
    assert phone.hear() == Error(ErrorCode.ACCESS_VIOLATION, "files cannot be written")
    assert served.fetch().outcome is FetchOutcome.REFUSED


def test_netascii_transfer_is_translated_with_its_size(tftp_serve: Serve, tftp_phone: MakePhone) -> None:
    served = tftp_serve({"a.txt": b"one\ntwo\r\n\r"})
    phone = tftp_phone(served)
    assert phone.ask("a.txt", mode="NetASCII", tsize=0) == Oack({"tsize": "14"})
    phone.send(wire.ack(0))
    assert phone.hear() == Data(1, b"one\r\ntwo\r\0\r\n\r\0")
    phone.send(wire.ack(1))
    fetch = served.fetch()
    assert (fetch.outcome, fetch.size, fetch.acknowledged) == (FetchOutcome.COMPLETED, 14, 14)


def test_mail_mode_is_refused(tftp_serve: Serve, tftp_phone: MakePhone) -> None:
    served = tftp_serve(FILES)
    assert tftp_phone(served).ask("a.xml", mode="mail") == Error(
        ErrorCode.ILLEGAL_OPERATION, "only the modes octet and netascii are served"
    )
    assert served.fetch().outcome is FetchOutcome.REFUSED


def test_read_failure_ends_transfer_with_error(tftp_serve: Serve, tftp_phone: MakePhone) -> None:
    served = tftp_serve(FILES)
    phone = tftp_phone(served)
    phone.ask("a.xml")
    served.opened[0].failure = OSError(5, "Input/output error")
    phone.send(wire.ack(1))
    assert phone.hear() == Error(ErrorCode.UNDEFINED, "the file cannot be read")
    assert served.fetch().outcome is FetchOutcome.CUT


def test_broadcast_request_gets_no_answer(tftp_serve: Serve, tftp_phone: MakePhone) -> None:
    served = tftp_serve(FILES, host="0.0.0.0")
    phone = tftp_phone(served, to="127.255.255.255")
    phone.socket.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
    phone.send_request(wire.read_request("a.xml"))
    assert phone.hears_nothing()
    assert served.opened == []


def test_request_beyond_address_limit_gets_no_answer(tftp_serve: Serve, tftp_phone: MakePhone) -> None:
    served = tftp_serve(FILES)
    phones = [tftp_phone(served) for _ in range(MAX_PER_ADDRESS + 1)]
    for phone in phones[:-1]:
        phone.ask("a.xml")
    phones[-1].send_request(wire.read_request("absent"))
    assert phones[-1].hears_nothing()
    assert tftp_phone(served, host="127.0.0.3").fetch("a.xml") == FILES["a.xml"]
    phones[0].send(wire.error(ErrorCode.UNDEFINED, "enough"))
    served.fetch()
    assert phones[-1].ask("absent") == Error(ErrorCode.NOT_FOUND, "File not found")
