"""Reads of the fetch log for the boots of a phone."""

from collections.abc import Callable
from typing import Any

import pytest

from cisisk.fetches.boot_log import read_boots
from cisisk.model.clock import now
from cisisk.model.mac import Mac
from cisisk.model.user import SYSTEM
from cisisk.store import fetches, phones
from cisisk.store.database import Database
from cisisk.store.fetches import LoggedFetch
from cisisk.store.transaction import Read


async def test_boot_log_reads_one_address_per_read(db: Database, mac: Mac, monkeypatch: pytest.MonkeyPatch) -> None:
    await db.write(phones.create, SYSTEM, mac, {})
    size = (None, 0, 0, 0, 0, 0.1, "{}")
    for peer in ("192.0.2.7", "192.0.2.8"):
        row = (now(), "tftp", peer, 49152, "192.0.2.5", mac.config_name, mac.digits, "absent", *size)
        await db.write(fetches.add, [row])
    read, newest = Database.read, fetches.newest_of_peer
    addresses_per_read: list[int] = []

    async def counted_read(self: Database, function: Callable[..., Any], *args: Any) -> Any:
        addresses_per_read.append(0)
        return await read(self, function, *args)

    def counted(tx: Read, peer: str, at_most: int) -> list[LoggedFetch]:
        addresses_per_read[-1] += 1
        return newest(tx, peer, at_most)

    monkeypatch.setattr(Database, "read", counted_read)
    monkeypatch.setattr(fetches, "newest_of_peer", counted)
    assert await read_boots(db, mac)
    assert sorted(addresses_per_read)[-2:] == [1, 1]
