"""CGI/Execute against a phone's web server that answers all that phones are known to answer, and worse."""

import asyncio
from base64 import b64decode
from collections.abc import AsyncIterator, Awaitable, Callable
from urllib.parse import parse_qs

import aiohttp
import pytest
from aiohttp import web

from cisisk.config import PhoneHttpSettings
from cisisk.model.mac import Mac
from cisisk.model.phone import Software
from cisisk.model.target import NotRestarted, Target, Unreachable
from cisisk.restart.execute import PhoneCommands

PHONE = "127.0.0.1"
MAC = Mac.parse("001122334455")
NAME = MAC.device_name
TARGET = Target(mac=MAC, address=PHONE, model=None, software=Software.SIP)
DONE = '<CiscoIPPhoneResponse><ResponseItem Status="0" Data="Success" URL="Init:Services"/></CiscoIPPhoneResponse>'
Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]
Serve = Callable[..., Awaitable[PhoneCommands]]


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    """Commands for a phone that answers as it is told."""
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


async def test_the_command_is_sent_as_a_form_with_the_items_in_order(serve: Serve) -> None:
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
        (saying('<CiscoIPPhoneError Number="1"/>'), "could not read the command"),
        (saying('<CiscoIPPhoneError Number="2"/>'), "could not frame an answer"),
        (saying('<CiscoIPPhoneError Number="3"/>'), "internal file error"),
        (saying('<CiscoIPPhoneError Number="4"/>'), "authenticationURL of the config it runs does not lead to Cisisk"),
        (saying('<CiscoIPPhoneError Number="99"/>'), "answered error 99"),
        (saying("<CiscoIPPhoneError/>"), "answered error"),
        (saying(DONE.replace('"0"', '"6"')), "does not know it, or cannot do it now"),
        (saying(DONE.replace('"0"', '"1"')), "could not read it"),
        (saying(DONE.replace('"0"', '"77"')), "answered status 77"),
        (saying("", 401), "HTTP 401"),
        (saying("", 403), "HTTP 403"),
        (saying("", 302), "HTTP 302"),
        (saying("<html><body>Printer</body></html>"), "is not a Cisco phone"),
        (saying(b"\xff\xfe\x00"), "is not a Cisco phone"),
        (saying('<!DOCTYPE a [<!ENTITY b "c">]><CiscoIPPhoneError Number="&b;"/>'), "answered error"),
        (saying("x" * 100_000), "is not a Cisco phone"),
    ],
)
async def test_every_refusal_has_its_words(serve: Serve, answer: Answer, reason: str) -> None:
    commands = await serve(answer)
    with pytest.raises(NotRestarted, match=reason) as refused:
        await commands.execute(TARGET, ["Init:Restart"])
    assert not isinstance(refused.value, Unreachable)


async def test_a_phone_that_never_answers_is_unreachable_after_its_time(serve: Serve) -> None:
    async def silent(request: web.Request) -> web.Response:
        await asyncio.sleep(3600)
        return web.Response()

    commands = await serve(silent)
    with pytest.raises(Unreachable, match=r"did not answer within 0\.05 s"):
        await commands.execute(TARGET, ["Init:Restart"], timeout=0.05)


async def test_a_phone_that_closes_the_connection_may_have_obeyed(serve: Serve) -> None:
    async def hang_up(request: web.Request) -> web.Response:
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    commands = await serve(hang_up)
    with pytest.raises(NotRestarted, match="executed the command or not"):
        await commands.execute(TARGET, ["Init:Restart"])


async def test_each_call_is_vouched_for_once_and_only_for_its_phone_while_it_lasts(serve: Serve) -> None:
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


async def test_configured_credentials_are_sent_to_phones_that_ask_somebody_else(serve: Serve) -> None:
    async def answer(request: web.Request) -> web.Response:
        assert request.headers["Authorization"] == aiohttp.encode_basic_auth("cisco", "secret")
        return web.Response(text=DONE, content_type="text/xml")

    commands = await serve(answer, username="cisco", password="secret")
    await commands.execute(TARGET, ["Init:Services"])
    assert not commands.authorise(PHONE, "cisco", "secret", NAME)


async def test_a_no_although_cisisk_vouched_is_told_apart(serve: Serve) -> None:
    async def ask_and_refuse(request: web.Request) -> web.Response:
        assert commands.authorise(PHONE, *credentials(request), "")
        return web.Response(text='<CiscoIPPhoneError Number="4"/>', content_type="text/xml")

    commands = await serve(ask_and_refuse)
    with pytest.raises(NotRestarted, match="although Cisisk vouched"):
        await commands.execute(TARGET, ["Init:Restart"])


async def test_a_phone_that_was_given_the_address_meanwhile_is_not_restarted_instead(serve: Serve) -> None:
    async def ask(request: web.Request) -> web.Response:
        known = commands.authorise(PHONE, *credentials(request), "SEP00AA00AA00AA")
        return web.Response(text=DONE if known else '<CiscoIPPhoneError Number="4"/>', content_type="text/xml")

    commands = await serve(ask)
    with pytest.raises(NotRestarted, match="another phone has its address now: 'SEP00AA00AA00AA'"):
        await commands.execute(TARGET, ["Init:Restart"])
