"""Asterisk's manager interface as it is on the wire (phone-protocol notes 3b, 3c, 3g), with refusals and bad days."""

import asyncio
import hashlib
import re
import ssl
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Self, TypeAlias

Fields: TypeAlias = list[tuple[str, str]]
USERNAME, SECRET = "cisisk", "s3ntinelAsterisk"
MAX_LINE = 1024
MAX_HEADERS = 128


@dataclass
class Registered:
    """A phone that is registered over SIP.

    Attributes:
        on_notify: called with the action of a NOTIFY that the phone accepts; it judges the Call-ID as a phone does.
    """

    name: str
    address: str
    call_id: str
    on_notify: Callable[[str], None] = lambda _action: None
    user: str = "abc-def"
    status: str = "Reachable"
    in_call: bool = False
    aor: str = ""


@dataclass
class Device:
    """A phone that chan-sccp knows."""

    name: str
    registered: bool = True
    active: bool = False
    on_restart: Callable[[str], None] = lambda _kind: None


@dataclass
class AsteriskEmulator:
    """One Asterisk.

    Attributes:
        channel: the driver for SIP, named as in ``asterisk.channel``.
        patched: whether chan_sip tells Call-IDs.
        denied: actions, in small letters, that the account may not ask for.
        silent, cut: actions that get no answer, or half of one before the connection ends.
        interleaved: whether events come between everything.
        old_commands: whether a command's output comes as up to Asterisk 13.
        run_together: whether devices are listed without blank lines, as older chan-sccp does.
        heard: every action that was understood, but the login.
        refused_seconds: how long a wrong login waits; Asterisk takes a second.
    """

    channel: str = "pjsip"
    phones: list[Registered] = field(default_factory=list)
    devices: list[Device] = field(default_factory=list)
    secret: str = SECRET
    patched: bool = True
    denied: set[str] = field(default_factory=set)
    silent: set[str] = field(default_factory=set)
    cut: set[str] = field(default_factory=set)
    interleaved: bool = False
    old_commands: bool = False
    run_together: bool = False
    slow: float = 0.0
    banner: str = "Asterisk Call Manager/9.0.0"
    tls: ssl.SSLContext | None = None
    refused_seconds: float = 0.01
    templates: tuple[str, ...] = ("cisco-restart", "cisco-reset")
    heard: list[tuple[str, Fields]] = field(default_factory=list)
    raw: bytearray = field(default_factory=bytearray)
    logins: int = 0
    port: int = 0

    async def start(self) -> None:
        self._writers: set[asyncio.StreamWriter] = set()
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port, ssl=self.tls)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Die: no more connections, and those that are there end."""
        self._server.close()
        for writer in list(self._writers):
            writer.transport.abort()
        await self._server.wait_closed()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    def asked(self, action: str) -> list[dict[str, str]]:
        return [dict(fields) for name, fields in self.heard if name == action.lower()]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            writer.write(f"{self.banner}\r\n".encode())
            await _Session(self, reader, writer).run()
        self._writers.discard(writer)
        writer.close()


@dataclass
class _Session:
    asterisk: AsteriskEmulator
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    challenge: str = "845921"
    known: bool = False

    async def run(self) -> None:
        while True:
            fields = await self._receive()
            if not fields:
                continue
            named = {key.lower(): value for key, value in fields}
            action, number = named.get("action", "").lower(), named.get("actionid", "")
            if action in {"challenge", "login"}:
                if not await self._log_in(action, number, named):
                    return
                continue
            self.asterisk.heard.append((action, [each for each in fields if each[0].lower() != "action"]))
            if action in self.asterisk.silent:
                continue
            if self.asterisk.slow:
                await asyncio.sleep(self.asterisk.slow)
            answer = self._answer(action, number, named, fields)
            if action in self.asterisk.cut:
                self.writer.write(answer[: len(answer) // 2])
                await self.writer.drain()
                return
            if self.asterisk.interleaved:
                answer = _EVENT + answer.replace(b"\r\n\r\n", b"\r\n\r\n" + _EVENT)
            self.writer.write(answer)
            await self.writer.drain()

    async def _receive(self) -> Fields:
        """Up to a blank line, as main/manager.c reads: CR LF or LF, long lines dropped."""
        fields: Fields = []
        while line := await self.reader.readline():
            self.asterisk.raw += line
            text = line.rstrip(b"\r\n").decode()
            if not text:
                return fields
            key, colon, value = text.partition(":")
            if colon and len(line) <= MAX_LINE and len(fields) < MAX_HEADERS:
                fields.append((key.strip(), value.removeprefix(" ")))
        raise ConnectionResetError

    async def _log_in(self, action: str, number: str, named: dict[str, str]) -> bool:
        if action == "challenge":
            self.writer.write(_block(("Response", "Success"), ("ActionID", number), ("Challenge", self.challenge)))
            return True
        key = hashlib.md5((self.challenge + self.asterisk.secret).encode(), usedforsecurity=False).hexdigest()
        if named.get("username") != USERNAME or named.get("key") != key:
            await asyncio.sleep(self.asterisk.refused_seconds)
            self.writer.write(_error(number, "Authentication failed"))
            await self.writer.drain()
            return False
        self.asterisk.logins += 1
        self.writer.write(_success(number, "Authentication accepted"))
        self.writer.write(_block(("Event", "FullyBooted"), ("Privilege", "system,all"), ("Status", "Fully Booted")))
        return True

    def _answer(self, action: str, number: str, named: dict[str, str], fields: Fields) -> bytes:
        if action in self.asterisk.denied:
            return _error(number, "Permission denied")
        answers = {
            "ping": self._ping,
            "command": self._command,
            "getvar": self._getvar,
            "pjsipnotify": self._pjsip_notify,
            "pjsipshowendpoint": self._pjsip_show_endpoint,
            "pjsipshowregistrationinboundcontactstatuses": self._pjsip_contacts,
            "sccpdevicerestart": self._sccp_restart,
            "sccplistdevices": self._sccp_list,
            "sipnotify": self._sip_notify,
            "sippeers": self._sip_peers,
            "sipshowpeer": self._sip_show_peer,
        }
        if action.startswith("pjsip") != (self.asterisk.channel == "pjsip") and "sip" in action:
            del answers[action]
        if action not in answers:
            told = (
                f"Invalid/unknown command: {named.get('action')}. Use Action: ListCommands to show available commands."
            )
            return _error(number, told)
        return answers[action](number, named, fields)

    def _ping(self, number: str, _named: dict[str, str], _fields: Fields) -> bytes:
        return _block(("Response", "Success"), ("ActionID", number), ("Ping", "Pong"))

    def _named(self, name: str) -> list[Registered]:
        return [phone for phone in self.asterisk.phones if phone.name == name]

    def _pjsip_contacts(self, number: str, _named: dict[str, str], _fields: Fields) -> bytes:
        events = [_contact(number, phone) for phone in self.asterisk.phones]
        return _list(number, events, "ContactStatusDetailComplete")

    def _pjsip_show_endpoint(self, number: str, named: dict[str, str], _fields: Fields) -> bytes:
        phones = self._named(named["endpoint"])
        if not phones:
            return _error(number, f"Unable to retrieve endpoint {named['endpoint']}")
        state = "In use" if any(phone.in_call for phone in phones) else "Not in use"
        detail = _block(
            *(("Event", "EndpointDetail"), ("ActionID", number), ("ObjectType", "endpoint")),
            *(("ObjectName", named["endpoint"]), ("DeviceState", state)),
        )
        events = [detail, *(_contact(number, phone) for phone in phones)]
        return _list(number, events, "EndpointDetailComplete")

    def _pjsip_notify(self, number: str, named: dict[str, str], fields: Fields) -> bytes:
        if sum(key in named for key in ("endpoint", "uri", "channel")) != 1:
            return _error(number, "PJSIPNotify requires either an endpoint name, a SIP URI, or a channel.")
        if sum(key in named for key in ("option", "variable")) != 1:
            return _error(number, "PJSIPNotify requires either an Option or Variable(s)")
        phones = self._named(named["endpoint"])
        if not phones:
            return _error(number, f"Unable to retrieve endpoint {named['endpoint']}")
        _deliver(phones, fields)
        return _success(number, "NOTIFY sent")

    def _sip_notify(self, number: str, named: dict[str, str], fields: Fields) -> bytes:
        peer = named.get("peer" if self.asterisk.channel == "usecallmanager" else "channel")
        if peer is None:
            return _error(number, "SIPNotify requires a channel name")
        phones = self._named(peer.removeprefix("SIP/"))
        if not phones:
            return _error(number, "Could not create address")
        _deliver(phones, fields)
        return _success(number, "Notify sent" if self.asterisk.channel == "usecallmanager" else "Notify Sent")

    def _sip_peers(self, number: str, _named: dict[str, str], _fields: Fields) -> bytes:
        events = [
            _block(
                *(("Event", "PeerEntry"), ("ActionID", number), ("Channeltype", "SIP"), ("ObjectName", phone.name)),
                *(("IPaddress", phone.address or "-none-"), ("IPport", "5060"), ("Status", "OK (7 ms)")),
            )
            for phone in self.asterisk.phones
        ]
        return _list(number, events, "PeerlistComplete")

    def _sip_show_peer(self, number: str, named: dict[str, str], _fields: Fields) -> bytes:
        for phone in self._named(named["peer"]):
            return _block(
                *(("Response", "Success"), ("ActionID", number), ("ObjectName", phone.name)),
                *(("Address-IP", phone.address), ("Reg-Contact", f"sip:{phone.user}@{phone.address}:5060")),
            )
        return _error(number, f"Peer {named['peer']} not found.")

    def _getvar(self, number: str, named: dict[str, str], _fields: Fields) -> bytes:
        new = self.asterisk.channel == "usecallmanager"
        match = re.fullmatch(
            r"SIP_PEER\((.+),register_callid\)" if new else r"SIPPEER\((.+),regcallid\)", named["variable"]
        )
        value = ""
        if match and self.asterisk.patched:
            value = next((phone.call_id for phone in self._named(match[1])), "")
        return _block(("Response", "Success"), ("ActionID", number), ("Variable", named["variable"]), ("Value", value))

    def _command(self, number: str, named: dict[str, str], _fields: Fields) -> bytes:
        _, _, template, peer = named["command"].split(" ")
        if template not in self.asterisk.templates:
            printed = [f"Unable to find notify type '{template}'"]
        elif not (phones := self._named(peer)):
            printed = ["Could not create address"]
        else:
            printed = [f"Sending NOTIFY of type '{template}' to '{peer}'"]
            for phone in phones:
                phone.on_notify(template.removeprefix("cisco-"))
        if self.asterisk.old_commands:
            text = "\n".join(["", *printed])
            head = f"Response: Follows\r\nPrivilege: Command\r\nActionID: {number}\r\n"
            return f"{head}{text}\n--END COMMAND--\r\n\r\n".encode()
        output = [("Output", line) for line in printed]
        return _block(("Response", "Success"), ("ActionID", number), ("Message", "Command output follows"), *output)

    def _sccp_list(self, number: str, _named: dict[str, str], _fields: Fields) -> bytes:
        start = _block(
            ("Response", "Success"),
            ("ActionID", number),
            ("EventList", "start"),
            ("Message", "Device status list will follow"),
        )
        between = b"" if self.asterisk.run_together else b"\r\n"
        events = [
            _block(
                *(("Event", "DeviceEntry"), ("ActionID", number), ("ChannelType", "SCCP"), ("ObjectId", device.name)),
                *(("Reg_Status", "OK"), ("Active", "Yes" if device.active else "No"), ("NumLines", "1")),
            ).removesuffix(b"\r\n")
            + between
            for device in self.asterisk.devices
        ]
        # It leaves the ActionID out here.
        complete = _block(
            ("Event", "SCCPListDevicesComplete"),
            ("EventList", "Complete"),
            ("ListItems", str(len(self.asterisk.devices))),
        )
        return start + b"".join(events) + complete

    def _sccp_restart(self, number: str, named: dict[str, str], _fields: Fields) -> bytes:
        if not named.get("devicename"):
            return _error(number, "Please specify the name of device to be reset")
        for device in self.asterisk.devices:
            if device.name == named["devicename"]:
                if not device.registered:
                    return _error(number, "Device not registered")
                device.on_restart(named.get("type", "restart"))
                return _success(number, "Device restarted")
        return _error(number, "Device not found")


def _block(*fields: tuple[str, str]) -> bytes:
    return "".join(f"{key}: {value}\r\n" for key, value in fields).encode() + b"\r\n"


_EVENT = _block(("Event", "PeerStatus"), ("Privilege", "system,all"), ("Peer", "SIP/999"), ("PeerStatus", "Registered"))


def _success(number: str, message: str) -> bytes:
    return _block(("Response", "Success"), ("ActionID", number), ("Message", message))


def _error(number: str, message: str) -> bytes:
    return _block(("Response", "Error"), ("ActionID", number), ("Message", message))


def _list(number: str, events: list[bytes], complete: str) -> bytes:
    start = _block(
        *(("Response", "Success"), ("ActionID", number), ("EventList", "start"), ("Message", "A listing follows")),
    )
    end = _block(
        *(("Event", complete), ("ActionID", number), ("EventList", "Complete"), ("ListItems", str(len(events)))),
    )
    return start + b"".join(events) + end


def _contact(number: str, phone: Registered) -> bytes:
    return _block(
        *(("Event", "ContactStatusDetail"), ("ActionID", number), ("AOR", phone.aor or phone.name)),
        *(("URI", f"sip:{phone.user}@{phone.address}:5060;transport=tcp"), ("UserAgent", "Cisco-CP7965G/9.4.2")),
        *(("ViaAddress", f"{phone.address}:5060"), ("CallID", phone.call_id), ("Status", phone.status)),
        *(("RoundtripUsec", "N/A"), ("EndpointName", phone.name)),
    )


def _split(value: str) -> Iterator[str]:
    """Asterisk's argument splitter: commas outside of brackets and quotes; quotes go, a backslash escapes."""
    item, depth, quoted, escaped = "", 0, False, False
    for character in value:
        if escaped:
            item, escaped = item + character, False
        elif character == "\\":
            escaped = True
        elif character == '"':
            quoted = not quoted
        elif character == "," and not depth and not quoted:
            yield item
            item = ""
        else:
            depth += (character in "([") - (character in ")]")
            item += character
    yield item


def _deliver(phones: list[Registered], fields: Fields) -> None:
    """What each phone makes of the NOTIFY (notes 3a, table)."""
    items = [item.split("=", 1) for key, value in fields if key.lower() == "variable" for item in _split(value)]
    headers = {name.lower(): value for name, value in items if name.lower() != "content"}
    body = [value for name, value in items if name.lower() == "content"]
    if headers.get("event") != "service-control" or headers.get("content-type") != "text/plain" or body[-1:] != [""]:
        return
    told = dict(line.split("=", 1) for line in body if "=" in line)
    for phone in phones:
        if told.get("RegisterCallId") == f"{{{phone.call_id}}}":
            phone.on_notify(told["action"])
