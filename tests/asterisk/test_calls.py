"""Calls of a simulated phone at a real Asterisk, and switches of a phone in a call."""

import pytest

from tests.asterisk.configuration import CALLED
from tests.asterisk.site import TCP, UDP, AsteriskSite, new_line
from tests.patience import PATIENCE

pytestmark = pytest.mark.needs("asterisk")


@pytest.mark.parametrize("transport", [UDP, TCP])
async def test_phone_dials_and_hangs_up(pbx: AsteriskSite, transport: str) -> None:
    pbx.transport = transport
    line = new_line()
    async with pbx.phone_in_service(line) as phone:
        await phone.dial(CALLED)
        assert f"PJSIP/{line}-" in pbx.asterisk.cli("core show channels")
        await phone.hang_up()
        assert phone.in_call is False
        assert f"PJSIP/{line}-" not in pbx.asterisk.cli("core show channels")


async def test_call_ended_by_asterisk_ends_at_phone(pbx: AsteriskSite) -> None:
    line = new_line()
    async with pbx.phone_in_service(line) as phone:
        await phone.dial(CALLED)
        (channel,) = [
            shown.split()[0]
            for shown in pbx.asterisk.cli("core show channels concise").replace("!", " ").splitlines()
            if shown.startswith(f"PJSIP/{line}-")
        ]
        pbx.asterisk.cli(f"channel request hangup {channel}")
        await phone.wait_until(lambda: not phone.in_call, PATIENCE, "is in no call")
