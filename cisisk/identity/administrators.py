"""Password authentication of administrators for servers on other threads."""

import asyncio
from concurrent.futures import Future

from cisisk.identity.accounts import Accounts
from cisisk.model.user import Actor, User


class Administrator:
    """An authenticated administrator."""

    def __init__(
        self, accounts: Accounts, loop: asyncio.AbstractEventLoop, actor: Actor, known: tuple[User, str]
    ) -> None:
        self._accounts = accounts
        self._loop = loop
        self._user, self._password_hash = known
        self.actor = actor
        self.username = self._user.username

    def is_still_admitted(self) -> "Future[bool]":
        """Return whether the user is still an administrator with the same password. Call from another thread."""
        return asyncio.run_coroutine_threadsafe(
            self._accounts.is_still_administrator(self._user, self._password_hash), self._loop
        )


class Administrators:
    """Authenticates administrators for other threads through ``accounts``, which use the current event loop.

    Args:
        accounts: the accounts.
        user_agent: name of the server in the audit log.
    """

    def __init__(self, accounts: Accounts, user_agent: str) -> None:
        self._accounts = accounts
        self._user_agent = user_agent
        self._loop = asyncio.get_running_loop()

    def admit(self, username: str, password: str, host: str) -> "Future[Administrator]":
        """Authenticate a client at ``host``. The future raises the errors of Accounts.authenticate_administrator."""
        return asyncio.run_coroutine_threadsafe(self._admit(username, password, host), self._loop)

    async def _admit(self, username: str, password: str, host: str) -> Administrator:
        known = await self._accounts.authenticate_administrator(
            username, password, Actor(ip=host, user_agent=self._user_agent)
        )
        actor = Actor(user_uuid=known[0].uuid, ip=host, user_agent=self._user_agent)
        return Administrator(self._accounts, self._loop, actor, known)
