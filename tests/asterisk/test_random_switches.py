"""Random switches while phones lose power, Asterisk restarts and calls go on. The phones' own state is the judge."""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from cisisk.mobility import next_action
from cisisk.simulator.line_client import LineRequestFailed
from cisisk.simulator.phone import SimulatedPhone
from tests.asterisk.configuration import CALLED
from tests.asterisk.history import PhoneHistory
from tests.asterisk.judge import brief
from tests.asterisk.server import AsteriskServer
from tests.asterisk.site import TCP, UDP, AsteriskSite, new_line, new_shared_line, open_asterisk_site

pytestmark = [pytest.mark.needs("asterisk"), pytest.mark.slow]
METHODS = ["ami-pjsip", "sip-notify", "cgi-init-restart"]
PHONES = 10
SWITCHES = 300
"""Half of them over each transport."""
SEED = 12
POLICY: dict[str, Any] = {"on_timeout": "rollback", "fetch_seconds": 4, "register_seconds": 4}
LONG_OFF_SECONDS = 12
"""Longer than a switch waits for the fetch, with its retry."""
ENDED_SECONDS = 60
"""A switch has ended after its time-outs, with its retry and the restart of Asterisk in between."""


@pytest.fixture(autouse=True)
def _short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(next_action, "SENT_SECONDS", 1.0)
    monkeypatch.setattr(next_action, "REFUSED_SECONDS", 1.0)


@pytest.fixture(params=[UDP, TCP], ids=["udp", "tcp"])
async def pbx(asterisk: AsteriskServer, tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[AsteriskSite]:
    async with open_asterisk_site(tmp_path, asterisk, methods=METHODS, transport=request.param, expires=4) as site:
        yield site


async def loses_power(phone: SimulatedPhone, chance: random.Random) -> None:
    await asyncio.sleep(chance.uniform(0, 0.6))
    await phone.stop()
    await asyncio.sleep(chance.uniform(0, 1.5) if chance.random() < 0.95 else LONG_OFF_SECONDS)
    phone.start()


async def makes_a_call(phone: SimulatedPhone, chance: random.Random) -> None:
    with suppress(LineRequestFailed):
        await phone.dial(CALLED)
    await asyncio.sleep(chance.uniform(0, 1.5))
    with suppress(LineRequestFailed):
        await phone.hang_up()


async def goes_on(_phone: SimulatedPhone, _chance: random.Random) -> None:
    """Do nothing beside the switch."""


async def restarts_now_and_then(asterisk: AsteriskServer, chance: random.Random) -> None:
    while True:
        await asyncio.sleep(chance.uniform(2, 12))
        end: Callable[[], None] = chance.choice([asterisk.stop, asterisk.kill])
        await asyncio.to_thread(end)
        await asyncio.sleep(chance.uniform(0, 1))
        await asyncio.to_thread(asterisk.start, wait=False)


async def switches(pbx: AsteriskSite, shared: str, left: Iterator[int], seed: int) -> tuple[Counter[str], list[str]]:
    """Switch one phone while ``left`` lasts. Return the numbers of end states, and what was claimed wrongly."""
    chance = random.Random(seed)
    lines = [new_line(), new_line(), shared]
    history = PhoneHistory()
    states: Counter[str] = Counter()
    wrong = []
    async with pbx.phone_in_service(lines[0], on_event=history.note) as phone:
        for _ in left:
            event = chance.choice([goes_on, goes_on, loses_power, makes_a_call])
            beside = asyncio.create_task(event(phone, chance))
            switched = await pbx.switch(phone.mac, chance.choice(lines), wait=ENDED_SECONDS, **POLICY)
            await beside
            states[switched["state"]] += 1
            wrong += [f"{claim}\n{brief(switched)}\n{history}" for claim in history.false_claims(switched)]
    return states, wrong


async def test_random_switches_claim_nothing_wrong(pbx: AsteriskSite) -> None:
    shared = new_shared_line()
    restarting = asyncio.create_task(restarts_now_and_then(pbx.asterisk, random.Random(SEED)))
    left = iter(range(SWITCHES // 2))
    try:
        claims = await asyncio.gather(*(switches(pbx, shared, left, SEED + phone) for phone in range(PHONES)))
    finally:
        restarting.cancel()
        await asyncio.wait([restarting])
    wrong = [claim for _, of_phone in claims for claim in of_phone]
    states = sum((of_phone for of_phone, _ in claims), Counter[str]())
    assert not wrong, f"{len(wrong)} wrong claims\n" + "\n\n".join(wrong[:3])
    assert states.total() == SWITCHES // 2
    assert states["confirmed"] > states.total() / 2, states
