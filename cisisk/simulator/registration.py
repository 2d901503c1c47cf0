"""SIP registration of a phone's first line (RFC 3261 section 10).

Source: docs/phone-protocol/restart.md#registration
"""

import asyncio
import ipaddress
import os
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import dataclass

from cisisk.simulator.running_config import LineAtProxy
from cisisk.simulator.timing import Timing
from cisisk.sip import digest, message
from cisisk.sip.digest import Unanswerable
from cisisk.sip.message import MalformedSip, SipRequest, SipResponse, Unsendable
from cisisk.sip.transaction import NoResponse, Peer, Sender, SipClient, Way, host

_FIRST_CSEQ = 101
"""The first CSeq number of Cisco phones."""
_OK = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class PhoneIdentity:
    """The values a phone sends about itself in a REGISTER.

    Attributes:
        address: numeric IP address of the phone.
        sip_port: port that accepts SIP requests.
        device_name: ``SEP`` and the MAC address.
        product: model name as the phone writes it.
        load: running firmware.
        call_id: Call-ID of all REGISTER requests between two restarts.
        last: cause of the last restart as in the alarm: ``initialized``, ``reset-reset``, ``reset-restart``,
            ``phone-keypad``.
    """

    address: str
    sip_port: int
    device_name: str
    product: str
    load: str
    call_id: str
    last: str


class RegistrationFailed(Exception):
    """The registration failed; the text is the reason."""


class SipRegistration:
    """The registration of one line between two restarts."""

    def __init__(self, line: LineAtProxy, identity: PhoneIdentity) -> None:
        self._line = line
        self._identity = identity
        self._cseq = _FIRST_CSEQ
        self._tag = secrets.token_hex(8)

    async def register(self, within: float, min_refresh: float) -> float:
        """Register and answer a challenge. Return the seconds until the next refresh, at least ``min_refresh``.

        Raises:
            RegistrationFailed: refused, or no answer ``within`` that many seconds.
        """
        response = await self._exchange(self._line.expires, within)
        return max(_granted_expires(response, self._line.expires) / 2, min_refresh)

    async def unregister(self, within: float) -> None:
        """Remove the registration. Raises RegistrationFailed like :meth:`register`."""
        await self._exchange(0, within)

    async def _exchange(self, expires: int, within: float) -> SipResponse:
        try:
            async with asyncio.timeout(within), SipClient() as client, self._way(client, within) as way:
                response = await way.request(self._request(expires), within)
                if response.status in digest.CHALLENGED:
                    response = await way.request(self._request(expires, self._credentials(response)), within)
        except (TimeoutError, NoResponse):
            raise RegistrationFailed("no answer") from None
        except OSError as error:
            raise RegistrationFailed(os.strerror(error.errno) if error.errno else type(error).__name__) from error
        except (MalformedSip, Unsendable, Unanswerable) as error:
            raise RegistrationFailed(str(error)) from error
        if response.status != _OK:
            raise RegistrationFailed(f"refused with {response.status}")
        return response

    def _way(self, client: SipClient, seconds: float) -> AbstractAsyncContextManager[Way]:
        line, identity = self._line, self._identity
        peer = Peer(address=line.host, port=line.port, transport="TCP" if line.is_tcp else "UDP")
        return client.way(peer, seconds, Sender(address=identity.address, port=identity.sip_port))

    @property
    def _uri(self) -> str:
        return f"sip:{host(self._line.host)}"

    def _request(self, expires: int, credentials: tuple[str, str] | None = None) -> SipRequest:
        line, identity = self._line, self._identity
        transport = "tcp" if line.is_tcp else "udp"
        address = f"<sip:{message.user_part(line.name)}@{host(line.host)}>"
        alarm = (
            f"cisco-alarm:25 Name={identity.device_name} ActiveLoad={identity.load} InactiveLoad= Last={identity.last}"
        )
        at = f"{host(identity.address)}:{identity.sip_port}"
        contact = (
            f"<sip:{message.user_part(line.contact)}@{at};transport={transport}>"
            f';+sip.instance="<urn:uuid:00000000-0000-0000-0000-{identity.device_name.removeprefix("SEP").lower()}>"'
            f';+u.sip!devicename.ccm.cisco.com="{identity.device_name}"'
        )
        headers = [
            ("Max-Forwards", "70"),
            ("From", f"{address};tag={self._tag}"),
            ("To", address),
            ("Call-ID", identity.call_id),
            ("CSeq", f"{self._cseq} REGISTER"),
            ("User-Agent", f"Cisco-{identity.product}/{identity.load}"),
            ("Contact", contact),
            ("Expires", str(expires)),
            ("Reason", f"SIP;cause=200;text={message.quoted(alarm)}"),
        ]
        if credentials is not None:
            headers.append(credentials)
        self._cseq += 1
        return SipRequest(tuple(headers), method="REGISTER", uri=self._uri)

    def _credentials(self, response: SipResponse) -> tuple[str, str]:
        answer = digest.answer(
            digest.challenge_of(response),
            method="REGISTER",
            uri=self._uri,
            username=self._line.auth_name,
            password=self._line.auth_password,
            cnonce=secrets.token_hex(8),
        )
        return digest.CHALLENGED[response.status][1], answer


@asynccontextmanager
async def keep_registered(
    line: LineAtProxy, identity: PhoneIdentity, timing: Timing, on_change: Callable[[str | None], None]
) -> AsyncIterator[None]:
    """Keep ``line`` registered in the background while the context is open; remove the registration at a normal exit.

    Args:
        line: the line to register.
        identity: the phone that owns it.
        timing: timeouts.
        on_change: called with None after a registration, and with the reason when it fails or is lost.
    """
    registration = SipRegistration(line, identity)
    is_registered = False

    async def keep() -> None:
        nonlocal is_registered
        try:
            while True:
                refresh = await registration.register(timing.registration, timing.min_refresh)
                if not is_registered:
                    is_registered = True
                    on_change(None)
                await asyncio.sleep(refresh)
        except RegistrationFailed as error:
            is_registered = False
            on_change(str(error))

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
        with suppress(RegistrationFailed):
            await registration.unregister(timing.unregister)


def is_on_loopback(line: LineAtProxy) -> bool:
    """Return whether the call manager of ``line`` is on this machine.

    A simulated phone registers only there: with a copy of a real phone's config it would take that phone's calls.
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
