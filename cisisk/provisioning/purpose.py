"""What a requested file is for, and what the request reveals about the phone.

Source: docs/phone-protocol/boot.md#file-names, docs/phone-protocol/boot.md#request-order
"""

import re
from collections.abc import Iterable
from enum import StrEnum
from functools import lru_cache

from cisisk.model.catalogue import MODELS
from cisisk.model.discovery import DiscoveryHints
from cisisk.model.firmware import PART_SUFFIXES
from cisisk.model.loads import ALIKE, FIRST_GENERATION, read_load
from cisisk.provisioning.names import device_mac, normalise

_MAX_LOAD_LENGTH = 64
"""In characters. Real names have up to 27 (``sip8845_65.12-8-1-0001-455``)."""


class Purpose(StrEnum):
    """What a file is for."""

    TRUST_LIST = "trust list"
    CONFIG = "config"
    SIGNED_CONFIG = "signed config"
    SHARED_CONFIG = "shared config"
    """The settings that all phones of the first SIP generation share."""
    DEFAULT_CONFIG = "default config"
    WIRELESS = "wireless settings"
    IMAGE_NAME = "name of the firmware"
    """The first SIP generation reads here which firmware it is to run, before anything else."""
    RECOVERY = "recovery firmware"
    FIRMWARE = "firmware"
    """The list of a firmware's files."""
    FIRMWARE_PART = "part of a firmware"
    DICTIONARY = "dictionary"
    TONES = "tones"
    RINGTONE = "ring tones"
    DIAL_PLAN = "dial plan"
    SOFT_KEYS = "soft keys"
    FEATURES = "feature policy"
    DIAL_RULES = "dial rules"
    BACKGROUND = "background"
    HEADSET = "headset settings"
    SYNCHRONISATION = "synchronisation"
    """What the first SIP generation reads at ``check-sync``, to find out whether it has to restart."""
    UNKNOWN = "file"


_PURPOSES = tuple(
    (re.compile(pattern), purpose)
    for pattern, purpose in (
        (r"(?:ctl|itl)(?:sep[0-9a-f]{12}|file)\.tlv", Purpose.TRUST_LIST),
        (r"(?:sep|sip|ata)[0-9a-f]{12}(?:\.cnf(?:\.xml)?)?(?:\.enc)?\.sgn", Purpose.SIGNED_CONFIG),
        (r"(?:sep|sip|ata)[0-9a-f]{12}(?:\.cnf(?:\.xml)?)?", Purpose.CONFIG),
        (r"xmldefault[a-z0-9-]*\.cnf\.xml|sepdefault\.cnf|atadefault\.cnf\.xml|gkdefault\.cfg", Purpose.DEFAULT_CONFIG),
        (r"sipdefault\.cnf", Purpose.SHARED_CONFIG),
        (r"wlan(?:default|[0-9a-f]{12})\.xml", Purpose.WIRELESS),
        (r"term\d\d\.default\.loads", Purpose.RECOVERY),
        (r"os79xx\.txt", Purpose.IMAGE_NAME),
        (r"syncinfo\.xml", Purpose.SYNCHRONISATION),
        (r".*locale.*\.loads", Purpose.DICTIONARY),
        (r".+\.loads", Purpose.FIRMWARE),
        (rf".+\.(?:{'|'.join(PART_SUFFIXES)})(?:\.sgn)?|(?:rootfs|kern|sb2|fbi).+\.sgn", Purpose.FIRMWARE_PART),
        (r".+\.jar|.*-dictionary.*\.xml|.*-kate.*\.xml|.*-font\..+", Purpose.DICTIONARY),
        (r".*-tones\.xml", Purpose.TONES),
        (r"(?:distinctive)?ringlist.*|.+\.(?:raw|rwb)", Purpose.RINGTONE),
        (r"(?:.*dialplan.*|dialtemplate.*|drdefault.*)\.xml", Purpose.DIAL_PLAN),
        (r"(?:softkey.*|sk[0-9a-f-]+)\.xml", Purpose.SOFT_KEYS),
        (r"featurepolicy.*\.xml", Purpose.FEATURES),
        (r"appdialrules\.xml", Purpose.DIAL_RULES),
        (r"list\.xml|.+\.png", Purpose.BACKGROUND),
        (r"defaultheadsetconfig\.json", Purpose.HEADSET),
    )
)
"""The first pattern that matches the last component of a name, in lower case."""

ADAPTERS = ("ATA187", "ATA190", "ATA191")
"""They request ``ATA<MAC>.cnf.xml``."""
_KNOWN_MODELS = frozenset(facts.name for facts in MODELS)
_BEGINNINGS = (
    # With a hyphen it is the loader of a SIP image (P003-8-12-00.sbn), without one an SCCP image (P00308010200.sbn).
    *(("p003-", None, FIRST_GENERATION), ("p003", "SCCP", FIRST_GENERATION)),
    *(("p0s3", "SIP", FIRST_GENERATION), ("os79xx.txt", None, FIRST_GENERATION)),
    *(("sipdefault.cnf", "SIP", FIRST_GENERATION), ("7960-", None, FIRST_GENERATION)),
    *(("sip78xx.", "SIP", ("7811", "7821", "7841", "7861")), ("sip8845_65.", "SIP", ("8845", "8865"))),
    ("sip88xx.", "SIP", ("8811", "8841", "8851", "8851NR", "8861")),
    *(("sl-bev-", None, ("8845", "8865")), ("sl-be-", None, ("8811", "8841", "8851", "8851NR", "8861"))),
    *(("sp-", None, ("7811", "7821", "7841", "7861")), ("gb-", None, ("8941", "8945"))),
    *(("gh-", None, ("8961",)), ("lk-", None, ("9951",)), ("gd-", None, ("9971",))),
    ("g4-tones.xml", None, ("8961", "9951", "9971")),
)
"""How the names for one kind of phone begin: their protocol and models (1.4)."""
_NUMBERED = re.compile(
    r"(?:term|(?:jar|apps|cnu|cvm|dsp)?(?P<before>sip|sccp)?)(?P<digits>\d\d)(?P<after>sip|sccp)?[.-].*"
)
_FOUR_DIGITS = re.compile(r"(?:cp|sip|sccp|boot|dsp)?(\d{4})(?!\d).*")


@lru_cache(maxsize=4096)
def purpose(name: str) -> Purpose:
    """Return what the file ``name`` is for, in any spelling."""
    last = _last(name)
    what = next((purpose for form, purpose in _PURPOSES if form.fullmatch(last)), Purpose.UNKNOWN)
    # A phone that takes signed files appends .sgn to the name of every file that is not firmware.
    if what is Purpose.UNKNOWN and last.endswith(".sgn"):
        return purpose(last.removesuffix(".sgn"))
    return what


def is_flat_config(name: str) -> bool:
    """Return whether ``name`` is that of a flat config, ``SIP<MAC>.cnf``."""
    return purpose(name) is Purpose.CONFIG and _last(name).startswith("sip")


@lru_cache(maxsize=4096)
def reveal(protocol: str, name: str) -> DiscoveryHints:
    """Return what one request reveals about the phone that sent it."""
    last = _last(name)
    what = purpose(name)
    software, models = _kind_of_phone(last.removesuffix(".sgn"), what)
    loads = (last.removesuffix(".loads")[:_MAX_LOAD_LENGTH],) if last.endswith(".loads") else ()
    return DiscoveryHints(
        protocols=(protocol,),
        software=software,
        models=tuple(model for model in models if model in _KNOWN_MODELS),
        loads=loads,
        signed=what is Purpose.SIGNED_CONFIG,
        recovering=what is Purpose.RECOVERY,
    )


def revealed(asked: Iterable[tuple[str, str]]) -> DiscoveryHints:
    """Return what requests, as pairs of protocol and name, reveal together."""
    known = DiscoveryHints()
    for protocol, name in asked:
        known = known.and_then(reveal(protocol, name))
    return known


def _last(name: str) -> str:
    return (normalise(name) or "").rpartition("/")[2]


def _kind_of_phone(last: str, what: Purpose) -> tuple[str | None, tuple[str, ...]]:
    for beginning, software, models in _BEGINNINGS:
        if last.startswith(beginning):
            return software or _of_ending(last), models
    if what in {Purpose.CONFIG, Purpose.WIRELESS} and device_mac(last):
        return _of_own_file(last, what)
    if what in {Purpose.FIRMWARE, Purpose.RECOVERY, Purpose.FIRMWARE_PART}:
        numbered = _NUMBERED.fullmatch(last)
        if numbered and numbered["digits"] in ALIKE:
            marked = numbered["before"] or numbered["after"]
            return marked.upper() if marked else None, ALIKE[numbered["digits"]]
    if what in {Purpose.FIRMWARE, Purpose.FIRMWARE_PART, Purpose.DICTIONARY}:
        facts, digits = read_load(last), _FOUR_DIGITS.fullmatch(last)
        return facts.protocol or _of_ending(last), facts.models or ((digits[1],) if digits else ())
    return None, ()


def _of_own_file(last: str, what: Purpose) -> tuple[str | None, tuple[str, ...]]:
    if what is Purpose.WIRELESS:
        return None, ("7920", "7921", "7925", "7926")
    if last.startswith("sip"):
        return "SIP", FIRST_GENERATION
    if last.startswith("ata"):
        return None, ADAPTERS if last.endswith(".xml") else ("ATA186", "ATA188")
    return None, () if last.endswith(".xml") else ("7902", "7905", "7912")


def _of_ending(last: str) -> str | None:
    """Return what the name of a second-generation dictionary reveals about the phone's protocol: ``mk-sip.jar``."""
    stem = last.removesuffix(".jar")
    return "SIP" if stem.endswith("-sip") else "SCCP" if stem.endswith("-sccp") else None
