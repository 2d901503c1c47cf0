import asyncio
import hashlib
import random
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import pytest

from cisisk.fetches.intake import FetchIntake
from cisisk.fetches.tracker import FetchTracker, TrackerLimits
from cisisk.model.clock import now
from cisisk.model.deployment import Deployment, DeploymentState
from cisisk.model.mac import Mac
from cisisk.model.profile import Profile
from cisisk.model.user import SYSTEM
from cisisk.provisioning.fetch import Fetch, FetchOutcome
from cisisk.store import deployments, phones, progress
from cisisk.store.database import Database
from cisisk.store.transaction import Read
from tests.patience import PATIENCE
from tests.unit.held_writer import writer_held
from tests.unit.plans import plan

CONFIG = b"<served/>"
SHA256 = hashlib.sha256(CONFIG).hexdigest()


@pytest.fixture
async def contacts(db: Database) -> FetchTracker:
    return FetchTracker(db)


@pytest.fixture
async def deployment(db: Database, mac: Mac, profile: Profile) -> Deployment:
    """Write a config that waits to be fetched."""
    recorded = await db.write(progress.record, SYSTEM, plan(mac, profile, CONFIG), None)
    await db.write(progress.written, SYSTEM, recorded, now())
    return recorded


def fetch(
    name: str,
    outcome: FetchOutcome = FetchOutcome.COMPLETED,
    *,
    ip: str = "192.0.2.7",
    sha256: str | None = SHA256,
    started_at: str | None = None,
) -> Fetch:
    return Fetch(
        protocol="tftp",
        started_at=started_at or now(),
        peer=(ip, 1024),
        local="192.0.2.5",
        name=name,
        outcome=outcome,
        sha256=sha256,
    )


async def stored(contacts: FetchTracker, *fetches: Fetch) -> None:
    for one in fetches:
        contacts.note(one)
    await contacts.store_pending()


async def test_disbelieved_fetch_changes_nothing(db: Database, mac: Mac, deployment: Deployment) -> None:
    contacts = FetchTracker(db, lambda _, host: host == "192.0.2.7")
    await stored(contacts, fetch(mac.config_name), fetch(mac.config_name, ip="192.0.2.66"))
    assert await db.read(phones.last_seen, mac) == "192.0.2.7"
    assert (await db.read(deployments.get, deployment.uuid)).fetched_from == "192.0.2.7"


async def test_fetch_over_ftp_changes_nothing(contacts: FetchTracker, db: Database, mac: Mac) -> None:
    whole: dict[str, Any] = {"name": mac.config_name, "outcome": FetchOutcome.COMPLETED, "sha256": SHA256}
    await stored(contacts, Fetch(protocol="ftp", started_at=now(), peer=("192.0.2.9", 1024), local="", **whole))
    assert await db.read(phones.last_seen, mac) is None


async def state(db: Database, deployment: Deployment) -> DeploymentState:
    return (await db.read(deployments.get, deployment.uuid)).state


async def until(condition: Callable[[], Awaitable[object]]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not await condition():  # noqa: ASYNC110 -- no event for it
            await asyncio.sleep(0.005)


@asynccontextmanager
async def running(contacts: FetchTracker) -> AsyncIterator[None]:
    task = asyncio.create_task(contacts.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()


# Sightings and deliveries


async def test_complete_config_proves_address_and_delivery(
    contacts: FetchTracker, db: Database, mac: Mac, deployment: Deployment
) -> None:
    await stored(contacts, fetch(mac.config_name))
    assert await db.read(phones.last_seen, mac) == "192.0.2.7"
    fetched = await db.read(deployments.get, deployment.uuid)
    assert (fetched.state, fetched.fetched_from) == (DeploymentState.FETCHED, "192.0.2.7")


@pytest.mark.parametrize("name", ["SIP{}.cnf", "sip{}.cnf", "ATA{}.cnf.xml"])
async def test_config_is_delivered_under_the_name_of_its_kind(
    contacts: FetchTracker, db: Database, mac: Mac, deployment: Deployment, name: str
) -> None:
    await stored(contacts, fetch(name.format(mac.digits)))
    assert await state(db, deployment) is DeploymentState.FETCHED


@pytest.mark.parametrize("spelling", ["/{}", "\\{}", "C:\\{}", "c:/{}"])
@pytest.mark.parametrize("case", [str, str.lower, str.upper])
async def test_spelling_of_file_name_does_not_matter(
    contacts: FetchTracker, db: Database, mac: Mac, deployment: Deployment, spelling: str, case: Callable[[str], str]
) -> None:
    await stored(contacts, fetch(spelling.format(case(mac.config_name))))
    assert await state(db, deployment) is DeploymentState.FETCHED
    assert await db.read(phones.last_seen, mac) == "192.0.2.7"


@pytest.mark.parametrize(
    "outcome", [FetchOutcome.ABSENT, FetchOutcome.ABORTED, FetchOutcome.TIMED_OUT, FetchOutcome.CUT]
)
async def test_incomplete_fetch_gives_unproved_sighting(
    contacts: FetchTracker, db: Database, mac: Mac, deployment: Deployment, outcome: FetchOutcome
) -> None:
    await stored(contacts, fetch(mac.config_name, outcome))
    assert await db.read(phones.last_seen, mac) == "192.0.2.7"
    assert await state(db, deployment) is DeploymentState.WRITTEN
    await stored(contacts, fetch(mac.config_name, ip="192.0.2.8"))
    await stored(contacts, fetch(mac.config_name, outcome, ip="203.0.113.66"))
    assert await db.read(phones.last_seen, mac) == "192.0.2.8"


@pytest.mark.parametrize(
    "reported",
    [
        fetch("SEPAABBCCDDEE01.cnf.xml", FetchOutcome.REFUSED),
        fetch("Ringlist.xml"),
        fetch("XMLDefault.cnf.xml"),
        fetch("SEP010000000001.cnf.xml"),
        fetch("../SEPAABBCCDDEE01.cnf.xml", FetchOutcome.ABSENT),
        fetch("\udcff\0" * 100, FetchOutcome.ABSENT),
        fetch("", FetchOutcome.ABSENT),
    ],
)
async def test_fetch_without_phone_or_file_changes_nothing(
    contacts: FetchTracker, db: Database, deployment: Deployment, reported: Fetch
) -> None:
    await stored(contacts, reported)
    assert await db.read(Read.rows, "SELECT * FROM sightings") == []
    assert await state(db, deployment) is DeploymentState.WRITTEN


@pytest.mark.parametrize("name", ["CTLSEP{}.tlv", "SEP{}.cnf.xml.sgn", "SEP{}.cnf", "backup/SEP{}.cnf.xml"])
async def test_other_file_of_phone_proves_address_only(
    contacts: FetchTracker, db: Database, mac: Mac, deployment: Deployment, name: str
) -> None:
    await stored(contacts, fetch(name.format(mac.digits)))
    assert await db.read(phones.last_seen, mac) == "192.0.2.7"
    assert await state(db, deployment) is DeploymentState.WRITTEN


@pytest.mark.parametrize("sha256", [None, "0" * 64])
async def test_other_content_is_no_delivery(
    contacts: FetchTracker, db: Database, mac: Mac, deployment: Deployment, sha256: str | None
) -> None:
    await stored(contacts, fetch(mac.config_name, sha256=sha256))
    assert await state(db, deployment) is DeploymentState.WRITTEN


async def test_batch_keeps_the_last_proved_sighting(contacts: FetchTracker, db: Database, mac: Mac) -> None:
    other = Mac("AABBCCDDEE02")
    await stored(
        contacts,
        fetch(mac.config_name, FetchOutcome.ABSENT, ip="192.0.2.1"),
        fetch(mac.config_name, ip="192.0.2.2"),
        fetch(mac.config_name, ip="192.0.2.3"),
        fetch(mac.config_name, FetchOutcome.ABSENT, ip="192.0.2.4"),
        fetch(other.config_name, FetchOutcome.ABSENT, ip="192.0.2.5"),
        fetch(other.config_name, FetchOutcome.TIMED_OUT, ip="192.0.2.6"),
    )
    assert await db.read(phones.last_seen, mac) == "192.0.2.3"
    assert await db.read(phones.last_seen, other) == "192.0.2.6"


@pytest.mark.parametrize("seed", range(8))
async def test_batches_store_the_same_as_single_fetches(db: Database, seed: int) -> None:
    contacts, chance = FetchTracker(db, limits=TrackerLimits(max_known=4, batch_size=5)), random.Random(seed)
    expected: dict[str, tuple[bool, str, str]] = {}
    for at in range(200):
        mac = Mac(f"AABBCCDDEE0{chance.randrange(5)}")
        name = chance.choice((mac.config_name, f"/{mac.config_name.lower()}", f"CTL{mac.device_name}.tlv"))
        outcome = chance.choice(
            (FetchOutcome.COMPLETED, FetchOutcome.ABSENT, FetchOutcome.TIMED_OUT, FetchOutcome.REFUSED)
        )
        ip, minute = f"192.0.2.{chance.randrange(3)}", f"2026-06-28T12:{at // 20:02}"
        contacts.note(fetch(name, outcome, ip=ip, started_at=f"{minute}:00.{at:03}Z"))
        proved = outcome is FetchOutcome.COMPLETED
        if outcome is not FetchOutcome.REFUSED and proved >= expected.get(mac.digits, (False, "", ""))[0]:
            expected[mac.digits] = (proved, ip, minute)
        if chance.random() < 0.3:
            await contacts.store_pending()
    await contacts.store_pending()
    rows = await db.read(Read.rows, "SELECT mac, proved, ip, seen_at FROM sightings")
    assert {row["mac"]: (bool(row["proved"]), row["ip"], row["seen_at"][:16]) for row in rows} == expected


async def test_delivery_during_commit_is_marked(
    contacts: FetchTracker, db: Database, mac: Mac, profile: Profile
) -> None:
    recorded = await db.write(progress.record, SYSTEM, plan(mac, profile, CONFIG), None)
    written = f"UPDATE deployments SET written_at = '{now()}', state = 'written' WHERE uuid = '{recorded.uuid}'"  # noqa: S608 -- no user input
    async with writer_held(db, written):
        storing = asyncio.create_task(stored(contacts, fetch(mac.config_name)))
        # The reading connection does not see it yet.
        assert await db.read(Read.rows, "SELECT * FROM deployments WHERE written_at IS NOT NULL") == []
        assert not contacts._pending
    await storing
    assert await state(db, recorded) is DeploymentState.FETCHED


async def test_delivery_reported_after_newer_switch_is_marked(
    contacts: FetchTracker, db: Database, mac: Mac, profile: Profile, deployment: Deployment
) -> None:
    reported = fetch(mac.config_name)

    async def later() -> bool:
        return now() > reported.started_at

    await until(later)
    newer = await db.write(progress.record, SYSTEM, plan(mac, profile, b"<newer/>"), None)
    await db.write(progress.written, SYSTEM, newer, now())
    await stored(contacts, reported)
    assert await state(db, deployment) is DeploymentState.FETCHED
    assert await state(db, newer) is DeploymentState.WRITTEN


async def test_storm_marks_every_delivery(contacts: FetchTracker, db: Database, profile: Profile) -> None:
    macs = [Mac(f"AABBCCDD{number:04X}") for number in range(50)]
    made = [await db.write(progress.record, SYSTEM, plan(mac, profile, CONFIG), None) for mac in macs]
    for each in made[::2]:
        await db.write(progress.written, SYSTEM, each, now())
    await stored(contacts, *(fetch(mac.config_name) for mac in macs))
    states = [await state(db, each) for each in made]
    assert states == [DeploymentState.FETCHED, DeploymentState.RECORDED] * 25


# Batches


async def test_known_sighting_is_stored_once_a_minute(contacts: FetchTracker, db: Database, mac: Mac) -> None:
    first, later = "2026-06-28T12:00:01.000Z", "2026-06-28T12:00:59.000Z"
    await stored(contacts, fetch(mac.config_name, started_at=first))
    written = db._writer.total_changes
    for name in (mac.config_name, f"CTL{mac.device_name}.tlv", f"/{mac.config_name}"):
        await stored(contacts, *(fetch(name, started_at=later) for _ in range(3)))
        await stored(contacts, fetch(mac.config_name, FetchOutcome.ABSENT, ip="203.0.113.66", started_at=later))
    assert db._writer.total_changes == written
    await stored(contacts, fetch(mac.config_name, started_at="2026-06-28T12:01:00.000Z"))
    assert db._writer.total_changes == written + 1
    await stored(contacts, fetch(mac.config_name, ip="192.0.2.8", started_at="2026-06-28T12:01:00.000Z"))
    assert db._writer.total_changes == written + 2


@pytest.mark.parametrize("outcome", [FetchOutcome.COMPLETED, FetchOutcome.REFUSED])
async def test_long_storm_yields_between_batches(db: Database, outcome: FetchOutcome) -> None:
    contacts = FetchTracker(db, limits=TrackerLimits(batch_size=10))
    macs = [Mac(f"AABBCCDD{number:04X}") for number in range(95)]
    seen: list[int] = []
    storing = asyncio.create_task(stored(contacts, *(fetch(mac.config_name, outcome) for mac in macs)))
    while not storing.done():
        await asyncio.sleep(0)
        if not seen or seen[-1] != len(contacts._pending):
            seen.append(len(contacts._pending))
    await storing
    assert seen == [*range(85, 0, -10), 0]
    assert len(await db.read(Read.rows, "SELECT * FROM sightings")) == (
        len(macs) if outcome is FetchOutcome.COMPLETED else 0
    )


@pytest.fixture
def transactions(db: Database, monkeypatch: pytest.MonkeyPatch) -> list[None]:
    """Collect one entry per transaction."""
    begun: list[None] = []
    write = db.write

    def counted(*args: Any, **kwargs: Any) -> Any:
        begun.append(None)
        return write(*args, **kwargs)

    monkeypatch.setattr(db, "write", counted)
    return begun


async def test_storm_is_stored_in_few_transactions(db: Database, transactions: list[None]) -> None:
    contacts = FetchTracker(db, limits=TrackerLimits(batch_seconds=0.01))
    macs = [Mac(f"AABBCCDD{number:04X}") for number in range(1000)]

    def boot(part: list[Mac]) -> None:
        for mac in part:
            contacts.note(fetch(mac.config_name))

    async def all_stored() -> bool:
        return len(await db.read(Read.rows, "SELECT mac FROM sightings")) == len(macs)

    async with running(contacts):
        threads = [threading.Thread(target=boot, args=(macs[at::4],)) for at in range(4)]
        for thread in threads:
            thread.start()
        await until(all_stored)
        for thread in threads:
            thread.join()
    assert len(transactions) < 200


async def test_fetches_without_phone_need_no_transaction(contacts: FetchTracker, transactions: list[None]) -> None:
    await stored(contacts)
    await stored(contacts, fetch("Ringlist.xml"))
    assert transactions == []


async def test_fetch_noted_during_store_is_stored(contacts: FetchTracker, db: Database, mac: Mac) -> None:
    class Overtaken(FetchIntake):
        """The event loop empties the queue between two steps of the noting thread."""

        def put(self, fetches: Sequence[Fetch]) -> None:
            self.take(1)
            super().put(fetches)

    contacts._pending = Overtaken("tracker")
    contacts._pending.put([fetch("earlier")])
    thread = threading.Thread(target=contacts.note, args=(fetch(mac.config_name),))

    async def seen() -> bool:
        return await db.read(phones.last_seen, mac) is not None

    async with running(contacts):
        thread.start()
        thread.join()
        await until(seen)


async def test_tracker_stores_queued_fetches_at_stop(
    contacts: FetchTracker, db: Database, mac: Mac, deployment: Deployment
) -> None:
    async def seen() -> bool:
        return await db.read(phones.last_seen, mac) is not None

    async with running(contacts):
        contacts.note(fetch(mac.config_name, FetchOutcome.ABSENT))
        await until(seen)
        # The tracker now pauses between two batches.
        contacts.note(fetch(mac.config_name))
    assert await state(db, deployment) is DeploymentState.FETCHED


async def test_tracker_finishes_store_at_stop(
    contacts: FetchTracker, db: Database, mac: Mac, deployment: Deployment
) -> None:
    async def taken() -> bool:
        return not contacts._pending

    task = asyncio.create_task(contacts.run())
    async with writer_held(db):
        contacts.note(fetch(mac.config_name))
        await until(taken)
        task.cancel()
        await asyncio.sleep(0)
    await asyncio.wait([task])
    assert task.cancelled()
    assert await state(db, deployment) is DeploymentState.FETCHED


async def test_refused_fetches_are_lost_and_logged_once(
    db: Database, mac: Mac, caplog: pytest.LogCaptureFixture
) -> None:
    contacts = FetchTracker(db, limits=TrackerLimits(batch_seconds=0.0))

    async def lost(count: int) -> bool:
        return contacts._lost == count

    async def seen() -> bool:
        return await db.read(phones.last_seen, mac) == "192.0.2.8"

    async with running(contacts):
        await db._writer.execute("PRAGMA query_only = ON")
        for count in (1, 2):
            contacts.note(fetch(mac.config_name))
            await until(partial(lost, count))
        await db._writer.execute("PRAGMA query_only = OFF")
        assert await db.read(phones.last_seen, mac) is None
        contacts.note(fetch(mac.config_name, ip="192.0.2.8"))
        await until(seen)
    assert [message.partition(":")[0] for message in caplog.messages] == [
        "fetches not tracked",
        "fetches tracked again",
    ]
