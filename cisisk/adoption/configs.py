"""Configs that do not come from a profile: uploads, imports, and changes by other programs."""

import asyncio
import hashlib
import logging
from collections.abc import Collection, Coroutine, Iterator, Mapping
from concurrent.futures import CancelledError as Cancelled
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from typing import Any

from cisisk.adoption.signed_configs import SignedConfigs
from cisisk.model import sep_config
from cisisk.model.deployment import Origin
from cisisk.model.errors import Conflict, NotFound, StorageFailed
from cisisk.model.mac import Mac
from cisisk.model.phone import Phone, Software
from cisisk.model.sep_config import ContentType, SepConfig
from cisisk.model.user import Actor
from cisisk.provisioning.library import WRITE_ATTEMPTS, ChangedMeanwhile, Library, Snapshot, Stamp, Unreadable
from cisisk.provisioning.names import device_mac
from cisisk.provisioning.phone_locks import PhoneLocks
from cisisk.provisioning.signed import is_signed
from cisisk.provisioning.uploads import config_mac
from cisisk.store import audit, configs, deployments, phones, profiles, users
from cisisk.store.configs import Served
from cisisk.store.database import Database
from cisisk.store.transaction import Write

log = logging.getLogger(__name__)

ANSWER_SECONDS = 120.0
"""How long a thread waits for the event loop: a switch of the same phone, with all restart methods, comes first."""
NOT_IN_TIME = "Cisisk is stopping or too busy. Check whether the change was made, then try again."
_LONGEST_NAME = 60
"""Characters of a label in the name of a profile."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AdoptedConfig:
    """The result of an adoption.

    Attributes:
        added: the phone was added to the inventory.
        made: a profile was created; the config was not adopted before.
        is_served: the config is served to the phone, or was when it was adopted.
        profile_uuid, profile_name, username: the profile and its user; empty if it was deleted since.
    """

    added: bool
    made: bool
    is_served: bool
    profile_uuid: str
    profile_name: str = ""
    username: str = ""


class ConfigAdoption:
    """Adopts configs, each under the lock of its phone, so that it does not race a switch.

    Args:
        locks: shared with the switches.
        max_config_bytes: the maximum size of a config.
    """

    def __init__(self, db: Database, library: Library, locks: PhoneLocks, max_config_bytes: int) -> None:
        self._db = db
        self._library = library
        self._locks = locks
        self._signed_configs = SignedConfigs(db, library)
        self.max_config_bytes = max_config_bytes
        self._seen: dict[Mac, tuple[Stamp, ...]] = {}
        self._refused: dict[Mac, tuple[Stamp, ...] | None] = {}
        self._signed: dict[str, Stamp] = {}

    async def put(self, actor: Actor, mac: Mac, content: bytes, name: str | None = None) -> None:
        """Serve ``content`` to the phone and store it as a version. An unknown phone is added to the inventory.

        Args:
            name: one of the phone's config names; None for the usual one.

        Raises:
            Invalid: the config must not be served.
            Conflict: another program keeps changing the file.
            StorageFailed: the disk or the database refused. The text says so if the config is served nevertheless.
        """
        name = name or mac.config_name
        await asyncio.to_thread(self._check, mac, name, content)
        async with self._locks.take(mac, supersedes=False):
            for _ in range(WRITE_ATTEMPTS):
                known = await self._replaceable(mac)
                sha256 = await self._db.write(_record_adoption, actor, mac, known, content)
                try:
                    await self._signed_configs.set_aside(mac, content)
                    await asyncio.to_thread(self._library.replace, name, content, known)
                except ChangedMeanwhile:
                    await self._refresh()
                    continue
                except StorageFailed:
                    await self._record_state(mac)
                    raise
                with _served_nevertheless("The new config is being served, but recording it failed."):
                    await self._db.write(configs.adopted, actor, mac, sha256)
                return
        raise Conflict(f"Another program keeps changing {name}. Stop it, then try again.")

    def _check(self, mac: Mac, name: str, content: bytes) -> None:
        form = ContentType.CNF if name == mac.flat_config_name else ContentType.XML
        sep_config.require_content_type(content, form)
        sep_config.read(content, max_bytes=self.max_config_bytes)

    async def remove(self, actor: Actor, mac: Mac) -> None:
        """Remove the config of a phone. The last one is kept as a version.

        Raises:
            NotFound: the phone has no config.
            Conflict, StorageFailed: as :meth:`put`.
        """
        async with self._locks.take(mac, supersedes=False):
            known = await self._current(mac)
            if known is None:
                raise NotFound("File not found")
            await self._db.write(_record_removal, mac, known)
            try:
                await self._remove(known)
            except (Conflict, StorageFailed):
                await self._record_state(mac)
                raise
            # The removed file may have hidden one with the same name in another case. Remove that as well.
            while hidden := await self._current(mac):
                await self._db.write(configs.keep_version, mac, hidden.content, Origin.ADOPTED)
                await self._remove(hidden)
            with _served_nevertheless("The file is removed, but recording it failed."):
                await self._db.write(configs.adopted, actor, mac, None)

    async def _remove(self, known: Snapshot) -> None:
        try:
            await asyncio.to_thread(self._library.remove, known.path, known)
        except ChangedMeanwhile as error:
            raise Conflict(str(error)) from error
        await self._refresh()

    async def adopt(
        self, actor: Actor, mac: Mac, content: bytes, config: SepConfig, owner: str, name: str | None = None
    ) -> AdoptedConfig:
        """Create a profile from a config of another server, and serve the config unless the phone has another one.

        An unknown phone is added to the inventory. A config that was adopted before changes nothing, nor does one that
        a switch has served.

        Args:
            content: the bytes of ``config``.
            owner: the uuid of the user who gets the profile.
            name: as for :meth:`put`.

        Raises:
            Invalid: there is no such user.
            Conflict: another program changes the file.
            StorageFailed: the disk or the database refused.
        """
        async with self._locks.take(mac, supersedes=False):
            known = await self._replaceable(mac)
            taken = _Taken(mac, name or mac.config_name, content, config, owner, known)
            adopted = await self._db.write(_record_and_name, actor, taken)
            if adopted.made and known is None:
                await self._serve_taken(actor, taken, adopted.profile_uuid)
            return adopted

    async def _serve_taken(self, actor: Actor, taken: "_Taken", profile: str) -> None:
        try:
            await asyncio.to_thread(self._library.replace, taken.name, taken.content, None)
        except ChangedMeanwhile as error:
            raise Conflict(str(error)) from error
        with _served_nevertheless("The config is being served, but recording it failed."):
            sha256 = hashlib.sha256(taken.content).hexdigest()
            await self._db.write(_record_adopted, actor, taken.mac, sha256, profile)

    async def record(self, actor: Actor, action: str, path: str, payload: dict[str, Any]) -> None:
        """Write an audit entry about a file. Raises StorageFailed."""
        await self._db.write(audit.record, actor, action, path, payload)

    async def look(self) -> None:
        """Record the configs that other programs have changed or removed on the disk since the last call.

        A config that cannot be read counts as removed, because no phone gets it. A signed config that appears beside
        the config of a switch is set aside.

        Raises:
            StorageFailed: the database cannot be read.
            OSError: the directory cannot be read.
        """
        stamps = await asyncio.to_thread(self._library.stamps)
        there: dict[Mac, tuple[Stamp, ...]] = {}
        for path, stamp in sorted(stamps.items()):
            if mac := config_mac(path):
                there[mac] = (*there.get(mac, ()), stamp)
        if not self._seen:
            # The first call: files that were removed while Cisisk did not run count as changed.
            served = await self._db.read(configs.served)
            self._seen = {mac: _NEVER for mac, known in served.items() if known.sha256 is not None}
        changed = [mac for mac in {*there, *self._seen} if there.get(mac) != self._seen.get(mac)]
        known = await self._known([mac for mac in changed if mac in there])
        events = _Events()
        for mac in changed:
            if mac in known:
                self._refused.pop(mac, None)
                self._seen[mac] = there[mac]
                continue
            # A change under the lock is probably that of a switch. If not, the next call finds it.
            if self._locks.are_taken(mac):
                continue
            try:
                await self._look_at(mac, events)
            except StorageFailed as error:
                if self._refused.get(mac) != there.get(mac):
                    events.add(f"changed config not recorded, error=({error.notice})", mac)
                    self._refused[mac] = there.get(mac)
                continue
            self._refused.pop(mac, None)
            if mac in there:
                self._seen[mac] = there[mac]
            else:
                self._seen.pop(mac, None)
        events.log()
        await self._set_signed_aside({path: stamp for path, stamp in stamps.items() if is_signed(path)})

    async def _set_signed_aside(self, signed: Mapping[str, Stamp]) -> None:
        """Set aside the signed configs that have appeared beside the config of a switch."""
        new = {path for path, stamp in signed.items() if self._signed.get(path) != stamp}
        for mac in {mac for path in new if (mac := device_mac(path))}:
            if self._locks.are_taken(mac):
                # A switch sets it aside. If not, the next call finds it.
                return
            async with self._locks.take(mac, supersedes=False):
                served = await self._db.read(configs.served_to, mac)
                if served is not None and served.origin == "switch":
                    found = await self._readable(mac)
                    await self._signed_configs.set_aside(mac, found.content if found else None)
        self._signed = dict(signed)

    async def _known(self, macs: Collection[Mac]) -> set[Mac]:
        """Return the phones whose served config equals the recorded one, usually after a switch."""
        if not macs:
            return set()
        hashes = await asyncio.to_thread(self._hashes, macs)
        served = await self._db.read(configs.served)
        return {mac for mac, sha256 in hashes.items() if mac in served and served[mac].sha256 == sha256}

    def _hashes(self, macs: Collection[Mac]) -> dict[Mac, str]:
        hashes = {}
        for mac in macs:
            # _look_at reports files that cannot be read.
            with suppress(StorageFailed):
                if found := self._library.current_config(mac):
                    hashes[mac] = found.sha256
        return hashes

    async def _look_at(self, mac: Mac, events: "_Events") -> None:
        async with self._locks.take(mac, supersedes=False):
            found = await self._readable(mac)
            if found is not None and any(
                cut_off.sha256 == found.sha256 for cut_off in await self._db.read(deployments.unfinished, mac)
            ):
                # The config of a switch that could not be recorded. The next switch or start settles it.
                return
            known = await self._db.read(configs.served_to, mac)
            if known is not None and known.sha256 == (found.sha256 if found else None):
                return
            if await self._db.write(configs.found, mac, found.content if found else None):
                events.add(
                    "config changed by another program" if found else "config removed by another program or unreadable",
                    mac,
                )

    async def _record_state(self, mac: Mac) -> None:
        """Record the served config after a failure. Usually nothing has changed."""
        with suppress(StorageFailed):  # the first look after the next start finds it
            known = await self._readable(mac)
            await self._db.write(configs.found, mac, known.content if known else None)

    async def _refresh(self) -> None:
        """Refresh the library. Raises StorageFailed if the served directory cannot be read."""
        try:
            await asyncio.to_thread(self._library.refresh)
        except OSError as error:
            raise StorageFailed(
                f"The served directory cannot be read: {error.strerror}. Check its permissions."
            ) from error

    async def _current(self, mac: Mac) -> Snapshot | None:
        return await asyncio.to_thread(self._library.current_config, mac)

    async def _readable(self, mac: Mac) -> Snapshot | None:
        """Return what the phone is served: nothing if the file cannot be read."""
        try:
            return await self._current(mac)
        except Unreadable:
            return None

    async def _replaceable(self, mac: Mac) -> Snapshot | None:
        return await asyncio.to_thread(self._library.replaceable_config, mac)


def _record_adoption(tx: Write, actor: Actor, mac: Mac, known: Snapshot | None, content: bytes) -> str:
    """Record, before the file is written, the present and the next config; return the sha256 of the next."""
    phones.enter(tx, actor, mac)
    configs.found(tx, mac, known.content if known else None)
    return configs.about_to_adopt(tx, mac, content)


def _record_removal(tx: Write, mac: Mac, known: Snapshot) -> None:
    """Record, before the file is removed, the present config."""
    configs.found(tx, mac, known.content)
    configs.about_to_remove(tx, mac)


def _record_adopted(tx: Write, actor: Actor, mac: Mac, sha256: str, profile: str) -> None:
    """Record that a config is served to the phone, as its profile."""
    configs.adopted(tx, actor, mac, sha256)
    configs.belongs_to(tx, mac, profile)


@dataclass(frozen=True, slots=True)
class _Taken:
    """A config of another server, the user who gets its profile, and the file that is served now."""

    mac: Mac
    name: str
    content: bytes
    config: SepConfig
    owner: str
    known: Snapshot | None


def _record_taken(tx: Write, actor: Actor, taken: _Taken) -> AdoptedConfig:
    """Record a config as a profile before it is served, unless it was adopted before or a switch has served it."""
    mac, known, sha256 = taken.mac, taken.known, hashlib.sha256(taken.content).hexdigest()
    profile = configs.imported_profile(tx, mac, sha256)
    served = configs.served_to(tx, mac)
    is_unfinished = known is None and served is not None and served.pending == sha256
    if profile is not None and not is_unfinished:
        return AdoptedConfig(added=False, made=False, is_served=True, profile_uuid=profile)
    phone = phones.find(tx, mac)
    if profile is None and phone is not None and (own := _served_profile(sha256, known, served, phone)) is not None:
        return AdoptedConfig(added=False, made=False, is_served=True, profile_uuid=own)
    if phone is None:
        phones.add(tx, actor, mac, {"name": _label(taken.config)})
    phones.confirm(tx, mac)
    configs.found(tx, mac, known.content if known else None)
    if profile is None:
        profile = profiles.add(tx, actor, _profile_of(taken))
        configs.record_import(tx, mac, taken.content, profile)
    if known is None:
        configs.about_to_adopt(tx, mac, taken.content)
    elif known.sha256 == sha256 and phones.get(tx, mac).current_profile_uuid is None:
        configs.belongs_to(tx, mac, profile)
    is_served = known is None or known.sha256 == sha256
    return AdoptedConfig(added=phone is None, made=True, is_served=is_served, profile_uuid=profile)


def _record_and_name(tx: Write, actor: Actor, taken: _Taken) -> AdoptedConfig:
    """Record a config as a profile, and return the result with the names of the profile and its user."""
    adopted = _record_taken(tx, actor, taken)
    with suppress(NotFound):
        profile = profiles.get(tx, adopted.profile_uuid)
        return replace(adopted, profile_name=profile.name, username=users.get(tx, profile.user_uuid).username)
    return adopted


def _served_profile(sha256: str, known: Snapshot | None, served: Served | None, phone: Phone) -> str | None:
    """Return the phone's current profile if a switch has served this config; else None."""
    is_from_switch = (
        known is not None
        and served is not None
        and known.sha256 == served.sha256 == sha256
        and served.origin == "switch"
    )
    return phone.current_profile_uuid if is_from_switch else None


def _label(config: SepConfig) -> str | None:
    """Return the label that the phone shows, or None."""
    labels = (config.phone_label, *(line.label or line.display_name or line.name for line in config.lines))
    return next((label[:_LONGEST_NAME] for label in labels if label), None)


def _profile_of(taken: _Taken) -> dict[str, Any]:
    label, device = _label(taken.config), taken.name.partition(".")[0]
    return {
        "user_uuid": taken.owner,
        "name": f"{label} ({device})" if label else device,
        "description": f"Imported from {taken.name}",
        "cnf_xml": taken.content,
        # A SIP config does not reveal which of the two kinds of SIP software it is for.
        "software_type": Software.SCCP if taken.config.speaks == "SCCP" else None,
    }


class _Events:
    """What one look has found, for the log: one line for each kind, not for each of a thousand files."""

    def __init__(self) -> None:
        self._macs: dict[str, list[Mac]] = {}

    def add(self, event: str, mac: Mac) -> None:
        """Note what happened to the config of a phone."""
        self._macs.setdefault(event, []).append(mac)

    def log(self) -> None:
        """Write the lines."""
        for event, macs in self._macs.items():
            log.warning("%s: files=%d example=%s", event, len(macs), macs[0].config_name)


class ThreadsafeAdoption:
    """Adoption for the threads of the protocols, which wait for the result."""

    def __init__(self, adoption: ConfigAdoption, answer_seconds: float = ANSWER_SECONDS) -> None:
        self._adoption = adoption
        self._answer_seconds = answer_seconds
        self._loop = asyncio.get_running_loop()

    def put_config(self, actor: Actor, mac: Mac, name: str, content: bytes) -> None:
        """See :class:`~cisisk.provisioning.uploads.Keeper`."""
        self._wait(self._adoption.put(actor, mac, content, name))

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
            future.result(self._answer_seconds)
        except (TimeoutError, Cancelled) as error:
            future.cancel()
            raise StorageFailed(NOT_IN_TIME) from error


@contextmanager
def _served_nevertheless(message: str) -> Iterator[None]:
    """Add a sentence to a failure that happens after the file was written or removed."""
    try:
        yield
    except StorageFailed as error:
        raise StorageFailed(f"{error}. {message}") from error


_NEVER: tuple[Stamp, ...] = ()
"""The stamps of files that were not seen yet."""
