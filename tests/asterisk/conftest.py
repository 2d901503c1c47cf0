"""A real Asterisk that the tests of one process share, and fixtures for the whole appliance beside it."""

from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.asterisk import debian
from tests.asterisk.accounts import ACCOUNTS
from tests.asterisk.configuration import Ports
from tests.asterisk.server import AsteriskServer
from tests.asterisk.site import AsteriskSite, open_asterisk_site
from tests.e2e.running_site import PASSWORD, free_port
from tests.quick_start import cheap_passwords


@contextmanager
def _running(module: str, channel: str) -> Iterator[AsteriskServer]:
    ports = Ports(sip=free_port(), ami=free_port(), ami_tls=free_port())
    server = AsteriskServer(debian.asterisk(module), ports, ACCOUNTS, channel)
    try:
        server.start()
        yield server
    finally:
        server.close()


@pytest.fixture(scope="session")
def _pjsip() -> Iterator[AsteriskServer]:
    with _running("chan_pjsip", "pjsip") as server:
        yield server


@pytest.fixture(scope="session")
def _older_pjsip() -> Iterator[AsteriskServer]:
    with _running("chan_sip", "pjsip") as server:
        yield server


@pytest.fixture(scope="session")
def _chan_sip() -> Iterator[AsteriskServer]:
    with _running("chan_sip", "sip") as server:
        yield server


@pytest.fixture
def asterisk(_pjsip: AsteriskServer) -> AsteriskServer:
    """An Asterisk with chan_pjsip that runs."""
    if not _pjsip.is_running:
        _pjsip.start()
    return _pjsip


@pytest.fixture
def older_asterisk(_older_pjsip: AsteriskServer) -> AsteriskServer:
    """An Asterisk with chan_pjsip, of the suite that still has chan_sip."""
    if not _older_pjsip.is_running:
        _older_pjsip.start()
    return _older_pjsip


@pytest.fixture
def asterisk_with_chan_sip(_chan_sip: AsteriskServer) -> AsteriskServer:
    """An Asterisk with stock chan_sip that runs."""
    if not _chan_sip.is_running:
        _chan_sip.start()
    return _chan_sip


@pytest.fixture(scope="module", autouse=True)
def _cheap_passwords() -> Iterator[None]:
    with cheap_passwords():
        yield


@pytest.fixture(autouse=True)
def _admin_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CISISK_ADMIN_PASSWORD", PASSWORD)


@pytest.fixture
async def pbx(asterisk: AsteriskServer, tmp_path: Path) -> AsyncIterator[AsteriskSite]:
    """A site at an Asterisk with chan_pjsip, whose only restart method is ami-pjsip."""
    async with open_asterisk_site(tmp_path, asterisk, methods=["ami-pjsip"]) as site:
        yield site
