"""The Extension Mobility API of Cisco's call manager, for applications written for the original."""

import asyncio
import logging
import re
from pathlib import Path
from typing import Any
from unittest.mock import AsyncMock, Mock
from urllib.parse import quote
from xml.sax.saxutils import escape

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from lxml import etree

from cisisk.api import context
from cisisk.api.emservice import servlet
from cisisk.api.emservice.failures import FAILURES, UNKNOWN
from cisisk.config import Settings
from cisisk.identity.accounts import Accounts
from cisisk.mobility.phone_logins import PhoneLogins
from cisisk.model.errors import CisiskError, Conflict, NotFound, StorageFailed
from cisisk.model.user import User
from cisisk.store.database import Database
from tests.api.client import CONFIG, PASSWORD, Answer, Site
from tests.api.client import UNKNOWN as UNKNOWN_UUID
from tests.api.client import user as body_of_user
from tests.api.conftest import SiteWith
from tests.patience import PATIENCE

PAGE = (Path(__file__).parents[2] / "docs" / "administration" / "hot-desk.md").read_text("utf-8")
PATH = "/emservice/EMServiceServlet"
FORM = "application/x-www-form-urlencoded"
SUCCESS = "<success/>"
WRONG = "s3ntinel"

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.fixture
def site(shared_site: Site) -> Site:
    return shared_site


def app_info(name: str = "admin", password: str = PASSWORD) -> str:
    return f"<appInfo><appID>{name}</appID><appCertificate>{escape(password)}</appCertificate></appInfo>"


def request(what: str, **app: str) -> str:
    return f"<request>{app_info(**app)}{what}</request>"


def query(what: str, **app: str) -> str:
    return f"<query>{app_info(**app)}{what}</query>"


def login(mac: str, username: str, more: str = "") -> str:
    return request(f"<login><deviceName>{device(mac)}</deviceName><userID>{username}</userID>{more}</login>")


def logout(mac: str) -> str:
    return request(f"<logout><deviceName>{device(mac)}</deviceName></logout>")


def device(mac: str) -> str:
    return f"SEP{mac.replace(':', '')}"


async def send(site: Site, content: str, *, content_type: str = FORM, method: str = "POST") -> Answer:
    """Send a body unchanged."""
    url, headers = site.running.api_url + PATH, {"Content-Type": content_type}
    async with site.admin.session.request(method, url, data=content.encode(), headers=headers) as response:
        return Answer(response.status, response.headers, await response.read())


async def ask(site: Site, message: str) -> str:
    """Send a message and return the content of the response element."""
    answer = await send(site, f"xml={quote(message)}")
    assert (answer.status, answer.headers["Content-Type"]) == (200, "text/xml; charset=utf-8")
    assert answer.headers["Cache-Control"] == "no-store"
    text = answer.content.decode("ascii")
    assert etree.fromstring(text).tag == "response"
    return text.removeprefix("<response>").removesuffix("</response>")


def failed(code: int) -> str:
    row = next(row for row in (*FAILURES.values(), UNKNOWN) if row.code == code)
    return f'<failure><error code="{row.code}">{row.text}</error></failure>'


async def new_phone(site: Site, **more: object) -> str:
    mac = site.mac()
    assert (await site.admin.post("/phones", {"mac": mac, **more})).status == 201
    return mac


async def new_user(site: Site, *profiles: str, **more: object) -> str:
    """Create a user with profiles of these names; return the username."""
    name = site.name()
    uuid = await site.admin.new_user(name, **more)
    for profile in profiles:
        await site.admin.new_profile(uuid, name=profile, cnf_xml=CONFIG.replace("101", f"{name}-{profile}"))
    return name


async def profiles_of(site: Site, username: str) -> dict[str, dict[str, str]]:
    """Return the profiles of a user by name."""
    uuid = (await site.admin.get(f"/users?q={username}@example.com")).data[0]["uuid"]
    rows = (await site.admin.get("/phone-profiles?limit=500")).data
    return {row["name"]: row for row in rows if row["user_uuid"] == uuid}


async def user_of(site: Site, mac: str) -> str:
    found = await ask(site, query(f"<deviceUserQuery><deviceName>{device(mac)}</deviceName></deviceUserQuery>"))
    return etree.fromstring(found).findtext("device/userID", "none")


async def test_application_logs_user_in_and_out(site: Site) -> None:
    mac, anna = await new_phone(site, model="CP-7942G"), "anna@example.org"
    uuid = str((await site.admin.post("/users", {**body_of_user("anna"), "username": anna})).data["uuid"])
    await site.admin.new_profile(uuid, name="Desk & door", cnf_xml=CONFIG.replace("101", "201"))

    encoded = "anna%40example.org"
    assert await ask(site, query(f"<userDevicesQuery><userID>{anna}</userID></userDevicesQuery>")) == (
        f'<userDevicesResults><user id="{encoded}"><none/></user></userDevicesResults>'
    )
    wanted = "<deviceProfile>Desk &amp; door</deviceProfile><exclusiveDuration><time>60</time></exclusiveDuration>"
    assert await ask(site, login(mac, encoded, wanted)) == SUCCESS
    assert b"201" in site.served(mac).read_bytes()
    assert await ask(site, query(f"<deviceUserQuery><deviceName>{device(mac)}</deviceName></deviceUserQuery>")) == (
        f'<deviceUserResults><device name="{device(mac)}"><userID>{encoded}</userID><lastlogin>{encoded}</lastlogin>'
        "<emccDevice>no</emccDevice></device></deviceUserResults>"
    )
    assert await ask(site, query(f"<userDevicesQuery><userID>{encoded}</userID></userDevicesQuery>")) == (
        f'<userDevicesResults><user id="{encoded}"><deviceName>{device(mac)}</deviceName></user></userDevicesResults>'
    )
    (login_row,) = (await site.admin.get("/phone-logins?q=anna@example.org")).data
    assert (login_row["mac"], login_row["username"], login_row["way"]) == (mac, anna, "emapi")
    assert login_row["until"] is not None

    assert await ask(site, logout(mac)) == SUCCESS
    assert await user_of(site, mac) == "none"
    assert await ask(site, query(f"<deviceUserQuery><deviceName>{device(mac)}</deviceName></deviceUserQuery>")) == (
        f'<deviceUserResults><device name="{device(mac)}"><none/><lastlogin>{encoded}</lastlogin>'
        "<emccDevice>no</emccDevice></device></deviceUserResults>"
    )
    (gone,) = (await site.admin.get("/phone-logins?history=true&q=anna@example.org")).data
    assert gone["reason"] == "application"
    assert await ask(site, logout(mac)) == failed(19)
    rows = [row for row in await site.admin.whole_audit_log() if row["entity_uuid"] == mac]
    assert {row["action"]: row["user_uuid"] for row in rows if row["action"].startswith("phone_login.")} == {
        "phone_login.begun": site.admin_uuid,
        "phone_login.ended": site.admin_uuid,
    }


async def test_login_without_profile_or_duration_uses_defaults(site: Site) -> None:
    for more in ("", "<exclusiveDuration><indefinite/></exclusiveDuration>", "<deviceProfile/>"):
        mac, name = await new_phone(site), await new_user(site, "Desk")
        assert await ask(site, login(mac, name, more)) == SUCCESS
        (login_row,) = (await site.admin.get(f"/phone-logins?q={name}")).data
        assert (login_row["profile_name"], login_row["until"]) == ("Desk", None)


async def test_login_finds_profile_by_name_or_uuid(site: Site) -> None:
    name = await new_user(site, "Front", "Back")
    uuids = {profile: row["uuid"] for profile, row in (await profiles_of(site, name)).items()}
    mac = await new_phone(site)
    for wanted, profile in {
        "Back": "Back",
        "front": "Front",
        uuids["Back"]: "Back",
        uuids["Front"].upper(): "Front",
    }.items():
        assert await ask(site, login(mac, name, f"<deviceProfile>{wanted}</deviceProfile>")) == SUCCESS
        (login_row,) = (await site.admin.get(f"/phone-logins?q={name}")).data
        assert login_row["profile_name"] == profile


async def test_queries_accept_several_users_and_phones(site: Site) -> None:
    one, other = await new_phone(site), await new_phone(site)
    anna, ben = await new_user(site, "A", "B"), await new_user(site)
    assert await ask(site, login(one, anna)) == SUCCESS
    devices = "".join(f"<deviceName>{name}</deviceName>" for name in (device(one), device(other), "SEP&lt;", "x"))
    found = etree.fromstring(await ask(site, query(f"<deviceUserQuery>{devices}</deviceUserQuery>")))
    assert [(each.get("name"), [child.tag for child in each]) for each in found] == [
        (device(one), ["userID", "lastlogin", "emccDevice"]),
        (device(other), ["none", "none", "emccDevice"]),
        ("SEP<", ["doesNotExist"]),
        ("x", ["doesNotExist"]),
    ]
    people = "".join(f"<userID>{name}</userID>" for name in (ben, "unknown", anna))
    found = etree.fromstring(await ask(site, query(f"<userDevicesQuery>{people}</userDevicesQuery>")))
    assert [(each.get("id"), [child.tag for child in each]) for each in found] == [
        (ben, ["none"]),
        ("unknown", ["doesNotExist"]),
        (anna, ["deviceName"]),
    ]
    found = etree.fromstring(await ask(site, query(f"<checkUser>{people}</checkUser>")))
    assert [child.tag for each in found for child in each] == ["exists", "doesNotExist", "exists"]
    found = etree.fromstring(await ask(site, query(f"<deviceProfileQuery>{people}</deviceProfileQuery>")))
    assert [each.findtext("failure/error") for each in found] == ["Dev. Profile not found", "User not found", None]
    assert [name.text for name in found.iter("deviceProfileName")] == ["A", "B"]


async def test_profile_query_marks_default_profile(site: Site) -> None:
    name = await new_user(site, "A", "B")
    profile = (await profiles_of(site, name))["B"]
    uuid, owner = profile["uuid"], profile["user_uuid"]
    put = {"default_profiles": [{"model": "CP-7942G", "profile_uuid": uuid}]}
    assert (await site.admin.put(f"/users/{owner}/default-profiles", put)).status == 200
    for tag in ("deviceProfileQuery", "userDeviceProfileQuery"):
        found = etree.fromstring(await ask(site, query(f"<{tag}><userID>{name}</userID></{tag}>")))
        assert found.tag == "deviceProfileResults"
        pairs = [(each[0].text, each[1].text) for each in found.iter("deviceProfile")]
        assert pairs == [("A", "f"), ("B", "t")]


async def test_device_type_query_returns_model(site: Site) -> None:
    known, unknown = await new_phone(site, model="CP-8845"), await new_phone(site)
    names = "".join(f"<deviceName>{name}</deviceName>" for name in (device(known), device(unknown), "x"))
    found = etree.fromstring(await ask(site, query(f"<checkDeviceType>{names}</checkDeviceType>")))
    assert [(each[0].tag, each[0].text) for each in found] == [
        ("deviceType", "CP-8845"),
        ("none", None),
        ("doesNotExist", None),
    ]


async def test_logout_all_ends_logins_of_one_or_all_users(site_with: SiteWith) -> None:
    async with site_with(phone_login={"multiple": "allow"}) as site:
        phones = [await new_phone(site) for _ in range(3)]
        anna, ben = await new_user(site, "Desk"), await new_user(site, "Desk")
        for mac, name in zip(phones, (anna, anna, ben), strict=True):
            assert await ask(site, login(mac, name)) == SUCCESS
        assert await ask(site, request(f"<logoutAll><userID>{anna}</userID></logoutAll>")) == SUCCESS
        assert [await user_of(site, mac) for mac in phones] == ["none", "none", ben]
        assert await ask(site, login(phones[0], anna)) == SUCCESS
        assert await ask(site, request("<logoutAll/>")) == SUCCESS
        assert [await user_of(site, mac) for mac in phones] == ["none"] * 3
        assert await ask(site, request("<logoutAll/>")) == SUCCESS
        reasons = {row["reason"] for row in (await site.admin.get("/phone-logins?history=true")).data}
        assert reasons == {"application"}
        assert await ask(site, request("<logoutAll><userID>unknown</userID></logoutAll>")) == failed(23)


async def test_login_with_takeover_ends_other_login(site_with: SiteWith) -> None:
    async with site_with(phone_login={"multiple": "take_over"}) as site:
        one, other, name = await new_phone(site), await new_phone(site), await new_user(site, "Desk")
        assert await ask(site, login(one, name)) == SUCCESS
        assert await ask(site, login(other, name)) == SUCCESS
        async with asyncio.timeout(PATIENCE):
            while await user_of(site, one) != "none":
                continue
        assert await user_of(site, other) == name


async def test_message_in_url_is_refused(site: Site) -> None:
    """The original API accepts messages in queries too."""
    message = quote(query("<checkUser><userID>admin</userID></checkUser>"))
    url = f"{site.running.api_url}{PATH}?xml={message}"
    async with site.admin.session.get(url) as answer:
        assert answer.status == 405
    async with site.admin.session.post(url, data={"xml": "hello"}) as answer:
        assert await answer.text() == f"<response>{failed(1)}</response>"


@pytest.mark.needs("bash", "curl")
async def test_em_api_example_succeeds_as_pasted(site: Site) -> None:
    mac, name = await new_phone(site), await new_user(site, "Front desk")
    (example,) = re.findall(r"^```sh\n(curl [^`]*EMServiceServlet.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    script = example.replace("http://192.0.2.5:8080", site.running.api_url).replace("the printed one", PASSWORD)
    script = script.replace("SEPAABBCCDDEE01", device(mac)).replace("anna", name)
    shell = await asyncio.create_subprocess_exec(
        "bash", "-e", "-c", script, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    output = (await shell.communicate())[0].decode()
    assert (shell.returncode, output) == (0, "<response><success/></response>")
    assert await user_of(site, mac) == name


# Refusals


@pytest.mark.parametrize(
    "content",
    [
        "",
        "xml=",
        "xml=hello",
        "nothing=" + quote(request("<logoutAll/>")),
        f"xml={quote(request('<logoutAll/>'))}&xml={quote(request('<logoutAll/>'))}",
        "xml=%FF",
        "&".join(["a=b"] * 20),
        "xml=" + quote(f"<!DOCTYPE request>{request('<logoutAll/>')}"),
        "xml=" + "a" * 70_000,
        "xml=" + "a" * 400_000,
    ],
)
async def test_code_1_for_invalid_message(site: Site, content: str) -> None:
    answer = await send(site, content)
    assert (answer.status, answer.content.decode()) == (200, f"<response>{failed(1)}</response>")


async def test_code_1_for_invalid_content_type(site: Site) -> None:
    for content_type in ("text/xml", "application/json", "multipart/form-data; boundary=x", ""):
        answer = await send(site, f"xml={quote(request('<logoutAll/>'))}", content_type=content_type)
        assert (answer.status, answer.content.decode()) == (200, f"<response>{failed(1)}</response>")


async def test_code_3_for_every_failed_authentication(site_with: SiteWith) -> None:
    async with site_with() as site:
        gone = await new_user(site, is_active=False)
        answers = {
            await ask(site, request("<logoutAll/>", name=name, password=password))
            for name, password in (("admin", WRONG), ("unknown", WRONG), ("admin", ""), ("", ""), (gone, PASSWORD))
        }
        assert answers == {failed(3)}


async def test_code_3_for_encrypted_certificate(site_with: SiteWith) -> None:
    async with site_with() as site:
        encrypted = app_info().replace("appCertificate", "appEncryptedCertificate")
        assert await ask(site, f"<request>{encrypted}<logoutAll/></request>") == failed(3)


@pytest.mark.wording
async def test_unauthenticated_requests_are_not_logged(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        await send(site, "xml=" + quote(f"<request>{app_info(password=WRONG)}<s3ntinel/></request>"))
        assert "Extension Mobility" not in caplog.text
        assert await ask(site, logout(site.mac())) == failed(11)
        assert "code=11 reason='The phone is not in the inventory'" in caplog.text
    assert WRONG not in caplog.text


async def test_code_8_for_unknown_query(site: Site) -> None:
    assert await ask(site, query("<whoIsThere/>")) == failed(8)


async def test_code_9_for_deactivated_user(site: Site) -> None:
    mac, name = await new_phone(site), await new_user(site, "Desk", is_active=False)
    assert await ask(site, login(mac, name)) == failed(9)


async def test_code_10_without_permission_level_0(site: Site) -> None:
    _, clerk = await site.new_clerk(5)
    assert await ask(site, request("<logoutAll/>", name=clerk)) == failed(10)
    assert await ask(site, query("<checkUser><userID>admin</userID></checkUser>", name=clerk)) == failed(10)


async def test_code_11_for_unknown_phone(site: Site) -> None:
    name = await new_user(site, "Desk")
    for mac in (site.mac(), "nothing"):
        assert await ask(site, login(mac, name)) == failed(11)
        assert await ask(site, logout(mac)) == failed(11)


async def test_code_12_without_compatible_profile(site: Site) -> None:
    mac, name = await new_phone(site, model="CP-8845"), await new_user(site)
    assert await ask(site, login(mac, name)) == failed(12)
    uuid = (await site.admin.get(f"/users?q={name}@example.com")).data[0]["uuid"]
    await site.admin.new_profile(uuid, name="Old", compatible_models=["7942"])
    for more in ("", "<deviceProfile>Old</deviceProfile>", "<deviceProfile>None</deviceProfile>"):
        assert await ask(site, login(mac, name, more)) == failed(12)


async def test_code_18_for_phone_with_other_user(site: Site) -> None:
    mac, anna, ben = await new_phone(site), await new_user(site, "Desk"), await new_user(site, "Desk", "Door")
    assert await ask(site, login(mac, ben)) == SUCCESS
    assert await ask(site, login(mac, anna)) == failed(18)
    assert await user_of(site, mac) == ben
    # The same user may choose another profile.
    assert await ask(site, login(mac, ben, "<deviceProfile>Door</deviceProfile>")) == SUCCESS


async def test_code_19_for_phone_without_user(site: Site) -> None:
    assert await ask(site, logout(await new_phone(site))) == failed(19)


async def test_code_22_for_inactive_phone(site: Site) -> None:
    mac, name = await new_phone(site, is_active=False), await new_user(site, "Desk")
    assert await ask(site, login(mac, name)) == failed(22)


async def test_code_23_for_unknown_user(site: Site) -> None:
    assert await ask(site, login(await new_phone(site), "unknown")) == failed(23)


async def test_code_25_for_user_on_other_phone(site: Site) -> None:
    one, other, name = await new_phone(site), await new_phone(site), await new_user(site, "Desk")
    assert await ask(site, login(one, name)) == SUCCESS
    assert await ask(site, login(other, name)) == failed(25)
    assert await user_of(site, one) == name


async def test_code_26_after_wrong_passwords_throttles_api_too(site_with: SiteWith) -> None:
    async with site_with() as site:
        for _ in range(5):
            assert await ask(site, request("<logoutAll/>", password=WRONG)) == failed(3)
        assert await ask(site, request("<logoutAll/>")) == failed(26)
        throttled = await site.anonymous.post("/auth/login", {"username": "admin", "password": PASSWORD})
        assert throttled.status == 429


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (RuntimeError("broken"), 0),
        (CisiskError("never heard of"), 0),
        (Conflict("The phone is in a call"), 4),
        (StorageFailed("The disk is full"), 6),
        (NotFound("Profile not found"), 12),
    ],
)
async def test_internal_failure_has_code_and_log_line(
    error: Exception, code: int, caplog: pytest.LogCaptureFixture
) -> None:
    """Use mocks that fail with ``error``."""
    accounts, logins = AsyncMock(Accounts), AsyncMock(PhoneLogins)
    accounts.authenticate_administrator.return_value = Mock(User, uuid=UNKNOWN_UUID), "hash"
    logins.page.side_effect = error
    parts: dict[web.AppKey[Any], Any] = {
        context.ACCOUNTS: accounts,
        context.PHONE_LOGINS: logins,
        context.DATABASE: Mock(Database),
        context.SETTINGS: Settings(),
    }
    app = servlet.application(parts)
    with caplog.at_level(logging.INFO):
        async with TestClient(TestServer(app)) as client:
            answer = await client.post(servlet.PATH, data={"xml": request("<logoutAll/>", password=WRONG)})
            assert (answer.status, await answer.text()) == (200, f"<response>{failed(code)}</response>")
    assert str(error) in caplog.text
    assert WRONG not in caplog.text
