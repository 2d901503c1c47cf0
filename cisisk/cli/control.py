"""A command's connection to the API: to the running service, or to the store without a service.

Only one process may write to the store.
"""

import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import aiohttp

from cisisk.appliance import appliance
from cisisk.config import Settings
from cisisk.model.errors import CisiskError

_TIMEOUT_SECONDS = 30
"""Timeout of a response: hashing a password on a busy machine takes longest."""


class Refused(CisiskError):
    """The service refused or did not answer the request."""


class ControlClient:
    """A client of the API over the control socket."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session

    async def call(
        self, method: str, path: str, body: dict[str, Any] | None = None, *, seconds: float = _TIMEOUT_SECONDS
    ) -> Any:
        """Call an operation and return the ``data`` of its response.

        Args:
            method: HTTP method.
            path: path below ``/api/v1``.
            body: JSON object to send.
            seconds: timeout.

        Raises:
            Refused: the operation failed; the text is the reason.
        """
        try:
            timeout = aiohttp.ClientTimeout(total=seconds)
            url = f"http://cisisk/api/v1{path}"
            async with self._session.request(method, url, json=body, timeout=timeout) as response:
                answer = await response.json()
        except (aiohttp.ClientError, TimeoutError) as error:
            raise Refused(
                "The service stopped responding, so the result is unknown. Check the log and the result, then try again"
            ) from error
        if not answer["success"]:
            fields = answer["error"].get("fields", {})
            reasons = [f"{name}: {'; '.join(texts)}" for name, texts in fields.items()]
            raise Refused(". ".join(reasons) or answer["error"]["message"])
        return answer["data"]


@asynccontextmanager
async def connect(settings: Settings, seconds: float = _TIMEOUT_SECONDS) -> AsyncIterator[ControlClient]:
    """Connect to the running service, or open the store without one.

    Args:
        settings: name the data directory.
        seconds: for each answer.

    Raises:
        StartRefused: no service is running and the store cannot be opened.
        Refused: a service is running and does not answer.
    """
    connector = aiohttp.UnixConnector(str(settings.data.dir / appliance.CONTROL_SOCKET))
    timeout = aiohttp.ClientTimeout(total=seconds)
    async with AsyncExitStack() as stack:
        session = await stack.enter_async_context(aiohttp.ClientSession(connector=connector, timeout=timeout))
        if not await _answers(session, seconds):
            own_api = await stack.enter_async_context(appliance.control_only(settings))
            if own_api.new_admin_password:
                print(  # noqa: T201 -- shown only once and not logged
                    f"The superadmin 'admin' was created with the password {own_api.new_admin_password}",
                    file=sys.stderr,
                )
        yield ControlClient(session)


async def _answers(session: aiohttp.ClientSession, seconds: float) -> bool:
    try:
        async with session.get("http://cisisk/api/v1/hello"):
            return True
    except TimeoutError as error:
        raise Refused(
            f"The service is running but did not answer within {seconds:g} s. Check its log for the cause"
        ) from error
    except aiohttp.ClientError:
        return False
