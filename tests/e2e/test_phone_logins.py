"""Phone logins through the whole appliance: login, takeover, logout by time, and the return to the home config."""

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
from tests.e2e.running_site import Site, free_port, open_site, settings_for, until
from tests.patience import PATIENCE

EMERGENCY = "<emergency>{{emergency_location}} {{emergency_caller_id}}</emergency></device>"


class LoginSite:
    """A site with direct access to its phone logins, as the phone pages have it."""

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
        """Give the phone a home config and wait until it runs it."""
        await phone.wait_for_boot(1, PATIENCE)
        switched = await self.site.switch(await self.site.profile(label), phone.mac)
        phone.restart("plugged in")
        await phone.wait_for_config(switched["sha256"], PATIENCE)

    async def log_in(self, user_uuid: str, phone: SimulatedPhone, **more: Any) -> PhoneLogin:
        login = await self.logins.log_in(SYSTEM, user_uuid, phone.mac, None, how=LoginWay.PHONE, **more)
        await phone.wait_for_config((await self.site.deployment(login.deployment or ""))["sha256"], PATIENCE)
        return login

    async def ended(self, login: PhoneLogin) -> Any:
        """Wait until a login has ended, and return it."""
        history = await until(
            lambda: self.site.data("GET", "/phone-logins?history=true"),
            lambda rows: any(row["uuid"] == login.uuid and row["state"] == "ended" for row in rows),
        )
        return next(row for row in history if row["uuid"] == login.uuid)


@asynccontextmanager
async def login_site(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[LoginSite]:
    made: list[PhoneLogins] = []

    def create(*arguments: Any, **options: Any) -> PhoneLogins:
        made.append(PhoneLogins(*arguments, **options))
        return made[-1]

    monkeypatch.setattr(appliance, "PhoneLogins", create)
    async with open_site(settings) as site:
        yield LoginSite(site, made[-1])


def settings(directory: Path, **sections: Any) -> Settings:
    """Return settings with ports that survive a restart of Cisisk, because phones keep using them."""
    tables = {"server": {"port": free_port()}, "tftp": {"port": free_port()}, **sections}
    return settings_for(directory, **tables)


async def runs(phone: SimulatedPhone, content: str) -> None:
    await phone.wait_for_config(hashlib.sha256(content.encode()).hexdigest(), PATIENCE)


async def test_logout_restores_home_config_and_login_keeps_phone_emergency_values(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with login_site(settings(tmp_path), monkeypatch) as setup, setup.site.phone("7942") as phone:
        await setup.home(phone, "home")
        site = {"name": "Lisbon", "emergency_location": "Rua Augusta 1", "emergency_caller_id": "+351 21 112"}
        await setup.site.data("POST", "/sites", site)
        own = {"location": "Lisbon", "emergency_caller_id": "+351 21 7"}
        await setup.site.data("PUT", f"/phones/{phone.mac}", own)
        anna = await setup.user("anna")
        await setup.profile("anna", anna)
        login = await setup.log_in(anna, phone)
        assert b"<emergency>Rua Augusta 1 +351 21 7</emergency>" in (phone.config or b"")
        (shown,) = await setup.site.data("GET", "/phone-logins")
        assert (shown["uuid"], shown["location"], shown["state"]) == (login.uuid, "Lisbon", "open")

        out = await setup.site.data("POST", f"/phone-logins/{phone.mac}/logout")
        assert (out["state"], out["reason"], out["returned_to"]) == ("ended", "administrator", "before")
        await runs(phone, setup.site.config("home"))
        deployment = await setup.site.reaches(out["ended_by"], "fetched")
        assert (deployment["origin"], deployment["restart"]) == ("logout", "ok")
        assert await setup.site.data("GET", "/phone-logins") == []


async def test_switch_to_changed_profile_keeps_login_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with login_site(settings(tmp_path), monkeypatch) as setup, setup.site.phone("7942") as phone:
        await setup.home(phone, "home")
        anna = await setup.user("anna")
        await setup.profile("anna", anna)
        login = await setup.log_in(anna, phone)
        changed = setup.site.config("changed")
        await setup.site.data("PUT", f"/phone-profiles/{login.profile_uuid}", {"cnf_xml": changed})
        switched = await setup.site.switch(login.profile_uuid, phone.mac)
        await runs(phone, changed)
        back = await setup.site.data("POST", f"/deployments/{switched['deployment']}/rollback")
        await phone.wait_for_config((await setup.site.deployment(back["uuid"]))["sha256"], PATIENCE)
        (shown,) = await setup.site.data("GET", "/phone-logins")
        assert (shown["uuid"], shown["state"], shown["reason"]) == (login.uuid, "open", None)
        await setup.site.data("POST", f"/phone-logins/{phone.mac}/logout")
        await runs(phone, setup.site.config("home"))


async def test_login_on_second_phone_with_takeover_ends_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    taken = settings(tmp_path, phone_login={"multiple": "take_over"})
    async with (
        login_site(taken, monkeypatch) as setup,
        setup.site.phone("7942") as desk,
        setup.site.phone("7942") as lobby,
    ):
        for phone, label in ((desk, "desk"), (lobby, "lobby")):
            await setup.home(phone, label)
        anna = await setup.user("anna")
        await setup.profile("anna", anna)
        first = await setup.log_in(anna, desk)
        with pytest.raises(LoggedInElsewhere) as refused:
            await setup.log_in(anna, lobby)
        assert [login.uuid for login in refused.value.where] == [first.uuid]
        second = await setup.log_in(anna, lobby, takes_over=True)
        assert (await setup.ended(first))["reason"] == "take_over"
        await runs(desk, setup.site.config("desk"))
        assert [login["uuid"] for login in await setup.site.data("GET", "/phone-logins")] == [second.uuid]


async def test_login_ends_by_api_switch_and_by_next_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with login_site(settings(tmp_path), monkeypatch) as setup, setup.site.phone("7942") as phone:
        await setup.home(phone, "home")
        anna, anton = await setup.user("anna"), await setup.user("anton")
        await setup.profile("anna", anna)
        await setup.profile("anton", anton)
        first = await setup.log_in(anna, phone)
        second = await setup.log_in(anton, phone)
        assert (await setup.ended(first))["reason"] == "next_user"
        await setup.site.switch(await setup.site.profile("guest"), phone.mac)
        assert (await setup.ended(second))["reason"] == "switched"
        await runs(phone, setup.site.config("guest"))


@pytest.mark.parametrize(
    ("columns", "reason"),
    [({"until": "2026-01-01T00:00:00.000Z"}, "timeout"), ({"reason": "manual", "returned_to": "before"}, "manual")],
    ids=["timeout", "unfinished logout"],
)
async def test_overdue_logout_at_start_restores_home_config(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, columns: dict[str, str], reason: str
) -> None:
    fixed = settings(tmp_path, phone_login={"maximum_minutes": 30})
    async with AsyncExitStack() as stack:
        async with login_site(fixed, monkeypatch) as setup:
            phone = await stack.enter_async_context(setup.site.phone("7942"))
            await setup.home(phone, "home")
            anna = await setup.user("anna")
            await setup.profile("anna", anna)
            login = await setup.log_in(anna, phone)
            home = setup.site.config("home")
        with closing(sqlite3.connect(fixed.data.dir / "cisisk.db")) as store:
            for column, value in columns.items():
                store.execute(f"UPDATE phone_logins SET {column} = ?", (value,))  # noqa: S608 -- no user input
            store.commit()
        async with login_site(fixed, monkeypatch) as setup:
            ended = await setup.ended(login)
            assert (ended["reason"], ended["returned_to"]) == (reason, "before")
            await runs(phone, home)
