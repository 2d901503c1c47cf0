"""A dry run of a switch asks Asterisk about the phone and does not restart it."""

from pathlib import Path
from typing import Any

from cisisk.model.codes.restart import RestartRefusal
from tests.e2e.test_asterisk_restarts import RestartSite, restart_site
from tests.notices import codes_in
from tests.protocol.asterisk import AsteriskEmulator


async def preview(setup: RestartSite) -> Any:
    body = {"profile_uuid": setup.profile, "mac": str(setup.phone.mac)}
    return (await setup.site.data("POST", "/phone-profiles/switch?dry_run=true", body))["preview"]


async def test_dry_run_lists_obstacles_and_restarts_nothing(tmp_path: Path) -> None:
    async with restart_site(tmp_path, AsteriskEmulator(), "ami-pjsip", "cgi-keys") as setup:
        free = await preview(setup)
        assert "line 1: 201 -> 305" in free["changes"]
        assert (free["methods"], free["in_the_way"]) == (["ami-pjsip", "cgi-keys"], [])
        setup.asterisk.phones[0].in_call = True
        assert codes_in((await preview(setup))["obstacles"]) == {RestartRefusal.IN_CALL}
        setup.asterisk.phones.clear()
        [obstacle] = (await preview(setup))["obstacles"]
        assert obstacle["code"] == RestartRefusal.NOT_REGISTERED
        assert obstacle["parameters"] == {"address": setup.phone.address}
        assert setup.asked == []
        assert setup.asterisk.asked("pjsipnotify") == []
