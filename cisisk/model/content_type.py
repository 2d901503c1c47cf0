"""The two forms of configs: XML, and the flat files of the first SIP generation."""

import re
from enum import StrEnum


class ContentType(StrEnum):
    """The form of a config."""

    XML = "xml"
    """``SEP<MAC>.cnf.xml``, and ``ATA<MAC>.cnf.xml`` of adapters."""
    CNF = "cnf"
    """``SIP<MAC>.cnf``, which a 7940 or 7960 with SIP firmware reads: lines of ``name: value``."""


_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_FLAT = re.compile(rb"(?:[ \t\r\n]++|#[^\n]*+\n)*+[A-Za-z][A-Za-z0-9_]*+[ \t]*+:")
_FLAT_FIRMWARE = re.compile(rb"<(?:\w+:)?loadInformation\b[^<>]*>[ \t\r\n]*P0S3", re.IGNORECASE)


def content_type_of(content: bytes) -> ContentType:
    """Return the form of a config: flat if its first line that is no comment sets a value."""
    return ContentType.CNF if _FLAT.match(content.removeprefix(_BYTE_ORDER_MARK)) else ContentType.XML


def names_flat_firmware(content: bytes) -> bool:
    """Return whether an XML config only tells a phone to run firmware that reads its settings from a flat config."""
    return _FLAT_FIRMWARE.search(content) is not None
