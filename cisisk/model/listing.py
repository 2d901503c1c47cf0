"""A list as a client asks for it, and the page that answers."""

from dataclasses import dataclass
from typing import Generic, TypeVar

_Item = TypeVar("_Item")


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """Which part of a list is wanted.

    Attributes:
        limit: at most so many; None for all.
        q: text that one of the searched columns must contain.
        sort: a column, with ``-`` before it for the reverse order.
    """

    limit: int | None = None
    offset: int = 0
    q: str | None = None
    sort: str | None = None


@dataclass(frozen=True, slots=True)
class Page(Generic[_Item]):
    """The wanted part, and how many there are in all."""

    items: list[_Item]
    total: int
