"""The lists of phones that Asterisk sends, parsed into plain values.

Source: docs/phone-protocol/asterisk.md#finding-the-call-id, docs/phone-protocol/asterisk.md#sccp-device-restart

Pure. All values may be hostile: a phone chooses its own contact.
"""

import ipaddress
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache

from cisisk.pbx.wire import AmiMessage

_GONE = {"unavailable", "unreachable", "removed"}
"""Status words (up to the first blank) of contacts and peers that no longer answer."""
_IDLE = {"not in use", "not_inuse", "unavailable", "invalid", "unknown", ""}
"""Device states without a call, as EndpointDetail and DeviceStateChange spell them (main/devicestate.c)."""
_CONTACT = re.compile(r"sips?:(?:([^@;>]*)@)?(\[[^\]]*\]|[^:;>]*)(?::([0-9]{1,5}))?", re.IGNORECASE | re.ASCII)
"""The user, the host and the port of a contact's URI."""
_DEVICE_NAME = re.compile(r"(?:SEP|ATA)[0-9A-F]{12}", re.ASCII)
_NUMBER = re.compile(r"[0-9]{1,18}", re.ASCII)
_LONGEST_ADDRESS = 60
"""Characters of an IPv6 address with brackets, zone and port."""
_CACHED_ADDRESSES = 8192
"""Each listing names the addresses of the same phones."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PjsipContact:
    """A contact: the registration of one phone at an endpoint (ContactStatusDetail).

    Attributes:
        aor: the address of record; by default the phone's line. An endpoint may have several.
        addresses: the host of its URI, and that of the REGISTER's last Via. Behind a NAT they differ.
        port: of the URI; None if the phone names none.
        call_id: of the *first* REGISTER of this contact. A phone that lost its power registers the same contact with
            another one, which Asterisk does not show. Empty if Asterisk shows none.
        expires_at: when it ends, by Asterisk's clock in seconds since 1970. It moves on at each REGISTER. None if
            Asterisk does not show it.
        is_live: whether it answers, or is not qualified.
    """

    endpoint: str
    aor: str = ""
    user: str
    addresses: frozenset[str]
    port: int | None = None
    call_id: str
    expires_at: int | None = None
    is_live: bool


class PeerListStyle(Enum):
    """How a chan_sip lists its peers, by the event of the list."""

    STOCK = "PeerEntry"
    """chan_sip of Asterisk, the usecallmanager patch up to Asterisk 20, and that for 22.2 and 22.3."""
    USECALLMANAGER = "SIPPeer"
    """The usecallmanager patch from Asterisk 22.4 on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SipPeer:
    """A registered peer of chan_sip (PeerEntry, SIPPeer).

    Attributes:
        port: empty if the list does not show it. The SIPPeer of 22.8.1 has the address in its place.
        device_name: SEP or ATA, and the MAC of the phone. Empty if the list does not show it.
        expires_in: seconds until the registration ends. They grow at each REGISTER. None if the list does not show it.
        is_live: whether it answers, or is not qualified.
    """

    name: str
    address: str
    port: str
    device_name: str = ""
    expires_in: int | None = None
    style: PeerListStyle = PeerListStyle.STOCK
    is_live: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class SipPeerDetail:
    """What SIPshowpeer shows of a registered peer, under the names of either version.

    Attributes:
        user: of the contact's URI; empty if there is none.
        address: None if the peer is not registered.
        device_name: as :attr:`SipPeer.device_name`.
        expires_in: as :attr:`SipPeer.expires_in`.
    """

    user: str
    address: str | None
    port: str
    device_name: str
    expires_in: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SccpDevice:
    """A phone of chan-sccp (DeviceEntry, src/sccp_management.c).

    Attributes:
        address: None if it is not connected.
        since: when it registered, in the form of Asterisk's clock and language. Only a difference means something.
        in_call: whether it has an active channel.
    """

    name: str
    address: str | None
    is_registered: bool
    since: str
    in_call: bool


_STYLES = {style.value: style for style in PeerListStyle}


def contacts(messages: Iterable[AmiMessage]) -> Iterator[PjsipContact]:
    """Return the contacts in a list."""
    for message in messages:
        if message.get("event") == "ContactStatusDetail":
            uri = message.get("uri")
            hosts = (host_of(uri), address_of(message.get("viaaddress")))
            yield PjsipContact(
                endpoint=message.get("endpointname") or message.get("aor"),
                aor=message.get("aor"),
                user=user_of(uri),
                addresses=frozenset(host for host in hosts if host is not None),
                port=_port_of(uri),
                call_id=message.get("callid"),
                expires_at=_seconds(message.get("regexpire")),
                is_live=_is_live(message),
            )


def peers(messages: Iterable[AmiMessage]) -> Iterator[SipPeer]:
    """Return the peers in a list that have an address."""
    for message in messages:
        style = _STYLES.get(message.get("event"))
        if style is None:
            continue
        address = address_of(message.get("address") or message.get("ipaddress"))
        if address is not None:
            yield SipPeer(
                name=message.get("name") or message.get("objectname"),
                address=address,
                port=_digits(message.get("addressport") or message.get("ipport")),
                device_name=_device_name(message.get("devicename")),
                expires_in=_seconds(message.get("registerexpires")),
                style=style,
                is_live=_is_live(message),
            )


def peer_detail(reply: AmiMessage) -> SipPeerDetail:
    """Return what SIPshowpeer has answered."""
    return SipPeerDetail(
        user=user_of(reply.get("registercontact") or reply.get("reg-contact")),
        address=address_of(reply.get("ipaddress") or reply.get("address-ip")),
        port=_digits(reply.get("port") or reply.get("address-port")),
        device_name=_device_name(reply.get("devicename") or reply.get("ciscodevicename")),
        expires_in=_seconds(reply.get("registerexpires") or reply.get("regexpire")),
    )


def devices(messages: Iterable[AmiMessage]) -> Iterator[SccpDevice]:
    """Return the phones in a list of chan-sccp."""
    for message in messages:
        if message.get("event") == "DeviceEntry":
            yield SccpDevice(
                name=message.get("objectid").upper(),
                address=address_of(message.get("ipaddress")),
                is_registered=message.get("reg_status").lower() == "ok",
                since=message.get("reg_time"),
                in_call=message.get("active").lower() == "yes",
            )


def _seconds(text: str) -> int | None:
    """Return the number in ``1796068330`` or ``3608 seconds``; None if there is none, or if it has ended (-1)."""
    number = text.partition(" ")[0]
    return int(number) if _NUMBER.fullmatch(number) else None


def _digits(text: str) -> str:
    return text if _NUMBER.fullmatch(text) else ""


def _port_of(uri: str) -> int | None:
    match = _CONTACT.search(uri)
    return int(match[3]) if match and match[3] and int(match[3]) < 1 << 16 else None


def _device_name(text: str) -> str:
    """Return the name of a phone in upper case; empty if it is none."""
    name = text.upper()
    return name if _DEVICE_NAME.fullmatch(name) else ""


def _is_live(listed: AmiMessage) -> bool:
    return listed.get("status").partition(" ")[0].lower() not in _GONE


def is_busy(state: str) -> bool:
    """Return whether a device in this state has a call, or is being called."""
    return state.lower() not in _IDLE


def user_of(uri: str) -> str:
    """Return the user of a contact's URI; empty if there is none."""
    match = _CONTACT.search(uri)
    return (match[1] or "") if match else ""


def host_of(uri: str) -> str | None:
    """Return the address in a contact's URI; None if there is no numeric one."""
    match = _CONTACT.search(uri)
    return address_of(match[2]) if match else None


@lru_cache(_CACHED_ADDRESSES)
def address_of(text: str) -> str | None:
    """Return the address in ``192.0.2.7``, ``192.0.2.7:5060`` or ``[2001:db8::7]:5060`` in its normal form, or None."""
    if len(text) > _LONGEST_ADDRESS:
        return None
    for candidate in (text, text.rpartition(":")[0]):
        try:
            address = ipaddress.ip_address(candidate.strip("[]"))
        except ValueError:
            continue
        mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
        return str(mapped or address)
    return None
