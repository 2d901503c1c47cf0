"""Key expansion modules, and which phones take which (docs/phone-protocol/models.md#kems)."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum, auto

from cisisk.model import catalogue
from cisisk.model.clock import Timestamp
from cisisk.model.mac import Mac
from cisisk.model.phone import plain_model


class KemFindingCode(StrEnum):
    """The kinds of finding; the names, in small letters, are part of the API and do not change."""

    MIXED_MODULES = auto()
    """All modules of a phone have to be of the same type."""
    MODULE_DOES_NOT_FIT = auto()
    """The phone takes modules, but not this one."""
    PHONE_TAKES_NO_MODULES = auto()
    """There is no connector for one, or no firmware that knows one."""
    TOO_MANY_MODULES = auto()
    """More than the phone can power and address."""
    UNKNOWN_MODULE = auto()
    """A module that is not in the catalogue: a typing error, or one about which nothing can be judged."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KemFinding:
    """One thing to know about a module and its phone.

    Attributes:
        message: what is the case and what would be right, in a sentence or two.
    """

    code: KemFindingCode
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ModuleFacts:
    """One type of module.

    Attributes:
        keys: on all its pages.
        hosts: the phones that take it, by their names in the catalogue, which says how many.
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
        phone_model: of the phone that it is attached to; None while nobody knows.
        beside: the models of the other modules there, None for those of which it is not known.
        revision: counts the changes.
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
    def findings(self) -> tuple[KemFinding, ...]:
        """What does not fit; nothing of what is not known."""
        return tuple(KemFinding(code=code, message=message) for code, message in _findings(self))


def find(model: str) -> ModuleFacts | None:
    """The facts about a module, in any way people write it: ``7915``, ``CP-7915=``, ``CP-CKEM-C``, ``BEKEM``."""
    return _BY_NAME.get(plain_model(model.rstrip(" =")).removesuffix("-C").removesuffix("-W").replace(" ", ""))


def _findings(kem: Kem) -> Iterator[tuple[KemFindingCode, str]]:
    module = find(kem.model) if kem.model else None
    phone = catalogue.find(kem.phone_model) if kem.phone_model else None
    if kem.model and not module:
        known = ", ".join(_BY_NAME)
        yield KemFindingCode.UNKNOWN_MODULE, f"No module of the name {kem.model} is known; known are {known}"
    if phone and not phone.modules:
        yield KemFindingCode.PHONE_TAKES_NO_MODULES, f"A {phone.name} takes no key expansion modules"
    elif phone:
        if module and phone.name not in module.hosts:
            fitting = ", ".join(facts.name for facts in MODULES if phone.name in facts.hosts)
            yield (
                KemFindingCode.MODULE_DOES_NOT_FIT,
                f"A {module.name} does not fit a {phone.name}, which takes {fitting}",
            )
        count = 1 + len(kem.beside)
        if count > phone.modules:
            yield KemFindingCode.TOO_MANY_MODULES, f"A {phone.name} takes {phone.modules} of them; this one has {count}"
    beside = [find(model) for model in kem.beside if model]
    other = next((facts.name for facts in beside if facts and facts != module), None)
    if module and other:
        yield KemFindingCode.MIXED_MODULES, f"Modules of one phone are of one type: beside a {other} is a {module.name}"
