"""The phone models, and the facts about each.

Sources:
- docs/phone-protocol/models.md#models
- docs/phone-protocol/boot.md#ports
- docs/phone-protocol/restart.md#key-sequences
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal, TypeAlias

from cisisk.model.phone import plain_model

Protocol: TypeAlias = Literal["SCCP", "SIP"]
"""The signalling protocol of a phone, as ``<deviceProtocol>`` names it."""


class Family(StrEnum):
    """Models with the same provisioning and the same restart keys."""

    P7905 = "7902/7905/7912"
    P7910 = "7910"
    P792X = "792x"
    """Wireless."""
    P793X = "793x"
    """Conference stations of the first generation."""
    P7940 = "7940/7960"
    """The first generation of the 79xx. It uses TFTP only and cannot be restarted by keys."""
    P79XX = "79xx"
    """The second generation of the 79xx. Settings ``**#**`` restarts it."""
    P7985 = "7985"
    CIPC = "CIPC"
    """IP Communicator."""
    P39XX = "39xx"
    P69XX = "69xx"
    P894X = "894x"
    P99XX = "8961/99xx"
    P78XX = "78xx"
    P88XX = "88xx"
    P8821 = "8821"
    """Wireless."""
    P883X = "883x"
    """Conference stations of the second generation."""
    ATA = "ATA"
    DX = "DX"


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFacts:
    """The facts about one model.

    Attributes:
        name: without prefix and suffix, such as ``7942``.
        protocols: the protocols for which firmware exists.
        line_keys: the number of line keys without modules; None if the sources do not state it.
        modules: the maximum number of key expansion modules.
        module_keys: the number of keys on the largest module that fits.
    """

    name: str
    family: Family
    protocols: frozenset[Protocol]
    line_keys: int | None
    modules: int = 0
    module_keys: int = 0

    @property
    def http_first(self) -> bool | None:
        """Whether the phone tries HTTP port 6970 before TFTP; None if that depends on the firmware."""
        return _HTTP_FIRST.get(self.family)


_HTTP_FIRST = {Family.P7905: False, Family.P7940: False, Family.P894X: True, Family.P88XX: True}
"""False: documented to use TFTP only. True: published logs show HTTP first (8945, 8845)."""

_SCCP: frozenset[Protocol] = frozenset({"SCCP"})
_SIP: frozenset[Protocol] = frozenset({"SIP"})
_BOTH = _SCCP | _SIP


def _model(
    name: str,
    family: Family,
    protocols: frozenset[Protocol],
    line_keys: int | None,
    modules: int = 0,
    module_keys: int = 0,
) -> ModelFacts:
    return ModelFacts(
        name=name,
        family=family,
        protocols=protocols,
        line_keys=line_keys,
        modules=modules,
        module_keys=module_keys,
    )


MODELS = (
    _model("7902", Family.P7905, _SCCP, 1),
    _model("7905", Family.P7905, _BOTH, 1),
    _model("7912", Family.P7905, _BOTH, 1),
    _model("7910", Family.P7910, _SCCP, 1),
    _model("7920", Family.P792X, _SCCP, 6),
    _model("7921", Family.P792X, _SCCP, 6),
    _model("7925", Family.P792X, _SCCP, 6),
    _model("7926", Family.P792X, _SCCP, 6),
    _model("7935", Family.P793X, _SCCP, 2),
    _model("7936", Family.P793X, _SCCP, 2),
    _model("7937", Family.P793X, _SCCP, 2),
    _model("7940", Family.P7940, _BOTH, 2),
    _model("7960", Family.P7940, _BOTH, 6, 2, 14),
    _model("7906", Family.P79XX, _BOTH, 1),
    _model("7911", Family.P79XX, _BOTH, 1),
    _model("7931", Family.P79XX, _BOTH, 24),
    _model("7941", Family.P79XX, _BOTH, 2),
    _model("7941G-GE", Family.P79XX, _BOTH, 2),
    _model("7942", Family.P79XX, _BOTH, 2),
    _model("7945", Family.P79XX, _BOTH, 2),
    _model("7961", Family.P79XX, _BOTH, 6, 2, 14),
    _model("7961G-GE", Family.P79XX, _BOTH, 6, 2, 14),
    _model("7962", Family.P79XX, _BOTH, 6, 2, 24),
    _model("7965", Family.P79XX, _BOTH, 6, 2, 24),
    _model("7970", Family.P79XX, _BOTH, 8, 2, 14),
    _model("7971", Family.P79XX, _BOTH, 8, 2, 14),
    _model("7975", Family.P79XX, _BOTH, 8, 2, 24),
    _model("7985", Family.P7985, _SCCP, 1),
    _model("CIPC", Family.CIPC, _BOTH, 8),
    _model("3905", Family.P39XX, _SIP, 1),
    _model("3911", Family.P39XX, _SIP, 1),
    _model("3951", Family.P39XX, _SIP, 1),
    _model("6901", Family.P69XX, _BOTH, 1),
    _model("6911", Family.P69XX, _BOTH, 1),
    _model("6921", Family.P69XX, _BOTH, 2),
    _model("6941", Family.P69XX, _BOTH, 4),
    _model("6945", Family.P69XX, _BOTH, 4),
    _model("6961", Family.P69XX, _BOTH, 12),
    _model("8941", Family.P894X, _BOTH, 4),
    _model("8945", Family.P894X, _BOTH, 4),
    _model("8961", Family.P99XX, _SIP, 5, 1, 36),
    _model("9951", Family.P99XX, _SIP, 5, 2, 36),
    _model("9971", Family.P99XX, _SIP, 6, 3, 36),
    _model("7811", Family.P78XX, _SIP, 1),
    _model("7821", Family.P78XX, _SIP, 2),
    _model("7832", Family.P78XX, _SIP, 1),
    _model("7841", Family.P78XX, _SIP, 4),
    _model("7861", Family.P78XX, _SIP, 16),
    _model("8811", Family.P88XX, _SIP, 5),
    _model("8841", Family.P88XX, _SIP, 5),
    _model("8845", Family.P88XX, _SIP, 5),
    _model("8851", Family.P88XX, _SIP, 5, 2, 36),
    _model("8851NR", Family.P88XX, _SIP, 5, 2, 36),
    _model("8861", Family.P88XX, _SIP, 5, 3, 36),
    _model("8865", Family.P88XX, _SIP, 5, 3, 36),
    _model("8865NR", Family.P88XX, _SIP, 5, 3, 36),
    _model("8821", Family.P8821, _SIP, 6),
    _model("8831", Family.P883X, _SIP, 1),
    _model("8832", Family.P883X, _SIP, 1),
    _model("ATA186", Family.ATA, _SCCP, 2),
    _model("ATA188", Family.ATA, _SCCP, 2),
    _model("ATA187", Family.ATA, _SIP, 1),
    _model("ATA190", Family.ATA, _SIP, 1),
    _model("ATA191", Family.ATA, _SIP, 1),
    _model("DX650", Family.DX, _SIP, None),
)

_BY_NAME = {facts.name: facts for facts in MODELS}


def find(model: str) -> ModelFacts | None:
    """Return the facts about a model, or None. Accepts ``7942``, ``CP-7942G``, ``cp-7942g``, ``ATA 186``."""
    return _BY_NAME.get(plain_model(model).replace(" ", ""))
