"""Switches many phones in one job and is killed in the middle of it, or at a named step of its first switch."""

import asyncio
import json
import os
import signal
import sys
from pathlib import Path

from cisisk.store import jobs, progress
from tests.e2e.crash_child import arm
from tests.e2e.premises import PASSWORD, opened, settings_for, until
from tests.protocol.asterisk import SECRET, USERNAME

STEPS = {
    "half way": None,
    "before a row begins": (jobs, "begin", False),
    "before its switch is asked for": (jobs, "begin", True),
    "before its switch is recorded": (progress, "record", False),
    "before its deployment is noted": (jobs, "settle", False),
    "after its deployment is noted": (jobs, "settle", True),
}
"""Where to die: the owner of a function, its name, and whether after it or before."""


async def main(directory: str, step: str, sections: str, ami_port: str, http_port: str, sip_port: str) -> None:
    os.environ["CISISK_ADMIN_PASSWORD"] = PASSWORD
    settings = settings_for(
        Path(directory),
        asterisk={"host": "127.0.0.1", "port": int(ami_port), "username": USERNAME, "secret": SECRET},
        restart={"sip": ["ami-pjsip"]},
        phone_http={"port": int(http_port)},
        phone_sip={"port": int(sip_port)},
        **json.loads(sections),
    )
    async with opened(settings) as site:
        print("ready", flush=True)
        order = json.loads(await asyncio.to_thread(sys.stdin.readline))
        # What their boots have shown is stored, or nobody knew after the crash where they are.
        await until(
            lambda: site.data("GET", "/phones"),
            lambda found: sum(bool(each["seen_ip"]) for each in found) == len(order["macs"]),
        )
        profile = await site.profile("new", cnf_xml=order["xml"], placeholders=True)
        rows = [{"mac": mac, "profile_uuid": profile} for mac in order["macs"]]
        if (deadly := STEPS[step]) is not None:
            arm(deadly[0], deadly[1], after=deadly[2])
        job = await site.data("POST", "/switch-jobs", {"rows": rows, "concurrency": 10})
        path = f"/switch-jobs/{job['uuid']}"
        await until(lambda: site.data("GET", path), lambda job: job["counts"].get("confirmed", 0) > len(rows) / 3)
        os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
