"""The brake on guessing: after some failures an account or an address has to wait, longer each time."""

import math
import time
from collections import OrderedDict, defaultdict, deque
from collections.abc import Callable, Hashable
from ipaddress import AddressValueError, IPv6Address, IPv6Network
from typing import TypeAlias

from cisisk.model.errors import TooManyAttempts

FREE_FAILURES = 5
"""As many slips of a person cost nothing."""
FIRST_WAIT, LONGEST_WAIT = 2.0, 900.0
"""Seconds; each further failure doubles the wait. A PIN of four digits then takes more than 100 days to guess."""
FORGIVEN_AFTER = 3600.0
"""Seconds without a failure after which the past is forgotten."""
MAX_TRACKED = 20_000
"""Keys of one kind that are remembered at the most, the latest ones."""
_COUNTED = FREE_FAILURES + 10
"""Failures of a key that are told apart: the last but one brings the longest wait already, so that it stays when one
is taken back."""
_IPV6_SITE = 64
"""Bits of an address that whoever has one cannot change at will (RFC 6177 section 2)."""

Key: TypeAlias = tuple[Hashable, ...]
"""What failures are counted of: its kind first, such as ``("address", "192.0.2.1")``. Each kind has a memory of its
own, so that who makes up thousands of one cannot have another forgotten."""


def address_key(ip: str | None) -> str:
    """What of an address stands for a stranger behind it: of IPv6 the network, where anybody can use any number."""
    try:
        address = IPv6Address(ip or "")
    except AddressValueError:
        return ip or ""
    if address.ipv4_mapped:
        return str(address.ipv4_mapped)
    return str(IPv6Network((int(address), _IPV6_SITE), strict=False))


class Throttle:
    """Counts failures per key: an account, an address, a phone."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        # The times of the failures, because one that is taken back must not count as the latest any more.
        self._failures: dict[Hashable, OrderedDict[Key, deque[float]]] = defaultdict(OrderedDict)

    def require_free(self, *keys: Key) -> None:
        """Let an attempt go on.

        Raises:
            TooManyAttempts: one of ``keys`` has to wait.
        """
        now = self._clock()
        wait = max((_wait(failures, now) for key in keys if (failures := self._failures[key[0]].get(key))), default=0.0)
        if wait > 0:
            raise TooManyAttempts(math.ceil(wait))

    def failed(self, *keys: Key) -> None:
        """An attempt failed."""
        now = self._clock()
        for key in keys:
            kind = self._failures[key[0]]
            failures = kind.pop(key, None)
            if not failures or now - failures[-1] > FORGIVEN_AFTER:
                failures = deque(maxlen=_COUNTED)
            failures.append(now)
            kind[key] = failures
            if len(kind) > MAX_TRACKED:
                kind.popitem(last=False)

    def take_back(self, *keys: Key) -> None:
        """One counted failure was none after all."""
        for key in keys:
            if failures := self._failures[key[0]].get(key):
                failures.pop()

    def forget(self, *keys: Key) -> None:
        """These keys start anew."""
        for key in keys:
            self._failures[key[0]].pop(key, None)


def _wait(failures: deque[float], now: float) -> float:
    """Seconds until the next attempt is looked at."""
    over = len(failures) - FREE_FAILURES
    return 0.0 if over < 0 else max(0.0, failures[-1] + min(FIRST_WAIT * 2**over, LONGEST_WAIT) - now)
