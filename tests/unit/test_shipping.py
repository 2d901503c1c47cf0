"""What is shipped beside the code fits the code: config.toml, unit, Dockerfile, archives."""

import argparse
import asyncio
import json
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import fields, is_dataclass
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from typing import Any, get_type_hints

import pytest

from cisisk import cli, config
from cisisk.api.application import PREFIX
from cisisk.appliance import appliance
from cisisk.appliance.provisioning_ports import SPARE_DESCRIPTORS
from cisisk.config import Settings

ROOT = Path(__file__).parents[2]
CONFIG = (ROOT / "config.toml").read_text("utf-8")
UNIT = (ROOT / "systemd" / "cisisk.service").read_text("utf-8")
DOCKERFILE = (ROOT / "Dockerfile").read_text("utf-8")

MAX_EXPOSURE = 20
"""Tenths of what ``systemd-analyze security`` calls exposure: 2.0 is OK, 10.0 is a service without any walls."""
MOST_TRANSFERS = 65535
"""The largest ``tftp.max_transfers``: one for each port."""


def as_toml(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else str(value) if isinstance(value, Path) else value


def defaults() -> dict[str, Any]:
    """Every setting by its dotted name, as TOML has it."""
    settings = Settings()
    return {
        f"{section}.{key.name}": as_toml(getattr(getattr(settings, section), key.name))
        for section, kind in get_type_hints(Settings).items()
        if is_dataclass(kind)
        for key in fields(kind)
    }


def dotted(tables: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    return {f"{section}.{key}": value for section, table in tables.items() for key, value in table.items()}


def commands() -> dict[str, argparse.ArgumentParser]:
    subparsers = argparse.ArgumentParser().add_subparsers()
    for found in iter_modules(cli.__path__, f"{cli.__name__}."):
        module = import_module(found.name)
        if hasattr(module, "add_parser"):
            module.add_parser(subparsers)
    return dict(subparsers.choices)


def of_unit(name: str) -> list[str]:
    return re.findall(rf"^{name}=(.*)$", UNIT, re.MULTILINE)


def of_image(instruction: str) -> str:
    """The argument of the instruction in the final stage, its lines joined as Docker joins them."""
    stage = DOCKERFILE.replace("\\\n", "").rpartition("\nFROM ")[2]
    (argument,) = re.findall(rf"^{instruction} (.*)$", stage, re.MULTILINE)
    return str(argument)


def files_below(folder: Path) -> set[str]:
    return {
        str(path.relative_to(folder))
        for path in folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts and path.suffix != ".pyc"
    }


def test_the_shipped_config_changes_nothing() -> None:
    assert config.load(ROOT / "config.toml", {}) == Settings()


def test_the_shipped_config_names_every_setting_with_its_default() -> None:
    uncommented = re.sub(r"^#(?! )", "", CONFIG, flags=re.MULTILINE)
    assert dotted(tomllib.loads(uncommented)) == defaults()


def test_the_unit_starts_a_command_that_exists() -> None:
    (line,) = of_unit("ExecStart")
    program, command, *options = shlex.split(line)
    assert Path(program).name == "cisisk"
    assert commands()[command].parse_args(options).config in config.SEARCHED


def test_the_unit_lets_the_service_use_its_default_directory() -> None:
    (state,) = of_unit("StateDirectory")
    assert Path("/var/lib") / state == Settings().data.dir


def test_the_unit_allows_the_open_files_that_the_transfers_need() -> None:
    (limits,) = of_unit("LimitNOFILE")
    soft, hard = (int(limit) for limit in limits.split(":"))
    assert soft >= Settings().tftp.max_transfers + SPARE_DESCRIPTORS
    assert hard >= MOST_TRANSFERS + SPARE_DESCRIPTORS


@pytest.mark.needs("systemd-analyze")
def test_systemd_finds_nothing_wrong_with_the_unit(tmp_path: Path) -> None:
    unit = tmp_path / "cisisk.service"
    # Cisisk is not installed there.
    runnable = UNIT.replace("/opt/cisisk/bin/cisisk", shutil.which("true") or "")
    unit.write_text(runnable, "utf-8")
    verified = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", unit], capture_output=True, text=True, check=False
    )
    assert (verified.returncode, verified.stdout + verified.stderr) == (0, "")


@pytest.mark.needs("systemd-analyze")
def test_the_unit_keeps_its_walls() -> None:
    judged = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", f"--threshold={MAX_EXPOSURE}", "--no-pager",
         ROOT / "systemd" / "cisisk.service"],
        capture_output=True,
        text=True,
        check=False,
    )  # fmt: skip
    assert judged.returncode == 0, judged.stdout + judged.stderr


def test_the_image_starts_a_command_that_exists_without_a_shell() -> None:
    (program,), (command,) = json.loads(of_image("ENTRYPOINT")), json.loads(of_image("CMD"))
    assert program == "cisisk"
    assert command in commands()


def test_the_image_exposes_the_default_ports_and_keeps_the_default_directory() -> None:
    ports = [f"{Settings().server.port}/tcp", f"{Settings().provisioning_http.port}/tcp", f"{Settings().tftp.port}/udp"]
    ftp = [f"{Settings().ftp.port}/tcp", f"{Settings().ftp.passive_ports}/tcp"]
    assert of_image("EXPOSE").split() == ports + ftp
    assert Path(of_image("VOLUME")) == Settings().data.dir


def test_the_image_does_not_run_as_root() -> None:
    user, group = of_image("USER").split(":")
    assert int(user) > 0
    assert int(group) > 0


async def test_the_image_asks_a_running_service_for_its_health(tmp_path: Path) -> None:
    asked = json.loads(of_image("HEALTHCHECK").partition(" CMD ")[2])[2]
    assert f"'{PREFIX}/health'" in asked
    socket = str(Settings().data.dir / appliance.CONTROL_SOCKET)
    assert socket in asked
    asked = asked.replace(socket, str(tmp_path / appliance.CONTROL_SOCKET))

    async def status() -> int:
        check = await asyncio.create_subprocess_exec(sys.executable, "-c", asked, stderr=asyncio.subprocess.DEVNULL)
        return await check.wait()

    tables = {"data": {"dir": str(tmp_path)}}
    async with appliance.control_only(config.build(tables, {})):
        assert await status() == 0
    assert await status() == 1


def test_the_wheel_contains_every_file_of_the_package(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", tmp_path], cwd=ROOT, check=True)
    (wheel,) = tmp_path.glob("*.whl")
    assert files_below(ROOT / "cisisk") <= {
        name.removeprefix("cisisk/") for name in zipfile.ZipFile(wheel).namelist() if name.startswith("cisisk/")
    }
    assert {"api/static/swagger-ui/LICENSE", "api/static/swagger-ui/NOTICE"} <= files_below(ROOT / "cisisk")


def test_the_lists_of_a_source_archive_name_what_exists() -> None:
    build = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["hatch"]["build"]
    named: Iterable[str] = build["targets"]["sdist"]["include"]
    assert [name for name in named if not (ROOT / name).exists()] == []
