"""Directory imports through the API and with ``cisisk adopt``."""

import asyncio
import subprocess
import sys
from pathlib import Path

import aiohttp
import pytest

from cisisk.config import Settings
from tests.api.client import CONFIG, MAC, UNKNOWN, Client, Site, check_error
from tests.api.client import site as opened

NAME = "SEPAABBCCDDEE01.cnf.xml"


@pytest.fixture
def old(tmp_path: Path) -> Path:
    path = tmp_path / "old"
    path.mkdir()
    (path / NAME).write_text(CONFIG, newline="")
    (path / "SEPAABBCCDDEE02.cnf.xml").write_text("<device")
    (path / "ring.raw").write_bytes(b"ring")
    return path


async def test_import_of_served_directory_adopts_its_configs(site: Site) -> None:
    place(site.settings.served_root / NAME, CONFIG.encode())
    answer = await site.admin.post("/adoptions", {})
    assert answer.message == "1 profile(s) imported"
    data = answer.data
    (imported,) = data.pop("configs")
    assert data == {"phones": 1, "profiles": 1, "files": 0, "unchanged": 0, "notes": []}
    profile = (await site.admin.get(f"/phones/{MAC}")).data["current_profile_uuid"]
    assert (imported["mac"], imported["profile_uuid"], imported["username"]) == (MAC, profile, "admin")
    assert (await site.admin.get(f"/phone-profiles/{profile}")).data["user_uuid"] == site.admin_uuid


def place(path: Path, content: bytes) -> None:
    path.write_bytes(content)


async def test_import_of_other_directory_requires_control_socket(site: Site, old: Path) -> None:
    check_error(await site.admin.post("/adoptions", {"directory": str(old)}), 403)
    connector = aiohttp.UnixConnector(str(site.control_socket))
    async with aiohttp.ClientSession(connector=connector) as session:
        owner = Client(session, "http://cisisk")
        for body, field in (
            ({"directory": "/absent"}, "directory"),
            ({"directory": "relative"}, "directory"),
            ({"directory": str(site.settings.data.dir)}, "directory"),
            ({"directory": str(old), "user_uuid": UNKNOWN}, "user_uuid"),
        ):
            assert set((await owner.post("/adoptions", body)).fields) == {field}
        answer = await owner.post("/adoptions", {"directory": str(old)})
    assert {name: answer.data[name] for name in ("phones", "profiles", "files")} == {
        "phones": 1, "profiles": 1, "files": 1,
    }  # fmt: skip
    (note,) = answer.data["notes"]
    assert (note["path"], note["kind"]) == ("SEPAABBCCDDEE02.cnf.xml", "invalid")


async def test_adopt_command_uses_running_service(site: Site, old: Path) -> None:
    await site.admin.new_user("bert")
    config = old.parent / "config.toml"
    place(config, f'[data]\ndir = "{site.settings.data.dir}"\n'.encode())
    command = [sys.executable, "-m", "cisisk", "adopt", str(old), "--owner", "bert", "--config", str(config)]
    done = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[0] == "1 phone(s) and 1 profile(s) added, 1 file(s) copied, 0 unchanged"
    assert "phones cannot read them (1):\n  SEPAABBCCDDEE02.cnf.xml: " in done.stdout
    assert (await site.admin.get(f"/phone-config/{MAC}")).content == CONFIG.encode()
    (profile,) = (await site.admin.get("/phone-profiles")).data
    assert profile["user_uuid"] == (await site.admin.get("/users?q=bert")).data[0]["uuid"]
    again = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, check=False)
    assert again.stdout.startswith("0 phone(s) and 0 profile(s) added, 0 file(s) copied, 2 unchanged")
    absent = await asyncio.to_thread(
        subprocess.run, [*command[:4], "/absent", *command[5:]], capture_output=True, text=True, check=False
    )
    assert (absent.returncode, absent.stderr) == (
        1,
        "cisisk: directory: /absent cannot be read: No such file or directory\n",
    )


async def test_adopt_command_works_without_service(settings: Settings, old: Path) -> None:
    config = old.parent / "config.toml"
    place(config, f'[data]\ndir = "{settings.data.dir}"\n'.encode())
    command = [sys.executable, "-m", "cisisk", "adopt", str(old), "--config", str(config)]
    done = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("1 phone(s) and 1 profile(s) added, 1 file(s) copied")
    async with opened(settings) as site:
        assert (await site.admin.get(f"/phone-config/{MAC}")).content == CONFIG.encode()
        (profile,) = (await site.admin.get("/phone-profiles")).data
        assert profile["user_uuid"] == site.admin_uuid


async def adopt(settings: Settings, directory: Path, *options: str) -> "subprocess.CompletedProcess[str]":
    config = settings.data.dir.parent / "config.toml"
    place(config, f'[data]\ndir = "{settings.data.dir}"\n'.encode())
    command = [sys.executable, "-m", "cisisk", "adopt", str(directory), "--config", str(config), *options]
    return await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, check=False)


async def test_adopt_command_without_phone_exits_with_1(site: Site, old: Path) -> None:
    empty = old.parent / "no phones"
    empty.mkdir()
    place(empty / "ring.raw", b"ring")
    done = await adopt(site.settings, empty)
    assert (done.returncode, done.stderr) == (1, "")
    assert done.stdout.startswith("0 phone(s) and 0 profile(s) added, 1 file(s) copied")
    assert "No phone was imported" in done.stdout


async def test_adopt_command_reads_and_writes_table_of_owners(site: Site, old: Path) -> None:
    await site.admin.new_user("bert")
    owners, table = old.parent / "owners.csv", old.parent / "table.csv"
    owners.write_text(f"Name;MAC;username\nx;sep{MAC.replace(':', '').lower()};BERT\n;AABBCCDDEE77;\n", "utf-8")
    done = await adopt(site.settings, old, "--owners", str(owners), "--table", str(table))
    assert (done.returncode, done.stderr) == (0, "")
    head, row = table.read_text("utf-8").splitlines()
    assert head == "mac,username,file,profile,profile_uuid,state"
    assert row.startswith(f"{MAC},bert,{NAME},")
    assert row.endswith(",added")
    again = await adopt(site.settings, old, "--owners", str(table), "--table", str(table))
    assert again.returncode == 0
    assert table.read_text("utf-8").splitlines()[1] == row.replace(",added", ",unchanged")


@pytest.mark.parametrize(
    ("table", "reason"),
    [
        ("mac,username\nAABBCCDDEE01,nobody\n", "There are no users nobody"),
        ("mac,username\nx,admin\n", "line 2"),
        ("phone,user\n", "the columns mac and username"),
        ("", "empty"),
    ],
)
async def test_adopt_command_refuses_table_before_it_imports(site: Site, old: Path, table: str, reason: str) -> None:
    owners = old.parent / "owners.csv"
    owners.write_text(table, "utf-8")
    done = await adopt(site.settings, old, "--owners", str(owners))
    assert done.returncode == 1
    assert reason in done.stderr
    assert (await site.admin.get("/phones")).data == []


async def test_adopt_command_prints_some_notes_of_each_kind(site: Site, old: Path) -> None:
    for number in range(10):
        place(old / f"SEPAABBCCDDEE1{number}.cnf.xml", b"<device>")
    done = await adopt(site.settings, old)
    assert done.stdout.count("  SEPAABBCCDDEE") == 3
    assert "  and 8 more: --details shows all" in done.stdout
    assert (await adopt(site.settings, old, "--details")).stdout.count("  SEPAABBCCDDEE") == 11
