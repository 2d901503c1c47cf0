"""Names of requested files: separators, case, and names that belong to one phone.

Source: docs/phone-protocol/boot.md#separators-and-case, docs/phone-protocol/boot.md#file-names
"""

import re

from cisisk.model.errors import Invalid
from cisisk.model.mac import Mac

MAX_NAME_BYTES = 255
"""The limit of Linux file systems. Phones request shorter names."""
MAX_COMPONENTS = 5
"""The deepest name in the catalogue has three (``Desktops/320x212x16/List.xml``)."""

_PLAIN = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,254}", re.ASCII)
"""Matches most names: they need no further check."""
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\ufffd]")
_LEAD = re.compile(r"^(?:/|[a-z]:)+")
_DEVICE = re.compile(
    r"""(?: (?P<kind>SEP|CTLSEP|ITLSEP|SIP|ATA|WLAN) (?P<mac>[0-9A-F]{12})
            (?: \.cnf(?:\.xml)?(?:\.enc)?(?:\.sgn)? | \.tlv | \.xml )? )""",
    re.VERBOSE | re.IGNORECASE | re.ASCII,
)


def normalise(name: str) -> str | None:
    """Return the library key of a requested name, or None if it cannot name a served file.

    Case is folded, backslashes become slashes, drive letters and leading slashes are dropped. Names with ``..``, with a
    component that begins with a dot, with control characters, or longer than the limits are invalid.
    """
    if _PLAIN.fullmatch(name):
        return name.lower()
    if len(name.encode(errors="replace")) > MAX_NAME_BYTES or _CONTROL.search(name):
        return None
    path = _LEAD.sub("", name.casefold().replace("\\", "/"))
    components = path.split("/")
    if len(components) > MAX_COMPONENTS or any(not part or part.startswith(".") for part in components):
        return None
    return path


def device_mac(name: str) -> Mac | None:
    """Whose file a requested name is, in any spelling, or None for a name that belongs to no single phone."""
    match = _DEVICE.fullmatch((normalise(name) or "").rpartition("/")[2])
    if match is None:
        return None
    try:
        mac = Mac.parse(match["mac"])
    except Invalid:
        return None
    # Only an adapter has a second port.
    return mac if match["kind"] == "ata" or not mac.is_second_port else None
