"""A real store and real keys."""

import shutil
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from cisisk.identity.tokens import KeyRing
from cisisk.store import migrations
from cisisk.store.database import Database


class Clock:
    """A clock that stands still until it is told to go on."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now

    def go_on(self, seconds: float) -> None:
        """Let time pass."""
        self.now += seconds


@pytest.fixture
def clock() -> Clock:
    """Time, as the test wants it."""
    return Clock()


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty store, to be copied."""
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
        # What a test stores need not survive a pulled plug.
        await database._writer.execute("PRAGMA synchronous = OFF")
        yield database


@pytest.fixture
def ring(tmp_path: Path) -> KeyRing:
    """Keys, new."""
    return KeyRing.load(tmp_path / "keys", timedelta(minutes=15))
