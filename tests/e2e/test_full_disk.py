"""Full and read-only disks: switches fail with a reason, and configs that were served stay served."""

import os
import re
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest

from cisisk.appliance import appliance
from cisisk.model.codes.deployment import DeploymentFailure
from cisisk.model.errors import StartRefused
from cisisk.model.mac import Mac
from cisisk.provisioning.staging import STAGING, Staged
from cisisk.store import progress
from tests.e2e.running_site import Site, open_site, settings_for

SIZE = 4 << 20


class Disk:
    """A small separate file system."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._ballast = path / "ballast"

    def fill(self) -> None:
        """Fill the file system to the last byte."""
        with suppress(OSError), self._ballast.open("ab", buffering=0) as file:
            for size in (1 << 16, 1 << 10, 1):
                with suppress(OSError):
                    while file.write(bytes(size)) == size:
                        pass

    def remount(self, access: str) -> None:
        """Remount with ``access`` ro or rw."""
        subprocess.run(["mount", "-o", f"remount,{access}", self.path], check=True)

    def clear(self) -> None:
        self._ballast.unlink()


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    if os.geteuid() != 0:
        pytest.skip("only root may mount a small disk")
    path = tmp_path / "disk"
    path.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", path], check=True)
    yield Disk(path)
    subprocess.run(["umount", "--lazy", path], check=True)


def just_before(owner: Any, name: str, act: Callable[[], None], monkeypatch: pytest.MonkeyPatch) -> None:
    """Call ``act`` once, before the next call of a function."""
    original = getattr(owner, name)

    def replacement(*arguments: Any) -> Any:
        monkeypatch.setattr(owner, name, original)
        act()
        return original(*arguments)

    monkeypatch.setattr(owner, name, replacement)


NO_SPACE = {
    # The file and the record are written concurrently, so either may be the first to fail.
    "record": (progress, "record", "database or disk is full|No space left on device"),
    "write": (Staged, "write", "database or disk is full|No space left on device"),
    "commit": (progress, "written", "database or disk is full"),
}


async def try_to_switch(site: Site, profile: str, mac: Mac) -> tuple[int, str]:
    status, answer = await site.call("POST", "/phone-profiles/switch", {"profile_uuid": profile, "mac": str(mac)})
    return status, answer["message"]


def states(site: Site) -> list[tuple[str, bool, bool, str | None]]:
    """Return profile name, written flag, superseded flag and failure code of every deployment, in order."""
    with closing(sqlite3.connect(site.settings.data.dir / "cisisk.db")) as store:
        return store.execute(
            "SELECT profile_name, written_at IS NOT NULL, superseded_at IS NOT NULL, failure ->> 'code'"
            " FROM deployments ORDER BY number"
        ).fetchall()


@pytest.mark.parametrize("step", ["record", "write"])
async def test_switch_on_full_disk_changes_nothing_until_space_returns(
    disk: Disk, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner, name, reason = NO_SPACE[step]
    async with open_site(settings_for(disk.path)) as site:
        mac = site.new_mac()
        old, new = await site.profile("old"), await site.profile("new", cnf_xml=site.config("new" * 3000))
        await site.switch(old, mac)
        just_before(owner, name, disk.fill, monkeypatch)
        status, message = await try_to_switch(site, new, mac)
        assert (status, bool(re.search(reason, message))) == (503, True)
        assert await site.data("GET", f"/phone-config/{mac}") == site.config("old").encode()
        assert list((site.root / STAGING).iterdir()) == []
        disk.clear()
        await site.switch(new, mac)
        assert await site.data("GET", f"/phone-config/{mac}") == site.config("new" * 3000).encode()
        first, *interrupted, last = states(site)
        assert (first, last) == (("old", 1, 1, None), ("new", 1, 0, None))
        # No deployment exists if the record already failed.
        assert interrupted in ([], [("new", 0, 0, DeploymentFailure.CUT_OFF)])


@pytest.mark.parametrize("repaired_by", ["next switch", "next start"])
@pytest.mark.wording
async def test_switch_written_but_unrecorded_is_recorded_later(
    disk: Disk, repaired_by: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner, name, reason = NO_SPACE["commit"]
    async with open_site(settings_for(disk.path)) as site:
        mac = site.new_mac()
        old, new = await site.profile("old"), await site.profile("new", cnf_xml=site.config("new" * 3000))
        await site.switch(old, mac)
        just_before(owner, name, disk.fill, monkeypatch)
        status, message = await try_to_switch(site, new, mac)
        assert (status, bool(re.search(reason, message))) == (503, True)
        assert "The phone is served the new config nevertheless" in message
        assert await site.data("GET", f"/phone-config/{mac}") == site.config("new" * 3000).encode()
        disk.clear()
        if repaired_by == "next switch":
            await site.switch(old, mac)
            assert states(site) == [("old", 1, 1, None), ("new", 1, 1, None), ("old", 1, 0, None)]
            switched = [row for row in await site.data("GET", "/audit-logs") if row["action"] == "profile.switched"]
            assert [row["entity_uuid"] for row in switched] == [old, new, old]
    if repaired_by == "next start":
        async with open_site(site.settings) as site:
            assert states(site) == [("old", 1, 1, None), ("new", 1, 0, None)]
            assert (await site.data("GET", f"/phones/{mac}"))["current_profile_uuid"] == new


@pytest.mark.parametrize("state", ["full", "read-only"])
async def test_served_directory_on_unwritable_disk_keeps_serving_old_config(disk: Disk, state: str) -> None:
    settings = settings_for(disk.path.parent, provisioning={"root": str(disk.path / "served")})
    async with open_site(settings) as site:
        mac = site.new_mac()
        old, new = await site.profile("old"), await site.profile("new", cnf_xml=site.config("new" * 3000))
        await site.switch(old, mac)
        if state == "full":
            disk.fill()
        else:
            disk.remount("ro")
        status, message = await try_to_switch(site, new, mac)
        reason = "No space left on device" if state == "full" else "Read-only file system"
        assert (status, message) == (503, f"{mac.config_name} could not be written: {reason}")
        assert await site.data("GET", f"/phone-config/{mac}") == site.config("old").encode()
        assert states(site)[-1] == ("new", 0, 0, "storage_failed")
        if state == "full":
            disk.clear()
        else:
            disk.remount("rw")
        await site.switch(new, mac)
        assert await site.data("GET", f"/phone-config/{mac}") == site.config("new" * 3000).encode()


async def test_start_on_full_disk_is_refused_until_space_returns(disk: Disk) -> None:
    settings = settings_for(disk.path)
    async with open_site(settings) as site:
        mac = site.new_mac()
        await site.switch(await site.profile("old"), mac)
    disk.fill()
    with pytest.raises(StartRefused, match=r"cisisk\.db cannot be opened"):
        async with appliance.running(settings):
            pass
    disk.clear()
    async with open_site(settings) as site:
        assert await site.data("GET", f"/phone-config/{mac}")
