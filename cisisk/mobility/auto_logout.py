"""Automatic logouts: by the clock, and repeated where a logout was not possible at once."""

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

MAX_SLEEP = timedelta(minutes=1)
"""The longest time between two looks. A clock that was set, a suspended machine or a changed site is noticed within a
minute.
"""
RETRY_AFTER = timedelta(seconds=30)
"""Until the next attempt, if the phone is in a call or the disk refused the logout."""
_MAX_CONCURRENT_LOGOUTS = 16
"""Logouts at the same time. At night a whole building restarts, and each logout holds a phone for some seconds."""
_BY_THE_CLOCK = {EndReason.TIMEOUT, EndReason.TIME_OF_DAY, EndReason.IDLE}
"""No user waits for these logouts: they wait for the end of a call."""


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class LogoutRules:
    """The rules of automatic logouts. A login may also have its own end.

    Attributes:
        logout_at: the times of day, in ``zone``, at which all users are logged out whose site has no times.
        idle: the time without a call and without a page; None for no limit.
    """

    logout_at: tuple[time, ...] = ()
    idle: timedelta | None = None
    zone: tzinfo = UTC


class PhoneDirectory(Protocol):
    """Finds the phone of a deployment: the switcher."""

    async def target_of(self, deployment: Deployment) -> Target:
        """Return the phone of a deployment."""


class CallObserver(Protocol):
    """Knows which phones are in a call: Asterisk's calls."""

    async def call_state(self, target: Target) -> CallState:
        """Return whether the phone is in a call."""


class AutoLogout:
    """Logs users out in time.

    Args:
        clock: returns the time, with its zone.
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
        """Log users out when their time comes, until cancelled. Their time may have come while Cisisk did not run."""
        while True:
            try:
                pause = await self.look()
            except StorageFailed as error:
                log.warning("logins on phones cannot be read: %s", error)
                pause = RETRY_AFTER
            await asyncio.sleep(pause.total_seconds())

    async def look(self) -> timedelta:
        """Log out the users whose time has come. Returns how long until the next look.

        Raises:
            StorageFailed: the store cannot be read.
        """
        await self._logins.forget_what_never_begins()
        now = self._clock()
        due, later = [], [now + MAX_SLEEP]
        for each in await self._db.read(phone_logins.all_open):
            ends = self._not_too_early(each.login, self._ends(each))
            moment, reason = min(ends, default=(now + MAX_SLEEP, EndReason.TIMEOUT))
            if moment <= now:
                due.append((each.login, reason))
            else:
                later.append(moment)
        self._not_before = {key: moment for key, moment in self._not_before.items() if moment > now}
        at_once = asyncio.Semaphore(_MAX_CONCURRENT_LOGOUTS)

        async def log_out(login: PhoneLogin, reason: EndReason) -> None:
            async with at_once:
                await self._log_out(login, reason)

        await asyncio.gather(*(log_out(login, reason) for login, reason in due))
        return min(later) - now

    def _not_too_early(
        self, login: PhoneLogin, ends: Iterator[tuple[datetime, EndReason]]
    ) -> Iterator[tuple[datetime, EndReason]]:
        """Return the same, with the failed ones later. They delay no other."""
        for moment, reason in ends:
            yield max(moment, self._not_before.get((login.uuid, reason), moment)), reason

    def _ends(self, each: OpenLogin) -> Iterator[tuple[datetime, EndReason]]:
        """Yield what ends a login, and when; for idleness, the earliest time."""
        login, begun = each.login, datetime.fromisoformat(each.login.logged_in_at or each.login.requested_at)
        if login.reason is not None:
            yield begun, login.reason
        if not each.user_is_active:
            yield begun, EndReason.USER_REMOVED
        if login.until is not None:
            yield datetime.fromisoformat(login.until), EndReason.TIMEOUT
        times = self._rules.logout_at if each.logout_at is None else tuple(map(time_of_day, each.logout_at))
        # A time that had passed when it was set would log users out at once.
        since = begun if each.times_since is None else max(begun, datetime.fromisoformat(each.times_since))
        moment = next_time_of_day(since, times, self._rules.zone)
        if moment is not None:
            yield moment, EndReason.TIME_OF_DAY
        if self._rules.idle is not None:
            # Nothing was observed while Cisisk did not run.
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
            self._not_before[login.uuid, reason] = now + RETRY_AFTER

    async def _call_ends(self, login: PhoneLogin, reason: EndReason) -> timedelta | None:
        """Return how long to wait because of a call; None if nothing prevents the logout."""
        state = await self._call_state(login)
        if state.in_call:
            return RETRY_AFTER
        if reason is not EndReason.IDLE or self._rules.idle is None:
            return None
        if state.in_call is None:
            # It is not known whether this phone is used.
            return MAX_SLEEP
        quiet = timedelta(seconds=state.ended) if state.ended is not None else self._rules.idle
        return self._rules.idle - quiet if quiet < self._rules.idle else None

    async def _call_state(self, login: PhoneLogin) -> CallState:
        try:
            deployment = await self._db.read(deployments.get, login.deployment or "")
        except NotFound:
            return CallState(in_call=None)
        return await self._calls.call_state(await self._directory.target_of(deployment))
