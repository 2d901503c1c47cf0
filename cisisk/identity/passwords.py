"""Argon2id hashes of passwords and PINs, computed in threads."""

import asyncio
import contextlib
import os
import secrets
import threading
from base64 import b64encode
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from argon2.low_level import ARGON2_VERSION

from cisisk.model.errors import Invalid

MAX_SECRET_BYTES = 1024
"""Longest secret: limits the hashing work of unauthenticated requests."""
_THREADS = 2
"""Hashes of one kind computed concurrently; each occupies a core."""
_NICENESS = 5
"""Niceness of those threads. On a machine with one free core every page would otherwise wait for a hash. A higher value
would delay logins while other programs are busy."""


@dataclass(frozen=True, slots=True)
class Cost:
    """Cost parameters of a hash: what a login and each guess at a stolen hash costs."""

    passes: int
    kibibytes: int


PASSWORD = Cost(2, 19456)
"""OWASP's values for small machines of the second option in RFC 9106 section 4: about 24 ms of a core."""
PIN = Cost(3, 2048)
"""About 3 ms. OWASP's minimum for passwords (7 MiB, five passes) takes 17 ms, so that fifty logins per second would
occupy a core. It would not protect a stolen PIN hash either: trying ten thousand PINs would take three minutes instead
of half a minute. The throttle and the secrecy of the hashes protect short PINs; long PINs are safe with both values."""


class Passwords:
    """Hashes and verifies secrets of one kind. It also verifies hashes of any other cost."""

    def __init__(self, cost: Cost = PASSWORD) -> None:
        self._hasher = PasswordHasher(time_cost=cost.passes, memory_cost=cost.kibibytes, parallelism=1)
        self._threads = ThreadPoolExecutor(_THREADS, "hashes", initializer=_lower_priority)
        # Verified for unknown users, so that they take the same time as known ones.
        self._dummy_hash = _make_dummy_hash(self._hasher)

    async def hash(self, secret: str) -> str:
        """Return the argon2id hash of ``secret`` with a new salt.

        Raises:
            Invalid: the secret is too long or not valid text.
        """
        if not _is_valid(secret):
            raise Invalid.field("password", f"Must be text of at most {MAX_SECRET_BYTES} bytes")
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._hasher.hash, secret)

    async def matches(self, secret: str, known: str | None, substitute: str | None = None) -> bool:
        """Return whether ``secret`` matches the hash ``known``. With None return False after the same time.

        Args:
            secret: the secret to verify.
            known: its presumed hash, or None.
            substitute: the hash to verify instead of None; by default a dummy of the current cost.
        """
        if not _is_valid(secret):
            secret, known = "", None
        verification = asyncio.get_running_loop().run_in_executor(
            self._threads, self._verify, secret, known or substitute or self._dummy_hash
        )
        return await verification and known is not None

    def is_outdated(self, known: str) -> bool:
        """Return whether ``known``, a valid hash, has another cost than :meth:`hash` uses."""
        return self._hasher.check_needs_rehash(known)

    def _verify(self, secret: str, known: str) -> bool:
        try:
            return self._hasher.verify(known, secret)
        except (VerificationError, InvalidHashError):
            return False


def _lower_priority() -> None:
    with contextlib.suppress(PermissionError):  # the service manager may forbid it
        thread = threading.get_native_id()
        os.setpriority(os.PRIO_PROCESS, thread, os.getpriority(os.PRIO_PROCESS, thread) + _NICENESS)


def _make_dummy_hash(hasher: PasswordHasher) -> str:
    """Return a random value in the format of ``hasher``. Computing a real hash would need the most memory at start."""
    parameters = f"m={hasher.memory_cost},t={hasher.time_cost},p={hasher.parallelism}"
    salt, digest = (
        b64encode(secrets.token_bytes(length)).decode().rstrip("=") for length in (hasher.salt_len, hasher.hash_len)
    )
    return f"$argon2id$v={ARGON2_VERSION}${parameters}${salt}${digest}"


def _is_valid(secret: str) -> bool:
    try:
        return len(secret.encode()) <= MAX_SECRET_BYTES
    except UnicodeEncodeError:
        return False
