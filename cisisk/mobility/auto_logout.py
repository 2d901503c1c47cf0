"""Logging people out of phones by the clock, and finishing what could not be finished at once."""

import asyncio
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta, tzinfo
from typing import Protocol

from cisisk.mobility.phone_logins import PhoneLogins
from cisisk.model.deployment import Deployment
from cisisk.model.errors import CisiskError, NotFound, StorageFailed
from cisisk.model.logout_times import next_time_of_day, time_of_day
from cisisk.model.phone_login import EndReason, PhoneLogin
from cisisk.model.target import Target
from cisisk.model.user import SYSTEM
from cisisk.pbx.calls import CallState
from cisisk.store import deployments, phone_logins
from cisisk.store.database import Database
from cisisk.store.phone_logins import OpenLogin

log = logging.getLogger(__name__)

LONGEST_SLEEP = timedelta(minutes=1)
"""A clock that was set, a machine that slept, and a site whose times were changed are noticed within a minute."""
AGAIN = timedelta(seconds=30)
"""To a phone that is in a call when its user is to be logged out, or whose logout was refused by the disk."""
_AT_ONCE = 16
"""Logouts at the same time: at night a whole building restarts, and each holds on to a phone for some seconds."""
_BY_THE_CLOCK = {EndReason.TIMEOUT, EndReason.TIME_OF_DAY, EndReason.IDLE}
"""Nobody waits for these: they wait for the end of a call."""


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class LogoutRules:
    """Who is logged out when, besides those whose login itself says until when it lasts.

    Attributes:
        logout_at: times of the day in ``zone`` at which all are logged out whose site has none of its own.
        idle: after so long without a call and without a page; None for never.
    """

    logout_at: tuple[time, ...] = ()
    idle: timedelta | None = None
    zone: tzinfo = UTC


class PhoneDirectory(Protocol):
    """Knows the phones of deployments: the switcher."""

    async def target_of(self, deployment: Deployment) -> Target:
        """Return the phone of a deployment."""


class CallObserver(Protocol):
    """Knows which phones are in a call: Asterisk's calls."""

    async def call_state(self, target: Target) -> CallState:
        """Return whether the phone is in a call."""


class AutoLogout:
    """Logs people out in time.

    Args:
        clock: the time, aware.
    """

    def __init__(
        self,
        db: Database,
        logins: PhoneLogins,
        rules: LogoutRules,
        directory: PhoneDirectory,
        calls: CallObserver,
        clock: Callable[[], datetime] = _now,
    ) -> None:
        self._db = db
        self._logins = logins
        self._rules = rules
        self._directory = directory
        self._calls = calls
        self._clock = clock
        self._observed_since = clock()
        self._not_before: dict[tuple[str, EndReason], datetime] = {}

    async def run(self) -> None:
        """Log out whose time has come, until cancelled; first those whose time came while Cisisk did not run."""
        while True:
            try:
                pause = await self.look()
            except StorageFailed as error:
                log.warning("who is to be logged out of phones cannot be read: %s", error)
                pause = AGAIN
            await asyncio.sleep(pause.total_seconds())

    async def look(self) -> timedelta:
        """Log out whose time has come; how long until it is worth looking again.

        Raises:
            StorageFailed: the store cannot be read.
        """
        await self._logins.forget_what_never_begins()
        now = self._clock()
        due, later = [], [now + LONGEST_SLEEP]
        for each in await self._db.read(phone_logins.all_open):
            ends = self._not_too_early(each.login, self._ends(each))
            moment, reason = min(ends, default=(now + LONGEST_SLEEP, EndReason.TIMEOUT))
            if moment <= now:
                due.append((each.login, reason))
            else:
                later.append(moment)
        self._not_before = {key: moment for key, moment in self._not_before.items() if moment > now}
        at_once = asyncio.Semaphore(_AT_ONCE)

        async def log_out(login: PhoneLogin, reason: EndReason) -> None:
            async with at_once:
                await self._log_out(login, reason)

        await asyncio.gather(*(log_out(login, reason) for login, reason in due))
        return min(later) - now

    def _not_too_early(
        self, login: PhoneLogin, ends: Iterator[tuple[datetime, EndReason]]
    ) -> Iterator[tuple[datetime, EndReason]]:
        """The same, with those put off that were tried in vain; they put off no other."""
        for moment, reason in ends:
            yield max(moment, self._not_before.get((login.uuid, reason), moment)), reason

    def _ends(self, each: OpenLogin) -> Iterator[tuple[datetime, EndReason]]:
        """What ends a login, and when; for idleness, when at the earliest."""
        login, begun = each.login, datetime.fromisoformat(each.login.logged_in_at or each.login.requested_at)
        if login.reason is not None:
            yield begun, login.reason
        if not each.user_is_active:
            yield begun, EndReason.USER_REMOVED
        if login.until is not None:
            yield datetime.fromisoformat(login.until), EndReason.TIMEOUT
        times = self._rules.logout_at if each.logout_at is None else tuple(map(time_of_day, each.logout_at))
        # A time that was over when it was set would log people out at once.
        since = begun if each.times_since is None else max(begun, datetime.fromisoformat(each.times_since))
        moment = next_time_of_day(since, times, self._rules.zone)
        if moment is not None:
            yield moment, EndReason.TIME_OF_DAY
        if self._rules.idle is not None:
            # What happened while Cisisk did not run nobody has seen.
            used = [begun, self._observed_since]
            if each.page_used_at is not None:
                used.append(datetime.fromisoformat(each.page_used_at))
            yield max(used) + self._rules.idle, EndReason.IDLE

    async def _log_out(self, login: PhoneLogin, reason: EndReason) -> None:
        now, mac = self._clock(), login.mac
        try:
            wait = await self._call_ends(login, reason) if reason in _BY_THE_CLOCK else None
            if wait is not None:
                self._not_before[login.uuid, reason] = now + wait
                return
            await self._logins.log_out(SYSTEM, mac, reason, login=login)
        except CisiskError as error:
            log.warning("logout of %s from %s (%s): %s", login.username, mac, reason, error)
            self._not_before[login.uuid, reason] = now + AGAIN

    async def _call_ends(self, login: PhoneLogin, reason: EndReason) -> timedelta | None:
        """How long to wait because of a call; None when nothing is known that speaks against a logout."""
        state = await self._call_state(login)
        if state.in_call:
            return AGAIN
        if reason is not EndReason.IDLE or self._rules.idle is None:
            return None
        if state.in_call is None:
            # Nobody can tell whether this phone is used.
            return LONGEST_SLEEP
        quiet = timedelta(seconds=state.ended) if state.ended is not None else self._rules.idle
        return self._rules.idle - quiet if quiet < self._rules.idle else None

    async def _call_state(self, login: PhoneLogin) -> CallState:
        try:
            deployment = await self._db.read(deployments.get, login.deployment or "")
        except NotFound:
            return CallState(in_call=None)
        return await self._calls.call_state(await self._directory.target_of(deployment))
