"""Registrations as a call manager lists them, and those that were known before a phone was restarted."""

import json
from dataclasses import dataclass
from typing import Any, Self


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedRegistration:
    """One registration in a listing.

    Attributes:
        line: the name under which the phone registered: the AOR in PJSIP, the peer in chan_sip. Empty where only the
            device is named (chan-sccp).
        endpoint: the name of the endpoint, peer or device at the call manager.
        addresses: the host of the contact, and that of the REGISTER's last Via. Behind a NAT they differ.
        contact: distinguishes registrations of one line; for example the URI.
        call_id: of a REGISTER; empty if it is not shown.
        is_latest_call_id: whether ``call_id`` is that of the latest REGISTER (chan_sip). PJSIP keeps that of the first
            REGISTER of a contact, also after the phone has restarted.
        expires: when it expires, in seconds of the call manager's clock; None if it is not shown.
        expires_within: the error of ``expires``, in seconds.
        registered: when it registered, in any form. Only a difference means something.
        device: the name of the device, such as ``SEP001122334455``; empty if it is not shown.
        is_live: whether it answers, or is not asked.
    """

    line: str
    endpoint: str
    addresses: frozenset[str] = frozenset()
    contact: str = ""
    call_id: str = ""
    is_latest_call_id: bool = False
    expires: float | None = None
    expires_within: float = 0.0
    registered: str = ""
    device: str = ""
    is_live: bool = True

    def is_under(self, line: str) -> bool:
        """Whether it is the registration of this line. An AOR may carry the domain: ``201@pbx.example``."""
        return self.line == line or self.line.partition("@")[0] == line


@dataclass(frozen=True, slots=True, kw_only=True)
class Before:
    """What was known of a phone's registrations before it was restarted.

    Attributes:
        lines: the lines in the config that it was served.
        new_lines: the lines in its new config.
        listed: what was registered from its address or under the first line of its new config.
    """

    lines: frozenset[str] = frozenset()
    new_lines: frozenset[str] = frozenset()
    listed: tuple[ListedRegistration, ...] = ()

    def has_line(self, line: str) -> bool:
        """Whether the phone may have registered this line before."""
        return line in self.lines or any(each.is_under(line) for each in self.listed)

    def has_call_id(self, call_id: str) -> bool:
        """Whether a registration had this Call-ID."""
        return any(each.call_id == call_id for each in self.listed)

    def to_json(self) -> str:
        """The stored form."""
        listed = [_plain(each) for each in self.listed]
        return json.dumps({"lines": sorted(self.lines), "new_lines": sorted(self.new_lines), "listed": listed})

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Return what :meth:`to_json` stored."""
        stored = json.loads(text)
        return cls(
            lines=frozenset(stored["lines"]),
            new_lines=frozenset(stored["new_lines"]),
            listed=tuple(map(_listed, stored["listed"])),
        )


def _plain(listed: ListedRegistration) -> dict[str, Any]:
    """Return what identifies a registration. The rest changes, or means nothing later."""
    return {
        "line": listed.line,
        "endpoint": listed.endpoint,
        "contact": listed.contact,
        "call_id": listed.call_id,
        "addresses": sorted(listed.addresses),
    }


def _listed(plain: dict[str, Any]) -> ListedRegistration:
    return ListedRegistration(**{**plain, "addresses": frozenset(plain["addresses"])})
