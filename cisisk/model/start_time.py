"""When a switch begins."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Self

from cisisk.model.clock import Timestamp


class StartKind(StrEnum):
    """What a switch waits for before it begins."""

    NOW = "now"
    IDLE = "idle"
    """The phone is in no call."""
    AT = "at"
    """A time."""


@dataclass(frozen=True, slots=True)
class StartTime:
    """When a switch begins. ``str()`` gives the form of the API: ``now``, ``idle``, or the time.

    Attributes:
        at: the time; None unless the kind is :attr:`StartKind.AT`.
    """

    kind: StartKind
    at: Timestamp | None = None

    def __post_init__(self) -> None:
        if (self.kind is StartKind.AT) != (self.at is not None):
            raise ValueError(f"{self.kind} with the time {self.at}")

    def __str__(self) -> str:
        return self.at or str(self.kind)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read the form of the API."""
        return cls(StartKind(text)) if text in (StartKind.NOW, StartKind.IDLE) else cls(StartKind.AT, text)


NOW = StartTime(StartKind.NOW)
IDLE = StartTime(StartKind.IDLE)
