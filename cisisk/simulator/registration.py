"""A phone's registration: its first line tells the call manager where it is (RFC 3261 section 10).

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
"""Where Cisco phones begin to count."""
_SHORTEST_REFRESH = 5.0
"""Seconds between two REGISTER, however short the time that was granted."""
_OK = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """What a phone tells of itself.

    Attributes:
        address: its own, numeric.
        sip_port: where it takes requests.
        device_name: ``SEP`` and the MAC address.
        product: as it writes its model.
        load: the firmware it runs.
        call_id: of all REGISTER in one life.
        last: why it started, as in its alarm: ``initialized``, ``reset-reset``, ``reset-restart``, ``phone-keypad``.
    """

    address: str
    sip_port: int
    device_name: str
    product: str
    load: str
    call_id: str
    last: str


class Unregistered(Exception):
    """The call manager has not taken the registration; the text tells why."""


class SipRegistration:
    """One life's registration of one line."""

    def __init__(self, line: LineAtProxy, identity: Identity) -> None:
        self._line = line
        self._identity = identity
        self._cseq = _FIRST_CSEQ
        self._tag = secrets.token_hex(8)

    async def register(self, within: float) -> float:
        """Register, and answer a challenge; how many seconds until it is to be done again.

        Raises:
            Unregistered: it was refused, or there was no answer ``within`` that many seconds.
        """
        response = await self._exchange(self._line.expires, within)
        return max(_granted(response, self._line.expires) / 2, _SHORTEST_REFRESH)

    async def unregister(self, within: float) -> None:
        """End it. Raises Unregistered as :meth:`register`."""
        await self._exchange(0, within)

    async def _exchange(self, expires: int, within: float) -> SipResponse:
        try:
            async with asyncio.timeout(within), SipClient() as client, self._way(client, within) as way:
                response = await way.request(self._request(expires), within)
                if response.status in digest.CHALLENGED:
                    response = await way.request(self._request(expires, self._credentials(response)), within)
        except (TimeoutError, NoResponse):
            raise Unregistered("no answer") from None
        except OSError as error:
            raise Unregistered(os.strerror(error.errno) if error.errno else type(error).__name__) from error
        except (MalformedSip, Unsendable, Unanswerable) as error:
            raise Unregistered(str(error)) from error
        if response.status != _OK:
            raise Unregistered(f"refused with {response.status}")
        return response

    def _way(self, client: SipClient, seconds: float) -> AbstractAsyncContextManager[Way]:
        line, own = self._line, self._identity
        peer = Peer(address=line.host, port=line.port, transport="TCP" if line.is_tcp else "UDP")
        return client.way(peer, seconds, Sender(address=own.address, port=own.sip_port))

    @property
    def _uri(self) -> str:
        return f"sip:{host(self._line.host)}"

    def _request(self, expires: int, credentials: tuple[str, str] | None = None) -> SipRequest:
        line, own = self._line, self._identity
        transport = "tcp" if line.is_tcp else "udp"
        address = f"<sip:{message.user_part(line.name)}@{host(line.host)}>"
        alarm = f"cisco-alarm:25 Name={own.device_name} ActiveLoad={own.load} InactiveLoad= Last={own.last}"
        at = f"{host(own.address)}:{own.sip_port}"
        contact = (
            f"<sip:{message.user_part(line.contact)}@{at};transport={transport}>"
            f';+sip.instance="<urn:uuid:00000000-0000-0000-0000-{own.device_name.removeprefix("SEP").lower()}>"'
            f';+u.sip!devicename.ccm.cisco.com="{own.device_name}"'
        )
        headers = [
            ("Max-Forwards", "70"),
            ("From", f"{address};tag={self._tag}"),
            ("To", address),
            ("Call-ID", own.call_id),
            ("CSeq", f"{self._cseq} REGISTER"),
            ("User-Agent", f"Cisco-{own.product}/{own.load}"),
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
async def kept(
    line: LineAtProxy, identity: Identity, timing: Timing, told: Callable[[str | None], None]
) -> AsyncIterator[None]:
    """Keep the line registered while the context is open, in the background; when it closes well, end the registration.

    Args:
        line: to be registered.
        identity: whose it is.
        timing: how long answers are waited for.
        told: called when it is registered, with None, and when it is no longer or cannot be, with the reason.
    """
    registration = SipRegistration(line, identity)
    is_registered = False

    async def keep() -> None:
        nonlocal is_registered
        try:
            while True:
                refresh = await registration.register(timing.registration)
                if not is_registered:
                    is_registered = True
                    told(None)
                await asyncio.sleep(refresh)
        except Unregistered as error:
            is_registered = False
            told(str(error))

    keeping = asyncio.create_task(keep(), name=f"{identity.device_name} registers")
    try:
        yield
    finally:
        keeping.cancel()
        await asyncio.wait([keeping])
        was_registered = is_registered
        if was_registered:
            told("the phone goes down")
    if was_registered:
        with suppress(Unregistered):
            await registration.unregister(timing.goodbye)


def is_on_loopback(line: LineAtProxy) -> bool:
    """Whether its call manager is on this machine.

    A simulated phone registers nowhere else: with a copy of somebody's config it would take that person's calls.
    """
    try:
        return ipaddress.ip_address(line.host).is_loopback
    except ValueError:
        return False


def _granted(response: SipResponse, asked: int) -> int:
    """The seconds that were granted: of the contact, else of the whole (RFC 3261 10.2.1.1)."""
    with suppress(MalformedSip, ValueError):
        contact = response.get("Contact")
        of_contact = message.parameter(contact, "expires") if contact is not None else None
        return int(of_contact or response.get("Expires") or asked)
    return asked
