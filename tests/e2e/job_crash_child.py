"""Run a switch job and kill this process in the middle of it, or at a named step of its first switch."""

import asyncio
import json
import os
import signal
import sys
from pathlib import Path

from cisisk.store import jobs, progress
from tests.e2e.running_site import PASSWORD, asterisk_settings, open_site, settings_for, until
from tests.e2e.switch_crash_child import arm

STEPS = {
    "half way": None,
    "before a row begins": (jobs, "begin", False),
    "before its switch is asked for": (jobs, "begin", True),
    "before its switch is recorded": (progress, "record", False),
    "before its deployment is noted": (jobs, "settle", False),
    "after its deployment is noted": (jobs, "settle", True),
}
"""Where to kill: the owner of a function, its name, and whether after its call (True) or before."""


async def main(directory: str, step: str, sections: str, ami_port: str, http_port: str, sip_port: str) -> None:
    os.environ["CISISK_ADMIN_PASSWORD"] = PASSWORD
    settings = settings_for(
        Path(directory),
        asterisk=asterisk_settings(int(ami_port)),
        restart={"sip": ["ami-pjsip"]},
        phone_http={"port": int(http_port)},
        phone_sip={"port": int(sip_port)},
        **json.loads(sections),
    )
    async with open_site(settings) as site:
        print("ready", flush=True)
        request = json.loads(await asyncio.to_thread(sys.stdin.readline))
        # Wait until the addresses of all phones are stored: the restarted process needs them.
        await until(
            lambda: site.data("GET", "/phones"),
            lambda found: sum(bool(each["seen_ip"]) for each in found) == len(request["macs"]),
        )
        profile = await site.profile("new", cnf_xml=request["xml"], placeholders=True)
        rows = [{"mac": mac, "profile_uuid": profile} for mac in request["macs"]]
        if (crash := STEPS[step]) is not None:
            arm(crash[0], crash[1], after=crash[2])
        job = await site.data("POST", "/switch-jobs", {"rows": rows, "concurrency": 10})
        path = f"/switch-jobs/{job['uuid']}"
        await until(lambda: site.data("GET", path), lambda job: job["counts"].get("confirmed", 0) > len(rows) / 3)
        os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
