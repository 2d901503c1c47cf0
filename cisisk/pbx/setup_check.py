"""Whether the account and the drivers of Asterisk allow what Cisisk is set to do.

It asks with names that nothing has, and leaves out what an action needs. Asterisk checks the permission first.
"""

import asyncio
import logging
import re
from collections.abc import AsyncIterator, Collection
from contextlib import suppress

from cisisk.model.codes.asterisk import SetupProblem
from cisisk.model.notice import Notice
from cisisk.pbx import listings
from cisisk.pbx.connection import Asterisk, AsteriskAway, AsteriskRefused, Fields
from cisisk.pbx.listings import PeerListStyle
from cisisk.pbx.registrar import can_be_asked_for, chan_sip_call_id
from cisisk.pbx.wire import NotSendable

CHECK_SECONDS = 30.0
"""Between two checks. An administrator corrects the settings of Asterisk while it runs."""
START_SECONDS = 2.0
"""For the end of a start, and between two checks until then."""
NOBODY = "cisisk-check.invalid"
"""A name that no peer has, and that no name server resolves (RFC 2606)."""
TEMPLATES = ("cisco-restart", "cisco-reset")
"""The sections of sip_notify.conf that ami-command uses."""
_NO_TEMPLATE = re.compile("unable to find notify type", re.IGNORECASE)
_NO_CALL_ID = {
    PeerListStyle.STOCK: SetupProblem.NO_CALL_ID_STOCK,
    PeerListStyle.USECALLMANAGER: SetupProblem.NO_CALL_ID_22_4,
}

log = logging.getLogger(__name__)


class SetupCheck:
    """Checks a connection to Asterisk again and again.

    Args:
        channel: as in the settings.
        methods: the names of all restart methods in use.
        seconds: between two checks.

    Attributes:
        problems: what the last check has found.
    """

    def __init__(
        self, asterisk: Asterisk, channel: str, methods: Collection[str], seconds: float = CHECK_SECONDS
    ) -> None:
        self._asterisk = asterisk
        self._channel = channel
        self._methods = methods
        self._seconds = seconds
        self._shows_call_ids = False
        self.problems: tuple[Notice, ...] = ()

    async def run(self) -> None:
        """Check until cancelled."""
        while True:
            await self._asterisk.until_connected()
            await self.check()
            is_starting = self.problems == (SetupProblem.STARTING.notice(),)
            await asyncio.sleep(min(self._seconds, START_SECONDS) if is_starting else self._seconds)

    async def check(self) -> None:
        """Check now. Problems stay as they were if Asterisk does not answer, or loads or unloads modules meanwhile."""
        try:
            found = tuple([problem async for problem in self._found()])
        except (AsteriskAway, AsteriskRefused):
            return
        for problem in found:
            if problem not in self.problems:
                log.warning("%s", problem)
        if self.problems and not found:
            log.info("Asterisk allows all that Cisisk needs now")
        self.problems = found

    async def _found(self) -> AsyncIterator[Notice]:
        readiness = self._asterisk.readiness
        with suppress(TimeoutError):
            async with asyncio.timeout(START_SECONDS):
                await readiness.wait()
        if readiness.is_starting:
            yield SetupProblem.STARTING.notice()
            return
        if not readiness.is_booted:
            yield SetupProblem.NO_EVENTS.notice()
        checks = self._pjsip if self._channel == "pjsip" else self._chan_sip
        async for problem in checks():
            yield problem

    async def _pjsip(self) -> AsyncIterator[Notice]:
        reason = await self._obstacle("PJSIPShowEndpoint", [("Endpoint", NOBODY)])
        if reason is not None:
            yield SetupProblem.NO_REGISTRATIONS.notice(reason=reason)
            if "ami-pjsip" in self._methods:
                yield SetupProblem.NO_RESTARTS.notice(method="ami-pjsip", reason=reason)
        if (reason := await self._obstacle("Getvar", [("Variable", f"DEVICE_STATE(PJSIP/{NOBODY})")])) is not None:
            yield SetupProblem.NO_CALLS.notice(reason=reason)

    async def _chan_sip(self) -> AsyncIterator[Notice]:
        if (reason := await self._obstacle("SIPshowpeer", [("Peer", NOBODY)])) is not None:
            yield SetupProblem.NO_REGISTRATIONS.notice(reason=reason)
        variable = [("Variable", f"DEVICE_STATE(SIP/{NOBODY})")]
        denied = await self._obstacle("Getvar", variable) or await self._obstacle("CoreShowChannels")
        if denied is not None:
            yield SetupProblem.NO_CALLS.notice(reason=denied)
        if "ami-sip" in self._methods:
            if (cause := await self._obstacle("SIPnotify")) is not None:
                yield SetupProblem.NO_RESTARTS.notice(method="ami-sip", reason=cause)
            elif reason is None and denied is None and (problem := await self._without_call_id()) is not None:
                yield problem
        if "ami-command" in self._methods:
            async for problem in self._command():
                yield problem

    async def _obstacle(self, action: str, fields: Fields = ()) -> Notice | None:
        """Return why an action cannot be used; None if it can."""
        try:
            await self._asterisk.action(action, fields)
        except AsteriskRefused as error:
            return error.notice if error.is_denied or error.is_unknown_action else None
        return None

    async def _command(self) -> AsyncIterator[Notice]:
        for template in TEMPLATES:
            command = [("Command", f"sip notify {template} {NOBODY}")]
            try:
                reply = await self._asterisk.action("Command", command)
            except AsteriskRefused as error:
                yield SetupProblem.NO_RESTARTS.notice(method="ami-command", reason=error.notice)
                return
            if any(_NO_TEMPLATE.match(line) for line in reply.output):
                yield SetupProblem.NO_TEMPLATE.notice(template=template)

    async def _without_call_id(self) -> Notice | None:
        """Return a problem if a peer is registered, and its Call-ID is not shown."""
        if self._shows_call_ids:
            return None
        for peer in listings.peers(await self._asterisk.listing("SIPpeers")):
            if peer.is_live and can_be_asked_for(peer.name):
                try:
                    self._shows_call_ids = bool(await chan_sip_call_id(self._asterisk, peer.name))
                except (AsteriskRefused, NotSendable):
                    return None
                return None if self._shows_call_ids else _NO_CALL_ID[peer.style].notice()
        return None
