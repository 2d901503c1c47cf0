"""A thousand phones switched in one job; a job that is killed half way; one whose canary fails."""

import asyncio
import json
import os
import signal
import sqlite3
import statistics
import sys
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, closing, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from cisisk.config import Settings
from cisisk.model.mac import Mac
from tests.e2e.job_child import STEPS
from tests.e2e.premises import Site, config, free_port, opened, settings_for
from tests.protocol.asterisk import SECRET, USERNAME

ROOT = Path(__file__).parents[2]
JOB_SECONDS = 240.0
"""For a job of a thousand phones, on a machine that does other things too."""
FETCH_SECONDS = 10
"""A phone whose restart was cut off by the kill is given all of them before it is told again."""
FIRST_MAC = 0x0022_3344_0001
MOST_TIMES_SLOWER = 60.0
"""The median answer during a job against that of an idle appliance: some milliseconds against less than one."""
SLOWEST = 2.0
"""Seconds. What takes longer than the eye of an administrator waits would be a loop that stood still."""
OLD, NEW = "old-", "new-"
"""How the lines are called, before the name of the phone."""


@dataclass
class Rack:
    """Phones in a process of their own, and their Asterisk."""

    process: asyncio.subprocess.Process
    macs: Sequence[Mac]
    ami: int
    sip: int

    def config(self, line: str) -> str:
        member = (
            f"<callManager><ports><sipPort>{self.sip}</sipPort></ports>"
            "<processNodeName>127.0.0.1</processNodeName></callManager>"
        )
        group = f"<callManagerGroup><members><member priority='0'>{member}</member></members></callManagerGroup>"
        return config(line, devicePool=group, transportLayerProtocol="2")

    def settings(self, directory: Path, **sections: dict[str, Any]) -> Settings:
        """Of a site where they are phones; the configs that they run lie there already."""
        there = {"host": "127.0.0.1", "port": self.ami, "username": USERNAME, "secret": SECRET}
        settings = settings_for(directory, asterisk=there, restart={"sip": ["ami-pjsip"]}, **sections)
        settings.served_root.mkdir(mode=0o700, parents=True, exist_ok=True)
        for mac in self.macs:
            (settings.served_root / mac.config_name).write_text(self.config(OLD + mac.device_name))
        return settings

    async def power_on(self, settings: Settings, tftp_port: int) -> None:
        ports = {"tftp_port": tftp_port, "web_port": settings.phone_http.port, "sip_port": settings.phone_sip.port}
        await self.tell(ports)
        assert await self.told() == {"registered": len(self.macs)}

    async def ends(self) -> Mapping[str, tuple[int, str, bool]]:
        """For each MAC, how often the phone has booted, what it runs, and whether it is registered."""
        await self.tell("stop")
        return dict((await self.told())["phones"])

    async def tell(self, news: Any) -> None:
        assert self.process.stdin
        self.process.stdin.write(f"{json.dumps(news)}\n".encode())
        await self.process.stdin.drain()

    async def told(self) -> Any:
        assert self.process.stdout
        async with asyncio.timeout(JOB_SECONDS):
            return json.loads(await self.process.stdout.readline())


@asynccontextmanager
async def rack(count: int) -> AsyncIterator[Rack]:
    macs = [Mac.parse(f"{FIRST_MAC + number:012X}") for number in range(count)]
    # A network of its own for each process that runs tests.
    network = f"127.{210 + os.getpid() % 40}.{os.getpid() // 40 % 60 * 4}.0/22"
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, str(ROOT / "tests/e2e/rack_child.py"), str(count), str(macs[0]), network),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        limit=1 << 24,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    try:
        found = Rack(process, macs, 0, 0)
        ports = await found.told()
        found.ami, found.sip = ports["ami"], ports["sip"]
        yield found
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def new_profile(site: Site, phones: Rack) -> str:
    """What they are switched to."""
    xml = phones.config(NEW + "{{device_name}}")
    return await site.profile("new", cnf_xml=xml, placeholders=True)


async def start(site: Site, phones: Rack, profile: str, **more: Any) -> str:
    rows = [{"mac": str(mac), "profile_uuid": profile, "desk": f"A{number}"} for number, mac in enumerate(phones.macs)]
    return str((await site.data("POST", "/switch-jobs", {"rows": rows, **more}))["uuid"])


async def comes_to_rest(site: Site, uuid: str) -> Any:
    """The job, once it runs no more."""
    async with asyncio.timeout(JOB_SECONDS):
        while (job := await site.data("GET", f"/switch-jobs/{uuid}"))["state"] == "running":  # noqa: ASYNC110 -- it is behind the API
            await asyncio.sleep(0.2)
        return job


async def all_rows(site: Site, uuid: str) -> list[Any]:
    return list(await site.data("GET", f"/switch-jobs/{uuid}/rows?limit=1000"))


@dataclass
class Health:
    """How long the appliance takes to say how it is."""

    site: Site
    seconds: list[float] = field(default_factory=list)

    async def ask(self) -> None:
        began = time.perf_counter()
        assert (await self.site.data("GET", "/health"))["status"] == "ok"
        self.seconds.append(time.perf_counter() - began)

    async def ask_often(self) -> None:
        while True:
            await self.ask()
            await asyncio.sleep(0.05)


async def test_a_thousand_phones_are_switched_in_one_job_and_all_of_them_confirmed(tmp_path: Path) -> None:
    async with rack(1000) as phones:
        settings = phones.settings(tmp_path)
        async with opened(settings) as site:
            assert site.running.tftp_address
            await phones.power_on(settings, site.running.tftp_address[1])
            profile = await new_profile(site, phones)
            idle, busy = Health(site), Health(site)
            for _ in range(50):
                await idle.ask()
            asking = asyncio.create_task(busy.ask_often())
            began = time.perf_counter()
            uuid = await start(site, phones, profile, concurrency=64, policy={"fetch_seconds": 120})
            job = await comes_to_rest(site, uuid)
            took = time.perf_counter() - began
            asking.cancel()
            slower = statistics.median(busy.seconds) / statistics.median(idle.seconds)
            print(f"{took:.1f} s; health {slower:.1f} times slower in the median, {max(busy.seconds):.2f} s at most")
            assert (job["state"], job["counts"]) == ("completed", {"confirmed": 1000})
            assert slower < MOST_TIMES_SLOWER
            assert max(busy.seconds) < SLOWEST

            rows = await all_rows(site, uuid)
            assert [row["input"]["desk"] for row in rows] == [f"A{number}" for number in range(1000)]
            served = {row["mac"]: (await site.deployment(row["deployment"]))["sha256"] for row in rows}
            assert {row["restart"] for row in rows} == {"ok"}
            ends = await phones.ends()
            assert {mac: sha256 for mac, (_, sha256, _) in ends.items()} == served
            # Each was restarted once, and is back.
            assert {(runs, registered) for runs, _, registered in ends.values()} == {(2, True)}


@pytest.mark.parametrize("step", STEPS)
async def test_a_job_that_is_killed_goes_on_where_it_was_and_switches_no_phone_twice(tmp_path: Path, step: str) -> None:
    count = 40 if step == "half way" else 4
    async with rack(count) as phones:
        fixed: dict[str, dict[str, Any]] = {
            "tftp": {"host": "127.0.0.1", "port": free_port()},
            "switch": {"fetch_seconds": FETCH_SECONDS},
        }
        settings = phones.settings(tmp_path, **fixed)
        child = [str(ROOT / "tests/e2e/job_child.py"), str(tmp_path), step, json.dumps(fixed), str(phones.ami)]
        child += [str(settings.phone_http.port), str(settings.phone_sip.port)]
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, *child),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        assert process.stdin
        assert process.stdout
        assert await process.stdout.readline() == b"ready\n"
        await phones.power_on(settings, settings.tftp.port)
        order = {"macs": [str(mac) for mac in phones.macs], "xml": phones.config(NEW + "{{device_name}}")}
        process.stdin.write(f"{json.dumps(order)}\n".encode())
        async with asyncio.timeout(JOB_SECONDS):
            assert await process.wait() == -signal.SIGKILL
        with closing(sqlite3.connect(settings.data.dir / "cisisk.db")) as store:
            (before,) = store.execute("SELECT COUNT(*) FROM deployments").fetchone()
            assert before < count

        async with opened(settings) as site:
            (job,) = await site.data("GET", "/switch-jobs")
            ended = await comes_to_rest(site, job["uuid"])
            assert (ended["state"], ended["counts"]) == ("completed", {"confirmed": count})
            for row in await all_rows(site, job["uuid"]):
                written = [
                    each["uuid"]
                    for each in await site.data("GET", f"/deployments?mac={row['mac']}")
                    if each["written_at"]
                ]
                assert written == [row["deployment"]]
            ends = await phones.ends()
            assert {registered for _, _, registered in ends.values()} == {True}


async def test_a_job_whose_canary_fails_leaves_the_others_alone(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        phones = await stack.enter_async_context(rack(8))
        settings = phones.settings(tmp_path)
        site = await stack.enter_async_context(opened(settings))
        assert site.running.tftp_address
        await phones.power_on(settings, site.running.tftp_address[1])
        # Nobody answers at the call manager of this one, so the phones cannot register.
        xml = phones.config(NEW + "{{device_name}}").replace(f"<sipPort>{phones.sip}<", f"<sipPort>{free_port()}<")
        profile = await site.profile("wrong", cnf_xml=xml, placeholders=True)
        policy = {"fetch_seconds": 10, "register_seconds": 1, "on_timeout": "rollback"}
        uuid = await start(site, phones, profile, canary=2, policy=policy)
        job = await comes_to_rest(site, uuid)
        assert job["state"] == "stopped"
        assert job["reason"]["parameters"] == {"ended": 2, "taken": 0, "share": 0.0, "wanted": 0.9}
        assert job["counts"] == {"rolled_back": 2, "pending": 6}
        rows = await all_rows(site, uuid)
        assert [row["state"] for row in rows] == ["rolled_back"] * 2 + ["pending"] * 6
        for mac in phones.macs:
            served = await site.data("GET", f"/phone-config/{mac}")
            assert served.decode() == phones.config(OLD + mac.device_name)

        # The way on: the right profile for the others, which have noticed nothing.
        await site.data("POST", f"/switch-jobs/{uuid}/cancel")
        again = await start(site, replace(phones, macs=phones.macs[2:]), await new_profile(site, phones))
        assert (await comes_to_rest(site, again))["counts"] == {"confirmed": 6}
