"""SIPp as a phone that is no simulated one, at a real Asterisk."""

import asyncio
import re
import socket
from pathlib import Path

import pytest

from tests.asterisk.configuration import password
from tests.asterisk.site import AsteriskSite, new_line
from tests.patience import PATIENCE

pytestmark = pytest.mark.needs("asterisk", "sipp")
ADDRESS = "127.209.3.7"
CALL_ID = "4a5b6c7d-sipp-phone@127.209.3.7"
REGISTER = """<?xml version="1.0" encoding="UTF-8"?>
<scenario name="a phone that registers">
  <send><![CDATA[{first}]]></send>
  <recv response="401" auth="true"/>
  <send><![CDATA[{second}]]></send>
  <recv response="200"/>
</scenario>
"""
TAKE_NOTIFY = """<?xml version="1.0" encoding="UTF-8"?>
<scenario name="a phone that takes a NOTIFY">
  <recv request="NOTIFY">
    <action>
      <ereg regexp="RegisterCallId=[^ ]*}" search_in="body" check_it="true" assign_to="found"/>
      <log message="[$found]"/>
    </action>
  </recv>
  <send><![CDATA[SIP/2.0 200 OK
[last_Via:]
[last_From:]
[last_To:];tag=[call_number]
[last_Call-ID:]
[last_CSeq:]
Content-Length: 0
]]></send>
</scenario>
"""


def register(line: str, cseq: int, more: str = "") -> str:
    return f"""REGISTER sip:127.0.0.1 SIP/2.0
Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch]
Max-Forwards: 70
From: <sip:{line}@127.0.0.1>;tag=sipp{cseq}
To: <sip:{line}@127.0.0.1>
Call-ID: [call_id]
CSeq: {cseq} REGISTER
Contact: <sip:{line}@[local_ip]:[local_port]>
Expires: 120
{more}Content-Length: 0
"""


def written(script: Path, scenario: str) -> Path:
    script.write_text(scenario, "utf-8")
    return script


async def sipp(script: Path, pbx: AsteriskSite, *more: str) -> asyncio.subprocess.Process:
    """Start SIPp with a scenario."""
    port = str(pbx.site.settings.phone_sip.port)
    return await asyncio.create_subprocess_exec(
        *("sipp", "-sf", str(script), "-i", ADDRESS, "-p", port, "-m", "1", "-timeout", f"{PATIENCE:g}"),
        *("-timeout_error", "-nostdin", "-nd", "-cid_str", CALL_ID, *more, f"127.0.0.1:{pbx.asterisk.ports.sip}"),
        cwd=script.parent,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )


async def listens(port: int) -> None:
    """Wait until something listens at the phone's address."""
    while True:
        with socket.socket(type=socket.SOCK_DGRAM) as probe:
            try:
                probe.bind((ADDRESS, port))
            except OSError:
                return
        await asyncio.sleep(0.01)


async def test_foreign_phone_gets_notify_with_its_call_id(pbx: AsteriskSite, tmp_path: Path) -> None:
    here, there, mac = new_line(), new_line(), pbx.site.new_mac()
    await pbx.site.data("POST", "/phones", {"mac": str(mac), "phone_ip": ADDRESS})
    await pbx.switch(mac, here, wait=0)
    login = f"[authentication username={here} password={password(here)}]\n"
    scenario = REGISTER.format(first=register(here, 1), second=register(here, 2, login))
    async with asyncio.timeout(PATIENCE):
        assert await (await sipp(written(tmp_path / "registers.xml", scenario), pbx)).wait() == 0
        said = tmp_path / "said"
        phone = await sipp(
            written(tmp_path / "takes_notify.xml", TAKE_NOTIFY), pbx, "-trace_logs", "-log_file", str(said)
        )
        await listens(pbx.site.settings.phone_sip.port)
        switched = await pbx.switch(mac, there, wait=0)
        assert await phone.wait() == 0
    assert re.findall(r"RegisterCallId=\{(.*)\}", said.read_text("utf-8")) == [CALL_ID]
    assert (switched["restart_method"], switched["state"]) == ("ami-pjsip", "restarting")
