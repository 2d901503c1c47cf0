"""The switch: put a profile on a phone."""

import asyncio
import hashlib
import logging
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from cisisk.mobility.contacts import Contacts
from cisisk.mobility.restart.execute import PhoneCommands
from cisisk.mobility.restart.method import Attempt, NotRestarted, Restarts, Target
from cisisk.mobility.turns import Turns
from cisisk.model import placeholders
from cisisk.model.deployment import Deployment
from cisisk.model.errors import CisiskError, Conflict, StorageFailed
from cisisk.model.mac import Mac
from cisisk.model.phone import Software
from cisisk.model.profile import Profile, misfit
from cisisk.model.user import Actor
from cisisk.provisioning.library import ChangedMeanwhile, Library, Snapshot
from cisisk.store import deployments, phones, profiles
from cisisk.store.database import Database

log = logging.getLogger(__name__)

STOPPING = "Cisisk was stopped before the phone accepted a restart. The phone takes the config at its next boot"
SUPERSEDED = "A newer switch of this phone was accepted meanwhile, and the restart is left to that one"
CUT_OFF_BEFORE_WRITING = "Cisisk was stopped before the file was written; the phone is served what it had before"
CUT_OFF_BEFORE_RESTART = (
    "Cisisk was stopped before it knew whether the phone restarts. If it did not, the phone takes the config at its "
    "next boot"
)
_CLOSE_SECONDS = 2.0
"""For closing the services on the screen: a courtesy that must not hold up the restart."""
_WRITE_ATTEMPTS = 3
"""Somebody else who writes the same file between reading and replacing it is lucky once, not three times."""


@dataclass(frozen=True, slots=True)
class _Resolved:
    """What is known before anything changes."""

    profile: Profile
    target: Target
    content: bytes


class Switcher:
    """Switches phones.

    Args:
        server_address: the address of this Cisisk as the phone at a given address (None: not known) reaches it.
    """

    def __init__(
        self,
        db: Database,
        library: Library,
        contacts: Contacts,
        commands: PhoneCommands,
        restarts: Restarts,
        server_address: Callable[[str | None], str],
    ) -> None:
        self._db = db
        self._library = library
        self._contacts = contacts
        self._commands = commands
        self._restarts = restarts
        self._server_address = server_address
        self._turns = Turns()
        self._stopping = asyncio.Event()
        self._running: set[asyncio.Task[Deployment]] = set()

    async def switch(self, actor: Actor, profile_uuid: str, mac: Mac) -> Deployment:
        """Deploy a profile to a phone and restart it. Goes on to its end even if the caller is cancelled.

        Raises:
            NotFound: no such profile.
            Conflict: the profile does not fit the phone.
            StorageFailed: the disk or the database refused; the phone is served what it had before.
        """
        # Refused before it takes its turn: what is not accepted supersedes nothing.
        await self._resolve(profile_uuid, mac)
        task = asyncio.create_task(self._in_turn(actor, profile_uuid, mac), name=f"switch {mac}")
        self._running.add(task)
        task.add_done_callback(self._ended)
        return await asyncio.shield(task)

    async def recover(self) -> None:
        """Make true what the records say of switches that were cut off when the last process ended."""
        for deployment in await deployments.unfinished(self._db):
            if deployment.written_at is None:
                found = await asyncio.to_thread(self._library.current, deployment.mac.config_name)
                if found is None or found.sha256 != deployment.sha256:
                    await deployments.failed(self._db, deployment, CUT_OFF_BEFORE_WRITING)
                    log.warning("switch of %s: %s", deployment.mac, CUT_OFF_BEFORE_WRITING)
                    continue
                await deployments.written(self._db, Actor(user_uuid=deployment.requested_by), deployment)
            await deployments.restart_tried(self._db, deployment, CUT_OFF_BEFORE_RESTART, None)
            log.warning("switch of %s: %s", deployment.mac, CUT_OFF_BEFORE_RESTART)

    async def stop(self, seconds: float) -> None:
        """Let the switches that are under way come to their end, without waiting for phones; at most so long."""
        self._stopping.set()
        if self._running:
            await asyncio.wait(self._running, timeout=seconds)
        for task in self._running:
            task.cancel()

    def _ended(self, task: asyncio.Task[Deployment]) -> None:
        self._running.discard(task)
        if not task.cancelled() and (error := task.exception()):
            # The caller has it too, unless it went away.
            log.debug("%s ended with %r", task.get_name(), error)

    async def _in_turn(self, actor: Actor, profile_uuid: str, mac: Mac) -> Deployment:
        async with self._turns.take(mac) as superseded:
            await self._contacts.store_pending()
            resolved = await self._resolve(profile_uuid, mac)
            deployment, found = await self._record(actor, resolved)
            await self._write(actor, deployment, resolved.content, found)
            if superseded.is_set():
                attempt = Attempt(SUPERSEDED)
            else:
                await self._close_services(resolved.target)
                attempt = await self._restart(resolved.target, superseded)
            await deployments.restart_tried(self._db, deployment, attempt.outcome, attempt.method)
            return await deployments.get(self._db, deployment.uuid)

    async def _resolve(self, profile_uuid: str, mac: Mac) -> _Resolved:
        """Who is this phone now? After the write it is the new user's."""
        profile = await profiles.get(self._db, profile_uuid)
        phone = await phones.find(self._db, mac)
        if phone is not None and (reason := misfit(profile, phone)):
            raise Conflict(reason)
        target = Target(
            mac=mac,
            address=phone.address if phone else await phones.last_seen(self._db, mac),
            model=phone.model if phone else None,
            software=(phone.software if phone else None) or profile.software_type or Software.SIP,
        )
        return _Resolved(profile, target, self._render(profile, target))

    def _render(self, profile: Profile, target: Target) -> bytes:
        if not profile.placeholders:
            return profile.cnf_xml
        values = {"mac": str(target.mac), "device_name": target.mac.device_name}
        if "server" in placeholders.used(profile.cnf_xml):
            values["server"] = self._server_address(target.address)
        return placeholders.render(profile.cnf_xml, values)

    async def _record(self, actor: Actor, resolved: _Resolved) -> tuple[Deployment, Snapshot | None]:
        mac = resolved.target.mac
        found = await asyncio.to_thread(self._library.current, mac.config_name)
        deployment = await deployments.record(
            self._db, actor, mac, resolved.profile, resolved.content, found.content if found else None
        )
        return deployment, found

    async def _write(self, actor: Actor, deployment: Deployment, content: bytes, found: Snapshot | None) -> None:
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
            await self._failed(deployment, str(error))
            raise
        await deployments.written(self._db, actor, deployment)

    async def _adopt(self, mac: Mac) -> Snapshot | None:
        await asyncio.to_thread(self._library.refresh)
        found = await asyncio.to_thread(self._library.current, mac.config_name)
        if found is not None:
            await deployments.adopt(self._db, mac, found.content)
        return found

    def _read_back(self, deployment: Deployment) -> None:
        """What a phone would get now, the way it would get it."""
        content = self._library.open(deployment.mac.config_name)
        try:
            served = hashlib.sha256(content.read(0, content.size)).hexdigest()
        finally:
            content.close()
        if served != deployment.sha256:
            raise StorageFailed(f"{deployment.mac.config_name} reads back differently from what was written")

    async def _failed(self, deployment: Deployment, why: str) -> None:
        # On a full disk this fails as well; the next start finds the record and mends it.
        with suppress(StorageFailed):
            await deployments.failed(self._db, deployment, why)

    async def _close_services(self, target: Target) -> None:
        """Close the page on the screen, from which the profile may have been chosen. Harmless when none is open."""
        if target.address is not None:
            with suppress(NotRestarted):
                await self._commands.execute(target, ["Init:Services"], timeout=_CLOSE_SECONDS)

    async def _restart(self, target: Target, superseded: asyncio.Event) -> Attempt:
        """Restart the phone, unless a newer switch of it is waiting to do that with its own config."""
        restarting = asyncio.create_task(self._restarts.restart(target), name=f"restart {target.mac}")
        reasons_to_stop = [asyncio.create_task(event.wait()) for event in (superseded, self._stopping)]
        tasks = [restarting, *reasons_to_stop]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            if restarting.done():
                return restarting.result()
            return Attempt(SUPERSEDED if superseded.is_set() else STOPPING)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
