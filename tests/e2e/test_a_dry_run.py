"""A dry run asks Asterisk who the phone is and whether it is free, and leaves the phone alone."""

from pathlib import Path
from typing import Any

from cisisk.model.codes.restart import RestartRefusal
from tests.e2e.test_restarts_through_asterisk import Premises, premises
from tests.notices import codes_in
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
        assert codes_in((await preview(there))["obstacles"]) == {RestartRefusal.IN_CALL}
        there.asterisk.phones.clear()
        [obstacle] = (await preview(there))["obstacles"]
        assert obstacle["code"] == RestartRefusal.NOT_REGISTERED
        assert obstacle["parameters"] == {"address": there.phone.address}
        assert there.asked == []
        assert there.asterisk.asked("pjsipnotify") == []
