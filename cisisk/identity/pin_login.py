"""Login on a phone's screen with a username and a PIN."""

import asyncio
import hashlib
import hmac
import logging
import secrets
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from cisisk.identity.passwords import Passwords
from cisisk.identity.throttle import MAX_TRACKED, Key, Throttle, address_key
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
"""Lifetime of a session after the last activity (docs/api.md#phone-pages)."""
_ACTIVITY_STEP = timedelta(minutes=5)
"""Shortest interval between two writes of the activity; writing it for each page would cost too much."""
_MAX_CONCURRENT_KNOWN, _MAX_CONCURRENT_UNKNOWN = 2, 1
"""Attempts verified concurrently at known and at unknown phones: guesses at made-up phones get a third of the capacity.
An attempt counts as a failure until it succeeds. Waiting attempts must not count, or phones behind one address would be
throttled when many users log in."""
_MAX_WAITING = 100
"""Waiting attempts of either kind, about 1.5 seconds of work on a busy machine: phones do not wait much longer."""
_BUSY_SECONDS = 5
_MAX_USUAL_PHONES = 20_000
"""Most recent pairs of a user and a known phone on which the user has logged in."""
_RECORDED_PER_MINUTE = 60
"""Failures recorded in the audit log: enough to recognise guessing, too few to fill the disk."""


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class PinLimits:
    """Limits of the throttle of PIN logins.

    Attributes:
        max_tracked: most keys of one kind whose failures are counted.
        unknown_phone_buckets: buckets for usernames at unknown phones. A client can make up any number of names. No
            bucket is ever displaced, so a flood of names throttles unknown phones and never resets the count of
            another name.
    """

    max_tracked: int = MAX_TRACKED
    unknown_phone_buckets: int = 16_384


class PinLogin:
    """Logs users in on phones.

    Args:
        db: the database.
        passwords: hasher of PINs.
        lifetime: lifetime of a session after the last activity.
        clock: monotonic clock in seconds, for the throttle.
        now: current time, for sessions.
        limits: limits of the throttle.
    """

    def __init__(
        self,
        db: Database,
        passwords: Passwords,
        *,
        lifetime: timedelta = SESSION_LIFETIME,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] = _now,
        limits: PinLimits = PinLimits(),
    ) -> None:
        self._db = db
        self._passwords = passwords
        self._lifetime = lifetime
        self._throttle = Throttle(clock, max_tracked=limits.max_tracked)
        self._limits = limits
        self._now = now
        self._slots = {
            True: asyncio.Semaphore(_MAX_CONCURRENT_KNOWN),
            False: asyncio.Semaphore(_MAX_CONCURRENT_UNKNOWN),
        }
        self._waiting = {True: 0, False: 0}
        self._usual: OrderedDict[tuple[str, Mac], None] = OrderedDict()
        self._key = secrets.token_bytes(32)
        self._clock = clock
        self._recorded = (0, 0)

    async def session(self, phone: PhoneContext, ip: str) -> ServiceSession | None:
        """Return the session of a phone at the address ``ip``, or None, and record the activity."""
        session, now = phone.session, self._now()
        if session is None or session.ip != ip or session.active_at < timestamp(now - self._lifetime):
            return None
        if session.active_at < timestamp(now - _ACTIVITY_STEP):
            try:
                await self._db.write(service_sessions.active, session, timestamp(now))
            except StorageFailed as error:
                # The page does not depend on it.
                log.warning("activity not stored phone=%s reason=%r", session.mac, str(error))
        return session

    async def login(self, actor: Actor, phone: PhoneContext, username: str, pin: str) -> ServiceSession:
        """Check a PIN and start a session of ``actor.ip`` on a phone.

        Raises:
            Unauthenticated: wrong username or PIN, or a user who is deactivated or has no PIN. The message is the same.
            TooManyAttempts: too many failures of this user, phone or address.
            StorageFailed: the user cannot be read or the session cannot be stored. This is not counted as a failure.
        """
        async with self._attempt(actor, phone, username):
            known = await self._verified(actor, phone.mac, username, pin)
            begun = await self._begin(actor, phone.mac, known)
        await self._rehash(known, pin)
        return begun

    async def change_pin(
        self, actor: Actor, phone: PhoneContext, session: ServiceSession, current: str, new: str
    ) -> ServiceSession:
        """Change the PIN of the logged-in user and end the user's sessions on other phones.

        Raises:
            Unauthenticated: ``current`` is wrong.
            TooManyAttempts, StorageFailed: as :meth:`login`, with which it shares the throttle.
        """
        async with self._attempt(actor, phone, session.username):
            known = await self._verified(actor, phone.mac, session.username, current)
            new_hash = await self._passwords.hash(new)
            # The PIN may have been reset during the hash: then the PIN that was verified must not replace it.
            begun = await self._db.write(service_sessions.change_pin, actor, phone.mac, known, new_hash, self._moment())
            return _begun(begun)

    async def logout(self, actor: Actor, mac: Mac) -> None:
        """End the session on a phone."""
        await self._db.write(service_sessions.end, actor, mac)

    @asynccontextmanager
    async def _attempt(self, actor: Actor, phone: PhoneContext, username: str) -> AsyncIterator[None]:
        """Throttle one attempt. It counts as a failure unless the block completes or raises StorageFailed."""
        keys = user, *others = self._throttle_keys(actor, phone, username)
        self._throttle.check(*keys)
        async with self._slot(is_known=bool(phone.addresses)):
            self._throttle.check(*keys)
            # Count the failure first and undo it later: otherwise many concurrent guesses would all be verified.
            self._throttle.record_failure(*keys)
            try:
                yield
            except StorageFailed:
                # Not a wrong guess: a wrong PIN never gets here.
                self._throttle.undo_failure(*keys)
                raise
        self._throttle.reset(user)
        # Undo only this failure: a known PIN must not clear guesses at other users.
        self._throttle.undo_failure(*others)
        if phone.addresses:
            self._remember(username, phone.mac)

    def _throttle_keys(self, actor: Actor, phone: PhoneContext, username: str) -> tuple[Key, ...]:
        """Return the keys that count failures, the user first."""
        name = username.casefold()
        if not phone.addresses:
            # The phone may be made up: failures here must not throttle known phones or displace their counts. The phone
            # itself is not a key, because any client can name it.
            bucket = hash(name) % self._limits.unknown_phone_buckets
            return ("user at unknown phone", bucket), ("address of unknown phone", address_key(actor.ip))
        # On phones the user has used before, guesses at other phones do not lock the user out.
        user: Key = ("user at", name, phone.mac) if (name, phone.mac) in self._usual else ("user", name)
        return user, ("phone", phone.mac), ("address", actor.ip)

    def _remember(self, username: str, mac: Mac) -> None:
        pair = username.casefold(), mac
        self._usual[pair] = None
        self._usual.move_to_end(pair)
        if len(self._usual) > _MAX_USUAL_PHONES:
            self._usual.popitem(last=False)

    @asynccontextmanager
    async def _slot(self, *, is_known: bool) -> AsyncIterator[None]:
        """Wait for a slot for verification. Raises TooManyAttempts if too many attempts are waiting."""
        if self._waiting[is_known] >= _MAX_WAITING:
            raise TooManyAttempts(_BUSY_SECONDS)
        self._waiting[is_known] += 1
        try:
            async with self._slots[is_known]:
                yield
        finally:
            self._waiting[is_known] -= 1

    async def _verified(self, actor: Actor, mac: Mac, username: str, pin: str) -> PinHolder:
        """Return the holder of the PIN. Every username causes the same work: one read, one hash, one write.

        Hashes of another cost may take eight times as long. A name without a PIN is therefore compared with the hash of
        another user, always the same one for that name, so that the time does not reveal whether the name exists.
        """
        position = hmac.digest(self._key, username.casefold().encode(errors="replace"), hashlib.sha256).hex()
        known, substitute = await self._db.read(pins.holder, username, position)
        if await self._passwords.matches(pin, known.pin_hash if known else None, substitute) and known is not None:
            return known
        if self._may_record_failure():
            try:
                await self._db.write(service_sessions.refused, actor, mac, known.user_uuid if known else None)
            except StorageFailed as error:
                # The attempt still counts as a failure.
                log.warning("failed login not recorded phone=%s reason=%r", mac, str(error))
        raise Unauthenticated("Wrong user or PIN")

    async def _rehash(self, known: PinHolder, pin: str) -> None:
        """Replace a hash of another cost; only possible while the PIN is known."""
        if known.pin_hash and self._passwords.is_outdated(known.pin_hash):
            try:
                await self._db.write(pins.rehashed, known, await self._passwords.hash(pin))
            except StorageFailed as error:
                log.warning("PIN hash not replaced user=%s reason=%r", known.user_uuid, str(error))

    async def _begin(self, actor: Actor, mac: Mac, known: PinHolder) -> ServiceSession:
        begun = await self._db.write(
            service_sessions.begin,
            replace(actor, user_uuid=known.user_uuid),
            mac,
            known.user_uuid,
            known.pin_hash or "",
            actor.ip or "",
            self._moment(),
        )
        return _begun(begun)

    def _may_record_failure(self) -> bool:
        minute, count = self._recorded
        now = int(self._clock() / 60)
        self._recorded = (now, count + 1 if now == minute else 1)
        if self._recorded[1] == _RECORDED_PER_MINUTE + 1:
            log.warning("failed phone logins no longer recorded this minute recorded=%d", count)
        return self._recorded[1] <= _RECORDED_PER_MINUTE

    def _moment(self) -> Timestamp:
        return timestamp(self._now())


def _begun(session: ServiceSession | None) -> ServiceSession:
    """Return the session. Raises Unauthenticated if there is none: user or PIN have changed since the verification."""
    if session is None:
        raise Unauthenticated("Wrong user or PIN")
    return session
