"""The way of a command to the store: the running service if there is one, for only one process may write."""

import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import aiohttp

from cisisk.appliance import appliance
from cisisk.config import Settings
from cisisk.model.errors import CisiskError

_SECONDS = 30
"""For one answer: hashing a password on a busy box is the longest of them."""


class Refused(CisiskError):
    """The service said no."""


class Control:
    """The API over the control socket."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session

    async def call(
        self, method: str, path: str, body: dict[str, Any] | None = None, *, seconds: float = _SECONDS
    ) -> Any:
        """The data that an operation answers within so many seconds.

        Raises:
            Refused: it failed; the text says why.
        """
        try:
            timeout = aiohttp.ClientTimeout(total=seconds)
            url = f"http://cisisk/api/v1{path}"
            async with self._session.request(method, url, json=body, timeout=timeout) as response:
                answer = await response.json()
        except (aiohttp.ClientError, TimeoutError) as error:
            raise Refused("the service stopped answering; it is not known whether it did this") from error
        if not answer["success"]:
            fields = answer["error"].get("fields", {})
            reasons = [f"{name}: {'; '.join(texts)}" for name, texts in fields.items()]
            raise Refused(". ".join(reasons) or answer["error"]["message"])
        return answer["data"]


@asynccontextmanager
async def control(settings: Settings) -> AsyncIterator[Control]:
    """A way to the store.

    Raises:
        StartRefused: no service runs, and the store cannot be opened either.
        Refused: a service runs and does not answer.
    """
    connector = aiohttp.UnixConnector(str(settings.data.dir / appliance.CONTROL_SOCKET))
    timeout = aiohttp.ClientTimeout(total=_SECONDS)
    async with AsyncExitStack() as stack:
        session = await stack.enter_async_context(aiohttp.ClientSession(connector=connector, timeout=timeout))
        if not await _answers(session):
            alone = await stack.enter_async_context(appliance.control_only(settings))
            if alone.new_admin_password:
                print(  # noqa: T201 -- shown once, to the person who opens an empty store
                    f"The superadmin 'admin' was created with the password {alone.new_admin_password}", file=sys.stderr
                )
        yield Control(session)


async def _answers(session: aiohttp.ClientSession) -> bool:
    try:
        async with session.get("http://cisisk/api/v1/hello"):
            return True
    except TimeoutError as error:
        raise Refused(f"the service runs, but has not answered within {_SECONDS} s. Its log may tell why") from error
    except aiohttp.ClientError:
        return False
