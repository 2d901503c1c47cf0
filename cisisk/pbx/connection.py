"""The connection to Asterisk's manager interface: login, keepalive, reconnection."""

import asyncio
import hashlib
import itertools
import logging
import ssl
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TypeAlias

from cisisk.config import AsteriskSettings as Settings
from cisisk.model.codes.asterisk import AsteriskProblem
from cisisk.model.errors import CisiskError
from cisisk.model.listeners import Listeners
from cisisk.model.notice import Notice
from cisisk.pbx.permissions import is_denied, is_stopping, is_unknown_action, refusal
from cisisk.pbx.readiness import UNKNOWN_PAUSE, BootLimits, Readiness
from cisisk.pbx.wire import BANNER, MAX_MESSAGE_BYTES, AmiMessage, Garbled, encode, receive

Fields: TypeAlias = Sequence[tuple[str, str]]

LOGIN_SECONDS = 10.0
"""For connection and login. Asterisk takes one second to refuse a login (main/manager.c), a busy TLS as much."""
FIRST_PAUSE, LONGEST_PAUSE = 0.2, 10.0
"""Seconds between two attempts to connect, doubled each time: a restarted Asterisk is found soon, and one that refuses
the login is not flooded.
"""
MESSAGES_WITHOUT_PAUSE = 100
"""Messages that are read without a pause. It takes some milliseconds; then other tasks run."""
EVENTS = "system,call"
"""The event classes of FullyBooted and registrations (system; chan-sccp: call), and of calls (call)."""
TLS_ALERT = b"\x15\x03"
"""The first bytes of what a TLS server sends to a client without TLS (RFC 8446 section 5.1)."""
BOOTED = "FullyBooted"
"""The event that Asterisk sends when it has started, and right after a later login."""
MAX_ITEMS = 20_000
"""Items of one list: more phones than any Asterisk has."""

log = logging.getLogger(__name__)


class AsteriskAway(CisiskError):
    """There is no answer. The action may or may not have been executed."""


class AsteriskRefused(CisiskError):
    """Asterisk has answered with an error.

    Attributes:
        said: its message.
    """

    def __init__(self, said: str, action: str) -> None:
        super().__init__(refusal(said, action))
        self.said = said

    @property
    def is_unknown_action(self) -> bool:
        """Whether Asterisk does not know the action: its module is not loaded, or not yet, or not any more."""
        return is_unknown_action(self.said)

    @property
    def is_stopping(self) -> bool:
        """Whether Asterisk refuses because it stops."""
        return is_stopping(self.said)

    @property
    def is_denied(self) -> bool:
        """Whether the account lacks a permission."""
        return is_denied(self.said)


@dataclass(slots=True)
class _Asked:
    """An action that waits for its answer."""

    action: str
    is_list: bool
    answer: "asyncio.Future[AmiMessage]"
    items: list[AmiMessage] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class AsteriskLimits:
    """Limits of the connection to Asterisk.

    Attributes:
        action_seconds: for the answer to one action. Asterisk answers within milliseconds, also with a list of a
            thousand phones. An Asterisk that starts or stops is asked again within this time.
        ping_seconds: between two pings. They notice a connection that a firewall has dropped before a switch needs it.
    """

    action_seconds: float = 5.0
    ping_seconds: float = 20.0
    boot: BootLimits = field(default_factory=BootLimits)


class Asterisk:
    """Sends actions to Asterisk while :meth:`run` runs, several at the same time."""

    def __init__(self, settings: Settings, limits: AsteriskLimits = AsteriskLimits()) -> None:
        self._settings = settings
        self._limits = limits
        # Verified against the system's trust store.
        self._tls = ssl.create_default_context() if settings.tls else None
        self._writer: asyncio.StreamWriter | None = None
        self._asked: dict[str, _Asked] = {}
        self._listeners: dict[str, tuple[str, Listeners[AmiMessage]]] = {}
        self._numbers = itertools.count(1)
        self._tried, self._logged_in = asyncio.Event(), asyncio.Event()
        self._away = AsteriskProblem.NOT_CONNECTED.notice()
        self._readiness = Readiness(limits.boot)
        self.subscribe(BOOTED, lambda _event: self._readiness.booted())

    @property
    def is_connected(self) -> bool:
        """Whether it is logged in."""
        return self._writer is not None

    @property
    def away_because(self) -> Notice:
        """Why it is not connected, without the address of Asterisk: the health check shows it to everybody."""
        reason = self._away.parameters.get("reason")
        return reason if isinstance(reason, Notice) else self._away

    async def until_connected(self) -> None:
        """Return when it is logged in."""
        await self._logged_in.wait()

    @property
    def readiness(self) -> Readiness:
        """Whether Asterisk has started, as far as this connection has shown."""
        return self._readiness

    def subscribe(self, event: str, listener: Callable[[AmiMessage], None]) -> None:
        """Call ``listener`` with each event of this name that does not answer an action. It must return at once.

        To be called before :meth:`run`: the login asks for the event classes that have listeners.
        """
        _, listeners = self._listeners.setdefault(event.lower(), (event, Listeners()))
        listeners.subscribe(listener)

    async def run(self) -> None:
        """Connect, and reconnect whenever the connection is lost, until cancelled."""
        pause = FIRST_PAUSE
        while True:
            began = time.monotonic()
            try:
                await self._session()
            # ValueError: a host that is not a name, or a banner without an end.
            except (CisiskError, OSError, ValueError) as error:
                self._lost(error)
            if time.monotonic() - began > LONGEST_PAUSE:
                pause = FIRST_PAUSE
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)

    async def action(self, action: str, fields: Fields = ()) -> AmiMessage:
        """Return the reply to an action.

        Raises:
            AsteriskAway: there is none.
            AsteriskRefused: it is an error.
            NotSendable: a value cannot be sent.
        """
        return (await self._ask(action, fields, is_list=False))[0]

    async def listing(self, action: str, fields: Fields = ()) -> list[AmiMessage]:
        """Return the events that an action lists. Raises as :meth:`action`."""
        return (await self._ask(action, fields, is_list=True))[1:]

    async def _ask(self, action: str, fields: Fields, *, is_list: bool) -> list[AmiMessage]:
        seconds = self._limits.action_seconds
        try:
            async with asyncio.timeout(seconds):
                # Just after the start the first login is under way. No later login is waited for.
                await self._tried.wait()
                if self._writer is None:
                    raise AsteriskAway(self._away)
                return await self._ask_when_ready(self._writer, action, fields, is_list=is_list)
        except TimeoutError:
            is_late = self._readiness.is_booted or not self._readiness.sees_event
            late = AsteriskProblem.NO_ANSWER.notice(action=action, seconds=seconds)
            raise AsteriskAway(late if is_late else AsteriskProblem.NOT_READY.notice(action=action)) from None

    async def _ask_when_ready(
        self, writer: asyncio.StreamWriter, action: str, fields: Fields, *, is_list: bool
    ) -> list[AmiMessage]:
        """Ask, and ask again while Asterisk does not know the action because it starts or stops."""
        readiness, asked_at = self._readiness, time.monotonic()
        await readiness.wait()
        while self._writer is writer:
            try:
                messages = await self._exchange(writer, action, fields, is_list=is_list)
            except AsteriskRefused as error:
                if not error.is_unknown_action and not error.is_stopping:
                    readiness.answered(action)
                    raise
                if error.is_unknown_action and readiness.is_missing(action):
                    raise
                await self._pause(asked_at, action)
            else:
                readiness.answered(action)
                return messages
        raise AsteriskAway(self._away)

    async def _pause(self, asked_at: float, action: str) -> None:
        """Wait until an unknown action is to be asked again. Raises AsteriskAway if there is no time for that."""
        if time.monotonic() + UNKNOWN_PAUSE > asked_at + self._limits.action_seconds:
            raise AsteriskAway(AsteriskProblem.NOT_READY.notice(action=action))
        await asyncio.sleep(UNKNOWN_PAUSE)

    async def _exchange(
        self, writer: asyncio.StreamWriter, action: str, fields: Fields, *, is_list: bool
    ) -> list[AmiMessage]:
        number = f"cisisk-{next(self._numbers)}"
        content = encode(action, (("ActionID", number), *fields))
        asked = self._asked[number] = _Asked(action, is_list, asyncio.get_running_loop().create_future())
        try:
            writer.write(content)
            return [await asked.answer, *asked.items]
        finally:
            del self._asked[number]

    async def _session(self) -> None:
        """Run one connection until it is lost. Returns only by an exception."""
        host, port = self._settings.host, self._settings.port
        async with asyncio.timeout(LOGIN_SECONDS):
            reader, writer = await asyncio.open_connection(host, port, ssl=self._tls, limit=MAX_MESSAGE_BYTES)
        tasks = [
            asyncio.create_task(self._receive(reader), name="Asterisk: receive"),
            asyncio.create_task(self._log_in_and_ping(writer), name="Asterisk: login and pings"),
        ]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            # The error of the login or ping names the cause; the other task only notices the end.
            for task in (task for task in reversed(tasks) if task.done()):
                task.result()
        finally:
            self._writer = None
            self._logged_in.clear()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            writer.close()
            with suppress(OSError, TimeoutError):
                async with asyncio.timeout(1):
                    await writer.wait_closed()

    async def _receive(self, reader: asyncio.StreamReader) -> None:
        await self._greeting(reader)
        for number in itertools.count(1):
            for message in await receive(reader, self._listeners):
                self._take(message)
            if number % MESSAGES_WITHOUT_PAUSE == 0:
                # Messages that are in the buffer are read without a pause.
                await asyncio.sleep(0)

    async def _greeting(self, reader: asyncio.StreamReader) -> None:
        """Return after the greeting of the manager interface. Raises Garbled without one."""
        try:
            line = await reader.readline()
        except ConnectionResetError:
            line = b""
        if line.startswith(BANNER):
            return
        if self._tls is None and (not line or line.startswith(TLS_ALERT)):
            raise Garbled(AsteriskProblem.NO_GREETING.notice())
        raise Garbled(AsteriskProblem.NOT_AMI.notice(host=self._settings.host, port=self._settings.port))

    async def _log_in_and_ping(self, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(LOGIN_SECONDS):
                await self._log_in(writer)
                await self._filter_events(writer)
        except TimeoutError:
            raise AsteriskAway(AsteriskProblem.LOGIN_LATE.notice(seconds=LOGIN_SECONDS)) from None
        self._writer = writer
        self._tried.set()
        self._logged_in.set()
        log.info("logged in to Asterisk at %s", self._settings.host)
        self._away = AsteriskProblem.NOT_CONNECTED.notice()
        while True:
            await asyncio.sleep(self._limits.ping_seconds)
            with suppress(AsteriskRefused):
                await self.action("Ping")

    async def _log_in(self, writer: asyncio.StreamWriter) -> None:
        """Log in by challenge, which does not send the secret."""
        challenged = await self._exchange(writer, "Challenge", [("AuthType", "MD5")], is_list=False)
        secret = (challenged[0].get("challenge") + self._settings.secret).encode()
        key = hashlib.md5(secret, usedforsecurity=False).hexdigest()
        # Before the answer: FullyBooted may come together with it.
        sees_event = self._readiness.sees_event or self._readiness.is_booted
        self._readiness = Readiness(self._limits.boot, sees_event)
        login = [("AuthType", "MD5"), ("Username", self._settings.username), ("Key", key), ("Events", EVENTS)]
        try:
            await self._exchange(writer, "Login", login, is_list=False)
        except AsteriskRefused as error:
            # Asterisk gives the same answer to a wrong secret and to an address that the account does not permit.
            address = writer.get_extra_info("sockname")[0]
            refused = AsteriskProblem.LOGIN_REFUSED.notice(address=address)
            raise AsteriskAway(refused) from error

    async def _filter_events(self, writer: asyncio.StreamWriter) -> None:
        """Subscribe only to the events that have listeners: each call alone has dozens of events.

        If Asterisk refuses that, all events of the classes come, and are dropped here.
        """
        for event, _ in self._listeners.values():
            with suppress(AsteriskRefused):
                added = [("Operation", "Add"), ("Filter", f"Event: {event}")]
                await self._exchange(writer, "Filter", added, is_list=False)

    def _take(self, message: AmiMessage) -> None:
        asked = self._asked.get(message.get("actionid")) or self._list_that_ends_with(message)
        if asked is None or asked.answer.done():
            # An event that does not answer an action, or an answer that came too late.
            found = self._listeners.get(message.get("event").lower()) if asked is None else None
            if found is not None and "actionid" not in message.values:
                _, listeners = found
                listeners.notify(message)
            return
        if "response" in message.values:
            # A command that fails has printed why (main/manager.c, action_command).
            if message.get("response").lower() == "error" and not message.output:
                asked.answer.set_exception(AsteriskRefused(message.get("message"), asked.action))
            elif not asked.is_list:
                asked.answer.set_result(message)
        elif asked.is_list and _is_complete(message):
            asked.answer.set_result(message)
        elif asked.is_list:
            asked.items.append(message)
            if len(asked.items) > MAX_ITEMS:
                raise Garbled(AsteriskProblem.TOO_MANY_ITEMS.notice(items=MAX_ITEMS, action=asked.action))

    def _list_that_ends_with(self, message: AmiMessage) -> _Asked | None:
        """Return the action whose list ends here.

        chan-sccp leaves the ActionID out of that event (src/sccp_management.c).
        """
        if "actionid" in message.values or not _is_complete(message):
            return None
        event = message.get("event").lower()
        return next((asked for asked in self._asked.values() if f"{asked.action}Complete".lower() == event), None)

    def _lost(self, error: BaseException) -> None:
        reason = error.notice if isinstance(error, CisiskError) else _reason(error)
        away = AsteriskProblem.CONNECTION_FAILED.notice(
            host=self._settings.host, port=self._settings.port, reason=reason
        )
        if away != self._away:
            log.warning("%s", away)
        self._away = away
        for asked in self._asked.values():
            if not asked.answer.done():
                asked.answer.set_exception(AsteriskAway(AsteriskProblem.CONNECTION_LOST.notice(action=asked.action)))
        self._tried.set()


def _is_complete(message: AmiMessage) -> bool:
    return message.get("eventlist").lower() == "complete"


def _reason(error: BaseException) -> Notice:
    if isinstance(error, ssl.SSLCertVerificationError):
        return AsteriskProblem.CERTIFICATE.notice(reason=error.verify_message)
    if isinstance(error, ssl.SSLError):
        return AsteriskProblem.NO_TLS.notice(reason=error.reason or "")
    if isinstance(error, TimeoutError):
        return AsteriskProblem.CONNECT_LATE.notice(seconds=LOGIN_SECONDS)
    if isinstance(error, OSError) and error.strerror:
        return AsteriskProblem.SYSTEM_ERROR.notice(error=error.strerror)
    return AsteriskProblem.SYSTEM_ERROR.notice(error=str(error) or type(error).__name__)
