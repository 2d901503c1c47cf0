"""Switches during stops, crashes and failures of the database or the file system."""

import asyncio
import itertools
import sqlite3
import time
from contextlib import AsyncExitStack, closing
from pathlib import Path
from typing import Any, Self

import aiohttp
import pytest

from cisisk.appliance import appliance
from cisisk.mobility.deploy import Deployer
from cisisk.mobility.switch import Switcher
from cisisk.model.codes.deployment import DeploymentFailure
from cisisk.model.codes.error import ErrorKind
from cisisk.model.codes.restart import RestartRefusal
from cisisk.model.errors import StorageFailed
from cisisk.model.mac import Mac
from cisisk.model.messages import render
from cisisk.model.restart import RestartOutcome
from cisisk.provisioning.library import Library
from cisisk.restart.method import Restarts
from cisisk.store import progress
from cisisk.store.database import Database
from tests.e2e.database_writes import Write, around
from tests.e2e.running_site import Site, open_site, settings_for
from tests.notices import codes_in
from tests.patience import PATIENCE

REFUSED = ErrorKind.STORAGE_FAILED.notice(text="The change could not be stored: disk I/O error")


def store_of(site: Site) -> sqlite3.Connection:
    return sqlite3.connect(site.settings.data.dir / "cisisk.db", isolation_level=None)


def states(site: Site) -> list[tuple[str, str | None, str | None]]:
    """Return profile name, restart outcome and failure code of every deployment, in order."""
    with closing(store_of(site)) as store:
        return store.execute(
            "SELECT profile_name, restart_outcome, failure ->> 'code' FROM deployments ORDER BY number"
        ).fetchall()


async def try_to_switch(site: Site, profile: str, mac: Mac) -> tuple[int, str]:
    status, answer = await site.call("POST", "/phone-profiles/switch", {"profile_uuid": profile, "mac": str(mac)})
    return status, answer["message"]


class SilentPhone:
    """Accepts connections at its address and never answers."""

    def __init__(self, address: str, port: int) -> None:
        self.address = address
        self.called = asyncio.Event()
        self._port = port
        self._calls: list[asyncio.StreamWriter] = []

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._take, self.address, self._port)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for call in self._calls:
            call.close()
        await self._server.wait_closed()

    async def _take(self, _reader: asyncio.StreamReader, call: asyncio.StreamWriter) -> None:
        self._calls.append(call)
        self.called.set()


STEPS = {
    "resolve": (Switcher, "_resolve"),
    "record": (progress, "record"),
    "commit": (progress, "written"),
    "close and restart": (Deployer, "_call"),
    "restart": (Restarts, "restart"),
    "outcome": (progress, "restart_tried"),
}


@pytest.mark.parametrize("step", STEPS)
async def test_switch_interrupted_by_stop_is_finished_and_answered(
    tmp_path: Path, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner, name = STEPS[step]
    settings = settings_for(tmp_path)
    reached, stopping = asyncio.Event(), asyncio.Event()
    original, stop = getattr(owner, name), Deployer.stop

    async def wait_until_stopping(*arguments: Any, **named: Any) -> Any:
        reached.set()
        await stopping.wait()
        return await original(*arguments, **named)

    async def store_when_stopping(stored: Write) -> Any:
        reached.set()
        await stopping.wait()
        return await stored()

    async def stop_and_signal(deployer: Deployer, seconds: float) -> None:
        stopping.set()
        await stop(deployer, seconds)

    monkeypatch.setattr(Deployer, "stop", stop_and_signal)
    async with aiohttp.ClientSession() as session:
        async with appliance.running(settings) as running:
            site = Site(settings, running, session)
            await site.log_in()
            old, new = await site.profile("old"), await site.profile("new")
            mac = site.new_mac()
            await site.switch(old, mac)
            if owner is progress:
                monkeypatch.setattr(Database, "write", around(original, store_when_stopping))
            else:
                monkeypatch.setattr(owner, name, wait_until_stopping)
            asked = asyncio.create_task(site.switch(new, mac))
            await asyncio.wait_for(reached.wait(), PATIENCE)
        answer = await asyncio.wait_for(asked, PATIENCE)
    assert answer["profile"] == "new"
    assert (site.root / mac.config_name).read_bytes() == site.config("new").encode()
    before = states(site)
    assert before[-1] == ("new", answer["restart_outcome"], None)
    assert answer["restart_outcome"] in {"stopped", "refused"}
    monkeypatch.undo()
    monkeypatch.setenv("CISISK_ADMIN_PASSWORD", "unused")
    async with appliance.running(settings):
        assert states(site) == before


async def test_waiting_switches_of_silent_phone_are_answered_at_stop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, all_begun, switch = itertools.count(1), asyncio.Event(), Switcher.switch

    async def count_switches(*arguments: Any) -> Any:
        if next(begun) == 50:
            all_begun.set()
        return await switch(*arguments)

    monkeypatch.setattr(Switcher, "switch", count_switches)
    settings = settings_for(tmp_path, phone_http={"timeout": 60})
    async with AsyncExitStack() as stack:
        phone = await stack.enter_async_context(SilentPhone("127.0.0.9", settings.phone_http.port))
        session = await stack.enter_async_context(aiohttp.ClientSession())
        async with appliance.running(settings) as running:
            site = Site(settings, running, session)
            await site.log_in()
            mac, profile = site.new_mac(), await site.profile("201")
            await site.data("POST", "/phones", {"mac": str(mac), "phone_ip": phone.address})
            asked = [asyncio.create_task(site.switch(profile, mac)) for _ in range(50)]
            await asyncio.wait_for(phone.called.wait(), PATIENCE)
            # The server answers only requests that arrived before it stops.
            await asyncio.wait_for(all_begun.wait(), PATIENCE)
            stopped_at = time.monotonic()
        # It did not wait for the phone.
        assert time.monotonic() - stopped_at < settings.phone_http.timeout / 2
        answers = await asyncio.wait_for(asyncio.gather(*asked), PATIENCE)
    assert {answer["restart_outcome"] for answer in answers} <= {"superseded", "stopped"}


async def test_switch_continues_after_client_disconnects(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    reached, hung_up = asyncio.Event(), asyncio.Event()

    async def held(stored: Write) -> Any:
        reached.set()
        await hung_up.wait()
        return await stored()

    monkeypatch.setattr(Database, "write", around(progress.record, held))
    mac, profile = site.new_mac(), await site.profile("201")
    asked = asyncio.create_task(site.switch(profile, mac))
    await asyncio.wait_for(reached.wait(), PATIENCE)
    asked.cancel()
    await asyncio.wait([asked])
    hung_up.set()
    # The second switch waits for the lock of the first.
    await site.switch(profile, mac)
    assert [(name, failure) for name, _, failure in states(site)] == [("201", None), ("201", None)]


@pytest.mark.parametrize("step", ["written", "restart_tried"])
async def test_switch_with_database_failure_after_write_is_recorded_later(
    tmp_path: Path, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise StorageFailed(REFUSED)

    settings = settings_for(tmp_path)
    async with open_site(settings) as site:
        mac, old, new = site.new_mac(), await site.profile("old"), await site.profile("new")
        await site.switch(old, mac)
        with monkeypatch.context() as broken:
            broken.setattr(progress, step, fail)
            status, message = await try_to_switch(site, new, mac)
        assert (status, message) == (
            503,
            render(ErrorKind.SERVED_NEVERTHELESS.notice(reason=REFUSED)),
        )
        assert (site.root / mac.config_name).read_bytes() == site.config("new").encode()
    async with open_site(settings) as site:
        assert states(site)[-1] == ("new", RestartOutcome.CUT_OFF, None)
        assert (await site.data("GET", f"/phones/{mac}"))["current_profile_uuid"] == new


async def test_switch_with_failed_read_back_is_recorded_later(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(24, "Too many open files")

    mac, profile = site.new_mac(), await site.profile("201")
    with monkeypatch.context() as broken:
        broken.setattr(Library, "open", refuse)
        status, message = await try_to_switch(site, profile, mac)
    assert status == 503
    assert "cannot be read back: [Errno 24] Too many open files" in message
    await site.switch(profile, mac)
    assert [failure for _, _, failure in states(site)] == [None, None]


async def test_start_with_oversized_config_file_succeeds(tmp_path: Path) -> None:
    settings = settings_for(tmp_path)
    async with open_site(settings) as site:
        mac, other, profile = site.new_mac(), site.new_mac(), await site.profile("201")
        await site.switch(profile, mac)
        await site.switch(profile, other)
        with closing(store_of(site)) as store:
            store.execute("UPDATE deployments SET state = 'recorded', written_at = NULL, restart_outcome = NULL")
    with (site.root / mac.config_name).open("wb") as huge:
        huge.truncate(9 << 20)
    async with open_site(settings) as site:
        assert states(site) == [("201", None, None), ("201", RestartOutcome.CUT_OFF, None)]
        status, message = await try_to_switch(site, profile, mac)
        assert status == 503
        assert "Move it away" in message


@pytest.mark.parametrize("gone", ["phone", "profile", "file", "nothing"])
async def test_start_after_interrupted_switch_accepts_later_changes(tmp_path: Path, gone: str) -> None:
    settings = settings_for(tmp_path)
    async with open_site(settings) as site:
        mac, profile = site.new_mac(), await site.profile("201")
        switched = await site.switch(profile, mac)
        if gone == "phone":
            await site.data("DELETE", f"/phones/{mac}")
        elif gone == "profile":
            await site.data("DELETE", f"/phone-profiles/{profile}")
        with closing(store_of(site)) as store:
            store.execute("UPDATE deployments SET state = 'recorded', written_at = NULL, restart_outcome = NULL")
        if gone == "file":
            (site.root / mac.config_name).write_bytes(b"<device>by hand</device>")
    async with open_site(settings) as site:
        stored = await site.deployment(switched["deployment"])
        if gone == "file":
            assert (stored["state"], stored["failure_detail"]["code"]) == ("failed", DeploymentFailure.CUT_OFF)
        else:
            assert (stored["state"], stored["restart_outcome"]) == ("waiting", "cut_off")
        again = await site.profile("305")
        assert (await site.switch(again, mac))["profile"] == "305"
        assert site.versions(mac)[-1] == ("switch", site.config("305").encode())


async def test_start_after_interrupted_switches_keeps_the_last(tmp_path: Path) -> None:
    settings = settings_for(tmp_path)
    async with open_site(settings) as site:
        mac = site.new_mac()
        one, other = await site.profile("one"), await site.profile("other", cnf_xml=site.config("one"))
        for profile in (one, await site.profile("between"), other):
            await site.switch(profile, mac)
        with closing(store_of(site)) as store:
            store.execute(
                "UPDATE deployments SET state = 'recorded', written_at = NULL, restart_outcome = NULL,"
                " superseded_at = NULL, ended_at = NULL"
            )
    async with open_site(settings) as site:
        assert states(site) == [
            ("one", RestartOutcome.CUT_OFF, None),
            ("between", None, DeploymentFailure.CUT_OFF),
            ("other", RestartOutcome.CUT_OFF, None),
        ]
        assert (await site.data("GET", f"/phones/{mac}"))["current_profile_uuid"] == other


async def test_restart_at_address_of_cisisk_itself_is_refused(site: Site, tmp_path: Path) -> None:
    """Cisisk sends an address only a POST to the port and path of phones, so its own API answers 404."""
    port = int(site.running.api_url.rpartition(":")[2])
    async with open_site(settings_for(tmp_path / "other", phone_http={"port": port})) as other:
        mac = other.new_mac()
        await other.data("POST", "/phones", {"mac": str(mac), "phone_ip": "127.0.0.1"})
        switched = await other.switch(await other.profile("201"), mac)
    assert RestartRefusal.HTTP_STATUS in codes_in(switched["restart_detail"])


@pytest.mark.parametrize(
    "query",
    [
        "UserID=%FF%FE&Password=%00",
        "USERID=a&userid=b&PaSsWoRd=%ED%A0%80",
        "UserID&Password&devicename",
        "%=%&&&=",
        "UserID=" + "x" * 4000,
        "UserID=%E2%82%AC&Password=%F0%9F%98%80&devicename=SEP%0D%0AX:%20y",
    ],
)
async def test_authentication_with_hostile_query_is_unauthorized(site: Site, query: str) -> None:
    port = int(site.running.phones_url.rpartition(":")[2])
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    with closing(writer):
        writer.write(f"GET /cisco/authentication?{query} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
        answer = await asyncio.wait_for(reader.read(), PATIENCE)
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert answer.endswith(b"\r\n\r\nUN-AUTHORIZED")


async def test_server_on_all_addresses_answers_ipv4_and_ipv6(tmp_path: Path) -> None:
    async with open_site(settings_for(tmp_path, server={"host": "::"}, tftp={"host": "::"})) as site:
        for host in ("127.0.0.1", "[::1]"):
            port = site.running.phones_url.rpartition(":")[2]
            async with site.session.get(f"http://{host}:{port}/api/v1/hello") as answer:
                assert answer.status == 200
                assert (await answer.json())["metadata"]["ip"] == host.strip("[]")
