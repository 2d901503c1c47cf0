"""The import contracts of pyproject.toml hold for the package, and fail where an import breaks them."""

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]
PROJECT = ROOT / "pyproject.toml"

WRONG_IMPORTS = {
    "store/phones.py": "import cisisk.mobility.switch",
    "simulator/phone.py": "import cisisk.store.phones",
    "sip/message.py": "import cisisk.simulator",
    "model/mac.py": "import sqlite3",
}
"""Forbidden imports by module, at least one for each contract of pyproject.toml."""


def run_contracts(folder: Path) -> str:
    command = [sys.executable, "-c", "from importlinter.cli import lint_imports_command as lint; lint()", "--no-cache"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False).stdout


def test_lint_imports_wrong_imports_break_every_contract(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "cisisk", tmp_path / "cisisk", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(PROJECT, tmp_path)
    for module, wrong in WRONG_IMPORTS.items():
        path = tmp_path / "cisisk" / module
        path.write_text(f"{path.read_text('utf-8')}\n{wrong}\n", "utf-8")
    contracts = tomllib.loads(PROJECT.read_text("utf-8"))["tool"]["importlinter"]["contracts"]
    assert set(re.findall(r"^(.*) BROKEN\b", run_contracts(tmp_path), re.MULTILINE)) == {
        contract["name"] for contract in contracts
    }
