"""Which encoding a config is written in, and the way from text to its bytes and back."""

import re

from cisisk.model.sep_config.refusal import refusal, refusal_at

BYTE_ORDER_MARK = b"\xef\xbb\xbf"

_CODECS = {"UTF-8": "utf-8", "US-ASCII": "ascii", "ASCII": "ascii", "ISO-8859-1": "iso-8859-1"}
"""What phones are known to read. All hold ASCII as it is, so that a config can be searched as bytes."""
_DECLARED = re.compile(r"""\ufeff?<\?xml[ \t\r\n][^>]*?\bencoding[ \t\r\n]*=[ \t\r\n]*(["'])(?P<name>.*?)\1""")
_SHOWN_NAME = 40
"""How much of an unknown encoding's name is repeated to the reader; the longest registered one has 45 characters."""


def encode(text: str) -> bytes:
    """The bytes of a config that arrived as text, in the encoding its XML declaration names (UTF-8 without one).

    Raises:
        Invalid: the encoding is none that phones read, or a character does not exist in it.
    """
    encoding = _declared(text)
    try:
        return text.encode(_CODECS[encoding])
    except UnicodeEncodeError as error:
        reason = f"The character here does not exist in {encoding}. Replace it, or declare UTF-8."
        if "\ud800" <= text[error.start] <= "\udfff":
            reason = "Half of a surrogate pair, which is no character. Remove it."
        raise refusal_at(reason, text[: error.start]) from None


def decode(content: bytes) -> str:
    """The text of a config: exactly what :func:`encode` was given, line ends and byte order mark included.

    Raises:
        Invalid: the encoding is none that phones read, or ``content`` is not written in it.
    """
    encoding = encoding_of(content)
    codec = _CODECS[encoding]
    try:
        return content.decode(codec)
    except UnicodeDecodeError as error:
        reason = f"The bytes here are not {encoding}. Save the file in the encoding its first line names."
        raise refusal_at(reason, content[: error.start].decode(codec)) from None


def encoding_of(content: bytes) -> str:
    """The encoding the XML declaration names, in capitals; UTF-8 without one (XML 1.0, 4.3.3).

    Raises:
        Invalid: it is none that phones read, or the byte order mark contradicts it.
    """
    marked = content.startswith(BYTE_ORDER_MARK)
    start = len(BYTE_ORDER_MARK) if marked else 0
    end = content.find(b"?>", start) if content.startswith(b"<?xml", start) else start
    encoding = _declared(content[start:end].decode("iso-8859-1"))
    if marked and encoding != "UTF-8":
        raise refusal(f"The byte order mark says UTF-8, the first line says {encoding}. Remove the byte order mark.")
    return encoding


def _declared(text: str) -> str:
    match = _DECLARED.match(text)
    encoding = match["name"].upper() if match else "UTF-8"
    if encoding not in _CODECS:
        shown = encoding[:_SHOWN_NAME]
        reason = f"The encoding {shown} is none that phones read. Save the file as UTF-8 and say so in its first line."
        raise refusal(reason)
    return encoding
