"""Two users share phones of three families for a day and use only the screens of these phones."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from cisisk.appliance import appliance
from cisisk.mobility.auto_logout import AutoLogout, LogoutRules
from cisisk.mobility.phone_logins import PhoneLogins
from cisisk.mobility.switch import Switcher
from cisisk.model.logout_times import local_zone
from cisisk.pbx.calls import Calls
from cisisk.simulator.boot import Via
from cisisk.simulator.phone import PhoneState, SimulatedPhone
from cisisk.simulator.services.page import PageKind, ParsedPage
from cisisk.store.database import Database
from tests.e2e.running_site import (
    TIMING,
    Site,
    asterisk_settings,
    config,
    config_at_call_manager,
    open_site,
    settings_for,
    until,
)
from tests.patience import PATIENCE
from tests.protocol.asterisk import AsteriskEmulator, Device
from tests.protocol.sip_registrar import SipRegistrar

ANNAS_PIN, ANNAS_NEW_PIN, BOBS_PIN, WRONG_PIN = "31415926", "27182818", "16180339", "14142135"
DESK, ROAD, BOBS = "Anna's desk", "Anna on the road", "Bob"
FLOORS = {"7942": "Lisbon, ground floor", "7970": "Lisbon, first floor", "8845": "Lisbon, second floor"}
EMERGENCY = (
    "<line button='8' lineIndex='8'><featureID>2</featureID><featureLabel>{{emergency_location}}</featureLabel>"
    "<speedDialNumber>112</speedDialNumber></line></sipLines>"
)
PHONE_TIMING = replace(TIMING, offline=0.3, registration=2.0, unregister=0.5, refresh_factor=0.1)


class LogoutClock:
    """A clock for automatic logouts that the test can advance."""

    def __init__(self) -> None:
        self.ahead = timedelta(0)
        self.made: list[AutoLogout] = []

    def auto_logout(
        self, db: Database, logins: PhoneLogins, rules: LogoutRules, switcher: Switcher, calls: Calls
    ) -> AutoLogout:
        """Create an AutoLogout that uses this clock instead of the system's."""
        self.made.append(AutoLogout(db, logins, rules, switcher, calls, lambda: datetime.now(UTC) + self.ahead))
        return self.made[-1]

    async def pass_logout_time(self) -> None:
        self.ahead = timedelta(hours=13)
        await self.made[-1].look()


@dataclass
class SharedPhones:
    """An appliance, an Asterisk, and three phones by model."""

    site: Site
    asterisk: AsteriskEmulator
    phones: dict[str, SimulatedPhone]

    def config(self, label: str, *, is_sccp: bool = False) -> str:
        """Return a config with service URLs and an emergency speed dial."""
        assert self.asterisk.sip is not None
        at, services = self.site.running.phones_url, f"{self.site.running.phones_url}/cisco/services"
        elements = {
            "authentication_url": f"{at}/cisco/authentication",
            "servicesURL": f"{services}/profile-switch?mac=#DEVICENAME#",
            "directoryURL": f"{services}/dir?mac=#DEVICENAME#",
        }
        text = (
            config(label, **elements) if is_sccp else config_at_call_manager(label, self.asterisk.sip.port, **elements)
        )
        text = text.replace("</sipLines>", EMERGENCY)
        return text.replace("<deviceProtocol>SIP<", "<deviceProtocol>SCCP<") if is_sccp else text

    async def profile(self, name: str, label: str, *, is_sccp: bool = False, **fields: Any) -> str:
        cnf_xml = self.config(label, is_sccp=is_sccp)
        software = "SCCP" if is_sccp else "SIP"
        return await self.site.profile(name, cnf_xml=cnf_xml, placeholders=True, software_type=software, **fields)

    async def user(self, username: str, pin: str) -> str:
        names = {"first_name": username.title(), "last_name": "Arendt", "email": f"{username}@example.org"}
        body = {**names, "username": username, "password": "long enough"}
        uuid = str((await self.site.data("POST", "/users", body))["uuid"])
        await self.site.data("PUT", f"/cisco-users/{uuid}", {"pin_code": pin})
        return uuid

    async def runs(self, model: str, name: str, *states: str) -> None:
        """Wait until the phone runs that profile; check that its config names its own floor."""
        states = states or ("confirmed",)
        phone, mac = self.phones[model], self.phones[model].mac
        await until(
            lambda: self.site.data("GET", f"/deployments?mac={mac}&limit=1"),
            lambda found: found and found[0]["profile_name"] == name and found[0]["state"] in states,
        )
        await phone.wait_until(lambda: phone.state is PhoneState.RUNNING, PATIENCE, "runs")
        assert phone.config is not None
        assert f"<featureLabel>{FLOORS[model]}</featureLabel><speedDialNumber>112<" in phone.config.decode()

    async def reasons(self, **of: str) -> list[str | None]:
        """Return the reasons why logins ended, in the order in which they began."""
        rows = await self.site.data("GET", "/phone-logins?history=true")
        return [row["reason"] for row in reversed(rows) if of.items() <= row.items()]


@asynccontextmanager
async def shared_phones(
    directory: Path, clock: LogoutClock, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[SharedPhones]:
    monkeypatch.setattr(appliance, "AutoLogout", clock.auto_logout)
    # Always hours ahead, at any time of day.
    evening = (datetime.now(local_zone()) + timedelta(hours=12)).strftime("%H:%M")
    async with AsyncExitStack() as stack:
        asterisk = await stack.enter_async_context(AsteriskEmulator(sip=SipRegistrar()))
        sections: dict[str, dict[str, Any]] = {
            "asterisk": asterisk_settings(asterisk.port),
            "restart": {"sip": ["ami-pjsip"], "sccp": ["ami-sccp"]},
            "phone_login": {"multiple": "take_over", "logout_at": [evening]},
        }
        site = await stack.enter_async_context(open_site(settings_for(directory, **sections)))
        setup = SharedPhones(site, asterisk, {})
        for model, line in (("7942", "901"), ("7970", "902"), ("8845", "903")):
            setup.phones[model] = await stack.enter_async_context(_phone_with_home_config(setup, model, line))
        for model in FLOORS:
            # The phone may have registered before Cisisk observed it.
            await setup.runs(model, f"Home {model}", "fetched", "confirmed")
        yield setup


@asynccontextmanager
async def _phone_with_home_config(setup: SharedPhones, model: str, line: str) -> AsyncIterator[SimulatedPhone]:
    """Start a phone that is in the inventory and runs its home config."""
    site, asterisk, is_sccp = setup.site, setup.asterisk, model == "7970"
    device = Device("", registered=False)
    states = {PhoneState.RUNNING: asterisk.device_registers, PhoneState.RESTARTING: asterisk.device_unregisters}

    def follow(_phone: SimulatedPhone, text: str) -> None:
        if is_sccp and text in states:
            states[PhoneState(text)](device)

    assert site.running.provisioning_http_address is not None
    phone = site.phone(
        model,
        timing=PHONE_TIMING,
        sip_port=None if is_sccp else site.settings.phone_sip.port,
        http_port=site.running.provisioning_http_address[1],
        on_event=follow,
    )
    if is_sccp:
        device.name, device.address, device.on_restart = phone.mac.device_name, phone.address, phone.restart
        asterisk.devices.append(device)
    software = "SCCP" if is_sccp else "SIP"
    about = {"mac": str(phone.mac), "model": model, "software": software, "name": f"Desk {model}", "location": "Lisbon"}
    await site.data("POST", "/phones", {**about, "emergency_location": FLOORS[model]})
    await site.switch(await setup.profile(f"Home {model}", line, is_sccp=is_sccp), phone.mac)
    async with phone:
        yield phone


def shown(page: ParsedPage | None) -> ParsedPage:
    assert page is not None
    return page


async def log_in(phone: SimulatedPhone, user: str, pin: str) -> ParsedPage:
    """Press the Services key and fill in the form."""
    form = shown(await phone.browser.press_services())
    assert form.kind is PageKind.INPUT
    return shown(await phone.browser.submit(user=user, pin=pin))


async def to_directory(phone: SimulatedPhone, name: str) -> ParsedPage:
    menu = shown(await phone.browser.press_directories())
    assert (menu.kind, [item.name for item in menu.items]) == (PageKind.MENU, ["Personal", "Corporate"])
    return shown(await phone.browser.select(name))


@pytest.mark.wording
async def test_shared_phones_over_a_day_end_with_home_configs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    clock = LogoutClock()
    async with asyncio.timeout(6 * PATIENCE), shared_phones(tmp_path, clock, monkeypatch) as setup:
        anna, bob = await setup.user("anna", ANNAS_PIN), await setup.user("bob", BOBS_PIN)
        desk = await setup.profile(DESK, "201", user_uuid=anna, compatible_models=["7942"])
        await setup.profile(ROAD, "202", user_uuid=anna)
        await setup.profile(BOBS, "301", is_sccp=True, user_uuid=bob)
        defaults = [{"model": "7942", "profile_uuid": desk}]
        await setup.site.data("PUT", f"/users/{anna}/default-profiles", {"default_profiles": defaults})
        await setup.site.data("POST", "/company-directory", {"name": "João Gonçalves", "work": "+351 21 555"})
        await setup.site.data("POST", f"/personal-directory/{anna}", {"name": "Mother", "home": "030 1234"})

        await _anna_dials_and_activates_two_profiles(setup.phones["7942"], setup)
        await _anna_changes_pin_and_dials_personal_contact(setup.phones["7942"])
        await _bob_logs_in_out_and_in(setup.phones["7970"], setup)
        await _anna_takes_over_second_phone(setup.phones["8845"], setup)
        assert await setup.reasons(username="anna") == ["switched", "take_over", None]
        assert await setup.reasons(username="bob") == ["manual", None]

        await clock.pass_logout_time()
        for model, phone in setup.phones.items():
            await setup.runs(model, f"Home {model}")
            assert list(phone.browser.violations) == []
            assert b"<name>90" in (phone.config or b"")
            form = shown(await phone.browser.press_services())
            assert (form.kind, form.prompt) == (PageKind.INPUT, "User and PIN, please")
        via = {
            model: {each.via for each in phone.boots[-1].attempts if each.name == phone.mac.config_name}
            for model, phone in setup.phones.items()
        }
        assert via == {"7942": {Via.TFTP}, "7970": {Via.TFTP}, "8845": {Via.HTTP}}
        assert all(setup.phones[model].is_registered for model in ("7942", "8845"))
        assert [device.registered for device in setup.asterisk.devices] == [True]
        assert await setup.reasons(username="anna") == ["switched", "take_over", "time_of_day"]
        assert await setup.reasons(username="bob") == ["manual", "time_of_day"]
        assert await _open_logins_of_anna(setup.site) == []

    # Loggers of the test's own clients are exempt.
    ours = [record for record in caplog.records if not record.name.startswith(("aiohttp.client", "tests"))]
    messages = "\n".join(record.getMessage() for record in ours)
    assert [pin for pin in (ANNAS_PIN, ANNAS_NEW_PIN, BOBS_PIN, WRONG_PIN) if pin in messages] == []


async def _anna_dials_and_activates_two_profiles(phone: SimulatedPhone, setup: SharedPhones) -> None:
    browser = phone.browser
    await to_directory(phone, "Corporate")
    await browser.press("Search")
    found = shown(await browser.submit(n="joao", d=""))
    assert [entry.name for entry in found.entries] == ["João Gonçalves"]
    await browser.press("Dial")
    assert list(browser.dialled) == ["+35121555"]

    refused = await log_in(phone, "anna", WRONG_PIN)
    assert (refused.kind, refused.prompt) == (PageKind.INPUT, "Wrong user or PIN (C04)")
    menu = shown(await browser.submit(user="anna", pin=ANNAS_PIN))
    assert [item.name for item in menu.items] == [DESK, ROAD]
    assert shown(await browser.press("Where")).text == "You are logged in on no phone."
    await browser.press("Back")
    assert shown(await browser.select(DESK)).text == f"Activating {DESK}. The phone restarts."
    await setup.runs("7942", DESK)

    form = shown(await browser.press_services())
    assert form.prompt == "Logged in: anna"
    menu = shown(await browser.submit(user="anna", pin=ANNAS_PIN))
    assert menu.prompt == f"Active: {DESK}"
    assert shown(await browser.press("Where")).text == f"This phone: {DESK}"
    await browser.press("Back")
    await browser.select(ROAD)
    await setup.runs("7942", ROAD)


async def _anna_changes_pin_and_dials_personal_contact(phone: SimulatedPhone) -> None:
    browser = phone.browser
    assert (await to_directory(phone, "Personal")).kind is PageKind.INPUT
    await browser.submit(user="anna", pin=ANNAS_PIN)
    await browser.press("Options")
    await browser.select("Change PIN")
    changed = await browser.submit(current=ANNAS_PIN, new=ANNAS_NEW_PIN, again=ANNAS_NEW_PIN)
    assert shown(changed).text == "Your PIN is changed."
    people = await to_directory(phone, "Personal")
    assert [entry.name for entry in people.entries] == ["Mother"]
    await browser.press("Options")
    await browser.select("Open Contact")
    await browser.select("Mother")
    assert [entry.name for entry in shown(await browser.press("Call")).entries] == ["Home"]
    await browser.select("Home")
    assert browser.dialled[-1] == "0301234"


async def _bob_logs_in_out_and_in(phone: SimulatedPhone, setup: SharedPhones) -> None:
    assert (await log_in(phone, "bob", BOBS_PIN)).text == f"Activating {BOBS}. The phone restarts."
    await setup.runs("7970", BOBS)
    form = shown(await phone.browser.press_services())
    assert form.prompt == "Logged in: bob"
    sure = shown(await phone.browser.press("Logout"))
    assert sure.text == "Log bob out? The phone restarts."
    assert shown(await phone.browser.press("Yes")).text == "You are logged out. The phone restarts."
    await setup.runs("7970", "Home 7970")
    await log_in(phone, "bob", BOBS_PIN)
    await setup.runs("7970", BOBS)


async def _anna_takes_over_second_phone(phone: SimulatedPhone, setup: SharedPhones) -> None:
    browser = phone.browser
    assert (await log_in(phone, "anna", ANNAS_PIN)).prompt == "Wrong user or PIN (C04)"
    question = shown(await browser.submit(user="anna", pin=ANNAS_NEW_PIN))
    assert question.text == "You are logged in at Desk 7942, Lisbon. Log out there and log in here?"
    assert shown(await browser.press("Yes")).text == f"Activating {ROAD}. The phone restarts."
    await setup.runs("8845", ROAD)
    await setup.runs("7942", "Home 7942")


async def _open_logins_of_anna(site: Site) -> Any:
    login = await site.data("POST", "/auth/login", {"username": "anna", "password": "long enough"})
    mine = Site(site.settings, site.running, site.session, token=login["accessToken"])
    assert len(await mine.data("GET", "/me/logins?history=true")) == 3
    return await mine.data("GET", "/me/logins")
