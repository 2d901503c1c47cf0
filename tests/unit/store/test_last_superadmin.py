"""One active user of level 0 always remains."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from cisisk.model.errors import Conflict
from cisisk.model.listing import Listing
from cisisk.model.user import SUPERADMIN_PERMISSION, Actor, User
from cisisk.store import permissions, users
from cisisk.store.database import Database
from tests.unit.store.conftest import NewUser

Way = Callable[[Database, Actor, User], Awaitable[object]]


async def _deactivate(db: Database, actor: Actor, root: User) -> None:
    await db.write(users.update, actor, root.uuid, {"is_active": False})


async def _delete(db: Database, actor: Actor, root: User) -> None:
    await db.write(users.delete, actor, root.uuid)


async def _replace(db: Database, actor: Actor, root: User) -> None:
    known = {permission.name: permission for permission in (await db.read(permissions.page, Listing())).items}
    await db.write(permissions.give, actor, root.uuid, known["clerk"].uuid)


async def _take(db: Database, actor: Actor, root: User) -> None:
    await db.write(permissions.take, actor, root.uuid)


async def _lower_the_permission(db: Database, actor: Actor, root: User) -> None:
    held = await db.read(permissions.held_by, root.uuid)
    await db.write(permissions.update, actor, held.perm_uuid, {"level": 1})


WAYS: list[Way] = [_deactivate, _delete, _replace, _take, _lower_the_permission]
every_way = pytest.mark.parametrize("way", WAYS)


@pytest.fixture
async def root(db: Database, superadmin: User, actor: Actor) -> User:
    """Create the only superadmin, with a permission of level 0 that is not the seeded one."""
    await db.write(permissions.create, actor, {"level": 5, "name": "clerk"})
    own = await db.write(permissions.create, actor, {"level": 0, "name": "own"})
    await db.write(permissions.give, actor, superadmin.uuid, own.uuid)
    return await db.read(users.get, superadmin.uuid)


@every_way
async def test_last_superadmin_cannot_be_removed(db: Database, root: User, actor: Actor, way: Way) -> None:
    with pytest.raises(Conflict, match="The last superadmin cannot be demoted, deactivated or deleted"):
        await way(db, actor, root)
    assert await db.read(users.get, root.uuid) == root


@every_way
async def test_inactive_users_and_level_one_do_not_count(
    db: Database, root: User, actor: Actor, new_user: NewUser, way: Way
) -> None:
    inactive, almost = await new_user("inactive", is_active=False), await new_user("almost")
    await db.write(permissions.give, actor, inactive.uuid, SUPERADMIN_PERMISSION)
    nearly = await db.write(permissions.create, actor, {"level": 1, "name": "nearly"})
    await db.write(permissions.give, actor, almost.uuid, nearly.uuid)
    with pytest.raises(Conflict, match="last superadmin"):
        await way(db, actor, root)


@every_way
async def test_one_of_two_superadmins_can_be_removed(
    db: Database, root: User, actor: Actor, new_user: NewUser, way: Way
) -> None:
    second = await new_user("second")
    await db.write(permissions.give, actor, second.uuid, SUPERADMIN_PERMISSION)
    await way(db, actor, root)
    with pytest.raises(Conflict, match="superadmin"):
        await way(db, actor, second)


@every_way
async def test_concurrent_removals_leave_one_superadmin(
    db: Database, root: User, actor: Actor, new_user: NewUser, way: Way
) -> None:
    second = await new_user("second")
    await db.write(permissions.give, actor, second.uuid, SUPERADMIN_PERMISSION)
    outcomes = await asyncio.gather(way(db, actor, root), way(db, actor, second), return_exceptions=True)
    assert sorted(type(outcome).__name__ for outcome in outcomes) == ["Conflict", "NoneType"]


async def test_other_changes_of_last_superadmin_are_allowed(db: Database, root: User, actor: Actor) -> None:
    changed = await db.write(
        users.update, actor, root.uuid, {"first_name": "R", "is_active": True, "password_hash": "$new"}
    )
    assert changed.is_superadmin
    await db.write(permissions.give, actor, root.uuid, SUPERADMIN_PERMISSION)
