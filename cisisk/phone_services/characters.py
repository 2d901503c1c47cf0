"""Conversion of texts for phones: their charset, the characters of XML, and cuts between characters."""

import re
import unicodedata

from cisisk.phone_services.families import Charset

_FORBIDDEN = re.compile("[^\t\n\r\x20-\x7e\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""XML 1.0 section 2.2 allows C1 controls, but screens cannot show them."""
_JOINERS = frozenset("\u200d\ufe0e\ufe0f")
"""The zero width joiner and the variation selectors continue the character before them."""


def line(text: str, charset: Charset) -> str:
    """Return ``text`` on one line."""
    return " ".join(block(text, charset).split())


def block(text: str, charset: Charset) -> str:
    """Return ``text`` with its line ends. Characters outside the charset lose their accents or become ``?``."""
    allowed = _FORBIDDEN.sub("", unicodedata.normalize("NFC", text)).replace("\r\n", "\n").replace("\r", "\n")
    if charset == "utf-8":
        return allowed
    return "".join(map(_latin, allowed))


def cut(text: str, limit: int) -> str:
    """Return at most ``limit`` characters of ``text``, without splitting combined characters or emoji."""
    if len(text) <= limit:
        return text
    end = limit
    while end > 0 and (_goes_on(text[end]) or text[end - 1] == "\u200d"):
        end -= 1
    # A text of combining marks only is cut at the limit.
    return text[: end or limit].rstrip()


def _goes_on(character: str) -> bool:
    return unicodedata.combining(character) != 0 or character in _JOINERS or "\U0001f3fb" <= character <= "\U0001f3ff"


def _latin(character: str) -> str:
    if character <= "\xff":
        return character
    base = "".join(part for part in unicodedata.normalize("NFKD", character) if not unicodedata.combining(part))
    return base if base and max(base) <= "\xff" else "?"
