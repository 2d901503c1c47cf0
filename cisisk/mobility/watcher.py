"""The watcher: follows every deployment to its end, by the store and the call manager."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TypeVar

from cisisk.events.feed import Feed, FellBehind, Follower
from cisisk.fetches.tracker import FetchTracker
from cisisk.mobility import lookup, next_action
from cisisk.mobility.next_action import (
    Begin,
    BeginWhenIdle,
    End,
    NextAction,
    Observation,
    RollBack,
    Settle,
    TimeOut,
    Trigger,
    Wait,
)
from cisisk.mobility.switch import Switcher
from cisisk.model.clock import Timestamp
from cisisk.model.codes.asterisk import RegistrationDoubt
from cisisk.model.codes.deployment import StepNotice
from cisisk.model.deployment import Awaited, Deployment
from cisisk.model.deployment_states import KEEP
from cisisk.model.errors import CisiskError, Conflict, NotFound, StorageFailed
from cisisk.model.evidence import Watched
from cisisk.model.mac import Mac
from cisisk.model.sep_config.diff import RestartType
from cisisk.model.start_time import IDLE
from cisisk.model.target import Target
from cisisk.model.user import SYSTEM
from cisisk.pbx.calls import Calls
from cisisk.pbx.connection import AsteriskAway, AsteriskRefused
from cisisk.pbx.registrations import Registered, Registrations
from cisisk.store import deployments, progress
from cisisk.store.database import Database
from cisisk.store.transaction import Read

log = logging.getLogger(__name__)

LOOK_SECONDS = 5.0
"""Between two looks at the registrations that are awaited. Events are faster, but may be lost or forbidden."""
_HINT_SECONDS = 0.2
"""From an event to the look, so that one look covers phones that register together."""
IDLE_SECONDS = 5.0
"""Between two looks at a call whose end a deployment waits for."""
AFTER_FAILURE = timedelta(seconds=30)
"""Until the next attempt, after the disk or the database has failed."""
_MAX_CONCURRENT_ACTIONS = 16
"""Deployments that the watcher acts on at the same time, beside those of clients."""
_MAX_HINTS = 10_000
"""Names that are kept for one look. A lost one is seen some seconds later."""
_MAX_SLEEP_SECONDS = 60.0
"""Seconds. A clock that was set, or a suspended machine, is noticed within a minute."""

_T = TypeVar("_T")


@dataclass(slots=True)
class _Watch:
    """A deployment that has not ended.

    Attributes:
        phone: what to look for among the registrations.
        looked_at, answered_since, failed_at: as in the observation.
        doubt: why the last listing shows no registration.
        due: when to decide again; None if only news can change anything.
        timer: wakes the watcher at that time, or earlier.
        busy: an action is in progress.
    """

    deployment: Deployment
    phone: Watched
    due: datetime | None = None
    timer: asyncio.TimerHandle | None = None
    looked_at: datetime | None = None
    answered_since: datetime | None = None
    failed_at: datetime | None = None
    doubt: RegistrationDoubt | None = None
    busy: bool = False

    @property
    def is_listed(self) -> bool:
        """Whether the phone's registrations are listed: from the restart on, so that earlier ones are known as such."""
        return self.deployment.tried_at is not None and self.deployment.timed_out_on is None

    def heard(self, asked_at: datetime, found: Registered | RegistrationDoubt | None) -> None:
        """Note the result of a listing; None if it failed."""
        if found is None:
            self.looked_at, self.answered_since, self.failed_at = None, None, asked_at
            return
        self.looked_at, self.failed_at = asked_at, None
        self.answered_since = self.answered_since or asked_at
        self.doubt = found if isinstance(found, RegistrationDoubt) else None


class Watcher:
    """Watches the deployments that have not ended, including those of earlier processes."""

    def __init__(
        self,
        db: Database,
        feed: Feed,
        contacts: FetchTracker,
        switcher: Switcher,
        registrations: Registrations,
        calls: Calls,
        after_failure: timedelta = AFTER_FAILURE,
    ) -> None:
        self._after_failure = after_failure
        self._db = db
        self._feed = feed
        self._contacts = contacts
        self._switcher = switcher
        self._registrations = registrations
        self._watches: dict[str, _Watch] = {}
        self._working = asyncio.Semaphore(_MAX_CONCURRENT_ACTIONS)
        self._tasks: set[asyncio.Task[None]] = set()
        self._hinted = asyncio.Event()
        self._hints: set[str] = set()
        self._due: set[str] = set()
        self._judging = asyncio.Event()
        registrations.subscribe(self._hint)
        calls.subscribe(self._hint)

    async def run(self) -> None:
        """Watch, until cancelled. The next process continues with the deployments that have not ended."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._follow(), name="watch of deployments")
                group.create_task(self._judge(), name="deadlines of deployments")
                group.create_task(self._look_for_registrations(), name="watch of registrations")
        finally:
            for watch in self._watches.values():
                self._decide_at(watch, None)
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    def _hint(self, where: str) -> None:
        if len(self._hints) < _MAX_HINTS:
            self._hints.add(where)
        self._hinted.set()

    # What is known

    async def _follow(self) -> None:
        while True:
            with self._feed.subscribe() as follower, suppress(FellBehind):
                # The store has what happened while there was no follower.
                await self._take(None)
                await self._take_news(follower)

    async def _take_news(self, follower: Follower) -> None:
        while True:
            await self._take({step.deployment for step in await follower.news()})

    async def _take(self, uuids: set[str] | None) -> None:
        """Read these deployments from the store again, or all that have not ended."""
        watched = self._watches.keys() if uuids is None else self._watches.keys() & uuids
        known = {uuid: self._watches[uuid].deployment for uuid in watched}
        read = await self._patiently(lambda: self._db.read(_not_ended, uuids, known))
        found = {deployment.uuid: deployment for deployment, _ in read}
        for uuid in known.keys() - found.keys():
            self._decide_at(self._watches.pop(uuid), None)
        for deployment, target in read:
            if target is not None:
                if (earlier := self._watches.get(deployment.uuid)) is not None:
                    self._decide_at(earlier, None)
                self._watches[deployment.uuid] = self._watch_of(deployment, target)
        for uuid, deployment in found.items():
            watch = self._watches[uuid]
            has_fetched = deployment.fetched_at is not None and watch.deployment.fetched_at is None
            watch.deployment = deployment
            self._decide_at(watch, _now())
            watch.phone = replace(
                watch.phone,
                address=deployment.fetched_from or watch.phone.address,
                # A registration before the fetch began does not prove it.
                since=_monotonic(deployment.fetch_started_at if deployment.fetched_at else deployment.written_at),
                fetched=deployment.fetched_at is not None,
            )
            if has_fetched:
                # It may have registered before its fetch was stored.
                self._hinted.set()

    async def _patiently(self, read: Callable[[], Awaitable[_T]]) -> _T:
        """Return what ``read`` returns, once the database answers."""
        while True:
            try:
                return await read()
            except StorageFailed as error:
                log.warning("deployments cannot be read: %s", error)
                await asyncio.sleep(self._after_failure.total_seconds())

    def _watch_of(self, deployment: Deployment, target: Target) -> _Watch:
        phone = Watched(
            mac=deployment.mac,
            software=target.software,
            address=target.address,
            line=deployment.line,
            before=deployment.before,
            since=_monotonic(deployment.written_at),
            fetched=False,
        )
        return _Watch(deployment, phone)

    # What to do

    def _decide_at(self, watch: _Watch, due: datetime | None) -> None:
        """Have the watcher decide about a deployment again at ``due``; at news only if that is None."""
        if watch.timer is not None:
            watch.timer.cancel()
        watch.due, watch.timer = due, None
        if due is None:
            return
        seconds, uuid = (due - _now()).total_seconds(), watch.deployment.uuid
        if seconds <= 0:
            self._wake(uuid)
        else:
            # A timer for each: with one for all, every piece of news would cost a look at every deployment.
            loop = asyncio.get_running_loop()
            watch.timer = loop.call_later(min(seconds, _MAX_SLEEP_SECONDS), self._wake, uuid)

    def _wake(self, uuid: str) -> None:
        self._due.add(uuid)
        self._judging.set()

    async def _judge(self) -> None:
        while True:
            await self._judging.wait()
            self._judging.clear()
            due, self._due = self._due, set()
            moment = _now()
            for watch in filter(None, map(self._watches.get, due)):
                # An action that is in progress sets the time when it ends.
                if watch.due is not None and not watch.busy:
                    self._judge_one(watch, moment)

    def _judge_one(self, watch: _Watch, moment: datetime) -> None:
        if watch.due is not None and watch.due > moment:
            # The sleep was cut short, or the clock was set back.
            self._decide_at(watch, watch.due)
            return
        decided = self._next_action(watch, moment)
        if isinstance(decided, Wait):
            self._decide_at(watch, decided.until)
            if decided.look:
                self._hinted.set()
            return
        # The feed reports the result of the action. Until then there is nothing more to do.
        watch.busy, watch.due = True, None
        task = asyncio.create_task(self._act(watch, decided), name=f"deployment of {watch.deployment.mac}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _next_action(self, watch: _Watch, moment: datetime) -> NextAction:
        software = watch.phone.software
        observation = Observation(
            can_be=self._registrations.observes(software),
            looked_at=watch.looked_at,
            answered_since=watch.answered_since,
            failed_at=watch.failed_at,
            doubt=watch.doubt,
            has_untried=self._switcher.has_untried(watch.deployment, software),
        )
        return next_action.decide(watch.deployment, moment, observation)

    async def _act(self, watch: _Watch, decided: NextAction) -> None:
        deployment = watch.deployment
        try:
            async with self._working:
                if watch.deployment is not deployment or self._next_action(watch, _now()) != decided:
                    # It has come further while it waited.
                    watch.due = _now()
                elif isinstance(decided, BeginWhenIdle):
                    watch.due = await self._begin_if_idle(deployment) or watch.due
                elif isinstance(decided, Trigger) and decided.goes_on:
                    watch.due = await self._go_on(deployment, decided.action) or watch.due
                else:
                    await self._do(deployment, decided)
        except CisiskError as error:
            if isinstance(decided, RollBack):
                # Others may correct the record of it, and would not log why it began.
                _warn(deployment, decided.on, f"rollback cut off by {error.notice}")
            else:
                log.warning("switch of %s: %s", deployment.mac, error.notice)
            watch.due = _now() + self._after_failure
        finally:
            watch.busy = False
            # There may have been news meanwhile.
            self._decide_at(watch, watch.due)

    async def _begin_if_idle(self, deployment: Deployment) -> datetime | None:
        """Begin, or return when to look again."""
        if not await self._switcher.is_idle(deployment):
            return _now() + timedelta(seconds=IDLE_SECONDS)
        await self._switcher.begin(deployment)
        return None

    async def _go_on(self, deployment: Deployment, action: RestartType | None) -> datetime | None:
        """Try further restart methods, or return when to look again: a phone restarts only after its call."""
        if await self._switcher.is_in_call(deployment):
            return _now() + timedelta(seconds=IDLE_SECONDS)
        await self._switcher.trigger(deployment, action, goes_on=True)
        return None

    async def _do(self, deployment: Deployment, decided: NextAction) -> None:
        match decided:
            case Begin():
                await self._switcher.begin(deployment)
            case Settle():
                await self._switcher.settle(deployment.mac)
            case Trigger(action=action):
                await self._switcher.trigger(deployment, action)
            case TimeOut(on, reason):
                final = not next_action.rolls_back(deployment)
                # A rollback is logged when it is done.
                if await self._db.write(progress.timed_out, deployment, on, reason, final=final) and final:
                    _warn(deployment, on, f"config kept, {reason}")
            case RollBack(on):
                await self._roll_back(deployment, on)
            case End(transition, reason):
                await self._db.write(progress.ended, deployment, transition, reason)

    async def _roll_back(self, deployment: Deployment, on: Awaited) -> None:
        try:
            undoing = await self._switcher.roll_back(SYSTEM, deployment.uuid, only_if_timed_out=True)
        except (Conflict, NotFound) as error:
            if (await self._db.read(deployments.get, deployment.uuid)).timed_out_on is not None:
                notice = StepNotice.NOT_ROLLED_BACK.notice(reason=error.notice)
                if await self._db.write(progress.ended, deployment, KEEP, notice):
                    _warn(deployment, on, str(notice))
        else:
            _warn(deployment, on, f"rolled back, restart {undoing.restart_outcome}")

    # What the call manager reports

    async def _look_for_registrations(self) -> None:
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_SECONDS):
                    await self._hinted.wait()
            await asyncio.sleep(_HINT_SECONDS)
            self._hinted.clear()
            self._ask_again_who_is_idle()
            watches = [watch for watch in self._watches.values() if watch.is_listed]
            if watches:
                await self._look(watches)

    def _ask_again_who_is_idle(self) -> None:
        """Look again at deployments that wait for the end of a call, if one has ended."""
        hints, self._hints = self._hints, set()
        for watch in self._watches.values():
            before = watch.deployment.before
            peers = {each.endpoint for each in before.listed} if before is not None else set()
            names = {watch.phone.mac.device_name, watch.phone.address, *peers}
            if watch.deployment.deferred_until == IDLE and not hints.isdisjoint(names - {None}):
                self._decide_at(watch, _now())

    async def _look(self, watches: list[_Watch]) -> None:
        asked_at = _now()
        found: dict[Mac, Registered | RegistrationDoubt] = {}
        # Asterisk's errors show in its health. The next look may succeed.
        with suppress(AsteriskAway, AsteriskRefused):
            found = await self._registrations.look([watch.phone for watch in watches])
        # A fetch before the registration is then stored before it.
        await self._contacts.store_pending()
        for watch in watches:
            registered = found.get(watch.phone.mac)
            watch.heard(asked_at, registered)
            if isinstance(registered, Registered):
                with suppress(StorageFailed):
                    await self._db.write(progress.registered, watch.deployment, registered.evidence)
            elif watch.deployment.fetched_at is not None and not watch.busy:
                self._decide_at(watch, _now())


def _not_ended(
    tx: Read, uuids: Collection[str] | None, known: Mapping[str, Deployment]
) -> list[tuple[Deployment, Target | None]]:
    """Return these deployments, or all, that have not ended; with the current phone of each that is not ``known``."""
    return [
        (deployment, lookup.phone_of(tx, deployment) if _is_new(deployment, known.get(deployment.uuid)) else None)
        for deployment in deployments.still_open(tx, uuids)
    ]


def _is_new(deployment: Deployment, known: Deployment | None) -> bool:
    # Each restart records anew how the phone is registered before it.
    return known is None or known.tries != deployment.tries or known.line != deployment.line


def _warn(deployment: Deployment, on: Awaited, reaction: str) -> None:
    """Log that a switch has timed out, and the reaction."""
    log.warning("switch of %s to %r has timed out (%s): %s", deployment.mac, deployment.profile_name, on, reaction)


def _now() -> datetime:
    return datetime.now(UTC)


def _monotonic(moment: Timestamp | None) -> float:
    """Return that moment by :func:`time.monotonic`; now if it is not known, or lies ahead."""
    ago = (_now() - datetime.fromisoformat(moment)).total_seconds() if moment else 0.0
    return time.monotonic() - max(0.0, ago)
