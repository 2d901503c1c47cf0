"""What a phone that nobody has put into the inventory reveals by what it asks for."""

import json
from dataclasses import asdict, dataclass
from typing import Any, Self

from cisisk.model.clock import Timestamp

MOST_LOADS = 4
"""Firmware names that are kept: a phone asks for the one it is told to run, and for one to recover with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DiscoveryHints:
    """Hints, not facts: whoever can send a packet can make them.

    Attributes:
        protocols: those it asked over, of ``ftp``, ``http`` and ``tftp``.
        software: ``SIP`` or ``SCCP``, if a name told.
        models: those that ask for such names; empty for any.
        loads: the firmware it asked for.
        signed: it wants its config signed, as a phone does that has the trust list of another call manager.
        recovering: it runs without firmware and looks for some.
    """

    protocols: tuple[str, ...] = ()
    software: str | None = None
    models: tuple[str, ...] = ()
    loads: tuple[str, ...] = ()
    signed: bool = False
    recovering: bool = False

    def and_then(self, later: "DiscoveryHints") -> "DiscoveryHints":
        """Both together. Where they contradict each other, the later: firmware is replaced."""
        both = tuple(model for model in self.models if model in later.models)
        return DiscoveryHints(
            protocols=tuple(sorted({*self.protocols, *later.protocols})),
            software=later.software or self.software,
            models=both or later.models or self.models,
            loads=tuple(dict.fromkeys((*later.loads, *self.loads)))[:MOST_LOADS],
            signed=self.signed or later.signed,
            recovering=self.recovering or later.recovering,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class DiscoveredPhone:
    """A phone was found at ``at``, and what it has revealed since."""

    at: Timestamp
    revealed: DiscoveryHints

    def to_json(self) -> str:
        """The form in which it is stored."""
        return json.dumps({"at": self.at, **asdict(self.revealed)})

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read what :meth:`to_json` wrote."""
        values = json.loads(text)
        at = values.pop("at")
        return cls(at=at, revealed=DiscoveryHints(**{name: _tuples(value) for name, value in values.items()}))


def _tuples(value: Any) -> Any:
    """``value``, but a tuple where JSON knows only a list."""
    return tuple(value) if isinstance(value, list) else value
