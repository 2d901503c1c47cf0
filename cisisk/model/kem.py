"""Key expansion modules, and the phones that they fit (docs/phone-protocol/models.md#kems)."""

from collections.abc import Iterator
from dataclasses import dataclass

from cisisk.model import catalogue
from cisisk.model.clock import Timestamp
from cisisk.model.codes.kem import KemFindingCode
from cisisk.model.mac import Mac
from cisisk.model.notice import Notice
from cisisk.model.phone import plain_model


@dataclass(frozen=True, slots=True, kw_only=True)
class ModuleFacts:
    """The facts about one type of module.

    Attributes:
        keys: the number of keys on all its pages.
        hosts: the phones that it fits, by their names in the catalogue. The catalogue has the number of modules.
    """

    name: str
    keys: int
    hosts: frozenset[str]


_COLOUR_7900 = frozenset({"7962", "7965", "7975"})
_AUDIO_8800 = frozenset({"8851", "8851NR", "8861"})
_VIDEO_8800 = frozenset({"8865", "8865NR"})

MODULES = (
    ModuleFacts(
        name="7914",
        keys=14,
        hosts=frozenset({"7960", "7961", "7961G-GE", "7970", "7971"}) | _COLOUR_7900,
    ),
    ModuleFacts(name="7915", keys=24, hosts=_COLOUR_7900),
    ModuleFacts(name="7916", keys=24, hosts=_COLOUR_7900),
    ModuleFacts(name="CKEM", keys=36, hosts=frozenset({"8961", "9951", "9971"})),
    ModuleFacts(name="BEKEM", keys=36, hosts=_AUDIO_8800 | _VIDEO_8800),
    ModuleFacts(name="8800-A-KEM", keys=28, hosts=_AUDIO_8800),
    ModuleFacts(name="8800-V-KEM", keys=28, hosts=_VIDEO_8800),
)
_BY_NAME = {facts.name: facts for facts in MODULES}


@dataclass(frozen=True, slots=True, kw_only=True)
class Kem:
    """A key expansion module.

    Attributes:
        phone_model: the model of the connected phone; None if unknown.
        beside: the models of the other modules of that phone; None for unknown ones.
        revision: the number of changes.
    """

    uuid: str
    model: str | None
    mac: Mac | None
    ip: str | None
    connected_phone: Mac | None
    software_version: str | None
    software_type: str | None
    phone_model: str | None
    beside: tuple[str | None, ...]
    created_at: Timestamp
    updated_at: Timestamp
    revision: int

    @property
    def findings(self) -> tuple[Notice, ...]:
        """What does not fit. Unknown models are not checked."""
        return tuple(_findings(self))


def find(model: str) -> ModuleFacts | None:
    """Return the facts about a module, or None. Accepts ``7915``, ``CP-7915=``, ``CP-CKEM-C``, ``BEKEM``."""
    return _BY_NAME.get(plain_model(model.rstrip(" =")).removesuffix("-C").removesuffix("-W").replace(" ", ""))


def _findings(kem: Kem) -> Iterator[Notice]:
    module = find(kem.model) if kem.model else None
    phone = catalogue.find(kem.phone_model) if kem.phone_model else None
    if kem.model and not module:
        yield KemFindingCode.UNKNOWN_MODULE.notice(module=kem.model, known=tuple(_BY_NAME))
    if phone and not phone.modules:
        yield KemFindingCode.PHONE_TAKES_NO_MODULES.notice(phone=phone.name)
    elif phone:
        if module and phone.name not in module.hosts:
            fitting = tuple(facts.name for facts in MODULES if phone.name in facts.hosts)
            yield KemFindingCode.MODULE_DOES_NOT_FIT.notice(module=module.name, phone=phone.name, fitting=fitting)
        count = 1 + len(kem.beside)
        if count > phone.modules:
            yield KemFindingCode.TOO_MANY_MODULES.notice(phone=phone.name, most=phone.modules, count=count)
    beside = [find(model) for model in kem.beside if model]
    other = next((facts.name for facts in beside if facts and facts != module), None)
    if module and other:
        yield KemFindingCode.MIXED_MODULES.notice(module=module.name, other=other)
