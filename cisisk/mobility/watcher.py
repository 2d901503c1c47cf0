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
    Observability,
    RollBack,
    Settle,
    TimeOut,
    Trigger,
    Wait,
)
from cisisk.mobility.switch import Switcher
from cisisk.model.clock import Timestamp, now
from cisisk.model.codes.deployment import StepNotice
from cisisk.model.deployment import Awaited, Deployment
from cisisk.model.deployment_states import KEEP
from cisisk.model.errors import CisiskError, Conflict, NotFound, StorageFailed
from cisisk.model.phone import Software
from cisisk.model.restart import RestartOutcome
from cisisk.model.start_time import IDLE
from cisisk.model.target import Registration, Target
from cisisk.model.user import SYSTEM
from cisisk.pbx.calls import Calls
from cisisk.pbx.connection import AsteriskAway, AsteriskRefused
from cisisk.pbx.registrations import Registered, Registrations, Watched
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
        provable: whether a registration can be distinguished from one before the restart. Without a Call-ID only its
            time decides, which is not known for registrations before this process.
        looked: whether there was a look at the registrations since the phone fetched its config.
        due: when to decide again; None if only news can change anything.
        timer: wakes the watcher at that time, or earlier.
        busy: an action is in progress.
    """

    deployment: Deployment
    phone: Watched
    provable: bool
    due: datetime | None = None
    timer: asyncio.TimerHandle | None = None
    looked: bool = False
    busy: bool = False

    @property
    def may_register(self) -> bool:
        """Whether a registration would prove anything now."""
        deployment = self.deployment
        return self.provable and (
            deployment.fetched_at is not None
            or (deployment.restart_outcome is RestartOutcome.ACCEPTED and self._is_proved_by_line)
        )

    def is_proved_by(self, registered: Registered) -> bool:
        """Return whether the phone must have fetched its config to register like this."""
        if self.deployment.fetched_at is not None:
            return True
        return self._is_proved_by_line and registered.peer == self.phone.line

    @property
    def _is_proved_by_line(self) -> bool:
        """Whether only the new config has this line. The record of the fetch may be lost."""
        before = self.phone.before
        return self.phone.line is not None and before is not None and before.peer != self.phone.line


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
        self._began_at = now()
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
            if deployment.fetched_from is not None:
                watch.phone = replace(watch.phone, address=deployment.fetched_from)
            if has_fetched:
                # A registration before the fetch began does not prove it.
                watch.phone = replace(watch.phone, since=_monotonic(deployment.fetch_started_at))
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
        peer = deployment.before_peer
        before = None if peer is None else Registration(user="", peer=peer, call_id=deployment.before_call_id)
        phone = Watched(
            mac=deployment.mac,
            address=target.address,
            software=target.software,
            line=deployment.line,
            before=before,
        )
        was_before = deployment.fetched_at is not None and deployment.fetched_at < self._began_at
        has_call_id = target.software is not Software.SCCP and (before is None or bool(before.call_id))
        return _Watch(deployment, phone, has_call_id or not was_before)

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
            return
        # The feed reports the result of the action. Until then there is nothing more to do.
        watch.busy, watch.due = True, None
        task = asyncio.create_task(self._act(watch, decided), name=f"deployment of {watch.deployment.mac}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _next_action(self, watch: _Watch, moment: datetime) -> NextAction:
        can_be = watch.provable and self._registrations.observes(watch.phone.software)
        return next_action.decide(watch.deployment, moment, Observability(can_be=can_be, looked=watch.looked))

    async def _act(self, watch: _Watch, decided: NextAction) -> None:
        deployment = watch.deployment
        try:
            async with self._working:
                if watch.deployment is not deployment or self._next_action(watch, _now()) != decided:
                    # It has come further while it waited.
                    watch.due = _now()
                elif isinstance(decided, BeginWhenIdle):
                    watch.due = await self._begin_if_idle(deployment) or watch.due
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

    async def _do(self, deployment: Deployment, decided: NextAction) -> None:
        match decided:
            case Begin():
                await self._switcher.begin(deployment)
            case Settle():
                await self._switcher.settle(deployment.mac)
            case Trigger(action):
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
            watches = [watch for watch in self._watches.values() if watch.may_register]
            if watches:
                # Asterisk's errors show in its health. The next look may succeed.
                with suppress(AsteriskAway, AsteriskRefused):
                    await self._look(watches)

    def _ask_again_who_is_idle(self) -> None:
        """Look again at deployments that wait for the end of a call, if one has ended."""
        hints, self._hints = self._hints, set()
        for watch in self._watches.values():
            names = {watch.phone.mac.device_name, watch.phone.address, watch.deployment.before_peer}
            if watch.deployment.deferred_until == IDLE and not hints.isdisjoint(names - {None}):
                self._decide_at(watch, _now())

    async def _look(self, watches: list[_Watch]) -> None:
        seen = await self._registrations.look([watch.phone for watch in watches])
        # A fetch before the registration is then stored before it.
        await self._contacts.store_pending()
        for watch in watches:
            watch.looked = watch.deployment.fetched_at is not None
            registered = seen.get(watch.phone.mac)
            if registered is not None and watch.is_proved_by(registered):
                with suppress(StorageFailed):
                    await self._db.write(progress.registered, watch.deployment, registered.evidence)


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
