import sqlite3

import pytest

from cisisk.model.errors import Conflict, Invalid, NotFound, Stale
from cisisk.model.listing import Listing
from cisisk.model.revision import entity_tag
from cisisk.model.user import SUPERADMIN_PERMISSION, Actor, User
from cisisk.store import permissions, users
from cisisk.store.database import Database
from tests.unit.store.conftest import NewUser

NOTHING = "99999999-9999-9999-9999-999999999999"


@pytest.fixture(autouse=True)
def administered(superadmin: User) -> None:
    """Ensure a superadmin: changes that leave none are refused."""


async def test_permission_is_created_changed_and_deleted(db: Database, actor: Actor) -> None:
    made = await db.write(permissions.create, actor, {"level": 5, "name": "Clerk", "description": "answers"})
    assert (made.level, made.name, made.description, made.revision) == (5, "Clerk", "answers", 1)
    assert made == await db.read(permissions.get, made.uuid)
    changed = await db.write(permissions.update, actor, made.uuid, {"description": None, "level": 6})
    assert (changed.level, changed.name, changed.description, changed.revision) == (6, "Clerk", None, 2)
    await db.write(permissions.delete, actor, made.uuid)
    with pytest.raises(NotFound, match="Permission not found"):
        await db.read(permissions.get, made.uuid)


async def test_permissions_are_listed_by_level(db: Database, actor: Actor) -> None:
    for level, name in ((7, "b"), (7, "A"), (0, "Alpha")):
        await db.write(permissions.create, actor, {"level": level, "name": name})
    names = [permission.name for permission in (await db.read(permissions.page, Listing())).items]
    assert names == ["Alpha", "superadmin", "A", "b"]


async def test_permission_names_are_unique_ignoring_case(db: Database, actor: Actor) -> None:
    clerk = await db.write(permissions.create, actor, {"level": 5, "name": "clerk"})
    other = await db.write(permissions.create, actor, {"level": 6, "name": "other"})
    with pytest.raises(Conflict, match="Another permission has this name"):
        await db.write(permissions.create, actor, {"level": 5, "name": "CLERK"})
    with pytest.raises(Conflict, match="Another permission has this name"):
        await db.write(permissions.update, actor, other.uuid, {"name": "Clerk"})
    assert (await db.write(permissions.update, actor, clerk.uuid, {"name": "CLERK"})).name == "CLERK"


async def test_change_of_stale_permission_is_refused(db: Database, actor: Actor) -> None:
    clerk = await db.write(permissions.create, actor, {"level": 5, "name": "clerk"})
    changed = await db.write(permissions.update, actor, clerk.uuid, {"level": 4}, {entity_tag(clerk)})
    with pytest.raises(Stale):
        await db.write(permissions.update, actor, clerk.uuid, {"level": 3}, {entity_tag(clerk)})
    with pytest.raises(Stale):
        await db.write(permissions.delete, actor, clerk.uuid, {entity_tag(clerk)})
    assert await db.read(permissions.get, clerk.uuid) == changed
    await db.write(permissions.delete, actor, clerk.uuid, {entity_tag(changed)})


async def test_held_permission_cannot_be_deleted(db: Database, actor: Actor, new_user: NewUser) -> None:
    clerk = await db.write(permissions.create, actor, {"level": 5, "name": "clerk"})
    anna = await new_user("anna")
    await db.write(permissions.give, actor, anna.uuid, clerk.uuid)
    with pytest.raises(Conflict, match="Users hold this permission"):
        await db.write(permissions.delete, actor, clerk.uuid)
    await db.write(permissions.take, actor, anna.uuid)
    await db.write(permissions.delete, actor, clerk.uuid)


async def test_given_permission_replaces_the_old_one(db: Database, actor: Actor, new_user: NewUser) -> None:
    anna = await new_user("anna")
    clerk = await db.write(permissions.create, actor, {"level": 5, "name": "clerk"})
    given = await db.write(permissions.give, actor, anna.uuid, clerk.uuid)
    assert (given.user_uuid, given.perm_uuid, given.level, given.perm_name) == (anna.uuid, clerk.uuid, 5, "clerk")
    await db.write(permissions.give, actor, anna.uuid, SUPERADMIN_PERMISSION)
    held = await db.read(permissions.held_by, anna.uuid)
    assert (held.perm_uuid, held.level) == (SUPERADMIN_PERMISSION, 0)
    assert (await db.read(users.get, anna.uuid)).is_superadmin


async def test_user_without_permission_is_not_found(db: Database, actor: Actor, new_user: NewUser) -> None:
    anna = await new_user("anna")
    for user_uuid in (anna.uuid, NOTHING):
        with pytest.raises(NotFound, match="User permission not found"):
            await db.read(permissions.held_by, user_uuid)
        with pytest.raises(NotFound):
            await db.write(permissions.take, actor, user_uuid)


async def test_take_of_stale_permission_is_refused(db: Database, actor: Actor, new_user: NewUser) -> None:
    anna = await new_user("anna")
    held = await db.write(permissions.give, actor, anna.uuid, SUPERADMIN_PERMISSION)
    with pytest.raises(Stale):
        await db.write(permissions.take, actor, anna.uuid, {"another"})
    await db.write(permissions.take, actor, anna.uuid, {entity_tag(held)})


async def test_give_with_missing_user_or_permission_is_refused(db: Database, actor: Actor, new_user: NewUser) -> None:
    anna = await new_user("anna")
    with pytest.raises(Invalid) as refused:
        await db.write(permissions.give, actor, NOTHING, SUPERADMIN_PERMISSION)
    assert refused.value.fields == {"user_uuid": ["No such user"]}
    with pytest.raises(Invalid) as refused:
        await db.write(permissions.give, actor, anna.uuid, NOTHING)
    assert refused.value.fields == {"perm_uuid": ["No such permission"]}


async def test_missing_permission_is_not_found(db: Database, actor: Actor) -> None:
    with pytest.raises(NotFound):
        await db.write(permissions.update, actor, NOTHING, {"level": 1})
    with pytest.raises(NotFound):
        await db.write(permissions.delete, actor, NOTHING)


async def test_negative_level_is_refused_by_database(db: Database, actor: Actor) -> None:
    with pytest.raises(sqlite3.IntegrityError):
        await db.write(permissions.create, actor, {"level": -1, "name": "beyond"})


async def test_seeded_permission_can_be_renamed_only(db: Database, actor: Actor, superadmin: User) -> None:
    """The command line gives this permission to superadmins."""
    root = await db.write(permissions.create, actor, {"level": 0, "name": "root"})
    await db.write(permissions.give, actor, superadmin.uuid, root.uuid)
    with pytest.raises(Conflict, match="superadmin permission cannot be deleted"):
        await db.write(permissions.delete, actor, SUPERADMIN_PERMISSION)
    with pytest.raises(Conflict, match="superadmin permission"):
        await db.write(permissions.update, actor, SUPERADMIN_PERMISSION, {"level": 1})
    renamed = await db.write(permissions.update, actor, SUPERADMIN_PERMISSION, {"name": "Chief", "level": 0})
    assert (renamed.name, renamed.level) == ("Chief", 0)
