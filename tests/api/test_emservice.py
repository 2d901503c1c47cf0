"""The call manager's Extension Mobility API, as the applications that were written for the original use it."""

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
    """Whatever is in the body, as it stands."""
    url, headers = site.running.api_url + PATH, {"Content-Type": content_type}
    async with site.admin.session.request(method, url, data=content.encode(), headers=headers) as response:
        return Answer(response.status, response.headers, await response.read())


async def ask(site: Site, message: str) -> str:
    """What stands in the response."""
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


async def new_person(site: Site, *profiles: str, **more: object) -> str:
    """The name of a user with profiles of these names."""
    name = site.name()
    uuid = await site.admin.new_user(name, **more)
    for profile in profiles:
        await site.admin.new_profile(uuid, name=profile, cnf_xml=CONFIG.replace("101", f"{name}-{profile}"))
    return name


async def profiles_of(site: Site, username: str) -> dict[str, dict[str, str]]:
    """The profiles of a user, by name."""
    uuid = (await site.admin.get(f"/users?q={username}@example.com")).data[0]["uuid"]
    rows = (await site.admin.get("/phone-profiles?limit=500")).data
    return {row["name"]: row for row in rows if row["user_uuid"] == uuid}


async def user_of(site: Site, mac: str) -> str:
    found = await ask(site, query(f"<deviceUserQuery><deviceName>{device(mac)}</deviceName></deviceUserQuery>"))
    return etree.fromstring(found).findtext("device/userID", "nobody")


async def test_a_day_of_a_hot_desk_application(site: Site) -> None:
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
    (there,) = (await site.admin.get("/phone-logins?q=anna@example.org")).data
    assert (there["mac"], there["username"], there["way"]) == (mac, anna, "emapi")
    assert there["until"] is not None

    assert await ask(site, logout(mac)) == SUCCESS
    assert await user_of(site, mac) == "nobody"
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


async def test_a_login_without_profile_or_duration_takes_the_first_and_lasts_as_the_settings_say(site: Site) -> None:
    for more in ("", "<exclusiveDuration><indefinite/></exclusiveDuration>", "<deviceProfile/>"):
        mac, name = await new_phone(site), await new_person(site, "Desk")
        assert await ask(site, login(mac, name, more)) == SUCCESS
        (there,) = (await site.admin.get(f"/phone-logins?q={name}")).data
        assert (there["profile_name"], there["until"]) == ("Desk", None)


async def test_a_profile_goes_by_its_name_in_any_case_of_letters_or_by_its_uuid(site: Site) -> None:
    name = await new_person(site, "Front", "Back")
    uuids = {profile: row["uuid"] for profile, row in (await profiles_of(site, name)).items()}
    mac = await new_phone(site)
    for wanted, profile in {
        "Back": "Back",
        "front": "Front",
        uuids["Back"]: "Back",
        uuids["Front"].upper(): "Front",
    }.items():
        assert await ask(site, login(mac, name, f"<deviceProfile>{wanted}</deviceProfile>")) == SUCCESS
        (there,) = (await site.admin.get(f"/phone-logins?q={name}")).data
        assert there["profile_name"] == profile


async def test_several_users_and_phones_are_asked_about_at_once(site: Site) -> None:
    one, other = await new_phone(site), await new_phone(site)
    anna, ben = await new_person(site, "A", "B"), await new_person(site)
    assert await ask(site, login(one, anna)) == SUCCESS
    devices = "".join(f"<deviceName>{name}</deviceName>" for name in (device(one), device(other), "SEP&lt;", "x"))
    found = etree.fromstring(await ask(site, query(f"<deviceUserQuery>{devices}</deviceUserQuery>")))
    assert [(each.get("name"), [child.tag for child in each]) for each in found] == [
        (device(one), ["userID", "lastlogin", "emccDevice"]),
        (device(other), ["none", "none", "emccDevice"]),
        ("SEP<", ["doesNotExist"]),
        ("x", ["doesNotExist"]),
    ]
    people = "".join(f"<userID>{name}</userID>" for name in (ben, "nobody", anna))
    found = etree.fromstring(await ask(site, query(f"<userDevicesQuery>{people}</userDevicesQuery>")))
    assert [(each.get("id"), [child.tag for child in each]) for each in found] == [
        (ben, ["none"]),
        ("nobody", ["doesNotExist"]),
        (anna, ["deviceName"]),
    ]
    found = etree.fromstring(await ask(site, query(f"<checkUser>{people}</checkUser>")))
    assert [child.tag for each in found for child in each] == ["exists", "doesNotExist", "exists"]
    found = etree.fromstring(await ask(site, query(f"<deviceProfileQuery>{people}</deviceProfileQuery>")))
    assert [each.findtext("failure/error") for each in found] == ["Dev. Profile not found", "User not found", None]
    assert [name.text for name in found.iter("deviceProfileName")] == ["A", "B"]


async def test_the_profile_that_comes_first_on_some_model_is_the_default(site: Site) -> None:
    name = await new_person(site, "A", "B")
    profile = (await profiles_of(site, name))["B"]
    uuid, owner = profile["uuid"], profile["user_uuid"]
    put = {"default_profiles": [{"model": "CP-7942G", "profile_uuid": uuid}]}
    assert (await site.admin.put(f"/users/{owner}/default-profiles", put)).status == 200
    for tag in ("deviceProfileQuery", "userDeviceProfileQuery"):
        found = etree.fromstring(await ask(site, query(f"<{tag}><userID>{name}</userID></{tag}>")))
        assert found.tag == "deviceProfileResults"
        pairs = [(each[0].text, each[1].text) for each in found.iter("deviceProfile")]
        assert pairs == [("A", "f"), ("B", "t")]


async def test_the_model_of_a_phone_is_told(site: Site) -> None:
    known, unknown = await new_phone(site, model="CP-8845"), await new_phone(site)
    names = "".join(f"<deviceName>{name}</deviceName>" for name in (device(known), device(unknown), "x"))
    found = etree.fromstring(await ask(site, query(f"<checkDeviceType>{names}</checkDeviceType>")))
    assert [(each[0].tag, each[0].text) for each in found] == [
        ("deviceType", "CP-8845"),
        ("none", None),
        ("doesNotExist", None),
    ]


async def test_one_user_or_everybody_is_logged_out_everywhere(site_with: SiteWith) -> None:
    async with site_with(phone_login={"multiple": "allow"}) as site:
        phones = [await new_phone(site) for _ in range(3)]
        anna, ben = await new_person(site, "Desk"), await new_person(site, "Desk")
        for mac, name in zip(phones, (anna, anna, ben), strict=True):
            assert await ask(site, login(mac, name)) == SUCCESS
        assert await ask(site, request(f"<logoutAll><userID>{anna}</userID></logoutAll>")) == SUCCESS
        assert [await user_of(site, mac) for mac in phones] == ["nobody", "nobody", ben]
        assert await ask(site, login(phones[0], anna)) == SUCCESS
        assert await ask(site, request("<logoutAll/>")) == SUCCESS
        assert [await user_of(site, mac) for mac in phones] == ["nobody"] * 3
        assert await ask(site, request("<logoutAll/>")) == SUCCESS
        reasons = {row["reason"] for row in (await site.admin.get("/phone-logins?history=true")).data}
        assert reasons == {"application"}
        assert await ask(site, request("<logoutAll><userID>nobody</userID></logoutAll>")) == failed(23)


async def test_where_a_user_may_take_over_an_application_confirms_it_by_asking(site_with: SiteWith) -> None:
    async with site_with(phone_login={"multiple": "take_over"}) as site:
        one, other, name = await new_phone(site), await new_phone(site), await new_person(site, "Desk")
        assert await ask(site, login(one, name)) == SUCCESS
        assert await ask(site, login(other, name)) == SUCCESS
        async with asyncio.timeout(PATIENCE):
            while await user_of(site, one) != "nobody":
                continue
        assert await user_of(site, other) == name


async def test_a_password_in_a_url_is_not_taken(site: Site) -> None:
    """The original takes messages from queries too."""
    message = quote(query("<checkUser><userID>admin</userID></checkUser>"))
    url = f"{site.running.api_url}{PATH}?xml={message}"
    async with site.admin.session.get(url) as answer:
        assert answer.status == 405
    async with site.admin.session.post(url, data={"xml": "hello"}) as answer:
        assert await answer.text() == f"<response>{failed(1)}</response>"


@pytest.mark.needs("bash", "curl")
async def test_em_api_example_works_as_it_is_pasted(site: Site) -> None:
    mac, name = await new_phone(site), await new_person(site, "Front desk")
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
async def test_1_what_is_no_message_cannot_be_parsed(site: Site, content: str) -> None:
    answer = await send(site, content)
    assert (answer.status, answer.content.decode()) == (200, f"<response>{failed(1)}</response>")


async def test_1_what_is_no_form_cannot_be_parsed(site: Site) -> None:
    for content_type in ("text/xml", "application/json", "multipart/form-data; boundary=x", ""):
        answer = await send(site, f"xml={quote(request('<logoutAll/>'))}", content_type=content_type)
        assert (answer.status, answer.content.decode()) == (200, f"<response>{failed(1)}</response>")


async def test_3_an_unknown_user_a_wrong_password_and_none_are_told_the_same(site_with: SiteWith) -> None:
    async with site_with() as site:
        gone = await new_person(site, is_active=False)
        answers = {
            await ask(site, request("<logoutAll/>", name=name, password=password))
            for name, password in (("admin", WRONG), ("nobody", WRONG), ("admin", ""), ("", ""), (gone, PASSWORD))
        }
        assert answers == {failed(3)}


async def test_3_the_certificate_of_a_call_manager_is_nobodys_password(site_with: SiteWith) -> None:
    async with site_with() as site:
        encrypted = app_info().replace("appCertificate", "appEncryptedCertificate")
        assert await ask(site, f"<request>{encrypted}<logoutAll/></request>") == failed(3)


@pytest.mark.wording
async def test_strangers_do_not_fill_the_log(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        await send(site, "xml=" + quote(f"<request>{app_info(password=WRONG)}<s3ntinel/></request>"))
        assert "Extension Mobility" not in caplog.text
        assert await ask(site, logout(site.mac())) == failed(11)
        assert "code=11 reason='The phone is not in the inventory'" in caplog.text
    assert WRONG not in caplog.text


async def test_8_a_query_that_is_none_of_them_is_called_that(site: Site) -> None:
    assert await ask(site, query("<whoIsThere/>")) == failed(8)


async def test_9_a_deactivated_user_does_not_come_onto_a_phone(site: Site) -> None:
    mac, name = await new_phone(site), await new_person(site, "Desk", is_active=False)
    assert await ask(site, login(mac, name)) == failed(9)


async def test_10_an_application_needs_permission_level_0(site: Site) -> None:
    _, clerk = await site.new_clerk(5)
    assert await ask(site, request("<logoutAll/>", name=clerk)) == failed(10)
    assert await ask(site, query("<checkUser><userID>admin</userID></checkUser>", name=clerk)) == failed(10)


async def test_11_a_phone_has_to_be_in_the_inventory(site: Site) -> None:
    name = await new_person(site, "Desk")
    for mac in (site.mac(), "nothing"):
        assert await ask(site, login(mac, name)) == failed(11)
        assert await ask(site, logout(mac)) == failed(11)


async def test_12_a_profile_has_to_be_there_and_to_fit(site: Site) -> None:
    mac, name = await new_phone(site, model="CP-8845"), await new_person(site)
    assert await ask(site, login(mac, name)) == failed(12)
    uuid = (await site.admin.get(f"/users?q={name}@example.com")).data[0]["uuid"]
    await site.admin.new_profile(uuid, name="Old", compatible_models=["7942"])
    for more in ("", "<deviceProfile>Old</deviceProfile>", "<deviceProfile>None</deviceProfile>"):
        assert await ask(site, login(mac, name, more)) == failed(12)


async def test_18_nobody_is_pushed_off_a_phone(site: Site) -> None:
    mac, anna, ben = await new_phone(site), await new_person(site, "Desk"), await new_person(site, "Desk", "Door")
    assert await ask(site, login(mac, ben)) == SUCCESS
    assert await ask(site, login(mac, anna)) == failed(18)
    assert await user_of(site, mac) == ben
    # The same user may choose another profile.
    assert await ask(site, login(mac, ben, "<deviceProfile>Door</deviceProfile>")) == SUCCESS


async def test_19_nobody_there_cannot_be_logged_out(site: Site) -> None:
    assert await ask(site, logout(await new_phone(site))) == failed(19)


async def test_22_nobody_logs_in_on_a_phone_that_is_not_active(site: Site) -> None:
    mac, name = await new_phone(site, is_active=False), await new_person(site, "Desk")
    assert await ask(site, login(mac, name)) == failed(22)


async def test_23_a_user_has_to_be_there(site: Site) -> None:
    assert await ask(site, login(await new_phone(site), "nobody")) == failed(23)


async def test_25_a_user_is_on_one_phone_if_the_settings_say_so(site: Site) -> None:
    one, other, name = await new_phone(site), await new_phone(site), await new_person(site, "Desk")
    assert await ask(site, login(one, name)) == SUCCESS
    assert await ask(site, login(other, name)) == failed(25)
    assert await user_of(site, one) == name


async def test_26_who_guesses_has_to_wait_and_the_api_brakes_with_it(site_with: SiteWith) -> None:
    async with site_with() as site:
        for _ in range(5):
            assert await ask(site, request("<logoutAll/>", password=WRONG)) == failed(3)
        assert await ask(site, request("<logoutAll/>")) == failed(26)
        braked = await site.anybody.post("/auth/login", {"username": "admin", "password": PASSWORD})
        assert braked.status == 429


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
async def test_what_fails_below_is_told_too_and_its_words_are_in_the_log(
    error: Exception, code: int, caplog: pytest.LogCaptureFixture
) -> None:
    """The functions below fail as they are told to."""
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
