"""What goes wrong at three in the morning, while a phone is being switched."""

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
from tests.e2e.premises import Site, opened, settings_for
from tests.e2e.writes import Write, around
from tests.notices import codes_in
from tests.patience import PATIENCE

REFUSED = ErrorKind.STORAGE_FAILED.notice(text="The change could not be stored: disk I/O error")


def store_of(site: Site) -> sqlite3.Connection:
    return sqlite3.connect(site.settings.data.dir / "cisisk.db", isolation_level=None)


def states(site: Site) -> list[tuple[str, str | None, str | None]]:
    """Of every deployment, in order: its profile, what became of the restart, and the code of its failure."""
    with closing(store_of(site)) as store:
        return store.execute(
            "SELECT profile_name, restart_outcome, failure ->> 'code' FROM deployments ORDER BY number"
        ).fetchall()


async def try_to_switch(site: Site, profile: str, mac: Mac) -> tuple[int, str]:
    status, answer = await site.call("POST", "/phone-profiles/switch", {"profile_uuid": profile, "mac": str(mac)})
    return status, answer["message"]


class SilentPhone:
    """Takes calls at its address and never says a word."""

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
async def test_a_switch_during_which_cisisk_stops_is_finished_and_answered(
    tmp_path: Path, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner, name = STEPS[step]
    settings = settings_for(tmp_path)
    reached, stopping = asyncio.Event(), asyncio.Event()
    original, stop = getattr(owner, name), Deployer.stop

    async def at_the_end(*arguments: Any, **named: Any) -> Any:
        reached.set()
        await stopping.wait()
        return await original(*arguments, **named)

    async def stored_at_the_end(stored: Write) -> Any:
        reached.set()
        await stopping.wait()
        return await stored()

    async def announced(deployer: Deployer, seconds: float) -> None:
        stopping.set()
        await stop(deployer, seconds)

    monkeypatch.setattr(Deployer, "stop", announced)
    async with aiohttp.ClientSession() as session:
        async with appliance.running(settings) as running:
            site = Site(settings, running, session)
            await site.log_in()
            old, new = await site.profile("old"), await site.profile("new")
            mac = site.new_mac()
            await site.switch(old, mac)
            if owner is progress:
                monkeypatch.setattr(Database, "write", around(original, stored_at_the_end))
            else:
                monkeypatch.setattr(owner, name, at_the_end)
            asked = asyncio.create_task(site.switch(new, mac))
            await asyncio.wait_for(reached.wait(), PATIENCE)
        answer = await asyncio.wait_for(asked, PATIENCE)
    assert answer["profile"] == "new"
    assert (site.root / mac.config_name).read_bytes() == site.config("new").encode()
    told = states(site)
    assert told[-1] == ("new", answer["restart_outcome"], None)
    assert answer["restart_outcome"] in {"stopped", "refused"}
    monkeypatch.undo()
    monkeypatch.setenv("CISISK_ADMIN_PASSWORD", "unused")
    async with appliance.running(settings):
        assert states(site) == told


async def test_every_switch_that_waits_its_turn_at_a_silent_phone_is_answered_when_cisisk_stops(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, all_begun, switch = itertools.count(1), asyncio.Event(), Switcher.switch

    async def counted(*arguments: Any) -> Any:
        if next(begun) == 50:
            all_begun.set()
        return await switch(*arguments)

    monkeypatch.setattr(Switcher, "switch", counted)
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
            # What has not arrived when the server stops is answered by nobody.
            await asyncio.wait_for(all_begun.wait(), PATIENCE)
            stopped_at = time.monotonic()
        assert time.monotonic() - stopped_at < 2
        answers = await asyncio.wait_for(asyncio.gather(*asked), PATIENCE)
    assert {answer["restart_outcome"] for answer in answers} <= {"superseded", "stopped"}


async def test_a_switch_whose_caller_hangs_up_goes_on_to_its_end(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
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
    # It takes its turn after the one that was left alone.
    await site.switch(profile, mac)
    assert [(name, failure) for name, _, failure in states(site)] == [("201", None), ("201", None)]


@pytest.mark.parametrize("step", ["written", "restart_tried"])
async def test_a_database_that_fails_after_the_write_is_told_and_its_record_follows(
    tmp_path: Path, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise StorageFailed(REFUSED)

    settings = settings_for(tmp_path)
    async with opened(settings) as site:
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
    async with opened(settings) as site:
        assert states(site)[-1] == ("new", RestartOutcome.CUT_OFF, None)
        assert (await site.data("GET", f"/phones/{mac}"))["current_profile_uuid"] == new


async def test_a_file_that_cannot_be_read_back_is_told_and_its_record_follows(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
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


async def test_one_file_that_is_no_config_does_not_keep_cisisk_from_starting(tmp_path: Path) -> None:
    settings = settings_for(tmp_path)
    async with opened(settings) as site:
        mac, other, profile = site.new_mac(), site.new_mac(), await site.profile("201")
        await site.switch(profile, mac)
        await site.switch(profile, other)
        with closing(store_of(site)) as store:
            store.execute("UPDATE deployments SET state = 'recorded', written_at = NULL, restart_outcome = NULL")
    with (site.root / mac.config_name).open("wb") as huge:
        huge.truncate(9 << 20)
    async with opened(settings) as site:
        assert states(site) == [("201", None, None), ("201", RestartOutcome.CUT_OFF, None)]
        status, message = await try_to_switch(site, profile, mac)
        assert status == 503
        assert "Move it away" in message


@pytest.mark.parametrize("gone", ["phone", "profile", "file", "nothing"])
async def test_what_has_changed_since_a_switch_was_cut_off_does_not_stop_the_next_start(
    tmp_path: Path, gone: str
) -> None:
    settings = settings_for(tmp_path)
    async with opened(settings) as site:
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
    async with opened(settings) as site:
        told = await site.deployment(switched["deployment"])
        if gone == "file":
            assert (told["state"], told["failure_detail"]["code"]) == ("failed", DeploymentFailure.CUT_OFF)
        else:
            assert (told["state"], told["restart_outcome"]) == ("waiting", "cut_off")
        again = await site.profile("305")
        assert (await site.switch(again, mac))["profile"] == "305"
        assert site.versions(mac)[-1] == ("switch", site.config("305").encode())


async def test_of_several_switches_of_a_phone_that_were_cut_off_the_last_one_counts(tmp_path: Path) -> None:
    settings = settings_for(tmp_path)
    async with opened(settings) as site:
        mac = site.new_mac()
        one, other = await site.profile("one"), await site.profile("other", cnf_xml=site.config("one"))
        for profile in (one, await site.profile("between"), other):
            await site.switch(profile, mac)
        with closing(store_of(site)) as store:
            store.execute(
                "UPDATE deployments SET state = 'recorded', written_at = NULL, restart_outcome = NULL,"
                " superseded_at = NULL, ended_at = NULL"
            )
    async with opened(settings) as site:
        assert states(site) == [
            ("one", RestartOutcome.CUT_OFF, None),
            ("between", None, DeploymentFailure.CUT_OFF),
            ("other", RestartOutcome.CUT_OFF, None),
        ]
        assert (await site.data("GET", f"/phones/{mac}"))["current_profile_uuid"] == other


async def test_an_address_of_our_own_is_asked_for_nothing_but_a_restart(site: Site, tmp_path: Path) -> None:
    """Whatever address is entered or learnt: it is POSTed a command at one port and one path, and no more."""
    port = int(site.running.api_url.rpartition(":")[2])
    async with opened(settings_for(tmp_path / "other", phone_http={"port": port})) as other:
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
async def test_a_phone_may_ask_in_any_letters_and_gets_a_plain_no(site: Site, query: str) -> None:
    port = int(site.running.phones_url.rpartition(":")[2])
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    with closing(writer):
        writer.write(f"GET /cisco/authentication?{query} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
        answer = await asyncio.wait_for(reader.read(), PATIENCE)
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert answer.endswith(b"\r\n\r\nUN-AUTHORIZED")


async def test_a_server_for_every_address_is_reached_by_old_and_new_ones(tmp_path: Path) -> None:
    async with opened(settings_for(tmp_path, server={"host": "::"}, tftp={"host": "::"})) as site:
        for host in ("127.0.0.1", "[::1]"):
            port = site.running.phones_url.rpartition(":")[2]
            async with site.session.get(f"http://{host}:{port}/api/v1/hello") as answer:
                assert answer.status == 200
                assert (await answer.json())["metadata"]["ip"] == host.strip("[]")
