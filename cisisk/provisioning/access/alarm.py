"""What an administrator is told about those who ask for other phones' files."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from cisisk.model.clock import Timestamp
from cisisk.model.errors import Invalid
from cisisk.model.mac import Mac

_NAMED_IN_A_LINE = 10
"""Phones that a log line names; the audit row and the API have them all."""


class AlarmKind(StrEnum):
    """What has happened."""

    ENUMERATION = "enumeration"
    """One source asked for the files of many phones."""
    DECOY = "decoy"
    """A source asked for what no phone asks for."""
    ELSEWHERE = "elsewhere"
    """A source asked for the file of a phone that is known at another address: it has moved, or is none."""
    FLOOD = "flood"
    """More sources than can be told apart ask for other phones' files: their addresses are forged, most likely."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Alarm:
    """One alarm.

    Attributes:
        host: the source's IP address; None for :attr:`AlarmKind.FLOOD`.
        since: when it began.
        seconds: from the first of its requests to the last so far.
        asked: requests for files of phones that are not known at this address.
        devices: different phones among them; a decoy counts as one.
        refused: those whose files the source was refused, as MACs; with ``is_observed`` those that it was served,
            and that ``pin`` would have refused.
        is_observed: nothing was refused, because the mode is ``observe``.
    """

    kind: AlarmKind
    host: str | None
    since: Timestamp
    seconds: int
    asked: int
    devices: int
    refused: Sequence[str]
    is_observed: bool

    def __str__(self) -> str:
        return f"{self._what()}. {self._refusals()}"

    def _what(self) -> str:
        match self.kind:
            case AlarmKind.ENUMERATION:
                return f"{self.host} asked for the files of {self.devices:,} other phones within {self.seconds} s"
            case AlarmKind.DECOY:
                return f"{self.host} asked for a decoy, which no phone does, among {self.asked:,} such requests"
            case AlarmKind.ELSEWHERE:
                return f"{self.host} asked for the file of a phone that is known at another address"
            case AlarmKind.FLOOD:
                return "More sources than can be told apart ask for other phones' files: forged addresses, most likely"

    def _refusals(self) -> str:
        named = ", ".join(self.refused[:_NAMED_IN_A_LINE])
        more = f" and {len(self.refused) - _NAMED_IN_A_LINE:,} more" if len(self.refused) > _NAMED_IN_A_LINE else ""
        if not self.refused:
            return "There was no file to refuse" if self.is_observed else "It was refused what it asked for"
        if self.is_observed:
            return f'Nothing was refused; with provisioning.access = "pin" these would have been: {named}{more}'
        return f"Refused: {named}{more}"


def shown(device: str) -> str:
    """Twelve digits as people see a MAC; the name of a decoy file as it is."""
    try:
        return str(Mac.parse(device))
    except Invalid:
        return device
