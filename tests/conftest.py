"""What every test may ask for."""

import os
import re
import shutil
from collections.abc import Callable

import pytest
from hypothesis import settings

from cisisk.model import messages
from cisisk.provisioning.tftp.fastpath.switch import FAST, choose_path
from cisisk.provisioning.tftp.path import PLAIN, DatagramPath

# Hypothesis fails an example that takes 200 ms. On a busy machine any example may.
settings.register_profile("cisisk", deadline=None)
settings.load_profile("cisisk")

PARAMETER = re.compile(r"\{[^}]*\}")
"""One place of a template that a parameter fills."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option that shows that nothing decides by sentences."""
    parser.addoption(
        "--other-words",
        action="store_true",
        help="replace the template of every message; tests marked wording are deselected",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Replace every sentence of the catalogue if that is asked for."""
    if config.getoption("--other-words"):
        for code, template in messages.CATALOGUE.items():
            messages.CATALOGUE[code] = f"<{code}> {' '.join(PARAMETER.findall(template))}"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deselect what tests wording while the sentences are others."""
    if config.getoption("--other-words"):
        about_words = [item for item in items if item.get_closest_marker("wording")]
        items[:] = [item for item in items if item not in about_words]
        config.hook.pytest_deselected(items=about_words)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip a test whose foreign programs are absent; on CI their absence is a failure."""
    for mark in item.iter_markers("needs"):
        missing = [program for program in mark.args if shutil.which(program) is None]
        if missing and os.environ.get("CISISK_REQUIRE_TOOLS") == "1":
            pytest.fail(f"not installed: {', '.join(missing)}")
        if missing:
            pytest.skip(f"not installed: {', '.join(missing)}")


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Name parameters that are bytes or long texts by their argument and number.

    Some of them hold times or compressed bytes, which differ between the processes of pytest-xdist; long ones cannot
    be read in a report.
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
