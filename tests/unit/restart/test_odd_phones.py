"""Hosts at the address of a phone that are no phones, or hostile."""

import asyncio
import gzip
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from typing import TypeAlias

import pytest

from cisisk.appliance.appliance import _phone_session
from cisisk.config import PhoneHttpSettings
from cisisk.model.codes.restart import RestartRefusal
from cisisk.model.mac import Mac
from cisisk.model.phone import Software
from cisisk.model.target import NotRestarted, Target, Unreachable
from cisisk.restart.execute import PhoneCommands
from tests.notices import carries

MAC = Mac.parse("001122334455")
DONE = b'<CiscoIPPhoneResponse><ResponseItem Status="0" Data="Success" URL="Init:Services"/></CiscoIPPhoneResponse>'
SECONDS = 0.5
Answer: TypeAlias = Callable[[bytes, asyncio.StreamWriter], Awaitable[None]]
Call: TypeAlias = Callable[..., Awaitable[None]]


@pytest.fixture
async def call() -> AsyncIterator[Call]:
    """Send a command to a server that returns given bytes."""
    async with AsyncExitStack() as stack:
        session = await stack.enter_async_context(_phone_session())

        async def place(answer: Answer, address: str = "127.0.0.1") -> None:
            async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                try:
                    head = await reader.readuntil(b"\r\n\r\n")
                    await answer(head, writer)
                except ConnectionError:
                    pass
                finally:
                    writer.close()

            server = await stack.enter_async_context(await asyncio.start_server(take, address, 0))
            port = server.sockets[0].getsockname()[1]
            target = Target(mac=MAC, address=address, model=None, software=Software.SIP)
            await PhoneCommands(PhoneHttpSettings(port=port, timeout=1), session).execute(
                target, ["Init:Services"], timeout=SECONDS
            )

        yield place


def headed(*headers: bytes) -> bytes:
    return b"\r\n".join([b"HTTP/1.1 200 OK", b"Content-Type: text/xml", *headers, b"", b""])


async def test_answer_in_pieces_is_read_to_its_end(call: Call) -> None:
    async def drip(_head: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(headed(b"Transfer-Encoding: chunked"))
        for at in range(0, len(DONE), 7):
            piece = DONE[at : at + 7]
            writer.write(b"%x\r\n%s\r\n" % (len(piece), piece))
            await writer.drain()
            await asyncio.sleep(0)
        writer.write(b"0\r\n\r\n")
        await writer.drain()

    await call(drip)


async def test_endless_answer_is_cut_at_its_limit(call: Call) -> None:
    sent = 0

    async def pour(_head: bytes, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        writer.write(headed())
        while True:
            writer.write(bytes(4096))
            sent += 4096
            await writer.drain()

    with pytest.raises(NotRestarted, check=carries(RestartRefusal.NOT_A_PHONE)):
        await call(pour)
    assert sent < 64 << 20


async def test_answer_that_never_ends_times_out(call: Call) -> None:
    async def drip(_head: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(headed())
        while True:
            writer.write(b" ")
            await writer.drain()
            await asyncio.sleep(0.01)

    with pytest.raises(Unreachable, check=carries(RestartRefusal.HTTP_NO_ANSWER)):
        await call(drip)


async def test_compressed_answer_is_not_decompressed(call: Call) -> None:
    asked = []

    async def compress(head: bytes, writer: asyncio.StreamWriter) -> None:
        asked.append(head)
        body = gzip.compress(DONE)
        writer.write(headed(b"Content-Encoding: gzip", b"Content-Length: %d" % len(body)) + body)
        await writer.drain()

    with pytest.raises(NotRestarted, check=carries(RestartRefusal.NOT_A_PHONE)):
        await call(compress)
    assert b"gzip" not in asked[0]


async def test_redirect_is_not_followed(call: Call) -> None:
    calls = 0

    async def redirect(_head: bytes, writer: asyncio.StreamWriter) -> None:
        nonlocal calls
        calls += 1
        address = b"http://%s:%d/CGI/Execute" % (b"127.0.0.1", writer.get_extra_info("sockname")[1])
        writer.write(b"HTTP/1.1 307 Temporary Redirect\r\nLocation: %s\r\nContent-Length: 0\r\n\r\n" % address)
        await writer.drain()

    with pytest.raises(NotRestarted, check=carries(RestartRefusal.HTTP_STATUS, status=307)):
        await call(redirect)
    assert calls == 1


@pytest.mark.parametrize(
    "answer",
    [
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort",
        b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"x" * 100_000 + b"\r\n\r\n",
        b"\0" * 1000,
    ],
    ids=["ssh", "short", "no number", "no chunk", "long header", "zeros"],
)
async def test_answer_that_is_not_http_is_refused_as_closed(call: Call, answer: bytes) -> None:
    async def say(_head: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(answer)
        await writer.drain()

    with pytest.raises(NotRestarted, check=carries(RestartRefusal.HTTP_CLOSED)):
        await call(say)


async def test_phone_with_ipv6_address_is_called(call: Call) -> None:
    asked = []

    async def answer(head: bytes, writer: asyncio.StreamWriter) -> None:
        asked.append(head)
        writer.write(headed(b"Content-Length: %d" % len(DONE)) + DONE)
        await writer.drain()

    await call(answer, "::1")
    assert b"Host: [::1]:" in asked[0]
