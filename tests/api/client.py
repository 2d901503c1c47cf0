"""A client of the API and a running appliance on real sockets."""

import itertools
import json
import re
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from io import BytesIO
from pathlib import Path
from typing import Any
from uuid import UUID

import aiohttp
from yarl import URL

from cisisk import __version__
from cisisk.appliance import appliance
from cisisk.appliance.appliance import Appliance
from cisisk.appliance.limits import DEFAULT_LIMITS, Limits
from cisisk.config import Settings, build
from tests.quick_start import need_not_survive, put_empty_store

PASSWORD = "correct horse"
"""The password of the first superadmin, and the default for new users."""
SUPERADMIN = "00000000-0000-0000-0000-000000000000"
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
METADATA = {"timestamp", "version", "requestId", "ip", "environment"}
SWITCH = "/phone-profiles/switch"
UNKNOWN = "6f2f4fd4-6f2b-4cf2-9d0c-6a0f4f6d3c11"
"""A UUID that no resource has."""
MAC = "AA:BB:CC:DD:EE:01"

CONFIG = (
    '<?xml version="1.0" encoding="UTF-8"?>\r\n'
    "<device><fullConfig>true</fullConfig><deviceProtocol>SIP</deviceProtocol>"
    "<devicePool><callManagerGroup><members><member priority='0'><callManager>"
    "<processNodeName>192.0.2.10</processNodeName></callManager></member></members></callManagerGroup></devicePool>"
    "<sipProfile><sipLines><line button='1' lineIndex='1'><featureID>9</featureID>"
    "<proxy>USECALLMANAGER</proxy><name>101</name></line></sipLines></sipProfile>"
    "<authenticationURL>http://192.0.2.5:8080/cisco/authentication</authenticationURL>"
    "<vendorConfig><webAccess>0</webAccess></vendorConfig></device>\r\n"
)
"""A config without findings."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A response of the API."""

    status: int
    headers: Mapping[str, str]
    content: bytes

    @property
    def body(self) -> Any:
        return json.loads(self.content)

    @property
    def data(self) -> Any:
        """Return the data of a success; fail the test on an error."""
        assert self.status in (200, 201), self.content
        return self.body["data"]

    @property
    def message(self) -> str:
        return str(self.body["message"])

    @property
    def metadata(self) -> dict[str, Any]:
        return dict(self.body["metadata"])

    @property
    def fields(self) -> dict[str, list[str]]:
        """Return the refused fields with reasons; fail the test on any status but 422."""
        assert self.status == 422, self.content
        return dict(self.body["error"]["fields"])

    @property
    def etag(self) -> str:
        return self.headers["ETag"]


@dataclass(frozen=True, slots=True)
class Client:
    """A client of the API, with or without a token."""

    session: aiohttp.ClientSession
    url: str
    token: str | None = field(default=None, repr=False)

    async def request(
        self, method: str, path: str, body: Any = None, *, content: bytes | None = None, **headers: str
    ) -> Answer:
        """Request ``path`` below /api/v1 with ``body`` as JSON or with ``content`` unchanged.

        Headers are keyword arguments: ``If_Match='"x"'``.
        """
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if self.token is not None:
            sent.setdefault("Authorization", f"Bearer {self.token}")
        if body is not None:
            content = json.dumps(body).encode()
        if content is not None:
            sent.setdefault("Content-Type", "application/json")
        url = URL(f"{self.url}/api/v1{path}", encoded=True)
        data = None if content is None else BytesIO(content)
        async with self.session.request(method, url, data=data, headers=sent) as response:
            return Answer(response.status, response.headers, await response.read())

    async def get(self, path: str, **headers: str) -> Answer:
        return await self.request("GET", path, None, content=None, **headers)

    async def post(self, path: str, body: Any = None, **headers: str) -> Answer:
        return await self.request("POST", path, body, content=None, **headers)

    async def put(self, path: str, body: Any = None, **headers: str) -> Answer:
        return await self.request("PUT", path, body, content=None, **headers)

    async def delete(self, path: str, **headers: str) -> Answer:
        return await self.request("DELETE", path, None, content=None, **headers)

    def with_token(self, token: str | None) -> "Client":
        return replace(self, token=token)

    async def login(self, username: str, password: str = PASSWORD) -> "Client":
        """Log in and return a client with the access token."""
        answer = await self.with_token(None).post("/auth/login", {"username": username, "password": password})
        return self.with_token(answer.data["accessToken"])

    async def new_user(self, username: str, **more: Any) -> str:
        """Create a user and return the uuid."""
        return str((await self.post("/users", user(username, **more))).data["uuid"])

    async def new_profile(self, user_uuid: str, **more: Any) -> str:
        """Create a profile and return the uuid."""
        body = {"user_uuid": user_uuid, "name": "Reception Desk", "cnf_xml": CONFIG, **more}
        return str((await self.post("/phone-profiles", body)).data["uuid"])

    async def new_permission(self, level: int, name: str) -> str:
        """Create a permission and return the uuid."""
        return str((await self.post("/permissions", {"level": level, "name": name})).data["uuid"])

    async def whole_audit_log(self) -> list[dict[str, Any]]:
        """Return every audit row, oldest first."""
        return list(reversed((await self.get("/audit-logs?limit=500")).data))


def check_metadata(answer: Answer, more: frozenset[str] = frozenset()) -> None:
    """Check the metadata that every response has (section 0 of the contract)."""
    metadata = answer.metadata
    assert set(metadata) == METADATA | more
    assert TIME.fullmatch(metadata["timestamp"])
    assert metadata["version"] == __version__
    assert metadata["requestId"] == answer.headers["X-Request-ID"] == str(UUID(metadata["requestId"]))
    assert metadata["ip"] == "127.0.0.1"
    assert metadata["environment"] == "test"


def check_error(answer: Answer, status: int) -> None:
    """Check the envelope of an error (section 0 of the contract)."""
    body = answer.body
    assert answer.status == status, body
    assert answer.headers["Content-Type"].startswith("application/json")
    assert set(body) == {"success", "message", "error", "metadata"}
    assert body["success"] is False
    assert body["message"]
    assert body["error"]["code"] == status
    assert body["error"]["message"] == body["message"]
    assert set(body["error"]) == {"code", "message"} | ({"fields"} if status == 422 else set())
    check_metadata(answer)


def user(username: str, **more: Any) -> dict[str, Any]:
    """Return a body that creates a user."""
    names = {"first_name": username.capitalize(), "last_name": "Tester", "email": f"{username}@example.com"}
    return {"username": username, "password": PASSWORD, **names, **more}


@dataclass(frozen=True, slots=True)
class Site:
    """A running appliance and a client of its administrator."""

    settings: Settings
    running: Appliance
    admin: Client
    admin_uuid: str
    numbers: Iterator[int] = field(default_factory=itertools.count)

    def name(self) -> str:
        """Return an unused name, for tests that share an appliance."""
        return f"name{next(self.numbers)}"

    def mac(self) -> str:
        """Return an unused MAC."""
        digits = f"{0xAABBCCE00000 + next(self.numbers):012X}"
        return ":".join(digits[at : at + 2] for at in range(0, 12, 2))

    @property
    def anonymous(self) -> Client:
        """A client without a token."""
        return self.admin.with_token(None)

    @property
    def control_socket(self) -> Path:
        return self.settings.data.dir / appliance.CONTROL_SOCKET

    def served(self, mac: str = MAC) -> Path:
        """Return the path of the config that the phone fetches."""
        return self.settings.served_root / f"SEP{mac.replace(':', '')}.cnf.xml"

    async def new_clerk(self, level: int = 5) -> tuple[str, str]:
        """Create a user with this permission level; return uuid and username."""
        name = self.name()
        uuid, perm_uuid = await self.admin.new_user(name), await self.admin.new_permission(level, name)
        given = await self.admin.post("/user-perms", {"user_uuid": uuid, "perm_uuid": perm_uuid})
        assert given.status == 201, given.content
        return uuid, name

    async def clerk(self, level: int = 5) -> Client:
        """Create a user with this permission level and return a logged-in client."""
        _, name = await self.new_clerk(level)
        return await self.anonymous.login(name)


def settings_for(directory: Path, **sections: dict[str, Any]) -> Settings:
    """Return settings that listen on loopback at free ports and keep their data in ``directory``."""
    tables: dict[str, dict[str, Any]] = {
        "server": {"host": "127.0.0.1", "port": 0, "environment": "test"},
        "data": {"dir": str(directory / "data")},
        "tftp": {"host": "127.0.0.1", "port": 0},
        "provisioning_http": {"host": "127.0.0.1", "port": 0},
        "ftp": {"host": "127.0.0.1", "port": 0},
        # Port 9 is closed, so restarts reach no real phone.
        "phone_http": {"port": 9, "timeout": 1},
    }
    for name, section in sections.items():
        tables[name] = {**tables.get(name, {}), **section}
    return build(tables, {})


@asynccontextmanager
async def site(settings: Settings, limits: Limits = DEFAULT_LIMITS) -> AsyncIterator[Site]:
    """Start an appliance and log its administrator in."""
    put_empty_store(settings)
    async with appliance.running(settings, limits) as running, aiohttp.ClientSession() as session:
        await need_not_survive(running)
        anonymous = Client(session, running.api_url)
        login = (await anonymous.post("/auth/login", {"username": "admin", "password": PASSWORD})).data
        yield Site(settings, running, anonymous.with_token(login["accessToken"]), login["user"]["uuid"])
