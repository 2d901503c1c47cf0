"""The exchange between the policy and the store."""

import logging

import pytest

from cisisk.model.errors import NotFound, StorageFailed
from cisisk.model.listing import Listing
from cisisk.model.mac import Mac
from cisisk.model.user import SYSTEM, Actor
from cisisk.provisioning.access.policy import Mode
from cisisk.provisioning.access.sources import FREE_DEVICES, SETTLE_SECONDS
from cisisk.provisioning.access.watch import AccessWatch
from cisisk.store import audit, phones
from cisisk.store.database import Database
from cisisk.store.phones import PhoneAddress, Sighting
from cisisk.store.transaction import Read
from tests.unit.provisioning.access.conftest import MakePolicySetup, PolicySetup

HOME, ENTERED, ELSEWHERE = "10.0.0.5", "10.0.0.50", "10.0.0.77"


@pytest.fixture
def site(make_setup: MakePolicySetup) -> PolicySetup:
    return make_setup(Mode.PIN)


def sighting(mac: Mac, ip: str, *, proved: bool = True, seen_at: str = "2026-06-28T12:00:00.000Z") -> Sighting:
    return Sighting(mac=mac, ip=ip, seen_at=seen_at, proved=proved)


async def test_store_has_entered_and_proved_addresses(db: Database) -> None:
    entered, seen, both, claimed, nowhere = (Mac(f"00112200000{number}") for number in range(5))
    await db.write(phones.create, SYSTEM, entered, {"phone_ip": ENTERED})
    await db.write(phones.create, SYSTEM, both, {"phone_ip": ENTERED})
    await db.write(phones.create, SYSTEM, nowhere, {})
    await db.write(
        phones.note_sightings,
        [sighting(seen, HOME), sighting(both, ELSEWHERE), sighting(claimed, ELSEWHERE, proved=False)],
    )
    moment = "2026-06-28T12:00:00.000Z"
    assert sorted(await db.read(phones.addresses), key=lambda phone: phone.mac) == [
        PhoneAddress(mac=entered, phone_ip=ENTERED, seen_ip=None, seen_at=None),
        PhoneAddress(mac=seen, phone_ip=None, seen_ip=HOME, seen_at=moment),
        PhoneAddress(mac=both, phone_ip=ENTERED, seen_ip=ELSEWHERE, seen_at=moment),
    ]


async def test_policy_follows_store(site: PolicySetup, db: Database) -> None:
    watch = AccessWatch(db, site.policy)
    mac = site.phone(1)
    await db.write(phones.note_sightings, [sighting(mac, HOME)])
    await watch.refresh()
    assert site.gets(HOME, mac)
    assert not site.gets(ELSEWHERE, mac)
    await db.write(phones.create, SYSTEM, mac, {"phone_ip": ELSEWHERE})
    await watch.refresh()
    assert site.gets(ELSEWHERE, mac)


async def test_permission_is_recorded_and_ends_after_use(site: PolicySetup, db: Database) -> None:
    watch = AccessWatch(db, site.policy)
    mac = site.phone(1, seen_ip=HOME)
    await db.write(phones.create, SYSTEM, mac, {})
    until = await watch.allow_next(Actor(ip="192.0.2.1"), mac)
    assert site.gets(ELSEWHERE, mac)
    entry = (await db.read(audit.entries, Listing())).items[0]
    assert (entry.action, entry.entity_uuid, entry.ip) == ("phone.fetch_allowed", str(mac), "192.0.2.1")
    assert entry.payload == {"until": until}
    await db.write(phones.note_sightings, [sighting(mac, ELSEWHERE, seen_at="9999-01-01T00:00:00.000Z")])
    await watch.refresh()
    assert site.gets(ELSEWHERE, mac)
    assert not site.gets("10.1.1.1", mac)


async def test_permission_that_cannot_be_recorded_is_not_given(site: PolicySetup, db: Database) -> None:
    mac = site.phone(1, seen_ip=HOME)
    with pytest.raises(NotFound):
        await AccessWatch(db, site.policy).allow_next(SYSTEM, mac)
    assert not site.gets(ELSEWHERE, mac)


async def test_alarm_is_one_log_line_and_one_row(
    site: PolicySetup, db: Database, caplog: pytest.LogCaptureFixture
) -> None:
    watch = AccessWatch(db, site.policy)
    mac = site.phone(1, seen_ip=HOME)
    assert not site.gets(ELSEWHERE, mac)
    site.search(ELSEWHERE, FREE_DEVICES)
    site.now += SETTLE_SECONDS
    await watch.write_alarms()
    await watch.write_alarms()
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert record.getMessage() == (
        f"access alarm access_enumeration host={ELSEWHERE} devices=11 seconds=0"
        f" result=(access_refused count=1 examples=[{mac}])"
    )
    (row,) = (await db.read(audit.entries, Listing())).items
    assert (row.action, row.entity_type, row.entity_uuid) == ("access.enumeration", "access", ELSEWHERE)
    assert row.payload["refused"] == [str(mac)]
    assert len(watch.alarms) == 1


async def test_alarm_that_cannot_be_stored_is_still_logged(
    site: PolicySetup, db: Database, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise StorageFailed("The change could not be stored: disk full")

    site.search(ELSEWHERE, FREE_DEVICES + 1)
    site.now += SETTLE_SECONDS
    monkeypatch.setattr(audit, "record", refuse)
    await AccessWatch(db, site.policy).write_alarms()
    alarm, failure = caplog.messages
    assert alarm.startswith("access alarm access_enumeration ")
    assert failure.startswith("access alarm not recorded ")


async def test_store_failure_keeps_known_addresses(
    site: PolicySetup, db: Database, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Enough(Exception):
        pass

    turns = iter([None, None])

    async def wait(seconds: float) -> None:
        if next(turns, Enough) is Enough:
            raise Enough

    def refuse(_: Read) -> None:
        raise StorageFailed("The database cannot be read: disk I/O error")

    mac = site.phone(1, seen_ip=HOME)
    monkeypatch.setattr("asyncio.sleep", wait)
    monkeypatch.setattr(phones, "addresses", refuse)
    with pytest.raises(Enough):
        await AccessWatch(db, site.policy).run()
    assert site.gets(HOME, mac)
    assert [message.partition(" error=")[0] for message in caplog.messages] == ["phone addresses not refreshed"] * 2


async def test_unchanged_store_is_not_reread(site: PolicySetup, db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    watch = AccessWatch(db, site.policy)
    counts: list[int] = []
    monkeypatch.setattr(site.policy, "know", lambda known: counts.append(len(known)))
    await watch.refresh()
    await watch.refresh()
    await db.write(phones.note_sightings, [sighting(Mac("001122000001"), HOME)])
    await watch.refresh()
    await watch.refresh()
    assert counts == [0, 1]
