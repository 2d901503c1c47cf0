"""Administrators at a door on another thread, where there are passwords and no tokens."""

import asyncio
from concurrent.futures import Future

from cisisk.identity.accounts import Accounts
from cisisk.model.user import Actor, User


class Administrator:
    """Somebody who has proved to be one."""

    def __init__(
        self, accounts: Accounts, loop: asyncio.AbstractEventLoop, actor: Actor, known: tuple[User, str]
    ) -> None:
        self._accounts = accounts
        self._loop = loop
        self._user, self._password_hash = known
        self.actor = actor
        self.username = self._user.username

    def is_still_admitted(self) -> "Future[bool]":
        """Whether the same password would still do. Called from any thread but the event loop's."""
        return asyncio.run_coroutine_threadsafe(
            self._accounts.is_still_administrator(self._user, self._password_hash), self._loop
        )


class Administrators:
    """Asks ``accounts``, which live on the event loop that runs now, for other threads.

    Args:
        user_agent: what the audit log calls the door.
    """

    def __init__(self, accounts: Accounts, user_agent: str) -> None:
        self._accounts = accounts
        self._user_agent = user_agent
        self._loop = asyncio.get_running_loop()

    def admit(self, username: str, password: str, host: str) -> "Future[Administrator]":
        """Check a password given from the address ``host``; the result may be any error of Accounts.administrator."""
        return asyncio.run_coroutine_threadsafe(self._admit(username, password, host), self._loop)

    async def _admit(self, username: str, password: str, host: str) -> Administrator:
        known = await self._accounts.administrator(username, password, Actor(ip=host, user_agent=self._user_agent))
        actor = Actor(user_uuid=known[0].uuid, ip=host, user_agent=self._user_agent)
        return Administrator(self._accounts, self._loop, actor, known)
