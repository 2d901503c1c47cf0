"""The part of a list that a client requests, and the page that answers it."""

from dataclasses import dataclass
from typing import Generic, TypeVar

_Item = TypeVar("_Item")


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """The requested part of a list.

    Attributes:
        limit: the maximum number of items; None for all.
        q: a text that at least one searched column must contain.
        sort: a column, with a leading ``-`` for the reverse order.
    """

    limit: int | None = None
    offset: int = 0
    q: str | None = None
    sort: str | None = None


@dataclass(frozen=True, slots=True)
class Page(Generic[_Item]):
    """The requested items, and the total number of items."""

    items: list[_Item]
    total: int
