"""The registration of a phone at Asterisk: the endpoint or peer that is registered from its address.

It is looked up before the phone's config changes. Afterwards the config names the next user's line, and the wrong phone
restarts (docs/phone-protocol/asterisk.md#finding-the-call-id). The address identifies the phone's registration. More
than one at an address is reported, never guessed.
"""

import asyncio
import re
from collections.abc import Iterable, Iterator
from dataclasses import replace

from cisisk.model import sep_config
from cisisk.model.codes.restart import RestartRefusal
from cisisk.model.errors import Invalid
from cisisk.model.notice import Notice
from cisisk.model.phone import Software
from cisisk.model.target import NotRestarted, Registration, Target, Unreachable
from cisisk.pbx import listings
from cisisk.pbx.connection import Asterisk, AsteriskAway, AsteriskRefused
from cisisk.pbx.listings import PjsipContact, address_of, is_busy
from cisisk.pbx.wire import AmiMessage, NotSendable, shown

IDENTIFY_SECONDS = 2.0
"""For all questions before the file is written: less than a switch that is being stopped may take."""
_NAME = re.compile(r"[A-Za-z0-9._@+-]{1,80}", re.ASCII)
"""A peer that is passed to a function or a command. It must not end its argument there."""
_CALL_ID = re.compile(r"[A-Za-z0-9.@_~!%*+:\[\]-]{1,255}", re.ASCII)
"""No character that Asterisk's argument splitter or the phone's braces interpret. Phones send hex digits and dots."""
_FUNCTIONS = ("SIPPEER({},regcallid)", "SIP_PEER({},register_callid)")
"""The functions with the Call-ID of a peer's REGISTER: of the usecallmanager patch up to Asterisk 20, and for 22.5 and
later. Another version answers with an empty value.
"""


class NotRegistered(NotRestarted):
    """No phone is registered from the phone's address, according to Asterisk."""


class Registrar:
    """Finds phones among the registrations.

    Args:
        asterisk: None without an Asterisk.
        channel: as in the settings.
        seconds: for all questions about one phone.
    """

    def __init__(self, asterisk: Asterisk | None, channel: str, seconds: float = IDENTIFY_SECONDS) -> None:
        self._asterisk = asterisk
        self._seconds = seconds
        self._channel = channel

    async def identify(self, target: Target) -> Target:
        """Return the target with its registration, or with the reason why that is not known."""
        if self._asterisk is None or target.software is Software.SCCP:
            return target
        try:
            async with asyncio.timeout(self._seconds):
                registration = await self._find(self._asterisk, target)
        except TimeoutError:
            late = RestartRefusal.ASTERISK_SLOW.notice(seconds=self._seconds)
            return replace(target, unregistered=Unreachable(late))
        except (AsteriskAway, NotSendable) as error:
            return replace(target, unregistered=Unreachable(error.notice))
        except AsteriskRefused as error:
            return replace(target, unregistered=NotRestarted(error.notice))
        except NotRestarted as error:
            return replace(target, unregistered=error)
        return replace(target, registration=registration)

    async def _find(self, asterisk: Asterisk, target: Target) -> Registration:
        if target.address is None:
            raise NotRestarted(RestartRefusal.NO_ADDRESS_TO_FIND.notice())
        if self._channel == "pjsip":
            return await _pjsip(asterisk, target.address, first_line(target.served))
        return await _chan_sip(asterisk, target.address)


async def _pjsip(asterisk: Asterisk, address: str, line: str | None) -> Registration:
    """Find the registration, first at the endpoint that the served config names: one phone instead of all."""
    if line is not None and (found := await _endpoint(asterisk, address, line)):
        return found
    every = await asterisk.listing("PJSIPShowRegistrationInboundContactStatuses")
    here = {contact.endpoint for contact in _at(address, every)}
    if not here:
        raise NotRegistered(RestartRefusal.NOT_REGISTERED.notice(address=address))
    if len(here) > 1:
        raise NotRestarted(_ambiguous(address, here))
    found = await _endpoint(asterisk, address, here.pop())
    if found is None:
        raise NotRestarted(RestartRefusal.REGISTRATION_ENDED.notice(address=address))
    return found


async def _endpoint(asterisk: Asterisk, address: str, name: str) -> Registration | None:
    """Return the registration of an endpoint from an address. Raises NotRestarted if it has two there."""
    if not can_be_asked_for(name):
        return None
    try:
        listed = await asterisk.listing("PJSIPShowEndpoint", [("Endpoint", name)])
    except AsteriskRefused as error:
        if error.said.lower().startswith("unable to retrieve endpoint"):
            return None
        raise
    contacts = {contact.call_id: contact for contact in _at(address, listed)}
    if not contacts:
        return None
    if len(contacts) > 1:
        raise NotRestarted(RestartRefusal.REGISTERED_TWICE.notice(endpoint=name, address=address))
    ((call_id, contact),) = contacts.items()
    states = [message.get("devicestate") for message in listed if message.get("event") == "EndpointDetail"]
    return Registration(
        peer=name,
        user=contact.user,
        call_id=_checked_call_id(call_id) if call_id else "",
        in_call=is_busy(states[0]) if states else None,
    )


def _at(address: str, messages: Iterable[AmiMessage]) -> Iterator[PjsipContact]:
    """Return the live contacts from an address."""
    known = address_of(address)
    return (contact for contact in listings.contacts(messages) if contact.is_live and known in contact.addresses)


async def _chan_sip(asterisk: Asterisk, address: str) -> Registration:
    known = address_of(address)
    here = {peer.name for peer in listings.peers(await asterisk.listing("SIPpeers")) if peer.address == known}
    if not here:
        raise NotRegistered(RestartRefusal.NOT_REGISTERED.notice(address=address))
    if len(here) > 1:
        raise NotRestarted(_ambiguous(address, here))
    name = here.pop()
    if not can_be_asked_for(name):
        raise NotRestarted(RestartRefusal.PEER_NAME_UNUSABLE.notice(peer=shown(name)))
    detail = listings.peer_detail(await asterisk.action("SIPshowpeer", [("Peer", name)]))
    call_id = await chan_sip_call_id(asterisk, name)
    return Registration(
        peer=name,
        user=detail.user or name,
        call_id=_checked_call_id(call_id) if call_id else "",
        in_call=None,
    )


async def chan_sip_call_id(asterisk: Asterisk, peer: str) -> str:
    """Return the Call-ID of the REGISTER of a ``peer`` that :func:`can_be_asked_for`; empty if it is not shown.

    No version shows it without the usecallmanager patch, nor does the patch for Asterisk 22.2 to 22.4.

    Raises:
        AsteriskAway: there is no answer.
        AsteriskRefused: the account may not ask.
    """
    for function in _FUNCTIONS:
        call_id = (await asterisk.action("Getvar", [("Variable", function.format(peer))])).get("value")
        if call_id not in {"", "(null)"}:
            return call_id
    return ""


def can_be_asked_for(name: str) -> bool:
    """Return whether the name of a peer or an endpoint can be passed to a function or a command unchanged."""
    return _NAME.fullmatch(name) is not None


def first_line(config: bytes | None) -> str | None:
    """Return the name of the first line in a config; None if the config cannot be parsed."""
    if config is None:
        return None
    try:
        lines = sep_config.read(config).lines
    except Invalid:
        return None
    return next((line.name for line in lines if line.is_line), None)


def _checked_call_id(call_id: str) -> str:
    if not _CALL_ID.fullmatch(call_id):
        raise NotRestarted(RestartRefusal.CALL_ID_UNUSABLE.notice())
    return call_id


def _ambiguous(address: str, names: set[str]) -> Notice:
    return RestartRefusal.REGISTRATION_AMBIGUOUS.notice(address=address, names=shown(", ".join(sorted(names))))
