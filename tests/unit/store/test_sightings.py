import pytest

from cisisk.model.mac import Mac
from cisisk.model.user import Actor
from cisisk.store import phones
from cisisk.store.database import Database
from cisisk.store.phones import Sighting
from cisisk.store.transaction import Read


def sighting(mac: Mac, ip: str, *, proved: bool, seen_at: str = "2026-01-01") -> Sighting:
    return Sighting(mac=mac, ip=ip, seen_at=seen_at, proved=proved)


async def kept(db: Database) -> set[str]:
    return {row["mac"] for row in await db.read(Read.rows, "SELECT mac FROM sightings")}


async def test_unseen_phone_has_no_address(db: Database, mac: Mac) -> None:
    assert await db.read(phones.last_seen, mac) is None


@pytest.mark.parametrize(
    ("known", "new", "believed"),
    [(True, True, "new"), (True, False, "known"), (False, True, "new"), (False, False, "new")],
)
async def test_unproved_sighting_does_not_replace_proved_one(
    db: Database, mac: Mac, known: bool, new: bool, believed: str
) -> None:
    await db.write(phones.note_sightings, [sighting(mac, "known", proved=known)])
    await db.write(phones.note_sightings, [sighting(mac, "new", proved=new)])
    assert await db.read(phones.last_seen, mac) == believed


async def test_proved_sighting_wins_within_one_batch(db: Database, mac: Mac) -> None:
    await db.write(
        phones.note_sightings,
        [sighting(mac, "a", proved=False), sighting(mac, "b", proved=True), sighting(mac, "c", proved=False)],
    )
    assert await db.read(phones.last_seen, mac) == "b"


async def test_limit_of_sightings_spares_the_inventory(db: Database, actor: Actor) -> None:
    ours = [Mac(f"AAAAAAAAAA0{number}") for number in range(5)]
    for mac in ours:
        await db.write(phones.create, actor, mac, {})
    await db.write(phones.note_sightings, [sighting(mac, "a", proved=False, seen_at="2000") for mac in ours])
    strangers = [Mac(f"02000000000{number}") for number in range(6)]
    await db.write(
        phones.note_sightings,
        [sighting(mac, "b", proved=False, seen_at=f"200{at}") for at, mac in enumerate(strangers)],
        max_strangers=3,
    )
    assert await kept(db) == {mac.digits for mac in (*ours, *strangers[3:])}


async def test_unproved_sightings_do_not_displace_proved_ones(
    db: Database,
) -> None:
    proved = Mac("020000000099")
    await db.write(phones.note_sightings, [sighting(proved, "a", proved=True, seen_at="2000")])
    forged = [sighting(Mac(f"02000000000{number}"), "b", proved=False, seen_at="2026") for number in range(9)]
    await db.write(phones.note_sightings, forged, max_strangers=3)
    assert proved.digits in await kept(db)
    assert len(await kept(db)) == 3


async def test_removed_phone_keeps_its_sighting(db: Database, actor: Actor, mac: Mac) -> None:
    await db.write(phones.create, actor, mac, {})
    await db.write(phones.note_sightings, [sighting(mac, "192.0.2.1", proved=True)])
    await db.write(phones.delete, actor, mac)
    assert await db.read(phones.last_seen, mac) == "192.0.2.1"
