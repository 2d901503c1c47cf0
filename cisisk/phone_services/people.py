"""The contacts of both directories as a phone shows them."""

import re
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from cisisk.model.contact import CompanyContact, Contact, digits
from cisisk.phone_services.characters import line
from cisisk.phone_services.links import MAX_NUMBER, searchable
from cisisk.phone_services.objects import MAX_SHORT, DirectoryEntry, InputItem
from cisisk.phone_services.paging import start_from
from cisisk.phone_services.problems import NotShown
from cisisk.phone_services.request import PhoneRequest
from cisisk.phone_services.texts import ScreenLabel, ScreenProblem, ScreenText, Words

NUMBERS = ((ScreenLabel.WORK, "work"), (ScreenLabel.MOBILE, "mobile"), (ScreenLabel.HOME, "home"))
"""The fields with numbers: label and attribute."""
SEARCH_ITEMS = (
    InputItem(label=ScreenLabel.NAME, parameter="n", flags="A"),
    InputItem(label=ScreenLabel.NUMBER, parameter="d", flags="T"),
)
_COMPANY_LINES = (
    (ScreenLabel.DEPARTMENT, "department"),
    (ScreenLabel.COMPANY, "company"),
    (ScreenLabel.LOCATION, "location"),
    (ScreenLabel.BUILDING, "building"),
)
_SEPARATORS = re.compile(r"[\s()./-]")
_TRUNK_ZERO = re.compile(r"^(\+.*)\(0\)")
_DIALABLE = re.compile(r"\+?[0-9*#]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A position in a directory, or in the results of a search.

    Attributes:
        start: the number of contacts before it.
        name, number: the searched texts; empty without a search.
    """

    start: int
    name: str
    number: str

    @property
    def parameters(self) -> dict[str, str]:
        """The URL parameters."""
        return {"start": str(self.start or ""), "n": self.name, "d": self.number}

    def at(self, start: int) -> dict[str, str]:
        """Return the URL parameters of another page of the same list."""
        return {**self.parameters, "start": str(start or "")}

    @property
    def searched(self) -> str:
        """The searched texts, for people."""
        return " ".join(text for text in (self.name, self.number) if text)

    @property
    def empty_text(self) -> Words:
        """The text of a list without contacts."""
        return ScreenText.NO_MATCH.notice(searched=self.searched) if self.searched else ScreenText.NO_CONTACTS_YET


def place(request: PhoneRequest) -> Place:
    """Return the position in the URL of a request."""
    return Place(
        start=start_from(request.get("start")),
        name=searchable(request.get("n")),
        number=searchable(digits(request.get("d")), MAX_NUMBER),
    )


def dialable(number: str | None) -> str:
    """Return the dialable form of ``number``, or an empty text. A number is never shortened."""
    plain = unicodedata.normalize("NFKC", number or "")
    plain = _SEPARATORS.sub("", _TRUNK_ZERO.sub(r"\1", plain))
    return plain if _DIALABLE.fullmatch(plain) and len(plain) <= MAX_SHORT else ""


def entries(people: Iterable[Contact]) -> list[DirectoryEntry]:
    """Return directory entries, each with the first dialable number."""
    return [
        DirectoryEntry(person.name, next(filter(None, (dialable(getattr(person, key)) for _, key in NUMBERS)), ""))
        for person in people
    ]


def numbers(person: Contact) -> list[DirectoryEntry]:
    """Return the dialable numbers of a contact. Raises NotShown if there are none."""
    dialled = [(label, dialable(getattr(person, key))) for label, key in NUMBERS]
    found = [DirectoryEntry(label, number) for label, number in dialled if number]
    if not found:
        raise NotShown(ScreenProblem.NO_NUMBER, name=line(person.name, "utf-8"))
    return found


def details(person: Contact) -> tuple[Words, ...]:
    """Return all fields of a contact as lines."""
    return tuple(_lines(person))


def _lines(person: Contact) -> Iterator[Words]:
    yield line(person.name, "utf-8")
    known = [*NUMBERS, (ScreenLabel.EMAIL, "email"), *(_COMPANY_LINES if isinstance(person, CompanyContact) else ())]
    for label, key in known:
        if value := getattr(person, key):
            yield ScreenText.FIELD.notice(field=label.notice(), value=line(value, "utf-8"))
