"""The demo's way to the API: the public one, as any client has it."""

from typing import Any, Self

import aiohttp

from cisisk.model.errors import CisiskError


class DemoFailed(CisiskError):
    """The API refused something that the story needs."""


class DemoClient:
    """A client of the API at ``url``; use as an async context manager."""

    def __init__(self, url: str) -> None:
        self._base = f"{url}/api/v1"
        self._session = aiohttp.ClientSession()
        self._headers: dict[str, str] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self._session.close()

    async def log_in(self, username: str, password: str) -> None:
        """Let every later call carry this user's token."""
        login = await self.post("/auth/login", {"username": username, "password": password})
        self._headers = {"Authorization": f"Bearer {login['accessToken']}"}

    async def post(self, path: str, body: dict[str, Any]) -> Any:
        """The data of the answer. Raises DemoFailed."""
        return await self._call("POST", path, body)

    async def get(self, path: str) -> Any:
        """The data of the answer. Raises DemoFailed."""
        return await self._call("GET", path, None)

    async def get_raw(self, path: str) -> bytes:
        """The body of an answer that is no JSON. Raises DemoFailed."""
        async with self._session.get(self._base + path, headers=self._headers) as response:
            if response.status != 200:
                raise DemoFailed(f"GET {path}: {await response.text()}")
            return await response.read()

    async def _call(self, method: str, path: str, body: dict[str, Any] | None) -> Any:
        async with self._session.request(method, self._base + path, json=body, headers=self._headers) as response:
            answer = await response.json()
        if not answer["success"]:
            raise DemoFailed(f"{method} {path}: {answer['error']}")
        return answer["data"]
