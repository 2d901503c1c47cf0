"""Passwords and PINs: argon2id, computed beside the event loop."""

import asyncio
import secrets
from base64 import b64encode

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from argon2.low_level import ARGON2_VERSION

from cisisk.model.errors import Invalid

MAX_SECRET_BYTES = 1024
"""Longer than any pass phrase; a bound for what a stranger can make us hash."""
_AT_ONCE = 2
"""Each hash takes 19 MiB and a core for some 25 ms: two at once leave the phones their share of the machine."""


class Passwords:
    """Hashes and verifies secrets."""

    def __init__(self) -> None:
        # The second choice of RFC 9106 section 4 in the measure OWASP gives for small machines.
        self._hasher = PasswordHasher(time_cost=2, memory_cost=19456, parallelism=1)
        self._places = asyncio.Semaphore(_AT_ONCE)
        # Verified against when there is no such user, so that both cases take the same time.
        self._nobodys = _of_no_secret(self._hasher)

    async def hash(self, secret: str) -> str:
        """The argon2id hash of ``secret`` with a salt of its own.

        Raises:
            Invalid: nobody could ever enter it: it is too long, or no text.
        """
        if not _can_be_entered(secret):
            raise Invalid.field("password", f"Not a text of at most {MAX_SECRET_BYTES} bytes")
        async with self._places:
            return await asyncio.to_thread(self._hasher.hash, secret)

    async def matches(self, secret: str, known: str | None) -> bool:
        """Whether ``secret`` is the one that ``known`` is the hash of; False, after the same time, when it is None."""
        if not _can_be_entered(secret):
            secret, known = "", None
        async with self._places:
            return await asyncio.to_thread(self._verify, secret, known or self._nobodys) and known is not None

    def _verify(self, secret: str, known: str) -> bool:
        try:
            return self._hasher.verify(known, secret)
        except (VerificationError, InvalidHashError):
            return False


def _of_no_secret(hasher: PasswordHasher) -> str:
    """A hash as ``hasher`` would write it, made up: computing a real one would be the start's largest use of memory."""
    measure = f"m={hasher.memory_cost},t={hasher.time_cost},p={hasher.parallelism}"
    salt, digest = (
        b64encode(secrets.token_bytes(length)).decode().rstrip("=") for length in (hasher.salt_len, hasher.hash_len)
    )
    return f"$argon2id$v={ARGON2_VERSION}${measure}${salt}${digest}"


def _can_be_entered(secret: str) -> bool:
    try:
        return len(secret.encode()) <= MAX_SECRET_BYTES
    except UnicodeEncodeError:
        return False
