"""Fixtures: a real store and a real library."""

import shutil
from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from cisisk.model.mac import Mac
from cisisk.model.profile import Profile
from cisisk.model.user import SYSTEM
from cisisk.provisioning.library import Library
from cisisk.store import migrations, profiles, users
from cisisk.store.database import Database


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty store to copy."""
    path = tmp_path_factory.mktemp("store") / "cisisk.db"
    migrations.migrate(path, migrations.steps())
    return path


@pytest.fixture
def db_path(migrated: Path, tmp_path: Path) -> Path:
    """The file of ``db``."""
    return Path(shutil.copy(migrated, tmp_path / "cisisk.db"))


@pytest.fixture
async def db(db_path: Path) -> AsyncIterator[Database]:
    """An open empty store."""
    async with Database.open(db_path.as_uri()) as database:
        # Durability does not matter in tests.
        await database._writer.execute("PRAGMA synchronous = OFF")
        yield database


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The served directory; opening a library creates it."""
    return tmp_path / "tftpboot"


@pytest.fixture
def library(root: Path) -> Iterator[Library]:
    """The library of ``root``."""
    with closing(Library(root)) as opened:
        yield opened


@pytest.fixture
def mac() -> Mac:
    """A MAC address."""
    return Mac("AABBCCDDEE01")


@pytest.fixture
async def profile(db: Database) -> Profile:
    """A profile and its user."""
    row = {
        "username": "anna",
        "first_name": "Anna",
        "last_name": "Arendt",
        "email": "anna@example.org",
        "lang": "en",
        "timezone": "UTC",
    }
    user = await db.write(users.create, SYSTEM, row, "$hash")
    return await db.write(profiles.create, SYSTEM, {"user_uuid": user.uuid, "name": "Desk", "cnf_xml": b"<device/>"})
