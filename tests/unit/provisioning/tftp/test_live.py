import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cisisk.provisioning.fetch import Fetch, FetchOutcome
from cisisk.provisioning.source import NotServed
from cisisk.provisioning.tftp import wire
from cisisk.provisioning.tftp.addresses import SocketAddress
from cisisk.provisioning.tftp.counters import Dropped
from cisisk.provisioning.tftp.live import (
    FORGET_SECONDS,
    MAX_IGNORED,
    MAX_PER_ADDRESS,
    MAX_UNKNOWN_TIDS,
    REFLECTOR_PORTS,
    SATURATION_LOG_INTERVAL,
    LiveTransfers,
)
from cisisk.provisioning.tftp.path import DatagramPath
from cisisk.provisioning.tftp.transfer import Datagrams, Transfer
from cisisk.provisioning.tftp.wire import Error, ErrorCode
from tests.unit.provisioning.tftp.conftest import MakeContent, MemoryContent

PHONE = ("192.0.2.1", 49152)
HERE = "192.0.2.69"


class RecordingEndpoint:
    def __init__(self) -> None:
        self.sent: list[tuple[bytes, SocketAddress]] = []
        self.carried: list[SocketAddress] = []
        self.released: list[SocketAddress] = []

    def carry(self, transfer: Transfer, peer: SocketAddress) -> None:
        self.carried.append(peer)

    def send(self, datagrams: Datagrams, to: SocketAddress) -> None:
        self.sent += [(datagram, to) for datagram in datagrams]

    def release(self, peer: SocketAddress) -> None:
        self.released.append(peer)


class LiveSetup:
    """Live transfers with recording endpoints. The files a, b and c have 2,000 bytes."""

    def __init__(self, content: MakeContent, tftp_path: DatagramPath, max_transfers: int, **limits: int) -> None:
        self.make = content
        self.opened: list[MemoryContent] = []
        self.endpoints: list[RecordingEndpoint] = []
        self.fetches: list[Fetch] = []
        self.failure: Exception | None = None
        self.live = LiveTransfers(
            source=self,
            on_fetch=self.fetches.append,
            open_endpoint=self.endpoint,
            max_transfers=max_transfers,
            new_transfer=tftp_path.new_transfer,
            **limits,
        )

    def open(self, name: str, host: str) -> MemoryContent:
        if self.failure is not None:
            raise self.failure
        if name not in {"a", "b", "c"}:
            raise NotServed(name)
        self.opened.append(self.make(name.encode() * 2000))
        return self.opened[-1]

    def endpoint(self, peer: SocketAddress, local: str) -> RecordingEndpoint:
        self.endpoints.append(RecordingEndpoint())
        return self.endpoints[-1]

    def ask(self, name: str = "a", peer: SocketAddress = PHONE, mode: str = "octet", now: float = 0.0) -> None:
        self.live.request(wire.read_request(name, mode), peer, HERE, now)

    def outcomes(self) -> list[FetchOutcome]:
        return [fetch.outcome for fetch in self.fetches]

    def last_error(self) -> Error:
        packet = wire.parse(self.endpoints[-1].sent[-1][0])
        assert isinstance(packet, Error)
        return packet

    def all_given_back(self) -> bool:
        return all(content.closed == 1 for content in self.opened) and all(
            endpoint.released == endpoint.carried for endpoint in self.endpoints
        )


@pytest.fixture(name="setup")
def live_setup_of(content: MakeContent, tftp_path: DatagramPath) -> LiveSetup:
    return LiveSetup(content, tftp_path, max_transfers=100)


def test_completed_transfer_is_reported_with_figures(setup: LiveSetup) -> None:
    setup.live.request(wire.read_request("a", "octet", {"blksize": 1428}), PHONE, HERE, 10.0)
    for block in (0, 1):
        setup.live.receive(wire.ack(block), PHONE, 11.0)
    setup.live.expire(12.5)
    setup.live.receive(wire.ack(2), PHONE, 13.0)
    (fetch,) = setup.fetches
    assert fetch == Fetch(
        protocol="tftp",
        started_at=fetch.started_at,
        peer=PHONE,
        local=HERE,
        name="a",
        outcome=FetchOutcome.COMPLETED,
        sha256="cafe",
        size=2000,
        acknowledged=2000,
        blocks=2,
        retransmits=1,
        duration=3.0,
        options=(("blksize", 1428),),
    )
    assert setup.all_given_back()
    assert len(setup.live) == 0


def test_fetch_of_ipv6_phone_names_address_and_port(setup: LiveSetup) -> None:
    setup.ask("nothing", peer=("2001:db8::1", 49152, 0, 0))
    assert setup.fetches[0].peer == ("2001:db8::1", 49152)


def test_repeated_request_joins_its_transfer(setup: LiveSetup) -> None:
    setup.ask()
    setup.ask()
    (endpoint,) = setup.endpoints
    assert endpoint.sent == [(wire.data(1, b"a" * 512), PHONE)] * 2
    assert len(setup.opened) == 1


def test_another_request_from_the_same_port_replaces_the_transfer(setup: LiveSetup) -> None:
    setup.ask("a")
    setup.ask("b")
    assert setup.outcomes() == [FetchOutcome.ABORTED]
    assert setup.endpoints[0].released == [PHONE]
    assert setup.opened[0].closed == 1
    assert setup.endpoints[1].sent == [(wire.data(1, b"b" * 512), PHONE)]


def test_same_request_to_another_local_address_replaces_the_transfer(setup: LiveSetup) -> None:
    setup.ask()
    setup.live.request(wire.read_request("a"), PHONE, "192.0.2.70", 0.0)
    assert setup.outcomes() == [FetchOutcome.ABORTED]
    assert len(setup.live) == 1


def test_request_from_another_port_is_another_transfer(setup: LiveSetup) -> None:
    setup.ask(peer=("192.0.2.1", 1024))
    setup.ask(peer=("192.0.2.1", 1025))
    assert len(setup.live) == 2


@pytest.mark.parametrize("name", ["absent", "../etc/passwd", "\ufffd"])
def test_name_that_is_not_served_is_not_found(setup: LiveSetup, name: str) -> None:
    setup.ask(name)
    assert setup.last_error() == Error(ErrorCode.NOT_FOUND, "File not found")
    assert (setup.outcomes(), setup.fetches[0].name) == ([FetchOutcome.ABSENT], name)
    assert setup.all_given_back()


def test_write_request_is_refused(setup: LiveSetup) -> None:
    setup.live.request(b"\0\2a\0octet\0", PHONE, HERE, 0.0)
    assert setup.last_error().code == ErrorCode.ACCESS_VIOLATION
    assert setup.outcomes() == [FetchOutcome.REFUSED]
    assert not setup.opened


@pytest.mark.parametrize("mode", ["mail", "", "octets"])
def test_only_octet_and_netascii_are_served(setup: LiveSetup, mode: str) -> None:
    setup.ask(mode=mode)
    assert setup.last_error() == Error(ErrorCode.ILLEGAL_OPERATION, "only the modes octet and netascii are served")
    assert setup.outcomes() == [FetchOutcome.REFUSED]
    assert not setup.opened


@pytest.mark.parametrize("port", sorted(REFLECTOR_PORTS))
@pytest.mark.parametrize("name", ["a", "absent"])
def test_request_from_service_port_gets_no_answer(setup: LiveSetup, port: int, name: str) -> None:
    setup.ask(name, peer=("192.0.2.1", port))
    assert (setup.endpoints, setup.fetches) == ([], [])


def test_over_the_limit_a_request_gets_no_answer(content: MakeContent, tftp_path: DatagramPath) -> None:
    setup = LiveSetup(content, tftp_path, max_transfers=2)
    for port in (1024, 1025, 1026):
        setup.ask(peer=("192.0.2.1", port))
    setup.ask("absent", peer=("192.0.2.1", 1027))
    assert (len(setup.live), len(setup.endpoints), setup.fetches) == (2, 2, [])


def test_at_the_limit_a_phone_may_replace_its_own_transfer(content: MakeContent, tftp_path: DatagramPath) -> None:
    setup = LiveSetup(content, tftp_path, max_transfers=1)
    setup.ask("a")
    setup.ask("b")
    assert setup.endpoints[1].sent == [(wire.data(1, b"b" * 512), PHONE)]


def test_one_address_cannot_fill_the_server(setup: LiveSetup) -> None:
    for port in range(1024, 1024 + MAX_PER_ADDRESS + 5):
        setup.ask(peer=("192.0.2.1", port))
    assert len(setup.live) == MAX_PER_ADDRESS
    setup.ask(peer=("192.0.2.2", 1024))
    assert len(setup.live) == MAX_PER_ADDRESS + 1


def test_ended_transfer_frees_slot_of_address(setup: LiveSetup) -> None:
    for port in range(1024, 1024 + MAX_PER_ADDRESS):
        setup.ask(peer=("192.0.2.1", port))
    setup.live.receive(wire.error(ErrorCode.UNDEFINED, ""), ("192.0.2.1", 1024), 0.0)
    setup.ask(peer=("192.0.2.1", 9999))
    assert len(setup.live) == MAX_PER_ADDRESS


def test_dropped_requests_are_logged_once_a_minute(
    content: MakeContent, tftp_path: DatagramPath, caplog: pytest.LogCaptureFixture
) -> None:
    setup = LiveSetup(content, tftp_path, max_transfers=0)
    for now in (0.0, 1.0, SATURATION_LOG_INTERVAL - 1, SATURATION_LOG_INTERVAL):
        setup.ask(now=now)
    assert len(caplog.records) == 2


def test_request_without_free_socket_gets_no_answer(content: MakeContent, tftp_path: DatagramPath) -> None:
    def no_descriptor_left(peer: SocketAddress, local: str) -> RecordingEndpoint:
        raise OSError(24, "Too many open files")

    setup = LiveSetup(content, tftp_path, max_transfers=1)
    setup.live = LiveTransfers(
        source=setup, on_fetch=setup.fetches.append, open_endpoint=no_descriptor_left, max_transfers=1
    )
    setup.ask()
    assert (setup.opened, setup.fetches, len(setup.live)) == ([], [], 0)


def test_datagram_from_another_port_gets_error_5(setup: LiveSetup) -> None:
    setup.ask()
    stranger = ("192.0.2.66", 5555)
    setup.live.refuse_unknown(wire.ack(1), stranger, setup.endpoints[0].send, 0.0)
    setup.live.receive(wire.ack(1), PHONE, 0.0)
    assert setup.endpoints[0].sent[1:] == [
        (wire.error(ErrorCode.UNKNOWN_TID, "unknown transfer ID"), stranger),
        (wire.data(2, b"a" * 512), PHONE),
    ]


@pytest.mark.parametrize(
    ("datagram", "port"), [(wire.error(ErrorCode.UNKNOWN_TID, ""), 5555), (b"\0", 5555), (wire.ack(1), 19)]
)
def test_datagram_from_a_service_port_gets_no_error(setup: LiveSetup, datagram: bytes, port: int) -> None:
    setup.ask()
    setup.live.refuse_unknown(datagram, ("192.0.2.66", port), setup.endpoints[0].send, 0.0)
    assert len(setup.endpoints[0].sent) == 1
    assert len(setup.live) == 1


def test_late_packet_is_repeated_until_the_transfer_ends(setup: LiveSetup) -> None:
    setup.ask()
    for now in range(60):
        setup.live.expire(float(now))
    assert setup.outcomes() == [FetchOutcome.TIMED_OUT]
    assert setup.all_given_back()


def test_cutting_tells_every_peer(setup: LiveSetup) -> None:
    setup.ask(peer=("192.0.2.1", 1024))
    setup.ask(peer=("192.0.2.2", 1024))
    setup.live.cut("the server stops", 1.0)
    assert setup.outcomes() == [FetchOutcome.CUT, FetchOutcome.CUT]
    assert setup.last_error() == Error(ErrorCode.UNDEFINED, "the server stops")
    assert setup.all_given_back()


@pytest.mark.parametrize("failure", [OSError(5, "Input/output error"), RuntimeError("a defect")])
def test_failing_source_ends_one_fetch(setup: LiveSetup, failure: Exception, caplog: pytest.LogCaptureFixture) -> None:
    """The source logs what the system refuses. The server logs its own defects."""
    setup.failure = failure
    setup.ask()
    assert setup.last_error() == Error(ErrorCode.UNDEFINED, "the file cannot be read")
    assert setup.outcomes() == [FetchOutcome.CUT]
    assert (str(failure) in caplog.text) == isinstance(failure, RuntimeError)
    assert setup.all_given_back()


def test_failing_content_ends_its_transfer(setup: LiveSetup, caplog: pytest.LogCaptureFixture) -> None:
    setup.ask("a", peer=("192.0.2.1", 1024))
    setup.ask("b", peer=("192.0.2.2", 1024))
    setup.opened[0].failure = RuntimeError("a defect")
    for host in ("192.0.2.1", "192.0.2.2"):
        setup.live.receive(wire.ack(1), (host, 1024), 0.0)
    assert setup.outcomes() == [FetchOutcome.CUT]
    assert caplog.records[0].exc_info is not None
    assert setup.endpoints[1].sent[-1][0] == wire.data(2, b"b" * 512)


def test_content_without_size_is_closed(setup: LiveSetup) -> None:
    class Sizeless(MemoryContent):
        def __init__(self, data: bytes) -> None:
            super().__init__(data)
            del self.size

    setup.make = Sizeless
    setup.ask()
    assert setup.outcomes() == [FetchOutcome.CUT]
    assert setup.all_given_back()


def test_content_with_failing_close_is_logged(setup: LiveSetup, caplog: pytest.LogCaptureFixture) -> None:
    class Unclosable(MemoryContent):
        def close(self) -> None:
            raise OSError(5, "Input/output error")

    setup.make = Unclosable
    setup.ask()
    setup.live.cut("the server stops", 0.0)
    assert setup.outcomes() == [FetchOutcome.CUT]
    assert "file not closed: name='a'" in caplog.text


def test_failing_listener_is_logged(setup: LiveSetup, caplog: pytest.LogCaptureFixture) -> None:
    def fail(fetch: Fetch) -> None:
        raise RuntimeError("a defect")

    setup.live = LiveTransfers(source=setup, on_fetch=fail, open_endpoint=setup.endpoint, max_transfers=1)
    setup.ask("absent")
    assert caplog.records[0].levelno == logging.ERROR
    assert setup.all_given_back()


datagrams = st.binary(max_size=40) | st.sampled_from(
    [
        wire.read_request("a"),
        wire.read_request("a", "octet", {"blksize": 8, "tsize": 0}),
        wire.read_request("absent"),
        b"\0\2a\0octet\0",
        b"\0\1a\0octet\0blksize\0abc\0",
        wire.ack(0),
        wire.ack(1),
        wire.ack(2),
        wire.error(ErrorCode.UNDEFINED, "x"),
        wire.data(1, b"x"),
    ]
)
addresses = st.sampled_from([PHONE, ("192.0.2.1", 1024), ("192.0.2.2", 0), ("2001:db8::1", 1024, 0, 0)])


@given(st.lists(st.tuples(datagrams, addresses, addresses, st.booleans())), st.integers(0, 3))
def test_whatever_arrives_everything_is_given_back_in_the_end(
    content: MakeContent,
    tftp_path: DatagramPath,
    arrivals: list[tuple[bytes, SocketAddress, SocketAddress, bool]],
    limit: int,
) -> None:
    setup = LiveSetup(content, tftp_path, max_transfers=limit)
    for now, (datagram, peer, sender, is_request) in enumerate(arrivals):
        if is_request:
            setup.live.request(datagram, peer, HERE, float(now))
        else:
            setup.live.receive(datagram, sender, float(now))
        setup.live.expire(float(now))
        assert len(setup.live) <= limit
    setup.live.cut("the server stops", 1e6)
    assert len(setup.live) == 0
    assert setup.all_given_back()
    assert len(setup.fetches) == len(setup.endpoints)


def test_address_that_ignores_answers_gets_no_more(setup: LiveSetup) -> None:
    for port in range(1024, 1024 + MAX_IGNORED):
        setup.ask(peer=("192.0.2.1", port), now=1.0)
    for now in range(2, 10):
        setup.live.expire(float(now))
    assert setup.outcomes() == [FetchOutcome.TIMED_OUT] * MAX_IGNORED
    setup.ask(now=10.0)
    assert len(setup.endpoints) == MAX_IGNORED
    assert setup.live.counters.dropped == {Dropped.REFLECTOR: 1}
    setup.ask(peer=("192.0.2.2", 1024), now=10.0)
    assert len(setup.endpoints) == MAX_IGNORED + 1
    setup.live.expire(FORGET_SECONDS)
    setup.ask(now=FORGET_SECONDS)
    assert len(setup.endpoints) == MAX_IGNORED + 2


def test_transfer_lost_midway_does_not_count_as_ignored(setup: LiveSetup) -> None:
    for port in range(1024, 1024 + MAX_IGNORED):
        setup.ask(peer=("192.0.2.1", port))
        setup.live.receive(wire.ack(1), ("192.0.2.1", port), 0.0)
    for now in range(1, 30):
        setup.live.expire(float(now))
    setup.ask()
    assert len(setup.live) == 1


def test_error_5_is_limited_per_second(setup: LiveSetup) -> None:
    sent: list[bytes] = []
    for port in range(1024, 1024 + 2 * MAX_UNKNOWN_TIDS):
        setup.live.refuse_unknown(wire.ack(1), ("192.0.2.66", port), lambda datagrams, _: sent.extend(datagrams), 5.0)
    assert len(sent) == setup.live.counters.unknown_tids == MAX_UNKNOWN_TIDS
    setup.live.refuse_unknown(wire.ack(1), ("192.0.2.66", 1024), lambda datagrams, _: sent.extend(datagrams), 6.0)
    assert len(sent) == MAX_UNKNOWN_TIDS + 1


def test_counters_count_requests_and_fetches(content: MakeContent, tftp_path: DatagramPath) -> None:
    setup = LiveSetup(content, tftp_path, max_transfers=1)
    setup.ask("a")
    setup.ask("b", peer=("192.0.2.2", 1024))
    setup.live.request(b"\0\1nothing", PHONE, HERE, 0.0)
    setup.ask("a", peer=("192.0.2.3", 53))
    setup.live.expire(0.2)
    for block in (1, 2, 3, 4):
        setup.live.receive(wire.ack(block), PHONE, 0.3)
    setup.ask("absent")
    counters = setup.live.counters
    assert (counters.requests, counters.payload, counters.blocks, counters.retransmits) == (5, 2000, 4, 1)
    assert counters.fetches == {FetchOutcome.COMPLETED: 1, FetchOutcome.ABSENT: 1}
    assert counters.dropped == {Dropped.SATURATED: 1, Dropped.MALFORMED: 1, Dropped.REFLECTOR: 1}


def test_large_file_is_not_sent_as_netascii(content: MakeContent, tftp_path: DatagramPath) -> None:
    setup = LiveSetup(content, tftp_path, max_transfers=100, max_netascii_bytes=1999)
    setup.ask(mode="netascii")
    assert setup.last_error() == Error(ErrorCode.ILLEGAL_OPERATION, "too large for netascii")
    assert setup.outcomes() == [FetchOutcome.REFUSED]
    assert setup.all_given_back()
