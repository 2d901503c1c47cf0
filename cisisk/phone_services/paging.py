"""Long lists in pages, which phones cannot do by themselves."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from cisisk.model.listing import Page
from cisisk.phone_services.objects import SoftKey

MAX_START = 1_000_000
"""Nobody has longer lists, and no digits more fit into the URLs."""

_Item = TypeVar("_Item")


@dataclass(frozen=True, slots=True, kw_only=True)
class ListPart(Generic[_Item]):
    """One page of a list.

    Attributes:
        start: how many come before it; never all of them, unless there are none.
        size: how many a page has.
        total: how many there are on all pages.
    """

    items: Sequence[_Item]
    start: int
    size: int
    total: int

    @property
    def prompt(self) -> str:
        """``33-64 of 101``; empty when all is on one page."""
        if not self.start and self.total <= self.size:
            return ""
        return f"{self.start + 1}-{self.start + len(self.items)} of {self.total}"

    def keys(self, url_at: Callable[[int], str]) -> list[SoftKey]:
        """Next and Back, where there is such a page. ``url_at`` makes the URL of the page that starts there."""
        keys = []
        if self.start + self.size < self.total:
            keys.append(SoftKey("Next", url_at(self.start + self.size)))
        if self.start:
            keys.append(SoftKey("Back", url_at(max(0, self.start - self.size))))
        return keys


async def part_from(find: Callable[[int], Awaitable[Page[_Item]]], start: int, size: int) -> ListPart[_Item]:
    """The page that starts at ``start``; of a list that has shrunk meanwhile the last one.

    Args:
        find: gives what comes after so many, as many as a page has.
    """
    found = await find(start)
    if start >= found.total:
        start = last_start(found.total, size)
        found = await find(start)
    return ListPart(items=found.items, start=start, size=size, total=found.total)


def last_start(total: int, size: int) -> int:
    """Where the last page of a list starts."""
    return max(0, total - 1) // size * size


def start_from(text: str) -> int:
    """Where a page starts, from its URL; 0 for what is no such number."""
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= 7 and int(text) <= MAX_START else 0
