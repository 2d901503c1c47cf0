import pytest

from cisisk.model.errors import Invalid, NotFound, Stale
from cisisk.model.revision import entity_tag
from cisisk.model.user import Actor
from cisisk.store import default_profiles, profiles
from cisisk.store.database import Database
from tests.unit.store.conftest import LastEntry, NewProfile, NewUser


async def test_put_replaces_all_default_profiles(
    db: Database, actor: Actor, new_user: NewUser, new_profile: NewProfile, last_entry: LastEntry
) -> None:
    anna = await new_user()
    desk, lobby = await new_profile(anna, "Desk"), await new_profile(anna, "Lobby")
    before = await db.read(default_profiles.get, anna.uuid)
    pairs = [("CP-7942G", desk.uuid), ("8845", lobby.uuid)]
    kept = await db.write(default_profiles.put, actor, anna.uuid, pairs, {entity_tag(before)})
    both = [(each.model, each.profile_name) for each in kept.default_profiles]
    assert both == [("7942", "Desk"), ("8845", "Lobby")]
    with pytest.raises(Stale):
        await db.write(default_profiles.put, actor, anna.uuid, [], {entity_tag(before)})
    assert await db.read(default_profiles.get, anna.uuid) == kept
    assert (await last_entry()).payload == {"default_profiles": {"7942": desk.uuid, "8845": lobby.uuid}}
    assert await db.read(default_profiles.find, anna.uuid, "7942g") == desk.uuid
    assert await db.read(default_profiles.find, anna.uuid, "7945") is None
    await db.write(profiles.delete, actor, desk.uuid)
    assert (await db.read(default_profiles.get, anna.uuid)).default_profiles == kept.default_profiles[1:]
    assert (await db.write(default_profiles.put, actor, anna.uuid, [])).default_profiles == ()
    assert await db.read(default_profiles.find, anna.uuid, "8845") is None


async def test_foreign_or_second_default_is_refused(
    db: Database, actor: Actor, new_user: NewUser, new_profile: NewProfile
) -> None:
    anna, anton = await new_user("anna"), await new_user("anton")
    own, other = await new_profile(anna), await new_profile(anton)
    await db.write(default_profiles.put, actor, anna.uuid, [("7942", own.uuid)])
    for wrong in ([("7942", other.uuid)], [("7942", own.uuid), ("CP-7942G", own.uuid)]):
        with pytest.raises(Invalid) as refused:
            await db.write(default_profiles.put, actor, anna.uuid, wrong)
        assert list(refused.value.fields) == ["default_profiles"]
    kept = await db.read(default_profiles.get, anna.uuid)
    assert [each.profile_uuid for each in kept.default_profiles] == [own.uuid]
    unknown = "6f2f4fd4-6f2b-4cf2-9d0c-6a0f4f6d3c11"
    for attempt in (db.read(default_profiles.get, unknown), db.write(default_profiles.put, actor, unknown, [])):
        with pytest.raises(NotFound, match="User not found"):
            await attempt
