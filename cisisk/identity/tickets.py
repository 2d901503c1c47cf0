"""Tickets: single-use words in the URLs of forms, so that no URL does the same twice, or for somebody else."""

import hashlib
import hmac
import secrets
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as NotBase64
from collections.abc import Callable

LIFETIME = 600.0
"""Seconds: long enough to type a name and an address on the keypad of a phone."""
MAX_REDEEMED = 50_000
"""Redeemed ones that are remembered; with more than 80 a second for ten minutes, tickets live for less than those."""
_PERIOD = 10
"""Seconds: tickets that were issued within one period are forgotten together."""
_SALT_BYTES, _TIME_BYTES, _MAC_BYTES = 6, 4, 14
TICKET_CHARACTERS = (_SALT_BYTES + _TIME_BYTES + _MAC_BYTES) * 4 // 3


class Tickets:
    """Issues and redeems tickets. Only the redeemed ones take memory: forms are asked for by anybody, and often."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._key = secrets.token_bytes(32)
        # By the period of their issue, and the first period whose tickets are still good.
        self._redeemed: dict[int, set[bytes]] = {}
        self._count = 0
        self._first_good = 0

    def issue(self, *bound_to: str) -> str:
        """A ticket that is good once, for :data:`LIFETIME`, and for whoever and whatever it is ``bound_to``."""
        head = int(self._clock()).to_bytes(_TIME_BYTES, "big") + secrets.token_bytes(_SALT_BYTES)
        return urlsafe_b64encode(head + self._seal(head, bound_to)).decode()

    def redeem(self, ticket: str, *bound_to: str) -> bool:
        """Whether ``ticket`` is good; from now on it no longer is."""
        head = self._opened(ticket, bound_to)
        if head is None:
            return False
        issued, now = int.from_bytes(head[:_TIME_BYTES], "big"), self._clock()
        self._forget(now)
        period = issued // _PERIOD
        if now - issued > LIFETIME or period < self._first_good or head in self._redeemed.get(period, ()):
            return False
        self._redeemed.setdefault(period, set()).add(head)
        self._count += 1
        return True

    def _opened(self, ticket: str, bound_to: tuple[str, ...]) -> bytes | None:
        if len(ticket) != TICKET_CHARACTERS or not ticket.isascii():
            return None
        try:
            content = urlsafe_b64decode(ticket)
        except NotBase64:
            return None
        if urlsafe_b64encode(content) != ticket.encode():
            # Base64 has other letters for two of these, and skips those it does not know.
            return None
        head, seal = content[:-_MAC_BYTES], content[-_MAC_BYTES:]
        return head if hmac.compare_digest(seal, self._seal(head, bound_to)) else None

    def _seal(self, head: bytes, bound_to: tuple[str, ...]) -> bytes:
        message = head + "\0".join(bound_to).encode(errors="replace")
        return hmac.digest(self._key, message, hashlib.sha256)[:_MAC_BYTES]

    def _forget(self, now: float) -> None:
        """Those that are too old anyway; of too many the oldest, which with all of their period are no longer good."""
        oldest_alive = int(now - LIFETIME) // _PERIOD
        for period in sorted(self._redeemed):
            if period >= oldest_alive and self._count < MAX_REDEEMED:
                break
            self._count -= len(self._redeemed.pop(period))
            self._first_good = period + 1
