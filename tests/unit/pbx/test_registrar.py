"""The registration of a phone at Asterisk."""

from dataclasses import replace
from typing import Any

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


def target(address: str | None = "192.0.2.7", software: Software = Software.SIP, **changes: Any) -> Target:
    mac = Mac.parse("001122334455")
    phone = Target(mac=mac, address=address, model="7965", software=software, served=config("201").encode())
    return replace(phone, **changes)


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


# Several registrations at one address


async def test_stale_contact_beside_the_phones_own_does_not_count() -> None:
    phones = [
        Registered("201", "192.0.2.7", "stale@192.0.2.7", user="u1", expires=100),
        Registered("201", "192.0.2.7", "fresh@192.0.2.7", user="u2", expires=3600),
    ]
    for order in (phones, phones[::-1]):
        found = await identified(AsteriskEmulator(phones=order), target())
        assert found.require_registration().call_id == "fresh@192.0.2.7"


@pytest.mark.parametrize("other", [{"expires": 3600}, {"expires": 100, "contact": "sip:u@10.0.0.5:5060"}])
async def test_contacts_that_may_be_of_two_phones_are_not_guessed(other: dict[str, Any]) -> None:
    phones = [
        Registered("201", "192.0.2.7", "1@192.0.2.7", user="u1", expires=3600),
        Registered("201", "192.0.2.7", "2@192.0.2.7", user="u2", **other),
    ]
    found = await identified(AsteriskEmulator(phones=phones), target())
    assert found.unregistered is not None
    assert found.unregistered.notice.code == RestartRefusal.REGISTERED_TWICE


async def test_aor_tells_which_contact_of_an_endpoint_is_the_line() -> None:
    phones = [
        Registered("desk-7", "192.0.2.7", "1@192.0.2.7", aor="201"),
        Registered("desk-7", "192.0.2.7", "2@192.0.2.7", aor="202"),
    ]
    found = await identified(AsteriskEmulator(phones=phones), target())
    assert (found.require_registration().peer, found.require_registration().call_id) == ("desk-7", "1@192.0.2.7")


@pytest.mark.parametrize("channel", ["pjsip", "sip", "usecallmanager"])
async def test_previous_line_at_the_address_does_not_hide_the_served_one(channel: str) -> None:
    phones = [Registered("305", "192.0.2.7", "1@192.0.2.7"), Registered("201", "192.0.2.7", "2@192.0.2.7")]
    found = await identified(AsteriskEmulator(channel=channel, phones=phones), target())
    assert found.require_registration().peer == "201"


async def test_peer_that_names_the_phone_is_the_phone() -> None:
    phones = [
        Registered("305", "192.0.2.7", "1@192.0.2.7", device_name="SEP001122334400"),
        Registered("306", "192.0.2.8", "2@192.0.2.8", device_name="SEP001122334455"),
    ]
    found = await identified(AsteriskEmulator(channel="usecallmanager", phones=phones), target())
    assert found.require_registration().peer == "306"


# What is registered before the restart


@pytest.mark.parametrize("channel", ["pjsip", "sip", "usecallmanager"])
async def test_registrations_before_are_those_of_the_phone_and_of_its_new_line(channel: str) -> None:
    phones = [
        Registered("201", "192.0.2.7", "1@192.0.2.7"),
        Registered("305", "192.0.2.8", "2@192.0.2.8"),
        Registered("400", "192.0.2.9", "3@192.0.2.9"),
    ]
    found = await identified(AsteriskEmulator(channel=channel, phones=phones), target(wanted=config("305").encode()))
    assert found.before is not None
    assert found.before.lines == {"201"}
    assert {each.line for each in found.before.listed} == {"201", "305"}
    assert found.before.has_call_id("1@192.0.2.7")


async def test_registrations_of_the_new_line_are_known_without_an_address() -> None:
    emulator = AsteriskEmulator(phones=[Registered("305", "192.0.2.8", "2@192.0.2.8")])
    found = await identified(emulator, target(address=None, wanted=config("305").encode()))
    assert found.before is not None
    assert [each.call_id for each in found.before.listed] == ["2@192.0.2.8"]


async def test_registrations_before_are_unknown_while_asterisk_does_not_list_them() -> None:
    found = await identified(AsteriskEmulator(denied={"pjsipshowendpoint"}), target())
    assert found.before is None
