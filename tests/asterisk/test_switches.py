"""Switches of a phone that is registered at a real Asterisk with chan_pjsip."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.asterisk.judge import brief, false_claims
from tests.asterisk.server import AsteriskServer
from tests.asterisk.site import (
    TCP,
    UDP,
    AsteriskSite,
    new_line,
    new_lines_of_phone,
    new_shared_line,
    open_asterisk_site,
)
from tests.asterisk.stale import leave_stale_contact

pytestmark = pytest.mark.needs("asterisk", "asterisk with chan_sip")


@pytest.fixture(params=["asterisk", "older_asterisk"])
def server(request: pytest.FixtureRequest) -> AsteriskServer:
    found: AsteriskServer = request.getfixturevalue(request.param)
    return found


@pytest.fixture(params=[UDP, TCP], ids=["udp", "tcp"])
async def pbx(server: AsteriskServer, tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[AsteriskSite]:
    async with open_asterisk_site(tmp_path, server, methods=["ami-pjsip"], transport=request.param) as site:
        yield site


async def test_switch_there_and_back_is_confirmed(pbx: AsteriskSite) -> None:
    here, there = new_line(), new_line()
    async with pbx.phone_in_service(here) as phone:
        for line in (there, here):
            ended = await pbx.switch(phone.mac, line)
            assert (ended["state"], ended["restart_method"]) == ("confirmed", "ami-pjsip"), brief(ended)
            assert false_claims(ended, phone) == []


async def test_switch_to_the_same_line_is_confirmed(pbx: AsteriskSite) -> None:
    line = new_line()
    async with pbx.phone_in_service(line) as phone:
        boots = phone.runs
        ended = await pbx.switch(phone.mac, line)
        assert (ended["state"], ended["restart_method"]) == ("confirmed", "ami-pjsip"), brief(ended)
        assert false_claims(ended, phone) == []
        assert phone.runs == boots + 1


async def test_switch_to_another_locale_resets_the_phone(pbx: AsteriskSite) -> None:
    line, other = new_line(), new_line()
    german = pbx.config(other).replace("</device>", "<userLocale><name>German_Germany</name></userLocale></device>")
    async with pbx.phone_in_service(line) as phone:
        pbx.profiles[other] = await pbx.site.profile(other, cnf_xml=german)
        ended = await pbx.switch(phone.mac, other)
        assert (ended["state"], ended["action"]) == ("confirmed", "reset"), brief(ended)
        assert false_claims(ended, phone) == []


async def test_switch_between_lines_of_one_endpoint_is_confirmed(pbx: AsteriskSite) -> None:
    here, there = new_lines_of_phone()
    account = f"phone-{here}"
    async with pbx.phone_in_service(here, account) as phone:
        for line in (there, here):
            ended = await pbx.switch(phone.mac, line, account=account)
            assert (ended["state"], ended["restart_method"]) == ("confirmed", "ami-pjsip"), brief(ended)
            assert false_claims(ended, phone) == []


async def test_switch_of_one_of_two_phones_on_a_line_restarts_that_one(pbx: AsteriskSite) -> None:
    shared, other = new_shared_line(), new_line()
    async with pbx.phone_in_service(shared) as phone, pbx.phone_in_service(shared) as neighbour:
        boots = neighbour.runs
        for line in (other, shared):
            ended = await pbx.switch(phone.mac, line)
            assert (ended["state"], ended["restart_method"]) == ("confirmed", "ami-pjsip"), brief(ended)
            assert false_claims(ended, phone) == []
        assert neighbour.runs == boots


async def test_switch_of_phone_with_stale_contact_is_confirmed(pbx: AsteriskSite) -> None:
    shared, other = new_shared_line(), new_line()
    await leave_stale_contact(pbx, shared, phone := pbx.phone())
    async with pbx.in_service(phone, shared):
        for line in (other, shared):
            ended = await pbx.switch(phone.mac, line)
            assert (ended["state"], ended["restart_method"]) == ("confirmed", "ami-pjsip"), brief(ended)
            assert false_claims(ended, phone) == []
