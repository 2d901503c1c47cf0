"""Switch jobs: one with a thousand phones, one interrupted by a crash, and one whose canary fails."""

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
from tests.e2e.job_crash_child import STEPS
from tests.e2e.running_site import Site, asterisk_settings, config_at_call_manager, free_port, open_site, settings_for

ROOT = Path(__file__).parents[2]
JOB_SECONDS = 240.0
"""Timeout of a job of a thousand phones on a busy machine."""
FETCH_SECONDS = 10
"""After a crash during a restart, Cisisk waits this long before it repeats the restart."""
FIRST_MAC = 0x0022_3344_0001
MAX_SLOWDOWN = 60.0
"""Limit of the median response time during a job, relative to an idle appliance."""
MAX_RESPONSE_SECONDS = 2.0
"""Limit of a response time during a job, in seconds. A slower response shows a blocked event loop."""
OLD_PREFIX, NEW_PREFIX = "old-", "new-"
"""Prefixes of line names; the device name follows."""


@dataclass
class PhoneGroup:
    """Simulated phones and their Asterisk, in a separate process."""

    process: asyncio.subprocess.Process
    macs: Sequence[Mac]
    ami: int
    sip: int

    def config(self, line: str) -> str:
        return config_at_call_manager(line, self.sip)

    def settings(self, directory: Path, **sections: dict[str, Any]) -> Settings:
        """Return settings of a site for these phones, and put their first configs there."""
        asterisk = asterisk_settings(self.ami)
        settings = settings_for(directory, asterisk=asterisk, restart={"sip": ["ami-pjsip"]}, **sections)
        settings.served_root.mkdir(mode=0o700, parents=True, exist_ok=True)
        for mac in self.macs:
            (settings.served_root / mac.config_name).write_text(self.config(OLD_PREFIX + mac.device_name))
        return settings

    async def power_on(self, settings: Settings, tftp_port: int) -> None:
        ports = {"tftp_port": tftp_port, "web_port": settings.phone_http.port, "sip_port": settings.phone_sip.port}
        await self.send(ports)
        assert await self.receive() == {"registered": len(self.macs)}

    async def stop(self) -> Mapping[str, tuple[int, str, bool]]:
        """Stop the phones; return boot count, config hash and registration state of each by MAC."""
        await self.send("stop")
        return dict((await self.receive())["phones"])

    async def send(self, message: Any) -> None:
        assert self.process.stdin
        self.process.stdin.write(f"{json.dumps(message)}\n".encode())
        await self.process.stdin.drain()

    async def receive(self) -> Any:
        assert self.process.stdout
        async with asyncio.timeout(JOB_SECONDS):
            return json.loads(await self.process.stdout.readline())


@asynccontextmanager
async def phone_group(count: int) -> AsyncIterator[PhoneGroup]:
    macs = [Mac.parse(f"{FIRST_MAC + number:012X}") for number in range(count)]
    # Each test process uses its own network.
    network = f"127.{210 + os.getpid() % 40}.{os.getpid() // 40 % 60 * 4}.0/22"
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, str(ROOT / "tests/e2e/phone_group_child.py"), str(count), str(macs[0]), network),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        limit=1 << 24,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    try:
        found = PhoneGroup(process, macs, 0, 0)
        ports = await found.receive()
        found.ami, found.sip = ports["ami"], ports["sip"]
        yield found
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def new_profile(site: Site, phones: PhoneGroup) -> str:
    """Create the profile that the phones are switched to."""
    xml = phones.config(NEW_PREFIX + "{{device_name}}")
    return await site.profile("new", cnf_xml=xml, placeholders=True)


async def start(site: Site, phones: PhoneGroup, profile: str, **more: Any) -> str:
    rows = [{"mac": str(mac), "profile_uuid": profile, "desk": f"A{number}"} for number, mac in enumerate(phones.macs)]
    return str((await site.data("POST", "/switch-jobs", {"rows": rows, **more}))["uuid"])


async def wait_for_job(site: Site, uuid: str) -> Any:
    """Wait until the job stops running, and return it."""
    async with asyncio.timeout(JOB_SECONDS):
        while (job := await site.data("GET", f"/switch-jobs/{uuid}"))["state"] == "running":  # noqa: ASYNC110 -- polls the API
            await asyncio.sleep(0.2)
        return job


async def all_rows(site: Site, uuid: str) -> list[Any]:
    return list(await site.data("GET", f"/switch-jobs/{uuid}/rows?limit=1000"))


@dataclass
class ResponseTimes:
    """Measures response times of the health operation."""

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


@pytest.mark.slow
async def test_job_of_a_thousand_phones_confirms_all(tmp_path: Path) -> None:
    async with phone_group(1000) as phones:
        settings = phones.settings(tmp_path)
        async with open_site(settings) as site:
            assert site.running.tftp_address
            await phones.power_on(settings, site.running.tftp_address[1])
            profile = await new_profile(site, phones)
            idle, busy = ResponseTimes(site), ResponseTimes(site)
            for _ in range(50):
                await idle.ask()
            asking = asyncio.create_task(busy.ask_often())
            began = time.perf_counter()
            uuid = await start(site, phones, profile, concurrency=64, policy={"fetch_seconds": 120})
            job = await wait_for_job(site, uuid)
            duration = time.perf_counter() - began
            asking.cancel()
            slowdown = statistics.median(busy.seconds) / statistics.median(idle.seconds)
            print(
                f"{duration:.1f} s; health {slowdown:.1f} times slower in the median, {max(busy.seconds):.2f} s at most"
            )
            assert (job["state"], job["counts"]) == ("completed", {"confirmed": 1000})
            assert slowdown < MAX_SLOWDOWN
            assert max(busy.seconds) < MAX_RESPONSE_SECONDS

            rows = await all_rows(site, uuid)
            assert [row["input"]["desk"] for row in rows] == [f"A{number}" for number in range(1000)]
            served = {row["mac"]: (await site.deployment(row["deployment"]))["sha256"] for row in rows}
            assert {row["restart"] for row in rows} == {"ok"}
            final = await phones.stop()
            assert {mac: sha256 for mac, (_, sha256, _) in final.items()} == served
            # Each phone restarted once and is registered again.
            assert {(runs, registered) for runs, _, registered in final.values()} == {(2, True)}


@pytest.mark.parametrize("step", STEPS)
async def test_job_killed_at_any_step_switches_each_phone_once(tmp_path: Path, step: str) -> None:
    count = 40 if step == "half way" else 4
    async with phone_group(count) as phones:
        fixed: dict[str, dict[str, Any]] = {
            "tftp": {"host": "127.0.0.1", "port": free_port()},
            "switch": {"fetch_seconds": FETCH_SECONDS},
        }
        settings = phones.settings(tmp_path, **fixed)
        child = [str(ROOT / "tests/e2e/job_crash_child.py"), str(tmp_path), step, json.dumps(fixed), str(phones.ami)]
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
        request = {"macs": [str(mac) for mac in phones.macs], "xml": phones.config(NEW_PREFIX + "{{device_name}}")}
        process.stdin.write(f"{json.dumps(request)}\n".encode())
        async with asyncio.timeout(JOB_SECONDS):
            assert await process.wait() == -signal.SIGKILL
        with closing(sqlite3.connect(settings.data.dir / "cisisk.db")) as store:
            (before,) = store.execute("SELECT COUNT(*) FROM deployments").fetchone()
            assert before < count

        async with open_site(settings) as site:
            (job,) = await site.data("GET", "/switch-jobs")
            ended = await wait_for_job(site, job["uuid"])
            assert (ended["state"], ended["counts"]) == ("completed", {"confirmed": count})
            for row in await all_rows(site, job["uuid"]):
                written = [
                    each["uuid"]
                    for each in await site.data("GET", f"/deployments?mac={row['mac']}")
                    if each["written_at"]
                ]
                assert written == [row["deployment"]]
            final = await phones.stop()
            assert {registered for _, _, registered in final.values()} == {True}


async def test_job_with_failed_canary_switches_no_other_phone(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        phones = await stack.enter_async_context(phone_group(8))
        settings = phones.settings(tmp_path)
        site = await stack.enter_async_context(open_site(settings))
        assert site.running.tftp_address
        await phones.power_on(settings, site.running.tftp_address[1])
        # This config names a closed port as call manager, so the phones cannot register.
        xml = phones.config(NEW_PREFIX + "{{device_name}}").replace(
            f"<sipPort>{phones.sip}<", f"<sipPort>{free_port()}<"
        )
        profile = await site.profile("wrong", cnf_xml=xml, placeholders=True)
        policy = {"fetch_seconds": 10, "register_seconds": 1, "on_timeout": "rollback"}
        uuid = await start(site, phones, profile, canary=2, policy=policy)
        job = await wait_for_job(site, uuid)
        assert job["state"] == "stopped"
        assert job["reason"]["parameters"] == {"ended": 2, "taken": 0, "share": 0.0, "wanted": 0.9}
        assert job["counts"] == {"rolled_back": 2, "pending": 6}
        rows = await all_rows(site, uuid)
        assert [row["state"] for row in rows] == ["rolled_back"] * 2 + ["pending"] * 6
        for mac in phones.macs:
            served = await site.data("GET", f"/phone-config/{mac}")
            assert served.decode() == phones.config(OLD_PREFIX + mac.device_name)

        # A new job with a working profile switches the remaining phones.
        await site.data("POST", f"/switch-jobs/{uuid}/cancel")
        again = await start(site, replace(phones, macs=phones.macs[2:]), await new_profile(site, phones))
        assert (await wait_for_job(site, again))["counts"] == {"confirmed": 6}
