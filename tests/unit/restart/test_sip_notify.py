"""A NOTIFY to a phone with all known responses: on time, late, repeated or absent."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cisisk.config import PhoneSipSettings
from cisisk.model.codes.asterisk import AsteriskProblem
from cisisk.model.codes.restart import RestartRefusal, SipMeaning
from cisisk.model.mac import Mac
from cisisk.model.notice import NoticeCode
from cisisk.model.phone import Software
from cisisk.model.target import NotRestarted, Registration, Target, Unreachable
from cisisk.restart.sip_notify import SipNotify
from cisisk.sip import digest, message
from cisisk.sip.message import SipRequest, SipResponse
from cisisk.sip.transaction import SipClient, Timers, read_stream
from tests.notices import carries, codes

PHONE = "127.0.0.1"
FAST = Timers(t1=0.02, t2=0.05, t4=0.2)
CALL_ID = "0017e0aa-bbcc0002@192.0.2.7"
Reply = Callable[[SipRequest, int], list[tuple[int, dict[str, str]]]]
"""Responses to the n-th message, with additional headers, which may replace ``Via`` and others."""


def config(transport: int = 2, name: str = "1001", **elements: str) -> bytes:
    more = "".join(f"<{key}>{value}</{key}>" for key, value in elements.items())
    return (
        "<device><deviceProtocol>SIP</deviceProtocol><sipProfile><sipLines><line button='1'><featureID>9</featureID>"
        f"<name>{name}</name></line></sipLines></sipProfile>"
        f"<transportLayerProtocol>{transport}</transportLayerProtocol>{more}</device>"
    ).encode()


REGISTERED = Target(
    mac=Mac.parse("001122334455"),
    address=PHONE,
    model="7965",
    software=Software.SIP,
    served=config(),
    wanted=config(name="305"),
    registration=Registration(user="1001", call_id=CALL_ID),
)
AWAY = Unreachable(AsteriskProblem.NOT_CONNECTED.notice())
FIRST_IMAGE = replace(REGISTERED, model="CP-7960G", registration=None)


def always(*statuses: int, **headers: str) -> Reply:
    return lambda _request, _number: [(status, headers) for status in statuses]


def answers(request: SipRequest, replies: list[tuple[int, dict[str, str]]]) -> Iterator[bytes]:
    for status, more in replies:
        headers = {name: request.get(name) or "" for name in ("Via", "From", "To", "Call-ID", "CSeq")} | {
            name.replace("_", "-"): value for name, value in more.items()
        }
        yield SipResponse(tuple(headers.items()), status=status).render()


class UdpPhone(asyncio.DatagramProtocol):
    """A phone that can answer from another port."""

    def __init__(self, reply: Reply) -> None:
        self.reply = reply
        self.heard: list[SipRequest] = []
        self.errors: list[Exception] = []
        self.transport: asyncio.DatagramTransport | None = None
        self.answers_through: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.DatagramTransport) -> None:  # type: ignore[override]  # UDP's own kind
        self.transport = self.answers_through = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        request = message.parse(data)
        assert isinstance(request, SipRequest)
        self.heard.append(request)
        assert self.answers_through is not None
        for wire in answers(request, self.reply(request, len(self.heard))):
            self.answers_through.sendto(wire, addr)


@asynccontextmanager
async def udp(
    reply: Reply, seconds: float = 1, at: str = PHONE, **settings: Any
) -> AsyncIterator[tuple[UdpPhone, SipNotify]]:
    loop = asyncio.get_running_loop()
    transport, phone = await loop.create_datagram_endpoint(lambda: UdpPhone(reply), local_addr=(at, 0))
    port = transport.get_extra_info("sockname")[1]
    try:
        async with SipClient(FAST) as client:
            yield phone, SipNotify(client, PhoneSipSettings(port=port, timeout=seconds, **settings))  # type: ignore[arg-type]  # tests wait less than a second
    finally:
        transport.close()


@asynccontextmanager
async def tcp(reply: Reply, prefix: bytes = b"") -> AsyncIterator[tuple[list[SipRequest], SipNotify]]:
    heard: list[SipRequest] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while isinstance(request := await read_stream(reader), SipRequest):
                heard.append(request)
                writer.write(prefix + b"".join(answers(request, reply(request, len(heard)))))
                if not reply(request, len(heard)):
                    break
        except ConnectionError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, PHONE, 0)
    try:
        async with SipClient(FAST) as client:
            yield heard, SipNotify(client, PhoneSipSettings(port=server.sockets[0].getsockname()[1], timeout=1))
    finally:
        server.close()


@contextmanager
def closed_port() -> Iterator[int]:
    """Return a closed port."""
    with socket.socket() as probe:
        probe.bind((PHONE, 0))
        yield probe.getsockname()[1]


async def test_notify_has_the_call_id_of_the_registration() -> None:
    async with udp(always(200)) as (phone, notify):
        await notify.restart(REGISTERED)
    (sent,) = phone.heard
    assert sent.method == "NOTIFY"
    assert sent.uri.startswith(f"sip:1001@{PHONE}:")
    assert sent.uri.endswith(";transport=udp")
    assert sent.get("To") == f"<{sent.uri}>"
    assert "@" not in (sent.get("From") or "@")
    assert message.parameter(sent.get("From") or "", "tag")
    assert (sent.get("Event"), sent.get("Max-Forwards"), sent.get("CSeq")) == ("service-control", "70", "1 NOTIFY")
    assert message.parameter(sent.get("Via") or "", "rport") == ""
    assert (message.branch(sent) or "").startswith("z9hG4bK")
    stamp = "{00000000-0000-0000-0000-000000000000}"
    assert sent.body.decode() == (
        f"action=restart\r\nRegisterCallId={{{CALL_ID}}}\r\nConfigVersionStamp={stamp}\r\n"
        f"DialplanVersionStamp={stamp}\r\nSoftkeyVersionStamp={stamp}\r\n"
    )


async def test_notify_asks_for_a_reset_where_needed() -> None:
    async with udp(always(200)) as (phone, notify):
        await notify.restart(replace(REGISTERED, wanted=config(loadInformation="SIP45.9-4-2SR3-1S")))
    assert phone.heard[0].body.startswith(b"action=reset\r\n")


async def test_sip_image_of_a_7960_gets_check_sync() -> None:
    async with udp(always(200)) as (phone, notify):
        await notify.restart(FIRST_IMAGE)
    assert (phone.heard[0].get("Event"), phone.heard[0].body) == ("check-sync", b"")
    assert phone.heard[0].get("Content-Type") is None


async def test_udp_request_is_retransmitted_until_the_answer() -> None:
    def reply(_request: SipRequest, number: int) -> list[tuple[int, dict[str, str]]]:
        return [({3: 100, 5: 200}[number], {})] if number in {3, 5} else []

    async with udp(reply) as (phone, notify):
        await notify.restart(REGISTERED)
    assert len(phone.heard) == 5
    assert len({message.branch(sent) for sent in phone.heard}) == 1


async def test_ipv6_phone_is_reached_in_any_notation() -> None:
    async with udp(always(200), at="::1") as (phone, notify):
        await notify.restart(replace(REGISTERED, address="0:0::0:1"))
    assert "[::1]:" in (phone.heard[0].get("Via") or "")


async def test_answer_from_another_port_counts() -> None:
    loop = asyncio.get_running_loop()
    async with udp(always(200)) as (phone, notify):
        other, _ = await loop.create_datagram_endpoint(asyncio.DatagramProtocol, local_addr=(PHONE, 0))
        phone.answers_through = other
        await notify.restart(REGISTERED)
        other.close()
    assert len(phone.heard) == 1


async def test_answer_from_another_address_is_ignored() -> None:
    loop = asyncio.get_running_loop()
    async with udp(always(200), seconds=0.1) as (phone, notify):
        other, _ = await loop.create_datagram_endpoint(asyncio.DatagramProtocol, local_addr=("127.0.0.2", 0))
        phone.answers_through = other
        with pytest.raises(Unreachable, check=carries(RestartRefusal.SIP_NO_ANSWER, transport="UDP")):
            await notify.restart(REGISTERED)
        other.close()


@pytest.mark.parametrize(
    "forged",
    [
        {"Via": "SIP/2.0/UDP 127.0.0.1;branch=z9hG4bKother"},
        {"CSeq": "1 REGISTER"},
        {"CSeq": "NOTIFY"},
        {"Via": "no via"},
    ],
)
async def test_answer_to_another_request_is_ignored(forged: dict[str, str]) -> None:
    async with udp(lambda *_: [(200, forged), (404, {})]) as (_, notify):
        with pytest.raises(NotRestarted, check=carries(RestartRefusal.SIP_STATUS, status=404)):
            await notify.restart(REGISTERED)


async def test_datagram_that_is_not_sip_is_ignored() -> None:
    async with udp(always(200)) as (phone, notify):
        original = phone.datagram_received

        def received(data: bytes, addr: tuple[str, int]) -> None:
            assert phone.transport is not None
            for garbage in (b"", b"\0" * 2000, b"SIP/2.0 200 OK\r\n", data):
                phone.transport.sendto(garbage, addr)
            original(data, addr)

        phone.datagram_received = received  # type: ignore[method-assign]  # this phone only
        await notify.restart(REGISTERED)


async def test_repeated_answer_finds_the_socket_open() -> None:
    loop = asyncio.get_running_loop()
    async with udp(always(200)) as (phone, notify):
        await notify.restart(REGISTERED)
        for _ in range(3):  # the loop closes the socket in a later iteration
            await asyncio.sleep(0)
        host, _, port = (message.split(phone.heard[0].get("Via") or "", ";")[0].split()[1]).rpartition(":")
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as repeating:
            repeating.setblocking(False)
            await loop.sock_connect(repeating, (host, int(port)))
            repeating.send(b"SIP/2.0 200 OK\r\n\r\n")
            repeating.send(b"SIP/2.0 200 OK\r\n\r\n")
            assert repeating.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0


@pytest.mark.parametrize("status", [status for status in range(300, 700, 3) if status not in (401, 407)])
async def test_sip_refusal_carries_its_status_and_meaning(status: int) -> None:
    async with udp(always(status)) as (_, notify):
        with pytest.raises(NotRestarted, check=carries(RestartRefusal.SIP_STATUS, status=status)) as refused:
            await notify.restart(REGISTERED)
    assert codes(refused.value.notice)[1:] in [[meaning] for meaning in SipMeaning]


async def test_silent_sip_phone_times_out() -> None:
    async with udp(always(), seconds=0.2) as (phone, notify):
        with pytest.raises(Unreachable, check=carries(RestartRefusal.SIP_NO_ANSWER, seconds=0.2)):
            await notify.restart(REGISTERED)
    assert len(phone.heard) > 2


async def test_provisional_answer_alone_has_its_own_reason() -> None:
    async with udp(always(100), seconds=0.1) as (_, notify):
        with pytest.raises(Unreachable, check=carries(RestartRefusal.SIP_ONLY_PROVISIONAL)):
            await notify.restart(REGISTERED)


@pytest.mark.parametrize("transport", [1, 2])
async def test_closed_port_is_noticed_at_once(transport: int) -> None:
    with closed_port() as port:
        async with SipClient(FAST) as client:
            with pytest.raises(Unreachable, check=carries(RestartRefusal.SIP_CONNECTION_REFUSED)):
                await SipNotify(client, PhoneSipSettings(port=port, timeout=30)).restart(
                    replace(REGISTERED, served=config(transport))
                )


@pytest.mark.parametrize("status", [401, 407])
async def test_challenge_is_answered_with_configured_credentials(status: int) -> None:
    asks, answers = digest.CHALLENGED[status]

    def reply(request: SipRequest, number: int) -> list[tuple[int, dict[str, str]]]:
        return [(200, {})] if request.get(answers) else [(status, {asks: 'Digest realm="phone",nonce="1",qop="auth"'})]

    async with udp(reply, username="admin", password="secret") as (phone, notify):
        await notify.restart(REGISTERED)
    first, second = phone.heard
    assert (first.get("CSeq"), second.get("CSeq")) == ("1 NOTIFY", "2 NOTIFY")
    assert first.get("Call-ID") == second.get("Call-ID")
    assert message.branch(first) != message.branch(second)
    assert first.body == second.body
    assert 'username="admin"' in (second.get(answers) or "")


@pytest.mark.parametrize(
    ("settings", "asks", "reason"),
    [
        ({}, 'Digest realm="phone",nonce="1"', RestartRefusal.SIP_CREDENTIALS_MISSING),
        ({"username": "admin"}, 'Digest realm="phone",nonce="1"', RestartRefusal.SIP_CREDENTIALS_REFUSED),
        (
            {"username": "admin"},
            'Digest realm="phone",nonce="1",algorithm=SHA-256',
            RestartRefusal.SIP_CHALLENGE_UNKNOWN,
        ),
    ],
)
async def test_challenge_that_cannot_be_answered_is_refused(
    settings: dict[str, Any], asks: str, reason: NoticeCode
) -> None:
    async with udp(lambda *_: [(401, {"WWW-Authenticate": asks})], **settings) as (phone, notify):
        with pytest.raises(NotRestarted, check=carries(reason)):
            await notify.restart(REGISTERED)
    assert len(phone.heard) <= 2


async def test_phone_configured_for_tcp_is_asked_over_tcp() -> None:
    async with tcp(always(100, 200), prefix=b"\r\n\r\n") as (heard, notify):
        await notify.restart(replace(REGISTERED, served=config(transport=1)))
    assert heard[0].uri.endswith(";transport=tcp")
    assert (heard[0].get("Via") or "").startswith("SIP/2.0/TCP ")


async def test_connection_closed_by_the_phone_is_unreachable() -> None:
    async with tcp(always()) as (_, notify):
        with pytest.raises(
            Unreachable, check=carries(RestartRefusal.SIP_UNREACHABLE, error="the connection was closed")
        ):
            await notify.restart(replace(REGISTERED, served=config(transport=1)))


async def test_connection_without_sip_is_unreachable() -> None:
    async with tcp(always(200), prefix=b"HTTP/1.1 200 OK\r\n\r\n") as (_, notify):
        with pytest.raises(Unreachable, check=carries(RestartRefusal.SIP_UNREACHABLE)):
            await notify.restart(replace(REGISTERED, served=config(transport=1)))


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        (replace(REGISTERED, registration=None), RestartRefusal.SIP_NEEDS_CALL_ID),
        (replace(REGISTERED, registration=Registration(user="1", call_id="")), RestartRefusal.SIP_NEEDS_CALL_ID),
        (replace(REGISTERED, registration=None, unregistered=AWAY), AsteriskProblem.NOT_CONNECTED),
        (replace(REGISTERED, software=Software.SCCP), RestartRefusal.SCCP_PHONE),
        (replace(REGISTERED, served=config(transport=3)), RestartRefusal.SIP_OVER_TLS),
        (replace(FIRST_IMAGE, served=None), RestartRefusal.LINE_NAME_UNKNOWN),
        (replace(FIRST_IMAGE, served=b"<device>"), RestartRefusal.LINE_NAME_UNKNOWN),
        (replace(REGISTERED, address=None), RestartRefusal.ADDRESS_UNKNOWN),
    ],
)
async def test_phone_that_cannot_be_notified_is_refused(target: Target, reason: NoticeCode) -> None:
    async with SipClient(FAST) as client:
        with pytest.raises(NotRestarted, check=carries(reason)):
            await SipNotify(client, PhoneSipSettings()).restart(target)


HOSTILE = st.text(st.one_of(st.sampled_from("\r\n\0{}=<>@:; "), st.characters()), max_size=30)


@given(
    st.one_of(
        st.builds(Registration, user=HOSTILE, call_id=st.just(CALL_ID)),
        st.builds(Registration, user=st.just("1001"), call_id=HOSTILE),
    )
)
async def test_hostile_registration_adds_no_header_or_line(registration: Registration) -> None:
    target = replace(REGISTERED, registration=registration)
    async with udp(always(200), seconds=0.5) as (phone, notify):
        try:
            await notify.restart(target)
        except NotRestarted:
            assert not phone.heard
            return
    (sent,) = phone.heard
    assert sorted(name for name, _ in sent.headers) == sorted(
        ["Via", "Max-Forwards", "From", "To", "Call-ID", "Contact", "Event", "Subscription-State", "Content-Type",
         "CSeq", "Content-Length"]
    )  # fmt: skip
    assert len(sent.body.splitlines()) == 5
    assert b"\0" not in sent.body


def test_password_appears_in_no_text() -> None:
    assert "secret" not in repr(PhoneSipSettings(username="admin", password="secret"))
