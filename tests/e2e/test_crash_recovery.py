"""Kill the process at each step of a switch: it then serves a whole config, and its records match that config."""

import os
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from cisisk.model.codes.deployment import DeploymentFailure
from cisisk.provisioning.staging import STAGING
from tests.e2e.running_site import open_site, settings_for
from tests.e2e.switch_crash_child import STEPS
from tests.patience import PATIENCE

ROOT = Path(__file__).parents[2]
NEW_IS_SERVED = {"after the rename", "before the commit", "after the commit", "during the restart", "after the restart"}


def kill_a_switch(directory: Path, step: str, mac: str) -> None:
    child = [sys.executable, str(ROOT / "tests/e2e/switch_crash_child.py"), str(directory), step, mac]
    ended = subprocess.run(child, env={**os.environ, "PYTHONPATH": str(ROOT)}, timeout=60, check=False)
    assert ended.returncode == -signal.SIGKILL


def last_deployment(store: Path) -> dict[str, str]:
    with closing(sqlite3.connect(store)) as database:
        database.row_factory = sqlite3.Row
        return dict(database.execute("SELECT * FROM deployments ORDER BY number DESC LIMIT 1").fetchone())


@pytest.mark.parametrize("step", STEPS)
async def test_switch_killed_at_any_step_recovers_config_and_record(tmp_path: Path, step: str) -> None:
    mac = "001122330001"
    kill_a_switch(tmp_path, step, mac)
    settings = settings_for(tmp_path)
    async with open_site(settings) as site:
        profiles = {profile["name"]: profile for profile in await site.data("GET", "/phone-profiles")}
        served = "new" if step in NEW_IS_SERVED else "old"
        expected = profiles[served]["cnf_xml"].encode()
        assert await site.data("GET", f"/phone-config/{mac}") == expected
        phone_record = await site.data("GET", f"/phones/{mac}")
        assert phone_record["current_profile_uuid"] == profiles[served]["uuid"]

        record = last_deployment(settings.data.dir / "cisisk.db")
        stored = await site.deployment(record["uuid"])
        if step == "before the record":
            assert stored["profile_name"] == "old"
        elif served == "old":
            assert (stored["state"], stored["failure_detail"]["code"]) == ("failed", DeploymentFailure.CUT_OFF)
        elif step == "after the restart":
            assert stored["state"] == "waiting"
        else:
            assert (stored["state"], stored["restart_outcome"]) == ("waiting", "cut_off")

        assert list((site.root / STAGING).iterdir()) == []
        async with site.phone() as phone:
            assert str(phone.mac) == phone_record["mac"]
            await phone.wait_for_boot(1, PATIENCE)
            assert phone.config == expected
            again = await site.switch(profiles["new"]["uuid"], phone.mac)
            assert again["profile"] == "new"
            assert site.versions(phone.mac)[-1] == ("switch", profiles["new"]["cnf_xml"].encode())
