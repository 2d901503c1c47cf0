"""The calls that Asterisk reports: whether a phone is in one, and when its last one ended."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass

from cisisk.model.listeners import Listeners
from cisisk.model.phone import Software
from cisisk.model.target import Target
from cisisk.pbx import listings
from cisisk.pbx.connection import Asterisk, AsteriskAway, AsteriskRefused
from cisisk.pbx.latest import remember
from cisisk.pbx.registrar import NotRegistered, Registrar, can_be_asked_for
from cisisk.pbx.wire import AmiMessage, NotSendable, shown

CALL_STATE_SECONDS = 2.0
"""For all questions about one phone's calls, which a switch waits for."""
_WITHOUT_CALL = {"not_inuse", "unavailable"}
"""Device states that exclude a call. The other idle states do not."""
_CHANNEL_TYPES = {"pjsip": "PJSIP", "sip": "SIP", "usecallmanager": "SIP"}
"""The prefix of the driver's devices and channels, by ``asterisk.channel``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CallState:
    """Whether a phone is in a call.

    Attributes:
        in_call: None if it is not known.
        ended: seconds since its last call was seen to end; None if none was seen.
    """

    in_call: bool | None
    ended: float | None = None


class Calls:
    """Watches calls and their ends.

    Args:
        asterisk: None without an Asterisk; not running yet.
        registrar: identifies a phone whose registration is not known.
        channel: as in the settings.
    """

    def __init__(self, asterisk: Asterisk | None, registrar: Registrar, channel: str) -> None:
        self._asterisk = asterisk
        self._registrar = registrar
        self._channel = channel
        self._listeners: Listeners[str] = Listeners()
        self._busy: dict[str, None] = {}
        self._call_ended_at: dict[str, float] = {}
        if asterisk is not None:
            asterisk.subscribe("DeviceStateChange", self._device_state)

    def subscribe(self, listener: Callable[[str], None]) -> None:
        """Call ``listener`` with the endpoint or peer of each device whose call has ended. It must return at once."""
        self._listeners.subscribe(listener)

    async def call_state(self, target: Target) -> CallState:
        """Return whether the phone is in a call. Never raises: if Asterisk does not answer, it is not known."""
        if self._asterisk is None:
            return CallState(in_call=None)
        name, in_call = target.mac.device_name, None
        try:
            async with asyncio.timeout(CALL_STATE_SECONDS):
                if target.software is Software.SCCP:
                    in_call = await _has_channel_at_chan_sccp(self._asterisk, name)
                else:
                    known = target if target.registration else await self._registrar.identify(target)
                    if known.registration is not None and can_be_asked_for(known.registration.peer):
                        name = f"{_CHANNEL_TYPES[self._channel]}/{known.registration.peer}"
                        in_call = await self._has_call(self._asterisk, name)
                    elif isinstance(known.unregistered, NotRegistered):
                        in_call = False
        except (TimeoutError, AsteriskAway, AsteriskRefused, NotSendable):
            pass  # it is not known
        if in_call is not None:
            self.saw(name, is_busy=in_call)
        ended_at = self._call_ended_at.get(name)
        return CallState(in_call=in_call, ended=None if ended_at is None else time.monotonic() - ended_at)

    async def is_in_call(self, target: Target, quiet_minutes: int, *, if_unknown: bool = False) -> bool:
        """Return whether the phone is in a call, or was in one less than so many minutes ago.

        If it is not known, the switch goes on. A SIP phone delays a restart until its call has ended
        (docs/phone-protocol/restart.md#during-calls), and chan-sccp is asked again before a reset.

        Args:
            if_unknown: the result while Asterisk does not answer; without an Asterisk there is no call.
        """
        if self._asterisk is None:
            return False
        state = await self.call_state(target)
        in_call = if_unknown if state.in_call is None else state.in_call
        return in_call or (state.ended is not None and state.ended < 60 * quiet_minutes)

    def saw(self, device: str, *, is_busy: bool) -> None:
        """Note whether there is a call. A call that was busy before has now ended."""
        if is_busy:
            remember(self._busy, device, None)
        elif device in self._busy:
            del self._busy[device]
            remember(self._call_ended_at, device, time.monotonic())

    async def _has_call(self, asterisk: Asterisk, device: str) -> bool | None:
        """Return whether a SIP device has a call.

        chan_sip counts calls only with callcounter, and reports no calls without it. Then its channels decide.
        """
        reply = await asterisk.action("Getvar", [("Variable", f"DEVICE_STATE({device})")])
        if listings.is_busy(reply.get("value")):
            return True
        if self._channel == "pjsip":
            return False if reply.get("value").lower() in _WITHOUT_CALL else None
        channels = await asterisk.listing("CoreShowChannels")
        return any(channel.get("channel").rpartition("-")[0] == device for channel in channels)

    # Event (Asterisk main/devicestate.c)

    def _device_state(self, event: AmiMessage) -> None:
        device = event.get("device")
        was_busy = device in self._busy
        self.saw(device, is_busy=listings.is_busy(event.get("state")))
        if was_busy and device not in self._busy and (name := shown(device.partition("/")[2])):
            self._listeners.notify(name)


async def _has_channel_at_chan_sccp(asterisk: Asterisk, name: str) -> bool | None:
    devices = listings.devices(await asterisk.listing("SCCPListDevices"))
    return next((device.in_call for device in devices if device.name == name), None)
