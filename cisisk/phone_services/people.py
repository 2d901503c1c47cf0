"""How people of both directories appear on a phone."""

import re
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from cisisk.model.codes.phone_screen import ScreenProblem
from cisisk.model.contact import CompanyContact, Contact, digits
from cisisk.phone_services.characters import line
from cisisk.phone_services.links import MAX_NUMBER, searchable
from cisisk.phone_services.objects import MAX_SHORT, DirectoryEntry, InputItem
from cisisk.phone_services.paging import start_from
from cisisk.phone_services.problems import NotShown
from cisisk.phone_services.request import PhoneRequest

NUMBERS = (("Work", "work"), ("Mobile", "mobile"), ("Home", "home"))
SEARCH_ITEMS = (
    InputItem(label="Name", parameter="n", flags="A"),
    InputItem(label="Number", parameter="d", flags="T"),
)
_COMPANY_LINES = (
    ("Department", "department"),
    ("Company", "company"),
    ("Location", "location"),
    ("Building", "building"),
)
_SEPARATORS = re.compile(r"[\s()./-]")
_TRUNK_ZERO = re.compile(r"^(\+.*)\(0\)")
_DIALABLE = re.compile(r"\+?[0-9*#]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where somebody is in a directory: in the whole of it, or among what a search has found.

    Attributes:
        start: how many come before.
        name, number: what was searched for.
    """

    start: int
    name: str
    number: str

    @property
    def parameters(self) -> dict[str, str]:
        """As they stand in URLs."""
        return {"start": str(self.start or ""), "n": self.name, "d": self.number}

    def at(self, start: int) -> dict[str, str]:
        """The parameters of another page of the same list."""
        return {**self.parameters, "start": str(start or "")}

    @property
    def searched(self) -> str:
        """What was searched for, to be shown."""
        return " ".join(text for text in (self.name, self.number) if text)


def place(asked: PhoneRequest) -> Place:
    """Where the phone is, as the URL says."""
    return Place(
        start=start_from(asked.get("start")),
        name=searchable(asked.get("n")),
        number=searchable(digits(asked.get("d")), MAX_NUMBER),
    )


def dialable(number: str | None) -> str:
    """What a phone dials for ``number``; empty when it cannot be. Never a part of it, which is another number."""
    plain = unicodedata.normalize("NFKC", number or "")
    plain = _SEPARATORS.sub("", _TRUNK_ZERO.sub(r"\1", plain))
    return plain if _DIALABLE.fullmatch(plain) and len(plain) <= MAX_SHORT else ""


def entries(people: Iterable[Contact]) -> list[DirectoryEntry]:
    """Each with the first number that can be dialled."""
    return [
        DirectoryEntry(person.name, next(filter(None, (dialable(getattr(person, key)) for _, key in NUMBERS)), ""))
        for person in people
    ]


def numbers(person: Contact) -> list[DirectoryEntry]:
    """The number picker. Raises NotShown: there is none to pick."""
    dialled = [(label, dialable(getattr(person, key))) for label, key in NUMBERS]
    found = [DirectoryEntry(label, number) for label, number in dialled if number]
    if not found:
        raise NotShown(ScreenProblem.NO_NUMBER, name=line(person.name, "utf-8"))
    return found


def details(person: Contact) -> str:
    """All that is known of somebody, line by line."""
    return "\n".join(_lines(person))


def _lines(person: Contact) -> Iterator[str]:
    yield line(person.name, "utf-8")
    known = [*NUMBERS, ("Email", "email"), *(_COMPANY_LINES if isinstance(person, CompanyContact) else ())]
    for label, key in known:
        if value := getattr(person, key):
            yield f"{label}: {line(value, 'utf-8')}"
