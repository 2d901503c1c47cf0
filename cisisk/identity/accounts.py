"""What people do with their accounts: log in and out, refresh, be created and changed."""

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
"""The superadmin of an empty store."""
_ATTEMPTS_AT_ONCE = 2
"""As many as are verified at once. Each counts as a failure until it is none: were those that wait counted too, people
who log in at the same moment from one address would be braked."""

_Admitted = TypeVar("_Admitted")


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    """A user who has just proved who he is, with the tokens that prove it from now on."""

    user: User
    access_token: str = field(repr=False)
    refresh_token: str = field(repr=False)


class Accounts:
    """The accounts in ``db``.

    Args:
        refresh_lifetime: how long a refresh token is good for, counted anew at each use.
    """

    def __init__(self, db: Database, keys: KeyRing, refresh_lifetime: timedelta) -> None:
        self._db = db
        self._keys = keys
        self._refresh_lifetime = refresh_lifetime
        self._passwords = Passwords()
        self._pin_hashes = Passwords(PIN)
        self._brake = Throttle()
        self._attempts = asyncio.Semaphore(_ATTEMPTS_AT_ONCE)

    @property
    def pin_hashes(self) -> Passwords:
        """What hashes and verifies PINs: shared by all who do, for the sake of memory and processors."""
        return self._pin_hashes

    async def first_superadmin(self, password: str | None) -> str | None:
        """In an empty store create the superadmin ``admin``.

        Returns:
            The password that was generated because none was given; None when none had to be.
        """
        if await users.any_exist(self._db):
            return None
        chosen = password or secrets.token_urlsafe(15)
        await users.create_superadmin(self._db, ADMIN, await self._passwords.hash(chosen))
        return None if password else chosen

    async def login(self, username: str, password: str, actor: Actor) -> Login:
        """Check a password and begin a session.

        Raises:
            Unauthenticated: wrong name or password, or a deactivated user; which of them is not told.
            TooManyAttempts: this account or this address has failed too often.
            StorageFailed: the session cannot be stored, or the account not be looked up; this counts as no failure.
        """
        async with self._attempts:
            return await self._attempt(username, password, actor, partial(self._begin, actor))

    async def administrator(self, username: str, password: str, actor: Actor) -> tuple[User, str]:
        """Check the password of somebody who may do everything, for a door that knows no tokens.

        Returns:
            The user, and the password hash with which :meth:`is_still_administrator` asks again.

        Raises:
            Unauthenticated, TooManyAttempts, StorageFailed: as :meth:`login`, with which it shares the brake.
            Forbidden: the password is right, and the user may not do everything.
        """
        async with self._attempts:
            user, password_hash = await self._attempt(username, password, actor, _active)
        if not user.is_superadmin:
            raise Forbidden("Only users with permission level 0 may come in here")
        return user, password_hash

    async def is_still_administrator(self, user: User, password_hash: str) -> bool:
        """Whether what :meth:`administrator` returned is still so: password, name, activity and permission."""
        known = await users.credentials(self._db, user.username)
        if known is None:
            return False
        return (
            known[0].uuid == user.uuid and known[1] == password_hash and known[0].is_active and known[0].is_superadmin
        )

    async def refresh(self, refresh_token: str, actor: Actor) -> Login:
        """Exchange a refresh token; each can be used once, and a second use ends its session.

        Raises:
            Unauthenticated: it is unknown, used, expired or revoked.
        """
        next_token = _new_refresh_token()
        rotated = await logins.rotate(
            self._db, actor, _hash(refresh_token), _hash(next_token), after(self._refresh_lifetime)
        )
        if rotated is None:
            raise Unauthenticated("The refresh token is not valid. Log in again")
        user, session_uuid = rotated
        return self._login(user, session_uuid, next_token)

    async def logout(self, actor: Actor, refresh_token: str | None) -> None:
        """End the session of ``refresh_token``, or every session of the acting user."""
        if actor.user_uuid is not None:
            await logins.end(self._db, actor, actor.user_uuid, _hash(refresh_token) if refresh_token else None)

    async def user_of(self, access_token: str) -> User:
        """Who a token belongs to, as the user is now.

        Raises:
            Unauthenticated: the token is not valid, its session was ended, or the user deactivated or deleted.
        """
        claims = self._keys.verify(access_token)
        user = await logins.user_of(self._db, claims.session_uuid, claims.user_uuid)
        if user is None:
            raise Unauthenticated("The access token is no longer valid")
        return user

    async def create(self, actor: Actor, fields: Mapping[str, Any], *, action: str = "user.created") -> User:
        """Add a user; ``fields`` are the writable columns and ``password``. Raises Conflict."""
        columns = dict(fields)
        password_hash = await self._passwords.hash(columns.pop("password"))
        return await users.create(self._db, actor, columns, password_hash, action=action)

    async def update(
        self, actor: Actor, uuid: str, fields: Mapping[str, Any], seen: Collection[str] | None = None
    ) -> User:
        """Change a user; ``fields`` as in :meth:`create`. Raises NotFound, Stale, Conflict."""
        columns = dict(fields)
        if "password" in columns:
            columns["password_hash"] = await self._passwords.hash(columns.pop("password"))
        return await users.update(self._db, actor, uuid, columns, seen)

    async def set_pin(
        self, actor: Actor, user_uuid: str, pin: str, seen: Collection[str] | None = None
    ) -> pins.CiscoUser:
        """Set the PIN with which a user logs in on phones. Raises NotFound, Stale."""
        return await pins.put(self._db, actor, user_uuid, await self._pin_hashes.hash(pin), seen)

    async def _attempt(
        self, username: str, password: str, actor: Actor, admit: Callable[[User, str], Awaitable[_Admitted | None]]
    ) -> _Admitted:
        """What ``admit`` makes of the user and the password hash when the password is right; None from it refuses."""
        account, address = ("account", username.casefold()), ("address", actor.ip)
        self._brake.require_free(account, address)
        # Counted before it is known, and taken back: otherwise a hundred guesses at once would all be let through.
        self._brake.failed(account, address)
        try:
            known = await users.credentials(self._db, username)
            right = await self._passwords.matches(password, known[1] if known else None)
            admitted = await admit(*known) if known and right else None
        except StorageFailed:
            # Nobody has guessed wrong: that is raised of no password that is.
            self._brake.take_back(account, address)
            raise
        if admitted is None:
            raise Unauthenticated("Wrong username or password")
        self._brake.forget(account)
        # The address only gets this one back: who knows one password must not wipe out guesses at others.
        self._brake.take_back(address)
        return admitted

    async def _begin(self, actor: Actor, user: User, password_hash: str) -> Login | None:
        session_uuid, refresh_token = str(uuid4()), _new_refresh_token()
        begun = await logins.begin(
            self._db,
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
    """256 random bits need no slow hash."""
    return hashlib.sha256(refresh_token.encode(errors="replace")).digest()
