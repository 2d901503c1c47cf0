"""People on phones, over the whole appliance: in, elsewhere, out by the clock, and back to what the phone was."""

import hashlib
import sqlite3
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, closing
from pathlib import Path
from typing import Any

import pytest

from cisisk.appliance import appliance
from cisisk.config import Settings
from cisisk.mobility.phone_logins import PhoneLogins
from cisisk.model.phone_login import LoggedInElsewhere, LoginWay, PhoneLogin
from cisisk.model.user import SYSTEM
from cisisk.simulator.phone import SimulatedPhone
from tests.e2e.premises import Site, free_port, opened, settings_for, until
from tests.patience import PATIENCE

EMERGENCY = "<emergency>{{emergency_location}} {{emergency_caller_id}}</emergency></device>"


class Day:
    """A site whose logins are in reach, as the pages on the phones have them."""

    def __init__(self, site: Site, logins: PhoneLogins) -> None:
        self.site = site
        self.logins = logins

    async def user(self, name: str) -> str:
        names = {"first_name": name, "last_name": "Arendt", "email": f"{name}@example.org"}
        body = {**names, "username": name, "password": "long enough"}
        return str((await self.site.data("POST", "/users", body))["uuid"])

    async def profile(self, label: str, user_uuid: str) -> None:
        config = self.site.config(label).replace("</device>", EMERGENCY)
        await self.site.profile(label, user_uuid=user_uuid, cnf_xml=config, placeholders=True)

    async def home(self, phone: SimulatedPhone, label: str) -> None:
        """The phone is there with a config of its own."""
        await phone.wait_for_boot(1, PATIENCE)
        switched = await self.site.switch(await self.site.profile(label), phone.mac)
        phone.restart("plugged in")
        await phone.wait_for_config(switched["sha256"], PATIENCE)

    async def log_in(self, user_uuid: str, phone: SimulatedPhone, **more: Any) -> PhoneLogin:
        login = await self.logins.log_in(SYSTEM, user_uuid, phone.mac, None, how=LoginWay.PHONE, **more)
        await phone.wait_for_config((await self.site.deployment(login.deployment or ""))["sha256"], PATIENCE)
        return login

    async def ended(self, login: PhoneLogin) -> Any:
        """The login, once it has ended."""
        history = await until(
            lambda: self.site.data("GET", "/phone-logins?history=true"),
            lambda rows: any(row["uuid"] == login.uuid and row["state"] == "ended" for row in rows),
        )
        return next(row for row in history if row["uuid"] == login.uuid)


@asynccontextmanager
async def day(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Day]:
    made: list[PhoneLogins] = []

    def keep(*arguments: Any, **options: Any) -> PhoneLogins:
        made.append(PhoneLogins(*arguments, **options))
        return made[-1]

    monkeypatch.setattr(appliance, "PhoneLogins", keep)
    async with opened(settings) as site:
        yield Day(site, made[-1])


def settings(directory: Path, **sections: Any) -> Settings:
    """Ports that stay when Cisisk is restarted: phones know no others."""
    tables = {"server": {"port": free_port()}, "tftp": {"port": free_port()}, **sections}
    return settings_for(directory, **tables)


async def is_back(phone: SimulatedPhone, content: str) -> None:
    await phone.wait_for_config(hashlib.sha256(content.encode()).hexdigest(), PATIENCE)


async def test_a_login_ends_with_the_phone_as_it_was_and_its_emergency_calls_stay_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with day(settings(tmp_path), monkeypatch) as here, here.site.phone("7942") as phone:
        await here.home(phone, "home")
        site = {"name": "Lisbon", "emergency_location": "Rua Augusta 1", "emergency_caller_id": "+351 21 112"}
        await here.site.data("POST", "/sites", site)
        own = {"location": "Lisbon", "emergency_caller_id": "+351 21 7"}
        await here.site.data("PUT", f"/phones/{phone.mac}", own)
        anna = await here.user("anna")
        await here.profile("anna", anna)
        login = await here.log_in(anna, phone)
        assert b"<emergency>Rua Augusta 1 +351 21 7</emergency>" in (phone.config or b"")
        (shown,) = await here.site.data("GET", "/phone-logins")
        assert (shown["uuid"], shown["location"], shown["state"]) == (login.uuid, "Lisbon", "open")

        out = await here.site.data("POST", f"/phone-logins/{phone.mac}/logout")
        assert (out["state"], out["reason"], out["returned_to"]) == ("ended", "administrator", "before")
        await is_back(phone, here.site.config("home"))
        deployment = await here.site.reaches(out["ended_by"], "fetched")
        assert (deployment["origin"], deployment["restart"]) == ("logout", "ok")
        assert await here.site.data("GET", "/phone-logins") == []


async def test_a_profile_that_is_changed_and_served_again_keeps_its_user_on_the_phone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with day(settings(tmp_path), monkeypatch) as here, here.site.phone("7942") as phone:
        await here.home(phone, "home")
        anna = await here.user("anna")
        await here.profile("anna", anna)
        login = await here.log_in(anna, phone)
        changed = here.site.config("changed")
        await here.site.data("PUT", f"/phone-profiles/{login.profile_uuid}", {"cnf_xml": changed})
        switched = await here.site.switch(login.profile_uuid, phone.mac)
        await is_back(phone, changed)
        back = await here.site.data("POST", f"/deployments/{switched['deployment']}/rollback")
        await phone.wait_for_config((await here.site.deployment(back["uuid"]))["sha256"], PATIENCE)
        (shown,) = await here.site.data("GET", "/phone-logins")
        assert (shown["uuid"], shown["state"], shown["reason"]) == (login.uuid, "open", None)
        await here.site.data("POST", f"/phone-logins/{phone.mac}/logout")
        await is_back(phone, here.site.config("home"))


async def test_a_user_takes_over_to_another_phone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    taken = settings(tmp_path, phone_login={"multiple": "take_over"})
    async with day(taken, monkeypatch) as here, here.site.phone("7942") as desk, here.site.phone("7942") as lobby:
        for phone, label in ((desk, "desk"), (lobby, "lobby")):
            await here.home(phone, label)
        anna = await here.user("anna")
        await here.profile("anna", anna)
        first = await here.log_in(anna, desk)
        with pytest.raises(LoggedInElsewhere) as refused:
            await here.log_in(anna, lobby)
        assert [login.uuid for login in refused.value.where] == [first.uuid]
        second = await here.log_in(anna, lobby, takes_over=True)
        assert (await here.ended(first))["reason"] == "take_over"
        await is_back(desk, here.site.config("desk"))
        assert [login["uuid"] for login in await here.site.data("GET", "/phone-logins")] == [second.uuid]


async def test_a_switch_over_the_api_ends_a_login_and_so_does_the_next_user(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with day(settings(tmp_path), monkeypatch) as here, here.site.phone("7942") as phone:
        await here.home(phone, "home")
        anna, anton = await here.user("anna"), await here.user("anton")
        await here.profile("anna", anna)
        await here.profile("anton", anton)
        first = await here.log_in(anna, phone)
        second = await here.log_in(anton, phone)
        assert (await here.ended(first))["reason"] == "next_user"
        await here.site.switch(await here.site.profile("guest"), phone.mac)
        assert (await here.ended(second))["reason"] == "switched"
        await is_back(phone, here.site.config("guest"))


@pytest.mark.parametrize(
    ("columns", "reason"),
    [({"until": "2026-01-01T00:00:00.000Z"}, "timeout"), ({"reason": "manual", "returned_to": "before"}, "manual")],
    ids=["it is over time", "it was being logged out"],
)
async def test_a_phone_gets_its_own_config_back_at_the_next_start_of_cisisk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, columns: dict[str, str], reason: str
) -> None:
    kept = settings(tmp_path, phone_login={"maximum_minutes": 30})
    async with AsyncExitStack() as stack:
        async with day(kept, monkeypatch) as here:
            phone = await stack.enter_async_context(here.site.phone("7942"))
            await here.home(phone, "home")
            anna = await here.user("anna")
            await here.profile("anna", anna)
            login = await here.log_in(anna, phone)
            home = here.site.config("home")
        with closing(sqlite3.connect(kept.data.dir / "cisisk.db")) as store:
            for column, value in columns.items():
                store.execute(f"UPDATE phone_logins SET {column} = ?", (value,))  # noqa: S608 -- names of this test
            store.commit()
        async with day(kept, monkeypatch) as here:
            ended = await here.ended(login)
            assert (ended["reason"], ended["returned_to"]) == (reason, "before")
            await is_back(phone, home)
