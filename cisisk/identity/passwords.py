"""Passwords and PINs: argon2id, computed beside the event loop."""

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
"""Longer than any pass phrase; a bound for what a stranger can make us hash."""
_AT_ONCE = 2
"""Hashes of one kind that are computed at the same time, each by a thread that has a core to itself meanwhile."""
_NICENESS = 5
"""How far those threads stand back: on a machine with one free core every page would else wait behind a hash. Not so
far that whoever logs in waits for long where other programs are busy."""


@dataclass(frozen=True, slots=True)
class Cost:
    """What a guess costs who has stolen the hashes, and what each login costs us."""

    passes: int
    kibibytes: int


PASSWORD = Cost(2, 19456)
"""The second choice of RFC 9106 section 4 in the measure OWASP gives for small machines; some 24 ms of a core."""
PIN = Cost(3, 2048)
"""Some 3 ms. The least that OWASP recommends for passwords (7 MiB, five passes) takes 17, so that fifty logins a second
would fill a core; and it would not protect a PIN: the ten thousand of four digits are tried in three minutes instead of
half of one. What protects those is the brake, and that nobody gets the hashes; long PINs are safe with either."""


class Passwords:
    """Hashes and verifies secrets of one kind. Hashes of any other cost are verified too."""

    def __init__(self, cost: Cost = PASSWORD) -> None:
        self._hasher = PasswordHasher(time_cost=cost.passes, memory_cost=cost.kibibytes, parallelism=1)
        self._threads = ThreadPoolExecutor(_AT_ONCE, "hashes", initializer=_stand_back)
        # Verified against when there is no such user, so that both cases take the same time.
        self._nobodys = _of_no_secret(self._hasher)

    async def hash(self, secret: str) -> str:
        """The argon2id hash of ``secret`` with a salt of its own.

        Raises:
            Invalid: nobody could ever enter it: it is too long, or no text.
        """
        if not _can_be_entered(secret):
            raise Invalid.field("password", f"Not a text of at most {MAX_SECRET_BYTES} bytes")
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._hasher.hash, secret)

    async def matches(self, secret: str, known: str | None, another: str | None = None) -> bool:
        """Whether ``secret`` is the one that ``known`` is the hash of; False, after the same time, when it is None.

        Args:
            another: a hash that costs as much as ``known`` would; by default one of the present cost.
        """
        if not _can_be_entered(secret):
            secret, known = "", None
        verifying = asyncio.get_running_loop().run_in_executor(
            self._threads, self._verify, secret, known or another or self._nobodys
        )
        return await verifying and known is not None

    def is_outdated(self, known: str) -> bool:
        """Whether :meth:`hash` would make a hash of another cost; ``known`` is one that has just matched."""
        return self._hasher.check_needs_rehash(known)

    def _verify(self, secret: str, known: str) -> bool:
        try:
            return self._hasher.verify(known, secret)
        except (VerificationError, InvalidHashError):
            return False


def _stand_back() -> None:
    with contextlib.suppress(PermissionError):  # a service manager may not allow it
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICENESS)


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
