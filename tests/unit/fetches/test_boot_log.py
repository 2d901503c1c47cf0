"""Reads of the fetch log for the boots of a phone."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from cisisk.fetches.boot_log import read_boots
from cisisk.model.clock import now, timestamp
from cisisk.model.mac import Mac
from cisisk.model.profile import Profile
from cisisk.model.restart import Attempt, RestartOutcome
from cisisk.model.user import SYSTEM
from cisisk.store import fetches, phones, progress
from cisisk.store.database import Database
from cisisk.store.fetches import LoggedFetch
from cisisk.store.transaction import Read, Write
from tests.unit.plans import plan


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


async def test_phone_that_switches_restarted_does_not_keep_starting(db: Database, mac: Mac, profile: Profile) -> None:
    """Each boot takes the same config, because each switch was to the same profile."""
    begin = datetime.now(UTC) - timedelta(minutes=10)
    for minute in range(0, 8, 2):
        deployment = await db.write(progress.record, SYSTEM, plan(mac, profile, b"<device/>"), None)
        await db.write(progress.written, SYSTEM, deployment, now())
        await db.write(progress.restart_tried, deployment, Attempt(RestartOutcome.ACCEPTED, "sip-notify"), "reset")
        asked = timestamp(begin + timedelta(minutes=minute))
        await db.write(Write.rows, "UPDATE deployment_steps SET at = ? WHERE deployment = ?", (asked, deployment.uuid))
        started = timestamp(begin + timedelta(minutes=minute, seconds=20))
        whole = ("completed", "0" * 64, 12_000, 12_000, 24, 0, 0.1, "{}")
        row = (started, "tftp", "192.0.2.7", 49152, "192.0.2.5", mac.config_name, mac.digits, *whole)
        await db.write(fetches.add, [row])
    found = [finding.notice.code for boot in await read_boots(db, mac) for finding in boot.findings]
    assert found.count("configured") == 4
    assert "keeps_starting" not in found
    await db.write(Write.rows, "DELETE FROM deployment_steps", ())
    found = [finding.notice.code for boot in await read_boots(db, mac) for finding in boot.findings]
    assert found.count("keeps_starting") == 2
