"""A NOTIFY from Cisisk straight to the phone, over UDP or TCP (docs/phone-protocol/restart.md#service-control).

The firmware decides what the phone obeys. Firmware that registers with a call manager obeys ``service-control`` with
the Call-ID of its registration, which only the call manager knows. The SIP image of a 7940 or 7960 takes a plain
``check-sync``: it fetches ``syncinfo.xml`` and restarts if the number there differs from its own.
"""

import errno
import re
import secrets
from dataclasses import dataclass

from cisisk.config import PhoneSipSettings
from cisisk.model.catalogue import Family, find
from cisisk.model.codes.restart import RestartRefusal, SipMeaning
from cisisk.model.notice import Notice
from cisisk.model.phone import Software
from cisisk.model.restart import Worth
from cisisk.model.sep_config import SepConfig
from cisisk.model.target import NotRestarted, Target, Unreachable
from cisisk.restart import service_control
from cisisk.sip import digest, message
from cisisk.sip.message import Headers, SipRequest, SipResponse, Unsendable
from cisisk.sip.transaction import NoResponse, Peer, SipClient, SipTransport, Way, host

_METHOD = "NOTIFY"
_CALL_ID = re.compile(r"[!-~]{1,255}", re.ASCII)
"""Printable, without blanks (RFC 3261 25.1). A line end would add a line to the body."""
_MEANINGS = {
    400: SipMeaning.WRONG_CALL_ID,
    403: SipMeaning.FORBIDDEN,
    404: SipMeaning.UNKNOWN_LINE,
    405: SipMeaning.NO_NOTIFY,
    408: SipMeaning.TOO_LATE,
    413: SipMeaning.TOO_LONG,
    415: SipMeaning.BODY_TYPE,
    420: SipMeaning.EXTENSION,
    480: SipMeaning.UNAVAILABLE,
    481: SipMeaning.NO_SUBSCRIPTION,
    482: SipMeaning.LOOP,
    483: SipMeaning.TOO_MANY_HOPS,
    484: SipMeaning.ADDRESS_INCOMPLETE,
    485: SipMeaning.ADDRESS_AMBIGUOUS,
    486: SipMeaning.BUSY,
    488: SipMeaning.NOT_ACCEPTABLE,
    489: SipMeaning.UNKNOWN_EVENT,
    491: SipMeaning.REQUEST_PENDING,
    500: SipMeaning.OWN_ERROR,
    501: SipMeaning.NO_NOTIFY,
    503: SipMeaning.OVERLOADED,
    505: SipMeaning.VERSION,
    513: SipMeaning.TOO_LONG,
    600: SipMeaning.BUSY,
    603: SipMeaning.DECLINED,
}
_CLASSES = {3: SipMeaning.REDIRECTED, 4: SipMeaning.REFUSED, 5: SipMeaning.FAILED, 6: SipMeaning.REFUSED}


@dataclass(frozen=True, slots=True, kw_only=True)
class _NotifyRequest:
    """The request for the phone.

    Attributes:
        user: of the request's URI, by which the phone decides whether it is addressed.
    """

    user: str
    event: str
    body: bytes


class SipNotify:
    """Ask the phone to restart over SIP, without its call manager."""

    name = "sip-notify"
    way = "phone-sip"
    worth = Worth.ANSWERED

    def __init__(self, client: SipClient, settings: PhoneSipSettings) -> None:
        self._client = client
        self._settings = settings

    async def restart(self, target: Target) -> None:
        """As :meth:`RestartMethod.restart`; a phone in a call accepts at once and restarts after it."""
        address = target.require_address()
        runs = target.runs
        wanted = _request_for(target, runs)
        peer = Peer(address=address, port=self._settings.port, transport=_transport(runs))
        try:
            async with self._client.way(peer, self._settings.timeout) as way:
                response = await self._notify(way, peer, wanted)
        except NoResponse as error:
            raise Unreachable(_no_answer(peer, self._settings.timeout, error)) from None
        except TimeoutError:
            raise Unreachable(
                RestartRefusal.SIP_NO_CONNECTION.notice(**_at(peer), seconds=self._settings.timeout)
            ) from None
        except OSError as error:
            raise Unreachable(_no_connection(peer, error)) from None
        except Unsendable:
            raise NotRestarted(RestartRefusal.SIP_LINE_UNSENDABLE.notice()) from None
        _require_accepted(response)

    async def _notify(self, way: Way, peer: Peer, wanted: _NotifyRequest) -> SipResponse:
        """Send the NOTIFY, with credentials if the phone asks for them. Return the final response."""
        uri = _uri(peer, wanted.user)
        dialog = (
            ("Max-Forwards", "70"),
            # Without a user: some firmware refuses a From that has one.
            ("From", f"<sip:{way.local}>;tag={secrets.token_hex(8)}"),
            ("To", f"<{uri}>"),
            ("Call-ID", f"{secrets.token_hex(16)}@{way.local.rpartition(':')[0]}"),
            ("Contact", f"<sip:{way.local};transport={peer.transport.lower()}>"),
            ("Event", wanted.event),
            ("Subscription-State", "active"),
            *((("Content-Type", service_control.CONTENT_TYPE),) if wanted.body else ()),
        )
        response = await way.request(_request(uri, 1, dialog, wanted.body), self._settings.timeout)
        if response.status not in digest.CHALLENGED:
            return response
        credentials = self._credentials(response, uri)
        response = await way.request(_request(uri, 2, (*dialog, credentials), wanted.body), self._settings.timeout)
        if response.status in digest.CHALLENGED:
            raise NotRestarted(RestartRefusal.SIP_CREDENTIALS_REFUSED.notice())
        return response

    def _credentials(self, response: SipResponse, uri: str) -> tuple[str, str]:
        """Return the header that answers a challenge, with credentials for this purpose, never with those of a line.

        Any host at the phone's address can ask, and could try passwords against the answer offline.
        """
        if not self._settings.username:
            raise NotRestarted(RestartRefusal.SIP_CREDENTIALS_MISSING.notice(status=response.status))
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
            raise NotRestarted(RestartRefusal.SIP_CHALLENGE_UNKNOWN.notice(status=response.status)) from None
        return digest.CHALLENGED[response.status][1], answer


def _request_for(target: Target, runs: SepConfig | None) -> _NotifyRequest:
    """Return the request that this phone obeys. Raises NotRestarted if there is none without its call manager."""
    if target.software is Software.SCCP:
        raise NotRestarted(RestartRefusal.SCCP_PHONE.notice())
    facts = find(target.model) if target.model else None
    is_first_generation = facts is not None and facts.family is Family.P7940
    if is_first_generation or target.reads_flat_config:
        return _NotifyRequest(user=_line(runs), event=service_control.CHECK_SYNC, body=b"")
    registration = target.registration
    if registration is None and target.unregistered is not None:
        raise NotRestarted(target.unregistered.notice)
    if registration is None or not registration.call_id:
        raise NotRestarted(RestartRefusal.SIP_NEEDS_CALL_ID.notice())
    if not _CALL_ID.fullmatch(registration.call_id):
        raise NotRestarted(RestartRefusal.SIP_CALL_ID_MALFORMED.notice())
    lines = service_control.body(service_control.action_for(target), registration.call_id)
    body = "".join(f"{line}\r\n" for line in lines).encode()
    return _NotifyRequest(user=registration.user, event=service_control.EVENT, body=body)


def _line(runs: SepConfig | None) -> str:
    name = next((line.name for line in runs.lines if line.is_line and line.name), None) if runs else None
    if name is None:
        raise NotRestarted(RestartRefusal.LINE_NAME_UNKNOWN.notice())
    return name


def _transport(runs: SepConfig | None) -> SipTransport:
    """Return the transport that the phone listens on. Raises NotRestarted for TLS."""
    transport = runs.transport if runs else None
    if transport == "TLS":
        raise NotRestarted(RestartRefusal.SIP_OVER_TLS.notice())
    return transport or "UDP"


def _uri(peer: Peer, user: str) -> str:
    return f"sip:{message.user_part(user)}@{host(peer.address)}:{peer.port};transport={peer.transport.lower()}"


def _request(uri: str, number: int, headers: Headers, body: bytes) -> SipRequest:
    return SipRequest((*headers, ("CSeq", f"{number} {_METHOD}")), body, method=_METHOD, uri=uri)


def _at(peer: Peer) -> dict[str, str | int]:
    return {"transport": peer.transport, "port": peer.port, "address": peer.address}


def _no_answer(peer: Peer, seconds: float, error: NoResponse) -> Notice:
    if error.provisional:
        return RestartRefusal.SIP_ONLY_PROVISIONAL.notice(seconds=seconds)
    return RestartRefusal.SIP_NO_ANSWER.notice(**_at(peer), seconds=seconds)


def _no_connection(peer: Peer, error: OSError) -> Notice:
    if error.errno == errno.ECONNREFUSED:
        return RestartRefusal.SIP_CONNECTION_REFUSED.notice(**_at(peer))
    return RestartRefusal.SIP_UNREACHABLE.notice(**_at(peer), error=error.strerror or str(error))


def _require_accepted(response: SipResponse) -> None:
    """Return if the phone accepted. Raises NotRestarted."""
    if response.status < 300:
        return
    meaning = _MEANINGS.get(response.status) or _CLASSES[response.status // 100]
    raise NotRestarted(RestartRefusal.SIP_STATUS.notice(status=response.status, meaning=meaning.notice()))
