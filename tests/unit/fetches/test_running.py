"""What a phone runs, as its fetches and registrations show."""

import hashlib
from datetime import UTC, datetime, timedelta

import pytest

from cisisk.fetches.tracker import FetchTracker
from cisisk.model.clock import Timestamp, timestamp
from cisisk.model.codes.asterisk import RegistrationEvidence
from cisisk.model.mac import Mac
from cisisk.model.phone import ConfigInUse, RunningEvidence
from cisisk.model.profile import Profile
from cisisk.model.restart import Attempt, RestartOutcome
from cisisk.model.user import SYSTEM
from cisisk.provisioning.fetch import Fetch, FetchOutcome
from cisisk.store import phones, progress
from cisisk.store.database import Database
from tests.unit.plans import plan

A, B = b"<served/>", b"<other/>"
IP = "192.0.2.7"
ACCEPTED = Attempt(RestartOutcome.ACCEPTED, "cgi-init-restart")
REGISTERED = RegistrationEvidence.PEER.notice(name="101", address=IP)


def ago(seconds: float) -> Timestamp:
    return timestamp(datetime.now(UTC) - timedelta(seconds=seconds))


def fetch(
    name: str,
    content: bytes | None = None,
    *,
    seconds: float = 0.0,
    outcome: FetchOutcome = FetchOutcome.COMPLETED,
    ip: str = IP,
    protocol: str = "tftp",
) -> Fetch:
    """Return a fetch that began so many seconds ago."""
    return Fetch(
        protocol=protocol,
        started_at=ago(seconds),
        peer=(ip, 1024),
        local="192.0.2.5",
        name=name,
        outcome=outcome if content is not None else FetchOutcome.ABSENT,
        sha256=None if content is None else hashlib.sha256(content).hexdigest(),
    )


@pytest.fixture
async def tracker(db: Database, mac: Mac) -> FetchTracker:
    await db.write(phones.create, SYSTEM, mac, {})
    return FetchTracker(db)


async def noted(tracker: FetchTracker, *fetches: Fetch) -> None:
    for each in fetches:
        tracker.note(each)
    await tracker.store_pending()


async def running(db: Database, mac: Mac) -> ConfigInUse | None:
    return (await db.read(phones.get, mac)).running


async def runs(db: Database, mac: Mac) -> bytes | None:
    """Return which of the two configs the phone is said to run."""
    found = await running(db, mac)
    return None if found is None else {hashlib.sha256(each).hexdigest(): each for each in (A, B)}[found.sha256]


@pytest.mark.parametrize(
    ("after", "expected"),
    [
        ((), None),
        (("mk-sip.jar",), A),
        (("dialplan.xml",), A),
        (("Desktops/320x212x16/List.xml.sgn",), A),
        # It loads firmware, and boots once more.
        (("SIP45.9-4-2.loads", "jar45sip.9-4-2.sbn"), None),
        (("CTLSEPAABBCCDDEE01.tlv",), None),
    ],
)
async def test_phone_runs_config_once_its_boot_goes_on(
    db: Database, mac: Mac, tracker: FetchTracker, after: tuple[str, ...], expected: bytes | None
) -> None:
    await noted(tracker, fetch(mac.config_name, A, seconds=2), *(fetch(name, seconds=1) for name in after))
    assert await runs(db, mac) == expected


@pytest.mark.parametrize("form", ["SEP{}.cnf.xml", "sip{}.cnf", "ATA{}.cnf.xml"])
async def test_phone_runs_config_under_each_of_its_names(
    db: Database, mac: Mac, tracker: FetchTracker, form: str
) -> None:
    await noted(tracker, fetch(form.format(mac.digits), A, seconds=2), fetch("RINGLIST.DAT", seconds=1))
    assert await runs(db, mac) == A


async def test_phone_runs_config_whose_boot_ended_in_silence(db: Database, mac: Mac, tracker: FetchTracker) -> None:
    await noted(tracker, fetch(mac.config_name, A, seconds=70))
    assert await runs(db, mac) == A
    await noted(tracker, fetch(mac.config_name, B, seconds=1))
    assert await runs(db, mac) == A
    await noted(tracker, fetch("dialplan.xml"))
    assert await runs(db, mac) == B


@pytest.mark.parametrize(
    "other",
    [
        {"outcome": FetchOutcome.TIMED_OUT},
        {"outcome": FetchOutcome.ABORTED},
        {"outcome": FetchOutcome.CUT},
        {"protocol": "ftp"},
    ],
)
async def test_phone_does_not_run_what_it_did_not_take_whole(
    db: Database, mac: Mac, tracker: FetchTracker, other: dict[str, str]
) -> None:
    await noted(tracker, fetch(mac.config_name, A, seconds=100))
    await noted(tracker, fetch(mac.config_name, B, seconds=80, **other), fetch("dialplan.xml", seconds=1))  # type: ignore[arg-type]
    assert await runs(db, mac) == A


async def test_request_from_another_address_is_no_progress(db: Database, mac: Mac, tracker: FetchTracker) -> None:
    await noted(tracker, fetch(mac.config_name, A, seconds=2), fetch("dialplan.xml", seconds=1, ip="192.0.2.8"))
    assert await runs(db, mac) is None


async def test_same_config_again_keeps_its_time(db: Database, mac: Mac, tracker: FetchTracker) -> None:
    await noted(tracker, fetch(mac.config_name, A, seconds=500), fetch("dialplan.xml", seconds=490))
    before = await running(db, mac)
    for again in (tracker, FetchTracker(db)):
        await noted(again, fetch(mac.config_name, A, seconds=100), fetch("dialplan.xml", seconds=90))
        assert await running(db, mac) == before


async def test_timed_out_switch_leaves_the_person_that_the_phone_works_as(
    db: Database, mac: Mac, tracker: FetchTracker, profile: Profile
) -> None:
    first = await db.write(progress.record, SYSTEM, plan(mac, profile, A), None)
    await db.write(progress.written, SYSTEM, first, ago(300))
    await noted(tracker, fetch(mac.config_name, A, seconds=200))
    await db.write(progress.registered, first, REGISTERED)
    second = await db.write(progress.record, SYSTEM, plan(mac, profile, B), A)
    await db.write(progress.written, SYSTEM, second, ago(100))
    phone = await db.read(phones.get, mac)
    assert phone.current is not None
    assert phone.running is not None
    assert phone.current.sha256 == hashlib.sha256(B).hexdigest()
    assert (phone.running.sha256, phone.running.profile_uuid) == (hashlib.sha256(A).hexdigest(), profile.uuid)
    assert (phone.running.profile_name, phone.running.user_uuid) == (profile.name, profile.user_uuid)
    assert (phone.running.evidence, phone.running.registered_as) == (RunningEvidence.REGISTRATION, REGISTERED)
    # Since it took it, not since it registered.
    assert phone.running.since < str(phone.running.registered_at)


async def test_registration_without_recorded_fetch_shows_what_runs(
    db: Database, mac: Mac, tracker: FetchTracker, profile: Profile
) -> None:
    await noted(tracker, fetch(mac.config_name, A, seconds=200))
    deployment = await db.write(progress.record, SYSTEM, plan(mac, profile, B), A)
    await db.write(progress.written, SYSTEM, deployment, ago(100))
    await db.write(progress.restart_tried, deployment, ACCEPTED, "restart")
    await db.write(progress.registered, deployment, REGISTERED)
    assert await runs(db, mac) == B
