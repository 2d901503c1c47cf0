"""Users, profiles and an actor for tests of the store."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from cisisk.model.listing import Listing
from cisisk.model.mac import Mac
from cisisk.model.profile import Profile
from cisisk.model.user import SUPERADMIN_PERMISSION, Actor, User
from cisisk.store import audit, permissions, profiles, users
from cisisk.store.audit import AuditEntry
from cisisk.store.database import Database

NewUser = Callable[..., Awaitable[User]]
NewProfile = Callable[..., Awaitable[Profile]]
LastEntry = Callable[[], Awaitable[AuditEntry]]


@pytest.fixture
def actor() -> Actor:
    """Return the acting user of the tests."""
    return Actor(user_uuid="11111111-1111-1111-1111-111111111111", ip="192.0.2.9", user_agent="tests")


@pytest.fixture
def mac() -> Mac:
    """Return the MAC of a phone."""
    return Mac("AABBCCDDEE01")


@pytest.fixture
def new_user(db: Database, actor: Actor) -> NewUser:
    """Return a function that creates a user; the email follows the name."""

    async def make(username: str = "anna", password_hash: str = "$hash", **columns: Any) -> User:  # noqa: S107 -- no real hash
        row = {
            "first_name": "Anna",
            "last_name": "Arendt",
            "username": username,
            "email": f"{username}@example.org",
            "lang": "en",
            "timezone": "UTC",
            **columns,
        }
        return await db.write(users.create, actor, row, password_hash)

    return make


@pytest.fixture
async def superadmin(db: Database, new_user: NewUser, actor: Actor) -> User:
    """Create the only superadmin; users cannot be changed without one."""
    user = await new_user("root")
    await db.write(permissions.give, actor, user.uuid, SUPERADMIN_PERMISSION)
    return await db.read(users.get, user.uuid)


@pytest.fixture
def new_profile(db: Database, actor: Actor) -> NewProfile:
    """Return a function that creates a profile."""

    async def make(owner: User, name: str = "Reception", **attributes: Any) -> Profile:
        row = {"user_uuid": owner.uuid, "name": name, "cnf_xml": b"<device/>", **attributes}
        return await db.write(profiles.create, actor, row)

    return make


@pytest.fixture
def last_entry(db: Database) -> LastEntry:
    """Return a function that reads the newest audit row."""

    async def read() -> AuditEntry:
        return (await db.read(audit.entries, Listing(limit=1))).items[0]

    return read
