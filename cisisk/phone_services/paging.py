"""Long lists in pages, which phones cannot do by themselves."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from cisisk.phone_services.objects import SoftKey

MAX_START = 1_000_000
"""Nobody has longer lists, and no digits more fit into the URLs."""

_Item = TypeVar("_Item")


@dataclass(frozen=True, slots=True, kw_only=True)
class Part(Generic[_Item]):
    """One page of a list.

    Attributes:
        start: how many come before it.
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
        return f"{self.start + 1}-{self.start + len(self.items)} of {self.total}" if self.items else f"{self.total}"

    def keys(self, url_at: Callable[[int], str]) -> list[SoftKey]:
        """Next and Back, where there is such a page. ``url_at`` makes the URL of the page that starts there."""
        keys = []
        if self.start + self.size < self.total:
            keys.append(SoftKey("Next", url_at(self.start + self.size)))
        if self.start:
            # Whoever looks at the last page while the list shrinks comes back to where something is.
            before = min(self.start, self.total) - self.size
            keys.append(SoftKey("Back", url_at(max(0, before))))
        return keys


def start_from(text: str) -> int:
    """Where a page starts, from its URL; 0 for what is no such number."""
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= 7 and int(text) <= MAX_START else 0
