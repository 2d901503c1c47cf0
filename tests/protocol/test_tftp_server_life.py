"""Start, heartbeat and stop of the TFTP server."""

import logging
import queue
import socket
import threading
import time
from typing import NoReturn

import pytest

from cisisk.provisioning.fetch import Fetch, FetchOutcome
from cisisk.provisioning.source import NotServed
from cisisk.provisioning.tftp import wire
from cisisk.provisioning.tftp.server import TftpServer
from cisisk.provisioning.tftp.wire import Data, Error, ErrorCode
from tests.patience import PATIENCE
from tests.protocol.conftest import Eventually, MakePhone, Serve

FILES = {"a.xml": b"a" * 1200}


class NoFiles:
    def open(self, name: str, host: str) -> NoReturn:
        raise NotServed(name)


def server_on(host: str, port: int) -> TftpServer:
    return TftpServer(host=host, port=port, source=NoFiles(), on_fetch=lambda _: None, max_transfers=1)


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0", "::1", "::"])
def test_start_with_port_in_use_raises(host: str) -> None:
    first = server_on(host, 0)
    try:
        with pytest.raises(OSError, match="in use"):
            server_on(host, first.address[1])
    finally:
        first.stop(0)


def test_start_on_all_addresses_with_port_in_use_raises() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        with pytest.raises(OSError, match="in use"):
            server_on("::", port)
    server_on("::", port).stop(0)


def test_start_on_foreign_address_raises() -> None:
    with pytest.raises(OSError, match="assign"):
        server_on("192.0.2.1", 0)


def test_requests_before_start_are_answered_later(tftp_phone: MakePhone) -> None:
    server = server_on("127.0.0.1", 0)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as phone:
        phone.settimeout(5)
        phone.sendto(wire.read_request("a"), server.address)
        is_alive = [server.is_alive]
        server.start()
        assert wire.parse(phone.recv(600)) == Error(ErrorCode.NOT_FOUND, "File not found")
    is_alive.append(server.is_alive)
    server.stop(0)
    is_alive.append(server.is_alive)
    assert is_alive == [False, True, False]


def test_server_never_started_releases_port() -> None:
    server = server_on("127.0.0.1", 0)
    server.stop(0)
    server.stop(0)
    server_on("127.0.0.1", server.address[1]).stop(0)


def test_heartbeat_continues_without_traffic(tftp_serve: Serve, eventually: Eventually) -> None:
    server = tftp_serve(FILES).server
    eventually(lambda: server.is_alive)
    before = server.heartbeat
    eventually(lambda: server.heartbeat > before)
    assert time.monotonic() - server.heartbeat < 2.0


def test_stop_lets_transfer_finish_within_grace(
    tftp_serve: Serve, tftp_phone: MakePhone, eventually: Eventually
) -> None:
    served = tftp_serve(FILES)
    phone, late = tftp_phone(served), tftp_phone(served)
    phone.ask("a.xml")
    stopper = threading.Thread(target=served.server.stop, args=(PATIENCE,))
    stopper.start()
    eventually(lambda: port_is_free(served.port))
    late.send_request(wire.read_request("a.xml"))
    for block in (1, 2, 3):
        phone.send(wire.ack(block))
        if block < 3:
            assert phone.hear() == Data(block + 1, b"a" * (512 if block == 1 else 176))
    started = time.monotonic()
    stopper.join(PATIENCE)
    assert time.monotonic() - started < PATIENCE / 2
    assert not served.server.is_alive
    assert served.fetch().outcome is FetchOutcome.COMPLETED
    assert len(served.opened) == 1


def port_is_free(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


@pytest.mark.parametrize("grace", [0, 0.2])
def test_stop_cuts_transfer_after_grace(tftp_serve: Serve, tftp_phone: MakePhone, grace: float) -> None:
    served = tftp_serve(FILES)
    phone = tftp_phone(served)
    phone.ask("a.xml")
    started = time.monotonic()
    served.server.stop(grace)
    assert grace <= time.monotonic() - started < grace + PATIENCE / 2
    heard = phone.hear()
    if isinstance(heard, Data):  # skip repeated blocks
        heard = phone.hear()
    assert heard == Error(ErrorCode.UNDEFINED, "the server stops")
    fetch = served.fetch()
    assert (fetch.outcome, fetch.acknowledged) == (FetchOutcome.CUT, 0)
    assert not served.server.is_alive


def test_stop_without_transfers_is_immediate(tftp_serve: Serve) -> None:
    served = tftp_serve(FILES)
    started = time.monotonic()
    served.server.stop(PATIENCE)
    assert time.monotonic() - started < PATIENCE / 2


def test_stop_does_not_spin_during_grace(
    tftp_serve: Serve, tftp_phone: MakePhone, monkeypatch: pytest.MonkeyPatch
) -> None:
    served = tftp_serve(FILES)
    tftp_phone(served).ask("a.xml")
    turns: queue.SimpleQueue[float] = queue.SimpleQueue()
    serve = TftpServer._serve_transfers

    def counted(self: TftpServer, events: list[tuple[int, int]], now: float) -> bool:
        turns.put(now)
        return serve(self, events, now)

    monkeypatch.setattr(TftpServer, "_serve_transfers", counted)
    served.server.stop(0.5)
    assert turns.qsize() < 20


def test_failing_loop_is_reported(
    tftp_serve: Serve,
    tftp_phone: MakePhone,
    eventually: Eventually,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def fail(self: TftpServer, *_: object) -> None:
        raise RuntimeError("a defect")

    served = tftp_serve(FILES)
    phone = tftp_phone(served)
    phone.ask("a.xml")
    monkeypatch.setattr(TftpServer, "_begin_requests", fail)
    eventually(lambda: not served.server.is_alive)
    assert phone.hear() == Error(ErrorCode.UNDEFINED, "the server stops")
    assert served.fetch().outcome is FetchOutcome.CUT
    assert [record.levelno for record in caplog.records] == [logging.CRITICAL]
    assert port_is_free(served.port)


def test_fetch_is_reported_from_server_thread() -> None:
    seen: queue.Queue[tuple[Fetch, str]] = queue.Queue()
    server = TftpServer(
        host="127.0.0.1",
        port=0,
        source=NoFiles(),
        on_fetch=lambda fetch: seen.put((fetch, threading.current_thread().name)),
        max_transfers=1,
    )
    server.start()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as phone:
        phone.sendto(wire.read_request("SEP001122334455.cnf.xml"), server.address)
        fetch, thread = seen.get(timeout=5)
        assert (fetch.protocol, fetch.name, fetch.outcome, fetch.peer) == (
            "tftp",
            "SEP001122334455.cnf.xml",
            FetchOutcome.ABSENT,
            ("127.0.0.1", phone.getsockname()[1]),
        )
    assert thread == "tftp"
    server.stop(0)
