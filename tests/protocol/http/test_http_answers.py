"""Responses to phones over HTTP (docs/phone-protocol/file-transfer.md#http-6970)."""

import random
from hashlib import sha256

import pytest

from cisisk.provisioning.fetch import FetchOutcome
from tests.protocol.http.conftest import BROKEN, DENIED, Connect, Serve

CONFIG = "SEP001122334455.cnf.xml"
XML = b"<device/>" * 300
FIRMWARE = random.Random(6970).randbytes(3 << 20)
FILES = {
    CONFIG: XML,
    "Desktops/320x212x16/List.xml": b"<list/>",
    "Spanish Spain/mk-sip.jar": b"jar",
    "sip88xx.loads": FIRMWARE,
    "empty.tlv": b"",
    "signed.xml.sgn": b"signed",
    "Ringlist.XML": b"<rings/>",
    DENIED: b"not for you",
}


@pytest.mark.parametrize("cache_bytes", [8 << 20, 0])
@pytest.mark.parametrize("name", [name for name in FILES if name != DENIED])
def test_file_arrives_unchanged(http_serve: Serve, http_client: Connect, name: str, cache_bytes: int) -> None:
    served = http_serve(FILES, cache_bytes=cache_bytes)
    client = http_client(served)
    answer = client.ask(f"/{name}")
    assert (answer.status, answer.body) == (200, FILES[name])
    assert answer.fields["Content-Length"] == str(len(FILES[name]))
    assert answer.fields["Content-Type"] == (
        "text/xml" if name.lower().endswith(".xml") else "application/octet-stream"
    )
    assert not {"Transfer-Encoding", "Content-Encoding", "Set-Cookie", "Connection"} & set(answer.fields)
    fetch = served.fetch()
    assert (fetch.protocol, fetch.name, fetch.outcome) == ("http", name, FetchOutcome.COMPLETED)
    assert (fetch.size, fetch.acknowledged) == (len(FILES[name]), len(FILES[name]))
    assert fetch.sha256 == (None if name == "sip88xx.loads" else sha256(FILES[name]).hexdigest())
    assert (fetch.peer, fetch.local) == (client.socket.getsockname(), "127.0.0.1")
    assert 0 <= fetch.duration < 10


@pytest.mark.parametrize(
    ("target", "name"),
    [
        ("/sep001122334455.CNF.XML", CONFIG),
        (f"//{CONFIG}", CONFIG),
        (f"http://anything:6970/{CONFIG}", CONFIG),
        (f"/{CONFIG}?x=y", CONFIG),
        ("/SEP001122334455%2Ecnf.xml", CONFIG),
        (r"/Desktops\320x212x16\List.xml", "Desktops/320x212x16/List.xml"),
        ("/Desktops%5c320x212x16%5CList.xml", "Desktops/320x212x16/List.xml"),
        ("/Spanish%20Spain/mk-sip.jar", "Spanish Spain/mk-sip.jar"),
        ("/Spanish Spain/mk-sip.jar", "Spanish Spain/mk-sip.jar"),
    ],
)
def test_name_in_any_form_of_phones_is_found(http_serve: Serve, http_client: Connect, target: str, name: str) -> None:
    answer = http_client(http_serve(FILES)).ask(target)
    assert (answer.status, answer.body) == (200, FILES[name])


ABSENT = [
    "/absent.xml",
    f"/{DENIED}",
    "/",
    "/..",
    "/../etc/passwd",
    "/%2e%2e/%2e%2e/etc/passwd",
    r"/..\..\etc\passwd",
    "/.cisisk/x",
    "/Desktops",
    "/Desktops/",
    "/Desktops//320x212x16//List.xml",
    "/a%00b",
    "/%0d%0aX: y",
    "/%ff%fe.xml",
    "/%",
    "/" + "x" * 4000,
    f"/{CONFIG}.sgn",
    f"/{CONFIG}/",
    "*",
]


def test_absent_denied_and_invalid_names_get_the_same_answer(http_serve: Serve, http_client: Connect) -> None:
    served = http_serve(FILES)
    client = http_client(served)
    for target in ABSENT:
        answer = client.ask(target)
        fields = {name: value for name, value in answer.fields.items() if name != "Date"}
        assert (answer.status, answer.body) == (404, b""), target
        assert fields == {"Server": "Cisisk", "Content-Length": "0"}, target
        fetch = served.fetch()
        assert (fetch.outcome, fetch.sha256, fetch.acknowledged) == (FetchOutcome.ABSENT, None, 0)
        assert len(fetch.name) <= 512
    # Every request reached the source, which may count it.
    assert len(served.asked) == len(ABSENT)
    assert {host for _, host in served.asked} == {"127.0.0.1"}


def test_signed_name_is_a_separate_file(http_serve: Serve, http_client: Connect) -> None:
    client = http_client(http_serve(FILES))
    assert client.ask(f"/{CONFIG}.sgn").status == 404
    answer = client.ask("/signed.xml.sgn")
    assert (answer.body, answer.fields["Content-Type"]) == (b"signed", "application/octet-stream")


def test_head_describes_file_and_is_not_reported(http_serve: Serve, http_client: Connect) -> None:
    served = http_serve(FILES)
    client = http_client(served)
    for name in (CONFIG, "sip88xx.loads"):
        head, sent = client.ask(f"/{name}", "Range: bytes=0-1", method="HEAD"), client.ask(f"/{name}")
        assert (head.status, head.fields) == (200, sent.fields)
        assert served.fetch().acknowledged == len(FILES[name])
    assert served.fetches.empty()
    assert client.ask("/absent.xml", method="HEAD").status == 404
    assert served.fetch().outcome is FetchOutcome.ABSENT


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "TRACE", "CONNECT", "PROPFIND", "get"])
def test_other_methods_are_refused(http_serve: Serve, http_client: Connect, method: str) -> None:
    served = http_serve(FILES)
    client = http_client(served)
    answer = client.ask(f"/{CONFIG}", method=method)
    assert (answer.status, answer.fields["Allow"], answer.body) == (405, "GET, HEAD", b"")
    assert served.fetch().outcome is FetchOutcome.REFUSED
    assert client.ask(f"/{CONFIG}").status == 200
    assert served.asked == [(CONFIG, "127.0.0.1")]


def test_request_with_body_ends_connection(http_serve: Serve, http_client: Connect) -> None:
    client = http_client(http_serve(FILES))
    client.send(f"PUT /{CONFIG} HTTP/1.1\r\nContent-Length: 40000\r\n\r\n".encode() + b"GET /x HTTP/1.1\r\n\r\n" * 2000)
    answer = client.hear()
    assert (answer.status, answer.fields["Connection"]) == (405, "close")
    assert client.is_closed()


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        (b"nonsense\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n", 400),
        (b"GET /x\r\n\r\n", 400),
        (b"GET /x HTTP/2.0\r\n\r\n", 505),
        (b"GET /x HTTP/1.1\r\nA: b\r\n c\r\n\r\n", 400),
        (b"GET /" + b"x" * 9000 + b" HTTP/1.1\r\n\r\n", 431),
        (b"GET /x HTTP/1.1\r\n" + b"A: b\r\n" * 3000, 431),
    ],
)
def test_malformed_request_ends_connection(http_serve: Serve, http_client: Connect, raw: bytes, status: int) -> None:
    served = http_serve(FILES)
    client = http_client(served)
    client.send(raw)
    answer = client.hear()
    assert (answer.status, answer.body, answer.fields["Connection"]) == (status, b"", "close")
    assert client.is_closed()
    assert (served.asked, served.fetches.empty()) == ([], True)


@pytest.mark.parametrize("cache_bytes", [8 << 20, 0])
@pytest.mark.parametrize(
    ("asked", "first", "last"),
    [("0-0", 0, 0), ("100-199", 100, 199), ("100-", 100, 2699), ("-100", 2600, 2699), ("2600-9999", 2600, 2699)],
)
def test_range_of_file_is_served(
    http_serve: Serve, http_client: Connect, asked: str, first: int, last: int, cache_bytes: int
) -> None:
    served = http_serve(FILES, cache_bytes=cache_bytes)
    answer = http_client(served).ask(f"/{CONFIG}", f"Range: bytes={asked}")
    assert (answer.status, answer.body) == (206, XML[first : last + 1])
    assert answer.fields["Content-Range"] == f"bytes {first}-{last}/{len(XML)}"
    fetch = served.fetch()
    # A partial response does not identify the version.
    assert (fetch.outcome, fetch.sha256) == (FetchOutcome.COMPLETED, None)
    assert (fetch.acknowledged, fetch.size) == (last - first + 1, len(XML))
    assert fetch.options == (("first", first), ("last", last))


def test_range_of_whole_file_is_reported_with_version(http_serve: Serve, http_client: Connect) -> None:
    served = http_serve(FILES)
    assert http_client(served).ask(f"/{CONFIG}", "Range: bytes=0-").status == 206
    assert served.fetch().sha256 == sha256(XML).hexdigest()


@pytest.mark.parametrize("fields", [["bytes=0-1,4-5"], ["bytes=0-1", "bytes=4-5"], ["pages=1-2"], ["bytes=5-1"]])
def test_several_ranges_get_whole_file(http_serve: Serve, http_client: Connect, fields: list[str]) -> None:
    answer = http_client(http_serve(FILES)).ask(f"/{CONFIG}", *(f"Range: {field}" for field in fields))
    assert (answer.status, answer.body, answer.fields["Accept-Ranges"]) == (200, XML, "bytes")


def test_range_beyond_end_is_refused_with_size(http_serve: Serve, http_client: Connect) -> None:
    served = http_serve(FILES)
    client = http_client(served)
    answer = client.ask(f"/{CONFIG}", "Range: bytes=2700-")
    assert (answer.status, answer.body, answer.fields["Content-Range"]) == (416, b"", "bytes */2700")
    assert served.fetch().outcome is FetchOutcome.REFUSED
    assert client.ask("/empty.tlv", "Range: bytes=0-").fields["Content-Range"] == "bytes */0"


def test_file_that_cannot_be_opened_is_an_error_without_body(http_serve: Serve, http_client: Connect) -> None:
    served = http_serve(FILES)
    client = http_client(served)
    answer = client.ask(f"/{BROKEN}")
    assert (answer.status, answer.body) == (500, b"")
    assert served.fetch().outcome is FetchOutcome.CUT
    assert client.ask(f"/{CONFIG}").status == 200
