"""Hostile input and many clients: other clients are served."""

import random
import tracemalloc

import pytest

from cisisk.provisioning.fetch import FetchOutcome
from tests.protocol.http.conftest import Connect, Serve

PIECES = [
    b"GET /a.xml HTTP/1.1\r\n",
    b"HEAD /a.xml HTTP/1.0\r\n",
    b"POST / HTTP/1.1\r\n",
    b"\r\n",
    b"\r\n\r\n",
    b"\n",
    b"\r",
    b"\0",
    b"Host: x\r\n",
    b"Range: bytes=0-1\r\n",
    b"Range: bytes=--\r\n",
    b"Connection: close\r\n",
    b"Content-Length: 5\r\n",
    b"Content-Length: -1\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b" folded\r\n",
    b": x\r\n",
    b"GET ",
    b"/%00%",
    b" HTTP/1.1",
    b"\xff" * 100,
    b"A" * 9000,
]


@pytest.mark.parametrize("seed", range(4))
def test_random_bytes_do_not_stop_server(
    http_serve: Serve, http_client: Connect, caplog: pytest.LogCaptureFixture, seed: int
) -> None:
    chance = random.Random(seed)
    served = http_serve({"a.xml": b"<a/>" * 5000})
    for _ in range(60):
        client = http_client(served)
        try:
            for _ in range(chance.randrange(6)):
                client.send(b"".join(chance.choices(PIECES, k=chance.randrange(1, 8))))
        except (BrokenPipeError, ConnectionResetError):
            pass
        client.socket.close()
    assert http_client(served).ask("/a.xml").body == b"<a/>" * 5000
    assert caplog.records == []


def test_many_phones_are_served_concurrently(http_serve: Serve, http_client: Connect) -> None:
    names = [f"SEP{number:012X}.cnf.xml" for number in range(500)]
    served = http_serve({name: name.encode() * 700 for name in names})
    phones = [http_client(served, f"127.0.{7 + number // 250}.{1 + number % 250}") for number in range(500)]
    for phone, name in zip(phones, names, strict=True):
        phone.send(f"GET /CTL{name} HTTP/1.1\r\n\r\nGET /{name} HTTP/1.1\r\nConnection: close\r\n\r\n".encode())
    for phone, name in zip(phones, names, strict=True):
        assert phone.hear().status == 404
        assert phone.hear().body == name.encode() * 700
        assert phone.is_closed()
    fetches = [served.fetch() for _ in range(1000)]
    assert sum(fetch.outcome is FetchOutcome.COMPLETED for fetch in fetches) == 500
    assert {fetch.peer[0] for fetch in fetches} == {phone.socket.getsockname()[0] for phone in phones}
    assert served.fetches.empty()


def test_ranges_of_cached_file_are_not_copied(http_serve: Serve, http_client: Connect) -> None:
    served = http_serve({"a.xml": bytes(1 << 20)})
    asked = b"GET /a.xml HTTP/1.1\r\nRange: bytes=1-\r\n\r\n"
    assert http_client(served).ask("/a.xml").status == 200
    tracemalloc.start()
    try:
        clients = [http_client(served, receive_buffer=4096) for _ in range(40)]
        for client in clients:
            client.send(asked * 16)
        for client in clients:
            assert client.socket.recv(1)
        # The server answers the next client after it filled the buffers of the others.
        assert http_client(served).ask("/a.xml", method="HEAD").status == 200
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert held < 8 << 20
