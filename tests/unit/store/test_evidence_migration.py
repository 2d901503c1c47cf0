"""Migration of the registration that was known before a restart."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from cisisk.model.registration import Before
from cisisk.store import deployments, migrations
from cisisk.store.database import Database
from tests.unit.store.test_notice_migration import BEFORE


@pytest.mark.parametrize("call_id", ["old@192.0.2.7", ""])
async def test_registration_before_an_upgrade_is_kept(tmp_path: Path, call_id: str) -> None:
    path = tmp_path / "cisisk.db"
    migrations.migrate(path, migrations.steps()[:11])
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(BEFORE.read_text(encoding="utf-8"))
        changes = "UPDATE deployments SET before_peer = '201', before_call_id = ? WHERE uuid = 'accepted'"
        connection.execute(changes, (call_id,))
        connection.commit()
    migrations.migrate(path, migrations.steps())
    async with Database.open(path.as_uri()) as db:
        accepted = await db.read(deployments.get, "accepted")
        refused = await db.read(deployments.get, "refused")
    assert isinstance(accepted.before, Before)
    (listed,) = accepted.before.listed
    assert (listed.line, listed.endpoint, listed.call_id) == ("201", "201", call_id)
    assert accepted.before.has_line("201")
    assert (accepted.tried_methods, refused.before) == ((), None)
