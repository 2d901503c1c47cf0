import sqlite3

import pytest

from cisisk.model.errors import Conflict, NotFound, Stale
from cisisk.model.listing import Listing
from cisisk.model.mac import Mac
from cisisk.model.phone import Software
from cisisk.model.revision import entity_tag
from cisisk.model.user import Actor
from cisisk.store import phones
from cisisk.store.database import Database
from cisisk.store.phones import Sighting
from cisisk.store.transaction import Write

COLUMNS = {
    "model": "CP-7942G",
    "phone_ip": "192.0.2.7",
    "location": "Room 5",
    "description": "by the door",
    "software": Software.SCCP,
    "name": "Desk",
    "hostname": "SEPAABBCCDDEE01",
    "phone_vlan": 100,
    "brand": "Cisco",
    "software_version": "9.4",
    "is_active": False,
}


async def test_phone_is_stored_as_given(db: Database, actor: Actor, mac: Mac) -> None:
    made = await db.write(phones.create, actor, mac, COLUMNS)
    assert made == await db.read(phones.get, mac)
    assert {name: getattr(made, name) for name in COLUMNS} == COLUMNS
    assert made.software is Software.SCCP
    assert (made.mac, made.current_profile_uuid, made.revision) == (mac, None, 1)


async def test_phone_needs_only_a_mac(db: Database, actor: Actor, mac: Mac) -> None:
    made = await db.write(phones.create, actor, mac, {})
    assert (made.software, made.model, made.is_active, made.address) == (None, None, True, None)


async def test_second_phone_with_same_mac_is_refused(db: Database, actor: Actor, mac: Mac) -> None:
    made = await db.write(phones.create, actor, mac, {"name": "first"})
    with pytest.raises(Conflict, match="The phone AA:BB:CC:DD:EE:01 is in the inventory already"):
        await db.write(phones.create, actor, mac, {"name": "second"})
    assert await db.read(phones.get, mac) == made


async def test_update_changes_given_columns_only(db: Database, actor: Actor, mac: Mac) -> None:
    await db.write(phones.create, actor, mac, COLUMNS)
    changed = await db.write(phones.update, actor, mac, {"location": None, "software": Software.SIP})
    expected = {**COLUMNS, "location": None, "software": Software.SIP}
    assert {name: getattr(changed, name) for name in COLUMNS} == expected
    assert changed.revision == 2
    assert (await db.write(phones.update, actor, mac, {"software": None})).software is None
    assert (await db.write(phones.update, actor, mac, {})).revision == 4


async def test_change_of_stale_phone_is_refused(db: Database, actor: Actor, mac: Mac) -> None:
    made = await db.write(phones.create, actor, mac, {})
    changed = await db.write(phones.update, actor, mac, {"software": Software.SIP}, {entity_tag(made)})
    with pytest.raises(Stale):
        await db.write(phones.update, actor, mac, {"name": "x"}, {entity_tag(made)})
    with pytest.raises(Stale):
        await db.write(phones.delete, actor, mac, {entity_tag(made)})
    assert await db.read(phones.get, mac) == changed
    await db.write(phones.delete, actor, mac, {entity_tag(changed)})
    assert await db.read(phones.find, mac) is None


async def test_recreated_phone_has_another_version(db: Database, actor: Actor, mac: Mac) -> None:
    first = await db.write(phones.create, actor, mac, {})
    await db.write(phones.delete, actor, mac)

    def work(tx: Write) -> None:
        phones.add(tx, actor, mac, {})
        tx.rows("UPDATE phones SET created_at = '2199-01-01T00:00:00.000Z'")

    await db.write(work)
    with pytest.raises(Stale):
        await db.write(phones.update, actor, mac, {}, {entity_tag(first)})


async def test_missing_phone_is_not_found(db: Database, actor: Actor, mac: Mac) -> None:
    with pytest.raises(NotFound, match="Phone not found"):
        await db.read(phones.get, mac)
    with pytest.raises(NotFound):
        await db.write(phones.update, actor, mac, {})
    with pytest.raises(NotFound):
        await db.write(phones.delete, actor, mac)
    with pytest.raises(NotFound):
        await db.write(phones.put_cisco_phone, actor, mac, Software.SIP)
    with pytest.raises(NotFound, match="Cisco phone not found"):
        await db.write(phones.delete_cisco_phone, actor, mac)


@pytest.mark.parametrize("columns", [{"software": "H323"}, {"phone_vlan": "a hundred"}, {"is_active": 2}])
async def test_impossible_values_are_refused_by_database(
    db: Database, actor: Actor, mac: Mac, columns: dict[str, object]
) -> None:
    with pytest.raises(sqlite3.IntegrityError):
        await db.write(phones.create, actor, mac, columns)
    assert (await db.read(phones.page, Listing())).total == 0


async def test_software_of_phone_is_set_and_removed(db: Database, actor: Actor, mac: Mac) -> None:
    phone = await db.write(phones.create, actor, mac, {"software": Software.SIP, "name": "Desk"})
    known = await db.read(phones.get_cisco_phone, mac)
    assert (known.mac, known.software, known.current_profile_uuid) == (mac, Software.SIP, None)
    changed = await db.write(phones.put_cisco_phone, actor, mac, Software.SIPE, {entity_tag(known)})
    assert (changed.software, changed.revision) == (Software.SIPE, known.revision + 1)
    with pytest.raises(Stale):
        await db.write(phones.put_cisco_phone, actor, mac, Software.SIP, {entity_tag(known)})
    with pytest.raises(Stale):
        await db.write(phones.delete_cisco_phone, actor, mac, {entity_tag(known)})
    await db.write(phones.delete_cisco_phone, actor, mac, {entity_tag(changed)})
    left = await db.read(phones.get, mac)
    assert (left.software, left.name, left.created_at) == (None, "Desk", phone.created_at)
    assert (await db.read(phones.page_of_cisco_phones, Listing())).total == 0
    assert (await db.write(phones.put_cisco_phone, actor, mac, Software.SIP)).software is Software.SIP


async def test_deleted_phone_has_no_software_row(db: Database, actor: Actor, mac: Mac) -> None:
    await db.write(phones.create, actor, mac, COLUMNS)
    await db.write(phones.delete, actor, mac)
    with pytest.raises(NotFound):
        await db.read(phones.get_cisco_phone, mac)


async def test_seen_address_precedes_entered_one(db: Database, actor: Actor, mac: Mac) -> None:
    await db.write(phones.create, actor, mac, {"phone_ip": "192.0.2.7"})
    assert (await db.read(phones.get, mac)).address == "192.0.2.7"
    await db.write(phones.note_sightings, [Sighting(mac=mac, ip="192.0.2.8", seen_at="2026-01-01", proved=False)])
    seen = await db.read(phones.get, mac)
    assert (seen.address, seen.seen_ip, seen.seen_at, seen.phone_ip) == (
        "192.0.2.8",
        "192.0.2.8",
        "2026-01-01",
        "192.0.2.7",
    )
    assert seen.revision == 1
