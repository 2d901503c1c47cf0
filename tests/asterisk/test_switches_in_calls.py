"""Switches of a phone that is in a call at a real Asterisk."""

import asyncio

import pytest

from cisisk.model.codes.error import ErrorKind
from cisisk.model.messages import render
from tests.asterisk.configuration import CALLED
from tests.asterisk.judge import brief, false_claims
from tests.asterisk.site import SWITCH, AsteriskSite, new_line
from tests.e2e.running_site import until

pytestmark = pytest.mark.needs("asterisk")


async def test_switch_in_call_waits_for_the_phone(pbx: AsteriskSite) -> None:
    async with pbx.phone_in_service(new_line()) as phone:
        await phone.dial(CALLED)
        switching = asyncio.create_task(pbx.switch(phone.mac, new_line()))
        await until(lambda: pbx.site.data("GET", f"/deployments?mac={phone.mac}&state=restarting"), bool)
        boots = phone.runs
        await phone.hang_up()
        ended = await switching
        assert ended["state"] == "confirmed", brief(ended)
        assert (phone.runs, false_claims(ended, phone)) == (boots + 1, [])


async def test_switch_in_call_is_refused_if_the_policy_says_so(pbx: AsteriskSite) -> None:
    async with pbx.phone_in_service(new_line()) as phone:
        profile = await pbx.profile(new_line())
        body = {"profile_uuid": profile, "mac": str(phone.mac), "policy": {"refuse_in_call": True}}
        await phone.dial(CALLED)
        status, answer = await pbx.site.call("POST", SWITCH, body)
        assert (status, answer["message"]) == (409, render(ErrorKind.PHONE_IN_CALL.notice()))
        await phone.hang_up()
        quiet = body | {"policy": {"refuse_in_call": True, "quiet_minutes": 5}}
        status, answer = await pbx.site.call("POST", SWITCH, quiet)
        assert (status, answer["message"]) == (409, render(ErrorKind.PHONE_IN_CALL_LATELY.notice(minutes=5)))
        assert (await pbx.site.data("POST", SWITCH, body))["restart"] == "ok"


async def test_switch_when_idle_begins_after_the_call(pbx: AsteriskSite) -> None:
    line = new_line()
    async with pbx.phone_in_service(line) as phone:
        await phone.dial(CALLED)
        switching = asyncio.create_task(pbx.switch(phone.mac, new_line(), when="idle"))
        (deferred,) = await until(lambda: pbx.site.data("GET", f"/deployments?mac={phone.mac}&state=deferred"), bool)
        assert deferred["written_at"] is None
        assert (await pbx.served(phone.mac)) == phone.config
        await phone.hang_up()
        ended = await switching
        assert ended["state"] == "confirmed", brief(ended)
        assert false_claims(ended, phone) == []
