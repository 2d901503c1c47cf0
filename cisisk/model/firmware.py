"""The files of a firmware load, as its ``.loads`` file names them (docs/phone-protocol/boot.md#firmware)."""

import re

from cisisk.model.loads import read_load

LOADS = ".loads"
"""The suffix that a phone appends to the name of its load."""
MAX_LOADS_BYTES = 64 << 10
"""Published ones have less than 4 KiB, most of it a signature."""
MAX_PARTS = 64
"""An 88xx has about ten."""
PART_SUFFIXES = ("sbn", "sb2", "sebn", "sbin", r"bin\d?", "zup", "zz")
"""Regular expressions for the suffixes of firmware parts, which ``.sgn`` may follow."""

_PART = re.compile(
    r"(?<![A-Za-z0-9._-])[A-Za-z0-9][A-Za-z0-9._-]{{2,120}}\.(?:{}|sgn|loads)(?![A-Za-z0-9._-])".format(
        "|".join(PART_SUFFIXES)
    ).encode(),
    re.IGNORECASE,
)
"""All formats contain the names as plain ASCII, between binary headers, lengths and the signature."""
_WITHOUT_LOADS = {
    "7902": (".sbin", ".zup"),
    "7905": (".sbin", ".zup"),
    "7912": (".sbin", ".zup"),
    "7910": (".bin",),
    "7935": (".bin",),
    "7936": (".bin",),
    "7937": (".bin",),
    "ATA186": (".zup",),
}
"""Models whose load is one file, and its suffixes."""


def parts_of(content: bytes) -> tuple[str, ...]:
    """Return the files that a ``.loads`` file names, in its order and without duplicates; empty for other content.

    The first ``.loads`` name is the name that the file has for itself. It may differ from the name under which the file
    is published, and is left out.
    """
    names: dict[str, str] = {}
    for match in _PART.finditer(content[:MAX_LOADS_BYTES]):
        name = match[0].decode("ascii")
        names.setdefault(name.casefold(), name)
    own = next((name for name in names if name.endswith(LOADS)), None)
    return tuple(name for key, name in names.items() if key != own)[:MAX_PARTS]


def single_files_of(load: str) -> tuple[str, ...]:
    """Return the names under which a load can be one file without a ``.loads`` file; empty if it cannot."""
    return tuple(f"{load}{suffix}" for model in read_load(load).models for suffix in _WITHOUT_LOADS.get(model, ()))
