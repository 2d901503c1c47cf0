"""What an administrator is told about those who ask for other phones' files."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from cisisk.model.clock import Timestamp
from cisisk.model.codes.access import AlarmCode, AlarmResult
from cisisk.model.errors import Invalid
from cisisk.model.mac import Mac
from cisisk.model.notice import Notice

_MAX_EXAMPLES = 10
"""Phones that a message names. The audit row and the API have them all."""


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

    @property
    def notice(self) -> Notice:
        """The alarm as a message shows it."""
        match self.kind:
            case AlarmKind.ENUMERATION:
                return AlarmCode.ENUMERATION.notice(
                    host=self.host or "", devices=self.devices, seconds=self.seconds, result=self._result()
                )
            case AlarmKind.DECOY:
                return AlarmCode.DECOY.notice(host=self.host or "", asked=self.asked, result=self._result())
            case AlarmKind.ELSEWHERE:
                return AlarmCode.ELSEWHERE.notice(host=self.host or "", result=self._result())
            case AlarmKind.FLOOD:
                return AlarmCode.FLOOD.notice(result=self._result())

    def _result(self) -> Notice:
        if not self.refused:
            return (
                AlarmResult.OBSERVED_WITHOUT_FILE if self.is_observed else AlarmResult.REFUSED_WITHOUT_FILE
            ).notice()
        code = AlarmResult.OBSERVED if self.is_observed else AlarmResult.REFUSED
        return code.notice(count=len(self.refused), examples=tuple(self.refused[:_MAX_EXAMPLES]))


def shown(device: str) -> str:
    """Twelve digits as people see a MAC; the name of a decoy file as it is."""
    try:
        return str(Mac.parse(device))
    except Invalid:
        return device
