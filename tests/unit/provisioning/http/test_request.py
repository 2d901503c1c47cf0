"""Parsing of requests, and malformed ones."""

import time
from contextlib import suppress
from urllib.parse import quote

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from cisisk.provisioning.http.request import LONGEST_HEAD, HttpRequest, MalformedHttp, parse, split


def asked(
    target: str = "/SEP001122334455.cnf.xml", *fields: str, method: str = "GET", version: str = "1.1"
) -> HttpRequest:
    lines = [f"{method} {target} HTTP/{version}", *fields]
    return parse("\r\n".join(lines).encode("latin-1"))


def status_of(head: bytes) -> int:
    with pytest.raises(MalformedHttp) as refused:
        parse(head)
    return refused.value.status


@pytest.mark.parametrize(
    ("target", "name"),
    [
        ("/SEP001122334455.cnf.xml", "SEP001122334455.cnf.xml"),
        ("//mk-sip.jar", "/mk-sip.jar"),
        ("/Desktops/320x212x16/List.xml", "Desktops/320x212x16/List.xml"),
        (r"/Desktops\320x212x16\List.xml", r"Desktops\320x212x16\List.xml"),
        (r"\Communicator\x.xml", r"\Communicator\x.xml"),
        ("/Spanish%20Spain/mk-sip.jar", "Spanish Spain/mk-sip.jar"),
        ("/Spanish Spain/mk-sip.jar", "Spanish Spain/mk-sip.jar"),
        ("/%2e%2e/secret", "../secret"),
        ("/a%00b", "a\0b"),
        ("/100%", "100%"),
        ("/%zz", "%zz"),
        ("/dialplan.xml?", "dialplan.xml"),
        ("/dialplan.xml?a=b/c", "dialplan.xml"),
        ("http://192.0.2.5:6970/dialplan.xml", "dialplan.xml"),
        ("HTTP://cucm/dialplan.xml", "dialplan.xml"),
        ("http://192.0.2.5", ""),
        ("dialplan.xml", "dialplan.xml"),
        ("*", "*"),
        ("/M%C3%BCnchen.xml", "München.xml"),
        ("/\xfc.xml", "\ufffd.xml"),
        ("/%fc.xml", "\ufffd.xml"),
    ],
)
def test_target_is_decoded_to_file_name(target: str, name: str) -> None:
    assert asked(target).name == name


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_any_name_that_is_encoded_arrives_as_it_was(name: str) -> None:
    assert asked("/" + quote(name, safe="")).name == name


@pytest.mark.parametrize(
    ("version", "fields", "keep_alive"),
    [
        ("1.1", [], True),
        ("1.1", ["Host: a"], True),
        ("1.1", ["Connection: close"], False),
        ("1.1", ["connection:CLOSE"], False),
        ("1.1", ["Connection : close"], False),
        ("1.1", ["Connection: te, Close"], False),
        ("1.1", ["Connection: te", "Connection: close"], False),
        ("1.1", ["Connection: keep-alive"], True),
        ("1.1", ["X-Connection: close"], True),
        ("1.0", [], False),
        ("1.0", ["Connection: Keep-Alive"], True),
        ("1.0", ["Connection: keep-alive, close"], False),
        ("1.1", ["Content-Length: 0"], True),
        ("1.1", ["Content-Length: 5"], False),
        ("1.1", ["Content-Length : 5"], False),
        ("1.1", ["Content-Length: 0", "Content-Length: 5"], False),
        ("1.1", ["Transfer-Encoding: chunked"], False),
    ],
)
def test_connection_is_kept_as_version_and_fields_say(version: str, fields: list[str], keep_alive: bool) -> None:
    assert asked("/x", *fields, version=version).keep_alive is keep_alive


@pytest.mark.parametrize(
    ("fields", "byte_range"),
    [
        ([], None),
        (["Range: bytes=0-1"], "bytes=0-1"),
        (["RANGE:bytes=0-1  "], "bytes=0-1"),
        (["Range: bytes=0-1", "Range: bytes=2-3"], None),
        (["Range: bytes=0-1", 'If-Range: "x"'], None),
    ],
)
def test_range_is_applied_if_permitted(fields: list[str], byte_range: str | None) -> None:
    assert asked("/x", *fields).byte_range == byte_range


@pytest.mark.parametrize(
    "head",
    [
        b"",
        b"GET",
        b"GET /x",
        b"GET /x HTTP",
        b"GET /x HTTP/1.1 ",
        b"GET /x HTTP/11",
        b"GET /x http/1.1",
        b"GET  HTTP/1.1",
        b"G\xcbT /x HTTP/1.1",
        b" GET /x HTTP/1.1",
        b"GET\t/x\tHTTP/1.1",
        b"GET /x HTTP/1.1\r\nno field",
        b"GET /x HTTP/1.1\r\n: nameless",
        b"GET /x HTTP/1.1\r\nA: folded\r\n over lines",
        b"GET /x HTTP/1.1\r\nA: b\0c",
        b"GET /x\0 HTTP/1.1",
        b"GET /x HTTP/1.1\r\nA: b\rRange: c",
        b"GET /x\r HTTP/1.1",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    ],
)
def test_malformed_request_is_refused(head: bytes) -> None:
    assert status_of(head) == 400


@pytest.mark.parametrize("version", [b"0.9", b"2.0"])
def test_another_major_version_is_refused_as_that(version: bytes) -> None:
    assert status_of(b"GET /x HTTP/" + version) == 505


@given(st.binary(max_size=300))
@example(b"GET " + b" " * 8000 + b"x")
@example(b"GET /x HTTP/1.1" + b"\nrange" + b" " * 8000)
@example(b"GET /x HTTP/1.1" + b"\na:" * 2600 + b"b\r")
def test_any_bytes_are_a_request_or_refused_at_once(head: bytes) -> None:
    began = time.process_time()
    with suppress(MalformedHttp):
        parse(head)
    assert time.process_time() - began < 0.2


def test_head_ends_at_first_empty_line() -> None:
    assert split(b"GET /a HTTP/1.1\r\nA: b\r\n\r\nGET /b") == (b"GET /a HTTP/1.1\r\nA: b\r", b"GET /b")
    assert split(b"GET /a HTTP/1.1\n\nGET /b") == (b"GET /a HTTP/1.1", b"GET /b")
    assert split(b"\r\n\r\nGET /a HTTP/1.1\r\n\r\n") == (b"GET /a HTTP/1.1\r", b"")
    assert split(b"GET /a HTTP/1.1\r\n") == (None, b"GET /a HTTP/1.1\r\n")
    assert split(b"\r\n") == (None, b"")


def test_head_without_an_end_is_too_large() -> None:
    assert split(b"G" * LONGEST_HEAD)[0] is None
    for received in (b"G" * (LONGEST_HEAD + 1), b"G" * (LONGEST_HEAD + 1) + b"\r\n\r\n"):
        with pytest.raises(MalformedHttp) as refused:
            split(received)
        assert refused.value.status == 431


@given(st.lists(st.sampled_from(["/a", "/b.xml", "//c", "/d%20e"]), max_size=6), st.data())
def test_requests_are_the_same_however_they_are_cut_into_packets(targets: list[str], data: st.DataObject) -> None:
    stream = b"".join(f"GET {target} HTTP/1.1\r\nHost: x\r\n\r\n".encode() for target in targets)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=5)))
    received, names = b"", []
    for begin, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        head, received = split(received + stream[begin:end])
        while head is not None:
            names.append(parse(head).name)
            head, received = split(received)
    assert names == [asked(target).name for target in targets]
    assert received == b""
