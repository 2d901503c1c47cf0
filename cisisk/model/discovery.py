"""What the requests of a discovered phone reveal about it."""

import json
from dataclasses import asdict, dataclass
from typing import Any, Self

from cisisk.model.clock import Timestamp

MOST_LOADS = 4
"""Firmware names that are kept. A phone asks for the firmware in its config, and for its recovery firmware."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DiscoveryHints:
    """Hints about a phone. They are no facts: packets can be forged.

    Attributes:
        protocols: those of its requests, out of ``ftp``, ``http`` and ``tftp``.
        software: ``SIP`` or ``SCCP``, if a file name reveals it.
        models: the models that request such names; empty if any model does.
        loads: the firmware that it requested.
        signed: it requests a signed config, as a phone with the trust list of another call manager does.
        recovering: it has no usable firmware and requests its recovery firmware.
    """

    protocols: tuple[str, ...] = ()
    software: str | None = None
    models: tuple[str, ...] = ()
    loads: tuple[str, ...] = ()
    signed: bool = False
    recovering: bool = False

    def and_then(self, later: "DiscoveryHints") -> "DiscoveryHints":
        """Return these hints combined with later ones. Where they differ, the later win: firmware is replaced."""
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
    """When a phone was discovered, and what it has revealed since then."""

    at: Timestamp
    revealed: DiscoveryHints

    def to_json(self) -> str:
        """Return the stored form."""
        return json.dumps({"at": self.at, **asdict(self.revealed)})

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Return the object that :meth:`to_json` stored."""
        values = json.loads(text)
        at = values.pop("at")
        return cls(at=at, revealed=DiscoveryHints(**{name: _tuples(value) for name, value in values.items()}))


def _tuples(value: Any) -> Any:
    """Return ``value``, with a list turned back into a tuple."""
    return tuple(value) if isinstance(value, list) else value
