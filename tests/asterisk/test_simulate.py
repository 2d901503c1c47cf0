"""Phones of ``cisisk simulate`` at a real Asterisk."""

import asyncio
import os
import sys
from contextlib import suppress

import pytest

from cisisk.model.mac import Mac
from tests.asterisk.site import AsteriskSite, new_line
from tests.e2e.running_site import free_port
from tests.patience import PATIENCE

pytestmark = pytest.mark.needs("asterisk")
NETWORK = f"127.{210 + os.getpid() % 40}.0.0/24"


async def _printed(process: asyncio.subprocess.Process, text: str) -> None:
    assert process.stdout is not None
    async with asyncio.timeout(PATIENCE):
        while text not in (line := (await process.stdout.readline()).decode()):
            assert line, f"the command has ended without {text!r}"


async def test_simulated_phone_restarts_after_notify_through_asterisk(pbx: AsteriskSite) -> None:
    line, mac = new_line(), Mac.parse("00:11:22:44:55:66")
    await pbx.site.switch(await pbx.profile(line), mac)
    assert pbx.site.running.tftp_address is not None
    options = {
        "--first-mac": str(mac),
        "--network": NETWORK,
        "--server": pbx.site.running.tftp_address[0],
        "--tftp-port": str(pbx.site.running.tftp_address[1]),
        "--http-port": str(free_port()),
        "--web-port": str(free_port()),
        "--sip-port": str(pbx.site.settings.phone_sip.port),
        "--sip-proxy": f"127.0.0.1:{pbx.asterisk.ports.sip}",
    }
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "cisisk", "simulate", "7942"),
        *(part for option in options.items() for part in option),
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        await _printed(process, ") registered")
        switched = await pbx.switch(mac, new_line(), wait=0)
        assert switched["restart_method"] == "ami-pjsip"
        await _printed(process, "restart (SIP restart)")
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.communicate()
