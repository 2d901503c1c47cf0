"""The documentation names every setting, command and operation, and no others."""

import ast
import re
import tomllib
from collections.abc import Iterable
from dataclasses import fields, is_dataclass
from enum import StrEnum
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from typing import Any, get_type_hints

import pytest
from aiohttp import web

from cisisk import restart
from cisisk.api.application import PREFIX
from cisisk.api.emservice.failures import FAILURES, UNKNOWN
from cisisk.api.routes import ROUTES
from cisisk.cli import COMMANDS
from cisisk.config import Settings
from cisisk.model.codes.asterisk import AsteriskProblem, SetupProblem
from cisisk.model.codes.boot import BootFindingCode
from cisisk.model.codes.kem import KemFindingCode
from cisisk.model.codes.restart import RestartRefusal
from cisisk.model.deployment import DeploymentState, OnTimeout, Policy, StepName
from cisisk.model.deployment_states import TRANSITIONS
from cisisk.model.phone_login import EndReason, Multiple, ReturnedTo
from cisisk.model.placeholders import NAMES as PLACEHOLDERS
from cisisk.model.restart import RestartOutcome, Worth
from cisisk.model.switch_job import JobState, RolloutPlan, RowState
from cisisk.phone_services import authentication, links
from cisisk.phone_services.texts import ScreenProblem
from cisisk.provisioning.access.alarm import AlarmKind
from cisisk.provisioning.access.policy import Mode
from cisisk.provisioning.files import FileKind

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = sorted([*DOCS.rglob("*.md"), *ROOT.glob("*.md")])
MAX_README_LINES = 150
CODE = re.compile(r"^```\w*\n(.*?)^```$|`([^`\n]+)`", re.MULTILINE | re.DOTALL)
ENDPOINT = re.compile(rf"(?:\b(GET|POST|PUT|DELETE) )?{PREFIX}(/[$\w<>{{}}/.-]*[\w>}}])")


def page(name: str) -> str:
    """Return the text of a page below docs/administration."""
    return (DOCS / "administration" / f"{name}.md").read_text("utf-8")


def section(text: str, title: str) -> str:
    """Return the text below a heading, up to the next heading of the same level."""
    level = re.findall(rf"^(#+) {re.escape(title)}$", text, re.MULTILINE)[0]
    after = text.partition(f"\n{level} {title}\n")[2]
    return re.split(rf"^#{{1,{len(level)}}} ", after, maxsplit=1, flags=re.MULTILINE)[0]


def rows(text: str) -> list[list[str]]:
    """Return the cells of every table row, without heads and rules."""
    tables = re.sub(r"^\|.*\|\n\|(?:-+\|)+$", "", text, flags=re.MULTILINE)
    return [
        [cell.strip() for cell in row.split(" | ")] for row in re.findall(r"^\| (.*) \|$", tables, flags=re.MULTILINE)
    ]


def first_cells(text: str) -> list[str]:
    """Return the first cell of each row; one that names several things counts as several."""
    return [name for row in rows(text) for name in re.findall(r"`([^`]+)`", row[0])]


def code_blocks(text: str) -> list[str]:
    return re.findall(r"^```\w*\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def code(text: str) -> list[str]:
    """Return every code span, and every block of code."""
    return [block or span for block, span in CODE.findall(text)]


def as_toml(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else str(value) if isinstance(value, Path) else value


def defaults() -> dict[str, Any]:
    """Return every setting by its dotted name, as TOML writes it."""
    settings = Settings()
    return {
        f"{name}.{key.name}": as_toml(getattr(getattr(settings, name), key.name))
        for name, kind in get_type_hints(Settings).items()
        if is_dataclass(kind)
        for key in fields(kind)
    }


def restart_methods() -> set[str]:
    modules = [import_module(found.name) for found in iter_modules(restart.__path__, f"{restart.__name__}.")]
    kinds = [kind for module in modules for kind in vars(module).values() if isinstance(kind, type)]
    return {name for kind in kinds if isinstance(name := vars(kind).get("name"), str)}


def strings_of_the_code() -> set[str]:
    """Return every string of the package; of a formatted one the parts between the values."""
    trees = [ast.parse(path.read_text("utf-8")) for path in (ROOT / "cisisk").rglob("*.py")]
    nodes = [node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Constant)]
    return {node.value for node in nodes if isinstance(node.value, str)}


def plain(path: str) -> str:
    """Return a path of the API with one mark for every parameter."""
    return re.sub(r"<[^>]*>|\{[^}]*\}|\$\w+", "{}", path)


def routes() -> set[tuple[str, str]]:
    known = [(route.method, route.path) for route in ROUTES if isinstance(route, web.RouteDef)]
    # A parameter's pattern may contain braces and brackets; its name does not matter.
    return {(method, plain(re.sub(r"\{(\w+):.*\}", "{}", path))) for method, path in known}


def test_settings_page_lists_every_setting_with_its_default() -> None:
    listed = [row for row in rows(page("settings")) if re.fullmatch(r"`[a-z_]+\.[a-z_]+`", row[0])]
    named = {name.strip("`"): tomllib.loads(f"default = {value.strip('`')}")["default"] for name, value, *_ in listed}
    assert named == defaults()
    assert len(named) == len(listed)


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_page_names_only_settings_that_exist(path: Path) -> None:
    sections = {name.partition(".")[0] for name in defaults()}
    spans = [text for text in code(path.read_text("utf-8")) if re.fullmatch(r"[a-z_]+\.[a-z_]+( = \S+)?", text)]
    named = {text.partition(" ")[0] for text in spans if text.partition(".")[0] in sections}
    assert {name for name in named if not name.endswith((".py", ".md"))} <= set(defaults())


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_page_names_only_variables_that_exist(path: Path) -> None:
    known = {f"CISISK_{name.upper().replace('.', '__')}" for name in defaults()}
    named = set(re.findall(r"\bCISISK_[A-Z_]+__[A-Z_]+", path.read_text("utf-8")))
    assert {name.removesuffix("_FILE") for name in named} <= known


def test_settings_page_lists_every_variable_without_a_key() -> None:
    source = "".join(path.read_text("utf-8") for path in (ROOT / "cisisk").rglob("*.py"))
    used = set(re.findall(r'"(CISISK_[A-Z_]+)"', source))
    assert {name for name in first_cells(page("settings")) if name.startswith("CISISK_")} == used


def test_command_line_page_lists_every_command() -> None:
    listed = [name.split()[1] for name in first_cells(page("command-line")) if name.startswith("cisisk ")]
    assert set(listed) == set(COMMANDS)


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_page_names_only_commands_that_exist(path: Path) -> None:
    texts = code(path.read_text("utf-8"))
    named = {
        name for text in texts for name in re.findall(r"(?:^|/bin/| cisisk )cisisk ([a-z]\w*)", text, re.MULTILINE)
    }
    assert named <= set(COMMANDS)


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_page_names_only_endpoints_that_exist(path: Path) -> None:
    paths = {known for _, known in routes()}
    named = [(method, plain(name)) for method, name in ENDPOINT.findall(path.read_text("utf-8"))]
    unknown = [(method, name) for method, name in named if (method, name) not in routes()]
    assert [each for each in unknown if each[0] or each[1] not in paths] == []


def test_switch_page_explains_every_state_and_step() -> None:
    text = page("switch")
    states = section(text, "States").partition("\n### ")[0]
    assert sorted(first_cells(states)) == sorted(DeploymentState)
    assert sorted(first_cells(section(text, "Steps of a deployment"))) == sorted(StepName)


def test_switch_page_names_every_transition() -> None:
    listed = {
        (state.strip("`"), each)
        for state, following in rows(section(page("switch"), "What follows a state"))
        for each in re.findall(r"`(\w+)`", following)
    }
    moves = {(source.state, each.target) for each in TRANSITIONS if each.target for source in each.sources}
    assert listed == {(before, after) for before, after in moves if before != after}


def test_switch_page_explains_every_field_of_the_policy() -> None:
    text = section(page("switch"), "Options of one switch: the policy")
    assert set(first_cells(text)) == {field.name for field in fields(Policy)}
    assert all(f"`{value}`" in text for value in OnTimeout)


def test_job_page_explains_every_state_and_parameter() -> None:
    text = page("switch-jobs")
    listed = [field.name for field in fields(RolloutPlan)]
    assert first_cells(section(text, "Start the job")) == [*listed, "dry_run"]
    assert first_cells(section(text, "When a job stops")) == [*JobState]
    assert all(f"`{state}`" in text for state in RowState)


def test_restart_page_lists_every_method() -> None:
    assert set(first_cells(page("restart"))) >= restart_methods()
    assert {row[0].strip("`") for row in rows(page("restart"))} == restart_methods()


@pytest.mark.parametrize(
    ("name", "title", "kind"),
    [
        ("access", "Modes", Mode),
        ("access", "Alarms", AlarmKind),
        ("switch", "What follows a state", DeploymentState),
        ("switch", "Restart outcome", RestartOutcome),
        ("switch", "Restart methods that were tried", Worth),
        ("directories", "Key expansion modules", KemFindingCode),
        ("fetches", "Boots", BootFindingCode),
        ("logins", "How a login ends", EndReason),
        ("logins", "What the phone gets back", ReturnedTo),
        ("logins", "Several phones", Multiple),
    ],
)
def test_table_lists_every_value(name: str, title: str, kind: type[StrEnum]) -> None:
    assert sorted(first_cells(section(page(name), title))) == sorted(kind)


def test_files_page_names_every_kind_of_file() -> None:
    (sentence,) = re.findall(r"^The kinds are .*$", page("files"), re.MULTILINE)
    assert set(re.findall(r"`([a-z_]+)`", sentence)) == set(FileKind)


def test_profiles_page_lists_every_placeholder() -> None:
    assert first_cells(section(page("profiles"), "Placeholders")) == [f"{{{{{name}}}}}" for name in PLACEHOLDERS]


def test_screen_page_explains_every_code() -> None:
    assert first_cells(section(page("phone-screen"), "Codes")) == list(ScreenProblem)


def test_hot_desk_page_explains_every_code() -> None:
    listed = re.findall(r"^\| `(\d+)` ([^|]+) \| .* \|$", page("hot-desk"), re.MULTILINE)
    failures = {(str(row.code), row.text) for row in (*FAILURES.values(), UNKNOWN)}
    assert sorted(listed) == sorted(failures)


def test_troubleshooting_page_explains_every_restart_refusal() -> None:
    listed = first_cells(section(page("troubleshooting"), "A phone was not restarted"))
    assert sorted(listed) == sorted([*RestartRefusal, *AsteriskProblem])


def test_troubleshooting_page_explains_every_setup_problem() -> None:
    listed = first_cells(section(page("troubleshooting"), "Settings of Asterisk"))
    assert sorted(listed) == sorted(SetupProblem)


def test_troubleshooting_page_quotes_messages_of_the_code() -> None:
    quoted = [text for row in rows(page("troubleshooting")) for text in re.findall(r"`([^`]+ [^`]+)`", row[0])]
    fragments = {part.strip(": ") for text in quoted for part in text.split("...") if len(part) > 3}
    said = strings_of_the_code()
    assert len(fragments) > 10
    assert [part for part in sorted(fragments) if not any(part in text for text in said)] == []


def test_docs_give_the_urls_that_phones_are_served() -> None:
    server = f"http://192.0.2.5:{Settings().server.port}"
    assert f"<authenticationURL>{server}{authentication.PATH}</authenticationURL>" in page("profiles")
    assert f"{server}{links.PREFIX}/profile-switch?mac=#DEVICENAME#" in page("phone-screen")
    assert set(re.findall(rf"{links.PREFIX}/([a-z-]+)", page("phone-screen"))) == {
        "dir", "pdir", "cdir", "profile-switch",
    }  # fmt: skip


def test_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text("utf-8").splitlines()) <= MAX_README_LINES


def test_readme_begins_with_the_two_commands_of_ci() -> None:
    ci = (ROOT / ".ci" / "run").read_text("utf-8")
    demo, tests, *_ = [block for block in code_blocks((ROOT / "README.md").read_text("utf-8")) if "venv" in block]
    assert demo.endswith("/cisisk demo\n")
    assert f"    {demo.rstrip()} --once\n" in ci
    assert tests.endswith("/pytest -q\n")
    assert f"    {tests}" in ci


def test_changelog_begins_with_the_version_of_the_package() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    released = re.findall(r"^## (\d+\.\d+\.\d+)", (ROOT / "CHANGELOG.md").read_text("utf-8"), re.MULTILINE)
    assert released[0] == project["version"]


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_page_cites_only_documents_that_exist(path: Path) -> None:
    text = path.read_text("utf-8")
    # Documents of other projects stand beside the address of their repository.
    own = [line for line in text.splitlines() if not re.search(r"https?://|github\.com/", line)]
    cited = set(re.findall(r"[\w./-]+\.md\b", "\n".join(own)))
    assert {
        name for name in cited if not any((folder / name).exists() for folder in (path.parent, DOCS, ROOT))
    } == set()
    assert re.findall(r"(?:field|design|house) notes|api-contract", text, re.IGNORECASE) == []


def test_navigation_lists_every_page() -> None:
    text = (ROOT / "mkdocs.yml").read_text("utf-8").partition("\nnav:\n")[2]
    listed: Iterable[str] = re.findall(r": (\S+\.md)$", text, re.MULTILINE)
    assert sorted(listed) == sorted(str(found.relative_to(DOCS)) for found in DOCS.rglob("*.md"))
