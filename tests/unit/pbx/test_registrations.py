"""Registrations of phones after a restart."""

import asyncio
import re
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cisisk.model.codes.asterisk import RegistrationDoubt, RegistrationEvidence
from cisisk.model.evidence import Watched
from cisisk.model.mac import Mac
from cisisk.model.messages import render
from cisisk.model.phone import Software
from cisisk.model.registration import Before, ListedRegistration
from cisisk.pbx.calls import Calls
from cisisk.pbx.connection import Asterisk, AsteriskAway, AsteriskLimits, AsteriskRefused
from cisisk.pbx.latest import MAX_REMEMBERED
from cisisk.pbx.readiness import BootLimits, Readiness
from cisisk.pbx.registrar import Registrar
from cisisk.pbx.registrations import UNABLE_SECONDS, Registered, Registrations
from cisisk.pbx.wire import AmiMessage
from tests.patience import PATIENCE
from tests.protocol.asterisk import AsteriskEmulator, Device
from tests.protocol.asterisk import Registered as Phone
from tests.unit.pbx.test_connection import connected, settings_for, until, until_connected

MAC = Mac.parse("001122334455")
ADDRESS = "192.0.2.7"
OLD, NEW = "old@192.0.2.7", "new@192.0.2.7"
SIP_CHANNELS = ["sip", "usecallmanager"]


@asynccontextmanager
async def seen(emulator: AsteriskEmulator) -> AsyncIterator[Registrations]:
    """Observe the registrations at a running Asterisk."""
    async with watching(emulator) as (found, _):
        yield found


@asynccontextmanager
async def watching(
    emulator: AsteriskEmulator, unable_seconds: float = UNABLE_SECONDS
) -> AsyncIterator[tuple[Registrations, Calls]]:
    """Observe the registrations at a running Asterisk, and the calls."""
    async with emulator:
        asterisk = Asterisk(settings_for(emulator), AsteriskLimits(action_seconds=PATIENCE))
        calls = Calls(asterisk, Registrar(asterisk, emulator.channel), emulator.channel)
        found = Registrations(asterisk, emulator.channel, calls, unable_seconds)
        task = asyncio.create_task(asterisk.run())
        try:
            await until_connected(asterisk)
            yield found, calls
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


def before(*names: str, call_id: str = OLD) -> Before:
    """Return what was registered from the address before: endpoints or peers."""
    listed = [
        ListedRegistration(
            line=name, endpoint=name, addresses=frozenset({ADDRESS}), contact=f"{ADDRESS} 5060", call_id=call_id
        )
        for name in names
    ]
    return Before(listed=tuple(listed))


def watched(**changes: Any) -> Watched:
    """Return a phone that has just fetched its config."""
    phone = Watched(
        mac=MAC,
        software=Software.SIP,
        address=ADDRESS,
        line="305",
        before=before("201"),
        since=time.monotonic(),
        fetched=True,
    )
    return replace(phone, **changes)


async def look(found: Registrations, *phones: Watched) -> dict[Mac, Registered]:
    """Return those of the phones that are seen to have registered."""
    return {mac: each for mac, each in (await found.look(phones)).items() if isinstance(each, Registered)}


async def heard(names: list[str], *wanted: str) -> None:
    await until(lambda: set(wanted) <= set(names))


# PJSIP


async def test_endpoint_with_new_call_id_is_registered() -> None:
    emulator = AsteriskEmulator(phones=[Phone("305", ADDRESS, NEW), Phone("400", "192.0.2.8", "x@y")])
    async with seen(emulator) as found:
        observed = await look(found, watched())
    assert observed[MAC].evidence == RegistrationEvidence.ENDPOINT_WITH_NEW_CALL_ID.notice(
        name="305", address="192.0.2.7"
    )
    assert (observed[MAC].peer, observed[MAC].call_id, observed[MAC].address) == ("305", NEW, ADDRESS)


async def test_contact_with_kept_call_id_is_registered_once_its_expiry_moves() -> None:
    phone = Phone("201", ADDRESS, OLD, expires=100)
    async with seen(AsteriskEmulator(phones=[phone])) as found:
        waited = watched(line="201")
        assert await found.look([waited]) == {MAC: RegistrationDoubt.NOT_LATER}
        phone.expires = 3600
        observed = await look(found, waited)
    assert observed[MAC].evidence == RegistrationEvidence.ENDPOINT_AGAIN.notice(name="201", address="192.0.2.7")


async def test_endpoint_named_unlike_its_line_is_recognised_by_the_aor() -> None:
    async with seen(AsteriskEmulator(phones=[Phone("desk-7", ADDRESS, NEW, aor="305")])) as found:
        assert (await look(found, watched()))[MAC].peer == "desk-7"
        assert await found.look([watched(line="306")]) == {MAC: RegistrationDoubt.ABSENT}


async def test_one_listing_serves_all_phones() -> None:
    phones = [Phone(str(number), f"192.0.2.{number}", f"{number}@new") for number in range(1, 201)]
    async with seen(emulator := AsteriskEmulator(phones=phones)) as found:
        emulator.heard.clear()
        wanted = [
            watched(mac=Mac.parse(f"{number:012X}"), address=f"192.0.2.{number}", line=str(number))
            for number in range(1, 201)
        ]
        assert len(await look(found, *wanted)) == 200
    assert [action for action, _ in emulator.heard] == ["pjsipshowregistrationinboundcontactstatuses"]


# chan_sip


@pytest.mark.parametrize("channel", SIP_CHANNELS)
async def test_peer_with_new_call_id_is_registered(channel: str) -> None:
    emulator = AsteriskEmulator(channel=channel, phones=[Phone("201", ADDRESS, OLD)])
    async with seen(emulator) as found:
        waited = watched(line="201")
        assert await found.look([waited]) == {MAC: RegistrationDoubt.NOT_LATER}
        emulator.phones[0].call_id = NEW
        observed = await look(found, waited)
    assert observed[MAC].evidence == RegistrationEvidence.PEER_WITH_NEW_CALL_ID.notice(name="201", address="192.0.2.7")


@pytest.mark.parametrize("channel", SIP_CHANNELS)
async def test_refreshed_registration_with_known_call_id_is_not_new(channel: str) -> None:
    phone = Phone("201", ADDRESS, OLD)
    emulator = AsteriskEmulator(channel=channel, phones=[phone])
    names: list[str] = []
    async with seen(emulator) as found:
        found.subscribe(names.append)
        waited = watched(line="201")
        emulator.refreshes(phone)
        await heard(names, ADDRESS)
        assert await found.look([waited]) == {MAC: RegistrationDoubt.NOT_LATER}


async def test_registration_without_patch_is_proved_by_event() -> None:
    phone = Phone("201", ADDRESS, OLD)
    emulator = AsteriskEmulator(channel="sip", patched=False, phones=[phone])
    names: list[str] = []
    async with seen(emulator) as found:
        found.subscribe(names.append)
        waited = watched(before=before("201", call_id=""), line="201")
        assert await look(found, waited) == {}
        emulator.registers(phone)
        await heard(names, ADDRESS)
        assert (await look(found, waited))[MAC].evidence.code == RegistrationEvidence.PEER_AGAIN
        assert await look(found, watched(before=before("201", call_id=""), line="201")) == {}
    assert emulator.asked("getvar") == []


async def test_registration_without_events_is_proved_by_listing() -> None:
    phone = Phone("201", ADDRESS, OLD)
    emulator = AsteriskEmulator(channel="sip", patched=False, phones=[phone], rights=frozenset())
    async with seen(emulator) as found:
        waited = watched(before=before("201", call_id=""), line="201")
        assert await look(found, waited) == {}
        emulator.unregisters(phone)
        assert await look(found, waited) == {}
        emulator.registers(phone)
        assert (await look(found, waited))[MAC].peer == "201"


async def test_previous_peer_at_the_address_does_not_hide_the_new_one() -> None:
    phones = [Phone("201", ADDRESS, ""), Phone("305", ADDRESS, "")]
    async with seen(AsteriskEmulator(channel="sip", patched=False, phones=phones)) as found:
        assert (await look(found, watched(before=before("201", call_id=""))))[MAC].peer == "305"


async def test_peer_that_names_its_phone_is_found_at_any_address() -> None:
    phone = Phone("305", "192.0.2.99", NEW, device_name=MAC.device_name)
    async with seen(AsteriskEmulator(channel="usecallmanager", phones=[phone])) as found:
        assert (await look(found, watched()))[MAC].call_id == NEW


# chan-sccp


async def test_sccp_registration_is_proved_by_its_event() -> None:
    device = Device(MAC.device_name)
    names: list[str] = []
    async with seen(emulator := AsteriskEmulator(devices=[device])) as found:
        found.subscribe(names.append)
        phone = watched(software=Software.SCCP, before=None, line=None)
        assert await look(found, phone) == {}
        emulator.device_unregisters(device)
        assert await look(found, phone) == {}
        emulator.device_registers(device)
        await heard(names, MAC.device_name)
        observed = (await look(found, phone))[MAC]
        assert (observed.peer, observed.evidence) == (
            MAC.device_name,
            RegistrationEvidence.SCCP_DEVICE.notice(name=MAC.device_name),
        )
        assert await look(found, watched(software=Software.SCCP, before=None, line=None)) == {}


@pytest.mark.parametrize("seen_gone", [True, False])
async def test_sccp_registration_is_proved_by_its_time(seen_gone: bool) -> None:
    device = Device(MAC.device_name)
    emulator = AsteriskEmulator(devices=[device], rights=frozenset({"system"}), run_together=True)
    async with seen(emulator) as found:
        phone = watched(software=Software.SCCP, before=None, line=None)
        assert await look(found, phone) == {}
        emulator.device_unregisters(device)
        if seen_gone:
            assert await look(found, phone) == {}
        emulator.device_registers(device)
        assert (await look(found, phone))[MAC].address == "127.0.0.1"


# Unobservable registrations


async def test_registration_without_asterisk_is_not_observed() -> None:
    found = Registrations(None, "pjsip", Calls(None, Registrar(None, "pjsip"), "pjsip"))
    assert not any(found.observes(software) for software in Software)
    assert await found.look([watched()]) == {}


async def test_registration_without_chan_sccp_observes_sip_phones() -> None:
    emulator = AsteriskEmulator(phones=[Phone("305", ADDRESS, NEW)], denied={"sccplistdevices"})
    async with seen(emulator) as found:
        both = [watched(), watched(mac=Mac.parse("001122334456"), software=Software.SCCP)]
        assert list(await found.look(both)) == [MAC]
        assert [software for software in Software if found.observes(software)] == [Software.SIP, Software.SIPE]
        with pytest.raises(AsteriskRefused):
            await found.look(both[1:])


async def test_refused_list_is_asked_for_again_later() -> None:
    emulator = AsteriskEmulator(phones=[Phone("305", ADDRESS, NEW)], denied={"sccplistdevices"})
    async with watching(emulator, unable_seconds=0.0) as (found, _):
        with pytest.raises(AsteriskRefused):
            await found.look([watched(software=Software.SCCP)])
        assert found.observes(Software.SCCP)


async def test_look_raises_while_asterisk_is_away() -> None:
    async with AsteriskEmulator() as gone:
        pass
    async with connected(settings_for(gone)) as asterisk:
        found = Registrations(asterisk, "sip", Calls(asterisk, Registrar(asterisk, "sip"), "sip"))
        with pytest.raises(AsteriskAway):
            await found.look([watched()])


async def test_refused_getvar_ends_the_look_of_chan_sip() -> None:
    phones = [Phone(str(number), f"192.0.2.{number}", "x") for number in range(1, 50)]
    async with seen(AsteriskEmulator(channel="sip", phones=phones, denied={"getvar"})) as found:
        with pytest.raises(AsteriskRefused):
            await found.look(
                [watched(mac=Mac.parse(f"{n:012X}"), address=f"192.0.2.{n}", line=str(n)) for n in range(1, 50)]
            )


# Events


@pytest.mark.parametrize("rights", [{"system", "call"}, {"system"}, {"reporting"}])
async def test_events_depend_on_the_account(rights: set[str]) -> None:
    phone, device = Phone("201", ADDRESS, OLD), Device(MAC.device_name)
    names: list[str] = []
    emulator = AsteriskEmulator(phones=[], devices=[device], rights=frozenset(rights))
    async with seen(emulator) as found:
        found.subscribe(names.append)
        emulator.device_registers(device)
        emulator.registers(phone)
        await found.look([watched()])
    assert (ADDRESS in names, MAC.device_name in names) == ("system" in rights, "call" in rights)


async def test_asterisk_filters_events_without_listeners() -> None:
    async with seen(emulator := AsteriskEmulator()):
        (session,) = emulator.sessions
        assert session.mask == {"system", "call"}
        assert sorted(session.filters) == [
            "Event: ContactStatus",
            "Event: DeviceStateChange",
            "Event: DeviceStatus",
            "Event: FullyBooted",
            "Event: PeerStatus",
        ]


@pytest.mark.parametrize("event", ["Newexten", "PeerStatus"])
async def test_flood_of_events_does_not_block_the_loop(event: str) -> None:
    names: list[str] = []
    emulator = AsteriskEmulator(phones=[Phone("305", ADDRESS, NEW)], denied={"filter"})
    async with seen(emulator) as found:
        found.subscribe(names.append)
        longest, last, done = 0.0, time.perf_counter(), False

        async def beat() -> None:
            nonlocal longest, last
            while not done:
                await asyncio.sleep(0)
                now = time.perf_counter()
                longest, last = max(longest, now - last), now

        beating = asyncio.create_task(beat())
        for number in range(100):
            for each in range(200):
                peer = f"SIP/{number}-{each}"
                emulator.emit("call", event, ("Peer", peer), ("PeerStatus", "Registered"), ("Address", ADDRESS))
            await asyncio.sleep(0)
        assert (await look(found, watched()))[MAC].peer == "305"
        done = True
        await beating
    assert len(names) == (20_000 if event == "PeerStatus" else 0)
    assert longest < 1.0
    assert len(found._registered_at) <= MAX_REMEMBERED


_TEXT = st.text(st.characters(blacklist_characters="\r\n\0"), max_size=60)
_NASTY = st.one_of(
    _TEXT,
    st.sampled_from(["305", "201", OLD, ADDRESS, "sip:305@192.0.2.7:5060", "sip:[", "sip:" * 500, "[::", "1" * 300]),
)


def _messages(*keys: str) -> st.SearchStrategy[list[AmiMessage]]:
    return st.lists(st.dictionaries(st.sampled_from(keys), _NASTY).map(AmiMessage), max_size=6)


class Answering:
    """A stub of Asterisk that lists given events."""

    def __init__(self, listed: list[AmiMessage]) -> None:
        self.listed = listed
        self.readiness = Readiness(BootLimits())

    def subscribe(self, *_: object) -> None:
        pass

    async def listing(self, action: str, _fields: object = ()) -> list[AmiMessage]:
        event = "ContactStatusDetail" if action.startswith("PJSIP") else "DeviceEntry"
        return [AmiMessage({"event": event, **message.values}) for message in self.listed]

    async def action(self, _action: str, fields: list[tuple[str, str]]) -> AmiMessage:
        assert re.fullmatch(
            r"SIP_?PEER\([A-Za-z0-9._@+-]{1,80},(regcallid|register_callid)\)", dict(fields)["Variable"]
        )
        return self.listed[0] if self.listed else AmiMessage({})


_LISTED = _messages(
    *("endpointname", "aor", "uri", "viaaddress", "callid", "status", "objectname", "ipaddress", "ipport", "value"),
    *("objectid", "reg_status", "reg_time", "active"),
)


@pytest.mark.wording
@given(listed=_LISTED, channel=st.sampled_from(["pjsip", "sip", "usecallmanager"]))
async def test_any_listing_gives_a_printable_look(listed: list[AmiMessage], channel: str) -> None:
    asterisk: Any = Answering(listed)
    found = Registrations(asterisk, channel, Calls(asterisk, Registrar(asterisk, channel), channel))
    software = (Software.SIP, Software.SCCP)
    for phone in [watched(software=each, before=known) for each in software for known in (before("201"), None)]:
        for registered in (await look(found, phone)).values():
            assert (render(registered.evidence) + registered.call_id + registered.peer).isprintable()
            assert len(render(registered.evidence)) < 500
            assert registered.call_id != OLD or phone.before is None


@given(
    events=_messages(
        *(
            "uri",
            "endpointname",
            "aor",
            "peer",
            "peerstatus",
            "address",
            "sccpdevice",
            "devicestatus",
            "device",
            "state",
        )
    )
)
def test_any_event_gives_a_printable_name(events: list[AmiMessage]) -> None:
    listeners: list[Any] = []
    asterisk: Any = Answering([])
    asterisk.listen = lambda _event, heard: listeners.append(heard)
    calls = Calls(asterisk, Registrar(asterisk, "pjsip"), "pjsip")
    found = Registrations(asterisk, "pjsip", calls)
    names: list[str] = []
    for each in (found, calls):
        each.subscribe(names.append)
    for event in events:
        for listener in listeners:
            listener(event)
    assert all(name.isprintable() and 0 < len(name) <= 200 for name in names)
