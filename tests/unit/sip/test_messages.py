"""SIP messages: parsing, refusals, and values that cannot inject headers."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cisisk.sip import digest, message
from cisisk.sip.message import MAX_BYTES, MAX_HEADERS, MalformedSip, SipRequest, SipResponse, Unsendable

NOTIFY = (
    b"NOTIFY sip:1001@192.0.2.7:5060 SIP/2.0\r\nv: SIP/2.0/UDP 192.0.2.5:5060;branch=z9hG4bK1\r\nSubject : I know\r\n"
    b"  you are there\r\nCSeq: 1 NOTIFY\r\nl: 3\r\n\r\nabcd"
)
HOSTILE = st.text(st.one_of(st.sampled_from('\r\n\0:;,<>@" \t\\={}'), st.characters()), max_size=40)


def response(*headers: tuple[str, str], status: int = 200) -> SipResponse:
    return SipResponse(headers, status=status)


def test_request_with_compact_names_and_folded_lines_is_parsed() -> None:
    read = message.parse(NOTIFY)
    assert isinstance(read, SipRequest)
    assert (read.method, read.uri, read.body) == ("NOTIFY", "sip:1001@192.0.2.7:5060", b"abc")
    assert read.get("subject") == "I know you are there"
    assert message.branch(read) == "z9hG4bK1"
    assert message.cseq_method(read) == "NOTIFY"


def test_response_is_parsed_with_and_without_reason() -> None:
    for start, reason in ((b"SIP/2.0 481 Call/Transaction Does Not Exist", "Call/Transaction Does Not Exist"),
                          (b"SIP/2.0 481 ", "")):  # fmt: skip
        read = message.parse(start + b"\r\n\r\n")
        assert isinstance(read, SipResponse)
        assert (read.status, read.reason) == (481, reason)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\r\n\r\n",
        b"SIP/2.0 200 OK\r\n",
        b"SIP/2.0 099 OK\r\n\r\n",
        b"SIP/2.0 700 OK\r\n\r\n",
        b"SIP/3.0 200 OK\r\n\r\n",
        b"NOTIFY sip:a@b HTTP/1.1\r\n\r\n",
        b"NO TIFY sip:a@b SIP/2.0\r\n\r\n",
        b"SIP/2.0 200 OK\r\nno header\r\n\r\n",
        b"SIP/2.0 200 OK\r\nTo: a\rb\r\n\r\n",
        b"SIP/2.0 200 OK\r\nTo: a\nVia: b\r\n\r\n",
        b"SIP/2.0 200 OK\r\nTo: a\0b\r\n\r\n",
        b"SIP/2.0 200 \xff\r\n\r\n",
        b"SIP/2.0 200 OK\r\nContent-Length: 5\r\n\r\nfour",
        b"SIP/2.0 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"SIP/2.0 200 OK\r\nContent-Length: 0\r\nl: 0\r\n\r\n",
        b"SIP/2.0 200 OK\r\n" + b"To: a\r\n" * (MAX_HEADERS + 1) + b"\r\n",
        b"SIP/2.0 200 OK\r\n\r\n" + b"x" * MAX_BYTES,
    ],
)
def test_malformed_or_oversized_message_is_refused(data: bytes) -> None:
    with pytest.raises(MalformedSip):
        message.parse(data)


@given(st.binary(max_size=300), st.integers(0, len(NOTIFY)))
def test_any_sip_bytes_are_parsed_or_refused(data: bytes, cut: int) -> None:
    for candidate in (data, NOTIFY[:cut] + data + NOTIFY[cut:]):
        try:
            read = message.parse(candidate)
        except MalformedSip:
            continue
        assert len(read.headers) <= MAX_HEADERS
        assert not any(character in value for _, value in read.headers for character in "\r\n\0")


@given(HOSTILE, HOSTILE, st.binary(max_size=50))
def test_hostile_value_adds_no_header(user: str, value: str, body: bytes) -> None:
    try:
        uri = f"sip:{message.user_part(user)}@192.0.2.7"
        wire = SipRequest((("To", f"<{uri}>"), ("X-Any", value)), body, method="NOTIFY", uri=uri).render()
    except Unsendable:
        return
    read = message.parse(wire)
    assert isinstance(read, SipRequest)
    assert [name for name, _ in read.headers] == ["To", "X-Any", "Content-Length"]
    assert (read.uri, read.get("X-Any"), read.body) == (uri, value.strip(" \t"), body)


@given(HOSTILE)
def test_hostile_user_stays_in_its_uri(user: str) -> None:
    try:
        escaped = message.user_part(user)
    except Unsendable:
        return
    assert not set(escaped) & set('\r\n\0<>@:" ')


@pytest.mark.parametrize(
    "request_",
    [
        SipRequest((), method="NO TIFY", uri="sip:a@b"),
        SipRequest((), method="NOTIFY", uri="sip:a b"),
        SipRequest((), method="NOTIFY", uri="sip:a\r\nb"),
        SipRequest((("Bad name", "x"),), method="NOTIFY", uri="sip:a@b"),
        SipRequest((("Content-Length", "5"),), method="NOTIFY", uri="sip:a@b"),
        SipRequest((("To", "\ud800"),), method="NOTIFY", uri="sip:a@b"),
    ],
)
def test_request_that_would_break_is_not_sent(request_: SipRequest) -> None:
    with pytest.raises(Unsendable):
        request_.render()


@pytest.mark.parametrize(
    ("vias", "branch"),
    [
        (["SIP/2.0/UDP a;branch=z9;rport"], "z9"),
        (['SIP/2.0/UDP a;x="y;branch=no";branch=z9'], "z9"),
        (["SIP/2.0/UDP a;branch=z9", "SIP/2.0/UDP b;branch=z8"], None),
        (["SIP/2.0/UDP a;branch=z9, SIP/2.0/UDP b;branch=z8"], None),
        (["SIP/2.0/UDP a"], None),
        ([], None),
    ],
)
def test_response_matches_by_the_branch_of_its_only_via(vias: list[str], branch: str | None) -> None:
    assert message.branch(response(*(("Via", via) for via in vias))) == branch


def test_digest_matches_the_example_of_rfc_2617() -> None:
    """The digest of RFC 2617 section 3.5, which RFC 7616 keeps for MD5."""
    asked = response(
        ("WWW-Authenticate", "Basic realm=x"),
        (
            "WWW-Authenticate",
            (
                'Digest realm="testrealm@host.com", qop="auth,auth-int", nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093", '
                'opaque="5ccc069c403ebaf9f0171e9517f40e41"'
            ),
        ),
        status=401,
    )
    answer = digest.answer(
        digest.challenge_of(asked),
        method="GET",
        uri="/dir/index.html",
        username="Mufasa",
        password="Circle Of Life",
        cnonce="0a4f113b",
    )
    assert 'response="6629fae49393a05397450978507c4ef1"' in answer
    assert 'opaque="5ccc069c403ebaf9f0171e9517f40e41"' in answer
    assert "Circle" not in answer


def test_digest_without_qop_has_the_old_form() -> None:
    asked = response(("Proxy-Authenticate", 'Digest realm="a\\"b",nonce="n",algorithm=md5'), status=407)
    answer = digest.answer(
        digest.challenge_of(asked), method="NOTIFY", uri="sip:a@b", username="u", password="p", cnonce="unused"
    )
    assert 'realm="a\\"b"' in answer
    assert "algorithm=MD5" in answer
    assert "cnonce" not in answer


@pytest.mark.parametrize(
    "asked",
    [
        'Digest realm="r",nonce="n",algorithm=SHA-256',
        'Digest realm="r",nonce="n",qop="auth-int"',
        'Digest realm="r"',
        "Basic realm=r",
        "",
    ],
)
def test_unsupported_challenge_is_not_answered(asked: str) -> None:
    with pytest.raises(digest.Unanswerable):
        digest.challenge_of(response(("WWW-Authenticate", asked), status=401))


@given(HOSTILE, HOSTILE, HOSTILE)
def test_hostile_challenge_stays_in_its_header(realm: str, nonce: str, username: str) -> None:
    challenge = digest.Challenge(realm=realm, nonce=nonce, opaque=None, algorithm=None, with_qop=True)
    try:
        answer = digest.answer(challenge, method="NOTIFY", uri="sip:a@b", username=username, password="p", cnonce="c")
        wire = SipResponse((("Authorization", answer),), status=200).render()
    except Unsendable:
        return
    assert len(message.parse(wire).headers) == 2
    assert len(message.split(answer.removeprefix("Digest "), ",")) == 8
