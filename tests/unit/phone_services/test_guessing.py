"""PIN guesses and other users at the same time, over HTTP, from many loopback addresses."""

import asyncio
import re
from collections.abc import AsyncIterator
from unittest.mock import Mock
from xml.sax.saxutils import escape

import pytest
from aiohttp import web

from cisisk.identity.passwords import Cost, Passwords
from cisisk.identity.pin_login import PinLogin
from cisisk.identity.throttle import LONGEST_WAIT
from cisisk.mobility.phone_logins import PhoneLogins
from cisisk.model.mac import Mac
from cisisk.model.user import SYSTEM, User
from cisisk.phone_services.pages import Pages
from cisisk.phone_services.request import BODY_SECONDS
from cisisk.phone_services.texts import ScreenProblem, ScreenText
from cisisk.store import phones, pins, users
from cisisk.store.database import Database
from tests.patience import PATIENCE
from tests.unit.identity.conftest import Clock
from tests.unit.phone_services.words import prompt_of, text

PIN = "2468"
CHEAP = Cost(1, 8)
GUESSES, ADDRESSES = 10_000, 100
BATCH_SECONDS = 10.0
EMPTY, THROTTLED = escape(text(ScreenText.NO_CONTACTS_YET)), f" {ScreenProblem.THROTTLED}"
WRONG_LOGIN = escape(prompt_of(ScreenProblem.WRONG_LOGIN))


class Watched(Passwords):
    """Records what was verified, and when."""

    def __init__(self, clock: Clock) -> None:
        super().__init__(CHEAP)
        self._clock = clock
        self.verified: list[tuple[float, str | None]] = []

    async def matches(self, secret: str, known: str | None, another: str | None = None) -> bool:
        self.verified.append((self._clock.now, known))
        return await super().matches(secret, known, another)


class PageServer:
    """The pages on a port, and phones with addresses."""

    def __init__(self, db: Database, clock: Clock, body_seconds: float) -> None:
        self.db = db
        self.passwords = Watched(clock)
        login = PinLogin(db, self.passwords, clock=clock)
        self.pages = Pages(db, login, Mock(spec=PhoneLogins), [], "", body_seconds)
        self.port = 0
        self._lines: dict[str, tuple[asyncio.StreamReader, asyncio.StreamWriter]] = {}

    async def phone(self, number: int, address: str) -> Mac:
        """Add a phone to the inventory."""
        mac = Mac(f"AABBCC{number:06X}")
        await self.db.write(phones.create, SYSTEM, mac, {"phone_ip": address})
        return mac

    async def user(self, username: str) -> User:
        row = {"first_name": "A", "last_name": "B", "username": username, "email": f"{username}@example.org"}
        user = await self.db.write(users.create, SYSTEM, {**row, "lang": "en", "timezone": "UTC"}, "$hash")
        await self.db.write(pins.put, SYSTEM, user.uuid, await self.passwords.hash(PIN))
        return user

    async def get(self, address: str, path: str, *headers: str) -> str:
        """Return one page, over a persistent connection from ``address``."""
        if address not in self._lines:
            self._lines[address] = await asyncio.open_connection("127.0.0.1", self.port, local_addr=(address, 0))
        reader, writer = self._lines[address]
        lines = "\r\n".join([f"GET /cisco/services/{path} HTTP/1.1", "Host: x", *headers])
        writer.write(f"{lines}\r\n\r\n".encode())
        async with asyncio.timeout(PATIENCE):
            head = await reader.readuntil(b"\r\n\r\n")
            length = re.search(rb"Content-Length: (\d+)", head)
            assert length
            return (await reader.readexactly(int(length[1]))).decode()

    async def log_in(self, address: str, mac: Mac, username: str, pin: str = PIN) -> str:
        """Open the personal directory with a new login; return the page."""
        await self.get(address, f"pdir/logout?mac={mac.digits}")
        form = await self.get(address, f"pdir?mac={mac.digits}")
        ticket = re.search(r"&amp;t=([\w%-]+)<", form)
        assert ticket, form
        return await self.get(address, f"pdir?mac={mac.digits}&t={ticket[1]}&user={username}&pin={pin}")

    async def guess(self, address: str, mac: Mac, pin: str) -> str:
        """Send one wrong login as anna, with a new ticket."""
        ticket = self.pages._auth._tickets.issue(mac.digits, address, "login")
        return await self.get(address, f"pdir?mac={mac.digits}&t={ticket}&user=anna&pin={pin}")

    def close(self) -> None:
        for _, writer in self._lines.values():
            writer.close()


@pytest.fixture
def body_seconds() -> float:
    return BODY_SECONDS


@pytest.fixture
async def page_server(db: Database, body_seconds: float) -> AsyncIterator[tuple[PageServer, Clock]]:
    clock = Clock()
    there = PageServer(db, clock, body_seconds)
    app = web.Application()
    app.add_routes(there.pages.routes())
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    there.port = site.port
    yield there, clock
    there.close()
    await runner.cleanup()


@pytest.mark.slow
async def test_guesses_throttle_only_the_guesser(page_server: tuple[PageServer, Clock]) -> None:
    there, clock = page_server
    anna, _ = await there.user("anna"), await there.user("bob")
    her_hash = (await there.db.read(pins.get, anna.uuid)).pin_hash
    usual, bobs, new = [await there.phone(n, f"127.77.0.{n}") for n in (1, 2, 3)]
    real = {f"127.66.0.{n}": await there.phone(256 + n, f"127.66.0.{n}") for n in range(1, ADDRESSES // 2 + 1)}
    made_up = [f"127.67.0.{n}" for n in range(1, ADDRESSES // 2 + 1)]
    assert EMPTY in await there.log_in("127.77.0.1", usual, "anna")
    there.passwords.verified.clear()

    began, answers = clock.now, list[str]()
    for batch in range(GUESSES // ADDRESSES):
        pin = f"{batch:04}"
        guesses = [there.guess(address, mac, pin) for address, mac in real.items()]
        for number, address in enumerate(made_up):
            guesses.append(there.guess(address, Mac(f"0200{batch:04X}{number:04X}"), pin))
        # The other user does not come before the guesses.
        *refused, bob_sees = await asyncio.gather(*guesses, there.log_in("127.77.0.2", bobs, "bob"))
        answers += refused
        assert EMPTY in bob_sees
        if batch % 10 == 0:
            assert EMPTY in await there.log_in("127.77.0.1", usual, "anna")
            assert THROTTLED in await there.log_in("127.77.0.3", new, "anna")
        clock.go_on(BATCH_SECONDS)

    assert len(answers) == GUESSES
    looked_at = sum(WRONG_LOGIN in answer for answer in answers)
    braked = sum(THROTTLED in answer for answer in answers)
    assert (looked_at, braked) == (26, GUESSES - 26)
    # Five at known phones and five at invented ones; then one after 2, 4, 8... seconds, at the next batch.
    hers = [moment - began for moment, known in there.passwords.verified if known == her_hash]
    assert len(hers) == looked_at + GUESSES // ADDRESSES // 10  # her own included
    grown = [0] * 10 + [each for each in (10, 20, 30, 50, 90, 160, 290, 550) for _ in range(2)]
    for moment in range(0, 1000, 100):
        hers.remove(moment)
    assert hers == grown

    clock.go_on(LONGEST_WAIT)
    assert EMPTY in await there.log_in("127.77.0.3", new, "anna")
    assert EMPTY in await there.log_in("127.77.0.9", Mac("AABBCCDDEEFF"), "anna")


async def test_forged_headers_do_not_change_the_client_address(page_server: tuple[PageServer, Clock]) -> None:
    there, _ = page_server
    await there.user("bob")
    for number in range(5):
        ticket = there.pages._auth._tickets.issue(f"AABBCCDDEE{number:02X}", "127.66.0.1", "login")
        said = f"127.77.0.{number}"
        forged = f"X-Forwarded-For: {said}", f"Forwarded: for={said}", f"X-Real-IP: {said}"
        path = f"pdir?mac=AABBCCDDEE{number:02X}&t={ticket}&user=u{number}&pin=1"
        assert WRONG_LOGIN in await there.get("127.66.0.1", path, *forged)
    assert THROTTLED in await there.log_in("127.66.0.1", Mac("AABBCCDDEE99"), "bob")
    assert EMPTY in await there.log_in("127.66.0.2", Mac("AABBCCDDEE99"), "bob")


_HEAD = "POST /cisco/services/pdir?mac=AABBCCDDEE01 HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n"


@pytest.mark.parametrize(
    "kind", ["application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "application/octet-stream"]
)
@pytest.mark.parametrize("body_seconds", [0.05])
async def test_missing_body_is_not_awaited(page_server: tuple[PageServer, Clock], kind: str) -> None:
    there, _ = page_server
    reader, writer = await asyncio.open_connection("127.0.0.1", there.port)
    writer.write(f"{_HEAD}Content-Type: {kind}\r\n\r\nuser=anna".encode())
    async with asyncio.timeout(PATIENCE):
        assert b"CiscoIPPhoneInput" in await reader.readuntil(b"</CiscoIPPhoneInput>")
    writer.close()


async def test_request_injects_no_response_header(page_server: tuple[PageServer, Clock]) -> None:
    there, _ = page_server
    evil = "%0d%0aX-Evil:%20yes%0d%0a%0d%0a"
    await there.user("anna")
    mac = await there.phone(1, "127.77.0.1")
    for _ in range(5):
        await there.log_in("127.77.0.1", mac, "anna", "0000")
    ticket = there.pages._auth._tickets.issue(mac.digits, "127.77.0.1", "login")
    reader, writer = await asyncio.open_connection("127.0.0.1", there.port, local_addr=("127.77.0.1", 0))
    for host in ("x", "x%0d%0aX-Evil:yes", "x\tX-Evil:yes", "x;url=http://evil/"):
        for query in (
            f"mac={mac.digits}&t={ticket}&user=anna{evil}&pin=1{evil}",
            f"mac={mac.digits}{evil}",
            f"mac={mac.digits}&name={evil}&x={evil}&start={evil}",
        ):
            writer.write(f"GET /cisco/services/pdir?{query} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
            async with asyncio.timeout(PATIENCE):
                head = await reader.readuntil(b"\r\n\r\n")
                length = re.search(rb"Content-Length: (\d+)", head)
                assert length
                await reader.readexactly(int(length[1]))
            names = {line.partition(b":")[0] for line in head.split(b"\r\n")[1:]}
            assert names <= {
                *(b"Content-Type", b"Cache-Control", b"Expires", b"Refresh", b"Content-Length", b"Date", b"Server", b"")
            }
            assert b"evil" not in head.lower()
    writer.close()
