"""A stand-in for ``Database.write`` that does something around the writes of one store function."""

from collections.abc import Awaitable, Callable
from typing import Any

from cisisk.store.database import Database

Write = Callable[[], Awaitable[Any]]


def around(function: Callable[..., Any], instead: Callable[[Write], Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    """Return a ``Database.write`` that hands each write of ``function`` to ``instead``, which may await it."""
    original = Database.write

    async def write(db: Database, called: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
        async def stored() -> Any:
            return await original(db, called, *arguments, **named)

        return await (instead(stored) if called is function else stored())

    return write
