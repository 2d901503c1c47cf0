"""Requests that a phone's first line sends, with its credentials (RFC 3261 sections 10, 13 and 22)."""

import asyncio
import os
import secrets
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import TypeAlias

from cisisk.simulator.running_config import LineAtProxy
from cisisk.sip import digest, message
from cisisk.sip.digest import Unanswerable
from cisisk.sip.message import MalformedSip, SipRequest, SipResponse, Unsendable
from cisisk.sip.transaction import NoResponse, Peer, Way, host

OpenWay: TypeAlias = Callable[[Peer, float], AbstractAsyncContextManager[Way]]
"""Opens a way to a peer; the number is the timeout of a TCP connection in seconds."""
_FIRST_CSEQ = 101
"""The first CSeq number of Cisco phones."""


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


class LineRequestFailed(Exception):
    """A request was not answered, or it was refused; the text is the reason."""


class LineClient:
    """The requests with one Call-ID. Each has the next CSeq number.

    Attributes:
        uri: URI of the call manager.
        address: URI of the line, in angle brackets.
        contact: the line's contact, in angle brackets.
    """

    def __init__(self, line: LineAtProxy, identity: PhoneIdentity, open_way: OpenWay, call_id: str) -> None:
        self.uri = f"sip:{host(line.host)}"
        self.address = f"<sip:{message.user_part(line.name)}@{host(line.host)}>"
        at = f"{host(identity.address)}:{identity.sip_port}"
        transport = "tcp" if line.is_tcp else "udp"
        self.contact = f"<sip:{message.user_part(line.contact)}@{at};transport={transport}>"
        self._line = line
        self._open_way = open_way
        self._peer = Peer(address=line.host, port=line.port, transport="TCP" if line.is_tcp else "UDP")
        self._common = (
            ("Max-Forwards", "70"),
            ("From", f"{self.address};tag={secrets.token_hex(8)}"),
            ("Call-ID", call_id),
            ("User-Agent", f"Cisco-{identity.product}/{identity.load}"),
        )
        self._cseq = _FIRST_CSEQ

    async def exchange(
        self, method: str, uri: str, headers: tuple[tuple[str, str], ...], within: float, body: bytes = b""
    ) -> SipResponse:
        """Send a request, and again with credentials if it is challenged. Return the final response.

        Raises:
            LineRequestFailed: refused, or no answer ``within`` that many seconds.
        """
        try:
            async with asyncio.timeout(within), self._open_way(self._peer, within) as way:
                response = await way.request(self._request(method, uri, headers, body), within)
                if response.status in digest.CHALLENGED:
                    credentials = self._credentials(response, method, uri)
                    response = await way.request(self._request(method, uri, (*headers, credentials), body), within)
        except (TimeoutError, NoResponse):
            raise LineRequestFailed("no answer") from None
        except OSError as error:
            raise LineRequestFailed(os.strerror(error.errno) if error.errno else type(error).__name__) from error
        except (MalformedSip, Unsendable, Unanswerable) as error:
            raise LineRequestFailed(str(error)) from error
        if not 200 <= response.status < 300:
            raise LineRequestFailed(f"refused with {response.status}")
        return response

    def _request(self, method: str, uri: str, headers: tuple[tuple[str, str], ...], body: bytes) -> SipRequest:
        cseq, self._cseq = self._cseq, self._cseq + 1
        return SipRequest((*self._common, ("CSeq", f"{cseq} {method}"), *headers), body, method=method, uri=uri)

    def _credentials(self, response: SipResponse, method: str, uri: str) -> tuple[str, str]:
        answer = digest.answer(
            digest.challenge_of(response),
            method=method,
            uri=uri,
            username=self._line.auth_name,
            password=self._line.auth_password,
            cnonce=secrets.token_hex(8),
        )
        return digest.CHALLENGED[response.status][1], answer
