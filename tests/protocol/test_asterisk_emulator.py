"""The emulator of Asterisk, held against conversations with real versions."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import pytest

from cisisk.pbx import listings
from cisisk.pbx.connection import Asterisk, AsteriskRefused
from cisisk.pbx.wire import AmiMessage
from tests.protocol.asterisk import AsteriskEmulator, Device, Registered
from tests.transcripts import Exchange, every_message, exchanges, received
from tests.unit.pbx.test_connection import connected, settings_for

_PATCHED_22 = "22.8.1-usecallmanager-answers"
_CHANNELS = {
    "16.28.0-pjsip-answers": "pjsip",
    "22.10.1-pjsip-answers": "pjsip",
    "22.10.1-pjsip-listings": "pjsip",
    "16.28.0-stock-chan_sip-answers": "sip",
    "16.28.0-usecallmanager-answers": "sip",
    "16.28.0-usecallmanager-command-answers": "sip",
    "20.18.0-usecallmanager-answers": "sip",
    _PATCHED_22: "usecallmanager",
    "16.28.0-chan-sccp-answers": "sip",
}
_NOT_EMULATED = {
    "Challenge",
    "Filter",
    "Login",
    "PJSIPShowAors",
    "PJSIPShowContacts",
    "PJSIPShowEndpoints",
    "PJSIPShowRegistrationsInbound",
    "Ping",
}
"""Actions that Cisisk does not send, or whose answers differ by time."""


def _cases() -> Iterator[tuple[str, Exchange]]:
    for name in _CHANNELS:
        for exchange in exchanges(name):
            if exchange.action and exchange.action not in _NOT_EMULATED:
                yield name, exchange


def _emulator(name: str) -> AsteriskEmulator:
    device = "SEP001122330001" if name == _PATCHED_22 else ""
    denied = {each.action.lower() for each in exchanges(name) if _said(each) == "Permission denied"}
    return AsteriskEmulator(
        channel=_CHANNELS[name],
        patched="stock" not in name,
        phones=[Registered("201", "127.0.2.1", "1@127.0.2.1", user="201", device_name=device)],
        configured=("202", "305"),
        devices=[
            Device("SEP001122330098", registered=False),
            Device("SEP001122330099", active=True),
        ],
        denied=denied,
        unloaded=set() if "sccp" in name else {"sccplistdevices", "sccpdevicerestart"},
    )


def _said(exchange: Exchange) -> str:
    """Return the message of a refusal; a command that fails is none."""
    reply = exchange.reply
    return reply.get("message") if reply.get("response") == "Error" and not reply.output else ""


async def _answer(asterisk: Asterisk, exchange: Exchange) -> list[AmiMessage]:
    """Return the answer of the emulator to a recorded action."""
    fields = [(key, value) for key, value in exchange.fields if key not in {"Action", "ActionID"}]
    if exchange.reply.get("eventlist").lower() == "start":
        return await asterisk.listing(exchange.action, fields)
    return [await asterisk.action(exchange.action, fields)]


def _events(messages: Sequence[AmiMessage]) -> dict[str, set[str]]:
    """Return the keys of all messages by their event; replies have none."""
    keys: dict[str, set[str]] = {}
    for message in messages:
        keys.setdefault(message.get("event"), set()).update(message.values)
    return keys


@pytest.mark.parametrize(
    ("name", "exchange"),
    [pytest.param(*case, id=f"{case[0]}-{case[1].action}-{number}") for number, case in enumerate(_cases())],
)
async def test_emulator_answers_as_the_recorded_version(name: str, exchange: Exchange) -> None:
    emulator = _emulator(name)
    async with emulator, connected(settings_for(emulator)) as asterisk:
        if refused := _said(exchange):
            with pytest.raises(AsteriskRefused, check=lambda error: error.said == refused):
                await _answer(asterisk, exchange)
            return
        answer = await _answer(asterisk, exchange)
    real, recorded = exchange.reply, _events(exchange.received)
    for event, keys in _events(answer).items():
        assert keys - {"actionid"} <= recorded[event]
    if exchange.action == "Getvar" and "DEVICE_STATE(S" not in real.get("variable"):
        assert bool(answer[0].get("value")) == bool(real.get("value"))
    if exchange.action in {"Command", "PJSIPNotify", "SIPnotify"}:
        assert (_outcome(answer[0]), answer[0].output) == (_outcome(real), real.output)


def _outcome(reply: AmiMessage) -> tuple[str, str]:
    return reply.get("response"), reply.get("message")


class _Noted(dict[str, str]):
    """The values of a message. It notes which of them are read."""

    def __init__(self, values: Mapping[str, str], keys: set[str]) -> None:
        super().__init__(values)
        self.keys_read = keys

    def get(self, key: str, default: Any = None) -> Any:
        self.keys_read.add(key)
        return super().get(key, default)


@pytest.mark.parametrize(
    ("read", "action", "fields", "names"),
    [
        (
            listings.contacts,
            "PJSIPShowRegistrationInboundContactStatuses",
            {},
            ["16.28.0-pjsip-answers"],
        ),
        (
            listings.contacts,
            "PJSIPShowRegistrationInboundContactStatuses",
            {},
            ["22.10.1-pjsip-listings"],
        ),
        (listings.peers, "SIPpeers", {}, ["16.28.0-usecallmanager-answers", _PATCHED_22]),
        (listings.peer_detail, "SIPshowpeer", {"Peer": "201"}, ["16.28.0-usecallmanager-answers", _PATCHED_22]),
        (listings.devices, "SCCPListDevices", {}, ["16.28.0-chan-sccp-answers"]),
    ],
)
def test_every_field_that_is_read_occurs_in_a_recorded_answer(
    read: Callable[..., Any], action: str, fields: dict[str, str], names: list[str]
) -> None:
    keys: set[str] = set()
    recorded: set[str] = set()
    for name in names:
        messages = received(name, action, **fields)
        recorded.update(*(message.values for message in messages))
        noted = [AmiMessage(_Noted(message.values, keys)) for message in messages]
        if read is listings.peer_detail:
            read(noted[0])
        else:
            assert list(read(noted)) != []
    assert keys <= recorded


_EVENT_FIELDS = {
    "ContactStatus": {"uri", "contactstatus", "aor", "endpointname"},
    "PeerStatus": {"peer", "peerstatus", "address"},
    "DeviceStatus": {"sccpdevice", "devicestatus"},
    "DeviceStateChange": {"device", "state"},
    "FullyBooted": {"status"},
}
"""What Cisisk reads of each event."""
_EVENT_TRANSCRIPTS = {
    "ContactStatus": ["16.28.0-pjsip-events-of-registrations", "22.10.1-pjsip-events-of-registrations"],
    "PeerStatus": [
        "16.28.0-usecallmanager-events",
        "20.18.0-usecallmanager-events",
        "22.8.1-usecallmanager-events",
        "16.28.0-chan-sccp-events",
    ],
    "DeviceStatus": ["16.28.0-chan-sccp-events"],
    "DeviceStateChange": ["16.28.0-chan-sccp-events", "22.10.1-pjsip-events-of-a-call"],
    "FullyBooted": ["16.28.0-usecallmanager-events", "22.8.1-usecallmanager-events"],
}


@pytest.mark.parametrize(
    ("event", "name"), [(event, name) for event, names in _EVENT_TRANSCRIPTS.items() for name in names]
)
def test_every_event_field_occurs_in_the_version(event: str, name: str) -> None:
    assert _events(every_message(name))[event] >= _EVENT_FIELDS[event]
