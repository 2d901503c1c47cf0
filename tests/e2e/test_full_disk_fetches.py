"""Phones fetch while the disk is full: they get their files, and Cisisk logs once that the fetch log has gaps."""

import logging
import re

import pytest

from cisisk.model.errors import StorageFailed
from cisisk.simulator import tftp_client
from cisisk.store import fetches
from cisisk.store.database import Database
from tests.e2e.database_writes import Write, around
from tests.e2e.running_site import Site, open_site, settings_for, until
from tests.e2e.test_full_disk import Disk, disk

__all__ = ["disk"]

NOT_LOGGED = "fetches not logged"
NOT_TRACKED = "fetches not tracked"
TRACKED_AGAIN = "fetches tracked again"
AGAIN = re.compile(r"fetches logged again: lost=(\d+)")
REFUSALS = 5
"""Batches that the database refuses before the disk is cleared."""


async def fetch_twice(site: Site, name: str) -> tuple[bytes, bytes]:
    """Fetch a file over HTTP and over TFTP."""
    assert site.running.provisioning_http_address
    assert site.running.tftp_address
    host, port = site.running.provisioning_http_address
    async with site.session.get(f"http://{host}:{port}/{name}") as response:
        over_http = await response.read()
    return over_http, await tftp_client.fetch(name, server=site.running.tftp_address, local=("127.0.0.1", 0))


async def logged(site: Site) -> int:
    _, answer = await site.call("GET", "/fetches?limit=1")
    return int(answer["metadata"]["total"])


async def test_fetches_on_full_disk_succeed_and_logging_resumes(
    disk: Disk, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    refusals, asked = 0, 0

    async def count_refusals(stored: Write) -> None:
        nonlocal refusals
        try:
            await stored()
        except StorageFailed:
            refusals += 1
            raise

    async def fetch_both() -> None:
        nonlocal asked
        assert await fetch_twice(site, mac.config_name) == (config, config)
        asked += 2

    monkeypatch.setattr(Database, "write", around(fetches.add, count_refusals))
    caplog.set_level(logging.WARNING, "cisisk")
    async with open_site(settings_for(disk.path)) as site:
        mac = site.new_mac()
        await site.switch(await site.profile("old"), mac)
        config = site.config("old").encode()
        disk.fill()
        await until(fetch_both, lambda _: refusals >= REFUSALS)
        assert caplog.text.count(NOT_LOGGED) == 1
        assert AGAIN.search(caplog.text) is None
        disk.clear()
        await until(fetch_both, lambda _: AGAIN.search(caplog.text) is not None)
        [missing] = map(int, AGAIN.findall(caplog.text))
        assert REFUSALS <= missing < asked
        assert await until(lambda: logged(site), lambda count: count >= asked - missing) == asked - missing
        assert (await site.data("GET", "/health"))["status"] == "ok"
    assert [caplog.text.count(line) for line in (NOT_LOGGED, NOT_TRACKED, TRACKED_AGAIN)] == [1, 1, 1]
