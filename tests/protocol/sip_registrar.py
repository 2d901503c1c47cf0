"""A SIP registrar over UDP and TCP (RFC 3261 10.3) that can challenge, refuse and ignore requests."""

import asyncio
import hashlib
import re
import secrets
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

from cisisk.sip import message
from cisisk.sip.message import MalformedSip, SipRequest, SipResponse
from cisisk.sip.transaction import read_stream

NONCE = "47364c23432d2e131a5fb210812c"
_REASONS = {200: "OK", 401: "Unauthorized", 403: "Forbidden", 404: "Not Found", 503: "Service Unavailable"}
_PARAMETER = re.compile(r'(\w+)=(?:"([^"]*)"|([^,\s]+))')


@dataclass(frozen=True)
class Binding:
    """A registration.

    Attributes:
        address, port: the source of the request.
        contact: the URI.
    """

    line: str
    address: str
    port: int
    call_id: str
    contact: str
    expires: int


@dataclass
class SipRegistrar:
    """Accepts REGISTER for any line.

    Attributes:
        passwords: the passwords of lines that get a challenge.
        refused: the error status by line.
        deaf: whether it ignores all requests.
        granted: expiry in seconds; None grants the requested one.
        on_register: called for each registration and refresh; ``expires`` is 0 at the end.
        heard: every request, in order.
    """

    passwords: dict[str, str] = field(default_factory=dict)
    refused: dict[str, int] = field(default_factory=dict)
    deaf: bool = False
    granted: int | None = None
    on_register: Callable[[Binding], None] = lambda _binding: None
    heard: list[SipRequest] = field(default_factory=list)
    address: str = "127.0.0.1"
    port: int = 0

    async def start(self) -> None:
        self._connections: set[asyncio.Task[None]] = set()
        for last in (False, False, False, True):
            self._tcp = await asyncio.start_server(self._serve, self.address, self.port)
            port = self._tcp.sockets[0].getsockname()[1]
            try:
                self._udp, _ = await asyncio.get_running_loop().create_datagram_endpoint(
                    lambda: _Datagrams(self), local_addr=(self.address, port)
                )
            except OSError:
                # A free TCP port may be in use for UDP.
                self._tcp.close()
                await self._tcp.wait_closed()
                if last or self.port:
                    raise
            else:
                self.port = port
                return

    async def stop(self) -> None:
        self._udp.close()
        self._tcp.close()
        for task in self._connections:
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)
        await self._tcp.wait_closed()

    def notify(self, contact: str, headers: dict[str, str], body: str) -> None:
        """Send one NOTIFY to a contact over UDP, where every phone listens."""
        host, _, port = contact.partition("@")[2].partition(";")[0].partition(":")
        here = f"{self.address}:{self.port}"
        fields = (
            ("Via", f"SIP/2.0/UDP {here};branch=z9hG4bK{secrets.token_hex(8)}"),
            ("From", f"<sip:{here}>;tag=registrar"),
            ("To", f"<{contact}>"),
            ("Call-ID", f"{secrets.token_hex(8)}@{self.address}"),
            ("CSeq", "1 NOTIFY"),
            ("Subscription-State", "terminated"),
            *((name.title(), value) for name, value in headers.items()),
        )
        notify = SipRequest(fields, body.encode(), method="NOTIFY", uri=contact)
        self._udp.sendto(notify.render(), (host, int(port)))

    def answer(self, data: SipRequest | SipResponse, source: tuple[str, int]) -> bytes | None:
        if not isinstance(data, SipRequest) or data.method != "REGISTER":
            return None
        self.heard.append(data)
        if self.deaf:
            return None
        line = message.split(data.get("To") or "", ";")[0].partition("sip:")[2].partition("@")[0]
        status, more = self._status_of(data, line)
        if status == 200:
            contact = data.get("Contact") or ""
            expires = int(data.get("Expires") or 0)
            expires = expires if self.granted is None or expires == 0 else self.granted
            if expires:
                more = [("Contact", f"{contact};expires={expires}")]
            uri = contact.partition("<")[2].partition(">")[0]
            self.on_register(Binding(line, *source, data.get("Call-ID") or "", uri, expires))
        headers = [*(("Via", via) for via in data.all("Via")), *((name, data.get(name) or "") for name in _ECHOED)]
        headers += [("To", f"{data.get('To')};tag=registrar"), *more]
        return SipResponse(tuple(headers), status=status, reason=_REASONS[status]).render()

    def _status_of(self, request: SipRequest, line: str) -> tuple[int, list[tuple[str, str]]]:
        if line in self.refused:
            return self.refused[line], []
        if line in self.passwords:
            given = {name: one or two for name, one, two in _PARAMETER.findall(request.get("Authorization") or "")}
            if not given:
                challenge = f'Digest realm="asterisk", nonce="{NONCE}", algorithm=MD5, qop="auth"'
                return 401, [("WWW-Authenticate", challenge)]
            if given.get("response") != self._expected(given, line):
                return 403, []
        return 200, []

    def _expected(self, given: dict[str, str], line: str) -> str:
        secret = _md5(f"{given['username']}:asterisk:{self.passwords[line]}")
        request = _md5(f"REGISTER:{given['uri']}")
        return _md5(f"{secret}:{NONCE}:{given['nc']}:{given['cnonce']}:auth:{request}")

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        with suppress(OSError):
            while True:
                answer = self.answer(await read_stream(reader), writer.get_extra_info("peername")[:2])
                if answer is not None:
                    writer.write(answer)
                    await writer.drain()
        writer.close()
        self._connections.discard(task)


_ECHOED = ("From", "Call-ID", "CSeq")


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, registrar: SipRegistrar) -> None:
        self._registrar = registrar

    def connection_made(self, transport: asyncio.DatagramTransport) -> None:  # type: ignore[override]  # UDP's own kind
        self._transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        with suppress(MalformedSip):
            answer = self._registrar.answer(message.parse(data), addr[:2])
            if answer is not None:
                self._transport.sendto(answer, addr)


def _md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()
