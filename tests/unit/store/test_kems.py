import pytest

from cisisk.model.discovery import DiscoveredPhone, DiscoveryHints
from cisisk.model.errors import Invalid, NotFound
from cisisk.model.listing import Listing
from cisisk.model.mac import Mac
from cisisk.model.user import Actor
from cisisk.store import kems, phones
from cisisk.store.database import Database

OTHER = Mac("AABBCCDDEE02")
FOUND = DiscoveredPhone(at="2026-06-28T12:00:00.000Z", revealed=DiscoveryHints())


async def test_module_lists_its_phone_and_neighbours(db: Database, actor: Actor, mac: Mac) -> None:
    for phone in (mac, OTHER):
        await db.write(phones.create, actor, phone, {"model": "CP-7965G"})
    for connected, model in ((mac, "7915"), (mac, None), (OTHER, "7916"), (None, "7914")):
        await db.write(kems.create, actor, {"connected_phone": connected, "model": model})
    found = {kem.model: kem for kem in (await db.read(kems.page, Listing())).items}
    assert {model: (kem.phone_model, kem.beside) for model, kem in found.items()} == {
        "7915": ("CP-7965G", (None,)),
        None: ("CP-7965G", ("7915",)),
        "7916": ("CP-7965G", ()),
        "7914": (None, ()),
    }
    assert await db.read(kems.get, found["7915"].uuid) == found["7915"]


async def test_module_turns_discovered_phone_into_ordinary_one(db: Database, actor: Actor, mac: Mac) -> None:
    await db.write(phones.discover, {mac: FOUND, OTHER: FOUND})
    made = await db.write(kems.create, actor, {"connected_phone": mac})
    assert (await db.read(phones.get, mac)).discovery is None
    await db.write(kems.update, actor, made.uuid, {"connected_phone": OTHER})
    assert (await db.read(phones.get, OTHER)).discovery is None


async def test_module_is_deleted_with_its_phone_only(db: Database, actor: Actor, mac: Mac) -> None:
    for phone in (mac, OTHER):
        await db.write(phones.create, actor, phone, {})
    gone, kept = [await db.write(kems.create, actor, {"connected_phone": phone}) for phone in (mac, OTHER)]
    await db.write(phones.delete, actor, mac)
    with pytest.raises(NotFound, match="Cisco KEM not found"):
        await db.read(kems.get, gone.uuid)
    assert await db.read(kems.get, kept.uuid) == kept


async def test_module_of_missing_phone_is_refused(db: Database, actor: Actor, mac: Mac) -> None:
    made = await db.write(kems.create, actor, {})
    with pytest.raises(Invalid) as refused:
        await db.write(kems.update, actor, made.uuid, {"connected_phone": mac})
    assert refused.value.fields == {"connected_phone": ["No such phone"]}
    assert await db.read(kems.get, made.uuid) == made
