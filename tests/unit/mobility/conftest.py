"""A profile that can be put on phones."""

import pytest

from cisisk.model.mac import Mac
from cisisk.model.profile import Profile
from cisisk.model.user import SYSTEM
from cisisk.store import profiles, users
from cisisk.store.database import Database


@pytest.fixture
def mac() -> Mac:
    """A phone."""
    return Mac("AABBCCDDEE01")


@pytest.fixture
async def profile(db: Database) -> Profile:
    """A profile of somebody."""
    row = {
        "username": "anna",
        "first_name": "Anna",
        "last_name": "Arendt",
        "email": "anna@example.org",
        "lang": "en",
        "timezone": "UTC",
    }
    user = await users.create(db, SYSTEM, row, "$hash")
    return await profiles.create(db, SYSTEM, {"user_uuid": user.uuid, "name": "Desk", "cnf_xml": b"<device/>"})
