"""The few placeholders a profile may hold, filled in when it goes to a phone."""

import re
from collections.abc import Mapping
from xml.sax.saxutils import escape

EMERGENCY = ("emergency_location", "emergency_caller_id")
"""What an emergency call tells of the phone, whoever is logged in on it."""
NAMES = ("mac", "device_name", "server", *EMERGENCY)
"""``{{mac}}``, ``{{device_name}}``, ``{{server}}``, ``{{emergency_location}}`` and ``{{emergency_caller_id}}``."""

_KNOWN = re.compile(rb"\{\{(" + "|".join(NAMES).encode() + rb")\}\}")
_LOOKALIKE = re.compile(rb"\{\{[ \t]*+[A-Za-z][A-Za-z0-9_.-]*+[ \t]*+\}\}")


def render(content: bytes, values: Mapping[str, str]) -> bytes:
    """Fill in the placeholders of a config; every other byte stays as it is, other braces included.

    Args:
        content: in any encoding that holds ASCII as it is.
        values: by name, a text for each of :data:`NAMES` that is :func:`used`. It is escaped for use in XML text and
            attribute values; what is not ASCII becomes a character reference, which every encoding can hold.
    """
    replacements = {name.encode(): _escaped(value) for name, value in values.items()}
    return _KNOWN.sub(lambda found: replacements[found[1]], content)


def used(content: bytes) -> frozenset[str]:
    """The names of the placeholders in ``content``."""
    return frozenset(found[1].decode() for found in _KNOWN.finditer(content))


def first_line_of_known(content: bytes) -> int | None:
    """The line of the first placeholder in ``content``."""
    found = _KNOWN.search(content)
    return found and _line(content, found)


def first_line_of_unknown(content: bytes) -> int | None:
    """The line of the first thing that looks like a placeholder and is none: ``{{MAC}}``, ``{{ mac }}``."""
    return next((_line(content, found) for found in _LOOKALIKE.finditer(content) if not _KNOWN.match(found[0])), None)


def _line(content: bytes, found: re.Match[bytes]) -> int:
    return content.count(b"\n", 0, found.start()) + 1


def _escaped(value: str) -> bytes:
    return escape(value, {'"': "&quot;", "'": "&apos;"}).encode("ascii", "xmlcharrefreplace")
