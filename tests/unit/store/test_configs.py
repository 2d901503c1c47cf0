import hashlib
import sqlite3
from contextlib import closing
from pathlib import Path

from cisisk.model.mac import Mac
from cisisk.store import configs, migrations
from cisisk.store.database import Database

STEP = 3
"""Return the migration that added served configs."""


async def test_migration_takes_served_config_from_last_switch(tmp_path: Path) -> None:
    path = tmp_path / "old.db"
    migrations.migrate(path, migrations.steps()[: STEP - 1])
    with closing(sqlite3.connect(path)) as store, store:
        for number, (mac, content, written_at) in enumerate(
            [
                ("AABBCCDDEE01", b"first", "2026-01-01T00:00:00.000Z"),
                ("AABBCCDDEE01", b"last", "2026-01-02T00:00:00.000Z"),
                ("AABBCCDDEE01", b"never written", None),
                ("AABBCCDDEE02", b"never written", None),
            ]
        ):
            sha256 = hashlib.sha256(content).hexdigest()
            store.execute("INSERT OR IGNORE INTO contents VALUES (?, ?)", (sha256, content))
            store.execute(
                "INSERT INTO config_versions (mac, sha256, origin, created_at) VALUES (?, ?, 'switch', '')",
                (mac, sha256),
            )
            store.execute(
                "INSERT INTO deployments (uuid, mac, sha256, profile_name, recorded_at, written_at)"
                " VALUES (?, ?, ?, 'Desk', '', ?)",
                (str(number), mac, sha256, written_at),
            )
    migrations.migrate(path, migrations.steps())
    async with Database.open(path.as_uri()) as db:
        (served,) = (await db.read(configs.served)).values()
    assert served == configs.Served(
        mac=Mac("AABBCCDDEE01"),
        sha256=hashlib.sha256(b"last").hexdigest(),
        pending=None,
        origin="switch",
        since="2026-01-02T00:00:00.000Z",
    )
