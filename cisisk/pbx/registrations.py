"""The registrations that Asterisk reports: whether a restarted phone has registered again.

Events only say when to look (ContactStatus, PeerStatus, DeviceStatus). A listing decides. A registration counts if it
is provably later than the restart: by its Call-ID, or because a listing since the restart did not have it. Nothing is
guessed.
"""

import asyncio
import time
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Self, TypeVar

from cisisk.model.codes.asterisk import RegistrationEvidence
from cisisk.model.errors import CisiskError
from cisisk.model.listeners import Listeners
from cisisk.model.mac import Mac
from cisisk.model.notice import Notice, NoticeCode
from cisisk.model.phone import Software
from cisisk.model.target import Registration, Target
from cisisk.pbx import listings
from cisisk.pbx.calls import Calls
from cisisk.pbx.connection import Asterisk, AsteriskAway, AsteriskRefused
from cisisk.pbx.latest import remember
from cisisk.pbx.listings import PjsipContact, SccpDevice, SipPeer, address_of
from cisisk.pbx.registrar import NotRegistered, can_be_asked_for, chan_sip_call_id, first_line
from cisisk.pbx.wire import AmiMessage, shown

UNABLE_SECONDS = 60.0
"""For this time a list that Asterisk refused counts as unavailable: chan-sccp is not loaded, or the account may not
read it. Then it may have changed.
"""
MAX_CONCURRENT_QUESTIONS = 32
"""Getvar actions at the same time. Each waits for its answer."""

_NEVER = float("-inf")
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """A phone whose registration is awaited.

    Attributes:
        address: its IP address; None if it is not known.
        line: the name of the first line in the config that it fetches; None if that is not known, or proves nothing
            (see :meth:`of`).
        before: its registration before the restart; None if it had none, or it is not known.
        since: when the restart was asked for, by :func:`time.monotonic`; to be kept from look to look. It decides where
            there is no Call-ID. The default is now.
    """

    mac: Mac
    address: str | None
    software: Software
    line: str | None
    before: Registration | None
    since: float = field(default_factory=time.monotonic)

    @classmethod
    def of(cls, target: Target) -> Self:
        """Return the phone of a ``target`` that is about to restart.

        If the phone's registration is not known, a line that it had before proves nothing.
        """
        line = first_line(target.wanted)
        is_known = target.registration is not None or isinstance(target.unregistered, NotRegistered)
        if not is_known and line == first_line(target.served):
            line = None
        return cls(
            mac=target.mac,
            address=target.address,
            software=target.software,
            line=line,
            before=target.registration,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Registered:
    """A registration that is later than the restart.

    Attributes:
        peer: the name of the endpoint, the peer or the device at the call manager.
        call_id: of the REGISTER; empty if Asterisk does not show it.
        evidence: what was seen.
    """

    peer: str
    call_id: str
    address: str
    evidence: Notice


@dataclass(slots=True)
class _Snapshots:
    """Successive listings, which show the earliest time at which each registration can have begun.

    Attributes:
        at: when the last listing was asked for.
    """

    at: float = _NEVER
    _lacked: dict[Hashable, float] = field(default_factory=dict)

    def take(self, registrations: Iterable[Hashable], asked_at: float) -> None:
        """Note the registrations in a listing that was asked for at ``asked_at``."""
        self._lacked = {each: self._lacked.get(each, self.at) for each in registrations}
        self.at = asked_at

    def began_after(self, registration: Hashable, moment: float) -> bool:
        """Return whether a listing that was asked for after ``moment`` did not have the registration yet."""
        return self._lacked.get(registration, _NEVER) >= moment


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
        self._sip, self._sccp = _Snapshots(), _Snapshots()
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
        refused_at = self._refused_at.get(software is Software.SCCP, _NEVER)
        return self._asterisk is not None and time.monotonic() - refused_at > self._unable_seconds

    def subscribe(self, listener: Callable[[str], None]) -> None:
        """Call ``listener`` with the name in an event when a registration there has changed.

        The name is an address or a device name; if the event has neither, the peer or the endpoint. There may be
        thousands of calls a second, so the listener must return at once.
        """
        self._listeners.subscribe(listener)

    async def look(self, targets: Sequence[Watched]) -> dict[Mac, Registered]:
        """Return those of the phones that have registered since their restart, from one listing for all of them.

        Raises:
            AsteriskAway: there is no answer.
            AsteriskRefused: the account may not ask, or chan-sccp is not loaded.
        """
        if self._asterisk is None:
            return {}
        async with self._looking:
            return await self._look(self._asterisk, targets)

    # What has registered

    async def _look(self, asterisk: Asterisk, targets: Sequence[Watched]) -> dict[Mac, Registered]:
        found: dict[Mac, Registered] = {}
        failure: CisiskError | None = None
        look_at_sip = self._pjsip if self._channel == "pjsip" else self._chan_sip
        for is_sccp, look_at in ((True, self._chan_sccp), (False, look_at_sip)):
            wanted = [target for target in targets if (target.software is Software.SCCP) is is_sccp]
            try:
                found |= await look_at(asterisk, wanted) if wanted else {}
            except (AsteriskAway, AsteriskRefused) as error:
                failure = error
                if isinstance(error, AsteriskRefused):
                    self._refused_at[is_sccp] = time.monotonic()
        if failure is not None and not found:
            raise failure
        return found

    async def _pjsip(self, asterisk: Asterisk, targets: Sequence[Watched]) -> dict[Mac, Registered]:
        asked_at = time.monotonic()
        every = list(listings.contacts(await asterisk.listing("PJSIPShowRegistrationInboundContactStatuses")))
        self._sip.take(map(_of_contact, every), asked_at)
        here = _by_address((address, each) for each in every if each.is_live for address in each.addresses)
        found = {}
        for target, contacts in _each_at(targets, here):
            contact = self._new_contact(target, contacts)
            if contact is not None:
                found[target.mac] = _seen(target, _ENDPOINT, contact.endpoint, contact.call_id)
        return found

    def _new_contact(self, target: Watched, contacts: list[PjsipContact]) -> PjsipContact | None:
        """Return the phone's registration among those from its address, if it is later than the restart."""
        before = target.before
        others = [each for each in contacts if before is None or not _is_same_call_id(each.call_id, before.call_id)]
        # With another line the phone registers under another name. Under the old one it has not taken its config.
        stays = before is not None and target.line in {None, before.peer}
        if len(others) == len(contacts):
            # The phone itself has ended the old registration.
            for endpoint in dict.fromkeys((target.line, before.peer if before is not None and stays else None)):
                named = [contact for contact in others if contact.endpoint == endpoint]
                if len(named) == 1 and _is_another(named[0], before):
                    return named[0]
        new = [contact for contact in others if self._sip.began_after(_of_contact(contact), target.since)]
        mine = [contact for contact in new if contact.endpoint == target.line]
        if not mine and len(contacts) == 1:
            # An endpoint need not have the name of its line. Beside others at the address it may be another phone's.
            mine = [contact for contact in new if before is None or stays or contact.endpoint != before.peer]
        return mine[0] if len(mine) == 1 else None

    async def _chan_sip(self, asterisk: Asterisk, targets: Sequence[Watched]) -> dict[Mac, Registered]:
        asked_at = time.monotonic()
        every = list(listings.peers(await asterisk.listing("SIPpeers")))
        self._sip.take(map(_of_peer, every), asked_at)
        here = _by_address((peer.address, peer) for peer in every if peer.is_live)
        gate = asyncio.Semaphore(MAX_CONCURRENT_QUESTIONS)
        found: dict[Mac, Registered] = {}

        async def judge(target: Watched, peers: list[SipPeer]) -> None:
            async with gate:
                registered = await self._new_peer(asterisk, target, peers)
            if registered is not None:
                found[target.mac] = registered

        try:
            async with asyncio.TaskGroup() as judging:
                for target, peers in _each_at(targets, here):
                    judging.create_task(judge(target, peers))
        except BaseExceptionGroup as failures:
            raise failures.exceptions[0] from None
        return found

    async def _new_peer(self, asterisk: Asterisk, target: Watched, peers: list[SipPeer]) -> Registered | None:
        """Return the phone's registration among those from its address, if it is later than the restart.

        Two peers there are one phone with two lines, or two phones. Then the line decides.
        """
        named = [peer for peer in peers if peer.name == target.line] or (peers if len(peers) == 1 else [])
        if not named:
            return None
        peer, before = named[0], target.before
        is_old_peer = before is not None and peer.name == before.peer
        call_id = ""
        if (before is None or before.call_id) and can_be_asked_for(peer.name):
            call_id = await chan_sip_call_id(asterisk, peer.name)
        if before is not None and _is_same_call_id(call_id, before.call_id):
            # Under any name: a phone that starts takes another Call-ID.
            is_new = False
        elif is_old_peer and before is not None and before.call_id and call_id:
            is_new = True
        else:
            is_new = (
                self._registered_at.get(f"SIP/{peer.name}", _NEVER) >= target.since
                or self._sip.began_after(_of_peer(peer), target.since)
                # The phone was the only one there. Its old peer has gone, and this is another one.
                or (before is not None and all(each.name != before.peer for each in peers))
                or (before is None and peer.name == target.line)
            )
        return _seen(target, _PEER, peer.name, call_id) if is_new else None

    async def _chan_sccp(self, asterisk: Asterisk, targets: Sequence[Watched]) -> dict[Mac, Registered]:
        asked_at = time.monotonic()
        every = list(listings.devices(await asterisk.listing("SCCPListDevices")))
        for each in every:
            self._calls.saw(each.name, is_busy=each.in_call)
        there = {each.name: each for each in every if each.is_registered}
        self._sccp.take(((each.name, each.since) for each in there.values()), asked_at)
        found = {}
        for target in targets:
            device = there.get(target.mac.device_name)
            if device is not None and self._is_new_device(device, target.since):
                found[target.mac] = Registered(
                    peer=device.name,
                    call_id="",
                    address=device.address or target.address or "",
                    evidence=RegistrationEvidence.SCCP_DEVICE.notice(name=device.name),
                )
        return found

    def _is_new_device(self, device: SccpDevice, since: float) -> bool:
        registered_at = self._registered_at.get(device.name, _NEVER)
        return registered_at >= since or self._sccp.began_after((device.name, device.since), since)

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


def _by_address(pairs: Iterable[tuple[str, _T]]) -> dict[str, list[_T]]:
    here: dict[str, list[_T]] = {}
    for address, each in pairs:
        here.setdefault(address, []).append(each)
    return here


def _each_at(targets: Sequence[Watched], here: dict[str, list[_T]]) -> Iterator[tuple[Watched, list[_T]]]:
    """Return the phones from whose address something is registered, and the registrations."""
    for target in targets:
        address = address_of(target.address or "")
        if address in here:
            yield target, here[address]


def _of_contact(contact: PjsipContact) -> Hashable:
    """Return what identifies a registration as long as it lasts, also while the phone does not answer."""
    return contact.endpoint, contact.addresses, contact.call_id


def _of_peer(peer: SipPeer) -> Hashable:
    return peer.name, peer.address, peer.port


def _is_same_call_id(one: str, other: str) -> bool:
    return bool(one) and one == other


def _is_another(contact: PjsipContact, before: Registration | None) -> bool:
    """Return whether a contact cannot be the registration of ``before``, whose Call-ID is not there any more."""
    return before is None or contact.endpoint != before.peer or bool(contact.call_id and before.call_id)


_ENDPOINT = RegistrationEvidence.ENDPOINT, RegistrationEvidence.ENDPOINT_WITH_NEW_CALL_ID
_PEER = RegistrationEvidence.PEER, RegistrationEvidence.PEER_WITH_NEW_CALL_ID


def _seen(target: Watched, codes: tuple[NoticeCode, NoticeCode], name: str, call_id: str) -> Registered:
    """Return a new registration. The second of the ``codes`` is for one with another Call-ID than before."""
    is_new_id = bool(call_id) and target.before is not None and target.before.call_id not in {"", call_id}
    return Registered(
        peer=shown(name),
        call_id=shown(call_id),
        address=target.address or "",
        evidence=codes[is_new_id].notice(name=shown(name), address=target.address or ""),
    )
