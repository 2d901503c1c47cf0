"""A tool that guesses MAC addresses (SeeYouCM-Thief) searches for configs over TFTP and HTTP while phones boot."""

import asyncio
import logging
import random
import time
from collections.abc import AsyncIterator, Awaitable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from cisisk.fetches.tracker import FetchTracker
from cisisk.model.listing import Listing
from cisisk.model.mac import Mac
from cisisk.provisioning.access.alarm import AlarmKind
from cisisk.provisioning.access.policy import AccessPolicy, Mode
from cisisk.provisioning.access.sources import SETTLE_SECONDS
from cisisk.provisioning.access.watch import AccessWatch
from cisisk.provisioning.http.server import HttpServer
from cisisk.provisioning.library import Library
from cisisk.provisioning.tftp.server import TftpServer
from cisisk.simulator import tftp_client
from cisisk.simulator.tftp_download import FileAbsent
from cisisk.store import audit, migrations
from cisisk.store.database import Database

PHONES, NEIGHBOURS, WORKERS = 500, 4096, 40
BLOCK = 0x001122ABC000
"""The MACs of the phones differ in the last three digits, as in one delivery."""
THIEF = "127.66.6.6"
LONG_TIMEOUTS = tftp_client.TftpRetry(interval=30.0)
"""Long timeouts, because the test counts requests and repeated ones would count too."""


@dataclass
class ProvisioningSite:
    """A TFTP and an HTTP server with one access policy and a store."""

    mode: Mode
    root: Path
    db: Database
    ahead: float = 0.0
    macs: list[Mac] = field(default_factory=list)

    def start(self) -> None:
        chosen = random.Random(4096).sample(range(NEIGHBOURS), PHONES)
        self.macs = [Mac(f"{BLOCK + number:012X}") for number in chosen]
        for mac in self.macs:
            (self.root / mac.config_name).write_text(f"<device>{mac.device_name}</device>" * 30)
        (self.root / "Ringlist.xml").write_text("<CiscoIPPhoneRinglist/>")
        self.library = Library(self.root)
        self.policy = AccessPolicy(self.library, self.mode, clock=lambda: time.monotonic() + self.ahead)
        self.contacts = FetchTracker(self.db, self.policy.believes)
        self.watch = AccessWatch(self.db, self.policy)
        both: dict[str, Any] = {"host": "127.0.0.1", "port": 0, "source": self.policy, "on_fetch": self.contacts.note}
        self.tftp, self.http = TftpServer(max_transfers=4096, **both), HttpServer(**both)
        self.tftp.start()
        self.http.start()

    async def stop(self) -> None:
        await self.http.stop(0)
        await asyncio.to_thread(self.tftp.stop, 0)
        self.library.close()

    def home(self, mac: Mac) -> str:
        """Return the phone's own address."""
        number = self.macs.index(mac)
        return f"127.1.{number >> 8}.{number & 255}"

    async def over_tftp(self, name: str, host: str) -> bytes | None:
        with suppress(FileAbsent):
            return await tftp_client.fetch(name, server=self.tftp.address, local=(host, 0), retry=LONG_TIMEOUTS)
        return None

    async def over_http(self, name: str, host: str) -> bytes | None:
        reader, writer = await asyncio.open_connection(*self.http.address, local_addr=(host, 0))
        writer.write(f"GET /{name} HTTP/1.1\r\nHost: cisisk:6970\r\nConnection: close\r\n\r\n".encode())
        answer = await reader.read(-1)
        writer.close()
        await writer.wait_closed()
        head, _, body = answer.partition(b"\r\n\r\n")
        return body if head.split()[1] == b"200" else None

    async def boot(self, mac: Mac) -> None:
        """Fetch the files of one phone over HTTP or TFTP."""
        fetch = self.over_http if int(mac.digits, 16) % 2 else self.over_tftp
        assert await fetch(f"CTLSEP{mac.digits}.tlv", self.home(mac)) is None
        config = await fetch(mac.config_name, self.home(mac))
        assert config == (self.root / mac.config_name).read_bytes()
        assert await fetch("Ringlist.xml", self.home(mac)) is not None

    async def update_policy(self) -> None:
        """Pass the observed addresses of the phones to the policy."""
        await self.contacts.store_pending()
        await self.watch.refresh()


@pytest.fixture(params=[Mode.PIN, Mode.OBSERVE])
async def site(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[ProvisioningSite]:
    await asyncio.to_thread(migrations.migrate, tmp_path / "cisisk.db", migrations.steps())
    (tmp_path / "tftpboot").mkdir()
    async with Database.open((tmp_path / "cisisk.db").as_uri()) as db:
        made = ProvisioningSite(request.param, tmp_path / "tftpboot", db)
        made.start()
        yield made
        await made.stop()


async def all_of(work: Iterable[Awaitable[object]], workers: int) -> None:
    waiting = iter(work)

    async def one() -> None:
        for each in waiting:
            await each

    await asyncio.gather(*(one() for _ in range(workers)))


async def test_search_for_configs_finds_none_and_raises_alarm(
    site: ProvisioningSite, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="cisisk.provisioning.access")
    await all_of(map(site.boot, site.macs), WORKERS)
    await site.update_policy()
    assert len(site.policy._addresses) == PHONES
    loot: dict[str, bytes] = {}

    async def steal(name: str) -> None:
        for fetch in (site.over_tftp, site.over_http):
            content = await fetch(name, THIEF)
            if content is not None:
                loot[name] = content

    names = [f"SEP{BLOCK + number:012X}.cnf.xml" for number in range(NEIGHBOURS)]
    await asyncio.gather(all_of(map(steal, names), WORKERS), all_of(map(site.boot, site.macs), 8))
    await steal("ConfigFileCacheList.txt")
    await site.update_policy()
    site.ahead += SETTLE_SECONDS
    await site.watch.write_alarms()
    site.ahead += 60
    await site.watch.write_alarms()

    (alarm,) = site.watch.alarms
    assert (alarm.kind, alarm.host, alarm.asked) == (AlarmKind.ENUMERATION, THIEF, 2 * NEIGHBOURS + 2)
    assert alarm.devices == NEIGHBOURS + 1
    assert sorted(alarm.refused) == sorted(map(str, site.macs))
    if site.mode is Mode.PIN:
        assert loot == {}
    else:
        assert loot.keys() == {mac.config_name for mac in site.macs}
        assert alarm.is_observed
    (line,) = caplog.messages
    assert f"access_enumeration host={THIEF} devices=4097 " in line
    entries = await site.db.read(audit.entries, Listing())
    (row,) = [entry for entry in entries.items if entry.action == "access.enumeration"]
    assert (row.ip, row.entity_uuid, len(row.payload["refused"])) == (THIEF, THIEF, PHONES)
    # Every phone kept its address and still boots.
    assert {host for hosts in site.policy._addresses.values() for host in hosts} == {
        site.home(mac) for mac in site.macs
    }
    await all_of(map(site.boot, site.macs[:50]), 8)
