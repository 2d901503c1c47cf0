"""Fixtures for tests of the whole appliance."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.e2e.running_site import PASSWORD, Site, open_site, settings_for
from tests.quick_start import cheap_passwords


@pytest.fixture(scope="module", autouse=True)
def _cheap_passwords() -> Iterator[None]:
    with cheap_passwords():
        yield


@pytest.fixture(autouse=True)
def _admin_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CISISK_ADMIN_PASSWORD", PASSWORD)


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    async with open_site(settings_for(tmp_path)) as running:
        yield running
