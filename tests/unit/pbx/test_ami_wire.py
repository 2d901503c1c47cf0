"""Messages of the AMI: encoding, parsing and refusals."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cisisk.model.target import NotRestarted
from cisisk.pbx import wire
from cisisk.pbx.registrar import _checked_call_id
from cisisk.pbx.wire import MAX_LINE, Garbled, NotSendable, encode, parse, receive
from cisisk.restart import service_control
from tests.protocol.asterisk import _split

HOSTILE = st.text() | st.lists(
    st.sampled_from(["\r\n", "\n", "\r", "\0", "\r\n\r\nAction: Command\r\n", "a", ":", " ", "\u2028", "\x85", "\x0b"])
).map("".join)


@given(HOSTILE, HOSTILE)
def test_hostile_value_begins_no_header_or_action(name: str, call_id: str) -> None:
    try:
        sent = encode("PJSIPNotify", [("Endpoint", name), *service_control.variables("restart", call_id)])
    except NotSendable:
        return
    # Asterisk also accepts a bare LF as a line end.
    lines = sent.replace(b"\r\n", b"\n").split(b"\n")
    assert lines[-2:] == [b"", b""]
    assert b"" not in lines[:-2]
    assert b"\r" not in sent.replace(b"\r\n", b"")
    assert b"\0" not in sent
    keys = [line.split(b":")[0] for line in lines[:-2]]
    assert keys == [b"Action", b"Endpoint", *[b"Variable"] * 8]


@given(st.text(max_size=40) | st.text(st.sampled_from('a1@.,"\\()[]{}=\r\n'), max_size=20))
def test_accepted_call_id_stays_one_item_and_one_value(call_id: str) -> None:
    try:
        _checked_call_id(call_id)
    except NotRestarted:
        return
    item = f"Content=RegisterCallId={{{call_id}}}"
    assert list(_split(item)) == [item]
    assert not set(call_id) & set("{}\r\n")


@pytest.mark.parametrize("value", ["a\r\nb", "a\nb", "a\rb", "a\0b", "x" * MAX_LINE])
def test_value_that_ends_its_line_is_refused_unrepeated(value: str) -> None:
    with pytest.raises(NotSendable) as refused:
        encode("Login", [("Secret", value)])
    assert value not in str(refused.value)


def test_invalid_header_name_is_refused() -> None:
    with pytest.raises(NotSendable):
        encode("Ping", [("A: b\r\nC", "d")])


def test_both_command_formats_give_the_same_lines() -> None:
    old = b"Response: Follows\r\nPrivilege: Command\r\nActionID: 7\r\none: 1\n\nActionID: 8\n--END COMMAND--\r\n\r\n"
    new = b"Response: Success\r\nActionID: 7\r\nMessage: Command output follows\r\nOutput: one: 1\r\nOutput: \r\n\r\n"
    (before,), (after,) = parse(old), parse(new)
    assert before.output == ("one: 1", "", "ActionID: 8")
    assert after.output == ("one: 1", "")
    assert before.get("actionid") == after.get("actionid") == "7"


def test_devices_without_blank_lines_are_separated() -> None:
    block = b"Event: DeviceEntry\r\nObjectId: SEP1\r\nEvent: DeviceEntry\r\nObjectId: SEP2\r\nEvent: X\r\n\r\n"
    assert [message.get("objectid") for message in parse(block)] == ["SEP1", "SEP2", ""]


@given(st.binary(max_size=400))
def test_any_ami_bytes_are_parsed_or_refused(content: bytes) -> None:
    async def read() -> None:
        reader = asyncio.StreamReader(limit=300)
        reader.feed_data(content)
        reader.feed_eof()
        while True:
            await receive(reader)

    with pytest.raises((Garbled, ConnectionError)):
        asyncio.run(read())


async def test_endless_command_output_is_refused() -> None:
    reader = asyncio.StreamReader()
    reader.feed_data(b"Response: Follows\r\n\r\n" + b"again\r\n\r\n" * 1000)
    with pytest.raises(Garbled):
        await receive(reader, max_bytes=1000)


async def test_unwanted_event_is_not_parsed() -> None:
    blocks = [
        b"Event: Newexten\r\nExten: 1\r\n",
        b"Event: PeerStatus\r\nPeer: SIP/1\r\n",
        b"Event: PeerEntry\r\nActionID: cisisk-1\r\n",
        b"Event: SCCPListDevicesComplete\r\nEventList: Complete\r\n",
        b"Response: Success\r\n",
        b"EVENT:newexten\r\nactionid: 1\r\n",
    ]
    reader = asyncio.StreamReader()
    reader.feed_data(b"\r\n".join((*blocks, b"")))
    received = [await receive(reader, {"peerstatus"}) for _ in blocks]
    assert [[message.get("event") for message in messages] for messages in received] == [
        [],
        ["PeerStatus"],
        ["PeerEntry"],
        ["SCCPListDevicesComplete"],
        [""],
        ["newexten"],
    ]


def test_shown_text_is_short_and_printable() -> None:
    assert wire.shown("a\x1b[31m\n" + "b" * 500) == "a[31m" + "b" * 193
