"""A running appliance on real sockets, a client of its API, and simulated phones on loopback addresses."""

import asyncio
import itertools
import os
import socket
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

from cisisk.appliance import appliance
from cisisk.appliance.appliance import Appliance
from cisisk.appliance.limits import DEFAULT_LIMITS, Limits
from cisisk.config import Settings, build
from cisisk.model.mac import Mac
from cisisk.simulator.models import PhoneModel, find_model
from cisisk.simulator.phone import SimulatedPhone
from cisisk.simulator.tftp_client import TftpRetry
from cisisk.simulator.timing import Timing
from tests.patience import PATIENCE
from tests.protocol.asterisk import SECRET, USERNAME
from tests.quick_start import need_not_survive, put_empty_store

PASSWORD = "correct horse"
TIMING = Timing(tftp=TftpRetry(interval=0.5, retries=6), offline=0.05, boot_pause=0.1)


def config(label: str, authentication_url: str = "", **elements: str) -> str:
    """Return a config with ``label`` as its line, whose phone accepts restarts over HTTP."""
    more = "".join(f"<{name}>{value}</{name}>" for name, value in elements.items())
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\r\n'
        f"<device><fullConfig>true</fullConfig><deviceProtocol>SIP</deviceProtocol>"
        "<sipProfile><sipLines><line button='1' lineIndex='1'><featureID>9</featureID>"
        f"<proxy>USECALLMANAGER</proxy><name>{label}</name></line></sipLines></sipProfile>"
        "<vendorConfig><webAccess>0</webAccess><settingsAccess>1</settingsAccess></vendorConfig>"
        f"<authenticationURL>{authentication_url}</authenticationURL>{more}</device>\r\n"
    )


def config_at_call_manager(label: str, sip_port: int, **elements: str) -> str:
    """Return a config whose line registers over UDP at a call manager on 127.0.0.1."""
    member = (
        f"<callManager><ports><sipPort>{sip_port}</sipPort></ports>"
        "<processNodeName>127.0.0.1</processNodeName></callManager>"
    )
    group = f"<callManagerGroup><members><member priority='0'>{member}</member></members></callManagerGroup>"
    return config(label, devicePool=group, transportLayerProtocol="2", **elements)


def asterisk_settings(port: int, **more: Any) -> dict[str, Any]:
    """Return the ``asterisk`` section for an emulator at this port."""
    return {"host": "127.0.0.1", "port": port, "username": USERNAME, "secret": SECRET, **more}


def settings_for(directory: Path, **sections: dict[str, Any]) -> Settings:
    """Return settings that listen on loopback at free ports and keep their data in ``directory``."""
    tables: dict[str, dict[str, Any]] = {
        "server": {"host": "127.0.0.1", "port": 0},
        "data": {"dir": str(directory / "data")},
        "tftp": {"host": "127.0.0.1", "port": 0},
        "provisioning_http": {"host": "127.0.0.1", "port": 0},
        "ftp": {"host": "127.0.0.1", "port": 0},
        "phone_http": {"port": free_port(), "timeout": 1},
        "phone_sip": {"port": free_port(), "timeout": 1},
    }
    for name, section in sections.items():
        tables[name] = {**tables.get(name, {}), **section}
    return build(tables, {})


_first_port = 10_000 + os.getpid() * 100 % 22_000
_ports: Iterator[int] = itertools.cycle((*range(_first_port, 32_000), *range(10_000, _first_port)))


def free_port() -> int:
    """Return a port that is free for TCP and UDP and outside the range of ephemeral ports."""
    for port in _ports:
        try:
            for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
                with socket.socket(type=kind) as probe:
                    probe.bind(("", port))
        except OSError:
            continue
        return port
    raise AssertionError


_addresses = (
    f"127.{10 + os.getpid() % 200}.{high}.{low}" for high, low in itertools.product(range(256), range(1, 255))
)


@dataclass
class Site:
    """A running appliance and a client that is logged in as its administrator."""

    settings: Settings
    running: Appliance
    session: aiohttp.ClientSession
    token: str = ""
    user_uuid: str = ""
    macs: "itertools.count[int]" = field(default_factory=lambda: itertools.count(0x001122330001))

    @property
    def root(self) -> Path:
        return self.settings.served_root

    async def call(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        url = f"{self.running.api_url}/api/v1{path}"
        headers = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        async with self.session.request(method, url, json=body, headers=headers) as response:
            if response.content_type != "application/json":
                return response.status, await response.read()
            return response.status, await response.json()

    async def data(self, method: str, path: str, body: Any = None) -> Any:
        status, answer = await self.call(method, path, body)
        assert status in (200, 201), answer
        return answer["data"] if isinstance(answer, dict) else answer

    async def log_in(self) -> None:
        login = await self.data("POST", "/auth/login", {"username": "admin", "password": PASSWORD})
        self.token, self.user_uuid = login["accessToken"], login["user"]["uuid"]

    async def profile(self, label: str, **fields: Any) -> str:
        """Create a profile and return its uuid."""
        body = {"user_uuid": self.user_uuid, "name": label, "cnf_xml": self.config(label), **fields}
        created = await self.data("POST", "/phone-profiles", body)
        return str(created["uuid"])

    def config(self, label: str) -> str:
        return config(label, f"{self.running.phones_url}/cisco/authentication")

    async def switch(self, profile_uuid: str, mac: Mac) -> Any:
        return await self.data("POST", "/phone-profiles/switch", {"profile_uuid": profile_uuid, "mac": str(mac)})

    async def deployment(self, uuid: str) -> Any:
        return await self.data("GET", f"/deployments/{uuid}")

    async def reaches(self, uuid: str, state: str) -> Any:
        """Wait until a deployment is in ``state``, and return it."""
        return await until(lambda: self.deployment(uuid), lambda found: found["state"] == state)

    def versions(self, mac: Mac) -> list[tuple[str, bytes]]:
        """Return origin and content of every config version of a phone, oldest first."""
        with closing(sqlite3.connect(self.settings.data.dir / "cisisk.db")) as store:
            return store.execute(
                "SELECT origin, content FROM config_versions NATURAL JOIN contents WHERE mac = ? ORDER BY number",
                (mac.digits,),
            ).fetchall()

    def new_mac(self) -> Mac:
        return Mac.parse(f"{next(self.macs):012X}")

    def phone(self, model: str | PhoneModel = "7942", **options: Any) -> SimulatedPhone:
        assert self.running.tftp_address
        options.setdefault("timing", TIMING)
        # The port is closed, so the phone falls back to TFTP.
        options.setdefault("http_port", free_port())
        return SimulatedPhone(
            self.new_mac(),
            find_model(model) if isinstance(model, str) else model,
            address=next(_addresses),
            server=self.running.tftp_address[0],
            tftp_port=self.running.tftp_address[1],
            web_port=self.settings.phone_http.port,
            **options,
        )


async def until(look: Callable[[], Any], is_there: Callable[[Any], bool]) -> Any:
    """Poll ``look`` until ``is_there`` accepts its result, and return the result."""
    async with asyncio.timeout(PATIENCE):
        while not is_there(found := await look()):  # noqa: ASYNC110 -- the API has no events for it
            await asyncio.sleep(0.01)
        return found


@asynccontextmanager
async def open_site(settings: Settings, limits: Limits = DEFAULT_LIMITS) -> AsyncIterator[Site]:
    """Start an appliance and log its administrator in."""
    put_empty_store(settings)
    async with AsyncExitStack() as stack:
        running = await stack.enter_async_context(appliance.running(settings, limits))
        await need_not_survive(running)
        session = await stack.enter_async_context(aiohttp.ClientSession())
        site = Site(settings, running, session)
        await site.log_in()
        yield site
