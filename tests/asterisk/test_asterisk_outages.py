"""Asterisk that is stopped, killed or starting while a phone is switched."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from cisisk.mobility import next_action
from tests.asterisk.judge import brief, false_claims
from tests.asterisk.server import AsteriskServer
from tests.asterisk.site import AsteriskSite, new_line, open_asterisk_site
from tests.e2e.running_site import until
from tests.patience import PATIENCE

pytestmark = pytest.mark.needs("asterisk")
METHODS = ["ami-pjsip", "cgi-init-restart"]


@pytest.fixture(autouse=True)
def _short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(next_action, "SENT_SECONDS", 1.0, raising=False)
    monkeypatch.setattr(next_action, "REFUSED_SECONDS", 1.0)


@pytest.fixture
async def pbx(asterisk: AsteriskServer, tmp_path: Path) -> AsyncIterator[AsteriskSite]:
    async with open_asterisk_site(tmp_path, asterisk, methods=METHODS, expires=2) as site:
        yield site


OUTAGES = [AsteriskServer.stop, AsteriskServer.kill]


@pytest.mark.parametrize("end", OUTAGES)
async def test_switch_while_asterisk_restarts_is_confirmed(
    pbx: AsteriskSite, end: Callable[[AsteriskServer], None]
) -> None:
    async with pbx.phone_in_service(new_line()) as phone:
        await asyncio.to_thread(end, pbx.asterisk)
        switching = asyncio.create_task(pbx.switch(phone.mac, new_line(), on_timeout="rollback"))
        await asyncio.to_thread(pbx.asterisk.start, wait=False)
        ended = await switching
        assert ended["state"] == "confirmed", brief(ended)
        assert false_claims(ended, phone) == []


@pytest.mark.parametrize("end", OUTAGES)
async def test_asterisk_that_restarts_after_the_fetch_is_awaited(
    pbx: AsteriskSite, end: Callable[[AsteriskServer], None]
) -> None:
    async with pbx.phone_in_service(new_line()) as phone:
        switching = asyncio.create_task(pbx.switch(phone.mac, new_line(), on_timeout="rollback"))
        await until(lambda: pbx.site.data("GET", f"/deployments?mac={phone.mac}"), _last_is_fetched)
        await asyncio.to_thread(end, pbx.asterisk)
        await asyncio.to_thread(pbx.asterisk.start)
        ended = await switching
        assert ended["state"] == "confirmed", brief(ended)
        assert false_claims(ended, phone) == []


@pytest.mark.parametrize("end", OUTAGES)
async def test_phone_is_not_rolled_back_while_asterisk_is_away(
    pbx: AsteriskSite, end: Callable[[AsteriskServer], None]
) -> None:
    async with pbx.phone_in_service(new_line()) as phone:
        await asyncio.to_thread(end, pbx.asterisk)
        ended = await pbx.switch(phone.mac, new_line(), on_timeout="rollback", fetch_seconds=10, register_seconds=2)
        assert ended["state"] in {"fetched", "timed_out"}, brief(ended)
        assert ended["fetched_at"] is not None
        assert phone.config == await pbx.served(phone.mac)


async def test_switches_right_after_a_start_are_confirmed(pbx: AsteriskSite) -> None:
    async with pbx.phone_in_service(new_line()) as phone:
        await asyncio.to_thread(pbx.asterisk.restart)
        await until(lambda: pbx.site.data("GET", "/health"), lambda found: found["asterisk"] == "ok")
        for _ in range(3):
            ended = await pbx.switch(phone.mac, new_line())
            assert ended["state"] == "confirmed", brief(ended)
            assert false_claims(ended, phone) == []


async def test_stopping_asterisk_confirms_nothing_wrong(pbx: AsteriskSite) -> None:
    async with pbx.phone_in_service(new_line()) as phone:
        stopping = asyncio.create_task(asyncio.to_thread(pbx.asterisk.restart))
        ended = await pbx.switch(phone.mac, new_line(), on_timeout="rollback")
        await stopping
        assert ended["state"] == "confirmed", brief(ended)
        assert false_claims(ended, phone) == []
        await phone.wait_for_registration(PATIENCE)


def _last_is_fetched(found: list[dict[str, object]]) -> bool:
    return any(each["state"] in {"fetched", "confirmed"} and each["ended_at"] is None for each in found) or all(
        each["ended_at"] is not None for each in found
    )
