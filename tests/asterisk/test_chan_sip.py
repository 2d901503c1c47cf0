"""Switches of a phone that is registered at a real Asterisk with stock chan_sip."""

from pathlib import Path
from typing import Any

import pytest

from cisisk.model.codes.asterisk import AsteriskProblem
from cisisk.model.codes.restart import RestartRefusal
from cisisk.simulator.phone import SimulatedPhone
from tests.asterisk.judge import brief, false_claims
from tests.asterisk.server import AsteriskServer
from tests.asterisk.site import TCP, UDP, new_line, open_asterisk_site
from tests.notices import codes_in

pytestmark = pytest.mark.needs("asterisk with chan_sip")


def put_template(asterisk: AsteriskServer, phone: SimulatedPhone) -> None:
    """Write the template of ``sip notify`` with the phone's Call-ID, which stock chan_sip cannot fill in."""
    lines = ("action=restart", f"RegisterCallId={{{phone.call_id}}}", "")
    content = "".join(f"Content=>{line}\n" for line in lines)
    template = f"[cisco-restart]\nEvent=>service-control\nContent-Type=>text/plain\n{content}"
    asterisk.configure("sip_notify.conf", template)
    asterisk.cli("sip reload")


@pytest.mark.parametrize("transport", [UDP, TCP], ids=["udp", "tcp"])
async def test_command_restarts_phone(asterisk_with_chan_sip: AsteriskServer, tmp_path: Path, transport: str) -> None:
    options: dict[str, Any] = {"methods": ["ami-command"], "account": "command", "transport": transport}
    here, there = new_line(), new_line()
    async with (
        open_asterisk_site(tmp_path, asterisk_with_chan_sip, **options) as pbx,
        pbx.phone_in_service(here) as phone,
    ):
        for line in (there, there, here):
            put_template(asterisk_with_chan_sip, phone)
            boots = phone.runs
            ended = await pbx.switch(phone.mac, line)
            assert (ended["state"], ended["restart_method"]) == ("confirmed", "ami-command"), brief(ended)
            assert (phone.runs, false_claims(ended, phone)) == (boots + 1, [])


async def test_command_without_template_is_refused(asterisk_with_chan_sip: AsteriskServer, tmp_path: Path) -> None:
    asterisk_with_chan_sip.configure("sip_notify.conf", "")
    asterisk_with_chan_sip.cli("sip reload")
    options: dict[str, Any] = {"methods": ["ami-command"], "account": "command"}
    async with (
        open_asterisk_site(tmp_path, asterisk_with_chan_sip, **options) as pbx,
        pbx.phone_in_service(new_line()) as phone,
    ):
        refused = await pbx.switch(phone.mac, new_line(), wait=0)
        assert codes_in(refused["restart_detail"]) >= {RestartRefusal.ASTERISK_NO_NOTIFY_TYPE}, refused


async def test_notify_without_call_id_is_refused(asterisk_with_chan_sip: AsteriskServer, tmp_path: Path) -> None:
    async with (
        open_asterisk_site(tmp_path, asterisk_with_chan_sip, methods=["ami-sip"]) as pbx,
        pbx.phone_in_service(new_line()) as phone,
    ):
        boots = phone.runs
        refused = await pbx.switch(phone.mac, new_line(), wait=0)
        assert codes_in(refused["restart_detail"]) >= {RestartRefusal.CALL_ID_NOT_SHOWN_BY_CHAN_SIP}, refused
        assert phone.runs == boots


async def test_command_without_its_permission_is_refused(
    asterisk_with_chan_sip: AsteriskServer, tmp_path: Path
) -> None:
    async with (
        open_asterisk_site(tmp_path, asterisk_with_chan_sip, methods=["ami-command"]) as pbx,
        pbx.phone_in_service(new_line()) as phone,
    ):
        refused = await pbx.switch(phone.mac, new_line(), wait=0)
        assert codes_in(refused["restart_detail"]) >= {AsteriskProblem.PERMISSION_DENIED}, refused
