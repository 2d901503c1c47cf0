"""Deploying: the file, the record of it, and the restart that makes the phone come for it."""

import asyncio
import hashlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager, closing, suppress
from dataclasses import replace
from typing import Any, TypeVar

from cisisk.mobility.contacts import Contacts
from cisisk.mobility.restart import service_control
from cisisk.mobility.restart.execute import PhoneCommands
from cisisk.mobility.restart.method import Attempt, NotRestarted, Restarts, Target
from cisisk.mobility.turns import Turns
from cisisk.model.deployment import Deployment
from cisisk.model.errors import CisiskError, Conflict, StorageFailed
from cisisk.model.mac import Mac
from cisisk.model.user import Actor
from cisisk.provisioning.library import ChangedMeanwhile, Library, Snapshot
from cisisk.provisioning.source import NotServed
from cisisk.store import configs, deployments, progress
from cisisk.store.database import Database

log = logging.getLogger(__name__)

STOPPING = "Cisisk was stopped before the phone accepted a restart. It is tried again when Cisisk runs again"
SUPERSEDED = "A newer switch of this phone was accepted meanwhile, and the restart is left to that one"
SERVED_ALL_THE_SAME = "The phone is served the new config all the same"
CUT_OFF_BEFORE_WRITING = (
    "The switch was cut off before its file was written, or the file was replaced since: the phone is served another "
    "config"
)
CUT_OFF_BEFORE_RESTART = (
    "The switch was cut off before it was known whether the phone restarts. If it does not come for the config, it is "
    "told again"
)
_CLOSE_SECONDS = 2.0
"""For closing the services on the screen: a courtesy that must not hold up the restart."""
_WRITE_ATTEMPTS = 3
"""Somebody else who writes the same file between reading and replacing it is lucky once, not three times."""

_T = TypeVar("_T")


class Deployer:
    """Serves phones their configs, and has them restart.

    Args:
        turns: shared with everything else that changes the phones' configs.
        expect: called when a phone is about to be restarted.
        identify: adds who the phone is at its call manager, asked before its config changes.
    """

    def __init__(
        self,
        db: Database,
        library: Library,
        contacts: Contacts,
        commands: PhoneCommands,
        restarts: Restarts,
        turns: Turns,
        expect: Callable[[Mac], None],
        identify: Callable[[Target], Awaitable[Target]],
    ) -> None:
        self._db = db
        self._library = library
        self._contacts = contacts
        self._commands = commands
        self._restarts = restarts
        self._turns = turns
        self._expect = expect
        self._identify = identify
        self._stopping = asyncio.Event()
        self._running: set[asyncio.Task[Any]] = set()

    async def to_the_end(self, name: str, work: Coroutine[Any, Any, _T]) -> _T:
        """What ``work`` gives. It goes on to its end even if the caller is cancelled."""
        return await asyncio.shield(self._started(name, work))

    @asynccontextmanager
    async def turn(self, mac: Mac, *, supersedes: bool = True) -> AsyncIterator[asyncio.Event]:
        """Wait until nobody else changes the phone's config, and until all that is known of it is stored.

        The event is set once a newer switch of this phone is waiting.
        """
        async with self._turns.take(mac, supersedes=supersedes) as superseded:
            # What the disk or the database refused at this phone's last switch: now nobody else is switching it.
            for deployment in await deployments.unfinished(self._db, mac):
                await self._settle(deployment)
            await self._contacts.store_pending()
            yield superseded

    async def served_to(self, mac: Mac) -> Snapshot | None:
        """What the phone is served now."""
        return await asyncio.to_thread(self._library.current, mac.config_name)

    async def identified(self, target: Target, runs: bytes | None, wanted: bytes) -> Target:
        """Who the phone is at its call manager, while it ``runs`` one config and is to take another."""
        return await self._identify(replace(target, served=runs, wanted=wanted))

    async def deploy(
        self, actor: Actor, deployment: Deployment, target: Target, found: Snapshot | None, superseded: asyncio.Event
    ) -> Deployment:
        """Serve a recorded deployment's config, ``target.wanted``, and have the phone come for it. In its turn.

        Raises:
            Conflict: somebody else keeps changing the file.
            StorageFailed: the disk or the database refused; the phone is served what it had before, unless the text
                says otherwise.
        """
        deciding = self._started("restart or reset", asyncio.to_thread(service_control.action_for, target))
        await self._write(deployment, target.wanted or b"", found)
        # In its turn among the writers before the phone can be told, and so before the record of any fetch by it.
        recording = self._started(f"record {deployment.mac}", progress.written(self._db, actor, deployment))
        await asyncio.sleep(0)
        try:
            attempt = await self._attempt(replace(target, action=await deciding), superseded)
            await recording
            return await self._tried(deployment, attempt, await deciding)
        except StorageFailed as error:
            raise StorageFailed(f"{error}. {SERVED_ALL_THE_SAME}") from error

    async def serve(
        self, actor: Actor, deployment: Deployment, content: bytes, found: Snapshot | None, why: str
    ) -> Deployment:
        """Serve a recorded deployment's config to a phone that need not restart, and ``why``. In its turn.

        Raises:
            Conflict, StorageFailed: as :meth:`deploy`.
        """
        await self._write(deployment, content, found)
        try:
            await progress.written(self._db, actor, deployment)
            return await self._tried(deployment, Attempt(why), None)
        except StorageFailed as error:
            raise StorageFailed(f"{error}. {SERVED_ALL_THE_SAME}") from error

    async def trigger(self, deployment: Deployment, target: Target, superseded: asyncio.Event) -> Deployment:
        """Have the phone restart once more. In its turn. Raises StorageFailed."""
        return await self._tried(deployment, await self._attempt(target, superseded), target.action)

    async def recover(self) -> None:
        """Make true what the records say of deployments that were cut off when the last process ended."""
        for deployment in await deployments.unfinished(self._db):
            try:
                await self._settle(deployment)
            except StorageFailed as error:
                # One file or a full disk is no reason to leave all phones unserved.
                log.error("switch of %s: what became of it cannot be recorded: %s", deployment.mac, error)  # noqa: TRY400 -- the text says it all

    async def stop(self, seconds: float) -> None:
        """Let the deployments that are under way come to their end, without waiting for phones; at most so long."""
        self._stopping.set()
        if self._running:
            await asyncio.wait(self._running, timeout=seconds)
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)

    def _started(self, name: str, work: Coroutine[Any, Any, _T]) -> "asyncio.Task[_T]":
        task = asyncio.create_task(work, name=name)
        self._running.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._running.discard(task)
        if not task.cancelled() and (error := task.exception()):
            # The caller has it too, unless it went away.
            log.debug("%s ended with %r", task.get_name(), error)

    async def _settle(self, deployment: Deployment) -> None:
        """Make true what the record says of a switch that was cut off: the served file tells how far it came."""
        if deployment.written_at is None:
            if not await self._is_served(deployment):
                await progress.failed(self._db, deployment, CUT_OFF_BEFORE_WRITING)
                log.warning("switch of %s: %s", deployment.mac, CUT_OFF_BEFORE_WRITING)
                return
            await progress.written(self._db, Actor(user_uuid=deployment.requested_by), deployment)
        await self._tried(deployment, Attempt(CUT_OFF_BEFORE_RESTART), None)
        log.warning("switch of %s: %s", deployment.mac, CUT_OFF_BEFORE_RESTART)

    async def _is_served(self, deployment: Deployment) -> bool:
        found = await self.served_to(deployment.mac)
        return found is not None and found.sha256 == deployment.sha256

    async def _write(self, deployment: Deployment, content: bytes, found: Snapshot | None) -> None:
        try:
            for attempt in range(1, _WRITE_ATTEMPTS + 1):
                try:
                    await asyncio.to_thread(self._library.replace, deployment.mac.config_name, content, found)
                    break
                except ChangedMeanwhile as error:
                    if attempt == _WRITE_ATTEMPTS:
                        raise Conflict(str(error)) from error
                    found = await self._adopt(deployment.mac)
            await asyncio.to_thread(self._read_back, deployment)
        except CisiskError as error:
            if await self._took_effect(deployment, str(error)):
                raise StorageFailed(f"{error}. {SERVED_ALL_THE_SAME}") from error
            raise

    async def _took_effect(self, deployment: Deployment, why: str) -> bool:
        """Whether a phone is served its new config although something was refused; if it is not, the switch failed."""
        # While the disk or the database fails as a whole, nothing can be told: the next switch or start settles it.
        with suppress(StorageFailed):
            if await self._is_served(deployment):
                return True
            await progress.failed(self._db, deployment, why)
        return False

    async def _adopt(self, mac: Mac) -> Snapshot | None:
        await asyncio.to_thread(self._library.refresh)
        found = await asyncio.to_thread(self._library.current, mac.config_name)
        async with self._db.transaction() as tx:
            await configs.found(tx, mac, found.content if found else None)
        return found

    def _read_back(self, deployment: Deployment) -> None:
        """What a phone would get now, the way it would get it."""
        name = deployment.mac.config_name
        try:
            with closing(self._library.open(name)) as content:
                served = hashlib.sha256(content.read(0, content.size)).hexdigest()
        except (NotServed, OSError) as error:
            raise StorageFailed(f"{name} cannot be read back: {error}") from error
        if served != deployment.sha256:
            raise StorageFailed(f"{name} reads back differently from what was written")

    async def _attempt(self, target: Target, superseded: asyncio.Event) -> Attempt:
        """Restart the phone, unless a newer switch of it is waiting to do that with its own config."""
        if superseded.is_set():
            return Attempt(SUPERSEDED)
        calling = asyncio.create_task(self._call(target), name=f"restart {target.mac}")
        reasons_to_stop = [asyncio.create_task(event.wait()) for event in (superseded, self._stopping)]
        tasks = [calling, *reasons_to_stop]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            if calling.done():
                return calling.result()
            return Attempt(SUPERSEDED if superseded.is_set() else STOPPING)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _call(self, target: Target) -> Attempt:
        """Close the page on the screen, from which the profile may have been chosen; then restart."""
        self._expect(target.mac)
        if target.address is not None:
            with suppress(NotRestarted):
                await self._commands.execute(target, ["Init:Services"], timeout=_CLOSE_SECONDS)
        return await self._restarts.restart(target)

    async def _tried(self, deployment: Deployment, attempt: Attempt, action: str | None) -> Deployment:
        return await progress.restart_tried(self._db, deployment, attempt.outcome, attempt.method, action)
