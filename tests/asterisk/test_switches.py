"""Switches of a phone that is registered at a real Asterisk."""

import pytest

from tests.asterisk.site import AsteriskSite, new_line

pytestmark = pytest.mark.needs("asterisk")


async def test_switch_there_and_back_is_confirmed(pbx: AsteriskSite) -> None:
    here, there = new_line(), new_line()
    async with pbx.phone_in_service(here) as phone:
        for line in (there, here):
            ended = await pbx.switch(phone.mac, line)
            assert (ended["state"], ended["restart_method"]) == ("confirmed", "ami-pjsip"), ended
            assert phone.config == await pbx.served(phone.mac)
            assert phone.is_registered
