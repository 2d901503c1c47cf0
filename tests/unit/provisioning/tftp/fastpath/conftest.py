from collections.abc import Callable

import pytest


@pytest.fixture(autouse=True, scope="session")
def fastpath_only(require_fastpath: Callable[[], None]) -> None:
    """Skips the tests of this directory where the fast path is off or not supported."""
    require_fastpath()
