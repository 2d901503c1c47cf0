"""The registration of a phone at Asterisk: the endpoint or peer that is registered from its address.

It is looked up before the phone's config changes. Afterwards the config names the next user's line, and the wrong phone
restarts (docs/phone-protocol/asterisk.md#finding-the-call-id). The address identifies the phone's registration. More
than one at an address is reported, never guessed.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeAlias

from cisisk.model import sep_config
from cisisk.model.codes.restart import RestartRefusal
from cisisk.model.errors import Invalid
from cisisk.model.notice import Notice
from cisisk.model.phone import Software
from cisisk.model.registration import Before, ListedRegistration
from cisisk.model.target import NotRestarted, Registration, Target, Unreachable
from cisisk.pbx import listings
from cisisk.pbx.connection import Asterisk, AsteriskAway, AsteriskRefused
from cisisk.pbx.listed import latest, of_contact, of_peer, under
from cisisk.pbx.listings import PjsipContact, SipPeer, address_of, is_busy
from cisisk.pbx.shared_listing import SharedListing
from cisisk.pbx.wire import NotSendable, shown

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


_ListedContact: TypeAlias = tuple[PjsipContact, ListedRegistration]
"""A contact, and what it says in the terms of all channel drivers."""


@dataclass(frozen=True, slots=True)
class _Endpoint:
    """An endpoint of PJSIP. ``in_call`` is None if it is not known."""

    name: str
    contacts: tuple[PjsipContact, ...]
    in_call: bool | None


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
        self._contacts: SharedListing[list[_ListedContact]] = SharedListing()
        self._peers: SharedListing[list[SipPeer]] = SharedListing()

    async def identify(self, target: Target) -> Target:
        """Return the target with its registration, or with the reason why that is not known."""
        if self._asterisk is None or target.software is Software.SCCP:
            return target
        try:
            async with asyncio.timeout(self._seconds):
                return await self._identified(self._asterisk, target)
        except TimeoutError:
            late = RestartRefusal.ASTERISK_SLOW.notice(seconds=self._seconds)
            return replace(target, unregistered=Unreachable(late))
        except (AsteriskAway, NotSendable) as error:
            return replace(target, unregistered=Unreachable(error.notice))
        except AsteriskRefused as error:
            return replace(target, unregistered=NotRestarted(error.notice))

    async def _identified(self, asterisk: Asterisk, target: Target) -> Target:
        address, wanted = address_of(target.address or ""), first_line(target.wanted)
        if self._channel == "pjsip":
            # Without a line, the phone's next registration is only recognised by all that are there before.
            lists_all = target.wanted is not None and wanted is None
            every = partial(self._contacts.get, partial(_every_contact, asterisk))
            found = await _pjsip(asterisk, every, address, first_line(target.served), wanted, lists_all=lists_all)
        else:
            peers = await self._peers.get(partial(_every_peer, asterisk))
            found = await _chan_sip(asterisk, peers, address, first_line(target.served), target.mac.device_name)
        listed = tuple(
            each for each in found.listed if address in each.addresses or (wanted is not None and each.is_under(wanted))
        )
        before = Before(lines=lines(target.served), new_lines=lines(target.wanted), listed=listed)
        return replace(target, registration=found.registration, unregistered=found.unregistered, before=before)


@dataclass(frozen=True, slots=True)
class _Found:
    """The registration of a phone, or why it is not known, and all that were listed."""

    registration: Registration | None
    unregistered: NotRestarted | None
    listed: Sequence[ListedRegistration]


async def _every_contact(asterisk: Asterisk) -> list[_ListedContact]:
    messages = await asterisk.listing("PJSIPShowRegistrationInboundContactStatuses")
    return [(contact, of_contact(contact)) for contact in listings.contacts(messages)]


async def _every_peer(asterisk: Asterisk) -> list[SipPeer]:
    return list(listings.peers(await asterisk.listing("SIPpeers")))


async def _pjsip(
    asterisk: Asterisk,
    every: Callable[[], Awaitable[list[_ListedContact]]],
    address: str | None,
    line: str | None,
    wanted: str | None,
    *,
    lists_all: bool,
) -> _Found:
    """Find the registration, first at the endpoints that the two configs name: two of them instead of all.

    Args:
        every: lists all contacts.
    """
    names = [name for name in dict.fromkeys((line if address else None, wanted)) if name is not None]
    named = [endpoint for name in names if (endpoint := await _endpoint(asterisk, name)) is not None]
    found = [(contact, of_contact(contact)) for each in named for contact in each.contacts]
    if lists_all or len(named) < len(names) or (address and not _here(address, [contact for contact, _ in found])):
        # An endpoint need not have the name of its line.
        found = await every()
    contacts, listed = [contact for contact, _ in found], [each for _, each in found]
    try:
        return _Found(await _choose(asterisk, address, line, contacts, named), None, listed)
    except NotRestarted as error:
        return _Found(None, error, listed)


async def _choose(
    asterisk: Asterisk,
    address: str | None,
    line: str | None,
    contacts: Sequence[PjsipContact],
    known: Sequence[_Endpoint],
) -> Registration:
    """Return the phone's registration among those from its address. Raises NotRestarted if that is not certain."""
    here = [] if address is None else _here(address, contacts)
    if address is None or not here:
        raise _not_found(address)
    mine = under(line, here) or here
    if len({contact.aor for contact in mine}) > 1:
        raise NotRestarted(_ambiguous(address, {contact.endpoint for contact in mine}))
    contact = latest(mine)
    if contact is None:
        raise NotRestarted(RestartRefusal.REGISTERED_TWICE.notice(endpoint=mine[0].endpoint, address=address))
    endpoint = next((each for each in known if each.name == contact.endpoint), None)
    endpoint = endpoint or await _endpoint(asterisk, contact.endpoint)
    if endpoint is None or contact.call_id not in {each.call_id for each in endpoint.contacts}:
        raise NotRestarted(RestartRefusal.REGISTRATION_ENDED.notice(address=address))
    return Registration(
        peer=contact.endpoint,
        user=contact.user,
        call_id=_checked_call_id(contact.call_id) if contact.call_id else "",
        in_call=endpoint.in_call,
    )


def _here(address: str, contacts: Iterable[PjsipContact]) -> list[PjsipContact]:
    """Return the live contacts from an address."""
    return [contact for contact in contacts if contact.is_live and address in contact.addresses]


async def _endpoint(asterisk: Asterisk, name: str) -> _Endpoint | None:
    """Return an endpoint, or None if there is none of this name."""
    if not can_be_asked_for(name):
        return None
    try:
        listed = await asterisk.listing("PJSIPShowEndpoint", [("Endpoint", name)])
    except AsteriskRefused as error:
        if error.said.lower().startswith("unable to retrieve endpoint"):
            return None
        raise
    states = [message.get("devicestate") for message in listed if message.get("event") == "EndpointDetail"]
    return _Endpoint(name, tuple(listings.contacts(listed)), is_busy(states[0]) if states else None)


async def _chan_sip(
    asterisk: Asterisk, every: Sequence[SipPeer], address: str | None, line: str | None, device_name: str
) -> _Found:
    listed = [of_peer(peer) for peer in every]
    here = [peer for peer in every if peer.address == address and peer.device_name in {"", device_name}]
    # The name is the phone's own; the address may be another's.
    here = [peer for peer in every if peer.device_name == device_name] or here
    try:
        registration = await _peer(asterisk, address, line, here)
    except NotRestarted as error:
        return _Found(None, error, listed)
    listed = [
        replace(each, call_id=registration.call_id) if each.line == registration.peer else each for each in listed
    ]
    return _Found(registration, None, listed)


async def _peer(asterisk: Asterisk, address: str | None, line: str | None, here: Sequence[SipPeer]) -> Registration:
    """Return the phone's registration among those from its address. Raises NotRestarted if that is not certain."""
    names = {peer.name for peer in here}
    if not names:
        raise _not_found(address)
    if line in names:
        # The phone's previous line stays registered until it expires.
        names = {line}
    if len(names) > 1:
        raise NotRestarted(_ambiguous(here[0].address, names))
    name = names.pop()
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
    return next(iter(_lines(config)), None)


def lines(config: bytes | None) -> frozenset[str]:
    """Return the names of the lines in a config; none if the config cannot be parsed."""
    return frozenset(_lines(config))


def _lines(config: bytes | None) -> list[str]:
    if config is None:
        return []
    try:
        read = sep_config.read(config).lines
    except Invalid:
        return []
    return [line.name for line in read if line.is_line and line.name]


def _checked_call_id(call_id: str) -> str:
    if not _CALL_ID.fullmatch(call_id):
        raise NotRestarted(RestartRefusal.CALL_ID_UNUSABLE.notice())
    return call_id


def _not_found(address: str | None) -> NotRestarted:
    if address is None:
        return NotRestarted(RestartRefusal.NO_ADDRESS_TO_FIND.notice())
    return NotRegistered(RestartRefusal.NOT_REGISTERED.notice(address=address))


def _ambiguous(address: str, names: set[str]) -> Notice:
    return RestartRefusal.REGISTRATION_AMBIGUOUS.notice(address=address, names=shown(", ".join(sorted(names))))
