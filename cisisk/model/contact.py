"""People in the directories, and how they are found by name and by number."""

import re
import unicodedata
from dataclasses import dataclass

from cisisk.model.clock import Timestamp

_ACCENTS = re.compile("[\u0300-\u036f]")
"""The combining diacritical marks of Latin, Greek and Cyrillic. Those of other scripts tell letters apart: without
theirs a Japanese ga would be a ka."""
_NOT_DIALLED = re.compile(r"[^0-9*#]")
_NUMBER = re.compile(r"[0-9*#+()./\s-]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Contact:
    """Somebody in a directory.

    Attributes:
        work: a number as somebody wrote it, as ``mobile`` and ``home`` are.
        revision: counts the changes.
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
    """Somebody in a user's own directory.

    Attributes:
        position: where in it, from 1.
    """

    user_uuid: str
    position: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CompanyContact(Contact):
    """Somebody in the directory that all phones show."""

    department: str | None = None
    company: str | None = None
    location: str | None = None
    building: str | None = None


def folded(text: str) -> str:
    """``text`` as it is searched and sorted: case, accents, widths and blanks make no difference.

    ``JOSÉ`` is ``jose``, ``Groß`` is ``gross``, half-width katakana are the usual ones: the caseless match of Unicode
    (section 3.13, D146), and keypads have no accents.
    """
    caseless = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", text).casefold())
    return " ".join(unicodedata.normalize("NFKC", _ACCENTS.sub("", caseless)).split())


def digits(number: str) -> str:
    """What of ``number`` is dialled: digits, ``*`` and ``#``; separators and a leading ``+`` make no difference."""
    return _NOT_DIALLED.sub("", unicodedata.normalize("NFKC", number))


def is_number(text: str) -> bool:
    """Whether ``text`` can be a number, or part of one."""
    return _NUMBER.fullmatch(unicodedata.normalize("NFKC", text)) is not None
