"""SIP registration of a phone's first line (RFC 3261 section 10).

Source: docs/phone-protocol/restart.md#registration
"""

import asyncio
import ipaddress
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

from cisisk.simulator.line_client import LineClient, LineRequestFailed, OpenWay, PhoneIdentity
from cisisk.simulator.running_config import LineAtProxy
from cisisk.simulator.timing import Timing
from cisisk.sip import message
from cisisk.sip.message import MalformedSip, SipResponse


class SipRegistration:
    """The registration of one line between two restarts."""

    def __init__(self, line: LineAtProxy, identity: PhoneIdentity, open_way: OpenWay) -> None:
        self._client = LineClient(line, identity, open_way, identity.call_id)
        self._expires = line.expires
        alarm = (
            f"cisco-alarm:25 Name={identity.device_name} ActiveLoad={identity.load} InactiveLoad= Last={identity.last}"
        )
        instance = f"urn:uuid:00000000-0000-0000-0000-{identity.device_name.removeprefix('SEP').lower()}"
        contact = f'{self._client.contact};+sip.instance="<{instance}>"'
        self._headers = (
            ("To", self._client.address),
            ("Contact", f'{contact};+u.sip!devicename.ccm.cisco.com="{identity.device_name}"'),
            ("Reason", f"SIP;cause=200;text={message.quoted(alarm)}"),
        )

    async def register(self, within: float, min_refresh: float) -> float:
        """Register and answer a challenge. Return the seconds until the next refresh, at least ``min_refresh``.

        Raises:
            LineRequestFailed: refused, or no answer ``within`` that many seconds.
        """
        response = await self._exchange(self._expires, within)
        return max(_granted_expires(response, self._expires) / 2, min_refresh)

    async def unregister(self, within: float) -> None:
        """Remove the registration. Raises LineRequestFailed like :meth:`register`."""
        await self._exchange(0, within)

    async def _exchange(self, expires: int, within: float) -> SipResponse:
        headers = (*self._headers, ("Expires", str(expires)))
        return await self._client.exchange("REGISTER", self._client.uri, headers, within)


@asynccontextmanager
async def keep_registered(
    line: LineAtProxy,
    identity: PhoneIdentity,
    open_way: OpenWay,
    timing: Timing,
    on_change: Callable[[str | None], None],
) -> AsyncIterator[None]:
    """Keep ``line`` registered in the background while the context is open; remove the registration at a normal exit.

    Args:
        line: the line to register.
        identity: the phone that owns it.
        open_way: opens ways to the call manager.
        timing: timeouts and delays.
        on_change: called with None after a registration, and with the reason when it fails or is lost.
    """
    registration = SipRegistration(line, identity, open_way)
    is_registered = False

    async def keep() -> None:
        nonlocal is_registered
        while True:
            try:
                delay = await registration.register(timing.registration, timing.min_refresh)
            except LineRequestFailed as error:
                is_registered = False
                on_change(str(error))
                delay = timing.registration_retry
            else:
                if not is_registered:
                    is_registered = True
                    on_change(None)
            await asyncio.sleep(delay)

    task = asyncio.create_task(keep(), name=f"registration of {identity.device_name}")
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])
        was_registered = is_registered
        if was_registered:
            on_change("the phone restarts or powers off")
    if was_registered:
        with suppress(LineRequestFailed):
            await registration.unregister(timing.unregister)


def is_on_loopback(line: LineAtProxy) -> bool:
    """Return whether the call manager of ``line`` is on this machine.

    A simulated phone registers only there, unless it is told a proxy: with a copy of a real phone's config it would
    take that phone's calls.
    """
    try:
        return ipaddress.ip_address(line.host).is_loopback
    except ValueError:
        return False


def _granted_expires(response: SipResponse, requested: int) -> int:
    """Return the granted lifetime in seconds: the contact's, else the response's (RFC 3261 section 10.2.1.1)."""
    with suppress(MalformedSip, ValueError):
        contact = response.get("Contact")
        of_contact = message.parameter(contact, "expires") if contact is not None else None
        return int(of_contact or response.get("Expires") or requested)
    return requested
