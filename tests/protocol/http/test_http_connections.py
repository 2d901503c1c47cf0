"""HTTP connections: persistent, limited, slow and aborted."""

import random
import socket
import time
from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256
from typing import cast

import pytest

from cisisk.provisioning.fetch import Fetch, FetchOutcome
from cisisk.provisioning.http.limits import HttpLimits
from cisisk.provisioning.http.server import HttpServer
from tests.protocol.http.conftest import Client, Connect, Serve, Served

Eventually = Callable[[Callable[[], bool]], None]
FIRMWARE = random.Random(6971).randbytes(24 << 20)
"""Larger than the kernel buffers of a connection."""
FILES = {"a.xml": b"<a/>", "b.xml": b"<b/>" * 4096, "image.bin": FIRMWARE}


@pytest.mark.parametrize(
    ("version", "fields", "said", "is_kept"),
    [
        ("1.1", [], None, True),
        ("1.1", ["Connection: close"], "close", False),
        ("1.0", [], "close", False),
        ("1.0", ["Connection: Keep-Alive"], "keep-alive", True),
    ],
)
def test_connection_is_kept_as_client_requests(
    http_serve: Serve, http_client: Connect, version: str, fields: list[str], said: str | None, is_kept: bool
) -> None:
    client = http_client(http_serve(FILES))
    for target, status in (("/a.xml", 200), ("/absent", 404)):
        answer = client.ask(target, *fields, version=version)
        assert (answer.status, answer.fields.get("Connection")) == (status, said)
        if not is_kept:
            assert client.is_closed()
            return


def test_pipelined_requests_are_answered_in_order(http_serve: Serve, http_client: Connect) -> None:
    served = http_serve(FILES)
    client = http_client(served)
    names = ["a.xml", "absent", "b.xml"] * 50
    client.send(b"".join(b"GET /%s HTTP/1.1\r\n\r\n" % name.encode() for name in names))
    assert [client.hear().body for _ in names] == [FILES.get(name, b"") for name in names]
    fetched = sorted((served.fetch().name for _ in names), key=names.index)
    assert fetched == sorted(names, key=names.index)
    client.send(
        b"GET /image.bin HTTP/1.1\r\n\r\nGET /a.xml HTTP/1.1\r\nConnection: close\r\n\r\nGET /b.xml HTTP/1.1\r\n\r\n"
    )
    assert [client.hear().body for _ in range(2)] == [FIRMWARE, b"<a/>"]
    assert client.is_closed()


def test_request_may_arrive_byte_by_byte(http_serve: Serve, http_client: Connect) -> None:
    client = http_client(http_serve(FILES))
    client.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for byte in b"\r\nGET /a.xml HTTP/1.1\nHost: x\n\r\n":
        client.send(bytes([byte]))
    assert client.hear().body == b"<a/>"


def test_client_with_a_closed_sending_side_is_answered(http_serve: Serve, http_client: Connect) -> None:
    served = http_serve(FILES)
    client = http_client(served)
    client.send(b"GET /image.bin HTTP/1.1\r\n\r\n")
    client.socket.shutdown(socket.SHUT_WR)
    assert client.hear().body == FIRMWARE
    assert client.is_closed()
    assert served.fetch().outcome is FetchOutcome.COMPLETED


def test_transfer_finishes_with_its_first_version(http_serve: Serve, http_client: Connect) -> None:
    served = http_serve(FILES)
    client = http_client(served, receive_buffer=65536)
    client.send(b"GET /image.bin HTTP/1.1\r\n\r\n")
    first = client.socket.recv(100)
    newer = served.root / "newer"
    newer.write_bytes(b"another firmware")
    newer.replace(served.root / "image.bin")
    client.received = first
    assert client.hear().body == FIRMWARE
    assert client.ask("/image.bin").body == b"another firmware"


@pytest.mark.parametrize("name", ["b.xml", "image.bin"])
def test_fetch_is_reported_after_acknowledgement(http_serve: Serve, http_client: Connect, name: str) -> None:
    served = http_serve(FILES)
    answer = http_client(served).ask(f"/{name}")
    fetch = served.fetch()
    assert (fetch.outcome, fetch.acknowledged) == (FetchOutcome.COMPLETED, len(answer.body))


def break_off_after(served: Served, client: Client, length: int) -> Fetch:
    """Request the firmware, read ``length`` bytes and reset the connection."""
    client.send(b"GET /image.bin HTTP/1.1\r\n\r\n")
    received = 0
    while received < length:
        received += len(client.socket.recv(min(65536, length - received)))
    client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    client.socket.close()
    return served.fetch()


@pytest.mark.parametrize("length", [1, 1 << 20, 10 << 20])
def test_aborted_transfer_is_reported_with_the_acknowledged_bytes(
    http_serve: Serve, http_client: Connect, length: int
) -> None:
    served = http_serve(FILES)
    fetch = break_off_after(served, http_client(served, receive_buffer=65536), length)
    assert (fetch.outcome, fetch.size) == (FetchOutcome.ABORTED, len(FIRMWARE))
    # More: bytes in its buffer that it had not read. Less: TCP confirms every second
    # segment, and one takes 64 KiB on loopback.
    assert length - (2 << 16) <= fetch.acknowledged < length + (1 << 20)


def test_small_file_that_was_not_read_is_not_completed(http_serve: Serve, http_client: Connect) -> None:
    """The kernel buffers the whole file, so only acknowledgements show what arrived."""
    served = http_serve(FILES | {"c.xml": bytes(200_000)})
    client = http_client(served, receive_buffer=4096)
    client.send(b"GET /c.xml HTTP/1.1\r\nConnection: close\r\n\r\n")
    client.socket.recv(1)
    client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    client.socket.close()
    fetch = served.fetch()
    assert (fetch.outcome, fetch.sha256) == (FetchOutcome.ABORTED, sha256(bytes(200_000)).hexdigest())
    assert fetch.acknowledged < 200_000


def test_truncated_file_ends_transfer(
    http_serve: Serve, http_client: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    served = http_serve(FILES)
    client = http_client(served, receive_buffer=65536)
    client.send(b"GET /image.bin HTTP/1.1\r\n\r\n")
    client.socket.recv(100)
    with (served.root / "image.bin").open("r+b") as file:
        file.truncate(20 << 20)
    assert client.is_reset()
    assert served.fetch().outcome is FetchOutcome.CUT
    assert "the file was truncated" in caplog.text


SHORT_DEADLINES = HttpLimits(
    head_seconds=0.2, idle_seconds=0.2, stall_seconds=0.2, linger_seconds=0.2, tick_seconds=0.02
)
"""Short deadlines for tests."""


@pytest.mark.parametrize("beginning", [b"", b"GET /a", b"GET /a.xml HTTP/1.1\r\nA: b\r\n"])
def test_incomplete_request_times_out(http_serve: Serve, http_client: Connect, beginning: bytes) -> None:
    served = http_serve(FILES, limits=SHORT_DEADLINES)
    client = http_client(served)
    client.send(beginning)
    assert client.is_closed()
    assert served.fetches.empty()


def test_endless_request_times_out_despite_new_bytes(
    http_serve: Serve, http_client: Connect, eventually: Eventually
) -> None:
    client = http_client(http_serve(FILES, limits=SHORT_DEADLINES))
    client.ask("/a.xml")
    began = time.monotonic()

    def is_disconnected() -> bool:
        try:
            client.send(b"G")
        except (BrokenPipeError, ConnectionResetError):
            return True
        return False

    eventually(is_disconnected)
    assert time.monotonic() - began < 2


def test_client_that_stops_reading_is_disconnected(http_serve: Serve, http_client: Connect) -> None:
    served = http_serve(FILES, limits=SHORT_DEADLINES)
    client = http_client(served, receive_buffer=4096)
    client.send(b"GET /image.bin HTTP/1.1\r\n\r\n")
    fetch = served.fetch()
    assert (fetch.outcome, fetch.size) == (FetchOutcome.TIMED_OUT, len(FIRMWARE))
    assert 0 <= fetch.acknowledged < 1 << 20


def test_slow_client_that_continues_is_not_cut(http_serve: Serve, http_client: Connect) -> None:
    limits = replace(SHORT_DEADLINES, stall_bytes=1024)
    served = http_serve(FILES | {"slow.bin": FIRMWARE[: 6 << 20]}, cache_bytes=0, limits=limits)
    client = http_client(served, receive_buffer=65536)
    client.send(b"GET /slow.bin HTTP/1.1\r\n\r\n")
    began, received = time.monotonic(), 0
    while received < 6 << 20:
        received += len(client.socket.recv(65536))
        time.sleep(0.005)  # a slow reader
    assert time.monotonic() - began > 2 * limits.stall_seconds
    assert served.fetch().outcome is FetchOutcome.COMPLETED


def is_accepted(http_client: Connect, served: Served, source: str) -> bool:
    try:
        return http_client(served, source).ask("/a.xml").status == 200
    except (AssertionError, ConnectionError):
        return False


def test_connections_per_address_are_limited(
    http_serve: Serve,
    http_client: Connect,
    caplog: pytest.LogCaptureFixture,
    eventually: Eventually,
) -> None:
    served = http_serve(FILES, limits=HttpLimits(max_per_address=3))
    clients = [http_client(served, "127.0.0.2") for _ in range(3)]
    assert [client.ask("/a.xml").status for client in clients] == [200] * 3
    assert http_client(served, "127.0.0.2").is_closed()
    assert http_client(served, "127.0.0.3").ask("/a.xml").status == 200
    assert "HTTP clients refused: reason='3 connections from 127.0.0.2'" in caplog.text
    clients[0].ask("/a.xml", "Connection: close")
    assert clients[0].is_closed()
    eventually(lambda: is_accepted(http_client, served, "127.0.0.2"))


def test_idle_connections_make_room_for_new_ones(
    http_serve: Serve, http_client: Connect, eventually: Eventually
) -> None:
    served = http_serve(FILES, limits=HttpLimits(max_connections=4, spared_seconds=0.05))
    busy = http_client(served, receive_buffer=4096)
    busy.send(b"GET /image.bin HTTP/1.1\r\n\r\n")
    busy.socket.recv(1)
    waiting = [http_client(served, f"127.0.0.{host}") for host in (2, 3, 4)]
    eventually(lambda: served.server.connections == 4)
    eventually(lambda: is_accepted(http_client, served, "127.0.0.5"))
    assert all(client.is_closed() for client in waiting)
    assert busy.socket.recv(1)


def test_accept_without_descriptors_pauses(http_serve: Serve, http_client: Connect, eventually: Eventually) -> None:
    served = http_serve(FILES, limits=HttpLimits(pause_seconds=0.1))

    class Exhausted:
        def accept(self) -> None:
            raise OSError(24, "Too many open files")

    listeners = dict(served.server._listeners)
    exhausted = dict.fromkeys(listeners, cast("socket.socket", Exhausted()))
    served.do(lambda: served.server._listeners.update(exhausted))
    client = http_client(served)
    eventually(lambda: not served.server.is_serving)
    served.do(lambda: served.server._listeners.update(listeners))
    assert client.ask("/a.xml").status == 200
    assert served.server.is_serving


def test_stop_waits_for_transfers(http_serve: Serve, http_client: Connect, eventually: Eventually) -> None:
    served = http_serve(FILES)
    idle, busy = http_client(served), http_client(served, receive_buffer=65536)
    idle.ask("/a.xml")
    served.fetch()
    busy.send(b"GET /image.bin HTTP/1.1\r\n\r\n")
    busy.received = busy.socket.recv(1)
    served.loop.call_soon_threadsafe(lambda: served.loop.create_task(served.server.stop(10)))
    assert idle.is_closed()
    with pytest.raises(ConnectionRefusedError):
        http_client(served)
    assert busy.hear().body == FIRMWARE
    assert busy.is_closed()
    assert served.fetch().outcome is FetchOutcome.COMPLETED
    eventually(lambda: served.server.connections == 0)


def test_stop_cuts_transfers_after_grace(http_serve: Serve, http_client: Connect) -> None:
    served = http_serve(FILES)
    client = http_client(served, receive_buffer=4096)
    client.send(b"GET /image.bin HTTP/1.1\r\n\r\n")
    client.socket.recv(1)
    served.stop(0.05)
    fetch = served.fetch()
    assert (fetch.outcome, fetch.size) == (FetchOutcome.CUT, len(FIRMWARE))
    assert client.is_reset()


def test_server_on_all_addresses_serves_both_families(http_serve: Serve, http_client: Connect) -> None:
    served = http_serve(FILES, host="::")
    assert http_client(served).ask("/a.xml").status == 200
    assert http_client(served, "::1", "::1").ask("/a.xml").status == 200
    assert sorted(served.fetch().peer[0] for _ in range(2)) == ["127.0.0.1", "::1"]


def test_start_with_port_in_use_raises(http_serve: Serve) -> None:
    served = http_serve(FILES)
    with pytest.raises(OSError, match="in use"):
        HttpServer(host="127.0.0.1", port=served.port, source=served, on_fetch=served.fetches.put)


async def test_server_never_started_can_be_stopped(http_serve: Serve) -> None:
    served = http_serve(FILES)
    other = HttpServer(host="127.0.0.1", port=0, source=served, on_fetch=served.fetches.put)
    assert not other.is_serving
    await other.stop(0)
    await other.stop(0)
