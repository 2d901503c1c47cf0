import sqlite3

import pytest

from cisisk.model.clock import now
from cisisk.model.errors import Invalid, NotFound, Stale
from cisisk.model.listing import Listing
from cisisk.model.mac import Mac
from cisisk.model.phone import Software
from cisisk.model.revision import entity_tag
from cisisk.model.user import Actor, User
from cisisk.store import deployments, phones, profiles, progress, users
from cisisk.store.database import Database
from cisisk.store.transaction import Read
from tests.unit.plans import plan
from tests.unit.store.conftest import NewProfile, NewUser

NOTHING = "99999999-9999-9999-9999-999999999999"
ODD_BYTES = b"\xef\xbb\xbf<device>\r\n\0\xff\xfe</device>"


@pytest.fixture
async def anna(db: Database, superadmin: User, new_user: NewUser) -> User:
    return await new_user("anna")


async def test_profile_is_stored_byte_for_byte(db: Database, anna: User, new_profile: NewProfile) -> None:
    made = await new_profile(
        anna,
        "Desk",
        cnf_xml=ODD_BYTES,
        description="d",
        compatible_models=["7942", 'CP-"8841"'],
        software_type=Software.SCCP,
        placeholders=True,
    )
    assert made == await db.read(profiles.get, made.uuid)
    assert made.cnf_xml == ODD_BYTES
    assert made.compatible_models == ("7942", 'CP-"8841"')
    assert (made.software_type, made.placeholders, made.description) == (Software.SCCP, True, "d")
    assert (made.user_uuid, made.revision) == (anna.uuid, 1)


async def test_minimal_profile_fits_every_phone(anna: User, new_profile: NewProfile) -> None:
    made = await new_profile(anna)
    assert (made.compatible_models, made.software_type, made.placeholders, made.description) == ((), None, False, None)


async def test_update_changes_given_attributes_only(
    db: Database, anna: User, superadmin: User, new_profile: NewProfile, actor: Actor
) -> None:
    made = await new_profile(anna, compatible_models=["7942"], software_type=Software.SIP)
    changed = await db.write(profiles.update, actor, made.uuid, {"compatible_models": [], "software_type": None})
    assert (changed.compatible_models, changed.software_type, changed.revision) == ((), None, 2)
    assert (changed.name, changed.cnf_xml, changed.created_at) == (made.name, made.cnf_xml, made.created_at)
    moved = await db.write(profiles.update, actor, made.uuid, {"user_uuid": superadmin.uuid})
    assert (await db.read(profiles.page, Listing(), superadmin.uuid)).items == [moved]
    assert (await db.read(profiles.page, Listing(), anna.uuid)).total == 0


async def test_profile_of_missing_user_is_refused(
    db: Database, anna: User, new_profile: NewProfile, actor: Actor
) -> None:
    made = await new_profile(anna)
    with pytest.raises(Invalid) as refused:
        await db.write(profiles.create, actor, {"user_uuid": NOTHING, "name": "n", "cnf_xml": b""})
    assert refused.value.fields == {"user_uuid": ["No such user"]}
    with pytest.raises(Invalid):
        await db.write(profiles.update, actor, made.uuid, {"user_uuid": NOTHING})
    assert await db.read(profiles.get, made.uuid) == made


async def test_change_of_stale_profile_is_refused(
    db: Database, anna: User, new_profile: NewProfile, actor: Actor
) -> None:
    made = await new_profile(anna)
    changed = await db.write(profiles.update, actor, made.uuid, {"name": "b"}, {entity_tag(made)})
    with pytest.raises(Stale):
        await db.write(profiles.update, actor, made.uuid, {"name": "c"}, {entity_tag(made)})
    with pytest.raises(Stale):
        await db.write(profiles.delete, actor, made.uuid, {entity_tag(made)})
    assert await db.read(profiles.get, made.uuid) == changed
    await db.write(profiles.delete, actor, made.uuid, {entity_tag(changed)})
    with pytest.raises(NotFound, match="Profile not found"):
        await db.read(profiles.get, made.uuid)


async def test_missing_profile_is_not_found(db: Database, actor: Actor) -> None:
    with pytest.raises(NotFound):
        await db.write(profiles.update, actor, NOTHING, {"name": "x"})
    with pytest.raises(NotFound):
        await db.write(profiles.delete, actor, NOTHING)


async def test_profiles_may_share_a_name(db: Database, anna: User, superadmin: User, new_profile: NewProfile) -> None:
    made = {(await new_profile(owner, "Desk")).uuid for owner in (anna, anna, superadmin)}
    assert {profile.uuid for profile in (await db.read(profiles.page, Listing())).items} == made


async def test_unknown_software_is_refused_by_database(anna: User, new_profile: NewProfile) -> None:
    with pytest.raises(sqlite3.IntegrityError):
        await new_profile(anna, software_type="H323")


@pytest.mark.parametrize("what", ["profile", "user"])
async def test_phone_outlives_its_profile(
    db: Database, anna: User, new_profile: NewProfile, actor: Actor, mac: Mac, what: str
) -> None:
    made = await new_profile(anna)
    deployment = await db.write(progress.record, actor, plan(mac, made, b"<served/>"), None)
    await db.write(progress.written, actor, deployment, now())
    assert (await db.read(phones.get, mac)).current_profile_uuid == made.uuid
    assert [phone.mac for phone in (await db.read(phones.page_of_user, Listing(), anna.uuid)).items] == [mac]
    if what == "user":
        await db.write(users.delete, actor, anna.uuid)
    else:
        await db.write(profiles.delete, actor, made.uuid)
    assert (await db.read(profiles.page, Listing())).total == 0
    assert (await db.read(phones.get, mac)).current_profile_uuid is None
    assert (await db.read(phones.page_of_user, Listing(), anna.uuid)).total == 0
    remembered = await db.read(deployments.get, deployment.uuid)
    assert (remembered.profile_uuid, remembered.profile_name) == (None, made.name)
    content = await db.read(Read.row, "SELECT content FROM contents WHERE sha256 = ?", (deployment.sha256,))
    assert content is not None
    assert content["content"] == b"<served/>"
