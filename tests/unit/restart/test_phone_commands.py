"""CGI/Execute against a web server with all known responses of phones, and invalid ones."""

import asyncio
from base64 import b64decode
from collections.abc import AsyncIterator, Awaitable, Callable
from urllib.parse import parse_qs

import aiohttp
import pytest
from aiohttp import web

from cisisk.config import PhoneHttpSettings
from cisisk.model.codes.restart import RestartRefusal
from cisisk.model.mac import Mac
from cisisk.model.notice import Notice
from cisisk.model.phone import Software
from cisisk.model.target import NotRestarted, Target, Unreachable
from cisisk.restart.execute import PhoneCommands
from tests.notices import carries

PHONE = "127.0.0.1"
MAC = Mac.parse("001122334455")
NAME = MAC.device_name
TARGET = Target(mac=MAC, address=PHONE, model=None, software=Software.SIP)
DONE = '<CiscoIPPhoneResponse><ResponseItem Status="0" Data="Success" URL="Init:Services"/></CiscoIPPhoneResponse>'
Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]
Serve = Callable[..., Awaitable[PhoneCommands]]


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    """Return commands for a phone with given responses."""
    async with aiohttp.ClientSession() as session:
        runners = []

        async def start(answer: Answer, **settings: object) -> PhoneCommands:
            app = web.Application()
            app.router.add_post("/CGI/Execute", answer)
            runner = web.AppRunner(app, shutdown_timeout=0.1)
            runners.append(runner)
            await runner.setup()
            await web.TCPSite(runner, PHONE, 0).start()
            return PhoneCommands(PhoneHttpSettings(port=runner.addresses[0][1], **{"timeout": 1, **settings}), session)  # type: ignore[arg-type]  # keys of the section

        yield start
        for runner in runners:
            await runner.cleanup()


def saying(body: str | bytes, status: int = 200) -> Answer:
    async def answer(request: web.Request) -> web.Response:
        return web.Response(body=body, status=status, content_type="text/xml")

    return answer


def credentials(request: web.Request) -> tuple[str, str]:
    user, _, password = b64decode(request.headers["Authorization"].removeprefix("Basic ")).decode().partition(":")
    return user, password


async def test_command_is_sent_as_a_form_in_order(serve: Serve) -> None:
    forms: list[dict[str, list[str]]] = []

    async def answer(request: web.Request) -> web.Response:
        assert request.content_type == "application/x-www-form-urlencoded"
        forms.append(parse_qs(await request.text()))
        return web.Response(text=DONE, content_type="text/xml")

    commands = await serve(answer)
    await commands.execute(TARGET, ["Init:Services", "Key:Settings", "App:Close:0:0:a&b"])
    items = "".join(
        f'<ExecuteItem Priority="0" URL="{url}"/>' for url in ("Init:Services", "Key:Settings", "App:Close:0:0:a&amp;b")
    )
    assert forms == [{"XML": [f"<CiscoIPPhoneExecute>{items}</CiscoIPPhoneExecute>"]}]


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (saying('<CiscoIPPhoneError Number="1"/>'), RestartRefusal.COMMAND_UNREADABLE.notice()),
        (saying('<CiscoIPPhoneError Number="2"/>'), RestartRefusal.ANSWER_UNFRAMED.notice()),
        (saying('<CiscoIPPhoneError Number="3"/>'), RestartRefusal.FILE_ERROR.notice()),
        (saying('<CiscoIPPhoneError Number="4"/>'), RestartRefusal.CREDENTIALS_NOT_CHECKED.notice()),
        (saying('<CiscoIPPhoneError Number="99"/>'), RestartRefusal.ERROR.notice(number="99")),
        (saying("<CiscoIPPhoneError/>"), RestartRefusal.ERROR.notice(number="")),
        (saying(DONE.replace('"0"', '"6"')), RestartRefusal.ITEM_UNKNOWN.notice()),
        (saying(DONE.replace('"0"', '"1"')), RestartRefusal.ITEM_UNREADABLE.notice()),
        (saying(DONE.replace('"0"', '"77"')), RestartRefusal.ITEM_STATUS.notice(status="77")),
        (saying("", 401), RestartRefusal.HTTP_FORBIDDEN.notice(address=PHONE, status=401)),
        (saying("", 403), RestartRefusal.HTTP_FORBIDDEN.notice(address=PHONE, status=403)),
        (saying("", 302), RestartRefusal.HTTP_STATUS.notice(address=PHONE, status=302)),
        (saying("<html><body>Printer</body></html>"), RestartRefusal.NOT_A_PHONE.notice(address=PHONE)),
        (saying(b"\xff\xfe\x00"), RestartRefusal.NOT_A_PHONE.notice(address=PHONE)),
        (
            saying('<!DOCTYPE a [<!ENTITY b "c">]><CiscoIPPhoneError Number="&b;"/>'),
            RestartRefusal.ERROR.notice(number="c"),
        ),
        (saying("x" * 100_000), RestartRefusal.NOT_A_PHONE.notice(address=PHONE)),
    ],
)
async def test_execute_raises_the_reason_of_each_refusal(serve: Serve, answer: Answer, reason: Notice) -> None:
    commands = await serve(answer)
    with pytest.raises(NotRestarted) as refused:
        await commands.execute(TARGET, ["Init:Restart"])
    assert refused.value.notice == reason
    assert not isinstance(refused.value, Unreachable)


async def test_silent_phone_is_unreachable_after_the_timeout(serve: Serve) -> None:
    async def silent(request: web.Request) -> web.Response:
        await asyncio.sleep(3600)
        return web.Response()

    commands = await serve(silent)
    with pytest.raises(Unreachable, check=carries(RestartRefusal.HTTP_NO_ANSWER, seconds=0.05)):
        await commands.execute(TARGET, ["Init:Restart"], timeout=0.05)


async def test_closed_connection_is_refused_as_closed(serve: Serve) -> None:
    async def hang_up(request: web.Request) -> web.Response:
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    commands = await serve(hang_up)
    with pytest.raises(NotRestarted, check=carries(RestartRefusal.HTTP_CLOSED)):
        await commands.execute(TARGET, ["Init:Restart"])


async def test_credentials_are_valid_once_for_the_called_phone(serve: Serve) -> None:
    seen: list[tuple[str, str]] = []
    answers: list[bool] = []

    async def ask(request: web.Request) -> web.Response:
        user, password = credentials(request)
        seen.append((user, password))
        answers.extend(
            [
                commands.authorise("127.0.0.2", user, password, NAME),
                commands.authorise(PHONE, user, "wrong", NAME),
                commands.authorise(PHONE, "", "", NAME),
                commands.authorise(PHONE, user, password, NAME),
                commands.authorise(PHONE, user, password, NAME),
            ]
        )
        return web.Response(text=DONE, content_type="text/xml")

    commands = await serve(ask)
    await commands.execute(TARGET, ["Init:Services"])
    await commands.execute(TARGET, ["Init:Services"])
    assert answers == [False, False, False, True, False] * 2
    assert seen[0] != seen[1]
    assert not commands.authorise(PHONE, *seen[1], NAME)


async def test_configured_credentials_are_sent_and_not_confirmed(serve: Serve) -> None:
    async def answer(request: web.Request) -> web.Response:
        assert request.headers["Authorization"] == aiohttp.encode_basic_auth("cisco", "secret")
        return web.Response(text=DONE, content_type="text/xml")

    commands = await serve(answer, username="cisco", password="secret")
    await commands.execute(TARGET, ["Init:Services"])
    assert not commands.authorise(PHONE, "cisco", "secret", NAME)


async def test_refusal_after_confirmed_credentials_has_its_own_reason(serve: Serve) -> None:
    async def ask_and_refuse(request: web.Request) -> web.Response:
        assert commands.authorise(PHONE, *credentials(request), "")
        return web.Response(text='<CiscoIPPhoneError Number="4"/>', content_type="text/xml")

    commands = await serve(ask_and_refuse)
    with pytest.raises(NotRestarted, check=carries(RestartRefusal.CREDENTIALS_REFUSED)):
        await commands.execute(TARGET, ["Init:Restart"])


async def test_other_phone_at_the_address_is_not_restarted(serve: Serve) -> None:
    async def ask(request: web.Request) -> web.Response:
        known = commands.authorise(PHONE, *credentials(request), "SEP00AA00AA00AA")
        return web.Response(text=DONE if known else '<CiscoIPPhoneError Number="4"/>', content_type="text/xml")

    commands = await serve(ask)
    with pytest.raises(NotRestarted, check=carries(RestartRefusal.OTHER_PHONE, device="SEP00AA00AA00AA")):
        await commands.execute(TARGET, ["Init:Restart"])
