"""Alarms about requests for other phones' files."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from cisisk.model.clock import Timestamp
from cisisk.model.codes.access import AlarmCode, AlarmResult
from cisisk.model.errors import Invalid
from cisisk.model.mac import Mac
from cisisk.model.notice import Notice

_MAX_EXAMPLES = 10
"""Phones that a message names. The audit row and the API list all of them."""


class AlarmKind(StrEnum):
    """The kind of an alarm."""

    ENUMERATION = "enumeration"
    """One source requested the files of many phones."""
    DECOY = "decoy"
    """A source requested a decoy, which no phone requests."""
    ELSEWHERE = "elsewhere"
    """A source requested the file of a phone that is known at another address. The phone has moved, or the source is
    not it."""
    FLOOD = "flood"
    """More sources request other phones' files than can be tracked. Their addresses are probably forged."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Alarm:
    """One alarm.

    Attributes:
        host: the source's IP address; None for :attr:`AlarmKind.FLOOD`.
        since: when it began.
        seconds: from its first request to the last so far.
        asked: requests for files of phones that are not known at this address.
        devices: number of different phones among them; a decoy counts as one.
        refused: the phones whose files were refused, as MACs. With ``is_observed``: those that ``pin`` would have
            refused.
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
    """Return twelve digits in the usual form of a MAC, or the name of a decoy file unchanged."""
    try:
        return str(Mac.parse(device))
    except Invalid:
        return device
