"""The files of a firmware load, as its ``.loads`` file names them (docs/phone-protocol/boot.md#firmware)."""

import re

LOADS = ".loads"
"""The suffix that a phone appends to the name of its load."""
MAX_LOADS_BYTES = 64 << 10
"""Published ones have less than 4 KiB, most of it a signature."""
MAX_PARTS = 64
"""An 88xx has about ten."""

_PART = re.compile(
    rb"(?<![A-Za-z0-9._-])[A-Za-z0-9][A-Za-z0-9._-]{2,120}\.(?:sbn|sb2|sgn|bin|zup|loads)(?![A-Za-z0-9._-])",
    re.IGNORECASE,
)
"""All formats contain the names as plain ASCII, between binary headers, lengths and the signature."""


def parts_of(content: bytes) -> tuple[str, ...]:
    """Return the files that a ``.loads`` file names, in its order and without duplicates; empty for other content."""
    names: dict[str, str] = {}
    for match in _PART.finditer(content[:MAX_LOADS_BYTES]):
        name = match[0].decode("ascii")
        names.setdefault(name.casefold(), name)
    return tuple(names.values())[:MAX_PARTS]
