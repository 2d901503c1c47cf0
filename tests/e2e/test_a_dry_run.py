"""A dry run asks Asterisk who the phone is and whether it is free, and leaves the phone alone."""

from pathlib import Path
from typing import Any

from tests.e2e.test_restarts_through_asterisk import Premises, premises
from tests.protocol.asterisk import AsteriskEmulator


async def preview(there: Premises) -> Any:
    body = {"profile_uuid": there.profile, "mac": str(there.phone.mac)}
    return (await there.site.data("POST", "/phone-profiles/switch?dry_run=true", body))["preview"]


async def test_a_dry_run_tells_what_stands_in_the_way_and_restarts_nothing(tmp_path: Path) -> None:
    async with premises(tmp_path, AsteriskEmulator(), "ami-pjsip", "cgi-keys") as there:
        free = await preview(there)
        assert "line 1: 201 -> 305" in free["changes"]
        assert (free["methods"], free["in_the_way"]) == (["ami-pjsip", "cgi-keys"], [])
        there.asterisk.phones[0].in_call = True
        assert (await preview(there))["in_the_way"] == ["the phone is in a call"]
        there.asterisk.phones.clear()
        [reason] = (await preview(there))["in_the_way"]
        assert reason == f"no phone is registered at Asterisk from {there.phone.address}"
        assert there.asked == []
        assert there.asterisk.asked("pjsipnotify") == []
