"""Measure the cost of the fetch log: ``python -m tests.bench.fetch_log``.

Passes the fetches of a boot storm through the fetch log in batches, as the appliance does, into a database on disk.
Inserts the same rows with ``executemany`` into an equal table of another database. Alternates both for several rounds
and prints medians and their ratio. The calling thread corresponds to the event loop of the appliance.
"""

import argparse
import asyncio
import itertools
import sqlite3
import statistics
import tempfile
import time
from contextlib import closing
from pathlib import Path

from cisisk.config import FetchLogSettings as Settings
from cisisk.fetches.discovery import PhoneDiscovery
from cisisk.fetches.log import FetchLog, _row
from cisisk.model.clock import now
from cisisk.model.mac import Mac
from cisisk.provisioning.fetch import Fetch, FetchOutcome
from cisisk.store import migrations
from cisisk.store.database import Database
from cisisk.store.fetches import _INSERT
from cisisk.store.transaction import Write

BATCH = 500
"""Fetches within a tenth of a second of a storm of 5,000 a second."""
ASKED = ("CTLSEP{}.tlv", "ITLSEP{}.tlv", "SEP{}.cnf.xml", "/mk-sip.jar")


def main() -> int:
    """Parse the command line and measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fetches", type=int, default=20_000, help="of one round (20000)")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--in", type=Path, dest="directory", help="where the databases are made; the disk counts")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="fetch-log-", dir=asked.directory) as made:
        asyncio.run(measure(Path(made), asked.fetches, asked.rounds))
    return 0


def storm(count: int, turn: int) -> list[Fetch]:
    """Return fetches of boots of different phones; one in four files exists."""
    fetches = []
    for number, name in zip(range(count), itertools.cycle(ASKED), strict=False):
        mac = Mac(f"{0x001122000000 + turn * count + number // len(ASKED):012X}")
        there = name.startswith("SEP")
        fetches.append(
            Fetch(
                protocol="tftp",
                started_at=now(),
                peer=(f"10.{turn}.{number // 1024 % 256}.{number // 4 % 256}", 49152),
                local="192.0.2.5",
                name=name.format(mac.digits),
                outcome=FetchOutcome.COMPLETED if there else FetchOutcome.ABSENT,
                sha256="0" * 64 if there else None,
                size=12_000 if there else 0,
                acknowledged=12_000 if there else 0,
                blocks=24 if there else 0,
                duration=0.05,
            )
        )
    return fetches


async def measure(workshop: Path, count: int, rounds: int) -> None:
    """Run all rounds and print the results."""
    ours, bare = workshop / "cisisk.db", workshop / "bare.db"
    for path in (ours, bare):
        migrations.migrate(path, migrations.steps())
    figures: dict[str, list[float]] = {}
    async with Database.open(ours.absolute().as_uri()) as db:
        # All phones are in the inventory, as in normal operation. Discovery is not measured.
        for turn in range(rounds):
            fetches = storm(count, turn)
            await _inventory(db, fetches)
            await _through_the_log(db, fetches, figures)
            _bare(bare, fetches, figures)
            _loop_share(db, fetches, figures)
    with closing(sqlite3.connect(ours)) as store:
        store.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        [[rows]] = store.execute("SELECT COUNT(*) FROM fetches")
    figures["bytes a row on the disk"] = [ours.stat().st_size / rows]
    for name, values in figures.items():
        print(f"{name:44}{statistics.median(values):12.2f}")
    ratio = statistics.median(a / b for a, b in zip(figures["log: rows/s"], figures["bare: rows/s"], strict=True))
    print(f"{'rows/s, log to bare':44}{ratio:12.2f}")


async def _inventory(db: Database, fetches: list[Fetch]) -> None:
    macs = {fetch.name[-20:-8] for fetch in fetches if fetch.name.startswith("SEP")}
    await db.write(
        Write.many,
        "INSERT INTO phones (mac, created_at, updated_at) VALUES (?, ?, ?)",
        [(mac, now(), now()) for mac in macs],
    )


async def _through_the_log(db: Database, fetches: list[Fetch], figures: dict[str, list[float]]) -> None:
    fetch_log = FetchLog(db, Settings(), PhoneDiscovery(db))
    with _timed(figures, len(fetches), "log: "):
        for at in range(0, len(fetches), BATCH):
            fetch_log.take(fetches[at : at + BATCH])
            await fetch_log.store_pending()


def _bare(path: Path, fetches: list[Fetch], figures: dict[str, list[float]]) -> None:
    rows = [_row(fetch) for fetch in fetches]
    with closing(sqlite3.connect(path, isolation_level=None)) as store:
        store.execute("PRAGMA synchronous = FULL")
        with _timed(figures, len(fetches), "bare: "):
            for at in range(0, len(rows), BATCH):
                store.execute("BEGIN IMMEDIATE")
                store.executemany(_INSERT, rows[at : at + BATCH])
                store.execute("COMMIT")


def _loop_share(db: Database, fetches: list[Fetch], figures: dict[str, list[float]]) -> None:
    """Measure the share of the event loop: handing over a batch."""
    fetch_log = FetchLog(db, Settings(), PhoneDiscovery(db))
    began = time.thread_time()
    for at in range(0, len(fetches), BATCH):
        fetch_log.take(fetches[at : at + BATCH])
    figures.setdefault("hand-over: us/fetch", []).append((time.thread_time() - began) / len(fetches) * 1e6)


class _timed:  # noqa: N801 -- reads as a verb
    def __init__(self, figures: dict[str, list[float]], count: int, label: str) -> None:
        self._figures, self._count, self._label = figures, count, label

    def __enter__(self) -> None:
        self._wall, self._thread, self._process = time.perf_counter(), time.thread_time(), time.process_time()

    def __exit__(self, *_: object) -> None:
        for name, clock, began in (
            ("us/fetch, calling thread", time.thread_time, self._thread),
            ("us/fetch, whole process", time.process_time, self._process),
            ("us/fetch, wall", time.perf_counter, self._wall),
        ):
            self._figures.setdefault(self._label + name, []).append((clock() - began) / self._count * 1e6)
        rate = self._count / (time.perf_counter() - self._wall)
        self._figures.setdefault(self._label + "rows/s", []).append(rate)


if __name__ == "__main__":
    raise SystemExit(main())
