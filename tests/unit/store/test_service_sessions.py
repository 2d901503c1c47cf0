"""Service sessions, and the context of a phone that requests a page."""

from cisisk.model.mac import Mac
from cisisk.model.phone import Software
from cisisk.model.user import Actor
from cisisk.store import phones, pins, profiles, service_sessions
from cisisk.store.database import Database
from cisisk.store.phones import Sighting
from cisisk.store.service_sessions import PhoneContext
from tests.unit.store.conftest import NewProfile, NewUser

MOMENT = "2026-06-28T12:00:00.000Z"


async def test_unknown_phone_has_empty_context(db: Database, mac: Mac) -> None:
    assert await db.read(service_sessions.context, mac) == PhoneContext(mac=mac)


async def test_context_has_entered_and_proved_addresses(db: Database, actor: Actor, mac: Mac) -> None:
    forged = Sighting(mac=mac, ip="192.0.2.66", seen_at=MOMENT, proved=False)
    await db.write(phones.note_sightings, [forged])
    assert (await db.read(service_sessions.context, mac)).addresses == frozenset()
    columns = {"phone_ip": "192.0.2.5", "model": "7942", "software": Software.SCCP}
    await db.write(phones.create, actor, mac, columns)
    await db.write(phones.note_sightings, [Sighting(mac=mac, ip="192.0.2.6", seen_at=MOMENT, proved=True)])
    desk = await db.read(service_sessions.context, mac)
    assert desk.addresses == {"192.0.2.5", "192.0.2.6"}
    assert (desk.model, desk.software) == ("7942", Software.SCCP)


async def test_session_begins_with_verified_pin_only(db: Database, actor: Actor, mac: Mac, new_user: NewUser) -> None:
    user = await new_user()
    begin = (actor, mac, user.uuid)
    assert await db.write(service_sessions.begin, *begin, "$pin", "192.0.2.5", MOMENT) is None
    await db.write(pins.put, actor, user.uuid, "$pin")
    assert await db.write(service_sessions.begin, *begin, "$old", "192.0.2.5", MOMENT) is None
    begun = await db.write(service_sessions.begin, *begin, "$pin", "192.0.2.5", MOMENT)
    assert begun is not None
    assert (await db.read(service_sessions.context, mac)).session == begun
    await db.write(service_sessions.active, begun, "2026-06-28T13:00:00.000Z")
    again = (await db.read(service_sessions.context, mac)).session
    assert again is not None
    assert again.active_at == "2026-06-28T13:00:00.000Z"


async def test_activity_of_replaced_session_changes_nothing(
    db: Database, actor: Actor, mac: Mac, new_user: NewUser
) -> None:
    user = await new_user()
    await db.write(pins.put, actor, user.uuid, "$pin")
    old = await db.write(service_sessions.begin, actor, mac, user.uuid, "$pin", "192.0.2.5", MOMENT)
    assert old is not None
    new = await db.write(service_sessions.begin, actor, mac, user.uuid, "$pin", "192.0.2.6", "2026-06-28T12:30:00.000Z")
    await db.write(service_sessions.active, old, "2026-06-28T13:00:00.000Z")
    assert (await db.read(service_sessions.context, mac)).session == new


async def test_profile_heads_omit_configs(db: Database, new_user: NewUser, new_profile: NewProfile) -> None:
    user = await new_user()
    await new_profile(user, "B", compatible_models=("7942",), software_type=Software.SIP)
    await new_profile(user, "A")
    await new_profile(await new_user("bob"), "not hers")
    heads = await db.read(profiles.heads, user.uuid)
    assert [(each.name, each.compatible_models, each.software_type) for each in heads] == [
        ("A", (), None),
        ("B", ("7942",), Software.SIP),
    ]
