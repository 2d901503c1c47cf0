"""Throttling of failed logins: the wait grows with each failure of an account, address or phone."""

import math
import time
from collections import OrderedDict, defaultdict, deque
from collections.abc import Callable, Hashable
from ipaddress import AddressValueError, IPv6Address, IPv6Network
from typing import TypeAlias

from cisisk.model.errors import TooManyAttempts

FREE_FAILURES = 5
"""Failures without a wait, for typing errors."""
FIRST_WAIT, LONGEST_WAIT = 2.0, 900.0
"""Seconds. Each further failure doubles the wait, so a four-digit PIN takes more than 100 days to guess."""
RESET_AFTER = 3600.0
"""Seconds without a failure after which the failures of a key are dropped."""
MAX_TRACKED = 20_000
"""Most keys of one kind; the least recent are dropped."""
_MAX_FAILURES = FREE_FAILURES + 10
"""Failures kept per key. The last but one already causes the longest wait, so undoing one does not shorten it."""
_IPV6_PREFIX = 64
"""Prefix length that a client cannot change itself (RFC 6177 section 2)."""

Key: TypeAlias = tuple[Hashable, ...]
"""A counted key, its kind first, such as ``("address", "192.0.2.1")``. Each kind has its own limit, so that
thousands of made-up keys of one kind do not displace keys of another."""


def address_key(ip: str | None) -> str:
    """Return the part of ``ip`` that identifies a client: an IPv4 address, or the /64 network of an IPv6 address."""
    try:
        address = IPv6Address(ip or "")
    except AddressValueError:
        return ip or ""
    if address.ipv4_mapped:
        return str(address.ipv4_mapped)
    return str(IPv6Network((int(address), _IPV6_PREFIX), strict=False))


class Throttle:
    """Counts failures per key: an account, an address or a phone."""

    def __init__(self, clock: Callable[[], float] = time.monotonic, *, max_tracked: int = MAX_TRACKED) -> None:
        self._clock = clock
        self._max_tracked = max_tracked
        # Times instead of counts: an undone failure must not remain the latest one.
        self._failures: dict[Hashable, OrderedDict[Key, deque[float]]] = defaultdict(OrderedDict)

    def check(self, *keys: Key) -> None:
        """Check that an attempt may proceed.

        Raises:
            TooManyAttempts: one of ``keys`` has to wait.
        """
        now = self._clock()
        wait = max((_wait(failures, now) for key in keys if (failures := self._failures[key[0]].get(key))), default=0.0)
        if wait > 0:
            raise TooManyAttempts(math.ceil(wait))

    def record_failure(self, *keys: Key) -> None:
        """Record a failed attempt for each of ``keys``."""
        now = self._clock()
        for key in keys:
            kind = self._failures[key[0]]
            failures = kind.pop(key, None)
            if not failures or now - failures[-1] > RESET_AFTER:
                failures = deque(maxlen=_MAX_FAILURES)
            failures.append(now)
            kind[key] = failures
            if len(kind) > self._max_tracked:
                kind.popitem(last=False)

    def undo_failure(self, *keys: Key) -> None:
        """Remove the latest failure of each of ``keys``."""
        for key in keys:
            if failures := self._failures[key[0]].get(key):
                failures.pop()

    def reset(self, *keys: Key) -> None:
        """Remove all failures of ``keys``."""
        for key in keys:
            self._failures[key[0]].pop(key, None)


def _wait(failures: deque[float], now: float) -> float:
    """Return the seconds until the next attempt is allowed."""
    excess = len(failures) - FREE_FAILURES
    return 0.0 if excess < 0 else max(0.0, failures[-1] + min(FIRST_WAIT * 2**excess, LONGEST_WAIT) - now)
