"""A listing that all who ask for it at the same time share. With thousands of phones it is long."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

_T = TypeVar("_T")


class SharedListing(Generic[_T]):
    """Lists for several callers at once.

    A caller gets a listing that began after its call. Those who call while one is under way share the next one.
    """

    def __init__(self) -> None:
        self._asking = asyncio.Lock()
        self._calls = self._answered = self._waiting = 0
        self._listed: _T | None = None

    async def get(self, fetch: Callable[[], Awaitable[_T]]) -> _T:
        """Return what ``fetch`` returns, or what it returned to another caller. Raises whatever it raises."""
        self._calls += 1
        self._waiting += 1
        call = self._calls
        try:
            async with self._asking:
                if self._listed is None or self._answered < call:
                    calls = self._calls
                    self._listed = await fetch()
                    self._answered = calls
                return self._listed
        finally:
            self._waiting -= 1
            if not self._waiting:
                self._listed = None
