"""A blocked database writer."""

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from cisisk.store.database import Database
from cisisk.store.transaction import Write


@asynccontextmanager
async def writer_held(db: Database, sql: str = "SELECT 1") -> AsyncIterator[None]:
    """Run ``sql`` in a transaction that commits at the end of the block; later writes wait for it."""
    go_on, begun = threading.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()

    def hold(tx: Write) -> None:
        tx.rows(sql)
        loop.call_soon_threadsafe(begun.set)
        go_on.wait(10)

    holding = asyncio.create_task(db.write(hold))
    await begun.wait()
    try:
        yield
    finally:
        go_on.set()
        await holding
