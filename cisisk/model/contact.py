"""Directory contacts, and how searches compare names and numbers."""

import re
import unicodedata
from dataclasses import dataclass

from cisisk.model.clock import Timestamp

_ACCENTS = re.compile("[\u0300-\u036f]")
"""The combining diacritical marks of Latin, Greek and Cyrillic. In other scripts such marks distinguish letters:
without them a Japanese ga becomes a ka."""
_NOT_DIALLED = re.compile(r"[^0-9*#]")
_NUMBER = re.compile(r"[0-9*#+()./\s-]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Contact:
    """A directory contact.

    Attributes:
        work, mobile, home: numbers as they were entered.
        revision: the number of changes.
    """

    uuid: str
    name: str
    work: str | None = None
    mobile: str | None = None
    home: str | None = None
    email: str | None = None
    ringtone: str | None = None
    created_at: Timestamp
    updated_at: Timestamp
    revision: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class PersonalContact(Contact):
    """A contact in a user's personal directory.

    Attributes:
        position: in the directory, from 1.
    """

    user_uuid: str
    position: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CompanyContact(Contact):
    """A contact in the company directory, which all phones show."""

    department: str | None = None
    company: str | None = None
    location: str | None = None
    building: str | None = None


def folded(text: str) -> str:
    """Return ``text`` in the form that searches and sorts compare, without case, accents, widths and extra blanks.

    ``JOSÉ`` becomes ``jose``, ``Groß`` becomes ``gross``, half-width katakana become full-width ones. This is the
    caseless match of Unicode (section 3.13, D146) without accents, because keypads have none.
    """
    caseless = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", text).casefold())
    return " ".join(unicodedata.normalize("NFKC", _ACCENTS.sub("", caseless)).split())


def digits(number: str) -> str:
    """Return the dialled characters of ``number``: digits, ``*`` and ``#``, without separators and ``+``."""
    return _NOT_DIALLED.sub("", unicodedata.normalize("NFKC", number))


def is_number(text: str) -> bool:
    """Return whether ``text`` can be a number, or a part of one."""
    return _NUMBER.fullmatch(unicodedata.normalize("NFKC", text)) is not None
