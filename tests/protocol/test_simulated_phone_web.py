"""The web server of a simulated phone. One aiohttp app serves its config and authenticationURL."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from typing import Any, Self
from urllib.parse import quote

import aiohttp
import pytest
from aiohttp import encode_basic_auth, web
from lxml import etree

from cisisk.model.mac import Mac
from cisisk.simulator.faults import Faults
from cisisk.simulator.models import MODELS, PhoneModel
from cisisk.simulator.phone import PhoneState, SimulatedPhone
from cisisk.simulator.tftp_client import TftpRetry
from cisisk.simulator.timing import Timing

HOST = "127.0.0.1"
PHONE = f"127.{64 + os.getpid() % 128}.{os.getpid() // 128 % 256}.7"
"""An address per process, because tests run in parallel."""
MAC = Mac.parse("ACBBCCDDEE05")
QUICK = Timing(tftp=TftpRetry(interval=0.1, retries=1), http=2.0, authentication=0.3, offline=0.01, boot_pause=0.01)
DEADLINE = 5.0
HTTP_MODEL = replace(MODELS["7965"], accepts_init_restart=True)
"""A 79xx that fetches over HTTP, so that these tests need no TFTP server."""
PASSWORD = "p&ss word+%/"
EXECUTE = "/CGI/Execute"


@dataclass
class Appliance:
    """Serves the phone's config and answers its authenticationURL."""

    web_access: str = "0"
    settings_access: str = "1"
    authentication: str | None = "/auth?site=1"
    answer: bytes = b"AUTHORIZED"
    status: int = 200
    boots: int = 0
    questions: list[dict[str, str]] = field(default_factory=list)

    async def __aenter__(self) -> Self:
        self.asked, self.may_answer = asyncio.Event(), asyncio.Event()
        self.may_answer.set()
        app = web.Application()
        app.router.add_get("/auth", self._authenticate)
        app.router.add_get("/{name}", self._file)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
        await self._runner.setup()
        await web.TCPSite(self._runner, HOST, 0).start()
        self.port = int(self._runner.addresses[0][1])
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        self.may_answer.set()
        await self._runner.cleanup()

    async def _file(self, request: web.Request) -> web.Response:
        if not request.match_info["name"].startswith("SEP"):
            return web.Response(body=b"")
        self.boots += 1
        url = "" if self.authentication is None else f"http://{HOST}:{self.port}{self.authentication}"
        return web.Response(
            text=f"""<device><vendorConfig><webAccess>{self.web_access}</webAccess>
            <settingsAccess>{self.settings_access}</settingsAccess></vendorConfig>
            <sipProfile><sipLines><line><name>1001</name></line></sipLines></sipProfile>
            <authenticationURL>{url}</authenticationURL></device>"""
        )

    async def _authenticate(self, request: web.Request) -> web.Response:
        self.questions.append(dict(request.query))
        self.asked.set()
        await self.may_answer.wait()
        is_right = request.query.get("UserID") == "cisisk" and request.query.get("Password") == PASSWORD
        return web.Response(body=self.answer if is_right else b"UN-AUTHORIZED", status=self.status)


@pytest.fixture
async def appliance() -> AsyncIterator[Appliance]:
    async with Appliance() as running:
        yield running


@pytest.fixture
async def client() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=DEADLINE)) as session:
        yield session


def phone_of(appliance: Appliance, model: PhoneModel = HTTP_MODEL, **changes: Any) -> SimulatedPhone:
    wanted: dict[str, Any] = {
        "address": PHONE,
        "server": HOST,
        "tftp_port": 9,
        "http_port": appliance.port,
        "web_port": 0,
        "timing": QUICK,
    }
    return SimulatedPhone(MAC, model, **(wanted | changes))


def execute(*urls: str) -> str:
    root = etree.Element("CiscoIPPhoneExecute")
    for url in urls:
        etree.SubElement(root, "ExecuteItem", Priority="0", URL=url)
    return etree.tostring(root).decode()


@dataclass
class Administrator:
    """A client that sends a phone commands."""

    client: aiohttp.ClientSession
    phone: SimulatedPhone
    password: str = PASSWORD

    async def post(self, body: str, **headers: str) -> tuple[int, etree._Element | None]:
        wanted = {
            "Authorization": encode_basic_auth("cisisk", self.password),
            "Content-Type": "application/x-www-form-urlencoded",
        }
        async with self.client.post(self.phone.web_url + EXECUTE, data=body, headers=wanted | headers) as response:
            document = await response.read()
            is_xml = response.content_type == "text/xml"
            return response.status, etree.fromstring(document) if is_xml else None

    async def send(self, *urls: str) -> list[tuple[str | None, str | None]] | str | None:
        """Return the URL and status of each item, or the number of the phone's error."""
        status, root = await self.post("XML=" + quote(execute(*urls)))
        assert status == 200
        assert root is not None
        if root.tag == "CiscoIPPhoneError":
            return root.get("Number")
        return [(item.get("URL"), item.get("Status")) for item in root.iterfind("ResponseItem")]


@pytest.fixture
async def phone(appliance: Appliance) -> AsyncIterator[SimulatedPhone]:
    async with phone_of(appliance) as running:
        await running.wait_for_boot(1, DEADLINE)
        yield running


@pytest.fixture
def administrator(client: aiohttp.ClientSession, phone: SimulatedPhone) -> Administrator:
    return Administrator(client, phone)


# Authentication


async def test_command_is_authenticated_before_execution(appliance: Appliance, administrator: Administrator) -> None:
    assert await administrator.send("Init:Services") == [("Init:Services", "0")]
    question = {"site": "1", "UserID": "cisisk", "Password": PASSWORD, "devicename": MAC.device_name}
    assert appliance.questions == [question]


async def test_command_with_wrong_credentials_is_refused(phone: SimulatedPhone, administrator: Administrator) -> None:
    phone.open_page = "http://127.0.0.1/menu"
    administrator.password = "wrong"
    assert await administrator.send("Init:Services") == "4"
    assert phone.open_page == "http://127.0.0.1/menu"


@pytest.mark.parametrize("header", ["", "Basic", "Basic !!!", "Basic bm9jb2xvbg==", "Bearer abc", "Basic /w=="])
async def test_command_without_credentials_gets_challenge(
    appliance: Appliance, administrator: Administrator, header: str
) -> None:
    status, _ = await administrator.post("XML=" + quote(execute("Init:Services")), Authorization=header)
    assert status == 401
    assert appliance.questions == []


@pytest.mark.parametrize("answer", [b"AUTHORIZED\n", b"authorized", b"UNAUTHORIZED", b"", b"AUTHORIZED" * 200])
async def test_authentication_answer_other_than_authorized_refuses(
    appliance: Appliance, administrator: Administrator, answer: bytes
) -> None:
    appliance.answer = answer
    assert await administrator.send("Init:Services") == "4"


async def test_failing_authentication_url_refuses(appliance: Appliance, administrator: Administrator) -> None:
    appliance.status = 500
    assert await administrator.send("Init:Services") == "4"


async def test_silent_authentication_url_refuses(appliance: Appliance, administrator: Administrator) -> None:
    appliance.may_answer.clear()
    assert await administrator.send("Init:Services") == "4"


async def test_blank_authentication_url_admits_every_client(
    appliance: Appliance, client: aiohttp.ClientSession
) -> None:
    appliance.authentication = None
    async with phone_of(appliance) as phone:
        await phone.wait_for_boot(1, DEADLINE)
        assert await Administrator(client, phone, "anything").send("Init:Services") == [("Init:Services", "0")]


@pytest.mark.parametrize("path", [":bad", "\\auth", "@/auth"])
async def test_closed_authentication_url_refuses(
    appliance: Appliance, client: aiohttp.ClientSession, path: str
) -> None:
    appliance.authentication = path
    async with phone_of(appliance) as phone:
        await phone.wait_for_boot(1, DEADLINE)
        assert await Administrator(client, phone).send("Init:Services") == "4"


async def test_authentication_url_comes_from_running_config(
    appliance: Appliance, phone: SimulatedPhone, administrator: Administrator
) -> None:
    appliance.authentication = None
    assert await administrator.send("Init:Services") == [("Init:Services", "0")]
    assert len(appliance.questions) == 1
    phone.restart("a test")
    await phone.wait_for_boot(2, DEADLINE)
    assert await administrator.send("Init:Services") == [("Init:Services", "0")]
    assert len(appliance.questions) == 1


async def test_phone_without_config_refuses_commands(appliance: Appliance, client: aiohttp.ClientSession) -> None:
    appliance.web_access = "<"  # invalid XML
    async with phone_of(appliance) as phone:
        await phone.wait_for_boot(1, DEADLINE)
        assert phone.config is None
        assert await Administrator(client, phone).send("Init:Services") == "4"


# Accepted commands


async def test_execute_returns_status_per_item(administrator: Administrator) -> None:
    answer = await administrator.send("Init:Services", "Init:Coffee", "Key:KeyPad1")
    assert answer == [("Init:Services", "0"), ("Init:Coffee", "6"), ("Key:KeyPad1", "0")]


async def test_execute_with_four_items_is_error(administrator: Administrator) -> None:
    assert await administrator.send(*["Init:Services"] * 4) == "1"


@pytest.mark.parametrize(
    "body",
    ["xml=" + quote(execute("Init:Services")), "XML=%3Cbroken", "", "XML"],
    ids=["field", "xml", "empty", "bare"],
)
async def test_execute_without_object_is_parse_error(administrator: Administrator, body: str) -> None:
    status, root = await administrator.post(body)
    assert status == 200
    assert root is not None
    assert (root.tag, root.get("Number")) == ("CiscoIPPhoneError", "1")


async def test_execute_ignores_content_type(administrator: Administrator) -> None:
    _, root = await administrator.post("XML=" + quote(execute("Init:Services")), **{"Content-Type": "application/xml"})
    assert root is not None
    assert root.tag == "CiscoIPPhoneResponse"


async def test_execute_with_huge_body_is_refused(administrator: Administrator) -> None:
    status, _ = await administrator.post("XML=" + "a" * 100_000)
    assert status == 413


@pytest.mark.parametrize(("path", "status"), [(EXECUTE, 405), ("/cgi/execute", 404), ("/", 404)])
async def test_undocumented_request_is_refused(
    phone: SimulatedPhone, client: aiohttp.ClientSession, path: str, status: int
) -> None:
    async with client.get(phone.web_url + path) as response:
        assert response.status == status


async def test_information_page_identifies_phone(phone: SimulatedPhone, client: aiohttp.ClientSession) -> None:
    async with client.get(phone.web_url + "/DeviceInformationX") as response:
        assert response.content_type == "text/xml"
        fields = {element.tag: element.text for element in etree.fromstring(await response.read())}
    assert fields == {
        "MACAddress": MAC.digits,
        "HostName": MAC.device_name,
        "phoneDN": "1001",
        "appLoadID": "SIP45.9-4-2SR3-1S",
        "versionID": "SIP45.9-4-2SR3-1S",
        "modelNumber": "CP-7965G",
    }


# Effects of commands


async def test_init_services_closes_open_page(phone: SimulatedPhone, administrator: Administrator) -> None:
    await administrator.send("http://127.0.0.1/menu")
    shown = [phone.open_page]
    await administrator.send("Init:Services")
    shown.append(phone.open_page)
    assert shown == ["http://127.0.0.1/menu", None]


async def test_init_restart_is_answered_before_restart(
    appliance: Appliance, phone: SimulatedPhone, administrator: Administrator
) -> None:
    before = phone.web_url
    answer = await administrator.send("http://127.0.0.1/menu", "Init:Restart")
    assert answer == [("http://127.0.0.1/menu", "0"), ("Init:Restart", "0")]
    await phone.wait_for_boot(2, DEADLINE)
    assert appliance.boots == 2
    assert phone.open_page is None
    assert phone.web_url == before
    assert await administrator.send("Init:Services") == [("Init:Services", "0")]


async def test_init_restart_on_model_without_it_is_refused(appliance: Appliance, client: aiohttp.ClientSession) -> None:
    async with phone_of(appliance, MODELS["8851"]) as phone:
        await phone.wait_for_boot(1, DEADLINE)
        assert await Administrator(client, phone).send("Init:Restart") == [("Init:Restart", "6")]
        assert phone.state is PhoneState.RUNNING
    assert appliance.boots == 1


async def test_web_server_is_closed_during_restart(appliance: Appliance, client: aiohttp.ClientSession) -> None:
    async with phone_of(appliance, timing=replace(QUICK, offline=3600.0)) as phone:
        await phone.wait_for_boot(1, DEADLINE)
        administrator = Administrator(client, phone)
        await administrator.send("Init:Restart")
        await phone.wait_until(lambda: phone.state is PhoneState.RESTARTING, DEADLINE, "is offline")
        with pytest.raises(aiohttp.ClientConnectorError):
            await administrator.send("Init:Services")


@pytest.mark.parametrize("model", [HTTP_MODEL, MODELS["9971"]], ids=["7965", "9971"])
async def test_key_macro_of_model_restarts_phone(
    appliance: Appliance, client: aiohttp.ClientSession, model: PhoneModel
) -> None:
    async with phone_of(appliance, model) as phone:
        await phone.wait_for_boot(1, DEADLINE)
        administrator = Administrator(client, phone)
        for key in model.restart_keys:
            assert appliance.boots == 1
            assert await administrator.send(f"Key:{key}") == [(f"Key:{key}", "0")]
        await phone.wait_for_boot(2, DEADLINE)


async def press_macro(administrator: Administrator) -> None:
    for key in HTTP_MODEL.restart_keys:
        assert await administrator.send(f"Key:{key}") == [(f"Key:{key}", "0")]


@pytest.mark.parametrize(("settings_access", "in_call"), [("0", False), ("", False), ("1", True)])
async def test_key_macro_without_effect_fails_silently(
    appliance: Appliance, client: aiohttp.ClientSession, settings_access: str, in_call: bool
) -> None:
    appliance.settings_access = settings_access
    heard: list[str] = []
    async with phone_of(appliance, on_event=lambda _, text: heard.append(text)) as phone:
        await phone.wait_for_boot(1, DEADLINE)
        phone.in_call = in_call
        await press_macro(Administrator(client, phone))
        phone.in_call = False
        assert phone.state is PhoneState.RUNNING
    assert not [text for text in heard if "restart" in text]


async def test_restart_during_call_waits_for_its_end(
    appliance: Appliance, phone: SimulatedPhone, administrator: Administrator
) -> None:
    phone.in_call = True
    assert await administrator.send("Init:Restart") == [("Init:Restart", "0")]
    assert await administrator.send("Init:Services") == [("Init:Services", "0")]
    assert appliance.boots == 1
    phone.in_call = False
    await phone.wait_for_boot(2, DEADLINE)
    assert appliance.boots == 2


# Failures


async def test_web_access_disabled_closes_port(appliance: Appliance, phone: SimulatedPhone) -> None:
    appliance.web_access = "1"
    port = int(phone.web_url.rpartition(":")[2])
    phone.restart("a test")
    await phone.wait_for_boot(2, DEADLINE)
    with socket.socket() as sock:
        assert sock.connect_ex((PHONE, port)) != 0


async def test_web_access_read_only_shows_pages_only(appliance: Appliance, client: aiohttp.ClientSession) -> None:
    appliance.web_access = "2"
    async with phone_of(appliance) as phone:
        await phone.wait_for_boot(1, DEADLINE)
        async with client.get(phone.web_url + "/DeviceInformationX") as response:
            assert response.status == 200
        assert (await Administrator(client, phone).post("XML=" + quote(execute("Init:Restart"))))[0] == 403


async def test_fault_refuse_restart_refuses_restart(appliance: Appliance, client: aiohttp.ClientSession) -> None:
    async with phone_of(appliance, faults=Faults(refuse_restart=True)) as phone:
        await phone.wait_for_boot(1, DEADLINE)
        administrator = Administrator(client, phone)
        assert await administrator.send("Init:Restart") == [("Init:Restart", "6")]
        await press_macro(administrator)
        assert phone.state is PhoneState.RUNNING
    assert appliance.boots == 1


async def test_fault_never_fetch_restarts_without_fetch(appliance: Appliance, client: aiohttp.ClientSession) -> None:
    async with phone_of(appliance, faults=Faults(never_fetch=True)) as phone:
        await phone.wait_for_boot(1, DEADLINE)
        await Administrator(client, phone).send("Init:Restart")
        await phone.wait_for_boot(2, DEADLINE)
        assert phone.boots[1].attempts == ()
    assert appliance.boots == 1


async def test_fault_web_off_closes_port(appliance: Appliance) -> None:
    with socket.create_server((PHONE, 0)) as taken:
        port = int(taken.getsockname()[1])
    async with phone_of(appliance, faults=Faults(web_off=True), web_port=port) as phone:
        await phone.wait_for_boot(1, DEADLINE)
        with socket.socket() as sock:
            assert sock.connect_ex((PHONE, port)) != 0


async def test_fault_silent_executes_and_answers_nothing(appliance: Appliance, client: aiohttp.ClientSession) -> None:
    phone = phone_of(appliance, faults=Faults(silent=True))
    async with phone:
        await phone.wait_for_boot(1, DEADLINE)
        phone.open_page = "http://127.0.0.1/menu"
        sent = asyncio.create_task(Administrator(client, phone).send("Init:Restart"))
        done, _ = await asyncio.wait([sent], timeout=0.2)
        assert not done
    with pytest.raises(aiohttp.ClientConnectionError):
        await sent
    assert appliance.questions == []


async def test_fault_slow_answers_late(appliance: Appliance, client: aiohttp.ClientSession) -> None:
    async with phone_of(appliance, faults=Faults(slow_web=0.2)) as phone:
        await phone.wait_for_boot(1, DEADLINE)
        before = asyncio.get_running_loop().time()
        assert await Administrator(client, phone).send("Init:Services") == [("Init:Services", "0")]
        assert asyncio.get_running_loop().time() - before >= 0.2


async def test_restart_continues_after_client_disconnects(appliance: Appliance, phone: SimulatedPhone) -> None:
    appliance.may_answer.clear()
    body = "XML=" + quote(execute("Init:Restart"))
    address, port = phone.web_url.removeprefix("http://").split(":")
    _, writer = await asyncio.open_connection(address, int(port))
    writer.write(
        f"POST {EXECUTE} HTTP/1.1\r\nHost: phone\r\nContent-Length: {len(body)}\r\n"
        f"Authorization: {encode_basic_auth('cisisk', PASSWORD)}\r\n\r\n{body}".encode()
    )
    async with asyncio.timeout(DEADLINE):
        await appliance.asked.wait()
        writer.close()
        await writer.wait_closed()
    appliance.may_answer.set()
    await phone.wait_for_boot(2, DEADLINE)
    assert appliance.boots == 2
