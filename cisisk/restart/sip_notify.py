"""A NOTIFY from here straight to the phone, over UDP or TCP (docs/phone-protocol/restart.md#service-control).

What a phone wants to be told depends on its firmware: one that registers with a call manager obeys ``service-control``
with the Call-ID of its registration, which only the call manager knows. The SIP image of a 7940 or 7960 takes a plain
``check-sync``; it then fetches ``syncinfo.xml`` and restarts if the number in there is not its own.
"""

import errno
import re
import secrets
from dataclasses import dataclass

from cisisk.config import PhoneSipSettings
from cisisk.model.catalogue import Family, find
from cisisk.model.phone import Software
from cisisk.model.sep_config import SepConfig
from cisisk.model.target import NotRestarted, Target, Unreachable
from cisisk.restart import service_control
from cisisk.sip import digest, message
from cisisk.sip.message import Headers, SipRequest, SipResponse, Unsendable
from cisisk.sip.transaction import NoResponse, Peer, SipClient, Transport, Way, host

CHECK_SYNC = "check-sync"
_METHOD = "NOTIFY"
_CALL_ID = re.compile(r"[!-~]{1,255}", re.ASCII)
"""Printable and without blanks (RFC 3261 25.1): a line end would add a line of its own to the body."""
_REFUSALS = {
    400: "it takes a restart from nobody but its call manager, or has registered there anew meanwhile",
    403: "it forbids it",
    404: "none of its lines is called that: it runs another config than the last one it was served",
    405: "it takes no NOTIFY",
    408: "it did not come to it in time",
    413: "the message is too long for it",
    415: "it does not take this kind of body",
    420: "it wants an extension that is not known here",
    480: "it is not available now",
    481: "it wants to have subscribed before",
    482: "the message has gone round in a loop",
    483: "the message has passed through too many servers",
    484: "it finds the address incomplete",
    485: "it finds the address ambiguous",
    486: "it is busy",
    488: "it does not accept what was said",
    489: "it does not know this event",
    491: "it is busy with another request",
    500: "it has an error of its own",
    501: "it takes no NOTIFY",
    503: "it is overloaded, or just starting",
    505: "it speaks another version of SIP",
    513: "the message is too long for it",
    600: "it is busy",
    603: "it declines",
}
_CLASSES = {3: "it wants somebody else to be asked", 4: "it refused", 5: "it failed", 6: "it refused"}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Order:
    """What is said to the phone.

    Attributes:
        user: of the request's URI, by which the phone judges whether it is meant.
    """

    user: str
    event: str
    body: bytes


class SipNotify:
    """Tell the phone to restart over SIP, without its call manager."""

    name = "sip-notify"
    way = "phone-sip"

    def __init__(self, client: SipClient, settings: PhoneSipSettings) -> None:
        self._client = client
        self._settings = settings

    async def restart(self, target: Target) -> None:
        """As :meth:`RestartMethod.restart`; a phone in a call accepts at once and restarts after it."""
        address = target.require_address()
        runs = target.runs
        order = _order_for(target, runs)
        peer = Peer(address=address, port=self._settings.port, transport=_transport(runs))
        try:
            async with self._client.way(peer, self._settings.timeout) as way:
                response = await self._notify(way, peer, order)
        except NoResponse as error:
            raise Unreachable(_silence(peer, self._settings.timeout, error)) from None
        except TimeoutError:
            raise Unreachable(f"no SIP connection to {_at(peer)} within {self._settings.timeout} s") from None
        except OSError as error:
            raise Unreachable(_no_way(peer, error)) from None
        except Unsendable:
            raise NotRestarted("the name of the phone's line cannot stand in a SIP message") from None
        _judge(response)

    async def _notify(self, way: Way, peer: Peer, order: _Order) -> SipResponse:
        """Send the NOTIFY, a second time with credentials if they are asked for; the final response."""
        uri = _uri(peer, order.user)
        dialog = (
            ("Max-Forwards", "70"),
            # Without a user: some firmware refuses a From that has one.
            ("From", f"<sip:{way.local}>;tag={secrets.token_hex(8)}"),
            ("To", f"<{uri}>"),
            ("Call-ID", f"{secrets.token_hex(16)}@{way.local.rpartition(':')[0]}"),
            ("Contact", f"<sip:{way.local};transport={peer.transport.lower()}>"),
            ("Event", order.event),
            ("Subscription-State", "active"),
            *((("Content-Type", service_control.CONTENT_TYPE),) if order.body else ()),
        )
        response = await way.request(_request(uri, 1, dialog, order.body), self._settings.timeout)
        if response.status not in digest.CHALLENGED:
            return response
        credentials = self._credentials(response, uri)
        response = await way.request(_request(uri, 2, (*dialog, credentials), order.body), self._settings.timeout)
        if response.status in digest.CHALLENGED:
            raise NotRestarted("the phone did not accept phone_sip.username and its password over SIP")
        return response

    def _credentials(self, response: SipResponse, uri: str) -> tuple[str, str]:
        """The header that answers a challenge: with credentials made for this, never with those of a line.

        Whoever sits at the phone's address can ask, and could try passwords against the answer at leisure.
        """
        if not self._settings.username:
            raise NotRestarted(
                f"the phone asks for credentials over SIP ({response.status}), and phone_sip.username is not set"
            )
        try:
            answer = digest.answer(
                digest.challenge_of(response),
                method=_METHOD,
                uri=uri,
                username=self._settings.username,
                password=self._settings.password,
                cnonce=secrets.token_hex(8),
            )
        except (digest.Unanswerable, Unsendable):
            raise NotRestarted(
                f"the phone asks for credentials over SIP ({response.status}) in a way that is not known here; MD5 is"
            ) from None
        return digest.CHALLENGED[response.status][1], answer


def _order_for(target: Target, runs: SepConfig | None) -> _Order:
    """What this phone obeys. Raises NotRestarted: nothing that can be said from here."""
    if target.software is Software.SCCP:
        raise NotRestarted("the phone speaks SCCP, and no SIP")
    facts = find(target.model) if target.model else None
    if facts is not None and facts.family is Family.P7940:
        return _Order(user=_line(runs), event=CHECK_SYNC, body=b"")
    registration = target.registration
    if registration is None and target.unregistered is not None:
        raise NotRestarted(str(target.unregistered))
    if registration is None or not registration.call_id:
        raise NotRestarted(
            "the phone obeys only who names the Call-ID of its registration, which its call manager alone knows"
        )
    if not _CALL_ID.fullmatch(registration.call_id):
        raise NotRestarted("the Call-ID of the phone's registration has characters that no Call-ID has")
    lines = service_control.body(service_control.action_for(target), registration.call_id)
    body = "".join(f"{line}\r\n" for line in lines).encode()
    return _Order(user=registration.user, event=service_control.EVENT, body=body)


def _line(runs: SepConfig | None) -> str:
    name = next((line.name for line in runs.lines if line.is_line and line.name), None) if runs else None
    if name is None:
        raise NotRestarted(
            "the name of the phone's first line is not known: it has been served no config that can be read"
        )
    return name


def _transport(runs: SepConfig | None) -> Transport:
    """What the phone listens to. Raises NotRestarted: TLS alone."""
    transport = runs.transport if runs else None
    if transport == "TLS":
        raise NotRestarted("the phone speaks SIP over TLS, with its call manager alone")
    return transport or "UDP"


def _uri(peer: Peer, user: str) -> str:
    return f"sip:{message.user_part(user)}@{host(peer.address)}:{peer.port};transport={peer.transport.lower()}"


def _request(uri: str, number: int, headers: Headers, body: bytes) -> SipRequest:
    return SipRequest((*headers, ("CSeq", f"{number} {_METHOD}")), body, method=_METHOD, uri=uri)


def _at(peer: Peer) -> str:
    return f"{peer.transport} port {peer.port} of {peer.address}"


def _silence(peer: Peer, seconds: float, error: NoResponse) -> str:
    if error.provisional:
        return f"the phone is trying, but has not answered over SIP within {seconds:g} s"
    return f"no answer over SIP from {_at(peer)} within {seconds:g} s"


def _no_way(peer: Peer, error: OSError) -> str:
    if error.errno == errno.ECONNREFUSED:
        return f"nobody answers SIP at {_at(peer)}: the phone uses another transport, or is just starting"
    return f"no SIP with {_at(peer)}: {error.strerror or error}"


def _judge(response: SipResponse) -> None:
    """Return if the phone accepted. Raises NotRestarted."""
    if response.status < 300:
        return
    why = _REFUSALS.get(response.status) or _CLASSES[response.status // 100]
    raise NotRestarted(f"the phone answered {response.status} over SIP: {why}")
