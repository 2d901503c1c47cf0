"""The lists of the channel drivers in one form, and the choice of a phone's own registration among several."""

from collections.abc import Iterable, Sequence

from cisisk.model.registration import ListedRegistration
from cisisk.pbx.listings import PjsipContact, SccpDevice, SipPeer

EXPIRY_ERROR = 1.0
"""Seconds. chan_sip lists how many whole seconds are left."""


def of_contact(contact: PjsipContact) -> ListedRegistration:
    """Return a contact of PJSIP. Its Call-ID is that of its first REGISTER, and its expiry that of the last one."""
    return ListedRegistration(
        line=contact.aor or contact.endpoint,
        endpoint=contact.endpoint,
        addresses=contact.addresses,
        contact=f"{contact.user} {' '.join(sorted(contact.addresses))} {contact.port or ''}",
        call_id=contact.call_id,
        expires=contact.expires_at,
        is_live=contact.is_live,
    )


def of_peer(peer: SipPeer, asked_at: float = 0.0, answered_at: float = 0.0) -> ListedRegistration:
    """Return a peer of chan_sip. Its Call-ID, which is that of the last REGISTER, is not in the list.

    Args:
        asked_at, answered_at: when the list was asked for, and when it had come, in seconds of one clock.
    """
    return ListedRegistration(
        line=peer.name,
        endpoint=peer.name,
        addresses=frozenset({peer.address}),
        contact=f"{peer.address} {peer.port}",
        is_latest_call_id=True,
        expires=None if peer.expires_in is None else asked_at + peer.expires_in,
        expires_within=answered_at - asked_at + EXPIRY_ERROR,
        device=peer.device_name,
        is_live=peer.is_live,
    )


def of_device(device: SccpDevice) -> ListedRegistration:
    """Return a device of chan-sccp, which names no line."""
    return ListedRegistration(
        line="",
        endpoint=device.name,
        addresses=frozenset({device.address} if device.address else ()),
        registered=device.since,
        device=device.name,
    )


def latest(contacts: Sequence[PjsipContact]) -> PjsipContact | None:
    """Return the contact of a phone among those of one AOR from its address; None if they may be of several phones.

    A phone that lost power leaves a contact behind. Of contacts from the same addresses, the phone refreshes the one
    that expires last.
    """
    if len(contacts) == 1:
        return contacts[0]
    by_expiry = sorted(contacts, key=lambda each: each.expires_at or 0, reverse=True)
    is_one_phone = len({each.addresses for each in contacts}) == 1
    return by_expiry[0] if is_one_phone and by_expiry[0].expires_at != by_expiry[1].expires_at else None


def under(line: str | None, contacts: Iterable[PjsipContact]) -> list[PjsipContact]:
    """Return the contacts of a line."""
    return [each for each in contacts if line is not None and of_contact(each).is_under(line)]
