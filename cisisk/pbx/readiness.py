"""Whether Asterisk has started, and what its "unknown command" means.

Source: docs/phone-protocol/asterisk.md#starting-and-stopping

While Asterisk starts or stops, the manager interface answers already, or still, without the modules. Then an action is
unknown that is known a second later. The event FullyBooted ends the start. An account without ``read=system`` does not
see it.
"""

import asyncio
import time
from contextlib import suppress
from dataclasses import dataclass, field

UNKNOWN_PAUSE = 0.2
"""Seconds until an unknown action is asked again."""
UNKNOWN_SECONDS = 1.5
"""For this time an action that a started Asterisk does not know is asked again: it may be stopping, and closes the
connection next. Less than a switch waits for the registration of its phone.
"""
STOPPING_SECONDS = 60.0
"""The same for an action that it has known before on this connection. After that, its module was unloaded for good."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BootLimits:
    """Limits of the wait for the end of a start.

    Attributes:
        event_seconds: for FullyBooted, which a started Asterisk sends right after the login.
        unseen_seconds: without that event, Asterisk counts as starting for this time after the login.
    """

    event_seconds: float = 2.0
    unseen_seconds: float = 60.0


@dataclass(slots=True)
class Readiness:
    """What one connection has shown so far.

    Attributes:
        sees_event: whether the account has seen FullyBooted before. Then nothing is asked before it comes.
    """

    limits: BootLimits
    sees_event: bool = False
    logged_in_at: float = field(default_factory=time.monotonic)
    _booted: asyncio.Event = field(default_factory=asyncio.Event)
    _known: set[str] = field(default_factory=set)
    _unknown_since: dict[str, float] = field(default_factory=dict)

    @property
    def is_booted(self) -> bool:
        """Return whether Asterisk has reported that it has started."""
        return self._booted.is_set()

    @property
    def is_starting(self) -> bool:
        """Return whether Asterisk may still be starting."""
        return not self.is_booted and time.monotonic() - self.logged_in_at < self.limits.unseen_seconds

    def booted(self) -> None:
        """Note that Asterisk has reported that it has started."""
        self._booted.set()

    async def wait(self) -> None:
        """Return when Asterisk has started, or after its report should have come."""
        if self.sees_event:
            await self._booted.wait()
            return
        left = self.logged_in_at + self.limits.event_seconds - time.monotonic()
        if self.is_booted or left <= 0:
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(left):
                await self._booted.wait()

    def answered(self, action: str) -> None:
        """Note that Asterisk knows an action."""
        self._known.add(action)
        self._unknown_since.pop(action, None)

    def is_missing(self, action: str) -> bool:
        """Return whether an action that is unknown now will stay so."""
        now = time.monotonic()
        unknown_for = now - self._unknown_since.setdefault(action, now)
        return not self.is_starting and unknown_for >= (STOPPING_SECONDS if action in self._known else UNKNOWN_SECONDS)
