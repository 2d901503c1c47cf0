"""Permissions, drivers and versions that keep Cisisk from its work, named as problems."""

import asyncio
from typing import Any

import pytest

from cisisk.model.codes.asterisk import AsteriskProblem, SetupProblem
from cisisk.pbx.connection import AsteriskLimits
from cisisk.pbx.readiness import BootLimits
from cisisk.pbx.setup_check import SetupCheck
from tests.notices import codes
from tests.patience import PATIENCE
from tests.protocol.asterisk import AsteriskEmulator, Registered
from tests.unit.pbx.test_connection import DEFAULT_LIMITS, connected, settings_for, until

_METHODS = {"ami-pjsip", "ami-sip", "ami-command"}
_BY_REPORTING = {"getvar"}
_BY_SYSTEM = {"pjsipshowendpoint", "sipshowpeer", "sippeers", "sipnotify", "coreshowchannels"}
_DENIED, _UNLOADED = AsteriskProblem.PERMISSION_DENIED, AsteriskProblem.DRIVER_NOT_LOADED


async def problems(emulator: AsteriskEmulator, channel: str, limits: AsteriskLimits = DEFAULT_LIMITS) -> list[Any]:
    async with emulator, connected(settings_for(emulator), limits) as asterisk:
        await asterisk.until_connected()
        check = SetupCheck(asterisk, channel, _METHODS)
        await check.check()
        return [codes(problem) for problem in check.problems]


def emulated(channel: str, **changes: Any) -> AsteriskEmulator:
    return AsteriskEmulator(channel=channel, phones=[Registered("201", "127.0.2.1", "1@127.0.2.1")], **changes)


@pytest.mark.parametrize("channel", ["pjsip", "sip", "usecallmanager"])
async def test_asterisk_that_allows_everything_has_no_problem(channel: str) -> None:
    emulator = emulated(channel)
    assert await problems(emulator, channel) == []
    assert "pjsipnotify" not in {action for action, _ in emulator.heard}


@pytest.mark.parametrize(
    ("channel", "denied", "expected"),
    [
        ("pjsip", _BY_REPORTING, [[SetupProblem.NO_CALLS, _DENIED]]),
        (
            "pjsip",
            _BY_SYSTEM,
            [[SetupProblem.NO_REGISTRATIONS, _DENIED], [SetupProblem.NO_RESTARTS, _DENIED]],
        ),
        ("sip", _BY_REPORTING, [[SetupProblem.NO_CALLS, _DENIED]]),
        ("sip", {"sipnotify"}, [[SetupProblem.NO_RESTARTS, _DENIED]]),
        ("sip", {"command"}, [[SetupProblem.NO_RESTARTS, _DENIED]]),
        (
            "usecallmanager",
            _BY_SYSTEM,
            [
                [SetupProblem.NO_REGISTRATIONS, _DENIED],
                [SetupProblem.NO_CALLS, _DENIED],
                [SetupProblem.NO_RESTARTS, _DENIED],
            ],
        ),
    ],
)
async def test_missing_permission_is_named_with_what_it_is_missing_for(
    channel: str, denied: set[str], expected: list[Any]
) -> None:
    assert await problems(emulated(channel, denied=denied), channel) == expected


@pytest.mark.parametrize(("loaded", "channel"), [("pjsip", "sip"), ("pjsip", "usecallmanager"), ("sip", "pjsip")])
async def test_driver_that_is_not_loaded_is_named(loaded: str, channel: str) -> None:
    found = await problems(emulated(loaded), channel)
    assert [SetupProblem.NO_REGISTRATIONS, _UNLOADED] in found


@pytest.mark.parametrize(
    ("channel", "code"),
    [("sip", SetupProblem.NO_CALL_ID_STOCK), ("usecallmanager", SetupProblem.NO_CALL_ID_22_4)],
)
async def test_chan_sip_that_shows_no_call_id_is_named(channel: str, code: SetupProblem) -> None:
    assert await problems(emulated(channel, patched=False), channel) == [[code]]


async def test_missing_template_is_named() -> None:
    assert await problems(emulated("sip", templates=("cisco-reset",)), "sip") == [[SetupProblem.NO_TEMPLATE]]


@pytest.mark.parametrize(("unseen_seconds", "code"), [(60.0, SetupProblem.STARTING), (0.0, SetupProblem.NO_EVENTS)])
async def test_account_without_read_system_is_named(unseen_seconds: float, code: SetupProblem) -> None:
    limits = AsteriskLimits(boot=BootLimits(event_seconds=0.05, unseen_seconds=unseen_seconds))
    assert await problems(emulated("pjsip", rights=frozenset({"call"})), "pjsip", limits) == [[code]]


async def test_connection_that_is_lost_in_a_start_ends_the_check() -> None:
    emulator = emulated("pjsip")
    await emulator.start()
    async with connected(settings_for(emulator)) as asterisk:
        check = SetupCheck(asterisk, "pjsip", _METHODS)
        await until(lambda: asterisk.readiness.is_booted)
        await emulator.stop()
        async with AsteriskEmulator(port=emulator.port, starting=True) as starting:
            await until(lambda: starting.logins > 0)
            await starting.stop()
            async with asyncio.timeout(PATIENCE):
                await check.check()
    assert codes(check.problems[0]) == [SetupProblem.STARTING]


async def test_corrected_permission_is_noticed(caplog: pytest.LogCaptureFixture) -> None:
    emulator = emulated("pjsip", denied={"getvar"})
    async with emulator, connected(settings_for(emulator)) as asterisk:
        await asterisk.until_connected()
        check = SetupCheck(asterisk, "pjsip", _METHODS)
        for _ in range(2):
            await check.check()
        assert codes(check.problems[0])[0] == SetupProblem.NO_CALLS
        emulator.denied.clear()
        await check.check()
    assert check.problems == ()
    assert len([record for record in caplog.records if record.levelname == "WARNING"]) == 1
