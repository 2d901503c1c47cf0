"""Fixtures that start an appliance and its clients."""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any, TypeAlias

import pytest
import pytest_asyncio

from cisisk.appliance.limits import DEFAULT_LIMITS, Limits
from cisisk.config import Settings
from tests.api.client import PASSWORD, Client, Site, settings_for
from tests.api.client import site as opened
from tests.quick_start import cheap_passwords

SiteWith: TypeAlias = Callable[..., AbstractAsyncContextManager[Site]]


@pytest.fixture(scope="module", autouse=True)
def _cheap_passwords() -> Iterator[None]:
    with cheap_passwords():
        yield


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("CISISK_ADMIN_PASSWORD", PASSWORD)
    return settings_for(tmp_path)


@pytest.fixture
def limits() -> Limits:
    return DEFAULT_LIMITS


def limited(limits: Limits) -> pytest.MarkDecorator:
    """Give ``limits`` to the appliance of ``site``: ``@limited(Limits(feed=FeedLimits(max_readers=1)))``."""
    return pytest.mark.parametrize("limits", [limits], ids=["limited"])


@pytest.fixture
async def site(settings: Settings, limits: Limits) -> AsyncIterator[Site]:
    async with opened(settings, limits) as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared_site(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Site]:
    """One appliance for all tests of a module. Each test uses users and phones of its own.

    The module sets ``pytestmark = pytest.mark.asyncio(loop_scope="module")``. It may define ``LIMITS``.
    """
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("CISISK_ADMIN_PASSWORD", PASSWORD)
        limits = getattr(request.module, "LIMITS", DEFAULT_LIMITS)
        async with opened(settings_for(tmp_path_factory.mktemp("shared")), limits) as running:
            yield running


@pytest.fixture
def site_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SiteWith:
    """Start an appliance with other settings: ``async with site_with(auth={"public_register": True}) as site``.

    ``limits`` are the limits of the appliance.
    """
    monkeypatch.setenv("CISISK_ADMIN_PASSWORD", PASSWORD)

    def open_with(limits: Limits = DEFAULT_LIMITS, **sections: dict[str, Any]) -> AbstractAsyncContextManager[Site]:
        return opened(settings_for(tmp_path, **sections), limits)

    return open_with


@pytest.fixture
def admin(site: Site) -> Client:
    return site.admin


@pytest.fixture
def anonymous(site: Site) -> Client:
    """A client without a token."""
    return site.anonymous
