"""The bounded queue between the servers that end fetches and the code that stores them."""

import logging
import time
from collections import deque
from collections.abc import Sequence

from cisisk.provisioning.fetch import Fetch

MAX_WAITING = 100_000
"""Fetches that wait to be stored: about 50 MB. A longer burst loses its newest fetches, which bounds the memory."""
REPORT_SECONDS = 60.0
"""Between two log lines about dropped fetches: a burst drops thousands a second."""

log = logging.getLogger(__name__)


class FetchIntake:
    """Queues fetches until they are stored. When it is full it drops the newest, counts them and logs the count.

    Threads may call :meth:`put` at the same time; the limit then holds to within one fetch for each of them.
    """

    def __init__(self, name: str, limit: int = MAX_WAITING) -> None:
        """Make an empty queue.

        Args:
            name: of the part that stores the fetches, for the log.
            limit: fetches that may wait.
        """
        self._name = name
        self._limit = limit
        self._waiting: deque[Fetch] = deque()
        self._dropped = 0
        self._reported_at = -REPORT_SECONDS

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, fetches: Sequence[Fetch]) -> None:
        """Queue as many of ``fetches`` as there is room for, in their order. Returns at once."""
        room = max(self._limit - len(self._waiting), 0)
        if room < len(fetches):
            self._dropped += len(fetches) - room
            fetches = fetches[:room]
        self._waiting.extend(fetches)
        if self._dropped:
            self._report()

    def take(self, at_most: int) -> list[Fetch]:
        """Remove and return the oldest fetches."""
        if self._dropped:
            self._report()
        return [self._waiting.popleft() for _ in range(min(at_most, len(self._waiting)))]

    def _report(self) -> None:
        now = time.monotonic()
        if now >= self._reported_at + REPORT_SECONDS:
            self._reported_at = now
            dropped, self._dropped = self._dropped, 0
            log.warning("fetches dropped, queue full: queue=%s dropped=%d waiting=%d", self._name, dropped, len(self))
