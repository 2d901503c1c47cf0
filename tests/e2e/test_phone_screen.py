"""Directories, login and profile switch on the screens of phones, through the whole appliance."""

import asyncio
import hashlib
import json
import logging
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, closing
from gettext import NullTranslations
from pathlib import Path
from typing import Any
from unittest.mock import Mock
from xml.sax.saxutils import escape

import pytest
from yarl import URL

from cisisk.model.errors import StorageFailed
from cisisk.phone_services import answers
from cisisk.phone_services.problems import page_text, prompt_with_code
from cisisk.phone_services.texts import ScreenLabel, ScreenProblem, ScreenText, in_words
from cisisk.simulator.cgi import is_page
from cisisk.simulator.faults import Faults
from cisisk.simulator.models import MODELS
from cisisk.store import service_sessions
from tests.e2e.phone_browser import PhoneBrowser, open_browser
from tests.e2e.running_site import Site, config, open_site, settings_for, until
from tests.patience import PATIENCE
from tests.unit.phone_services.limits import FAMILIES
from tests.unit.phone_services.words import field, label, labels, prompt_of, text

PIN, USER = "2468", "anna"
NAMES = ("João Gonçalves", "Jürgen Groß", "Ελένη Παπαδοπούλου", "山田太郎", 'O\'Brien & "Söhne" <GmbH>')

SERVICES = {"servicesURL": "profile-switch", "directoryURL": "dir"}

NewPhone = Callable[..., Awaitable[PhoneBrowser]]


@pytest.fixture
async def new_phone(site: Site) -> AsyncIterator[NewPhone]:
    """Return a function that opens the browser of a new phone."""
    async with AsyncExitStack() as stack:

        async def make(model: str = "CP-7942G", **options: Any) -> PhoneBrowser:
            mac, address = options.get("mac") or site.new_mac(), options.get("address", "127.0.0.1")
            return await stack.enter_async_context(open_browser(site.running.phones_url, mac, model, address))

        yield make


@pytest.fixture
async def anna(site: Site) -> str:
    """Create a user with a PIN and return her uuid."""
    return await new_user(site, USER, PIN)


async def new_user(site: Site, username: str, pin: str | None) -> str:
    body = {"first_name": username.title(), "last_name": "Arendt", "username": username, "password": "long enough"}
    created = await site.data("POST", "/users", {**body, "email": f"{username}@example.org"})
    if pin:
        await site.data("PUT", f"/cisco-users/{created['uuid']}", {"pin_code": pin})
    return str(created["uuid"])


def fill(site: Site, table: str, count: int, **columns: str) -> None:
    """Insert many contacts, with names in several scripts."""
    with closing(sqlite3.connect(site.settings.data.dir / "cisisk.db")) as store:
        for number in range(count):
            name = f"{NAMES[number % 5]} {number}"
            row = {
                "uuid": f"{number:08}-1111-1111-1111-{'1' * 12}",
                "name": name,
                "work": f"+49 30 {number:05}",
                "folded_name": name.casefold(),
                "folded": name.casefold(),
                "digits": f"4930{number:05}",
                "created_at": "2026-06-28T12:00:00.000Z",
                "updated_at": "2026-06-28T12:00:00.000Z",
                **columns,
                **({"position": number + 1} if table == "personal_contacts" else {}),
            }
            store.execute(
                f"INSERT INTO {table} ({', '.join(row)}) VALUES ({', '.join('?' * len(row))})",  # noqa: S608 -- no user input
                tuple(row.values()),
            )
        store.commit()


async def audit(site: Site) -> list[tuple[str, Any]]:
    rows = await site.data("GET", "/audit-logs?limit=100")
    return [(row["action"], row["payload"]) for row in reversed(rows)]


@pytest.mark.parametrize("model", FAMILIES)
async def test_directories_button_opens_menu(new_phone: NewPhone, model: str) -> None:
    phone = await new_phone(model)
    page = await phone.open("dir")
    assert (page.kind, list(page.items)) == ("Menu", labels(ScreenLabel.PERSONAL, ScreenLabel.CORPORATE))
    assert list(phone.page.keys) == (
        labels(ScreenLabel.SELECT, ScreenLabel.EXIT)
        if model.startswith("CP-79")
        else labels(ScreenLabel.EXIT, ScreenLabel.SELECT)
    )
    assert phone.is_kept
    assert (await phone.choose(ScreenLabel.CORPORATE)).text == text(ScreenText.NO_CONTACTS_YET)


@pytest.mark.parametrize("model", FAMILIES)
@pytest.mark.parametrize("count", [0, 1, 33, 101, 5000])
async def test_directory_pages_list_every_contact_once(
    site: Site, new_phone: NewPhone, anna: str, model: str, count: int
) -> None:
    fill(site, "company_contacts", count)
    fill(site, "personal_contacts", count, user_uuid=anna)
    phone = await new_phone(model)
    shown: list[str] = []
    await phone.open("cdir")
    for _ in range(-(-count // 32)):
        assert set(labels(ScreenLabel.DIAL, ScreenLabel.VIEW, ScreenLabel.EXIT, ScreenLabel.SEARCH)) <= set(
            phone.page.keys
        )
        shown += [number for _, number in phone.page.entries]
        # A few pages suffice for 5000 contacts.
        if label(ScreenLabel.NEXT) not in phone.page.keys or len(shown) > 101:
            break
        await phone.press(ScreenLabel.NEXT)
    expected = min(count, 128)
    assert len(shown) == len(set(shown)) == expected
    if count > 32:
        await phone.press(ScreenLabel.BACK)
        assert phone.page.entries

    page = await phone.log_in("pdir")
    assert set(labels(ScreenLabel.ADD, ScreenLabel.OPTIONS, ScreenLabel.EXIT, ScreenLabel.SEARCH)) <= set(page.keys)
    assert [number for _, number in page.entries] == [f"+4930{number:05}" for number in range(min(count, 32))]
    await phone.press(ScreenLabel.OPTIONS)
    assert list(phone.page.items) == labels(
        ScreenLabel.OPEN_CONTACT, ScreenLabel.REORDER_CONTACTS, ScreenLabel.CHANGE_PIN, ScreenLabel.LOGOUT
    )
    await phone.choose(ScreenLabel.OPEN_CONTACT)
    chosen: list[str] = []
    while count and len(chosen) < 202:
        chosen += phone.page.items
        if label(ScreenLabel.NEXT) not in phone.page.keys:
            break
        await phone.press(ScreenLabel.NEXT)
    assert len(chosen) == min(count, len(chosen))
    if count in {1, 33, 101}:
        assert len(chosen) == count


async def test_directory_start_beyond_end_shows_last_page(site: Site, new_phone: NewPhone, anna: str) -> None:
    fill(site, "company_contacts", 33)
    fill(site, "personal_contacts", 33, user_uuid=anna)
    phone = await new_phone("CP-7942G")
    await phone.log_in("pdir")
    for directory in ("cdir", "pdir"):
        page = await phone.open(directory, start="64")
        assert (page.prompt, len(page.entries)) == (label(ScreenLabel.PAGE.notice(first=33, last=33, total=33)), 1)
        assert len((await phone.press(ScreenLabel.BACK)).entries) == 32
        page = await phone.open(f"{directory}/contacts", start="1000")
        assert (page.prompt, len(page.items)) == (label(ScreenLabel.PAGE.notice(first=21, last=33, total=33)), 13)
        assert len((await phone.press(ScreenLabel.BACK)).items) == 20
    # A search without results has one page.
    assert (await phone.open("cdir", start="32", n="Missing")).text == text(
        ScreenText.NO_MATCH.notice(searched="Missing")
    )


async def test_directory_search_by_name_or_number_finds_contacts(site: Site, new_phone: NewPhone, anna: str) -> None:
    for name, work in (("João Gonçalves", "+351 21 555"), ("山田太郎", "0301234"), ("Anton", "0309999")):
        await site.data("POST", "/company-directory", {"name": name, "work": work})
        await site.data("POST", f"/personal-directory/{anna}", {"name": name, "work": work})
    for model in ("CP-7942G", "CP-8845", "CP-7940G"):
        phone = await new_phone(model)
        await phone.log_in("pdir")
        for directory in ("cdir", "pdir"):
            await phone.open(directory)
            await phone.press(ScreenLabel.SEARCH)
            page = await phone.submit(n="joao")
            assert [number for _, number in page.entries] == ["+35121555"]
            await phone.press(ScreenLabel.SEARCH)
            page = await phone.submit(d="0309")
            assert page.entries == [("Anton", "0309999")]
            await phone.press(ScreenLabel.SEARCH)
            assert (await phone.submit(n="missing <&>")).text == text(
                ScreenText.NO_MATCH.notice(searched="missing <&>")
            )
            await phone.press(ScreenLabel.SEARCH)
            assert "####" in (await phone.submit(d="#" * 15)).text
    phone = await new_phone("CP-8845")
    await phone.open("cdir/search")
    page = await phone.submit(n="山田" * 100)
    assert page.kind == "Text"
    # The longest possible URL: the longest host name and search. * and # take three characters each.
    await site.data("POST", "/company-directory", {"name": "x" * 64, "work": "#" * 15})
    search = URL(f"{phone.services}/cdir/contacts").with_query(mac=phone.mac.device_name, n="x" * 64, d="#" * 15)
    assert list((await phone.load(search, Host="h" * 50)).items) == ["x" * 64]


async def test_corporate_contact_shows_details_and_numbers(site: Site, new_phone: NewPhone) -> None:
    person = {"name": "Anna & Co", "work": "+49 (0)30 1234-5", "mobile": "0171/555", "email": "a@example.org"}
    await site.data("POST", "/company-directory", {**person, "department": "Sales <EU>", "building": "7"})
    phone = await new_phone()
    page = await phone.open("cdir")
    assert page.entries == [("Anna & Co", "+493012345")]
    await phone.press(ScreenLabel.VIEW)
    page = await phone.choose("Anna & Co")
    assert list(page.keys) == labels(ScreenLabel.CALL, ScreenLabel.BACK, ScreenLabel.EXIT)
    assert page.text == text(
        "Anna & Co",
        field(ScreenLabel.WORK, "+49 (0)30 1234-5"),
        field(ScreenLabel.MOBILE, "0171/555"),
        field(ScreenLabel.EMAIL, "a@example.org"),
        field(ScreenLabel.DEPARTMENT, "Sales <EU>"),
        field(ScreenLabel.BUILDING, "7"),
    )
    assert (await phone.press(ScreenLabel.CALL)).entries == [
        (label(ScreenLabel.WORK), "+493012345"),
        (label(ScreenLabel.MOBILE), "0171555"),
    ]
    await phone.open("cdir/contact", id="11111111-1111-1111-1111-111111111111")
    assert " C07" in phone.page.text


@pytest.mark.parametrize("model", FAMILIES)
async def test_personal_directory_adds_edits_and_deletes_contacts(
    site: Site, new_phone: NewPhone, anna: str, model: str
) -> None:
    phone = await new_phone(model)
    await phone.log_in("pdir")
    await phone.press(ScreenLabel.ADD)
    form = phone.page
    assert list(form.inputs) == ["person", "work", "mobile", "home", "email"]
    assert not phone.is_kept
    assert (await phone.submit(work="123")).prompt == label(ScreenLabel.NAME_NEEDED)
    assert phone.page.inputs["work"] == "123"
    await phone.submit(person="Jürgen Groß", home="456")
    assert phone.page.prompt == label(ScreenLabel.ADDED)
    assert phone.page.text == text("Jürgen Groß", field(ScreenLabel.WORK, "123"), field(ScreenLabel.HOME, "456"))
    assert set(phone.page.keys) == set(labels(ScreenLabel.CALL, ScreenLabel.EDIT, ScreenLabel.DELETE, ScreenLabel.EXIT))
    assert (await phone.press(ScreenLabel.CALL)).entries == [
        (label(ScreenLabel.WORK), "123"),
        (label(ScreenLabel.HOME), "456"),
    ]

    (contact,) = await site.data("GET", f"/personal-directory/{anna}")
    await phone.open("pdir/contact", id=contact["uuid"])
    await phone.press(ScreenLabel.EDIT)
    assert phone.page.inputs == {"person": "Jürgen Groß", "work": "123", "mobile": "", "home": "456", "email": ""}
    assert (await phone.submit(mobile="call me")).prompt == label(
        ScreenLabel.NOT_A_NUMBER.notice(field=ScreenLabel.MOBILE.notice())
    )
    await phone.submit(mobile="789", home="", work="+123")
    assert phone.page.text == text("Jürgen Groß", field(ScreenLabel.WORK, "+123"), field(ScreenLabel.MOBILE, "789"))

    await phone.press(ScreenLabel.DELETE)
    assert set(phone.page.keys) == set(labels(ScreenLabel.YES, ScreenLabel.NO))
    sure = phone.page.keys[label(ScreenLabel.YES)]
    assert (await phone.press(ScreenLabel.YES)).text == text(ScreenText.CONTACT_DELETED.notice(name="Jürgen Groß"))
    assert await site.data("GET", f"/personal-directory/{anna}") == []
    assert " C07" in (await phone.load(sure)).text
    actions = [action for action, _ in await audit(site)]
    assert actions[-4:] == [
        "phone.login",
        *(f"personal_contact.{done}" for done in ("created", "updated", "deleted")),
    ]


async def test_contact_form_saved_keeps_values_phone_cannot_show(site: Site, new_phone: NewPhone, anna: str) -> None:
    name, email = f"山田{'x' * 40}", f"{'a' * 40}@example.org"
    await site.data("POST", f"/personal-directory/{anna}", {"name": name, "email": email, "work": "not a number"})
    (before,) = await site.data("GET", f"/personal-directory/{anna}")
    for model in ("CP-7940G", "CP-8845"):
        phone = await new_phone(model)
        await phone.log_in("pdir")
        await phone.open("pdir/edit", id=before["uuid"])
        assert (await phone.submit(home="1")).prompt == label(ScreenLabel.SAVED)
    (after,) = await site.data("GET", f"/personal-directory/{anna}")
    assert (after["name"], after["email"], after["work"], after["home"]) == (name, email, "not a number", "1")


async def test_personal_directory_reorder_moves_contact(site: Site, new_phone: NewPhone, anna: str) -> None:
    for name in "ABCD":
        await site.data("POST", f"/personal-directory/{anna}", {"name": name, "work": "1"})
    phone = await new_phone()
    await phone.log_in("pdir")

    async def order() -> str:
        return "".join(contact["name"] for contact in await site.data("GET", f"/personal-directory/{anna}"))

    await phone.press(ScreenLabel.OPTIONS)
    await phone.choose(ScreenLabel.REORDER_CONTACTS)
    await phone.choose("C")
    assert phone.page.prompt == label(ScreenLabel.POSITION.notice(position=3, last=4))
    await phone.choose(ScreenLabel.UP)
    assert (await order(), phone.page.prompt) == ("ACBD", label(ScreenLabel.POSITION.notice(position=2, last=4)))
    await phone.choose(ScreenLabel.TO_BOTTOM)
    assert (await order(), list(phone.page.items)) == (
        "ABDC",
        labels(ScreenLabel.UP, ScreenLabel.TO_TOP, ScreenLabel.TO_POSITION),
    )
    up = phone.page.items[label(ScreenLabel.UP)]
    await phone.load(up)
    await phone.load(up)
    assert await order() == "ABCD"
    await phone.choose(ScreenLabel.TO_POSITION)
    await phone.submit(to="1")
    assert await order() == "CABD"


async def test_personal_directory_of_another_user_is_not_found(site: Site, new_phone: NewPhone, anna: str) -> None:
    other = await new_user(site, "bob", "1357")
    await site.data("POST", f"/personal-directory/{other}", {"name": "Secret", "work": "1"})
    (secret,) = await site.data("GET", f"/personal-directory/{other}")
    phone = await new_phone()
    await phone.log_in("pdir")
    for page in ("contact", "call", "edit", "delete", "move", "place"):
        assert " C07" in (await phone.open(f"pdir/{page}", id=secret["uuid"])).text


async def test_pin_changed_on_phone_ends_other_sessions(site: Site, new_phone: NewPhone, anna: str) -> None:
    phone, other = await new_phone("CP-8845"), await new_phone()
    await other.log_in("pdir")
    await phone.log_in("pdir")
    await phone.press(ScreenLabel.OPTIONS)
    await phone.choose(ScreenLabel.CHANGE_PIN)
    assert (await phone.submit(current=PIN, new="12", again="12")).prompt == label(ScreenLabel.NEW_PIN_FORM)
    assert (await phone.submit(current=PIN, new="9999", again="9998")).prompt == label(ScreenLabel.PINS_DIFFER)
    assert (await phone.submit(current="0000", new="9999", again="9999")).prompt == label(
        prompt_with_code(ScreenLabel.WRONG_CURRENT_PIN.notice(), ScreenProblem.WRONG_LOGIN)
    )
    assert (await phone.submit(current=PIN, new="9999", again="9999")).text == text(ScreenText.PIN_CHANGED)
    assert (await phone.open("pdir")).kind == "Text"
    assert (await other.open("pdir")).kind == "Input"
    assert (await other.submit(user=USER, pin=PIN)).prompt == prompt_of(ScreenProblem.WRONG_LOGIN)
    assert (await other.submit(user=USER, pin="9999")).kind == "Text"


async def test_page_session_lasts_until_logout(site: Site, new_phone: NewPhone, anna: str) -> None:
    phone = await new_phone()
    await phone.open("pdir")
    assert (phone.page.kind, phone.is_kept) == ("Input", False)
    assert list(phone.page.keys) == [label(ScreenLabel.SUBMIT), "<<", label(ScreenLabel.EXIT)]
    is_kept = []
    assert (await phone.submit(user="ANNA", pin=PIN)).kind == "Text"
    is_kept.append(phone.is_kept)
    assert (await phone.open("pdir")).kind == "Text"
    is_kept.append(phone.is_kept)
    assert is_kept == [False, True]
    await phone.press(ScreenLabel.OPTIONS)
    assert phone.page.prompt == "Anna Arendt"
    await phone.choose(ScreenLabel.LOGOUT)
    assert (await phone.open("pdir")).kind == "Input"
    assert [row for row in await audit(site) if row[0].startswith("phone.")] == [
        ("phone.login", {"user_uuid": anna}),
        ("phone.logout", {"user_uuid": anna}),
    ]


async def test_failed_login_answer_is_same_for_all_causes(site: Site, new_phone: NewPhone, anna: str) -> None:
    bob = await new_user(site, "bob", None)
    carol = await new_user(site, "carol", PIN)
    await site.data("PUT", f"/users/{carol}", {"is_active": False})
    prompts = set()
    for user, pin in ((USER, "0000"), ("unknown", PIN), ("bob", PIN), ("carol", PIN), (PIN, PIN)):
        phone = await new_phone()
        page = await phone.log_in("pdir", user, pin)
        prompts.add((page.kind, page.prompt, page.title, tuple(page.keys)))
    assert prompts == {
        (
            "Input",
            prompt_of(ScreenProblem.WRONG_LOGIN),
            label(ScreenLabel.LOGIN),
            (label(ScreenLabel.SUBMIT), "<<", label(ScreenLabel.EXIT)),
        )
    }
    rows = [payload["user_uuid"] for action, payload in await audit(site) if action == "phone.login_failed"]
    assert rows == [anna, None, bob, carol, None]


async def test_login_with_storage_failure_costs_no_attempt(
    site: Site, new_phone: NewPhone, anna: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await site.data("POST", f"/personal-directory/{anna}", {"name": "Anton", "work": "1"})
    phone = await new_phone("CP-8845")
    with monkeypatch.context() as full:
        full.setattr(service_sessions, "begin", Mock(side_effect=StorageFailed("the disk is full")))
        for _ in range(10):
            assert " C08" in (await phone.log_in("pdir")).text
        assert (await phone.log_in("pdir", pin="0000")).prompt == prompt_of(ScreenProblem.WRONG_LOGIN)
    assert (await phone.log_in("pdir")).entries == [("Anton", "1")]


async def test_login_after_wrong_pins_is_throttled(new_phone: NewPhone, anna: str) -> None:
    phone = await new_phone()
    for _ in range(5):
        await phone.log_in("pdir", pin="0000")
        assert phone.page.kind == "Input"
    # Cisisk does not check even the right PIN.
    page = await phone.log_in("pdir")
    assert page.text == text(*page_text(ScreenProblem.THROTTLED.notice(seconds=2)))
    assert phone.refresh is not None
    assert phone.refresh.startswith("2; url=http://")
    assert "pin" not in phone.refresh.replace("pdir", "")


async def test_login_form_is_valid_once_for_one_phone_and_address(new_phone: NewPhone, anna: str) -> None:
    phone = await new_phone()
    await phone.open("pdir")
    url = f"{phone.page.action.text}&user={USER}&pin={PIN}"
    elsewhere = await new_phone(mac=phone.mac, address="127.0.0.77")
    assert (await elsewhere.load(url)).prompt == prompt_of(ScreenProblem.FORM_EXPIRED)
    other = await new_phone()
    foreign = url.replace(phone.mac.device_name, other.mac.device_name)
    assert (await other.load(foreign)).prompt == prompt_of(ScreenProblem.FORM_EXPIRED)
    assert (await phone.load(url)).kind == "Text"
    await phone.open("pdir/logout")
    assert (await phone.load(url)).prompt == prompt_of(ScreenProblem.FORM_EXPIRED)
    assert (await phone.load(f"{phone.services}/pdir?mac={phone.mac}&user={USER}&pin={PIN}")).kind == "Input"


async def test_page_session_from_another_address_is_refused(new_phone: NewPhone, anna: str) -> None:
    phone = await new_phone()
    await phone.log_in("pdir")
    elsewhere = await new_phone(mac=phone.mac, address="127.0.0.77")
    assert (await elsewhere.open("pdir")).kind == "Input"
    assert (await phone.open("pdir")).kind == "Text"


async def test_page_request_from_wrong_address_is_refused(site: Site, new_phone: NewPhone, anna: str) -> None:
    phone = await new_phone(address="127.0.0.77")
    await site.data("POST", "/phones", {"mac": str(phone.mac), "phone_ip": "127.0.0.78"})
    for page in ("pdir", "profile-switch", "profile-switch/progress"):
        assert " C02" in (await phone.open(page)).text
    assert (await phone.open("dir")).kind == "Menu"
    await site.data("PUT", f"/phones/{phone.mac}", {"phone_ip": "127.0.0.77"})
    assert (await phone.open("pdir")).kind == "Input"


async def test_page_request_accepts_all_device_name_forms(new_phone: NewPhone) -> None:
    phone = await new_phone()
    digits = phone.mac.digits
    for query in (
        *(f"mac={digits}", f"mac=SEP{digits}", f"mac={phone.mac}", f"name=SEP{digits}", f"device=sep{digits.lower()}"),
        f"mac=SEP{digits}&locale=English_United_States&name=SEP{digits}&x=1",
        f"mac=&name=SEP{digits}",
    ):
        assert (await phone.load(f"{phone.services}/pdir?{query}")).kind == "Input"
        assert f"mac=SEP{digits}" in (phone.page.action.text or "")
    for query in ("", "mac=", "mac=%23DEVICENAME%23", "mac=SEP12", "name=x", "mac=000000000000", "mac=%00"):
        page = await phone.load(f"{phone.services}/pdir?{query}")
        assert " C01" in page.text
        assert list(page.keys) == [label(ScreenLabel.EXIT)]
    assert " C15" in (await phone.open("nothing")).text


async def test_page_without_model_header_uses_inventory_model(site: Site, new_phone: NewPhone) -> None:
    phone = await new_phone()
    await site.data("POST", "/phones", {"mac": str(phone.mac), "model": "CP-7942G"})
    for page in ("dir", "pdir"):
        url = f"{phone.services}/{page}?mac={phone.mac}"
        assert (await phone.load(url, None, **{"x-CiscoIPPhoneModelName": ""})).positions[label(ScreenLabel.EXIT)] == 3


async def test_profile_chosen_on_phone_is_activated(site: Site, new_phone: NewPhone, anna: str) -> None:
    one = await site.profile("201", user_uuid=anna)
    two = await site.profile("305 <&> Groß", user_uuid=anna, cnf_xml=site.config("305"))
    await site.profile("SCCP only", user_uuid=anna, software_type="SCCP")
    await site.profile("8845 only", user_uuid=anna, compatible_models=["8845"])
    await site.profile("not hers")
    async with site.phone("7942") as real:
        await site.data("POST", "/phones", {"mac": str(real.mac), "software": "SIP", "model": "7942"})
        await real.wait_for_boot(1, PATIENCE)
        await site.switch(one, real.mac)
        real.restart("plugged in")
        await real.wait_for_config(hashlib.sha256(site.config("201").encode()).hexdigest(), PATIENCE)
        phone = await new_phone("CP-7942G", mac=real.mac, address=real.address)
        page = await phone.log_in("profile-switch")
        assert (page.kind, list(page.keys)) == (
            "Menu",
            labels(ScreenLabel.SELECT, ScreenLabel.LOGOUT, ScreenLabel.EXIT, ScreenLabel.WHERE),
        )
        assert (list(page.items), page.prompt) == (
            ["201", "305 <&> Groß"],
            label(ScreenLabel.ACTIVE.notice(profile="201")),
        )
        select = page.items["305 <&> Groß"]
        await phone.load(select)
        assert phone.page.text == text(ScreenText.ACTIVATING.notice(profile="305 <&> Groß"))
        refresh = phone.refresh
        assert refresh is not None
        seconds, _, url = refresh.partition("; url=")
        assert (seconds, phone.is_kept) == ("2", False)
        taken = text(ScreenText.ACTIVE.notice(profile="305 <&> Groß"))
        await until(lambda: phone.load(url), lambda found: found.text == taken)
        assert phone.refresh is None
        assert real.config is not None
        assert hashlib.sha256(real.config).hexdigest() == hashlib.sha256(site.config("305").encode()).hexdigest()
        # The switch ended the session, so its page starts no second switch.
        assert (await phone.load(select)).kind == "Input"
        rows = [payload for action, payload in await audit(site) if action == "profile.switched"]
        assert len(rows) == 2
    phones = await site.data("GET", f"/phones/{real.mac}")
    assert phones["current_profile_uuid"] == two


async def test_login_with_one_compatible_profile_activates_it(site: Site, new_phone: NewPhone, anna: str) -> None:
    await site.profile("201", user_uuid=anna, compatible_models=["7942"])
    await site.profile("8845 only", user_uuid=anna, compatible_models=["8845"])
    phone = await new_phone("CP-7942G")
    page = await phone.log_in("profile-switch")
    assert page.text == text(ScreenText.ACTIVATING.notice(profile="201"))
    _, _, url = (phone.refresh or "").partition("; url=")
    # The address of the phone is unknown, so the restart fails.
    problem = text(*page_text(ScreenProblem.NOT_RESTARTED.notice(profile="201")))
    await until(lambda: phone.load(url), lambda found: found.text == problem)
    other = await new_phone()
    assert " C12" in (await other.load(url.replace(phone.mac.device_name, other.mac.device_name))).text
    # The profile is active now: the page starts no second switch.
    page = await phone.log_in("profile-switch")
    assert (page.kind, page.prompt) == ("Menu", label(ScreenLabel.ACTIVE.notice(profile="201")))
    assert label(ScreenLabel.LOGOUT) in page.keys
    assert (await phone.press(ScreenLabel.LOGOUT)).text == text(ScreenText.LOGGED_OUT_RESTARTING)
    _, _, url = (phone.refresh or "").partition("; url=")
    # The phone had no config before the login.
    page = await until(lambda: phone.load(url), lambda _: phone.refresh is None)
    assert page.text == text(ScreenText.KEEPS_CONFIG)


class Marked(NullTranslations):
    """A language in which each text is the English one after a mark."""

    def gettext(self, message: str) -> str:
        return f"de {message}"


async def test_pages_after_login_are_in_language_of_user(
    site: Site, new_phone: NewPhone, anna: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    german = Marked()
    monkeypatch.setattr(answers, "translations", {"de": german}.__getitem__)
    await site.data("PUT", f"/users/{anna}", {"lang": "de"})
    phone = await new_phone()
    assert (await phone.open("pdir")).prompt == label(ScreenLabel.USER_AND_PIN)
    page = await phone.submit(user=USER, pin=PIN)
    assert page.text == in_words(ScreenText.NO_CONTACTS_YET, german)
    assert in_words(ScreenLabel.EXIT, german).strip() in page.keys
    problem = in_words(ScreenProblem.GONE, german)
    assert (await phone.open("pdir/contact", id="1")).text.startswith(problem)
    await phone.open("pdir/logout")
    await site.profile("201", user_uuid=anna)
    activating = in_words(ScreenText.ACTIVATING.notice(profile="201"), german)
    assert (await phone.log_in("profile-switch")).text == activating
    # The switch has ended the session.
    _, _, url = (phone.refresh or "").partition("; url=")
    problem = in_words(ScreenProblem.NOT_RESTARTED.notice(profile="201"), german)
    await until(lambda: phone.load(url), lambda found: found.text.startswith(problem))


async def in_inventory(site: Site, phone: PhoneBrowser, **more: Any) -> None:
    await site.data("POST", "/phones", {"mac": str(phone.mac), "phone_ip": phone.address, **more})


async def is_logged_in(site: Site, phone: PhoneBrowser, username: str) -> None:
    """Wait until that user has an open login on the phone."""
    wanted = (str(phone.mac), username, "open")
    await until(
        lambda: site.data("GET", "/phone-logins"),
        lambda found: wanted in [(each["mac"], each["username"], each["state"]) for each in found],
    )


@pytest.mark.parametrize("model", FAMILIES)
async def test_login_elsewhere_open_names_phone_and_location(
    site: Site, new_phone: NewPhone, anna: str, model: str
) -> None:
    await site.profile("201", user_uuid=anna)
    desk, lobby = await new_phone(model), await new_phone(model)
    await in_inventory(site, desk, name="Desk <5>", location="São Paulo")
    assert (await desk.log_in("profile-switch")).text == text(ScreenText.ACTIVATING.notice(profile="201"))
    await is_logged_in(site, desk, USER)
    page = await lobby.log_in("profile-switch")
    assert page.text == text(*page_text(ScreenProblem.LOGGED_IN_ELSEWHERE.notice(where="Desk <5>, São Paulo")))
    await lobby.open("profile-switch")
    page = await lobby.press(ScreenLabel.WHERE)
    assert page.text == text(field("Desk <5>, São Paulo", "201"))
    assert (page.prompt, list((await lobby.press(ScreenLabel.BACK)).items)) == ("Anna Arendt", ["201"])


@pytest.mark.parametrize("model", FAMILIES)
async def test_logout_of_previous_user_needs_no_pin(site: Site, new_phone: NewPhone, anna: str, model: str) -> None:
    home = await site.profile("901")
    await site.profile("201", user_uuid=anna)
    phone = await new_phone(model)
    await in_inventory(site, phone)
    await site.switch(home, phone.mac)
    await phone.log_in("profile-switch")
    await is_logged_in(site, phone, USER)
    page = await phone.open("profile-switch")
    assert (page.prompt, page.positions[label(ScreenLabel.LOGOUT)]) == (
        label(ScreenLabel.LOGGED_IN.notice(username="anna")),
        4,
    )
    page = await phone.press(ScreenLabel.LOGOUT)
    assert (page.text, set(page.keys)) == (
        text(ScreenText.LOG_OUT.notice(username="anna")),
        set(labels(ScreenLabel.YES, ScreenLabel.NO)),
    )
    sure = phone.page.keys[label(ScreenLabel.YES)]
    assert (await phone.press(ScreenLabel.YES)).text == text(ScreenText.LOGGED_OUT_RESTARTING)
    (ended,) = await until(
        lambda: site.data("GET", "/phone-logins?history=true"), lambda found: found[0]["state"] == "ended"
    )
    assert (ended["reason"], ended["returned_to"]) == ("manual", "before")
    assert (site.root / phone.mac.config_name).read_bytes() == site.config("901").encode()
    assert (await phone.load(sure)).text == text(ScreenText.NO_USER_HERE)
    assert (await phone.open("profile-switch")).prompt == label(ScreenLabel.USER_AND_PIN)


async def test_logout_from_unverified_address_without_pin_is_refused(
    site: Site, new_phone: NewPhone, anna: str
) -> None:
    await site.profile("201", user_uuid=anna)
    phone = await new_phone()
    await phone.log_in("profile-switch")
    await is_logged_in(site, phone, USER)
    # The address of this phone is unknown, so any client may claim to be it.
    assert list((await phone.open("profile-switch")).keys) == [label(ScreenLabel.SUBMIT), "<<", label(ScreenLabel.EXIT)]
    assert " C02" in (await phone.open("profile-switch/leave")).text
    await site.data("PUT", f"/phones/{phone.mac}", {"phone_ip": "127.0.0.78"})
    assert " C02" in (await phone.open("profile-switch/leave")).text
    await is_logged_in(site, phone, USER)


async def test_next_user_logout_keeps_login_of_previous_user(site: Site, new_phone: NewPhone, anna: str) -> None:
    bob = await new_user(site, "bob", "1357")
    await site.profile("201", user_uuid=anna)
    for name in ("301", "302"):
        await site.profile(name, user_uuid=bob)
    phone = await new_phone()
    await in_inventory(site, phone)
    await phone.log_in("profile-switch")
    await is_logged_in(site, phone, USER)
    page = await phone.log_in("profile-switch", "bob", "1357")
    assert (list(page.items), page.prompt) == (["301", "302"], label(ScreenLabel.LOGGED_IN.notice(username="anna")))
    assert (await phone.press(ScreenLabel.LOGOUT)).text == text(ScreenText.LOGGED_OUT)
    await is_logged_in(site, phone, USER)
    await phone.log_in("profile-switch", "bob", "1357")
    await phone.choose("302")
    await is_logged_in(site, phone, "bob")
    reasons = [row["reason"] for row in await site.data("GET", "/phone-logins?history=true")]
    assert reasons == [None, "next_user"]


async def test_login_on_inactive_phone_is_refused(site: Site, new_phone: NewPhone, anna: str) -> None:
    await site.profile("201", user_uuid=anna)
    phone = await new_phone()
    await in_inventory(site, phone, is_active=False)
    page = await phone.log_in("profile-switch")
    assert page.text == text(*page_text(ScreenProblem.DISABLED.notice()))
    assert await site.data("GET", "/phone-logins?history=true") == []


async def test_profile_list_starts_with_default_of_model(site: Site, new_phone: NewPhone, anna: str) -> None:
    for name in ("201", "202"):
        await site.profile(name, user_uuid=anna)
    (_, second) = await site.data("GET", "/phone-profiles?sort=name")
    body = {"default_profiles": [{"model": "7942", "profile_uuid": second["uuid"]}]}
    await site.data("PUT", f"/users/{anna}/default-profiles", body)
    for model, order in (("CP-7942G", ["202", "201"]), ("CP-8845", ["201", "202"])):
        phone = await new_phone(model)
        assert list((await phone.log_in("profile-switch")).items) == order


async def test_takeover_requires_confirmation_on_phone(tmp_path: Path) -> None:
    async with (
        open_site(settings_for(tmp_path, phone_login={"multiple": "take_over"})) as site,
        open_browser(site.running.phones_url, site.new_mac(), "CP-7942G", "127.0.0.1") as desk,
        open_browser(site.running.phones_url, site.new_mac(), "CP-6941", "127.0.0.1") as lobby,
    ):
        await site.profile("201", user_uuid=await new_user(site, USER, PIN))
        await desk.log_in("profile-switch")
        await is_logged_in(site, desk, USER)
        page = await lobby.log_in("profile-switch")
        assert page.text == text(ScreenText.TAKE_OVER.notice(where=str(desk.mac)))
        assert page.keys[label(ScreenLabel.NO)] == "SoftKey:Exit"
        sure = page.keys[label(ScreenLabel.YES)]
        assert (await lobby.load(f"{sure}x")).prompt == label(
            prompt_with_code(ScreenLabel.CHOOSE_AGAIN.notice(), ScreenProblem.FORM_EXPIRED)
        )
        await is_logged_in(site, desk, USER)
        assert (await lobby.load(sure)).text == text(ScreenText.ACTIVATING.notice(profile="201"))
        await is_logged_in(site, lobby, USER)
        reasons = await until(
            lambda: site.data("GET", "/phone-logins?history=true"), lambda found: found[1]["state"] == "ended"
        )
        assert [row["reason"] for row in reasons] == [None, "take_over"]


async def test_login_without_compatible_profile_shows_c06(site: Site, new_phone: NewPhone, anna: str) -> None:
    await site.profile("8845 only", user_uuid=anna, compatible_models=["8845"])
    phone = await new_phone("CP-7942G")
    page = await phone.log_in("profile-switch")
    assert page.text == text(*page_text(ScreenProblem.NOTHING_FITS.notice()))


@pytest.mark.parametrize("model", FAMILIES)
@pytest.mark.parametrize("count", [33, 101])
async def test_profile_list_with_many_profiles_is_paged(
    site: Site, new_phone: NewPhone, anna: str, model: str, count: int
) -> None:
    with closing(sqlite3.connect(site.settings.data.dir / "cisisk.db")) as store:
        store.executemany(
            "INSERT INTO profiles (uuid, user_uuid, name, cnf_xml, compatible_models, placeholders, created_at,"
            " updated_at) VALUES (?, ?, ?, x'', '[]', 0, '2026-06-28T12:00:00.000Z', '2026-06-28T12:00:00.000Z')",
            [(f"{n:08}-1111-1111-1111-{'1' * 12}", anna, f"{NAMES[n % 5]} {n}") for n in range(count)],
        )
        store.commit()
    phone = await new_phone(model)
    await phone.log_in("profile-switch")
    shown = len(phone.page.items)
    while label(ScreenLabel.NEXT) in phone.page.keys:
        await phone.press(ScreenLabel.NEXT)
        shown += len(phone.page.items)
    assert shown == count
    last, keys = list(phone.page.items), list(phone.page.keys)
    page = await phone.open("profile-switch", start="1000")
    assert (list(page.items), list(page.keys)) == (last, keys)


async def test_switch_from_screen_answers_before_restart_ends(site: Site, new_phone: NewPhone, anna: str) -> None:
    profile = await site.profile("201", user_uuid=anna)
    async with site.phone("7942", faults=Faults(silent=True)) as real:
        await real.wait_for_boot(1, PATIENCE)
        await site.switch(profile, real.mac)
        real.restart("plugged in")
        await real.wait_for_config(hashlib.sha256(site.config("201").encode()).hexdigest(), PATIENCE)
        await site.profile("305", user_uuid=anna)
        phone = await new_phone(mac=real.mac, address=real.address)
        await phone.log_in("profile-switch")
        async with asyncio.timeout(0.9):
            page = await phone.choose("305")
        assert page.text == text(ScreenText.ACTIVATING.notice(profile="305"))


async def test_log_and_audit_contain_no_pin(
    site: Site, new_phone: NewPhone, anna: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    await site.data("PUT", f"/cisco-users/{anna}", {"pin_code": "31415926535"})
    for model in ("CP-7942G", "CP-8845"):
        phone = await new_phone(model)
        await phone.log_in("pdir", "31415926535", "31415926535")
        await phone.log_in("pdir", pin="31415926536")
        await phone.log_in("pdir", pin="31415926535")
        await phone.open("pdir/pin")
        await phone.submit(current="31415926535", new="31415926535", again="31415926535")
        await phone.load(f"{phone.services}/pdir?mac=x&pin=31415926535")
        await phone.load(f"{phone.services}/nothing?mac={phone.mac}&pin=31415926535")
    # Loggers of the test's own client are exempt.
    ours = [record for record in caplog.records if not record.name.startswith(("aiohttp.client", "tests"))]
    assert "31415926" not in "\n".join(record.getMessage() for record in ours)
    assert "31415926" not in json.dumps(await audit(site))


@pytest.mark.parametrize(
    "body",
    [
        b"user=anna&pin=" + b"1" * 5000,
        b"\xff=\xfe&&&==%",
        b"user=" + b"&" * 4000,
        b"--x\r\n\r\n",
        *(
            b'--x\r\nContent-Disposition: form-data; name="user"\r\n' + header + b"\r\n\r\nanna\r\n--x--\r\n"
            for header in (
                b"Content-Type: text/plain; charset=unknown",
                b"Content-Transfer-Encoding: unknown",
                b"Content-Encoding: unknown",
                b"Content-Encoding: deflate",
                b"X: " + b"x" * 3000,
            )
        ),
    ],
)
async def test_hostile_form_body_gets_login_form(new_phone: NewPhone, body: bytes) -> None:
    phone = await new_phone("CP-8845")
    for kind in ("application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "multipart/form-data", "a/b"):
        headers = {"Content-Type": kind, "x-CiscoIPPhoneModelName": "CP-8845"}
        url = f"{phone.services}/pdir?mac={phone.mac}"
        async with phone.session.post(url, data=body, headers=headers) as response:
            assert response.status == 200
            assert b"<CiscoIPPhoneInput>" in await response.read()


async def test_posted_value_drops_leading_newline(new_phone: NewPhone, anna: str) -> None:
    phone = await new_phone("CP-8845")
    await phone.open("pdir")
    parts = "".join(
        f'--x\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n\n{value}\r\n'
        for name, value in {"user": USER, "pin": PIN}.items()
    )
    headers = {"Content-Type": "multipart/form-data; boundary=x", "x-CiscoIPPhoneModelName": "CP-8845"}
    url = phone.page.action.text or ""
    async with phone.session.post(url, data=f"{parts}--x--\r\n".encode(), headers=headers) as response:
        assert escape(text(ScreenText.NO_CONTACTS_YET)).encode() in await response.read()


@pytest.mark.parametrize("model", sorted(MODELS))
async def test_simulated_browser_accepts_all_pages(site: Site, anna: str, model: str) -> None:
    fill(site, "company_contacts", 101)
    fill(site, "personal_contacts", 101, user_uuid=anna)
    services = f"{site.running.phones_url}/cisco/services"
    urls = {name: f"{services}/{page}?mac=#DEVICENAME#" for name, page in SERVICES.items()}
    cnf_xml = config("201", f"{site.running.phones_url}/cisco/authentication", **urls)
    profile = await site.profile("201", user_uuid=anna, cnf_xml=cnf_xml)
    await site.profile(NAMES[-1], user_uuid=anna, cnf_xml=site.config("305"))
    phone = site.phone(model)
    # Switch before the phone starts: a restart would clear its screen.
    await site.switch(profile, phone.mac)
    async with phone:
        await phone.wait_for_config(hashlib.sha256(cnf_xml.encode()).hexdigest(), PATIENCE)
        browser = phone.browser
        await browser.press_directories()
        await browser.select(label(ScreenLabel.PERSONAL))
        await browser.submit(user=USER, pin=PIN)
        waiting, seen_urls = ["/dir", "/pdir", "/cdir", "/profile-switch", "/profile-switch/leave"], set[str]()
        waiting = [f"{services}{page}?mac={phone.mac.device_name}" for page in waiting]
        while waiting and len(seen_urls) < 250:
            url = waiting.pop()
            # Skip pages that restart the phone or end the login.
            if url in seen_urls or url.partition("?")[0].endswith(("/select", "/logout")) or "to=" in url:
                continue
            seen_urls.add(url)
            page = await browser.open(url)
            assert page is not None
            waiting += [item.url for item in (*page.items[:2], *page.items[-1:])]
            waiting += [key.url for key in page.soft_keys if is_page(key.url)]
        assert list(browser.violations) == []
        paths = {url.partition("?")[0].removeprefix(services) for url in seen_urls}
        assert {"/profile-switch/where", "/profile-switch/leave"} <= paths
        assert {"/cdir/call", "/pdir/call", "/pdir/edit", "/pdir/delete", "/pdir/move", "/pdir/place"} <= paths
        await browser.press_services()
        page = await browser.select(NAMES[-1])
        assert page is not None
        assert page.text == text(ScreenText.ACTIVATING.notice(profile=NAMES[-1]))
        assert list(browser.violations) == []
