"""A deployment: the file, its record, and the restart after which the phone fetches it."""

import asyncio
import hashlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Coroutine
from contextlib import asynccontextmanager, closing, suppress
from dataclasses import replace
from typing import Any, NamedTuple, TypeVar

from cisisk.adoption.signed_configs import SignedConfigs
from cisisk.fetches.tracker import FetchTracker
from cisisk.mobility.background import BackgroundTasks
from cisisk.model.clock import Timestamp, now
from cisisk.model.codes.deployment import DeploymentFailure
from cisisk.model.codes.error import ErrorKind
from cisisk.model.deployment import Deployment
from cisisk.model.errors import CisiskError, Conflict, StorageFailed
from cisisk.model.mac import Mac
from cisisk.model.notice import Notice
from cisisk.model.restart import Attempt, RestartOutcome
from cisisk.model.sep_config.diff import RestartType
from cisisk.model.start_time import NOW
from cisisk.model.target import NotRestarted, Target
from cisisk.model.user import Actor
from cisisk.provisioning.library import WRITE_ATTEMPTS, ChangedMeanwhile, Library, Snapshot, Unreadable
from cisisk.provisioning.phone_locks import PhoneLocks
from cisisk.provisioning.signed import has_signed
from cisisk.provisioning.source import NotServed
from cisisk.provisioning.staging import Staged
from cisisk.restart import service_control
from cisisk.restart.execute import PhoneCommands
from cisisk.restart.method import Restarts
from cisisk.store import configs, deployments, progress
from cisisk.store.database import Database

log = logging.getLogger(__name__)

_CLOSE_SECONDS = 2.0
"""For closing the service pages on the screen. It must not delay the restart much."""

_T = TypeVar("_T")


class _Prepared(NamedTuple):
    """The part of a deployment that is ready before it is recorded.

    Attributes:
        name: under which the phone requests it.
        staged: the file, on the disk.
        action: what to ask of the phone once it is served the file.
        takes_commands: as the target says.
        config: the content of the file.
        has_signed: whether the served directory has a signed config of the phone.
    """

    name: str
    staged: Staged
    action: RestartType
    takes_commands: bool
    config: bytes
    has_signed: bool


class Deployer:
    """Writes the configs of phones, and restarts the phones.

    Args:
        locks: shared with everything else that changes the phones' configs.
        expect: called when a phone is about to restart.
        identify: adds the phone's registration at its call manager, asked before its config changes.
    """

    def __init__(
        self,
        db: Database,
        library: Library,
        contacts: FetchTracker,
        commands: PhoneCommands,
        restarts: Restarts,
        locks: PhoneLocks,
        expect: Callable[[Mac], None],
        identify: Callable[[Target], Awaitable[Target]],
    ) -> None:
        self._db = db
        self._library = library
        self._signed_configs = SignedConfigs(db, library)
        self._contacts = contacts
        self._commands = commands
        self._restarts = restarts
        self._locks = locks
        self._expect = expect
        self._identify = identify
        self._stopping: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._tasks = BackgroundTasks()
        self._unsettled: set[Mac] = set()

    async def to_the_end(self, name: str, work: Coroutine[Any, Any, _T]) -> _T:
        """Run ``work`` and return its result. It continues if the caller is cancelled."""
        return await self._tasks.run(name, work)

    async def catch_up(self) -> None:
        """Wait until everything is stored that is known of the phones' fetches."""
        await self._contacts.store_pending()

    def is_busy(self, mac: Mac) -> bool:
        """Return whether the next :meth:`lock` of this phone has to wait."""
        return self._locks.are_taken(mac)

    @asynccontextmanager
    async def lock(self, mac: Mac, *, supersedes: bool = True) -> AsyncIterator[asyncio.Future[None]]:
        """Lock the phone's config, and store everything that is known of it.

        The future is done once a newer switch of this phone is waiting.
        """
        async with self._locks.take(mac, supersedes=supersedes) as superseded:
            if mac in self._unsettled:
                for deployment in await self._db.read(deployments.unfinished, mac):
                    await self._settle(deployment)
                self._unsettled.discard(mac)
            await self.catch_up()
            try:
                yield superseded
            except BaseException:
                # After an error the change may be stored or not.
                self._unsettled.add(mac)
                raise

    async def served_to(self, mac: Mac) -> Snapshot | None:
        """Return the file that the phone is served now; None also for one that cannot be read."""
        try:
            return await asyncio.to_thread(self._library.current_config, mac)
        except Unreadable:
            return None

    async def replaceable(self, mac: Mac) -> Snapshot | None:
        """Return the file that is to be replaced. One that cannot be read is moved away. The caller holds the lock.

        Raises:
            StorageFailed: the disk failed, or the file can be neither read nor moved.
        """
        return await asyncio.to_thread(self._library.replaceable_config, mac)

    async def identified(self, target: Target, runs: bytes | None, wanted: bytes) -> Target:
        """Return the target with its registration, while it ``runs`` one config and before it fetches another."""
        return await self._identify(replace(target, served=runs, wanted=wanted))

    async def deploy(
        self,
        actor: Actor,
        recording: Coroutine[Any, Any, Deployment],
        target: Target,
        found: Snapshot | None,
        superseded: asyncio.Future[None],
    ) -> Deployment:
        """Serve a phone the config ``target.wanted``, and restart it. The caller holds the lock.

        Args:
            recording: records the deployment. Nothing is changed before that is stored.

        Raises:
            Conflict: the file keeps being changed from outside.
            StorageFailed: the disk or the database refused. The phone is served what it had before, unless the notice
                says otherwise.
        """
        async with self._prepared(target, found) as preparing:
            deployment = await recording
            prepared = await self._ready(deployment, preparing)
            async with self._services_closed(target, takes_commands=prepared.takes_commands) as closed:
                moment = await self._write(deployment, prepared, found)
                # Queued before the phone can be restarted, and so before the record of any fetch.
                recorded = self._db.write(progress.written, actor, deployment, moment, prepared.name)
                written = self._tasks.start(f"record {deployment.mac}", recorded)
                await asyncio.sleep(0)
                try:
                    attempt = await self._attempt(replace(target, action=prepared.action), closed, superseded)
                    await written
                    return await self._tried(deployment, attempt, prepared.action)
                except StorageFailed as error:
                    raise StorageFailed(ErrorKind.SERVED_NEVERTHELESS.notice(reason=error.notice)) from error

    async def serve(
        self,
        actor: Actor,
        recording: Coroutine[Any, Any, Deployment],
        target: Target,
        found: Snapshot | None,
    ) -> Deployment:
        """Serve a phone the config ``target.wanted``, for which it need not restart. The caller holds the lock.

        Raises:
            Conflict, StorageFailed: as :meth:`deploy`.
        """
        async with self._prepared(target, found) as preparing:
            deployment = await recording
            prepared = await self._ready(deployment, preparing)
            moment = await self._write(deployment, prepared, found)
            try:
                await self._db.write(progress.written, actor, deployment, moment, prepared.name)
                return await self._tried(deployment, Attempt(RestartOutcome.NOT_NEEDED), None)
            except StorageFailed as error:
                raise StorageFailed(ErrorKind.SERVED_NEVERTHELESS.notice(reason=error.notice)) from error

    async def settle(self, mac: Mac) -> None:
        """Correct the records of a phone's deployments that were cut off. Raises StorageFailed."""
        self._unsettled.add(mac)
        async with self.lock(mac, supersedes=False):
            pass

    async def trigger(
        self, deployment: Deployment, target: Target, superseded: asyncio.Future[None], *, goes_on: bool
    ) -> Deployment:
        """Restart the phone once more, first by methods that were not tried. The caller holds the lock.

        Args:
            goes_on: whether these are further methods of the same restart.

        Raises:
            StorageFailed: the result cannot be recorded.
        """
        takes_commands = await asyncio.to_thread(lambda: target.takes_commands)
        tried = {each.method for each in deployment.tried_methods} if target.action == deployment.action else ()
        async with self._services_closed(target, takes_commands=takes_commands) as closed:
            attempt = await self._attempt(target, closed, superseded, tried)
            return await self._tried(deployment, attempt, target.action, goes_on=goes_on)

    async def recover(self) -> None:
        """Correct the records of deployments that were cut off when the last process ended."""
        for deployment in await self._db.read(deployments.unfinished):
            try:
                await self._settle(deployment)
            except CisiskError as error:
                # One broken file or a full disk must not keep Cisisk from starting.
                self._unsettled.add(deployment.mac)
                log.error("switch of %s: its result cannot be recorded: %s", deployment.mac, error)  # noqa: TRY400 -- the notice says it all

    async def stop(self, seconds: float) -> None:
        """Let running deployments end without waiting for phones, for at most so many seconds."""
        self._stopping.set_result(None)
        await self._tasks.stop(seconds)

    async def _settle(self, deployment: Deployment) -> None:
        """Correct the record of a deployment that was cut off. The served file shows how far it came."""
        if deployment.written_at is None:
            found = await self._served(deployment)
            if found is None:
                if deployment.policy.when != NOW:
                    await self._db.write(progress.deferred_again, deployment)
                    return
                await self._db.write(progress.failed, deployment, DeploymentFailure.CUT_OFF.notice())
                log.warning("switch of %s: %s", deployment.mac, DeploymentFailure.CUT_OFF)
                return
            actor = Actor(user_uuid=deployment.requested_by)
            await self._db.write(progress.written, actor, deployment, deployment.recorded_at, found.path)
        await self._tried(deployment, Attempt(RestartOutcome.CUT_OFF), None)
        log.warning("switch of %s: restart %s", deployment.mac, RestartOutcome.CUT_OFF)

    async def _served(self, deployment: Deployment) -> Snapshot | None:
        """Return the file of this deployment if its phone is served it, else None."""
        found = await self.served_to(deployment.mac)
        return found if found is not None and found.sha256 == deployment.sha256 else None

    @asynccontextmanager
    async def _prepared(self, target: Target, found: Snapshot | None) -> AsyncIterator[asyncio.Task[_Prepared]]:
        """Do what can be done of a deployment before it is recorded.

        If the block fails, nothing is left of it. If the process ends at that moment, the next start clears up.
        """
        preparing = self._tasks.start(f"prepare {target.mac}", asyncio.to_thread(self._prepare, target, found))
        try:
            yield preparing
        except BaseException:
            with suppress(StorageFailed):
                (await preparing).staged.discard()
            raise

    def _prepare(self, target: Target, found: Snapshot | None) -> _Prepared:
        action, takes_commands = service_control.action_for(target), target.takes_commands
        name, config = target.file_name(found.path if found else None), target.wanted or b""
        staged = self._library.staged(name, config)
        return _Prepared(name, staged, action, takes_commands, config, has_signed(self._library, target.mac))

    async def _ready(self, deployment: Deployment, preparing: asyncio.Task[_Prepared]) -> _Prepared:
        async with self._failure_recorded(deployment):
            return await preparing

    async def _write(self, deployment: Deployment, prepared: _Prepared, found: Snapshot | None) -> Timestamp:
        """Serve the staged file. Returns a moment just before the phone could fetch it."""
        async with self._failure_recorded(deployment):
            if prepared.has_signed:
                # Before the write: if this fails, the phone is served what it had before.
                await self._signed_configs.set_aside(deployment.mac, prepared.config)
            for attempt in range(1, WRITE_ATTEMPTS + 1):
                moment = now()
                try:
                    await asyncio.to_thread(self._serve, deployment, prepared, found)
                    break
                except ChangedMeanwhile as error:
                    if attempt == WRITE_ATTEMPTS:
                        raise Conflict(str(error)) from error
                    found = await self._adopt(deployment.mac)
        return moment

    @asynccontextmanager
    async def _failure_recorded(self, deployment: Deployment) -> AsyncIterator[None]:
        try:
            yield
        except CisiskError as error:
            if await self._took_effect(deployment, error.notice):
                raise StorageFailed(ErrorKind.SERVED_NEVERTHELESS.notice(reason=error.notice)) from error
            raise

    async def _took_effect(self, deployment: Deployment, failure: Notice) -> bool:
        """Return whether a phone is served its new config despite an error. If it is not, the switch has failed."""
        # If the disk or the database fails as a whole, the next switch or start decides it.
        with suppress(StorageFailed):
            if await self._served(deployment):
                return True
            await self._db.write(progress.failed, deployment, failure)
        return False

    async def _adopt(self, mac: Mac) -> Snapshot | None:
        await asyncio.to_thread(self._library.refresh)
        found = await self.replaceable(mac)
        await self._db.write(configs.found, mac, found.content if found else None)
        return found

    def _serve(self, deployment: Deployment, prepared: _Prepared, found: Snapshot | None) -> None:
        """Put the file under its name, and read it back the way a phone would get it."""
        name = prepared.name
        self._library.put(prepared.staged, name, found)
        try:
            with closing(self._library.open(name)) as there:
                served = hashlib.sha256(there.read(0, there.size)).hexdigest()
        except (NotServed, OSError) as error:
            raise StorageFailed(f"{name} cannot be read back: {error}") from error
        if served != deployment.sha256:
            raise StorageFailed(f"{name} reads back differently from what was written")

    async def _attempt(
        self,
        target: Target,
        closed: asyncio.Task[None],
        superseded: asyncio.Future[None],
        tried: Collection[str] = (),
    ) -> Attempt:
        """Restart the phone, unless a newer switch is waiting to restart it with its own config."""
        if superseded.done():
            return Attempt(RestartOutcome.SUPERSEDED)
        calling = asyncio.create_task(self._call(target, closed, tried), name=f"restart {target.mac}")
        try:
            ends: list[asyncio.Future[Any]] = [calling, superseded, self._stopping]
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            if calling.done():
                return calling.result()
            return Attempt(RestartOutcome.SUPERSEDED if superseded.done() else RestartOutcome.STOPPED)
        finally:
            if not calling.done():
                calling.cancel()
                await asyncio.wait([calling])

    async def _call(self, target: Target, closed: asyncio.Task[None], tried: Collection[str]) -> Attempt:
        self._expect(target.mac)
        await closed
        return await self._restarts.restart(target, tried)

    @asynccontextmanager
    async def _services_closed(self, target: Target, *, takes_commands: bool) -> AsyncIterator[asyncio.Task[None]]:
        """Close the page on the screen, from which the profile may have been chosen. Done when the task is."""
        work = self._close_services(target) if takes_commands else asyncio.sleep(0)
        closing = self._tasks.start(f"close services of {target.mac}", work)
        try:
            yield closing
        finally:
            closing.cancel()

    async def _close_services(self, target: Target) -> None:
        with suppress(NotRestarted):
            await self._commands.execute(target, ["Init:Services"], timeout=_CLOSE_SECONDS)

    async def _tried(
        self, deployment: Deployment, attempt: Attempt, action: str | None, *, goes_on: bool = False
    ) -> Deployment:
        return await self._db.write(progress.restart_tried, deployment, attempt, action, goes_on=goes_on)
