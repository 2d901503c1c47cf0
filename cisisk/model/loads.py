"""Firmware loads: what the name of a load reveals about the phones that run it.

Source: docs/phone-protocol/boot.md#firmware
"""

import re
from dataclasses import dataclass
from functools import lru_cache

from cisisk.model.catalogue import Protocol

FIRST_GENERATION = ("7940", "7960")
ALIKE = {
    "06": ("7906",),
    "11": ("7906", "7911"),
    "31": ("7931",),
    "37": ("7937",),
    "41": ("7941", "7941G-GE", "7961", "7961G-GE"),
    "42": ("7942", "7962"),
    "45": ("7945", "7965"),
    "61": ("7961", "7961G-GE"),
    "62": ("7962",),
    "65": ("7965",),
    "70": ("7970", "7971"),
    "71": ("7971",),
    "75": ("7975",),
}
"""The models that share a firmware, by the two digits in its names."""

_88XX = ("8811", "8841", "8851", "8851NR", "8861")
_SIP_OR_SCCP = r"(?P<protocol>sip|sccp)"


@dataclass(frozen=True, slots=True)
class LoadFacts:
    """What the name of a load reveals.

    Attributes:
        protocol: None if the name does not tell, or tells neither SIP nor SCCP.
        models: the models that run it; empty if the name does not tell.
        is_multiplatform: it is of the multiplatform (MPP) kind, whose phones know no call manager.
    """

    protocol: Protocol | None = None
    models: tuple[str, ...] = ()
    is_multiplatform: bool = False

    @property
    def reads_flat_config(self) -> bool:
        """Whether a phone with it reads ``SIP<MAC>.cnf``, a flat file, instead of the lines of an XML config."""
        return self.protocol == "SIP" and self.models == FIRST_GENERATION


_MULTIPLATFORM = re.compile(r"\dmpp|[.-]mpp|3pcc", re.IGNORECASE)
_NAMES: tuple[tuple[str, Protocol | None, tuple[str, ...]], ...] = (
    (r"p0s3.*", "SIP", FIRST_GENERATION),
    # With a hyphen it is the loader of a SIP image, without one an SCCP image.
    (r"p003-.*", None, FIRST_GENERATION),
    (r"p003.*", "SCCP", FIRST_GENERATION),
    (r"p0m3.*", None, FIRST_GENERATION),
    (r"p004.*", "SCCP", ("7910",)),
    (r"p005.*", "SCCP", ("7935",)),
    (r"apps37sccp.*", "SCCP", ("7937",)),
    (rf"cp(?P<model>7902|7905|7912)\d*{_SIP_OR_SCCP}?.*", None, ()),
    (r"cmterm[_-](?P<model>7920|7936|7985)[^\d].*", "SCCP", ()),
    (r"cp(?P<model>7921|7925|7926)g.*", "SCCP", ()),
    (r"(?:cp|sip)?(?P<model>3905|3911|3951)\..*", "SIP", ()),
    (rf"{_SIP_OR_SCCP}?69xx\..*", None, ("6921", "6941", "6961")),
    (rf"{_SIP_OR_SCCP}?894x\..*", None, ("8941", "8945")),
    (r"sip78xx\..*", "SIP", ("7811", "7821", "7841", "7861")),
    (r"sip88xx\..*", "SIP", _88XX),
    (r"sip8845_65\..*", "SIP", ("8845", "8865", "8865NR")),
    (r"sipdx.*", "SIP", ("DX650",)),
    (rf"ata03\d*{_SIP_OR_SCCP}?.*", None, ("ATA186", "ATA188")),
    (r"(?:cmterm-)?ata187[.-].*", "SIP", ("ATA187",)),
    (r"(?:cmterm-)?ata19\d[.-].*", "SIP", ("ATA190", "ATA191")),
    (rf"(?:{_SIP_OR_SCCP}|term)(?P<alike>\d\d)\..*", None, ()),
    (rf"{_SIP_OR_SCCP}(?P<model>\d{{4}})\..*", None, ()),
    (rf"{_SIP_OR_SCCP}(?!\w*-dictionary).*", None, ()),
)
"""The forms of names, with what all of that form have in common. The first that matches counts."""
_FORMS = tuple((re.compile(pattern, re.IGNORECASE), protocol, models) for pattern, protocol, models in _NAMES)


@lru_cache(maxsize=1024)
def read_load(name: str) -> LoadFacts:
    """Return what the name of a load reveals, with or without its suffix."""
    is_multiplatform = _MULTIPLATFORM.search(name) is not None
    for form, protocol, models in _FORMS:
        if match := form.fullmatch(name.strip()):
            found = match.groupdict()
            return LoadFacts(
                protocol=_protocol(found.get("protocol")) or protocol,
                models=models or _models(found.get("model"), found.get("alike")),
                is_multiplatform=is_multiplatform,
            )
    return LoadFacts(is_multiplatform=is_multiplatform)


def _protocol(text: str | None) -> Protocol | None:
    if text is None:
        return None
    return "SIP" if text.lower() == "sip" else "SCCP"


def _models(model: str | None, alike: str | None) -> tuple[str, ...]:
    return (model,) if model else ALIKE.get(alike or "", ())


def load_protocol(load: str) -> Protocol | None:
    """Return the protocol of a firmware load by its name, or None."""
    return read_load(load).protocol
