import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from cisisk.config import FetchLogSettings as Settings
from cisisk.fetches import discovery
from cisisk.fetches.discovery import PhoneDiscovery, is_credible
from cisisk.fetches.log import FetchLog, FetchLogLimits, presentable
from cisisk.model.clock import now, timestamp
from cisisk.model.listing import Listing
from cisisk.model.mac import Mac
from cisisk.model.user import SYSTEM
from cisisk.provisioning.fetch import Fetch, FetchOutcome
from cisisk.store import fetches, phones
from cisisk.store.database import Database
from cisisk.store.fetches import LoggedFetch, Stranger, Wanted
from cisisk.store.phones import Sighting
from cisisk.store.transaction import Read
from tests.patience import PATIENCE


@pytest.fixture
def log(db: Database) -> FetchLog:
    return FetchLog(db, Settings(), PhoneDiscovery(db))


def fetch(name: str, outcome: FetchOutcome = FetchOutcome.ABSENT, *, ip: str = "192.0.2.7", **more: Any) -> Fetch:
    values: dict[str, Any] = {"protocol": "tftp", "started_at": now(), **more}
    return Fetch(peer=(ip, 1024), local="192.0.2.5", name=name, outcome=outcome, **values)


async def logged(db: Database) -> list[LoggedFetch]:
    """Return the logged fetches, the oldest first."""
    return (await db.read(fetches.page, Listing(), Wanted())).items[::-1]


async def stored(log: FetchLog, *batch: Fetch) -> None:
    log.take(list(batch))
    await log.store_pending()
    await log.look()


async def until(condition: Callable[[], Awaitable[object]]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not await condition():  # noqa: ASYNC110 -- no event for it
            await asyncio.sleep(0.005)


@asynccontextmanager
async def running(log: FetchLog) -> AsyncIterator[None]:
    task = asyncio.create_task(log.run())
    await asyncio.sleep(0)  # a task that is cancelled before its start runs no clean-up
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()


# The log


async def test_log_stores_every_attribute(log: FetchLog, db: Database, mac: Mac) -> None:
    moment = now()
    written = Fetch(
        protocol="http",
        started_at=moment,
        peer=("192.0.2.7", 1024),
        local="192.0.2.5",
        name=f"/{mac.config_name.lower()}",
        outcome=FetchOutcome.TIMED_OUT,
        sha256="a" * 64,
        size=9,
        acknowledged=5,
        blocks=4,
        retransmits=3,
        duration=2.5,
        options=(("blksize", 1428), ("tsize", 9)),
    )
    await stored(log, written)
    [row] = await logged(db)
    assert row == LoggedFetch(
        number=1,
        started_at=moment,
        protocol="http",
        peer="192.0.2.7",
        port=1024,
        local="192.0.2.5",
        name=f"/{mac.config_name.lower()}",
        mac=mac,
        outcome="timed_out",
        sha256="a" * 64,
        size=9,
        acknowledged=5,
        blocks=4,
        retransmits=3,
        duration=2.5,
        options={"blksize": 1428, "tsize": 9},
    )


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("Ringlist.xml", "Ringlist.xml"),
        ("two\nlines\0", "two\\x0alines\\x00"),
        ("\udcff\u202e", "\\udcff\\u202e"),
        ("\N{SNOWMAN}", "\\u2603"),
        ("a" * 5000, "a" * 255),
        ("\n" * 5000, ("\\x0a" * 64)[:255]),
        ("", ""),
    ],
    ids=lambda text: ascii(text)[:20],
)
async def test_log_stores_odd_names_printable(log: FetchLog, db: Database, name: str, shown: str) -> None:
    assert presentable(name) == shown
    await stored(log, fetch(name))
    assert [row.name for row in await logged(db)] == [shown]


async def test_storm_is_logged_in_few_transactions(
    log: FetchLog, db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[None] = []
    write = db.write

    def counted(*args: Any, **kwargs: Any) -> Any:
        begun.append(None)
        return write(*args, **kwargs)

    monkeypatch.setattr(db, "write", counted)
    async with running(log):
        for batch in range(25):
            log.take([fetch(f"{batch} {number}") for number in range(200)])
        await until(lambda: _count_is(db, 5000))
    assert len(begun) < 50
    assert len({row.name for row in await logged(db)}) == 5000


async def _ends_with(db: Database, name: str) -> bool:
    """Return whether everything is stored and trimmed."""
    rows = await logged(db)
    return bool(rows) and rows[-1].name == name and len(rows) <= 1000


async def _count_is(db: Database, count: int) -> bool:
    row = await db.read(Read.row, "SELECT COUNT(*) AS count FROM fetches")
    assert row
    return int(row["count"]) == count


async def test_log_stores_queued_fetches_at_stop(log: FetchLog, db: Database) -> None:
    async with running(log):
        log.take([fetch("one")])
    log.take([fetch("two")])
    assert [row.name for row in await logged(db)] == ["one"]
    async with running(log):
        pass
    assert [row.name for row in await logged(db)] == ["one", "two"]


async def test_refused_fetches_are_lost_and_logged_once(
    log: FetchLog, db: Database, caplog: pytest.LogCaptureFixture
) -> None:
    await db._writer.execute("PRAGMA query_only = ON")
    for turn in range(3):
        await stored(log, fetch(f"a {turn}"), fetch(f"b {turn}"))
    assert [record.message.partition(":")[0] for record in caplog.records] == ["fetches not logged"]
    await db._writer.execute("PRAGMA query_only = OFF")
    await stored(log, fetch("again"))
    assert caplog.records[-1].message == "fetches logged again: lost=6"
    assert [row.name for row in await logged(db)] == ["again"]


async def test_log_deletes_old_and_excess_rows(db: Database) -> None:
    limits = FetchLogLimits(trim_seconds=0.0, trim_rows=7)
    log = FetchLog(db, Settings(days=2, rows=1000), PhoneDiscovery(db), limits)
    old = timestamp(datetime.now(UTC) - timedelta(days=3))
    async with running(log):
        log.take([*(fetch("old", started_at=old) for _ in range(50)), *(fetch(f"{each}") for each in range(1020))])
        await until(lambda: _ends_with(db, "1019"))
    assert [row.name for row in await logged(db)] == [str(each) for each in range(20, 1020)]


# PhoneDiscovery


async def known(db: Database, mac: Mac) -> Any:
    phone = await db.read(phones.find, mac)
    return phone and phone.discovery


async def test_unknown_phone_is_discovered_by_its_requests(log: FetchLog, db: Database, mac: Mac) -> None:
    await stored(log, fetch("term42.default.loads", FetchOutcome.COMPLETED), fetch(f"CTLSEP{mac.digits}.tlv"))
    assert await known(db, mac) is None
    await stored(log, fetch(f"{mac.config_name}.sgn"), fetch(mac.config_name, protocol="http"))
    found = await known(db, mac)
    assert (found.revealed.models, found.revealed.signed) == (("7942", "7962"), True)
    assert found.revealed.protocols == ("http", "tftp")


async def test_later_hints_are_added_to_discovered_phone(log: FetchLog, db: Database, mac: Mac) -> None:
    await db.write(phones.note_sightings, [Sighting(mac=mac, ip="192.0.2.7", seen_at=now(), proved=False)])
    await stored(log, fetch(f"CTLSEP{mac.digits}.tlv"), fetch(mac.config_name))
    assert (await known(db, mac)).revealed.models == ()
    await stored(log, fetch("SCCP42.9-4-2.loads"), fetch("other.loads", ip="192.0.2.8"))
    revealed = (await known(db, mac)).revealed
    assert (revealed.software, revealed.models, revealed.loads) == ("SCCP", ("7942", "7962"), ("sccp42.9-4-2",))


async def test_known_phone_is_not_discovered(log: FetchLog, db: Database, mac: Mac) -> None:
    await db.write(phones.create, SYSTEM, mac, {})
    await stored(log, fetch(f"CTLSEP{mac.digits}.tlv"), fetch(mac.config_name))
    assert await known(db, mac) is None


async def test_search_for_many_configs_discovers_few_phones(log: FetchLog, db: Database) -> None:
    macs = [Mac(f"AABBCCDD{number:04X}") for number in range(4096)]
    for protocol in ("tftp", "http"):
        await stored(log, *(fetch(mac.config_name, protocol=protocol) for mac in macs))
    for name in ("CTLSEP{}.tlv", "ITLSEP{}.tlv"):
        await stored(log, *(fetch(name.format(mac.digits)) for mac in macs))
    assert (await db.read(phones.page, Listing())).total == 0


async def test_slow_search_stops_at_limit_of_address(log: FetchLog, db: Database) -> None:
    for number in range(20):
        digits = f"AABBCCDD{number:04X}"
        await stored(log, fetch(f"CTLSEP{digits}.tlv"), fetch(f"SEP{digits}.cnf.xml"))
    assert (await db.read(phones.page, Listing())).total == discovery.MAX_OF_ADDRESS


@pytest.mark.parametrize(
    ("facts", "credible"),
    [
        ({}, False),
        ({"names": 2}, True),
        ({"proved": True}, True),
        ({"seen_at": "2026-06-28T12:00:19.999Z"}, False),
        ({"seen_at": "2026-06-28T12:00:20.000Z"}, True),
    ],
)
def test_is_credible_checks_names_repeats_and_proof(mac: Mac, facts: dict[str, Any], credible: bool) -> None:
    moment = "2026-06-28T12:00:00.000Z"
    values = {"seen_at": moment, "first_at": moment, "names": 1, "proved": False, **facts}
    assert is_credible(Stranger(mac=mac, peer="192.0.2.7", **values)) is credible
