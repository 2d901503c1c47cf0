"""An emulator of Asterisk's manager interface (AMI), with its refusals and failures.

Source: docs/phone-protocol/asterisk.md#manager-interface, docs/phone-protocol/asterisk.md#pjsip-notify
"""

import asyncio
import hashlib
import itertools
import re
import ssl
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Self, TypeAlias

from tests.protocol.sip_registrar import Binding, SipRegistrar

Fields: TypeAlias = list[tuple[str, str]]
USERNAME, SECRET = "cisisk", "s3ntinelAsterisk"
MAX_LINE = 1024
MAX_HEADERS = 128
_OLD_NAMES = ("ObjectName", "Address-IP", "Address-Port", "Reg-Contact", "RegExpire")
_NEW_NAMES = ("Name", "IPAddress", "Port", "RegisterContact", "RegisterExpires")
"""What SIPshowpeer calls a peer, up to Asterisk 20 and in the patch for 22."""
CLASSES = frozenset({"system", "call", "log", "verbose", "command", "agent", "user", "config", "reporting", "cdr"})


def ignore_notify(_action: str) -> None:
    """Ignore a NOTIFY."""


@dataclass
class Registered:
    """A phone registered over SIP.

    Attributes:
        on_notify: called with the action of a NOTIFY whose Call-ID a phone would accept.
        contact: the registered URI. Without ``on_notify``, the emulator sends each NOTIFY there.
        status: whether it answers; empty as long as nothing has found out.
        device_name: what the patch for Asterisk 22 shows of the phone.
    """

    name: str
    address: str
    call_id: str
    on_notify: Callable[[str], None] = ignore_notify
    user: str = "abc-def"
    status: str = ""
    in_call: bool = False
    aor: str = ""
    contact: str = ""
    port: int = 5060
    expires: int = 3608
    device_name: str = ""

    @property
    def uri(self) -> str:
        return self.contact or f"sip:{self.user}@{self.address}:{self.port};transport=tcp"


@dataclass
class Device:
    """A phone known to chan-sccp."""

    name: str
    registered: bool = True
    active: bool = False
    on_restart: Callable[[str], None] = lambda _kind: None
    address: str = "127.0.0.1"
    registered_at: str = "Mon Mar  2 08:00:00 2026"


@dataclass
class AsteriskEmulator:
    """An Asterisk.

    Attributes:
        channel: the SIP channel driver, as in the setting ``asterisk.channel``.
        patched: whether chan_sip reports Call-IDs.
        denied: lower-case names of actions that the account may not use.
        silent: actions without a response.
        cut: actions whose response the emulator cuts off with the connection.
        interleaved: whether events arrive between all responses.
        old_commands: whether command output has the format of Asterisk 13 and older.
        run_together: whether device lists have no blank lines, as in older chan-sccp.
        heard: every parsed action except logins and event filters.
        starting: whether it has not started yet: it knows no action of a module.
        configured: names of endpoints or peers at which no phone is registered.
        stopping: whether it stops: it refuses every action.
        unloaded: lower-case names of actions whose modules are not loaded.
        rights: the event classes that the account may read.
        counts_calls: whether chan_sip counts calls (callcounter).
        sip: the registrar. Each registration adds to ``phones`` and calls ``on_register``.
        refused_seconds: delay of the response to a wrong login; one second in Asterisk.
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
    starting: bool = False
    stopping: bool = False
    configured: tuple[str, ...] = ()
    unloaded: set[str] = field(default_factory=set)
    rights: frozenset[str] = frozenset({"system", "call"})
    counts_calls: bool = True
    sip: SipRegistrar | None = None
    on_register: Callable[[Registered], None] = lambda _phone: None

    async def start(self) -> None:
        self.sessions: set[_Session] = set()
        self._times = itertools.count()
        if self.sip is not None:
            self.sip.on_register = self._bound
            await self.sip.start()
        self._writers: set[asyncio.StreamWriter] = set()
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port, ssl=self.tls)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Stop listening and close all connections."""
        self._server.close()
        for writer in list(self._writers):
            writer.transport.abort()
        await self._server.wait_closed()
        if self.sip is not None:
            await self.sip.stop()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    def asked(self, action: str) -> list[dict[str, str]]:
        return [dict(fields) for name, fields in self.heard if name == action.lower()]

    def boots(self) -> None:
        """End the start."""
        self.starting = False
        for session in self.sessions:
            session.event("system", _BOOTED)

    # State changes of phones, with their events

    def registers(self, phone: Registered) -> None:
        """Handle a REGISTER of a phone that is not registered, or differently."""
        if not any(phone is known for known in self.phones):
            self.phones.append(phone)
        if self.channel == "pjsip":
            self._contact_status(phone, "NonQualified")
            self._peer_status("PJSIP", phone, "Reachable")
            self._device_state("PJSIP", phone.name, "NOT_INUSE")
        else:
            self._peer_status("SIP", phone, "Registered", ("Address", f"{phone.address}:{phone.port}"))
            self._device_state("SIP", phone.name, "NOT_INUSE")

    def refreshes(self, phone: Registered) -> None:
        """Refresh a registration. PJSIP sends no event; chan_sip sends the same one as for a first registration."""
        if self.channel == "pjsip":
            phone.expires += 1
        else:
            self.registers(phone)

    def unregisters(self, phone: Registered) -> None:
        self.phones[:] = [known for known in self.phones if known is not phone]
        if self.channel == "pjsip":
            self._contact_status(phone, "Removed")
            self._peer_status("PJSIP", phone, "Unreachable")
            self._device_state("PJSIP", phone.name, "UNAVAILABLE")
        else:
            self._peer_status("SIP", phone, "Unregistered", ("Cause", "Expired"))
            self._device_state("SIP", phone.name, "UNAVAILABLE")

    def calls(self, phone: Registered | Device, in_call: bool) -> None:
        """Begin or end a call of a phone."""
        if isinstance(phone, Device):
            phone.active = in_call
            self._device_state("SCCP", "100", "INUSE" if in_call else "NOT_INUSE")
        else:
            phone.in_call = in_call
            tech = "PJSIP" if self.channel == "pjsip" else "SIP"
            if self.counts_calls or tech == "PJSIP":
                self._device_state(tech, phone.name, "INUSE" if in_call else "NOT_INUSE")

    def device_registers(self, device: Device) -> None:
        device.registered = True
        device.registered_at = f"Mon Mar  2 09:{next(self._times):02}:00 2026"
        self._device_status(device, "PREREGISTERED")
        self._device_status(device, "REGISTERED")
        self.emit(
            "call", "PeerStatus", ("ChannelType", "SCCP"), ("PeerStatus", "ATTACHED"), ("SCCPDevice", device.name)
        )

    def device_unregisters(self, device: Device) -> None:
        device.registered = device.active = False
        self._device_status(device, "UNREGISTERED")

    def emit(self, privilege: str, event: str, *fields: tuple[str, str]) -> None:
        """Send an event to clients with the privilege that subscribe to it."""
        block = _block(("Event", event), ("Privilege", f"{privilege},all"), *fields)
        for session in self.sessions:
            session.event(privilege, block)

    def _contact_status(self, phone: Registered, status: str) -> None:
        self.emit(
            *("system", "ContactStatus", ("URI", phone.uri), ("ContactStatus", status)),
            *(("AOR", phone.aor or phone.name), ("EndpointName", phone.name), ("RoundtripUsec", "0")),
        )

    def _peer_status(self, tech: str, phone: Registered, status: str, *more: tuple[str, str]) -> None:
        fields = (("ChannelType", tech), ("Peer", f"{tech}/{phone.name}"), ("PeerStatus", status))
        self.emit("system", "PeerStatus", *fields, *more)

    def _device_state(self, tech: str, name: str, state: str) -> None:
        self.emit("call", "DeviceStateChange", ("Device", f"{tech}/{name}"), ("State", state))

    def _device_status(self, device: Device, status: str) -> None:
        fields = (("ChannelType", "SCCP"), ("ChannelObjectType", "Device"), ("DeviceStatus", status))
        self.emit("call", "DeviceStatus", *fields, ("SCCPDevice", device.name))

    def _bound(self, binding: Binding) -> None:
        at = (binding.line, binding.address)
        known = [phone for phone in self.phones if phone.contact and (phone.name, phone.address) == at]
        if not binding.expires:
            for phone in known:
                self.unregisters(phone)
        elif known and known[0].call_id == binding.call_id:
            self.refreshes(known[0])
        elif known and self.channel == "pjsip":
            # A contact keeps the Call-ID of its first REGISTER, and there is no event.
            known[0].expires += 1
        elif known:
            known[0].call_id = binding.call_id
            self.refreshes(known[0])
        else:
            user = binding.contact.partition(":")[2].partition("@")[0]
            phone = Registered(*at, binding.call_id, user=user, contact=binding.contact)
            self.on_register(phone)
            self.registers(phone)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            writer.write(f"{self.banner}\r\n".encode())
            session = _Session(self, reader, writer)
            self.sessions.add(session)
            try:
                await session.run()
            finally:
                self.sessions.discard(session)
        self._writers.discard(writer)
        writer.close()


@dataclass(eq=False)
class _Session:
    asterisk: AsteriskEmulator
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    challenge: str = "845921"
    mask: frozenset[str] = frozenset()
    filters: list[str] = field(default_factory=list)

    def event(self, privilege: str, block: bytes) -> None:
        if privilege not in self.mask & self.asterisk.rights:
            return
        if not self.filters or any(re.search(each, block.decode()) for each in self.filters):
            self.writer.write(block)

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
            if action == "filter" and action not in self.asterisk.denied:
                self.filters.append(named["filter"])
                self.writer.write(_success(number, "Success"))
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
        """Read an action up to a blank line, as main/manager.c does: CR LF or LF, without long lines."""
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
        events = named.get("events", "on").lower()
        self.mask = CLASSES if events == "on" else frozenset(events.split(",")) & CLASSES
        if not self.asterisk.starting:
            self.event("system", _BOOTED)
        return True

    def _answer(self, action: str, number: str, named: dict[str, str], fields: Fields) -> bytes:
        if self.asterisk.stopping:
            return _error(number, "Asterisk is shutting down")
        if action in self.asterisk.denied:
            return _error(number, "Permission denied")
        answers = {
            "ping": self._ping,
            "command": self._command,
            "coreshowchannels": self._channels,
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
        is_loaded = action in _CORE_ACTIONS or not (self.asterisk.starting or action in self.asterisk.unloaded)
        if action not in answers or not is_loaded:
            message = (
                f"Invalid/unknown command: {named.get('action')}. Use Action: ListCommands to show available commands."
            )
            return _error(number, message)
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
        if not phones and named["endpoint"] not in self.asterisk.configured:
            return _error(number, f"Unable to retrieve endpoint {named['endpoint']}")
        state = "In use" if any(phone.in_call for phone in phones) else "Not in use" if phones else "Unavailable"
        detail = _block(
            *(("Event", "EndpointDetail"), ("ActionID", number), ("ObjectType", "endpoint")),
            *(("ObjectName", named["endpoint"]), ("DeviceState", state)),
        )
        events = [detail, *(_contact(number, phone) for phone in phones)]
        return _list(number, events, "EndpointDetailComplete")

    def _pjsip_notify(self, number: str, named: dict[str, str], fields: Fields) -> bytes:
        if sum(key in named for key in ("option", "variable")) != 1:
            message = "PJSIPNotify requires either an Option or Variable(s).You must use only one of them."
            return _error(number, message)
        if sum(key in named for key in ("endpoint", "uri", "channel")) != 1:
            return _error(number, "PJSIPNotify requires either an endpoint name, a SIP URI, or a channel.")
        if "option" in named:
            return _error(number, f"Unable to find notify type '{named['option']}'")
        phones = self._named(named["endpoint"])
        if not phones and named["endpoint"] not in self.asterisk.configured:
            return _error(number, f"Unable to retrieve endpoint {named['endpoint']}")
        self._deliver(phones, fields)
        return _success(number, "NOTIFY sent")

    def _sip_notify(self, number: str, named: dict[str, str], fields: Fields) -> bytes:
        new = self.asterisk.channel == "usecallmanager"
        peer = named.get("peer" if new else "channel")
        if peer is None:
            return _error(number, "Peer name missing" if new else "SIPNotify requires a channel name")
        phones = self._named(peer.removeprefix("SIP/"))
        if not phones:
            return _error(number, "Peer error" if new else "Could not create address")
        self._deliver(phones, fields)
        return _success(number, "Notify sent" if new else "Notify Sent")

    def _sip_peers(self, number: str, _named: dict[str, str], _fields: Fields) -> bytes:
        unregistered = [Registered(name, "", "", port=0, expires=-1) for name in self.asterisk.configured]
        if self.asterisk.channel == "usecallmanager":
            peers = [_patched_peer(number, phone) for phone in [*self.asterisk.phones, *unregistered]]
            return _list(number, peers, "SIPPeersComplete")
        events = [
            _block(
                *(("Event", "PeerEntry"), ("ActionID", number), ("Channeltype", "SIP"), ("ObjectName", phone.name)),
                *(("IPaddress", phone.address or "-none-"), ("IPport", str(phone.port))),
                ("Status", phone.status or "Unmonitored"),
            )
            for phone in [*self.asterisk.phones, *unregistered]
        ]
        return _list(number, events, "PeerlistComplete")

    def _sip_show_peer(self, number: str, named: dict[str, str], _fields: Fields) -> bytes:
        new = self.asterisk.channel == "usecallmanager"
        for phone in self._named(named["peer"]):
            contact = f"sip:{phone.user}@{phone.address}:5060"
            names = _NEW_NAMES if new else _OLD_NAMES
            values = (
                phone.name,
                phone.address,
                str(phone.port),
                contact,
                f"{phone.expires}{'' if new else ' seconds'}",
            )
            fields = [("Response", "Success"), ("ActionID", number), *zip(names, values, strict=True)]
            return _block(*fields, *([("DeviceName", phone.device_name)] if new else []))
        return _error(number, "Peer not found" if new else f"Peer {named['peer']} not found.")

    def _getvar(self, number: str, named: dict[str, str], _fields: Fields) -> bytes:
        if state := re.fullmatch(r"DEVICE_STATE\((PJ)?SIP/(.+)\)", named["variable"]):
            phones = self._named(state[2])
            busy = any(phone.in_call for phone in phones) and (self.asterisk.counts_calls or bool(state[1]))
            free = "NOT_INUSE" if phones else "UNAVAILABLE" if state[2] in self.asterisk.configured else "INVALID"
            head = (("Response", "Success"), ("ActionID", number), ("Variable", named["variable"]))
            return _block(*head, ("Value", "INUSE" if busy else free))
        new = self.asterisk.channel == "usecallmanager"
        match = re.fullmatch(r"SIPPEER\((.+),regcallid\)", named["variable"])
        if new:
            match = match or re.fullmatch(r"SIP_PEER\((.+),register_callid\)", named["variable"])
        value = ""
        if match and self.asterisk.patched and self.asterisk.channel != "pjsip":
            value = next((phone.call_id for phone in self._named(match[1])), "")
        return _block(("Response", "Success"), ("ActionID", number), ("Variable", named["variable"]), ("Value", value))

    def _channels(self, number: str, _named: dict[str, str], _fields: Fields) -> bytes:
        tech = "PJSIP" if self.asterisk.channel == "pjsip" else "SIP"
        events = [
            _block(("Event", "CoreShowChannel"), ("ActionID", number), ("Channel", f"{tech}/{phone.name}-0000001a"))
            for phone in self.asterisk.phones
            if phone.in_call
        ]
        return _list(number, events, "CoreShowChannelsComplete")

    def _deliver(self, phones: list[Registered], fields: Fields) -> None:
        """Pass a NOTIFY to each phone (docs/phone-protocol/restart.md#notify-answers)."""
        items = [item.split("=", 1) for key, value in fields if key.lower() == "variable" for item in _split(value)]
        headers = {name.lower(): value for name, value in items if name.lower() != "content"}
        body = [value for name, value in items if name.lower() == "content"]
        for phone in phones:
            if phone.contact and phone.on_notify is ignore_notify and self.asterisk.sip is not None:
                self.asterisk.sip.notify(phone.contact, headers, "\r\n".join(body))
                continue
            is_whole = (headers.get("event"), headers.get("content-type")) == ("service-control", "text/plain")
            parameters = dict(line.split("=", 1) for line in body if "=" in line)
            if is_whole and body[-1:] == [""] and parameters.get("RegisterCallId") == f"{{{phone.call_id}}}":
                phone.on_notify(parameters["action"])

    def _command(self, number: str, named: dict[str, str], _fields: Fields) -> bytes:
        _, _, template, peer = named["command"].split(" ")
        response = "Success"
        if self.asterisk.channel == "pjsip":
            response = "Error"
            more = "(type 'core show help sip notify' for other possible commands)"
            printed = [f"No such command '{named['command']}' {more}"]
        elif template not in self.asterisk.templates:
            response = "Error"
            printed = [f"Unable to find notify type '{template}'", f"Command '{named['command']}' failed."]
        elif not (phones := self._named(peer)):
            printed = [f"Could not create address for '{peer}'"]
        else:
            printed = [f"Sending NOTIFY of type '{template}' to '{peer}'"]
            for phone in phones:
                phone.on_notify(template.removeprefix("cisco-"))
        if self.asterisk.old_commands:
            text = "\n".join(["", *printed])
            head = f"Response: Follows\r\nPrivilege: Command\r\nActionID: {number}\r\n"
            return f"{head}{text}\n--END COMMAND--\r\n\r\n".encode()
        output = [("Output", line) for line in printed]
        return _block(("Response", response), ("ActionID", number), ("Message", "Command output follows"), *output)

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
                *(("IPaddress", device.address if device.registered else "--"), ("Reg_Time", device.registered_at)),
                *(("Reg_Status", "OK" if device.registered else "None"), ("Active", "Yes" if device.active else "No")),
                ("NumLines", "1"),
            ).removesuffix(b"\r\n")
            + between
            for device in self.asterisk.devices
        ]
        # chan-sccp omits the ActionID here.
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


_BOOTED = _block(
    *(("Event", "FullyBooted"), ("Privilege", "system,all"), ("Uptime", "344"), ("LastReload", "344")),
    ("Status", "Fully Booted"),
)
_CORE_ACTIONS = {"ping", "command", "coreshowchannels", "getvar"}
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
        *(("URI", phone.uri), ("UserAgent", "Cisco-CP7965G/9.4.2")),
        *(("ViaAddress", f"{phone.address}:{phone.port}"), ("CallID", phone.call_id)),
        ("Status", phone.status or "NonQualified"),
        *(("RoundtripUsec", "N/A"), ("EndpointName", phone.name), ("RegExpire", str(1_796_000_000 + phone.expires))),
    )


def _patched_peer(number: str, phone: Registered) -> bytes:
    """Return an entry of the patch for Asterisk 22.8.1, which shows the address in the place of the port."""
    return _block(
        *(("Event", "SIPPeer"), ("ActionID", number), ("Name", phone.name), ("Address", phone.address)),
        *(
            ("AddressPort", phone.address),
            ("RegisterExpires", str(phone.expires)),
            ("Status", phone.status or "OK (1ms)"),
        ),
        ("DeviceName", phone.device_name),
    )


def _split(value: str) -> Iterator[str]:
    """Split arguments as Asterisk does: at commas outside brackets and quotes; drop quotes, honour backslashes."""
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
