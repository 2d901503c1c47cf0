"""User accounts: login, refresh, logout, creation and changes."""

import asyncio
import hashlib
import secrets
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import partial
from typing import Any, TypeVar
from uuid import uuid4

from cisisk.identity.passwords import PIN, Passwords
from cisisk.identity.throttle import Throttle
from cisisk.identity.tokens import Claims, KeyRing
from cisisk.model.clock import after
from cisisk.model.errors import Forbidden, StorageFailed, Unauthenticated
from cisisk.model.user import Actor, User
from cisisk.store import logins, pins, users
from cisisk.store.database import Database

ADMIN = {
    "username": "admin",
    "first_name": "Cisisk",
    "last_name": "Administrator",
    "email": "admin@localhost",
    "lang": "en",
    "timezone": "UTC",
}
"""The superadmin created in an empty store."""
_MAX_CONCURRENT_ATTEMPTS = 2
"""Attempts verified concurrently. An attempt counts as a failure until it succeeds. Waiting attempts must not count, or
users who log in at the same time from one address would be throttled."""

_Result = TypeVar("_Result")


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    """An authenticated user with new tokens."""

    user: User
    access_token: str = field(repr=False)
    refresh_token: str = field(repr=False)


class Accounts:
    """The accounts in ``db``.

    Args:
        db: the database.
        keys: keys of access tokens.
        refresh_lifetime: lifetime of a refresh token; every use issues a new token.
    """

    def __init__(self, db: Database, keys: KeyRing, refresh_lifetime: timedelta) -> None:
        self._db = db
        self._keys = keys
        self._refresh_lifetime = refresh_lifetime
        self._passwords = Passwords()
        self._pin_hashes = Passwords(PIN)
        self._throttle = Throttle()
        self._attempts = asyncio.Semaphore(_MAX_CONCURRENT_ATTEMPTS)

    @property
    def pin_hashes(self) -> Passwords:
        """Return the shared hasher of PINs; sharing it limits memory and processor use."""
        return self._pin_hashes

    async def first_superadmin(self, password: str | None) -> str | None:
        """Create the superadmin ``admin`` in an empty store.

        Returns:
            The generated password if a superadmin was created without ``password``, otherwise None.
        """
        if await self._db.read(users.any_exist):
            return None
        initial = password or secrets.token_urlsafe(15)
        await self._db.write(users.create_superadmin, ADMIN, await self._passwords.hash(initial))
        return None if password else initial

    async def login(self, username: str, password: str, actor: Actor) -> Login:
        """Check a password and start a session.

        Raises:
            Unauthenticated: wrong username or password, or a deactivated user. The message is the same for all.
            TooManyAttempts: too many failures of this account or address.
            StorageFailed: the account cannot be read or the session cannot be stored. This is not counted as a failure.
        """
        async with self._attempts:
            return await self._attempt(username, password, actor, partial(self._begin, actor))

    async def authenticate_administrator(self, username: str, password: str, actor: Actor) -> tuple[User, str]:
        """Check the password of a user with level 0, for a protocol without tokens.

        Returns:
            The user, and the password hash for :meth:`is_still_administrator`.

        Raises:
            Unauthenticated, TooManyAttempts, StorageFailed: as :meth:`login`, with which it shares the throttle.
            Forbidden: the password is correct, but the user does not have level 0.
        """
        async with self._attempts:
            user, password_hash = await self._attempt(username, password, actor, _active)
        if not user.is_superadmin:
            raise Forbidden("This service requires permission level 0. Ask an administrator to assign it")
        return user, password_hash

    async def is_still_administrator(self, user: User, password_hash: str) -> bool:
        """Return whether password, name, activity and permission of ``user`` are unchanged since authentication."""
        known = await self._db.read(users.credentials, user.username)
        if known is None:
            return False
        return (
            known[0].uuid == user.uuid and known[1] == password_hash and known[0].is_active and known[0].is_superadmin
        )

    async def refresh(self, refresh_token: str, actor: Actor) -> Login:
        """Exchange a refresh token. A second use of the same token ends its session.

        Raises:
            Unauthenticated: the token is unknown, used, expired or revoked.
        """
        next_token = _new_refresh_token()
        rotated = await self._db.write(
            logins.rotate, actor, _hash(refresh_token), _hash(next_token), after(self._refresh_lifetime)
        )
        if rotated is None:
            raise Unauthenticated("The refresh token is not valid. Log in again")
        user, session_uuid = rotated
        return self._login(user, session_uuid, next_token)

    async def logout(self, actor: Actor, refresh_token: str | None) -> None:
        """End the session of ``refresh_token``, or all sessions of the acting user."""
        if actor.user_uuid is not None:
            await self._db.write(logins.end, actor, actor.user_uuid, _hash(refresh_token) if refresh_token else None)

    async def user_of(self, access_token: str) -> User:
        """Return the current user of an access token.

        Raises:
            Unauthenticated: the token is invalid, its session has ended, or the user was deactivated or deleted.
        """
        claims = self._keys.verify(access_token)
        user = await self._db.read(logins.user_of, claims.session_uuid, claims.user_uuid)
        if user is None:
            raise Unauthenticated("The access token is no longer valid")
        return user

    async def create(self, actor: Actor, fields: Mapping[str, Any], *, action: str = "user.created") -> User:
        """Create a user; ``fields`` are the writable columns and ``password``. Raises Conflict."""
        columns = dict(fields)
        password_hash = await self._passwords.hash(columns.pop("password"))
        return await self._db.write(users.create, actor, columns, password_hash, action=action)

    async def update(
        self, actor: Actor, uuid: str, fields: Mapping[str, Any], seen: Collection[str] | None = None
    ) -> User:
        """Update a user; ``fields`` as in :meth:`create`. Raises NotFound, Stale, Conflict."""
        columns = dict(fields)
        if "password" in columns:
            columns["password_hash"] = await self._passwords.hash(columns.pop("password"))
        return await self._db.write(users.update, actor, uuid, columns, seen)

    async def set_pin(
        self, actor: Actor, user_uuid: str, pin: str, seen: Collection[str] | None = None
    ) -> pins.CiscoUser:
        """Set the phone PIN of a user. Raises NotFound, Stale."""
        return await self._db.write(pins.put, actor, user_uuid, await self._pin_hashes.hash(pin), seen)

    async def _attempt(
        self, username: str, password: str, actor: Actor, admit: Callable[[User, str], Awaitable[_Result | None]]
    ) -> _Result:
        """Return the result of ``admit`` for the user if the password is correct; None from ``admit`` is a refusal."""
        account, address = ("account", username.casefold()), ("address", actor.ip)
        self._throttle.check(account, address)
        # Count the failure first and undo it later: otherwise a hundred concurrent guesses would all be verified.
        self._throttle.record_failure(account, address)
        try:
            known = await self._db.read(users.credentials, username)
            is_correct = await self._passwords.matches(password, known[1] if known else None)
            admitted = await admit(*known) if known and is_correct else None
        except StorageFailed:
            # Not a wrong guess: a wrong password never gets here.
            self._throttle.undo_failure(account, address)
            raise
        if admitted is None:
            raise Unauthenticated("Wrong username or password")
        self._throttle.reset(account)
        # Undo only this failure of the address: a known password must not clear guesses at other accounts.
        self._throttle.undo_failure(address)
        return admitted

    async def _begin(self, actor: Actor, user: User, password_hash: str) -> Login | None:
        session_uuid, refresh_token = str(uuid4()), _new_refresh_token()
        begun = await self._db.write(
            logins.begin,
            replace(actor, user_uuid=user.uuid),
            user.uuid,
            password_hash,
            session_uuid,
            _hash(refresh_token),
            after(self._refresh_lifetime),
        )
        return None if begun is None else self._login(begun, session_uuid, refresh_token)

    def _login(self, user: User, session_uuid: str, refresh_token: str) -> Login:
        access_token = self._keys.issue(Claims(user.uuid, session_uuid))
        return Login(user=user, access_token=access_token, refresh_token=refresh_token)


async def _active(user: User, password_hash: str) -> tuple[User, str] | None:
    return (user, password_hash) if user.is_active else None


def _new_refresh_token() -> str:
    return secrets.token_urlsafe(32)


def _hash(refresh_token: str) -> bytes:
    """Return a fast hash; it suffices for 256 random bits."""
    return hashlib.sha256(refresh_token.encode(errors="replace")).digest()
