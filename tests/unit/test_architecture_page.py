"""docs/architecture.md and docs/contributing.md describe the packages and files that exist."""

import re
import tomllib
from pathlib import Path

import pytest

from cisisk.model.deployment import DeploymentState
from cisisk.model.deployment_states import TRANSITIONS, Situation, Transition

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "cisisk"
ARCHITECTURE = (ROOT / "docs" / "architecture.md").read_text("utf-8")
PAGES = ("architecture.md", "contributing.md", "performance.md")
PATH = re.compile(r"`((?:\.ci|cisisk|docs|tests|[a-z_]+)/[\w/.-]+|[a-z_]+\.(?:py|toml|yml))`")
BESIDE_LAYERS = {"cisisk.simulator"}
"""A package with its own contract, stricter than a layer."""


def layers() -> list[str]:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["importlinter"]["contracts"]
    return next(list(contract["layers"]) for contract in contracts if contract["type"] == "layers")


def described() -> set[str]:
    return {path.removesuffix(".py") for path in re.findall(r"^\| `cisisk/([\w.]+)` \|", ARCHITECTURE, re.MULTILINE)}


def exists(path: str) -> bool:
    return any((base / path).exists() for base in (ROOT, PACKAGE, ROOT / "tests" / "bench"))


def test_picture_shows_layers_of_import_contract() -> None:
    (picture,) = re.findall(r"^```\n(cli\n.*?)^```$", ARCHITECTURE, re.MULTILINE | re.DOTALL)
    assert picture.splitlines() == [layer.replace("cisisk.", "") for layer in layers()]


def test_table_describes_every_package_and_no_other() -> None:
    packages = {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    assert described() == packages | {"config"}


def test_layers_and_simulator_cover_every_package() -> None:
    named = {name for layer in layers() for name in layer.split(" | ")}
    assert named | BESIDE_LAYERS == {f"cisisk.{name}" for name in described()}


@pytest.mark.parametrize("page", PAGES)
def test_page_names_only_files_that_exist(page: str) -> None:
    named = set(PATH.findall((ROOT / "docs" / page).read_text("utf-8")))
    assert sorted(path for path in named if not exists(path)) == []


def describe(situations: frozenset[Situation]) -> str:
    """Situations as the page lists them: the open ones, then the ended ones."""
    if not situations:
        return "(new)"
    ordered = sorted(situations, key=lambda each: (each.ended, list(DeploymentState).index(each.state)))
    return ", ".join(f"{each.state} (ended)" if each.ended else str(each.state) for each in ordered)


def transition_row(transition: Transition) -> str:
    """A transition as the page lists it."""
    target = "(stays)" if transition.target is None else str(transition.target)
    ended = {True: "yes", False: "no", None: "(stays)"}[transition.ends]
    steps = ", ".join(f"`{step}`" for step in transition.steps)
    return f"| {steps} | {describe(transition.sources)} | {target} | {ended} |"


def test_page_lists_every_transition_of_a_deployment() -> None:
    listed = [line for line in ARCHITECTURE.splitlines() if re.match(r"\| `\w+`(, `\w+`)* \| [(a-z]", line)]
    table = [transition_row(transition) for transition in TRANSITIONS]
    assert [line for line in listed if line.count("|") == 5] == table
