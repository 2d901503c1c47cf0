"""Logging in on a phone's own screen, with a username and a PIN."""

import asyncio
import hashlib
import hmac
import logging
import secrets
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from cisisk.identity.passwords import Passwords
from cisisk.identity.throttle import Key, Throttle, address_key
from cisisk.model.clock import Timestamp, timestamp
from cisisk.model.errors import StorageFailed, TooManyAttempts, Unauthenticated
from cisisk.model.mac import Mac
from cisisk.model.user import Actor
from cisisk.store import pins, service_sessions
from cisisk.store.database import Database
from cisisk.store.pins import PinHolder
from cisisk.store.service_sessions import PhoneContext, ServiceSession

log = logging.getLogger(__name__)

SESSION_LIFETIME = timedelta(hours=24)
"""From the last activity (docs/api.md#phone-pages)."""
_ACTIVITY_STEP = timedelta(minutes=5)
"""Activity is written down so often: not each page is worth a write to the disk, nor five minutes of a day an error."""
_AT_ONCE, _STRANGERS_AT_ONCE = 2, 1
"""Attempts that are verified at once, at phones that are known somewhere and at others: who makes up phones to guess at
gets a third of the work. Each counts as a failure until it is none: were those that wait counted too, phones behind one
address would be braked in the morning."""
_MOST_WAITING = 100
"""Attempts of either kind that wait for their turn, some one and a half seconds' worth on a busy machine: a phone does
not wait much longer."""
_BUSY_SECONDS = 5
_NAMES = 16_384
"""Among so many the names are distributed that are typed at unknown phones, where anybody can make up any number: few
enough that none is ever forgotten for others, so that a flood of them brakes unknown phones and frees no guesses."""
_MOST_USUAL = 20_000
"""Pairs of a user and a known phone where that user has logged in; the latest ones."""
_RECORDED_PER_MINUTE = 60
"""Failures that are written into the audit log: enough to see who guesses at what, too few to fill the disk."""


def _now() -> datetime:
    return datetime.now(UTC)


class PinLogin:
    """Logs users in on phones.

    Args:
        lifetime: of a session, from the last activity.
        clock: in seconds, for the brakes.
        now: the time of day, for sessions.
    """

    def __init__(
        self,
        db: Database,
        passwords: Passwords,
        *,
        lifetime: timedelta = SESSION_LIFETIME,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] = _now,
    ) -> None:
        self._db = db
        self._passwords = passwords
        self._lifetime = lifetime
        self._brake = Throttle(clock)
        self._now = now
        self._places = {True: asyncio.Semaphore(_AT_ONCE), False: asyncio.Semaphore(_STRANGERS_AT_ONCE)}
        self._waiting = {True: 0, False: 0}
        self._usual: OrderedDict[tuple[str, Mac], None] = OrderedDict()
        self._key = secrets.token_bytes(32)
        self._clock = clock
        self._recorded = (0, 0)

    async def session(self, desk: PhoneContext, ip: str) -> ServiceSession | None:
        """Who is logged in on a phone that asks from the address ``ip``; this counts as activity."""
        session, now = desk.session, self._now()
        if session is None or session.ip != ip or session.active_at < timestamp(now - self._lifetime):
            return None
        if session.active_at < timestamp(now - _ACTIVITY_STEP):
            try:
                await service_sessions.active(self._db, session, timestamp(now))
            except StorageFailed as error:
                # The page can be shown all the same.
                log.warning("the activity on %s cannot be stored: %s", session.mac, error)
        return session

    async def login(self, actor: Actor, desk: PhoneContext, username: str, pin: str) -> ServiceSession:
        """Check a PIN and begin a session of ``actor.ip`` on a phone.

        Raises:
            Unauthenticated: wrong name or PIN, a user without one, or a deactivated user; which of them is not told.
            TooManyAttempts: this user, this phone or this address has failed too often.
            StorageFailed: the name and the PIN are right, or could not be looked up; this counts as no failure.
        """
        async with self._attempt(actor, desk, username):
            known = await self._verified(actor, desk.mac, username, pin)
            begun = await self._begin(actor, desk.mac, known)
        await self._rehash(known, pin)
        return begun

    async def change_pin(
        self, actor: Actor, desk: PhoneContext, session: ServiceSession, current: str, new: str
    ) -> ServiceSession:
        """Change the PIN of who is logged in; other phones log that user out.

        Raises:
            Unauthenticated: ``current`` is wrong.
            TooManyAttempts, StorageFailed: as :meth:`login`, with which it shares the brakes.
        """
        async with self._attempt(actor, desk, session.username):
            await self._verified(actor, desk.mac, session.username, current)
            new_hash = await self._passwords.hash(new)
            await pins.put(self._db, actor, session.user_uuid, new_hash)
            holder = PinHolder(user_uuid=session.user_uuid, username=session.username, pin_hash=new_hash)
            return await self._begin(actor, desk.mac, holder)

    async def logout(self, actor: Actor, mac: Mac) -> None:
        """End the session on a phone."""
        await service_sessions.end(self._db, actor, mac)

    @asynccontextmanager
    async def _attempt(self, actor: Actor, desk: PhoneContext, username: str) -> AsyncIterator[None]:
        """One attempt, braked, in its turn; a failure unless the block comes to its end or the disk refuses."""
        keys = user, *others = self._counted(actor, desk, username)
        self._brake.require_free(*keys)
        async with self._turn(is_known=bool(desk.addresses)):
            self._brake.require_free(*keys)
            # Counted before it is known, and taken back: otherwise many guesses at once would all be let through.
            self._brake.failed(*keys)
            try:
                yield
            except StorageFailed:
                # Nobody has guessed wrong: that is raised of no PIN that is.
                self._brake.take_back(*keys)
                raise
        self._brake.forget(user)
        # These only get this one back: who knows one PIN must not wipe out guesses at others.
        self._brake.take_back(*others)
        if desk.addresses:
            self._remember(username, desk.mac)

    def _counted(self, actor: Actor, desk: PhoneContext, username: str) -> tuple[Key, ...]:
        """What failures are counted of, the user first."""
        name = username.casefold()
        if not desk.addresses:
            # Somebody may have made this phone up: no failure here counts at known ones, and none there is forgotten
            # for these. Nor is it the phone that waits, which anybody can name.
            return ("user of a stranger", hash(name) % _NAMES), ("address of a stranger", address_key(actor.ip))
        # Where the user has logged in before, guesses at other phones do not keep the user out.
        user: Key = ("user at", name, desk.mac) if (name, desk.mac) in self._usual else ("user", name)
        return user, ("phone", desk.mac), ("address", actor.ip)

    def _remember(self, username: str, mac: Mac) -> None:
        pair = username.casefold(), mac
        self._usual[pair] = None
        self._usual.move_to_end(pair)
        if len(self._usual) > _MOST_USUAL:
            self._usual.popitem(last=False)

    @asynccontextmanager
    async def _turn(self, *, is_known: bool) -> AsyncIterator[None]:
        """One of the places in which attempts are verified."""
        if self._waiting[is_known] >= _MOST_WAITING:
            raise TooManyAttempts(_BUSY_SECONDS)
        self._waiting[is_known] += 1
        try:
            async with self._places[is_known]:
                yield
        finally:
            self._waiting[is_known] -= 1

    async def _verified(self, actor: Actor, mac: Mac, username: str, pin: str) -> PinHolder:
        """The same work whoever is named: one row is read, one hash computed, one row written.

        There may still be hashes of another cost, which take eight times as long. So a name without one is compared
        with somebody else's, always the same one's: with what it costs it could be the hash of that name.
        """
        beside = hmac.digest(self._key, username.casefold().encode(errors="replace"), hashlib.sha256).hex()
        known, another = await pins.holder(self._db, username, beside)
        if await self._passwords.matches(pin, known.pin_hash if known else None, another) and known is not None:
            return known
        if self._is_to_be_recorded():
            try:
                await service_sessions.refused(self._db, actor, mac, known.user_uuid if known else None)
            except StorageFailed as error:
                # A full disk lets nobody guess unbraked.
                log.warning("a login that failed on %s cannot be stored: %s", mac, error)
        raise Unauthenticated("Wrong user or PIN")

    async def _rehash(self, known: PinHolder, pin: str) -> None:
        """Give a hash of another cost way to one of ours, now that the PIN is here."""
        if known.pin_hash and self._passwords.is_outdated(known.pin_hash):
            try:
                await pins.rehashed(self._db, known, await self._passwords.hash(pin))
            except StorageFailed as error:
                log.warning("the PIN of %s keeps its old hash: %s", known.user_uuid, error)

    async def _begin(self, actor: Actor, mac: Mac, known: PinHolder) -> ServiceSession:
        begun = await service_sessions.begin(
            self._db,
            replace(actor, user_uuid=known.user_uuid),
            mac,
            known.user_uuid,
            known.pin_hash or "",
            actor.ip or "",
            self._moment(),
        )
        if begun is None:
            raise Unauthenticated("Wrong user or PIN")
        return begun

    def _is_to_be_recorded(self) -> bool:
        minute, count = self._recorded
        now = int(self._clock() / 60)
        self._recorded = (now, count + 1 if now == minute else 1)
        if self._recorded[1] == _RECORDED_PER_MINUTE + 1:
            log.warning("more than %d logins at phones failed within a minute; only these are in the audit log", count)
        return self._recorded[1] <= _RECORDED_PER_MINUTE

    def _moment(self) -> Timestamp:
        return timestamp(self._now())
