"""Calls of phones: current ones and recently ended ones."""

from dataclasses import replace
from typing import Any

import pytest

from cisisk.model.codes.error import CallsUnknownCause
from cisisk.model.errors import CallsUnknown
from cisisk.model.mac import Mac
from cisisk.model.phone import Software
from cisisk.model.target import Registration
from cisisk.pbx.calls import Calls, CallState
from cisisk.pbx.registrar import Registrar
from tests.protocol.asterisk import AsteriskEmulator, Device, Registered
from tests.unit.pbx.test_registrar import target
from tests.unit.pbx.test_registrations import ADDRESS, MAC, OLD, SIP_CHANNELS, heard, watching


@pytest.mark.parametrize("channel", ["pjsip", *SIP_CHANNELS])
@pytest.mark.parametrize("counts_calls", [True, False])
async def test_call_and_its_end_are_seen(channel: str, counts_calls: bool) -> None:
    phone = Registered("201", ADDRESS, OLD)
    async with watching(AsteriskEmulator(channel=channel, phones=[phone], counts_calls=counts_calls)) as (_, calls):
        emulator_phone = target(registration=Registration(user="u", peer="201", call_id=OLD))
        assert await calls.call_state(emulator_phone) == CallState(in_call=False)
        phone.in_call = True
        assert await calls.call_state(emulator_phone) == CallState(in_call=True)
        phone.in_call = False
        state = await calls.call_state(emulator_phone)
        assert state.in_call is False
        assert state.ended is not None
        assert 0 <= state.ended < 5


async def test_end_of_a_call_is_reported_by_its_event() -> None:
    phone = Registered("201", ADDRESS, OLD)
    names: list[str] = []
    async with watching(emulator := AsteriskEmulator(phones=[phone])) as (_, calls):
        calls.subscribe(names.append)
        emulator.calls(phone, True)
        emulator.calls(phone, False)
        await heard(names, "201")
        state = await calls.call_state(target())
    assert state.in_call is False
    assert state.ended is not None


async def test_sccp_call_is_seen_in_the_listing() -> None:
    device = Device(MAC.device_name)
    async with watching(emulator := AsteriskEmulator(devices=[device])) as (_, calls):
        phone = target(software=Software.SCCP)
        assert await calls.call_state(phone) == CallState(in_call=False)
        emulator.calls(device, True)
        assert await calls.call_state(phone) == CallState(in_call=True)
        emulator.calls(device, False)
        assert (await calls.call_state(phone)).ended is not None
        assert await calls.call_state(replace(phone, mac=Mac.parse("001122334456"))) == CallState(in_call=None)


async def test_call_of_an_unknown_phone_is_unknown() -> None:
    phones = [Registered("a),SHELL(x", ADDRESS, OLD)]
    async with watching(AsteriskEmulator(phones=phones)) as (_, calls):
        assert await calls.call_state(target()) == CallState(in_call=None)
        named = target(registration=Registration(user="u", peer="999", call_id=OLD))
        assert await calls.call_state(named) == CallState(in_call=None)


async def test_call_is_unknown_while_asterisk_is_away() -> None:
    async with watching(emulator := AsteriskEmulator(phones=[Registered("201", ADDRESS, OLD)])) as (_, calls):
        await emulator.stop()
        assert await calls.is_in_call(target(), 0, if_unknown=True)
        assert not await calls.is_in_call(target(), 0)


async def test_unregistered_phone_is_in_no_call() -> None:
    async with watching(AsteriskEmulator(phones=[])) as (_, calls):
        assert not await calls.is_in_call(target(), 0, if_unknown=True)


async def test_call_is_unknown_without_an_asterisk() -> None:
    calls = Calls(None, Registrar(None, "pjsip"), "pjsip")
    assert await calls.call_state(target()) == CallState(in_call=None)
    assert not await calls.is_in_call(target(), 0, if_unknown=True)


@pytest.mark.parametrize(
    ("changes", "cause"),
    [
        ({"denied": {"getvar"}}, CallsUnknownCause.REFUSED),
        ({"denied": {"pjsipshowendpoint", "pjsipshowregistrationinboundcontactstatuses"}}, CallsUnknownCause.REFUSED),
        ({"phones": [Registered("a),SHELL(x", ADDRESS, OLD)]}, CallsUnknownCause.PHONE),
    ],
)
async def test_cause_of_unknown_calls_is_told(changes: dict[str, Any], cause: CallsUnknownCause) -> None:
    emulator = AsteriskEmulator(**{"phones": [Registered("201", ADDRESS, OLD)], **changes})
    async with watching(emulator) as (_, calls):
        unknown = (await calls.call_state(target())).unknown
        assert unknown is not None
        assert unknown.cause is cause
        with pytest.raises(CallsUnknown):
            await calls.is_in_call(target(), 0, if_unknown=None)


async def test_calls_are_unknown_for_now_while_asterisk_is_away() -> None:
    async with watching(emulator := AsteriskEmulator(phones=[Registered("201", ADDRESS, OLD)])) as (_, calls):
        await emulator.stop()
        unknown = (await calls.call_state(target())).unknown
    assert unknown is not None
    assert unknown.cause is CallsUnknownCause.AWAY


async def test_calls_are_unknown_without_asterisk() -> None:
    calls = Calls(None, Registrar(None, "pjsip"), "pjsip")
    assert not await calls.is_in_call(target(), 0, if_unknown=True)
    with pytest.raises(CallsUnknown):
        await calls.is_in_call(target(), 0, if_unknown=None)
