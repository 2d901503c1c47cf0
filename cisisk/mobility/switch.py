"""The switch: put a profile on a phone."""

import asyncio
import hashlib
import logging
from collections.abc import Awaitable, Callable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass, field, replace

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
from cisisk.model.sep_config.diff import Diff, diff
from cisisk.model.user import Actor
from cisisk.provisioning.library import ChangedMeanwhile, Library, Snapshot
from cisisk.provisioning.source import NotServed
from cisisk.store import configs, deployments, phones, profiles
from cisisk.store.database import Database

log = logging.getLogger(__name__)

STOPPING = "Cisisk was stopped before the phone accepted a restart. The phone takes the config at its next boot"
SUPERSEDED = "A newer switch of this phone was accepted meanwhile, and the restart is left to that one"
SERVED_ALL_THE_SAME = "The phone is served the new config all the same"
CUT_OFF_BEFORE_WRITING = (
    "The switch was cut off before its file was written, or the file was replaced since: the phone is served another "
    "config"
)
CUT_OFF_BEFORE_RESTART = (
    "The switch was cut off before it was known whether the phone restarts. If it did not, the phone takes the config "
    "at its next boot"
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """What a switch would do.

    Attributes:
        content: what the phone would be served.
        diff: between what it is served and that.
        methods: the restart methods that would be tried, in this order.
        in_the_way: what may keep the phone from restarting; the config would be served all the same.
    """

    profile: Profile
    mac: Mac
    content: bytes = field(repr=False)
    diff: Diff
    methods: tuple[str, ...]
    in_the_way: tuple[str, ...]


class Switcher:
    """Switches phones.

    Args:
        server_address: the address of this Cisisk as the phone at a given address (None: not known) reaches it.
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
        server_address: Callable[[str | None], str],
        turns: Turns,
        expect: Callable[[Mac], None],
        identify: Callable[[Target], Awaitable[Target]],
    ) -> None:
        self._db = db
        self._library = library
        self._contacts = contacts
        self._commands = commands
        self._restarts = restarts
        self._server_address = server_address
        self._turns = turns
        self._expect = expect
        self._identify = identify
        self._stopping = asyncio.Event()
        self._running: set[asyncio.Task[Deployment]] = set()

    async def switch(self, actor: Actor, profile_uuid: str, mac: Mac) -> Deployment:
        """Deploy a profile to a phone and restart it. Goes on to its end even if the caller is cancelled.

        Raises:
            NotFound: no such profile.
            Conflict: the profile does not fit the phone.
            StorageFailed: the disk or the database refused; the phone is served what it had before, unless the text
                says otherwise.
        """
        # Refused before it takes its turn: what is not accepted supersedes nothing.
        await self._resolve(profile_uuid, mac)
        task = asyncio.create_task(self._in_turn(actor, profile_uuid, mac), name=f"switch {mac}")
        self._running.add(task)
        task.add_done_callback(self._ended)
        return await asyncio.shield(task)

    async def preview(self, profile_uuid: str, mac: Mac) -> Preview:
        """What :meth:`switch` would do now. Nothing is written or recorded, and the phone is not called.

        Raises:
            NotFound, Conflict: as the switch would.
        """
        resolved = await self._resolve(profile_uuid, mac)
        found = await asyncio.to_thread(self._library.current, mac.config_name)
        served = found.content if found else None
        target = await self._identify(replace(resolved.target, served=served, wanted=resolved.content))
        change = await asyncio.to_thread(diff, served, resolved.content)
        if change.restart is not None and target.software is Software.SCCP:
            # Few configs for SCCP say so themselves.
            change = replace(change, restart="reset")
        return Preview(
            profile=resolved.profile,
            mac=mac,
            content=resolved.content,
            diff=change,
            methods=self._restarts.order(target.software),
            in_the_way=tuple(_in_the_way_of_a_restart(target)),
        )

    async def recover(self) -> None:
        """Make true what the records say of switches that were cut off when the last process ended."""
        for deployment in await deployments.unfinished(self._db):
            try:
                await self._settle(deployment)
            except StorageFailed as error:
                # One file or a full disk is no reason to leave all phones unserved.
                log.error("switch of %s: what became of it cannot be recorded: %s", deployment.mac, error)  # noqa: TRY400 -- the text says it all

    async def stop(self, seconds: float) -> None:
        """Let the switches that are under way come to their end, without waiting for phones; at most so long."""
        self._stopping.set()
        if self._running:
            await asyncio.wait(self._running, timeout=seconds)
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)

    def _ended(self, task: asyncio.Task[Deployment]) -> None:
        self._running.discard(task)
        if not task.cancelled() and (error := task.exception()):
            # The caller has it too, unless it went away.
            log.debug("%s ended with %r", task.get_name(), error)

    async def _in_turn(self, actor: Actor, profile_uuid: str, mac: Mac) -> Deployment:
        async with self._turns.take(mac) as superseded:
            await self._settle_earlier(mac)
            await self._contacts.store_pending()
            resolved = await self._resolve(profile_uuid, mac)
            deployment, found = await self._record(actor, resolved)
            served = found.content if found else None
            target = await self._identify(replace(resolved.target, served=served, wanted=resolved.content))
            await self._write(actor, deployment, resolved.content, found)
            attempt = Attempt(SUPERSEDED) if superseded.is_set() else await self._restart(target, superseded)
            try:
                await deployments.restart_tried(self._db, deployment, attempt.outcome, attempt.method)
                return await deployments.get(self._db, deployment.uuid)
            except StorageFailed as error:
                raise StorageFailed(f"{error}. {SERVED_ALL_THE_SAME}") from error

    async def _settle_earlier(self, mac: Mac) -> None:
        """What the disk or the database refused at this phone's last switch: now nobody else is switching it."""
        for deployment in await deployments.unfinished(self._db, mac):
            await self._settle(deployment)

    async def _settle(self, deployment: Deployment) -> None:
        """Make true what the record says of a switch that was cut off: the served file tells how far it came."""
        if deployment.written_at is None:
            if not await self._is_served(deployment):
                await deployments.failed(self._db, deployment, CUT_OFF_BEFORE_WRITING)
                log.warning("switch of %s: %s", deployment.mac, CUT_OFF_BEFORE_WRITING)
                return
            await deployments.written(self._db, Actor(user_uuid=deployment.requested_by), deployment)
        await deployments.restart_tried(self._db, deployment, CUT_OFF_BEFORE_RESTART, None)
        log.warning("switch of %s: %s", deployment.mac, CUT_OFF_BEFORE_RESTART)

    async def _is_served(self, deployment: Deployment) -> bool:
        found = await asyncio.to_thread(self._library.current, deployment.mac.config_name)
        return found is not None and found.sha256 == deployment.sha256

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
            await deployments.written(self._db, actor, deployment)
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
            await deployments.failed(self._db, deployment, why)
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

    async def _restart(self, target: Target, superseded: asyncio.Event) -> Attempt:
        """Restart the phone, unless a newer switch of it is waiting to do that with its own config."""
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


def _in_the_way_of_a_restart(target: Target) -> Iterator[str]:
    try:
        target.require_address()
    except NotRestarted as reason:
        yield str(reason)
    if target.unregistered is not None:
        yield str(target.unregistered)
    if target.registration is not None and target.registration.in_call:
        yield "the phone is in a call"
