"""What an appliance does at its first start, done once for all tests that are not about that."""

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

_NEXT_TO_NOTHING = Cost(1, 8)


@contextmanager
def cheap_passwords() -> Iterator[None]:
    """Hash the passwords of users in no time; their PINs cost what they cost."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(accounts, "Passwords", lambda cost=_NEXT_TO_NOTHING: Passwords(cost))
        yield


def put_empty_store(settings: Settings) -> None:
    """Give an appliance that has none yet a store that needs no migration."""
    path = settings.data.dir / "cisisk.db"
    if not path.exists():
        lock.prepare(settings.data.dir)
        path.touch(mode=0o600)
        path.write_bytes(_empty_store())


async def need_not_survive(running: Appliance) -> None:
    """What is stored from now on is lost when the plug is pulled, which no test does."""
    await running.health._db._writer.execute("PRAGMA synchronous = OFF")


@cache
def _empty_store() -> bytes:
    with TemporaryDirectory() as directory:
        path = Path(directory) / "cisisk.db"
        migrations.migrate(path, migrations.steps())
        return path.read_bytes()
