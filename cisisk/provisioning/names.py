"""What a phone means by the name it asks for: separators, case, per-device names.

Source: docs/phone-protocol/boot.md#separators-and-case, docs/phone-protocol/boot.md#file-names
"""

import re

from cisisk.model.errors import Invalid
from cisisk.model.mac import Mac

MAX_NAME_BYTES = 255
"""Longer than any name a phone asks for, and what a Linux file system takes."""
MAX_COMPONENTS = 5
"""The deepest name in the catalogue has three (``Desktops/320x212x16/List.xml``)."""

_PLAIN = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,254}", re.ASCII)
"""What nearly every name is: nothing in it needs a closer look."""
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\ufffd]")
_LEAD = re.compile(r"^(?:/|[a-z]:)+")
_DEVICE = re.compile(
    r"""(?: (?:SEP|CTLSEP|ITLSEP|SIP|ATA|WLAN) (?P<mac>[0-9A-F]{12})
            (?: \.cnf(?:\.xml)?(?:\.enc)?(?:\.sgn)? | \.tlv | \.xml )? )""",
    re.VERBOSE | re.IGNORECASE | re.ASCII,
)


def normalise(name: str) -> str | None:
    """The library key of a requested name, or None for one that cannot name a served file.

    Case is folded, backslashes become slashes, drive letters and slashes in front are dropped. Names that climb
    (``..``), hide (a component with a leading dot), carry control characters or exceed the limits are no names.
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
        return Mac.parse(match["mac"])
    except Invalid:
        return None
