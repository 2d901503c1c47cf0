"""The brake on guessing: after some failures an account or an address has to wait, longer each time."""

import math
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass

from cisisk.model.errors import TooManyAttempts

FREE_FAILURES = 5
"""As many slips of a person cost nothing."""
FIRST_WAIT, LONGEST_WAIT = 2.0, 900.0
"""Seconds; each further failure doubles the wait. A PIN of four digits then takes more than 100 days to guess."""
FORGIVEN_AFTER = 3600.0
"""Seconds without a failure after which the past is forgotten."""
MAX_TRACKED = 20_000
"""Accounts and addresses that are remembered at the most, the latest ones."""


@dataclass(slots=True)
class _Record:
    failures: int
    last: float

    def wait(self, now: float) -> float:
        """Seconds until the next attempt is looked at."""
        over = self.failures - FREE_FAILURES
        if over < 0:
            return 0.0
        pause = LONGEST_WAIT if over > 10 else min(FIRST_WAIT * 2**over, LONGEST_WAIT)
        return max(0.0, self.last + pause - now)


class Brake:
    """Counts failures per key: an account, an address, a phone."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._records: OrderedDict[Hashable, _Record] = OrderedDict()

    def require_free(self, *keys: Hashable) -> None:
        """Let an attempt go on.

        Raises:
            TooManyAttempts: one of ``keys`` has to wait.
        """
        now = self._clock()
        wait = max((record.wait(now) for key in keys if (record := self._records.get(key))), default=0.0)
        if wait > 0:
            raise TooManyAttempts(math.ceil(wait))

    def failed(self, *keys: Hashable) -> None:
        """An attempt failed."""
        now = self._clock()
        for key in keys:
            record = self._records.pop(key, None)
            if record is None or now - record.last > FORGIVEN_AFTER:
                record = _Record(0, now)
            record.failures += 1
            record.last = now
            self._records[key] = record
        while len(self._records) > MAX_TRACKED:
            self._records.popitem(last=False)

    def take_back(self, *keys: Hashable) -> None:
        """One counted failure was none after all."""
        for key in keys:
            if record := self._records.get(key):
                record.failures -= 1

    def forget(self, *keys: Hashable) -> None:
        """These keys start anew."""
        for key in keys:
            self._records.pop(key, None)
