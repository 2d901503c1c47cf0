"""The encoding of a config, and the conversion between its text and bytes."""

import re

from cisisk.model.sep_config.refusal import refusal, refusal_at

BYTE_ORDER_MARK = b"\xef\xbb\xbf"

_CODECS = {"UTF-8": "utf-8", "US-ASCII": "ascii", "ASCII": "ascii", "ISO-8859-1": "iso-8859-1"}
"""The encodings that phones read. All are ASCII-compatible, so a config can be searched as bytes."""
_DECLARED = re.compile(r"""\ufeff?<\?xml[ \t\r\n][^>]*?\bencoding[ \t\r\n]*=[ \t\r\n]*(["'])(?P<name>.*?)\1""")
_SHOWN_NAME = 40
"""Characters shown of the name of an unknown encoding. The longest registered name has 45."""


def encode(text: str) -> bytes:
    """Return the bytes of a config, in the encoding that its XML declaration names, else in UTF-8.

    Raises:
        Invalid: phones do not read the encoding, or a character does not exist in it.
    """
    encoding = _declared(text)
    try:
        return text.encode(_CODECS[encoding])
    except UnicodeEncodeError as error:
        reason = f"This character does not exist in {encoding}. Replace it, or declare UTF-8."
        if "\ud800" <= text[error.start] <= "\udfff":
            reason = "This is half of a surrogate pair, and no character. Remove it."
        raise refusal_at(reason, text[: error.start]) from None


def decode(content: bytes) -> str:
    """Return the text of a config, exactly as :func:`encode` took it, with line ends and byte order mark.

    Raises:
        Invalid: phones do not read the encoding, or ``content`` is not in this encoding.
    """
    encoding = encoding_of(content)
    codec = _CODECS[encoding]
    try:
        return content.decode(codec)
    except UnicodeDecodeError as error:
        reason = f"These bytes are not {encoding}. Save the file in the encoding that its first line names."
        raise refusal_at(reason, content[: error.start].decode(codec)) from None


def encoding_of(content: bytes) -> str:
    """Return the encoding that the XML declaration names, in upper case, else UTF-8 (XML 1.0, 4.3.3).

    Raises:
        Invalid: phones do not read the encoding, or the byte order mark contradicts it.
    """
    marked = content.startswith(BYTE_ORDER_MARK)
    start = len(BYTE_ORDER_MARK) if marked else 0
    end = content.find(b"?>", start) if content.startswith(b"<?xml", start) else start
    encoding = _declared(content[start:end].decode("iso-8859-1"))
    if marked and encoding != "UTF-8":
        raise refusal(
            f"The byte order mark says UTF-8, and the first line says {encoding}. Remove the byte order mark."
        )
    return encoding


def _declared(text: str) -> str:
    match = _DECLARED.match(text)
    encoding = match["name"].upper() if match else "UTF-8"
    if encoding not in _CODECS:
        shown = encoding[:_SHOWN_NAME]
        reason = f"Phones do not read the encoding {shown}. Save the file as UTF-8, and declare that in its first line."
        raise refusal(reason, line=1)
    return encoding
