"""Shortcuts for the first start of an appliance in tests that do not test it."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from cisisk.appliance.appliance import Appliance
from cisisk.config import Settings
from cisisk.identity import accounts
from cisisk.identity.passwords import Cost, Passwords
from cisisk.store import lock, migrations

_MINIMAL_COST = Cost(1, 8)


@contextmanager
def cheap_passwords() -> Iterator[None]:
    """Hash passwords with minimal cost; PINs keep their cost."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(accounts, "Passwords", lambda cost=_MINIMAL_COST: Passwords(cost))
        yield


def put_empty_store(settings: Settings) -> None:
    """Create a migrated empty store unless one exists."""
    path = settings.data.dir / "cisisk.db"
    if not path.exists():
        lock.prepare(settings.data.dir)
        path.touch(mode=0o600)
        path.write_bytes(_empty_store())


async def need_not_survive(running: Appliance) -> None:
    """Skip fsync: no test pulls the plug."""
    await running.health._db._writer.execute("PRAGMA synchronous = OFF")


@cache
def _empty_store() -> bytes:
    with TemporaryDirectory() as directory:
        path = Path(directory) / "cisisk.db"
        migrations.migrate(path, migrations.steps())
        return path.read_bytes()
