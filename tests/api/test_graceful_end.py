"""Requests and logins when the appliance stops."""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Self

import aiohttp
import pytest

from cisisk.appliance import appliance
from cisisk.config import Settings
from tests.api.client import CONFIG, MAC, SWITCH, Client, settings_for
from tests.patience import PATIENCE


class SilentPhone:
    """Accepts connections and never answers."""

    def __init__(self) -> None:
        self.called = asyncio.Event()
        self._calls: set[asyncio.StreamWriter] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._take, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for call in self._calls:
            call.close()
        await self._server.wait_closed()

    async def _take(self, _reader: asyncio.StreamReader, call: asyncio.StreamWriter) -> None:
        self._calls.add(call)
        self.called.set()


@pytest.fixture
async def silent_phone() -> AsyncIterator[SilentPhone]:
    async with SilentPhone() as phone:
        yield phone


@pytest.fixture
def with_silent_phone(settings: Settings, silent_phone: SilentPhone) -> Settings:
    # Longer than the appliance may take to stop.
    return settings_for(settings.data.dir.parent, phone_http={"port": silent_phone.port, "timeout": 60})


async def test_switch_of_silent_phone_is_answered_at_stop(
    with_silent_phone: Settings, silent_phone: SilentPhone
) -> None:
    async with aiohttp.ClientSession() as session:
        async with appliance.running(with_silent_phone) as running:
            admin = await Client(session, running.api_url).login("admin")
            owner = (await admin.get("/me")).data["uuid"]
            profile = await admin.new_profile(owner)
            await admin.post("/phones", {"mac": MAC, "phone_ip": "127.0.0.1"})
            asked = asyncio.create_task(admin.post(SWITCH, {"profile_uuid": profile, "mac": MAC}))
            await asyncio.wait_for(silent_phone.called.wait(), PATIENCE)
            stopped_at = time.monotonic()
        assert time.monotonic() - stopped_at < 6
        answer = await asyncio.wait_for(asked, PATIENCE)
    assert answer.status == 200
    assert answer.data["restart_outcome"] == "stopped"
    # The next start finds the switch complete.
    async with appliance.running(with_silent_phone) as running, aiohttp.ClientSession() as session:
        admin = await Client(session, running.api_url).login("admin")
        assert (await admin.get(f"/phone-config/{MAC}")).content == CONFIG.encode()
        deployment = (await admin.get(f"/deployments/{answer.data['deployment']}")).data
        assert (deployment["state"], deployment["restart"]) == ("waiting", answer.data["restart"])


async def test_login_survives_restart_of_appliance(settings: Settings) -> None:
    async with appliance.running(settings) as running, aiohttp.ClientSession() as session:
        first = await Client(session, running.api_url).login("admin")
    async with appliance.running(settings) as running, aiohttp.ClientSession() as session:
        assert (await Client(session, running.api_url, first.token).get("/me")).status == 200


async def test_stop_does_not_wait_for_idle_connection(settings: Settings) -> None:
    async with aiohttp.ClientSession() as session:
        async with appliance.running(settings) as running:
            assert (await Client(session, running.api_url).get("/hello")).status == 200
            _, idle = await asyncio.open_connection("127.0.0.1", int(running.api_url.rpartition(":")[2]))
            stopped_at = time.monotonic()
        assert time.monotonic() - stopped_at < 2
        idle.close()
