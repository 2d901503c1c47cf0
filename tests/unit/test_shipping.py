"""What stands beside the code says what the code does: README, config.toml, unit, Dockerfile, CI."""

import argparse
import ast
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
from cisisk.model.deployment import DeploymentState
from cisisk.phone_services import authentication, links
from cisisk.phone_services.problems import PROBLEMS

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text("utf-8")
CONFIG = (ROOT / "config.toml").read_text("utf-8")
UNIT = (ROOT / "systemd" / "cisisk.service").read_text("utf-8")
DOCKERFILE = (ROOT / "Dockerfile").read_text("utf-8")
CI = (ROOT / ".ci" / "run").read_text("utf-8")

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


def code_blocks(text: str) -> list[str]:
    return re.findall(r"^```\w*\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def table_rows(text: str) -> list[list[str]]:
    rows = re.findall(r"^\| (.*) \|$", text, re.MULTILINE)
    return [[cell.strip() for cell in row.split(" | ")] for row in rows]


def texts_in_the_code() -> set[str]:
    """Every string of the package; of a formatted one the parts between the values."""
    trees = [ast.parse(path.read_text("utf-8")) for path in (ROOT / "cisisk").rglob("*.py")]
    nodes = [node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Constant)]
    return {node.value for node in nodes if isinstance(node.value, str)}


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


def test_the_readme_names_every_setting_with_its_default() -> None:
    rows = [row for row in table_rows(README) if re.fullmatch(r"`[a-z_]+\.[a-z_]+`", row[0])]
    told = {name.strip("`"): tomllib.loads(f"default = {default.strip('`')}")["default"] for name, default, *_ in rows}
    assert told == defaults()
    assert len(told) == len(rows)


def test_the_readme_names_every_command() -> None:
    told = {row[0].strip("`").split()[1] for row in table_rows(README) if row[0].startswith("`cisisk ")}
    assert told == set(commands())


def test_the_readme_names_every_state_of_a_deployment() -> None:
    told = {row[0].strip("`") for row in table_rows(README)}
    assert told >= {state.value for state in DeploymentState}


def test_the_readme_explains_texts_that_the_code_really_says() -> None:
    rows = table_rows(README.partition("## When something is wrong")[2])
    quoted = [text for row in rows for text in re.findall(r"`([^`]+ [^`]+)`", row[0])]
    fragments = {part.strip(": ") for text in quoted for part in text.split("...") if len(part) > 3}
    said = texts_in_the_code()
    assert len(fragments) > 15
    assert [part for part in fragments if not any(part in text for text in said)] == []


def test_the_readme_gives_the_authentication_url_that_is_served() -> None:
    assert f"http://192.0.2.5:{Settings().server.port}{authentication.PATH}" in README


def test_the_readme_gives_the_urls_of_pages_that_are_served() -> None:
    told = set(re.findall(rf"{links.PREFIX}/([a-z-]+)", README))
    assert told == {"dir", "pdir", "cdir", "profile-switch"}
    assert f"http://192.0.2.5:{Settings().server.port}{links.PREFIX}/dir?mac=#DEVICENAME#" in README


def test_the_readme_explains_every_code_on_a_phones_screen() -> None:
    told = [row for row in table_rows(README) if re.fullmatch(r"`C[0-9]{2}`", row[0])]
    assert told == [[f"`{problem.code}`", problem.means] for problem in PROBLEMS]


def test_ci_runs_the_two_commands_that_the_readme_begins_with() -> None:
    demo, tests, *_ = code_blocks(README)
    assert demo.endswith("/cisisk demo\n")
    assert f"    {demo.rstrip()} --once\n" in CI
    assert tests.endswith("/pytest -q\n")
    assert f"    {tests}" in CI


@pytest.mark.needs("bash", "curl")
async def test_the_api_example_of_the_readme_works_as_it_is_pasted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CISISK_ADMIN_PASSWORD", "the printed one")
    tables = {
        "server": {"host": "127.0.0.1", "port": 0},
        "data": {"dir": str(tmp_path / "data")},
        "tftp": {"host": "127.0.0.1", "port": 0},
        "provisioning_http": {"host": "127.0.0.1", "port": 0},
        "ftp": {"host": "127.0.0.1", "port": 0},
    }
    async with appliance.running(config.build(tables, {})) as running:
        assert running.tftp_address is not None
        host, port = running.tftp_address
        (example,) = [block for block in code_blocks(README) if block.startswith("API=")]
        script = example.replace("API=http://127.0.0.1:8080", f"API={running.api_url}")
        script = script.replace("TFTP=127.0.0.1:69", f"TFTP={host}:{port}")
        shell = await asyncio.create_subprocess_exec(
            "bash", "-e", "-c", script, cwd=tmp_path, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
        )
        output = (await shell.communicate())[0].decode()
    assert shell.returncode == 0, output
    assert '"success": false' not in output
    # Of the deployment, not of its steps.
    assert re.findall(r'"state": "(\w+)"(?![^{}]*"told")', output)[-2:] == ["waiting", "fetched"]
    assert (tmp_path / "desk.cnf.xml").read_text("utf-8") in output


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
