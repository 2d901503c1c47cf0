"""The shipped files match the code: config.toml, unit, Dockerfile, archives."""

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
"""Exposure of ``systemd-analyze security`` times ten: 2.0 is OK, 10.0 is a service without protection."""
MOST_TRANSFERS = 65535
"""The largest ``tftp.max_transfers``: one for each port."""


def as_toml(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else str(value) if isinstance(value, Path) else value


def defaults() -> dict[str, Any]:
    """Return every default by its dotted name, as a TOML value."""
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
    """Return the argument of the instruction in the final stage, with continuation lines joined."""
    stage = DOCKERFILE.replace("\\\n", "").rpartition("\nFROM ")[2]
    (argument,) = re.findall(rf"^{instruction} (.*)$", stage, re.MULTILINE)
    return str(argument)


def files_below(folder: Path) -> set[str]:
    return {
        str(path.relative_to(folder))
        for path in folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts and path.suffix != ".pyc"
    }


def test_shipped_config_has_default_settings() -> None:
    assert config.load(ROOT / "config.toml", {}) == Settings()


def test_shipped_config_lists_every_setting_with_default() -> None:
    uncommented = re.sub(r"^#(?! )", "", CONFIG, flags=re.MULTILINE)
    assert dotted(tomllib.loads(uncommented)) == defaults()


def test_unit_starts_existing_command() -> None:
    (line,) = of_unit("ExecStart")
    program, command, *options = shlex.split(line)
    assert Path(program).name == "cisisk"
    assert commands()[command].parse_args(options).config in config.SEARCHED


def test_unit_allows_default_data_directory() -> None:
    (state,) = of_unit("StateDirectory")
    assert Path("/var/lib") / state == Settings().data.dir


def test_unit_allows_open_files_for_all_transfers() -> None:
    (limits,) = of_unit("LimitNOFILE")
    soft, hard = (int(limit) for limit in limits.split(":"))
    assert soft >= Settings().tftp.max_transfers + SPARE_DESCRIPTORS
    assert hard >= MOST_TRANSFERS + SPARE_DESCRIPTORS


@pytest.mark.needs("systemd-analyze")
def test_systemd_accepts_unit(tmp_path: Path) -> None:
    unit = tmp_path / "cisisk.service"
    # Cisisk is not installed there.
    runnable = UNIT.replace("/opt/cisisk/bin/cisisk", shutil.which("true") or "")
    unit.write_text(runnable, "utf-8")
    verified = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", unit], capture_output=True, text=True, check=False
    )
    assert (verified.returncode, verified.stdout + verified.stderr) == (0, "")


@pytest.mark.needs("systemd-analyze")
def test_unit_exposure_stays_low() -> None:
    judged = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", f"--threshold={MAX_EXPOSURE}", "--no-pager",
         ROOT / "systemd" / "cisisk.service"],
        capture_output=True,
        text=True,
        check=False,
    )  # fmt: skip
    assert judged.returncode == 0, judged.stdout + judged.stderr


def test_image_starts_existing_command_without_shell() -> None:
    (program,), (command,) = json.loads(of_image("ENTRYPOINT")), json.loads(of_image("CMD"))
    assert program == "cisisk"
    assert command in commands()


def test_image_exposes_default_ports_and_volume() -> None:
    ports = [f"{Settings().server.port}/tcp", f"{Settings().provisioning_http.port}/tcp", f"{Settings().tftp.port}/udp"]
    ftp = [f"{Settings().ftp.port}/tcp", f"{Settings().ftp.passive_ports}/tcp"]
    assert of_image("EXPOSE").split() == ports + ftp
    assert Path(of_image("VOLUME")) == Settings().data.dir


def test_image_does_not_run_as_root() -> None:
    user, group = of_image("USER").split(":")
    assert int(user) > 0
    assert int(group) > 0


async def test_image_healthcheck_queries_running_service(tmp_path: Path) -> None:
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


def test_wheel_contains_every_file_of_package(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", tmp_path], cwd=ROOT, check=True)
    (wheel,) = tmp_path.glob("*.whl")
    assert files_below(ROOT / "cisisk") <= {
        name.removeprefix("cisisk/") for name in zipfile.ZipFile(wheel).namelist() if name.startswith("cisisk/")
    }
    assert {"api/static/swagger-ui/LICENSE", "api/static/swagger-ui/NOTICE"} <= files_below(ROOT / "cisisk")


def test_sdist_lists_only_existing_paths() -> None:
    build = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["hatch"]["build"]
    named: Iterable[str] = build["targets"]["sdist"]["include"]
    assert [name for name in named if not (ROOT / name).exists()] == []
