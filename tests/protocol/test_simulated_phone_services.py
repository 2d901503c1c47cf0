"""The browser of a simulated phone against a small HTTP service."""

import asyncio
import os
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Self
from urllib.parse import quote

import aiohttp
import pytest
from aiohttp import encode_basic_auth, web
from yarl import URL

from cisisk.model.mac import Mac
from cisisk.simulator.models import MODELS
from cisisk.simulator.phone import SimulatedPhone
from cisisk.simulator.services.browser import Browser, NotPossible
from cisisk.simulator.services.page import PageKind, ParsedPage
from cisisk.simulator.services.rules import Rule, Violation
from cisisk.simulator.tftp_client import TftpRetry
from cisisk.simulator.timing import Timing

HOST = "127.0.0.1"
PHONE = f"127.{64 + os.getpid() % 128}.{os.getpid() // 128 % 256}.8"
"""An address per process, because tests run in parallel."""
MAC = Mac.parse("ACBBCCDDEE06")
TIMING = Timing(
    tftp=TftpRetry(interval=0.1, retries=1), http=2.0, offline=0.01, boot_pause=0.01, services=2.0, refresh_factor=0.0
)
DEADLINE = 5.0
PAST = {"Expires": "Mon, 05 Jan 2015 10:00:00 GMT"}
SUBMIT = "<SoftKeyItem><Name>Login</Name><URL>SoftKey:Submit</URL><Position>1</Position></SoftKeyItem>"
LOGIN_ITEMS = """<InputItem><DisplayName>User</DisplayName><QueryStringParam>user</QueryStringParam>
    <DefaultValue>ann</DefaultValue><InputFlags>L</InputFlags></InputItem>
    <InputItem><DisplayName>PIN</DisplayName><QueryStringParam>pin</QueryStringParam>
    <DefaultValue></DefaultValue><InputFlags>NP</InputFlags></InputItem>"""

Handler = Callable[[web.Request], Awaitable[web.Response]]


def xml(document: str, charset: str = "utf-8", **headers: str) -> web.Response:
    body = f'<?xml version="1.0" encoding="{charset}"?>{document}'.encode(charset)
    return web.Response(body=body, headers={"Content-Type": f"text/xml; charset={charset}"} | headers)


def menu(items: dict[str, str], keys: dict[str, str] | None = None, title: str = "Menu") -> str:
    lines = "".join(f"<MenuItem><Name>{name}</Name><URL>{url}</URL></MenuItem>" for name, url in items.items())
    soft_keys = "".join(
        f"<SoftKeyItem><Name>{name}</Name><URL>{url}</URL><Position>{place}</Position></SoftKeyItem>"
        for place, (name, url) in enumerate((keys or {}).items(), start=1)
    )
    return f"<CiscoIPPhoneMenu><Title>{title}</Title>{lines}{soft_keys}</CiscoIPPhoneMenu>"


def text(words: str) -> str:
    return f"<CiscoIPPhoneText><Text>{words}</Text></CiscoIPPhoneText>"


def directory(entries: dict[str, str]) -> str:
    lines = "".join(
        f"<DirectoryEntry><Name>{name}</Name><Telephone>{number}</Telephone></DirectoryEntry>"
        for name, number in entries.items()
    )
    return f"<CiscoIPPhoneDirectory><Title>People</Title>{lines}</CiscoIPPhoneDirectory>"


@dataclass
class Service:
    """Answers with the pages of a test, and records the requests. It also serves the phone's config."""

    pages: dict[str, web.Response | Handler | str] = field(default_factory=dict)
    requests: list[web.Request] = field(default_factory=list)
    forms: list[dict[str, str]] = field(default_factory=list)
    config: str = ""

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._answer)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, HOST, 0).start()
        self.port = int(self._runner.addresses[0][1])
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self._runner.cleanup()

    def url(self, path: str = "") -> str:
        return f"http://{HOST}:{self.port}/{path}"

    @property
    def paths(self) -> list[str]:
        """Return the requested paths, in order."""
        return [request.raw_path.removeprefix("/") for request in self.requests]

    async def _answer(self, request: web.Request) -> web.Response:
        path = request.match_info["path"]
        if path.startswith("SEP"):
            return web.Response(text=f"<device>{self.config}</device>")
        if path.endswith(".tlv"):
            return web.Response()
        self.requests.append(request)
        if request.method == "POST":
            self.forms.append({name: str(value) for name, value in (await request.post()).items()})
        page = self.pages.get(path, web.Response(status=404))
        if isinstance(page, str):
            return xml(page)
        if isinstance(page, web.Response):  # a response answers one request
            return web.Response(status=page.status, body=page.body, headers=page.headers)
        return await page(request)


@pytest.fixture
async def service() -> AsyncIterator[Service]:
    async with Service() as running:
        yield running


@asynccontextmanager
async def running_phone(
    service: Service, model: str = "7962", timing: Timing = TIMING
) -> AsyncIterator[SimulatedPhone]:
    phone = SimulatedPhone(
        MAC,
        replace(MODELS[model], http_first=True),
        address=PHONE,
        server=HOST,
        tftp_port=9,
        http_port=service.port,
        web_port=0,
        timing=timing,
    )
    async with phone:
        await phone.wait_for_boot(1, DEADLINE)
        yield phone


@pytest.fixture
async def phone(service: Service) -> AsyncIterator[SimulatedPhone]:
    async with running_phone(service) as running:
        yield running


@pytest.fixture
def browser(phone: SimulatedPhone) -> Browser:
    return phone.browser


def shown(page: ParsedPage | None) -> ParsedPage:
    assert page is not None
    return page


def broken(browser: Browser) -> list[Rule]:
    return [violation.rule for violation in browser.violations]


# Requests


@pytest.mark.parametrize(
    ("model", "charset"),
    [("7940", "iso-8859-1,utf-8;q=0.8"), ("7962", "utf-8,iso-8859-1;q=0.8"), ("8845", "utf-8,iso-8859-1;q=0.8")],
)
async def test_phone_sends_its_identity_from_its_own_address(service: Service, model: str, charset: str) -> None:
    service.pages["page"] = xml(text("Hello"), "iso-8859-1")
    async with running_phone(service, model) as phone:
        page = shown(await phone.browser.open(service.url("page?name=#DEVICENAME#")))
    assert (page.kind, page.text, page.status, page.violations) == (PageKind.TEXT, "Hello", 200, ())
    (request,) = service.requests
    assert (request.raw_path, request.remote) == (f"/page?name={MAC.device_name}", PHONE)
    assert request.headers["x-CiscoIPPhoneModelName"] == MODELS[model].product
    assert request.headers["Accept-Charset"] == charset
    assert request.headers["Accept"] == "x-CiscoIPPhone/*, text/*,image/png,*/*"
    assert "Accept-Encoding" not in request.headers
    assert {"x-CiscoIPPhoneDisplay", "x-CiscoIPPhoneSDKVersion", "User-Agent", "Accept-Language"} <= set(
        request.headers
    )


async def test_buttons_open_urls_of_config(service: Service) -> None:
    service.config = f"""<servicesURL>{service.url("services?name=#DEVICENAME#")}</servicesURL>
        <directoryURL>{service.url("dir")}</directoryURL><phoneServices><phoneService type="0"><name>Switch</name>
        <url>{service.url("switch?mac=#DEVICENAME#")}</url></phoneService></phoneServices>"""
    service.pages |= {"services": menu({}), "dir": menu({}), "switch": text("")}
    async with running_phone(service) as phone:
        pages = [await phone.browser.press_services(), await phone.browser.press_directories()]
        pages.append(await phone.browser.open_service("Switch"))
        with pytest.raises(NotPossible):
            await phone.browser.open_service("Coffee")
    assert [shown(page).kind for page in pages] == [PageKind.MENU, PageKind.MENU, PageKind.TEXT]
    assert service.paths == [f"services?name={MAC.device_name}", "dir", f"switch?mac={MAC.device_name}"]


async def test_request_of_some_firmware_has_locale_and_name(service: Service) -> None:
    service.config = f"""<servicesURL>{service.url("services?a=1")}</servicesURL>
        <directoryURL>{service.url("dir")}</directoryURL>"""
    async with running_phone(service, "8845") as phone:
        await phone.browser.press_services()
        await phone.browser.press_directories()
    added = f"locale=English_United_States&name={MAC.device_name}"
    assert service.paths == [f"services?a=1&{added}", f"dir?{added}"]


async def test_buttons_without_urls_in_config_show_error(browser: Browser) -> None:
    page = shown(await browser.press_services())
    assert (page.kind, page.text, page.keys) == (PageKind.ERROR, "No services configured", ["Exit"])
    assert await browser.press("Exit") is None


@pytest.mark.parametrize(("model", "kind"), [("7962", PageKind.ERROR), ("8851", PageKind.DIRECTORY)])
async def test_directories_button_of_79xx_accepts_menus_only(service: Service, model: str, kind: PageKind) -> None:
    service.config = f"<directoryURL>{service.url('dir')}</directoryURL>"
    service.pages["dir"] = directory({"Ann": "201"})
    async with running_phone(service, model) as phone:
        assert shown(await phone.browser.press_directories()).kind is kind
        assert broken(phone.browser) == ([Rule.MENU_EXPECTED] if kind is PageKind.ERROR else [])
        assert shown(await phone.browser.open(service.url("dir"))).kind is PageKind.DIRECTORY


# Errors


@pytest.mark.parametrize("status", [204, 304, 401, 404, 500, 503])
async def test_error_status_is_shown_on_screen(service: Service, browser: Browser, status: int) -> None:
    service.pages["page"] = web.Response(status=status)
    page = shown(await browser.open(service.url("page")))
    assert (page.kind, page.text, page.status) == (PageKind.ERROR, f"HTTP Error [{status}]!", status)


@pytest.mark.parametrize("url", ["http://127.0.0.1:9/", "http://127.0.0.1:x/", "http://", "http://192.0.2.5\\@x/"])
async def test_closed_port_is_host_not_found(browser: Browser, url: str) -> None:
    page = shown(await browser.open(url))
    assert (page.kind, page.text, page.status) == (PageKind.ERROR, "Host not found", None)


async def test_silent_server_is_host_not_found(service: Service) -> None:
    async def silent(_: web.Request) -> web.Response:
        await asyncio.Event().wait()
        raise AssertionError

    service.pages["page"] = silent
    async with running_phone(service, timing=Timing(tftp=TIMING.tftp, services=0.05)) as phone:
        assert shown(await phone.browser.open(service.url("page"))).text == "Host not found"


async def test_page_that_breaks_rule_is_parse_error(service: Service, browser: Browser) -> None:
    service.pages["page"] = menu({f"Line {number}": "" for number in range(101)})
    page = shown(await browser.open(service.url("page")))
    assert (page.kind, page.text, page.items) == (PageKind.ERROR, "XML Error [4]: Parse Error", ())
    assert page.violations == (Violation(Rule.MENU_ITEMS, "101, 100 at most"),)
    assert tuple(browser.violations) == page.violations


async def test_huge_page_is_not_read_completely(service: Service, browser: Browser) -> None:
    service.pages["page"] = text("x" * 3_000_000)
    await browser.open(service.url("page"))
    assert broken(browser) == [Rule.OBJECT_SIZE]


async def test_login_page_sent_as_html_is_shown_with_tags(service: Service, browser: Browser) -> None:
    service.pages["page"] = web.Response(text="<b>Log in</b>", content_type="text/html")
    page = shown(await browser.open(service.url("page")))
    assert (page.kind, page.text) == (PageKind.PLAIN, "<b>Log in</b>")


async def test_redirects_are_followed_up_to_limit(service: Service, browser: Browser) -> None:
    service.pages |= {
        "old": web.Response(status=302, headers={"Location": "/new?x=1", "Set-Cookie": "session=7"}),
        "new": text("Here"),
        "ring": web.Response(status=301, headers={"Location": service.url("gnir")}),
        "gnir": web.Response(status=301, headers={"Location": "ring"}),
        "away": web.Response(status=302, headers={"Location": "ftp://192.0.2.5/"}),
    }
    assert shown(await browser.open(service.url("old"))).text == "Here"
    assert service.requests[-1].headers["Cookie"] == "session=7"
    assert shown(await browser.open(service.url("ring"))).text == "HTTP Error [301]!"
    assert len(service.requests) == 2 + 6
    assert shown(await browser.open(service.url("away"))).text == "HTTP Error [302]!"


# Menus and soft keys


async def test_menu_line_is_selected_by_number_or_name(service: Service, browser: Browser) -> None:
    service.pages |= {"menu": menu({"One": service.url("1"), "Two": service.url("2?n=#DEVICENAME#"), "Three": ""})}
    for line in (1, "Two"):
        await browser.open(service.url("menu"))
        await browser.select(line)
    assert service.paths == ["menu", "1", "menu", f"2?n={MAC.device_name}"]
    await browser.open(service.url("menu"))
    for line in (0, 4, "Four"):
        with pytest.raises(NotPossible, match="no line"):
            await browser.select(line)
    with pytest.raises(NotPossible, match="no URL"):
        await browser.select("Three")


async def test_soft_key_acts_on_highlighted_line(service: Service, browser: Browser) -> None:
    keys = {"Edit": "QueryStringParam:action=edit", "Open": "SoftKey:Select", "New": service.url("new")}
    service.pages["menu"] = menu({"One": service.url("1"), "Two": service.url("2?a=b")}, keys)
    for line, key in ((1, "Edit"), (2, "Edit"), (2, "Open"), (1, "New")):
        await browser.open(service.url("menu"))
        browser.highlight(line)
        await browser.press(key)
    assert [path for path in service.paths if path != "menu"] == ["1?action=edit", "2?a=b&action=edit", "2?a=b", "new"]


async def test_soft_key_url_gets_parameter_of_line(service: Service, browser: Browser) -> None:
    lines = {"One": "QueryStringParam:id=1", "Two": "QueryStringParam:id=2"}
    service.pages["menu"] = menu(lines, {"Delete": service.url("delete"), "Select": "SoftKey:Select"})
    await browser.open(service.url("menu"))
    with pytest.raises(NotPossible):
        await browser.press("Select")
    browser.highlight("Two")
    await browser.press("Delete")
    assert service.paths[-1] == "delete?id=2"


async def test_soft_key_without_function_is_refused(service: Service, browser: Browser) -> None:
    with pytest.raises(NotPossible, match="screen is empty"):
        await browser.press("Exit")
    service.pages["menu"] = menu({"One": ""}, {"Call": "SoftKey:Dial"})
    await browser.open(service.url("menu"))
    with pytest.raises(NotPossible, match="no soft key"):
        await browser.press("Exit")
    with pytest.raises(NotPossible, match="no effect"):
        await browser.press("Call")
    assert broken(browser) == [Rule.DEAD_SOFT_KEY]


@pytest.mark.parametrize("uri", ["Init:Services", "Init:Directories", "Init:Messages"])
async def test_soft_key_can_close_window(service: Service, browser: Browser, uri: str) -> None:
    service.pages["menu"] = menu({}, {"Quit": uri, "Nothing": "Init:CallHistory"})
    page = await browser.open(service.url("menu"))
    assert await browser.press("Nothing") is page
    assert await browser.press("Quit") is None
    assert (browser.page, browser.url) == (None, None)


# Forms


async def test_form_is_submitted_in_order_of_lines(service: Service, browser: Browser) -> None:
    service.pages["login"] = (
        f"<CiscoIPPhoneInput><URL>{service.url('in?nonce=1')}</URL>{LOGIN_ITEMS}</CiscoIPPhoneInput>"
    )
    page = shown(await browser.open(service.url("login")))
    assert (page.names, page.keys) == (["User", "PIN"], ["Submit", "<<", "Cancel"])
    browser.fill("PIN", "0042")
    browser.fill("user", "J&K B?")
    await browser.press("Submit")
    assert service.paths[-1] == "in?nonce=1&user=j%26k%20b%3F&pin=0042"
    assert dict(service.requests[-1].query) == {"nonce": "1", "user": "j&k b?", "pin": "0042"}


async def test_form_submits_empty_lines_and_defaults(service: Service, browser: Browser) -> None:
    service.pages["login"] = (
        f"<CiscoIPPhoneInput><URL>{service.url('in')}</URL>{LOGIN_ITEMS}{SUBMIT}</CiscoIPPhoneInput>"
    )
    await browser.open(service.url("login"))
    await browser.press("Login")
    assert service.paths[-1] == "in?user=ann&pin="


async def test_character_without_key_is_refused(service: Service, browser: Browser) -> None:
    service.pages["login"] = f"<CiscoIPPhoneInput><URL>{service.url('in')}</URL>{LOGIN_ITEMS}</CiscoIPPhoneInput>"
    await browser.open(service.url("login"))
    with pytest.raises(NotPossible, match="PIN") as impossible:
        await browser.submit(pin="12x4")
    assert "12x4" not in str(impossible.value)
    with pytest.raises(NotPossible, match="no line"):
        browser.fill("password", "x")
    assert service.paths == ["login"]


async def test_backspace_deletes_last_character(service: Service, browser: Browser) -> None:
    service.pages["login"] = f"<CiscoIPPhoneInput><URL>{service.url('in')}</URL>{LOGIN_ITEMS}</CiscoIPPhoneInput>"
    await browser.open(service.url("login"))
    browser.fill("pin", "123")
    await browser.press("<<")
    await browser.press("<<")
    await browser.submit()
    assert service.paths[-1] == "in?user=ann&pin=1"


async def test_form_with_method_post_is_posted_by_newer_phones(service: Service) -> None:
    service.pages["login"] = (
        f'<CiscoIPPhoneInput><URL method="post">{service.url("in")}</URL>{LOGIN_ITEMS}</CiscoIPPhoneInput>'
    )
    async with running_phone(service, "8851") as phone:
        await phone.browser.open(service.url("login"))
        await phone.browser.submit(user="Ann", pin="12")
    assert service.paths[-1] == "in"
    assert service.forms == [{"user": "ann", "pin": "12"}]


async def test_typed_text_is_absent_from_repr(service: Service, browser: Browser) -> None:
    service.pages |= {
        "login": f"<CiscoIPPhoneInput><URL>{service.url('in')}</URL>{LOGIN_ITEMS}</CiscoIPPhoneInput>",
        "in": text("Welcome"),
    }
    await browser.open(service.url("login"))
    page = await browser.submit(pin="90210")
    assert "90210" not in repr(page)


# Calls


async def test_call_from_directory_dials_and_closes_it(service: Service, browser: Browser) -> None:
    service.pages["people"] = directory({"Ann": "201", "Ben": "+49 30 7"})
    await browser.open(service.url("people"))
    browser.highlight("Ben")
    await browser.press("EditDial")
    assert (browser.editing, list(browser.dialled)) == ("+49 30 7", [])
    assert await browser.press("Dial") is None
    await browser.open(service.url("people"))
    assert await browser.select("Ann") is None
    assert (list(browser.dialled), browser.editing) == (["+49 30 7", "201"], None)


async def test_number_picker_dials_and_may_keep_page(service: Service, browser: Browser) -> None:
    service.pages["picker"] = menu({"Work": "Dial:201", "Home": "Dial:202:1:App", "Edit": "EditDial:203"})
    page = await browser.open(service.url("picker"))
    assert await browser.select("Home") is page
    assert await browser.select("Edit") is page
    assert browser.editing == "203"
    assert await browser.select("Work") is None
    assert list(browser.dialled) == ["202", "201"]


async def test_empty_directory_offers_no_number(service: Service, browser: Browser) -> None:
    service.pages["people"] = directory({})
    await browser.open(service.url("people"))
    with pytest.raises(NotPossible):
        await browser.press("Dial")


# History


async def test_exit_reloads_previous_pages(service: Service, browser: Browser) -> None:
    service.pages |= {
        "a": menu({"Next": service.url("b")}),
        "b": menu({"Next": service.url("c")}),
        "c": text("End"),
    }
    await browser.open(service.url("a"))
    await browser.select(1)
    await browser.select(1)
    titles = [page.kind if (page := await browser.press("Exit")) is not None else None for _ in range(3)]
    assert titles == [PageKind.MENU, PageKind.MENU, None]
    assert service.paths == ["a", "b", "c", "b", "a"]
    with pytest.raises(NotPossible):
        await browser.back()


async def test_history_skips_expired_page(service: Service, browser: Browser) -> None:
    service.pages |= {
        "a": menu({"Next": service.url("login")}),
        "login": xml(menu({"Next": service.url("end")}), **PAST),
        "end": text("End"),
    }
    await browser.open(service.url("a"))
    assert shown(await browser.select(1)).is_expired
    await browser.select(1)
    await browser.press("Exit")
    assert service.paths == ["a", "login", "end", "a"]


@pytest.mark.parametrize(
    ("expires", "model", "is_expired"),
    [
        ("Thu, 01 Jan 1970 00:00:00 GMT", "7962", True),
        ("Thu, 01 Jan 1970 00:00:00 GMT", "8845", False),
        ("Fri, 02 Jan 1970 00:00:00 GMT", "8845", True),
        ("Fri, 31 Dec 2199 00:00:00 GMT", "8845", False),
        ("-1", "7962", False),
    ],
)
async def test_expiry_is_parsed_per_family(service: Service, expires: str, model: str, is_expired: bool) -> None:
    service.pages["page"] = xml(text(""), Expires=expires)
    async with running_phone(service, model) as phone:
        page = shown(await phone.browser.open(service.url("page")))
        assert page.is_expired is is_expired
        is_unread = not is_expired and "2199" not in expires
        assert broken(phone.browser) == ([Rule.EXPIRES] if is_unread else [])


async def test_exit_from_error_returns_to_previous_page(service: Service, browser: Browser) -> None:
    service.pages["a"] = menu({"Next": service.url("absent")})
    await browser.open(service.url("a"))
    assert shown(await browser.select(1)).kind is PageKind.ERROR
    assert shown(await browser.press("Exit")).kind is PageKind.MENU
    assert await browser.press("Exit") is None


# Refresh


async def test_refresh_replaces_current_page(service: Service, browser: Browser) -> None:
    service.pages |= {
        "a": menu({"Next": service.url("b")}),
        "b": xml(text("Wait"), Refresh=f"30; url={service.url('c')}"),
        "c": xml(text("Done"), Refresh="5"),
    }
    await browser.open(service.url("a"))
    with pytest.raises(NotPossible):
        await browser.refresh()
    page = shown(await browser.select(1))
    assert (page.refresh is not None, page.keys) == (True, ["Update", "Exit"])
    assert shown(await browser.refresh()).text == "Done"
    await browser.refresh()
    await browser.press("Update")
    await browser.press("Exit")
    assert service.paths == ["a", "b", "c", "c", "c", "a"]


async def test_refresh_waits_for_its_seconds(service: Service) -> None:
    service.pages["a"] = xml(text("Wait"), Refresh="2")
    timing = Timing(tftp=TIMING.tftp, refresh_factor=0.05)
    async with running_phone(service, timing=timing) as phone:
        await phone.browser.open(service.url("a"))
        before = asyncio.get_running_loop().time()
        await phone.browser.refresh()
        assert asyncio.get_running_loop().time() - before >= 0.09


async def test_refresh_of_left_page_is_dropped(service: Service) -> None:
    service.pages |= {"a": xml(text("Wait"), Refresh=f"1; url={service.url('late')}"), "b": text("Elsewhere")}
    async with running_phone(service, timing=Timing(tftp=TIMING.tftp, refresh_factor=0.05)) as phone:
        await phone.browser.open(service.url("a"))
        waiting = asyncio.create_task(phone.browser.refresh())
        await phone.browser.open(service.url("b"))
        assert shown(await waiting).text == "Elsewhere"
    assert service.paths == ["a", "b"]


async def test_refresh_of_zero_waits_for_next_key(service: Service, browser: Browser) -> None:
    service.pages |= {
        "1": xml(directory({"Ann": "201"}), Refresh=f"0; url={service.url('2')}"),
        "2": directory({"Ben": "202"}),
    }
    page = shown(await browser.open(service.url("1")))
    assert page.keys == ["Dial", "EditDial", "Exit", "Next"]
    with pytest.raises(NotPossible):
        await browser.refresh()
    assert shown(await browser.press("Next")).names == ["Ben"]


@pytest.mark.parametrize("header", ["soon", "1; url=Init:Services", "1; url=http://", "1; url=http://a/" + "x" * 250])
async def test_refresh_without_target_is_ignored(service: Service, browser: Browser, header: str) -> None:
    service.pages["a"] = xml(text("Wait"), Refresh=header)
    page = shown(await browser.open(service.url("a")))
    assert (page.kind, page.refresh, broken(browser)) == (PageKind.TEXT, None, [Rule.REFRESH])


# Cookies


async def test_cookies_are_sent_until_window_closes(service: Service, browser: Browser) -> None:
    service.pages["a"] = xml(menu({"Again": service.url("a")}), **{"Set-Cookie": "session=7; Path=/"})
    await browser.open(service.url("a"))
    await browser.select(1)
    browser.close()
    await browser.open(service.url("a"))
    assert [request.headers.get("Cookie") for request in service.requests] == [None, "session=7", None]


async def test_cookie_too_large_is_reported(service: Service, browser: Browser) -> None:
    service.pages["a"] = xml(text(""), **{"Set-Cookie": "session=" + "x" * 300})
    assert shown(await browser.open(service.url("a"))).kind is PageKind.TEXT
    assert broken(browser) == [Rule.COOKIE]


# Commands from outside


async def execute(phone: SimulatedPhone, *urls: str) -> None:
    items = "".join(f'<ExecuteItem Priority="0" URL="{url}"/>' for url in urls)
    body = "XML=" + quote(f"<CiscoIPPhoneExecute>{items}</CiscoIPPhoneExecute>")
    headers = {
        "Authorization": encode_basic_auth("cisisk", "x"),
        "Content-Type": "application/x-www-form-urlencoded",
    }
    async with (
        aiohttp.ClientSession() as client,
        client.post(URL(phone.web_url) / "CGI/Execute", data=body, headers=headers) as response,
    ):
        assert response.status == 200
        assert 'Status="0"' in await response.text()


async def test_pushed_init_services_closes_all_pages(service: Service, phone: SimulatedPhone, browser: Browser) -> None:
    service.pages["a"] = xml(menu({"Again": service.url("a")}), **{"Set-Cookie": "session=7"})
    await browser.open(service.url("a"))
    await browser.select(1)
    await execute(phone, "Init:Services")
    assert (browser.page, phone.open_page) == (None, None)
    await browser.open(service.url("a"))
    assert await browser.press("Exit") is None
    assert "Cookie" not in service.requests[-1].headers


async def test_pushed_page_is_shown(service: Service, phone: SimulatedPhone, browser: Browser) -> None:
    service.pages |= {"a": text("Mine"), "b": text("Pushed")}
    await browser.open(service.url("a"))
    await execute(phone, service.url("b"))
    await phone.wait_until(lambda: browser.page is not None and browser.page.text == "Pushed", DEADLINE, "shows it")
    assert shown(await browser.press("Exit")).text == "Mine"


async def test_response_with_execute_is_executed(service: Service, browser: Browser) -> None:
    service.pages |= {
        "a": menu({"Log out": service.url("out"), "Elsewhere": service.url("other")}),
        "out": '<CiscoIPPhoneExecute><ExecuteItem Priority="0" URL="Init:Services"/></CiscoIPPhoneExecute>',
        "other": f'<CiscoIPPhoneExecute><ExecuteItem URL="{service.url("a")}"/></CiscoIPPhoneExecute>',
    }
    await browser.open(service.url("a"))
    await browser.select("Elsewhere")
    await browser.open(service.url("a"))
    assert await browser.select("Log out") is None
    assert browser.url is None


async def test_pending_page_is_dropped_when_window_closes(
    service: Service, phone: SimulatedPhone, browser: Browser
) -> None:
    async def switch(_: web.Request) -> web.Response:
        await execute(phone, "Init:Services")
        return xml(text("Switching"), **{"Set-Cookie": "session=7"})

    service.pages["switch"] = switch
    assert await browser.open(service.url("switch")) is None
    assert browser.page is None
    await browser.open(service.url("elsewhere"))
    assert "Cookie" not in service.requests[-1].headers


async def test_restart_closes_all_pages(service: Service, phone: SimulatedPhone, browser: Browser) -> None:
    service.pages["a"] = xml(text(""), **{"Set-Cookie": "session=7"})
    await browser.open(service.url("a"))
    phone.restart("a test")
    await phone.wait_for_boot(2, DEADLINE)
    assert browser.page is None
    await browser.open(service.url("a"))
    assert [request.headers.get("Cookie") for request in service.requests] == [None, None]


async def test_powered_off_phone_shows_no_page(service: Service) -> None:
    async with running_phone(service) as phone:
        service.pages["a"] = text("")
        await phone.browser.open(service.url("a"))
    assert phone.browser.page is None
    for opening in (phone.browser.open(service.url("a")), phone.browser.press_services()):
        with pytest.raises(NotPossible, match="not running"):
            await opening
    with pytest.raises(NotPossible):
        await phone.browser.open("Init:Services")


async def test_repeated_page_is_not_added_to_history(service: Service, browser: Browser) -> None:
    service.pages["idle"] = xml(text("Idle"), Refresh="60")
    await browser.open(service.url("idle"))
    for _ in range(50):
        await browser.refresh()
    assert Counter(service.paths) == {"idle": 51}
    assert (await browser.press("Exit"), browser.url) == (None, None)
