"""Options, hooks and fixtures for all tests."""

import os
import re
import shutil
from collections.abc import Callable

import pytest
from hypothesis import settings

import cisisk.phone_services.texts  # noqa: F401 -- it adds its templates to the catalogue
from cisisk.model import messages
from cisisk.provisioning.tftp.fastpath.switch import FAST, choose_path
from cisisk.provisioning.tftp.path import PLAIN, DatagramPath
from tests.asterisk import debian

# Hypothesis fails an example that takes 200 ms. On a busy machine any example may.
settings.register_profile("cisisk", deadline=None)
settings.load_profile("cisisk")

PARAMETER = re.compile(r"\{[^}]*\}")
"""A placeholder for a parameter in a template."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add an option that replaces all messages, to prove that no decision depends on wording."""
    parser.addoption(
        "--other-words",
        action="store_true",
        help="replace the template of every message; tests marked wording are deselected",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Replace every message of the catalogue if ``--other-words`` is given."""
    if config.getoption("--other-words"):
        with_words = {code: text for code, text in messages.CATALOGUE.items() if PARAMETER.sub("", text).strip()}
        for code, template in with_words.items():
            messages.CATALOGUE[code] = f"<{code}> {' '.join(PARAMETER.findall(template))}"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deselect tests of wording if ``--other-words`` is given."""
    if config.getoption("--other-words"):
        about_words = [item for item in items if item.get_closest_marker("wording")]
        items[:] = [item for item in items if item not in about_words]
        config.hook.pytest_deselected(items=about_words)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip a test whose external programs are missing; in CI fail it."""
    for mark in item.iter_markers("needs"):
        missing = [reason for program in mark.args if (reason := absence(program))]
        if missing and os.environ.get("CISISK_REQUIRE_TOOLS") == "1":
            pytest.fail(f"not installed: {', '.join(missing)}")
        if missing:
            pytest.skip(f"not installed: {', '.join(missing)}")


def absence(program: str) -> str | None:
    """Return why a program is missing, or None. ``asterisk`` is Debian's, extracted into a cache."""
    if not program.startswith("asterisk"):
        return None if shutil.which(program) else program
    try:
        debian.asterisk("chan_sip" if program.endswith("chan_sip") else "chan_pjsip")
    except debian.Unavailable as reason:
        return f"{program} ({reason})"
    return None


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print which versions of Asterisk were tested."""
    passed = terminalreporter.stats.get("passed", [])
    if any(report.nodeid.startswith("tests/asterisk/") for report in passed):
        terminalreporter.write_line(f"Asterisk {' and '.join(debian.tested())}")


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Name bytes and long texts by their argument and number.

    Some contain times or compressed bytes, which differ between the processes of pytest-xdist. Long names make reports
    unreadable.
    """
    return argname if isinstance(val, bytes) or (isinstance(val, str) and len(val) > 30) else None


@pytest.fixture(scope="session")
def require_fastpath() -> Callable[[], None]:
    """Skips a test where TFTP's fast path is switched off or not supported."""

    def require() -> None:
        if choose_path() is not FAST:
            pytest.skip("the fast path is switched off or not supported")

    return require


@pytest.fixture(scope="session", params=[PLAIN, FAST], ids=lambda path: path.name)
def tftp_path(request: pytest.FixtureRequest, require_fastpath: Callable[[], None]) -> DatagramPath:
    """Each of TFTP's two paths."""
    path: DatagramPath = request.param
    if path is FAST:
        require_fastpath()
    return path
