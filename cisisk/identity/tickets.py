"""Single-use tickets in form URLs: a URL acts only once, and only for the client that got it."""

import hashlib
import hmac
import secrets
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as NotBase64
from collections.abc import Callable

LIFETIME = 600.0
"""Seconds: enough to type a name and an address on a phone's keypad."""
MAX_REDEEMED = 50_000
"""Redeemed tickets kept. At more than 80 per second for ten minutes, the lifetime of tickets becomes shorter."""
_PERIOD = 10
"""Seconds: tickets issued in the same period expire together."""
_SALT_BYTES, _TIME_BYTES, _MAC_BYTES = 6, 4, 14
TICKET_CHARACTERS = (_SALT_BYTES + _TIME_BYTES + _MAC_BYTES) * 4 // 3


class Tickets:
    """Issues and redeems tickets. Only redeemed tickets use memory, because any client can request forms."""

    def __init__(self, clock: Callable[[], float] = time.monotonic, *, max_redeemed: int = MAX_REDEEMED) -> None:
        self._clock = clock
        self._max_redeemed = max_redeemed
        self._key = secrets.token_bytes(32)
        # Redeemed tickets by period of issue, and the first period whose tickets are still valid.
        self._redeemed: dict[int, set[bytes]] = {}
        self._count = 0
        self._first_valid = 0

    def issue(self, *bound_to: str) -> str:
        """Return a ticket that is valid once, for :data:`LIFETIME`, and only with the same ``bound_to``."""
        head = int(self._clock()).to_bytes(_TIME_BYTES, "big") + secrets.token_bytes(_SALT_BYTES)
        return urlsafe_b64encode(head + self._sign(head, bound_to)).decode()

    def redeem(self, ticket: str, *bound_to: str) -> bool:
        """Return whether ``ticket`` is valid, and invalidate it."""
        head = self._verified_head(ticket, bound_to)
        if head is None:
            return False
        issued, now = int.from_bytes(head[:_TIME_BYTES], "big"), self._clock()
        self._expire(now)
        period = issued // _PERIOD
        if now - issued > LIFETIME or period < self._first_valid or head in self._redeemed.get(period, ()):
            return False
        self._redeemed.setdefault(period, set()).add(head)
        self._count += 1
        return True

    def _verified_head(self, ticket: str, bound_to: tuple[str, ...]) -> bytes | None:
        if len(ticket) != TICKET_CHARACTERS or not ticket.isascii():
            return None
        try:
            content = urlsafe_b64decode(ticket)
        except NotBase64:
            return None
        if urlsafe_b64encode(content) != ticket.encode():
            # The decoder also accepts other spellings of the same bytes; a ticket has only one.
            return None
        head, signature = content[:-_MAC_BYTES], content[-_MAC_BYTES:]
        return head if hmac.compare_digest(signature, self._sign(head, bound_to)) else None

    def _sign(self, head: bytes, bound_to: tuple[str, ...]) -> bytes:
        message = head + "\0".join(bound_to).encode(errors="replace")
        return hmac.digest(self._key, message, hashlib.sha256)[:_MAC_BYTES]

    def _expire(self, now: float) -> None:
        """Drop expired tickets, and the oldest periods above the limit; their unredeemed tickets become invalid."""
        oldest_alive = int(now - LIFETIME) // _PERIOD
        for period in sorted(self._redeemed):
            if period >= oldest_alive and self._count < self._max_redeemed:
                break
            self._count -= len(self._redeemed.pop(period))
            self._first_valid = period + 1
