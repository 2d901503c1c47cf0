"""Configs that come from elsewhere than a profile: uploaded, or written into the served directory by somebody else."""

import asyncio
import hashlib
import logging
from collections.abc import Collection, Coroutine, Iterator
from concurrent.futures import CancelledError as Cancelled
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from cisisk.model import sep_config
from cisisk.model.deployment import Origin
from cisisk.model.errors import Conflict, NotFound, StorageFailed
from cisisk.model.mac import Mac
from cisisk.model.phone import Phone, Software
from cisisk.model.sep_config import SepConfig
from cisisk.model.user import Actor
from cisisk.provisioning.library import WRITE_ATTEMPTS, ChangedMeanwhile, Library, Snapshot, Stamp
from cisisk.provisioning.phone_locks import PhoneLocks
from cisisk.provisioning.uploads import config_mac
from cisisk.store import audit, configs, deployments, phones, profiles
from cisisk.store.configs import Served
from cisisk.store.database import Database

log = logging.getLogger(__name__)

ANSWER_SECONDS = 120.0
"""For what another thread asks of the event loop: a switch that restarts the same phone by every method comes first."""
NOT_IN_TIME = "Cisisk is stopping or too busy; it is not known whether this was done"
_LONGEST_NAME = 60
"""Characters of a label that become part of a name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AdoptedConfig:
    """What became of a config that was to be taken over.

    Attributes:
        added: its phone was not in the inventory.
        made: a profile was made of it; it was not taken over before.
        is_served: the phone is served it, or was when it was taken over.
    """

    added: bool
    made: bool
    is_served: bool


class ConfigAdoption:
    """Takes configs in, each in the turn of its phone, so that no switch is raced.

    Args:
        turns: shared with the switches.
        max_config_bytes: the largest config that is accepted.
    """

    def __init__(self, db: Database, library: Library, turns: PhoneLocks, max_config_bytes: int) -> None:
        self._db = db
        self._library = library
        self._turns = turns
        self.max_config_bytes = max_config_bytes
        self._seen: dict[Mac, Stamp] = {}
        self._refused: dict[Mac, Stamp | None] = {}

    async def put(self, actor: Actor, mac: Mac, content: bytes) -> None:
        """Serve ``content`` to the phone, which is added to the inventory if it is not in it, and keep it as a version.

        Raises:
            Invalid: it is no config that may be served.
            Conflict: somebody else writes the same file all the time.
            StorageFailed: the disk or the database refused; the text says so if it is served all the same.
        """
        await asyncio.to_thread(sep_config.read, content, max_bytes=self.max_config_bytes)
        async with self._turns.take(mac, supersedes=False):
            for _ in range(WRITE_ATTEMPTS):
                known = await self._current(mac)
                async with self._db.transaction() as tx:
                    if await phones.find(tx, mac) is None:
                        await phones.add(tx, actor, mac, {})
                    await phones.confirm(tx, mac)
                    await configs.found(tx, mac, known.content if known else None)
                    sha256 = await configs.about_to_adopt(tx, mac, content)
                try:
                    await asyncio.to_thread(self._library.replace, mac.config_name, content, known)
                except ChangedMeanwhile:
                    await self._refresh()
                    continue
                except StorageFailed:
                    await self._see_what_came_of_it(mac)
                    raise
                with _all_the_same("The phone is served the new config all the same"):
                    async with self._db.transaction() as tx:
                        await configs.adopted(tx, actor, mac, sha256)
                return
        raise Conflict(f"Somebody else writes {mac.config_name} all the time")

    async def remove(self, actor: Actor, mac: Mac) -> None:
        """Serve the phone no config any more; the last one is kept as a version.

        Raises:
            NotFound: it is served none.
            Conflict, StorageFailed: as :meth:`put`.
        """
        async with self._turns.take(mac, supersedes=False):
            known = await self._current(mac)
            if known is None:
                raise NotFound("File not found")
            async with self._db.transaction() as tx:
                await configs.found(tx, mac, known.content)
                await configs.about_to_remove(tx, mac)
            try:
                await self._remove(known)
            except (Conflict, StorageFailed):
                await self._see_what_came_of_it(mac)
                raise
            # The same name in other letters, which the removed one has hidden: the phone must not be served that now.
            while hidden := await self._current(mac):
                async with self._db.transaction() as tx:
                    await configs.keep_version(tx, mac, hidden.content, Origin.ADOPTED)
                await self._remove(hidden)
            with _all_the_same("The file is removed all the same"):
                async with self._db.transaction() as tx:
                    await configs.adopted(tx, actor, mac, None)

    async def _remove(self, known: Snapshot) -> None:
        try:
            await asyncio.to_thread(self._library.remove, known.path, known)
        except ChangedMeanwhile as error:
            raise Conflict(str(error)) from error
        await self._refresh()

    async def take_over(self, actor: Actor, mac: Mac, content: bytes, config: SepConfig, owner: str) -> AdoptedConfig:
        """Make a profile of a config that another server has served to the phone, and serve it, unless another one is.

        The phone is added if it is not in the inventory. A config that was taken over once changes nothing any more,
        nor does one that a profile of Cisisk's has put there.

        Args:
            content: what was found to be the valid ``config``.
            owner: the uuid of the user to whom the profile belongs.

        Raises:
            Invalid: no such user.
            Conflict: somebody else writes the file at this moment.
            StorageFailed: the disk or the database refused.
        """
        sha256 = hashlib.sha256(content).hexdigest()
        async with self._turns.take(mac, supersedes=False):
            known = await self._current(mac)
            async with self._db.transaction() as tx:
                profile = await configs.taken_over(tx, mac, sha256)
                served = await configs.served_to(tx, mac)
                is_unfinished = known is None and served is not None and served.pending == sha256
                if profile is not None and not is_unfinished:
                    return AdoptedConfig(added=False, made=False, is_served=True)
                phone = await phones.find(tx, mac)
                if profile is None and phone is not None and _is_a_profiles(sha256, known, served, phone):
                    return AdoptedConfig(added=False, made=False, is_served=True)
                is_added = phone is None
                if is_added:
                    await phones.add(tx, actor, mac, {"name": _label(config)})
                await phones.confirm(tx, mac)
                await configs.found(tx, mac, known.content if known else None)
                if profile is None:
                    profile = await profiles.add(tx, actor, _profile_of(mac, content, config, owner))
                    await configs.take_over(tx, mac, content, profile)
                if known is None:
                    await configs.about_to_adopt(tx, mac, content)
                elif known.sha256 == sha256 and (await phones.get(tx, mac)).current_profile_uuid is None:
                    await configs.belongs_to(tx, mac, profile)
            if known is None:
                await self._serve_taken(actor, mac, content, profile)
            return AdoptedConfig(added=is_added, made=True, is_served=known is None or known.sha256 == sha256)

    async def _serve_taken(self, actor: Actor, mac: Mac, content: bytes, profile: str) -> None:
        try:
            await asyncio.to_thread(self._library.replace, mac.config_name, content, None)
        except ChangedMeanwhile as error:
            raise Conflict(str(error)) from error
        with _all_the_same("The phone is served the config all the same"):
            async with self._db.transaction() as tx:
                await configs.adopted(tx, actor, mac, hashlib.sha256(content).hexdigest())
                if profile:
                    await configs.belongs_to(tx, mac, profile)

    async def record(self, actor: Actor, action: str, path: str, payload: dict[str, Any]) -> None:
        """Write the audit row of a file. Raises StorageFailed."""
        async with self._db.transaction() as tx:
            await audit.record(tx, actor, action, path, payload)

    async def look(self) -> None:
        """Take notice of the configs that somebody else has changed or removed on the disk since the last look.

        Raises:
            StorageFailed: the database cannot be read, or the directory.
        """
        there = {}
        for path, stamp in (await asyncio.to_thread(self._library.stamps)).items():
            if mac := config_mac(path):
                there[mac] = stamp
        if not self._seen:
            # The first look: what was removed while Cisisk did not run is found missing.
            served = await configs.served(self._db)
            self._seen = {mac: _NEVER for mac, known in served.items() if known.sha256 is not None}
        changed = [mac for mac in {*there, *self._seen} if there.get(mac) != self._seen.get(mac)]
        known = await self._known([mac for mac in changed if mac in there])
        for mac in changed:
            if mac in known:
                self._refused.pop(mac, None)
                self._seen[mac] = there[mac]
                continue
            # What changes in a turn is no stranger's doing; whatever else it is, the next look finds it.
            if self._turns.are_taken(mac):
                continue
            try:
                await self._look_at(mac)
            except StorageFailed as error:
                if self._refused.get(mac) != there.get(mac):
                    log.warning("%s was changed, and no version of it can be kept: %s", mac.config_name, error)
                    self._refused[mac] = there.get(mac)
                continue
            self._refused.pop(mac, None)
            if mac in there:
                self._seen[mac] = there[mac]
            else:
                self._seen.pop(mac, None)

    async def _known(self, macs: Collection[Mac]) -> set[Mac]:
        """Those of the phones that are served what the store says already, most often because it was switched to."""
        if not macs:
            return set()
        hashes = await asyncio.to_thread(self._hashes, macs)
        served = await configs.served(self._db)
        return {mac for mac, sha256 in hashes.items() if mac in served and served[mac].sha256 == sha256}

    def _hashes(self, macs: Collection[Mac]) -> dict[Mac, str]:
        hashes = {}
        for mac in macs:
            # What cannot be read is told of when it is looked at by itself.
            with suppress(StorageFailed):
                if found := self._library.current(mac.config_name):
                    hashes[mac] = found.sha256
        return hashes

    async def _look_at(self, mac: Mac) -> None:
        async with self._turns.take(mac, supersedes=False):
            found = await self._current(mac)
            if found is not None and any(
                cut_off.sha256 == found.sha256 for cut_off in await deployments.unfinished(self._db, mac)
            ):
                # A switch's own, that could not be recorded; the next switch or start settles it.
                return
            known = await configs.served_to(self._db, mac)
            if known is not None and known.sha256 == (found.sha256 if found else None):
                return
            async with self._db.transaction() as tx:
                if await configs.found(tx, mac, found.content if found else None):
                    log.warning("%s was %s by somebody else", mac.config_name, "changed" if found else "removed")

    async def _see_what_came_of_it(self, mac: Mac) -> None:
        """Of something that failed: most often nothing, and if somebody else does it later it is not ours."""
        with suppress(StorageFailed):  # the first look after the next start sees it
            known = await self._current(mac)
            async with self._db.transaction() as tx:
                await configs.found(tx, mac, known.content if known else None)

    async def _refresh(self) -> None:
        """Raises StorageFailed: the served directory cannot be read."""
        try:
            await asyncio.to_thread(self._library.refresh)
        except OSError as error:
            raise StorageFailed(f"The served directory cannot be read: {error.strerror}") from error

    async def _current(self, mac: Mac) -> Snapshot | None:
        return await asyncio.to_thread(self._library.current, mac.config_name)


def _is_a_profiles(sha256: str, known: Snapshot | None, served: Served | None, phone: Phone) -> bool:
    """Whether the phone is served the config because a switch put it there, and its profile still is the phone's."""
    return (
        known is not None
        and served is not None
        and known.sha256 == served.sha256 == sha256
        and served.origin == "switch"
        and phone.current_profile_uuid is not None
    )


def _label(config: SepConfig) -> str | None:
    """What the phone calls itself on its screen."""
    labels = (config.phone_label, *(line.label or line.display_name or line.name for line in config.lines))
    return next((label[:_LONGEST_NAME] for label in labels if label), None)


def _profile_of(mac: Mac, content: bytes, config: SepConfig, owner: str) -> dict[str, Any]:
    label = _label(config)
    return {
        "user_uuid": owner,
        "name": f"{label} ({mac.device_name})" if label else mac.device_name,
        "description": f"Taken over from {mac.config_name}",
        "cnf_xml": content,
        # Of a SIP config it cannot be told which of the two kinds of SIP software it is for.
        "software_type": Software.SCCP if config.speaks == "SCCP" else None,
    }


class ThreadsafeAdoption:
    """``adoption`` for the threads of the protocols, which wait for the answer."""

    def __init__(self, adoption: ConfigAdoption) -> None:
        self._adoption = adoption
        self._loop = asyncio.get_running_loop()

    def put_config(self, actor: Actor, mac: Mac, content: bytes) -> None:
        """See :class:`~cisisk.provisioning.uploads.Keeper`."""
        self._wait(self._adoption.put(actor, mac, content))

    def remove_config(self, actor: Actor, mac: Mac) -> None:
        """See :class:`~cisisk.provisioning.uploads.Keeper`."""
        self._wait(self._adoption.remove(actor, mac))

    def record(self, actor: Actor, action: str, path: str, payload: dict[str, Any]) -> None:
        """See :class:`~cisisk.provisioning.uploads.Keeper`."""
        self._wait(self._adoption.record(actor, action, path, payload))

    def _wait(self, work: Coroutine[Any, Any, None]) -> None:
        if self._loop.is_closed():
            work.close()
            raise StorageFailed(NOT_IN_TIME)
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            future.result(ANSWER_SECONDS)
        except (TimeoutError, Cancelled) as error:
            future.cancel()
            raise StorageFailed(NOT_IN_TIME) from error


@contextmanager
def _all_the_same(what: str) -> Iterator[None]:
    try:
        yield
    except StorageFailed as error:
        raise StorageFailed(f"{error}. {what}") from error


_NEVER: Stamp = (0, 0, 0, 0)
"""Of a file that was not seen yet."""
