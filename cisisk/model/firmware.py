"""The files that a ``.loads`` file names (docs/phone-protocol/boot.md#firmware)."""

import re

LOADS = ".loads"
"""What a phone appends to the name of its load."""
MAX_LOADS_BYTES = 64 << 10
"""Those in the field have less than 4 KiB, most of it a signature."""
MAX_PARTS = 64
"""An 88xx has about ten."""

_PART = re.compile(
    rb"(?<![A-Za-z0-9._-])[A-Za-z0-9][A-Za-z0-9._-]{2,120}\.(?:sbn|sb2|sgn|bin|zup|loads)(?![A-Za-z0-9._-])",
    re.IGNORECASE,
)
"""Between the header, the signature and the lengths of the formats that exist, the names stand as they are."""


def parts_of(content: bytes) -> tuple[str, ...]:
    """The files that a ``.loads`` file names, in its order, each once; empty when it names none or is no such file."""
    names: dict[str, str] = {}
    for match in _PART.finditer(content[:MAX_LOADS_BYTES]):
        name = match[0].decode("ascii")
        names.setdefault(name.casefold(), name)
    return tuple(names.values())[:MAX_PARTS]
