"""The placeholders of a profile, which a switch replaces by values of the phone."""

import re
from collections.abc import Mapping
from xml.sax.saxutils import escape

from cisisk.model.content_type import ContentType, content_type_of

EMERGENCY = ("emergency_location", "emergency_caller_id")
"""Values for emergency calls. They belong to the phone, and do not depend on the user."""
NAMES = ("mac", "device_name", "server", *EMERGENCY)
"""``{{mac}}``, ``{{device_name}}``, ``{{server}}``, ``{{emergency_location}}`` and ``{{emergency_caller_id}}``."""

_KNOWN = re.compile(rb"\{\{(" + "|".join(NAMES).encode() + rb")\}\}")
_LOOKALIKE = re.compile(rb"\{\{[ \t]*+[A-Za-z][A-Za-z0-9_.-]*+[ \t]*+\}\}")


def render(content: bytes, values: Mapping[str, str]) -> bytes:
    """Replace the placeholders of a config, and leave all other bytes unchanged.

    Args:
        content: in any ASCII-compatible encoding.
        values: by name, a text for each of :data:`NAMES` that is :func:`used`. In XML it is escaped for text and
            attribute values, and non-ASCII characters become character references, which fit every encoding. In a flat
            config, it loses the quotes and line ends that would end a value.
    """
    prepared = _unquoted if content_type_of(content) is ContentType.CNF else _escaped
    replacements = {name.encode(): prepared(value) for name, value in values.items()}
    return _KNOWN.sub(lambda found: replacements[found[1]], content)


def used(content: bytes) -> frozenset[str]:
    """Return the names of the placeholders in ``content``."""
    return frozenset(found[1].decode() for found in _KNOWN.finditer(content))


def first_line_of_known(content: bytes) -> int | None:
    """Return the line of the first placeholder in ``content``, or None."""
    found = _KNOWN.search(content)
    return found and _line(content, found)


def first_line_of_unknown(content: bytes) -> int | None:
    """Return the line of the first text that only looks like a placeholder (``{{MAC}}``, ``{{ mac }}``), or None."""
    return next((_line(content, found) for found in _LOOKALIKE.finditer(content) if not _KNOWN.match(found[0])), None)


def _line(content: bytes, found: re.Match[bytes]) -> int:
    return content.count(b"\n", 0, found.start()) + 1


def _escaped(value: str) -> bytes:
    return escape(value, {'"': "&quot;", "'": "&apos;"}).encode("ascii", "xmlcharrefreplace")


def _unquoted(value: str) -> bytes:
    return " ".join(value.replace('"', "'").split()).encode()
