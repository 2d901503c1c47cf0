"""The calls that Asterisk reports: whether a phone is in one, and when its last one ended."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from cisisk.model.codes.asterisk import AsteriskProblem
from cisisk.model.codes.error import CallsUnknownCause
from cisisk.model.codes.restart import RestartRefusal
from cisisk.model.errors import CallsUnknown
from cisisk.model.listeners import Listeners
from cisisk.model.phone import Software
from cisisk.model.target import NotRestarted, Target, Unreachable
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
        unknown: why it is not known; None if it is.
    """

    in_call: bool | None
    ended: float | None = None
    unknown: CallsUnknown | None = field(default=None, compare=False)


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
        name, in_call, unknown = target.mac.device_name, None, None
        try:
            async with asyncio.timeout(CALL_STATE_SECONDS):
                name, in_call = await self._ask(target)
        except TimeoutError:
            late = RestartRefusal.ASTERISK_SLOW.notice(seconds=CALL_STATE_SECONDS)
            unknown = CallsUnknown(CallsUnknownCause.AWAY, late)
        except AsteriskAway as error:
            unknown = CallsUnknown(CallsUnknownCause.AWAY, error.notice)
        except AsteriskRefused as error:
            unknown = CallsUnknown(CallsUnknownCause.REFUSED, error.notice)
        except NotSendable as error:
            unknown = CallsUnknown(CallsUnknownCause.PHONE, error.notice)
        except CallsUnknown as error:
            unknown = error
        if in_call is not None:
            self.saw(name, is_busy=in_call)
        ended_at = self._call_ended_at.get(name)
        ended = None if ended_at is None else time.monotonic() - ended_at
        return CallState(in_call=in_call, ended=ended, unknown=unknown)

    async def _ask(self, target: Target) -> tuple[str, bool]:
        """Return the phone's device at Asterisk, and whether it has a call. Raises CallsUnknown."""
        if self._asterisk is None:
            raise CallsUnknown(CallsUnknownCause.NO_ASTERISK, RestartRefusal.ASTERISK_NOT_SET.notice())
        name = target.mac.device_name
        if target.software is Software.SCCP:
            return name, await _has_channel_at_chan_sccp(self._asterisk, name)
        known = target if target.registration else await self._registrar.identify(target)
        if known.registration is None:
            if isinstance(known.unregistered, NotRegistered):
                return name, False
            raise _not_identified(known.unregistered)
        peer = known.registration.peer
        if not can_be_asked_for(peer):
            raise CallsUnknown(CallsUnknownCause.PHONE, RestartRefusal.PEER_NAME_UNUSABLE.notice(peer=shown(peer)))
        device = f"{_CHANNEL_TYPES[self._channel]}/{peer}"
        return device, await self._has_call(self._asterisk, device)

    async def is_in_call(self, target: Target, quiet_minutes: int, *, if_unknown: bool | None = False) -> bool:
        """Return whether the phone is in a call, or was in one less than so many minutes ago.

        A SIP phone delays a restart until its call has ended (docs/phone-protocol/restart.md#during-calls), and
        chan-sccp is asked again before a reset.

        Args:
            if_unknown: the result if that is not known, except without an Asterisk: there, no call is known to end.
                None to raise.

        Raises:
            CallsUnknown: it is not known.
        """
        state = await self.call_state(target)
        if state.in_call or (state.ended is not None and state.ended < 60 * quiet_minutes):
            return True
        if state.unknown is None:
            return False
        if if_unknown is None:
            raise state.unknown
        return if_unknown and state.unknown.cause is not CallsUnknownCause.NO_ASTERISK

    def saw(self, device: str, *, is_busy: bool) -> None:
        """Note whether there is a call. A call that was busy before has now ended."""
        if is_busy:
            remember(self._busy, device, None)
        elif device in self._busy:
            del self._busy[device]
            remember(self._call_ended_at, device, time.monotonic())

    async def _has_call(self, asterisk: Asterisk, device: str) -> bool:
        """Return whether a SIP device has a call.

        chan_sip counts calls only with callcounter, and reports no calls without it. Then its channels decide.
        """
        reply = await asterisk.action("Getvar", [("Variable", f"DEVICE_STATE({device})")])
        state = reply.get("value")
        if listings.is_busy(state):
            return True
        if self._channel == "pjsip":
            if state.lower() in _WITHOUT_CALL:
                return False
            odd = AsteriskProblem.STATE_UNKNOWN.notice(device=device, state=shown(state))
            raise CallsUnknown(CallsUnknownCause.PHONE, odd)
        channels = await asterisk.listing("CoreShowChannels")
        return any(channel.get("channel").rpartition("-")[0] == device for channel in channels)

    # Event (Asterisk main/devicestate.c)

    def _device_state(self, event: AmiMessage) -> None:
        device = event.get("device")
        was_busy = device in self._busy
        self.saw(device, is_busy=listings.is_busy(event.get("state")))
        if was_busy and device not in self._busy and (name := shown(device.partition("/")[2])):
            self._listeners.notify(name)


async def _has_channel_at_chan_sccp(asterisk: Asterisk, name: str) -> bool:
    devices = listings.devices(await asterisk.listing("SCCPListDevices"))
    for device in devices:
        if device.name == name:
            return device.in_call
    raise CallsUnknown(CallsUnknownCause.PHONE, RestartRefusal.SCCP_UNKNOWN_DEVICE.notice())


def _not_identified(reason: NotRestarted | None) -> CallsUnknown:
    if reason is None:
        return CallsUnknown(CallsUnknownCause.NO_ASTERISK, RestartRefusal.ASTERISK_NOT_SET.notice())
    if isinstance(reason, Unreachable):
        return CallsUnknown(CallsUnknownCause.AWAY, reason.notice)
    refused = {AsteriskProblem.PERMISSION_DENIED, AsteriskProblem.DRIVER_NOT_LOADED}
    cause = CallsUnknownCause.REFUSED if reason.notice.code in refused else CallsUnknownCause.PHONE
    return CallsUnknown(cause, reason.notice)
