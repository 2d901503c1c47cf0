"""The registrations that Asterisk reports: whether a restarted phone has registered again.

Events say when to look (ContactStatus, PeerStatus, DeviceStatus). PJSIP sends none when a contact is refreshed, so the
registrations are also listed from time to time. :mod:`cisisk.model.evidence` judges the listings.
"""

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from cisisk.model.codes.asterisk import AsteriskProblem, RegistrationDoubt, RegistrationEvidence
from cisisk.model.errors import CisiskError
from cisisk.model.evidence import NEVER, ListingHistory, Proof, RegistrationIndex, SeenRegistration, Watched, judge
from cisisk.model.listeners import Listeners
from cisisk.model.mac import Mac
from cisisk.model.notice import Notice
from cisisk.model.phone import Software
from cisisk.pbx import listings
from cisisk.pbx.calls import Calls
from cisisk.pbx.connection import Asterisk, AsteriskAway, AsteriskRefused
from cisisk.pbx.latest import remember
from cisisk.pbx.listed import of_contact, of_device, of_peer
from cisisk.pbx.listings import address_of
from cisisk.pbx.registrar import can_be_asked_for, chan_sip_call_id
from cisisk.pbx.wire import AmiMessage, shown

UNABLE_SECONDS = 60.0
"""For this time a list that Asterisk refused counts as unavailable: chan-sccp is not loaded, or the account may not
read it. Then it may have changed.
"""
MAX_CONCURRENT_QUESTIONS = 32
"""Getvar actions at the same time. Each waits for its answer."""

_CODES = {
    "pjsip": {
        Proof.NEW: RegistrationEvidence.ENDPOINT,
        Proof.NEW_CALL_ID: RegistrationEvidence.ENDPOINT_WITH_NEW_CALL_ID,
        Proof.LATER: RegistrationEvidence.ENDPOINT_AGAIN,
        Proof.REPORTED: RegistrationEvidence.ENDPOINT_AGAIN,
    },
    "sip": {
        Proof.NEW: RegistrationEvidence.PEER,
        Proof.NEW_CALL_ID: RegistrationEvidence.PEER_WITH_NEW_CALL_ID,
        Proof.LATER: RegistrationEvidence.PEER_AGAIN,
        Proof.REPORTED: RegistrationEvidence.PEER_AGAIN,
    },
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Registered:
    """A registration that is later than the fetch.

    Attributes:
        peer: the name of the endpoint, the peer or the device at the call manager.
        call_id: of the REGISTER; empty if Asterisk does not show it.
        evidence: what was seen.
    """

    peer: str
    call_id: str
    address: str
    evidence: Notice


class Registrations:
    """Watches phones register.

    Args:
        asterisk: None without an Asterisk; not running yet.
        channel: as in the settings.
        calls: learns of the calls that a listing shows.
    """

    def __init__(
        self, asterisk: Asterisk | None, channel: str, calls: Calls, unable_seconds: float = UNABLE_SECONDS
    ) -> None:
        self._asterisk = asterisk
        self._unable_seconds = unable_seconds
        self._channel = channel
        self._calls = calls
        self._listeners: Listeners[str] = Listeners()
        self._looking = asyncio.Lock()
        self._sip, self._sccp = ListingHistory(), ListingHistory()
        self._refused_at: dict[bool, float] = {}
        self._registered_at: dict[str, float] = {}
        if asterisk is not None:
            asterisk.subscribe("ContactStatus", self._contact_status)
            asterisk.subscribe("PeerStatus", self._peer_status)
            asterisk.subscribe("DeviceStatus", self._device_status)

    def observes(self, software: Software) -> bool:
        """Return whether Cisisk can observe registrations of phones with this ``software``.

        Not without an Asterisk, and not for a while after it refused to list such phones.
        """
        refused_at = self._refused_at.get(software is Software.SCCP, NEVER)
        return self._asterisk is not None and time.monotonic() - refused_at > self._unable_seconds

    def subscribe(self, listener: Callable[[str], None]) -> None:
        """Call ``listener`` with the name in an event when a registration there has changed.

        The name is an address or a device name; if the event has neither, the peer or the endpoint. There may be
        thousands of calls a second, so the listener must return at once.
        """
        self._listeners.subscribe(listener)

    async def look(self, phones: Sequence[Watched]) -> dict[Mac, Registered | RegistrationDoubt]:
        """Judge the registrations of phones, from one listing for all phones of a channel driver.

        Phones are left out whose list could not be had.

        Raises:
            AsteriskAway: there is no answer for any of them.
            AsteriskRefused: the account may not ask, or chan-sccp is not loaded.
        """
        if self._asterisk is None:
            return {}
        async with self._looking:
            normal = [replace(phone, address=address_of(phone.address or "")) for phone in phones]
            return await self._look(self._asterisk, normal)

    # What has registered

    async def _look(self, asterisk: Asterisk, phones: Sequence[Watched]) -> dict[Mac, Registered | RegistrationDoubt]:
        found: dict[Mac, Registered | RegistrationDoubt] = {}
        failure: CisiskError | None = None
        look_at_sip = self._pjsip if self._channel == "pjsip" else self._chan_sip
        for is_sccp, look_at in ((True, self._chan_sccp), (False, look_at_sip)):
            wanted = [phone for phone in phones if (phone.software is Software.SCCP) is is_sccp]
            try:
                found |= await look_at(asterisk, wanted) if wanted else {}
            except (AsteriskAway, AsteriskRefused) as error:
                failure = error
                if isinstance(error, AsteriskRefused) and _is_lasting(error):
                    self._refused_at[is_sccp] = time.monotonic()
        if failure is not None and not found:
            raise failure
        return found

    async def _pjsip(self, asterisk: Asterisk, phones: Sequence[Watched]) -> dict[Mac, Registered | RegistrationDoubt]:
        asked_at = time.monotonic()
        contacts = listings.contacts(await asterisk.listing("PJSIPShowRegistrationInboundContactStatuses"))
        sightings = self._sip.take(map(of_contact, contacts), asked_at, time.monotonic())
        index = RegistrationIndex.of(sightings)
        connected_at = asterisk.readiness.logged_in_at
        return {phone.mac: _judged(phone, index, {}, _CODES["pjsip"], connected_at) for phone in phones}

    async def _chan_sip(
        self, asterisk: Asterisk, phones: Sequence[Watched]
    ) -> dict[Mac, Registered | RegistrationDoubt]:
        asked_at = time.monotonic()
        messages = await asterisk.listing("SIPpeers")
        answered_at = time.monotonic()
        peers = [of_peer(peer, asked_at, answered_at) for peer in listings.peers(messages)]
        index = RegistrationIndex.of(
            SeenRegistration(listed=peer, not_before=NEVER, not_after=answered_at) for peer in peers
        )
        asked = {each.listed.line for phone in phones if _needs_call_id(phone) for each in index.of_phone(phone)}
        call_ids = await self._call_ids(asterisk, asked)
        peers = [replace(peer, call_id=call_ids.get(peer.line, "")) for peer in peers]
        index = RegistrationIndex.of(self._sip.take(peers, asked_at, time.monotonic()))
        reported = {peer.line: self._registered_at.get(f"SIP/{peer.line}", NEVER) for peer in peers}
        connected_at = asterisk.readiness.logged_in_at
        return {phone.mac: _judged(phone, index, reported, _CODES["sip"], connected_at) for phone in phones}

    async def _call_ids(self, asterisk: Asterisk, peers: Iterable[str]) -> dict[str, str]:
        """Return the Call-IDs of these peers, as far as they can be asked for."""
        gate = asyncio.Semaphore(MAX_CONCURRENT_QUESTIONS)
        call_ids: dict[str, str] = {}

        async def ask(peer: str) -> None:
            async with gate:
                call_ids[peer] = await chan_sip_call_id(asterisk, peer)

        try:
            async with asyncio.TaskGroup() as asking:
                for peer in filter(can_be_asked_for, peers):
                    asking.create_task(ask(peer))
        except BaseExceptionGroup as failures:
            raise failures.exceptions[0] from None
        return call_ids

    async def _chan_sccp(
        self, asterisk: Asterisk, phones: Sequence[Watched]
    ) -> dict[Mac, Registered | RegistrationDoubt]:
        asked_at = time.monotonic()
        devices = list(listings.devices(await asterisk.listing("SCCPListDevices")))
        for each in devices:
            self._calls.saw(each.name, is_busy=each.in_call)
        registered = (of_device(each) for each in devices if each.is_registered)
        index = RegistrationIndex.of(self._sccp.take(registered, asked_at, time.monotonic()))
        codes = dict.fromkeys(Proof, RegistrationEvidence.SCCP_DEVICE)
        connected_at = asterisk.readiness.logged_in_at
        return {phone.mac: _judged(phone, index, self._registered_at, codes, connected_at) for phone in phones}

    # Events (Asterisk main/stasis_endpoints.c, channels/chan_sip.c; chan-sccp sccp_management.c)

    def _contact_status(self, event: AmiMessage) -> None:
        """PJSIP: a contact came, went or was seen again. Its text has neither Call-ID nor Via."""
        self._tell(listings.host_of(event.get("uri")) or event.get("endpointname") or event.get("aor"))

    def _peer_status(self, event: AmiMessage) -> None:
        """chan_sip sends Registered at each REGISTER, PJSIP Reachable or Unreachable, chan-sccp ATTACHED for a line."""
        peer = event.get("peer")
        if event.get("peerstatus").lower() == "registered":
            remember(self._registered_at, peer, time.monotonic())
        address = address_of(event.get("address"))
        self._tell(event.get("sccpdevice").upper() or address or peer.partition("/")[2])

    def _device_status(self, event: AmiMessage) -> None:
        """chan-sccp: PREREGISTERED, REGISTERED or UNREGISTERED."""
        name = event.get("sccpdevice").upper()
        if event.get("devicestatus").lower() == "registered":
            remember(self._registered_at, name, time.monotonic())
        self._tell(name)

    def _tell(self, name: str) -> None:
        if text := shown(name):
            self._listeners.notify(text)


def _is_lasting(error: AsteriskRefused) -> bool:
    """Return whether a list will be refused again. An Asterisk that stops, for example, gives other reasons."""
    return error.is_unknown_action or error.notice.code == AsteriskProblem.PERMISSION_DENIED


def _needs_call_id(phone: Watched) -> bool:
    """Return whether a Call-ID would tell anything: there is one to compare with, or there was no registration."""
    before = phone.before
    return before is None or not before.listed or any(each.call_id for each in before.listed)


def _judged(
    phone: Watched,
    index: RegistrationIndex,
    reported: Mapping[str, float],
    codes: Mapping[Proof, RegistrationEvidence],
    connected_at: float,
) -> Registered | RegistrationDoubt:
    judged = judge(phone, index, reported, connected_at)
    if isinstance(judged, RegistrationDoubt):
        return judged
    listed, code = judged.listed, codes[judged.proof]
    address = phone.address if phone.address in listed.addresses else min(listed.addresses, default=phone.address)
    parameters = {"name": shown(listed.endpoint), "address": address or ""}
    return Registered(
        peer=shown(listed.endpoint),
        call_id=shown(listed.call_id),
        address=address or "",
        evidence=code.notice(**{name: parameters[name] for name in code.parameters}),
    )
