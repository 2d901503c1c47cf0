"""Phones that lose power or are off: they do not end their registration at Asterisk."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from cisisk.mobility import next_action
from cisisk.simulator.faults import Faults
from tests.asterisk.judge import brief, false_claims
from tests.asterisk.server import AsteriskServer
from tests.asterisk.site import TCP, UDP, AsteriskSite, new_line, open_asterisk_site
from tests.patience import PATIENCE

pytestmark = pytest.mark.needs("asterisk")
METHODS = ["ami-pjsip", "sip-notify", "cgi-init-restart"]


@pytest.fixture(autouse=True)
def _short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(next_action, "SENT_SECONDS", 1.0)
    monkeypatch.setattr(next_action, "REFUSED_SECONDS", 1.0)


@pytest.fixture(params=[UDP, TCP], ids=["udp", "tcp"])
async def pbx(asterisk: AsteriskServer, tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[AsteriskSite]:
    async with open_asterisk_site(tmp_path, asterisk, methods=METHODS, transport=request.param) as site:
        yield site


@pytest.mark.parametrize("is_same_line", [False, True])
async def test_switch_after_power_loss_goes_on_to_a_method_that_works(pbx: AsteriskSite, is_same_line: bool) -> None:
    line = new_line()
    async with pbx.phone_in_service(line) as phone:
        await phone.stop()
        phone.start()
        await phone.wait_for_registration(PATIENCE)
        other = line if is_same_line else new_line()
        ended = await pbx.switch(phone.mac, other, on_timeout="rollback", fetch_seconds=20, register_seconds=20)
        assert (ended["state"], ended["restart_method"]) == ("confirmed", "cgi-init-restart"), brief(ended)
        assert false_claims(ended, phone) == []


async def test_power_loss_in_place_of_restart_is_confirmed(pbx: AsteriskSite) -> None:
    # The phone registers with the same contact: Asterisk shows its old Call-ID, and only a later expiry.
    line, pbx.expires = new_line(), 2
    async with pbx.phone_in_service(line, faults=Faults(refuse_restart=True)) as phone:
        phone.in_call = True
        switched = await pbx.switch(phone.mac, line, wait=0, on_timeout="rollback", fetch_seconds=20)
        await phone.stop()
        phone.start()
        await phone.wait_for_registration(PATIENCE)
        ended = await pbx.ended(switched)
        assert ended["state"] == "confirmed", brief(ended)
        assert false_claims(ended, phone) == []


async def test_switch_of_phone_that_is_off_is_confirmed_when_it_comes_back(pbx: AsteriskSite) -> None:
    async with pbx.phone_in_service(new_line()) as phone:
        await phone.stop()
        switched = await pbx.switch(phone.mac, new_line(), wait=1)
        assert switched["fetched_at"] is None
        assert switched["state"] != "confirmed"
        phone.start()
        ended = await pbx.ended(switched)
        assert ended["state"] == "confirmed", brief(ended)
        assert false_claims(ended, phone) == []


async def test_switch_of_phone_that_is_off_rolls_back(pbx: AsteriskSite) -> None:
    line = new_line()
    async with pbx.phone_in_service(line) as phone:
        await phone.stop()
        ended = await pbx.switch(phone.mac, new_line(), on_timeout="rollback", fetch_seconds=2, retry=False)
        assert ended["state"] == "rolled_back", brief(ended)
        phone.start()
        await phone.wait_for_registration(PATIENCE)
        assert phone.running_config is not None
        assert phone.running_config.line == line


async def test_old_contact_of_a_line_confirms_nothing(pbx: AsteriskSite) -> None:
    here, there = new_line(), new_line()
    async with pbx.phone_in_service(here, faults=Faults(never_fetch=True)) as phone:
        await phone.stop()
        away = await pbx.switch(phone.mac, there, wait=0)
        phone.start()
        assert (await pbx.ended(away))["state"] == "confirmed"
        # The contact under the first line is still listed, and the phone fetches nothing after a restart.
        back = await pbx.switch(phone.mac, here, fetch_seconds=3, retry=False, escalate=False)
        assert back["state"] == "timed_out", brief(back)
        assert false_claims(back, phone) == []
