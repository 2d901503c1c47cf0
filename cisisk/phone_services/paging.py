"""Pages of long lists: phones do not page by themselves."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from cisisk.model.listing import Page
from cisisk.phone_services.objects import SoftKey
from cisisk.phone_services.texts import ScreenLabel, Words

MAX_START = 1_000_000
"""Lists are shorter, and URLs have no room for more digits."""

_Item = TypeVar("_Item")


@dataclass(frozen=True, slots=True, kw_only=True)
class ListPart(Generic[_Item]):
    """One page of a list.

    Attributes:
        start: the number of items before this page; less than ``total``, or 0.
        size: the number of items on a full page.
        total: the number of items on all pages.
    """

    items: Sequence[_Item]
    start: int
    size: int
    total: int

    @property
    def prompt(self) -> Words:
        """A text such as ``33-64 of 101``; empty if all items are on one page."""
        if not self.start and self.total <= self.size:
            return ""
        last = self.start + len(self.items)
        return ScreenLabel.PAGE.notice(first=self.start + 1, last=last, total=self.total)

    def keys(self, url_at: Callable[[int], str]) -> list[SoftKey]:
        """Return the keys Next and Back, as far as these pages exist. ``url_at`` builds the URL for a start."""
        keys = []
        if self.start + self.size < self.total:
            keys.append(SoftKey(ScreenLabel.NEXT, url_at(self.start + self.size)))
        if self.start:
            keys.append(SoftKey(ScreenLabel.BACK, url_at(max(0, self.start - self.size))))
        return keys


async def part_from(find: Callable[[int], Awaitable[Page[_Item]]], start: int, size: int) -> ListPart[_Item]:
    """Return the page that starts at ``start``, or the last page if the list is shorter now.

    Args:
        find: returns the page after the given number of items.
    """
    found = await find(start)
    if start >= found.total:
        start = last_start(found.total, size)
        found = await find(start)
    return ListPart(items=found.items, start=start, size=size, total=found.total)


def last_start(total: int, size: int) -> int:
    """Return the start of the last page of a list."""
    return max(0, total - 1) // size * size


def start_from(text: str) -> int:
    """Return the start of a page from its URL parameter; 0 for invalid text."""
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= 7 and int(text) <= MAX_START else 0
