"""The lists of phones that Asterisk sends, parsed into plain values.

Source: docs/phone-protocol/asterisk.md#finding-the-call-id, docs/phone-protocol/asterisk.md#sccp-device-restart

Pure. All values may be hostile: a phone chooses its own contact.
"""

import ipaddress
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from cisisk.pbx.wire import AmiMessage

_GONE = {"unavailable", "unreachable", "removed"}
"""Status words (up to the first blank) of contacts and peers that no longer answer."""
_IDLE = {"not in use", "not_inuse", "unavailable", "invalid", "unknown", ""}
"""Device states without a call, as EndpointDetail and DeviceStateChange spell them (main/devicestate.c)."""
_CONTACT = re.compile(r"sips?:(?:([^@;>]*)@)?(\[[^\]]*\]|[^:;>]*)", re.IGNORECASE)
"""The user and the host of a contact's URI."""
_LONGEST_ADDRESS = 60
"""Characters of an IPv6 address with brackets, zone and port."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PjsipContact:
    """A contact: the registration of one phone at an endpoint (ContactStatusDetail).

    Attributes:
        addresses: the host of its URI, and that of the REGISTER's last Via. Behind a NAT they differ.
        call_id: of the REGISTER; empty if Asterisk does not show it.
        is_live: whether it answers, or is not qualified.
    """

    endpoint: str
    user: str
    addresses: frozenset[str]
    call_id: str
    is_live: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class SipPeer:
    """A registered peer of chan_sip (PeerEntry).

    Attributes:
        is_live: whether it answers, or is not qualified.
    """

    name: str
    address: str
    port: str
    is_live: bool


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


def contacts(messages: Iterable[AmiMessage]) -> Iterator[PjsipContact]:
    """Return the contacts in a list."""
    for message in messages:
        if message.get("event") == "ContactStatusDetail":
            hosts = (host_of(message.get("uri")), address_of(message.get("viaaddress")))
            yield PjsipContact(
                endpoint=message.get("endpointname") or message.get("aor"),
                user=user_of(message.get("uri")),
                addresses=frozenset(host for host in hosts if host is not None),
                call_id=message.get("callid"),
                is_live=_is_live(message),
            )


def peers(messages: Iterable[AmiMessage]) -> Iterator[SipPeer]:
    """Return the peers in a list that have an address."""
    for message in messages:
        address = address_of(message.get("ipaddress"))
        if address is not None:
            yield SipPeer(
                name=message.get("objectname"),
                address=address,
                port=message.get("ipport"),
                is_live=_is_live(message),
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
