"""A client of the public API for the demo."""

from typing import Any, Self

import aiohttp

from cisisk.model.errors import CisiskError


class DemoFailed(CisiskError):
    """The demo cannot start, or the API refused a request of the demo."""


class DemoClient:
    """A client of the API at ``url``, as an async context manager."""

    def __init__(self, url: str) -> None:
        self._base = f"{url}/api/v1"
        self._session = aiohttp.ClientSession()
        self._headers: dict[str, str] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self._session.close()

    async def log_in(self, username: str, password: str) -> None:
        """Log in; later calls use the access token."""
        login = await self.post("/auth/login", {"username": username, "password": password})
        self._headers = {"Authorization": f"Bearer {login['accessToken']}"}

    async def post(self, path: str, body: dict[str, Any]) -> Any:
        """Return the ``data`` of the response. Raises DemoFailed."""
        return await self._call("POST", path, body)

    async def get(self, path: str) -> Any:
        """Return the ``data`` of the response. Raises DemoFailed."""
        return await self._call("GET", path, None)

    async def get_raw(self, path: str) -> bytes:
        """Return the body of a response that is not JSON. Raises DemoFailed."""
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
