"""The registration of a phone at Asterisk."""

import pytest

from cisisk.model.codes.restart import RestartRefusal
from cisisk.model.mac import Mac
from cisisk.model.phone import Software
from cisisk.model.target import NotRestarted, Registration, Target
from cisisk.pbx.registrar import Registrar
from tests.e2e.running_site import config
from tests.notices import carries
from tests.protocol.asterisk import AsteriskEmulator, Registered
from tests.unit.pbx.test_connection import connected, settings_for


def target(address: str | None = "192.0.2.7", software: Software = Software.SIP) -> Target:
    mac = Mac.parse("001122334455")
    return Target(mac=mac, address=address, model="7965", software=software, served=config("201").encode())


async def identified(emulator: AsteriskEmulator, phone: Target) -> Target:
    async with emulator, connected(settings_for(emulator)) as asterisk:
        return await Registrar(asterisk, emulator.channel).identify(phone)


@pytest.mark.parametrize("in_call", [True, False])
async def test_pjsip_registration_has_endpoint_contact_call_id_and_call(in_call: bool) -> None:
    emulator = AsteriskEmulator(phones=[Registered("201", "192.0.2.7", "1@192.0.2.7", user="u1", in_call=in_call)])
    found = await identified(emulator, target())
    assert found.registration == Registration(peer="201", user="u1", call_id="1@192.0.2.7", in_call=in_call)


@pytest.mark.parametrize("channel", ["sip", "usecallmanager"])
async def test_chan_sip_registration_has_peer_contact_and_call_id(channel: str) -> None:
    emulator = AsteriskEmulator(channel=channel, phones=[Registered("201", "192.0.2.7", "1@192.0.2.7", user="u1")])
    found = await identified(emulator, target())
    assert found.registration == Registration(peer="201", user="u1", call_id="1@192.0.2.7", in_call=None)


async def test_peer_at_another_address_is_not_the_phone() -> None:
    emulator = AsteriskEmulator(phones=[Registered("201", "192.0.2.99", "1@192.0.2.99")])
    found = await identified(emulator, target())
    assert found.registration is None
    with pytest.raises(NotRestarted, check=carries(RestartRefusal.NOT_REGISTERED, address="192.0.2.7")):
        found.require_registration()


async def test_phone_without_address_is_not_identified() -> None:
    emulator = AsteriskEmulator(phones=[Registered("201", "192.0.2.7", "1@192.0.2.7")])
    found = await identified(emulator, target(address=None))
    assert found.unregistered is not None
    assert found.unregistered.notice == RestartRefusal.NO_ADDRESS_TO_FIND.notice()
    assert emulator.heard == []


async def test_sccp_phone_has_no_sip_registration() -> None:
    emulator = AsteriskEmulator()
    phone = target(software=Software.SCCP)
    assert await identified(emulator, phone) == phone


async def test_peer_with_a_hostile_name_is_not_asked_about() -> None:
    emulator = AsteriskEmulator(channel="sip", phones=[Registered("a),SHELL(x", "192.0.2.7", "1@192.0.2.7")])
    found = await identified(emulator, target())
    assert found.unregistered is not None
    assert found.unregistered.notice == RestartRefusal.PEER_NAME_UNUSABLE.notice(peer="a),SHELL(x")
    assert emulator.asked("getvar") == []


async def test_ipv6_address_is_found_in_brackets() -> None:
    emulator = AsteriskEmulator(phones=[Registered("201", "[2001:db8::7]", "1@[2001:db8::7]")])
    found = await identified(emulator, target(address="2001:db8:0::7"))
    assert found.require_registration().call_id == "1@[2001:db8::7]"
