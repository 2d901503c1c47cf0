"""A real store, and a profile that can be put on phones."""

import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from cisisk.model.mac import Mac
from cisisk.model.profile import Profile
from cisisk.model.user import SYSTEM
from cisisk.store import migrations, profiles, users
from cisisk.store.database import Database


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty store, to be copied."""
    path = tmp_path_factory.mktemp("store") / "cisisk.db"
    migrations.migrate(path, migrations.steps())
    return path


@pytest.fixture
async def db(migrated: Path, tmp_path: Path) -> AsyncIterator[Database]:
    """An open empty store."""
    path = Path(shutil.copy(migrated, tmp_path / "cisisk.db"))
    async with Database.open(path.as_uri()) as database:
        # What a test stores need not survive a pulled plug.
        await database._writer.execute("PRAGMA synchronous = OFF")
        yield database


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
