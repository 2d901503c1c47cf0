"""Imports the directory of another TFTP server: configs become phones and profiles, other files are copied.

The directory is only read. Files that were imported before are skipped.
"""

import asyncio
import errno
import os
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import islice
from pathlib import Path
from types import MappingProxyType

from cisisk.adoption.configs import ConfigAdoption
from cisisk.adoption.layout import requested_name
from cisisk.model import sep_config
from cisisk.model.codes.config import FindingCode
from cisisk.model.codes.directory_import import ImportNoteCode
from cisisk.model.codes.error import ErrorKind
from cisisk.model.errors import Conflict, Invalid, TooLarge
from cisisk.model.mac import Mac
from cisisk.model.notice import Notice
from cisisk.model.sep_config import SepConfig
from cisisk.model.user import Actor
from cisisk.provisioning.firmware import load_findings
from cisisk.provisioning.library import FileEntry, Library, open_below, precedence, regular_files
from cisisk.provisioning.names import MAX_COMPONENTS
from cisisk.provisioning.purpose import Purpose, purpose
from cisisk.provisioning.uploads import Uploads, check_path, config_mac, config_name

MAX_FILES = 50_000
"""More than the directory of any site. A home directory, given by mistake, has more."""
_CHUNK = 1 << 20
_OF_A_PHONE = re.compile(r"(.*/)?(?:SEP|ATA|SIP)[0-9A-F]{12}\.cnf.*", re.IGNORECASE | re.ASCII)
"""Configs, and copies of them by people and programs."""


class ImportNoteKind(StrEnum):
    """The kind of a note about a file."""

    DUPLICATE = "duplicate"
    """Another config has the same line, or belongs to the same phone."""
    INVALID = "invalid"
    """Phones cannot read the config."""
    DEAD_LOAD = "dead_load"
    """The config names firmware that is absent or incomplete."""
    SSH_PASSWORD = "ssh_password"  # noqa: S105 -- the name of a kind
    """Everyone who fetches the config can read the password of the phone's shell."""
    SKIPPED = "skipped"
    """The file was not imported."""


@dataclass(frozen=True, slots=True)
class ImportNote:
    """A note about one file.

    Attributes:
        notice: an :class:`~cisisk.model.codes.directory_import.ImportNoteCode`, a finding of the config, or the notice
            of an error; never holds a secret.
    """

    path: str
    kind: ImportNoteKind
    notice: Notice


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportedConfig:
    """A config that is a profile, of this import or of an earlier one.

    Attributes:
        path: in the directory.
        profile_uuid, profile_name, username: the profile and its user; empty if it was deleted since.
        made: whether this import has created the profile.
    """

    path: str
    mac: Mac
    profile_uuid: str
    profile_name: str
    username: str
    made: bool


@dataclass(slots=True)
class ImportReport:
    """The result of an import.

    Attributes:
        phones: the number of phones that were added to the inventory.
        profiles: the number of configs that became profiles.
        files: the number of other files that were copied.
        unchanged: the number of files that existed already or were imported before.
        configs: the configs that are profiles now.
    """

    phones: int = 0
    profiles: int = 0
    files: int = 0
    unchanged: int = 0
    notes: list[ImportNote] = field(default_factory=list)
    configs: list[ImportedConfig] = field(default_factory=list)

    def counts(self) -> dict[str, int]:
        """Return the numbers for the audit log."""
        kinds = Counter(str(note.kind) for note in self.notes)
        made = {"phones": self.phones, "profiles": self.profiles, "files": self.files, "unchanged": self.unchanged}
        return made | dict(kinds)

    def note(self, path: str, kind: ImportNoteKind, notice: Notice) -> None:
        """Add a note."""
        self.notes.append(ImportNote(path, kind, notice))


class DirectoryImport:
    """Imports directories, one at a time.

    Args:
        threads: for work that waits for the disk and for the event loop.
        private: the data directory, whose files must never reach phones.
        served: the root of the library.
        max_files: of one directory.
    """

    def __init__(
        self,
        adoption: ConfigAdoption,
        library: Library,
        uploads: Uploads,
        threads: ThreadPoolExecutor,
        *,
        private: Path,
        served: Path,
        max_files: int = MAX_FILES,
    ) -> None:
        self._max_files = max_files
        self._adoption = adoption
        self._library = library
        self._uploads = uploads
        self._threads = threads
        self._private = private
        self._served = served
        self._busy = asyncio.Lock()

    async def run(
        self, actor: Actor, directory: Path, owner: str, owners: Mapping[Mac, str] = MappingProxyType({})
    ) -> ImportReport:
        """Import ``directory``.

        Args:
            directory: may be the served directory itself.
            owner: the uuid of the user who gets the profiles.
            owners: the uuids of other users, who get the profiles of these phones.

        Raises:
            Invalid: the directory cannot or must not be read, or there is no such user.
            Conflict: another import is running.
            StorageFailed: the disk or the database refused. What was imported by then stays; repeat the import later.
        """
        if self._busy.locked():
            raise Conflict("Another directory import is running. Wait for its end, then try again.")
        async with self._busy:
            source = await asyncio.to_thread(_Source, directory, self._max_files)
            try:
                await asyncio.to_thread(self._require_harmless, source, directory)
                return await self._import(actor, source, lambda mac: owners.get(mac, owner))
            finally:
                source.close()

    def _require_harmless(self, source: "_Source", directory: Path) -> None:
        if self._library.is_at(source.root):
            return
        real = directory.resolve()
        if _overlap(real, self._private.resolve()):
            raise Invalid.field(
                "directory",
                f"{directory} overlaps with Cisisk's own data, which phones must not read. Give another directory.",
            )
        if _overlap(real, self._served.resolve()):
            reason = f"{directory} overlaps with {self._served}, which is served already. Give another directory."
            raise Invalid.field("directory", reason)

    async def _import(self, actor: Actor, source: "_Source", owner: Callable[[Mac], str]) -> ImportReport:
        report = ImportReport()
        configs: dict[Mac, tuple[str, SepConfig]] = {}
        paths = await asyncio.to_thread(source.paths)
        for path in source.passed_over:
            report.note(path, ImportNoteKind.SKIPPED, ImportNoteCode.PASSED_OVER.notice())
        for path in paths:
            mac = config_mac(requested_name(path))
            try:
                if mac in configs:
                    notice = ImportNoteCode.SAME_PHONE.notice(path=configs[mac][0])
                    report.note(path, ImportNoteKind.DUPLICATE, notice)
                elif mac is not None and not await asyncio.to_thread(source.names_flat_firmware, path):
                    config = await self._import_config(actor, source, path, mac, owner(mac), report)
                    configs[mac] = path, config
                elif purpose(path) is Purpose.SIGNED_CONFIG:
                    report.note(path, ImportNoteKind.SKIPPED, ImportNoteCode.SIGNED_CONFIG.notice())
                elif mac is None and _OF_A_PHONE.fullmatch(path):
                    report.note(path, ImportNoteKind.SKIPPED, ImportNoteCode.CONFIG_COPY.notice())
                else:
                    await asyncio.get_running_loop().run_in_executor(
                        self._threads, self._import_file, actor, source, path, report
                    )
            except Invalid as error:
                kind = ImportNoteKind.INVALID if mac else ImportNoteKind.SKIPPED
                reasons = "; ".join(reason for reasons in error.fields.values() for reason in reasons)
                report.note(path, kind, ErrorKind.INVALID.notice(text=reasons))
            except (Conflict, TooLarge) as error:
                report.note(path, ImportNoteKind.SKIPPED, error.notice)
            except OSError as error:
                notice = ImportNoteCode.UNREADABLE.notice(error=error.strerror or str(error))
                report.note(path, ImportNoteKind.SKIPPED, notice)
        report.notes += _shared_lines(configs.values())
        # Firmware of the same directory is in the library only now.
        report.notes += await asyncio.to_thread(self._dead_loads, list(configs.values()))
        await self._adoption.record(actor, "directory.taken_over", source.name, report.counts())
        return report

    async def _import_config(
        self, actor: Actor, source: "_Source", path: str, mac: Mac, owner: str, report: ImportReport
    ) -> SepConfig:
        content = await asyncio.to_thread(source.read, path, self._adoption.max_config_bytes)
        config, findings = await asyncio.to_thread(sep_config.judge, content, max_bytes=self._adoption.max_config_bytes)
        report.notes += [
            ImportNote(path, ImportNoteKind.SSH_PASSWORD, finding.notice)
            for finding in findings
            if finding.code == FindingCode.SSH_PASSWORD_PRESENT
        ]
        name = config_name(mac, requested_name(path))
        adopted = await self._adoption.adopt(actor, mac, content, config, owner, name)
        report.configs.append(
            ImportedConfig(
                path=path,
                mac=mac,
                profile_uuid=adopted.profile_uuid,
                profile_name=adopted.profile_name,
                username=adopted.username,
                made=adopted.made,
            )
        )
        report.phones += adopted.added
        report.profiles += adopted.made
        report.unchanged += not adopted.made
        if not adopted.is_served:
            report.note(path, ImportNoteKind.SKIPPED, ImportNoteCode.CONFIG_NOT_SERVED.notice())
        return config

    def _import_file(self, actor: Actor, source: "_Source", path: str, report: ImportReport) -> None:
        """Copy one file into the library, unless it has a file of this name."""
        name = requested_name(path)
        check_path(name)
        entry = self._library.entry(name)
        if entry is not None:
            if source.is_same(path, self._library, entry):
                report.unchanged += 1
            else:
                report.note(path, ImportNoteKind.SKIPPED, ImportNoteCode.FILE_EXISTS.notice())
            return
        upload = self._uploads.begin(name, actor)
        try:
            for chunk in source.chunks(path):
                upload.write(chunk)
            upload.finish()
        finally:
            upload.discard()
        report.files += 1

    def _dead_loads(self, configs: Iterable[tuple[str, SepConfig]]) -> list[ImportNote]:
        return [
            ImportNote(path, ImportNoteKind.DEAD_LOAD, finding.notice)
            for path, config in configs
            for finding in load_findings(self._library, config)
        ]


def _shared_lines(configs: Iterable[tuple[str, SepConfig]]) -> Iterator[ImportNote]:
    """Yield notes on lines in several configs: their phones compete for one registration, or share it on purpose."""
    users: dict[tuple[str, str], list[str]] = defaultdict(list)
    for path, config in configs:
        servers = ",".join(config.call_managers).casefold()
        for name in {line.name for line in config.lines if line.is_line and line.name}:
            users[name, servers].append(path)
    for (name, _), paths in users.items():
        for path in paths[1:]:
            yield ImportNote(path, ImportNoteKind.DUPLICATE, ImportNoteCode.SAME_LINE.notice(line=name, path=paths[0]))


class _Source:
    """The directory of an import, opened for reading. Raises Invalid if it cannot be opened."""

    def __init__(self, directory: Path, max_files: int) -> None:
        self.name = str(directory)
        self._max_files = max_files
        self.passed_over: list[str] = []
        self._links: dict[str, str] = {}
        if not directory.is_absolute():
            raise Invalid.field("directory", "The path is relative. Give the absolute path.")
        try:
            self._real = directory.resolve()
            self.root = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            raise Invalid.field("directory", f"{directory} cannot be read: {error.strerror}") from error

    def close(self) -> None:
        os.close(self.root)

    def paths(self) -> list[str]:
        """Return every regular file, configs with their proper spelling first. Other entries go to ``passed_over``.

        A link that leads to a file or a folder of the directory counts as that.

        Raises:
            Invalid: the directory cannot be read, or has too many files.
        """
        try:
            found = list(islice(self._files(), self._max_files + 1))
        except OSError as error:
            raise Invalid.field("directory", f"{self.name} cannot be read: {error.strerror}") from error
        if len(found) > self._max_files:
            raise Invalid.field(
                "directory",
                f"The directory has more than {self._max_files} files. Give the directory of a TFTP server.",
            )
        return sorted(found, key=lambda path: (precedence(requested_name(path)), path))

    def _files(self) -> Iterator[str]:
        others: list[str] = []
        yield from regular_files(self.root, passed_over=others)
        for path in others:
            target = self._target(path)
            if target is None:
                self.passed_over.append(path)
            elif target.is_file():
                real = str(target.relative_to(self._real))
                # Both names lead phones to the same file: it is listed already.
                if requested_name(real).casefold() != requested_name(path).casefold():
                    self._links[path] = real
                    yield path
            else:
                yield from self._files_behind(path, target)

    def _target(self, path: str) -> Path | None:
        """Return where a link leads; None if it is no link, is hidden, or leads out of the directory or around."""
        link = self._real / path
        if not link.is_symlink() or link.name.startswith("."):
            return None
        try:
            target = link.resolve(strict=True)
        except (OSError, RuntimeError):
            return None
        if not target.is_relative_to(self._real) or link.is_relative_to(target):
            return None
        is_hidden = any(part.startswith(".") for part in target.relative_to(self._real).parts)
        return None if is_hidden or not (target.is_file() or target.is_dir()) else target

    def _files_behind(self, path: str, target: Path) -> Iterator[str]:
        """Yield the files of the folder to which a link leads, below the link."""
        folder = os.open(target, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            for below in regular_files(folder, depth=MAX_COMPONENTS - path.count("/") - 1):
                self._links[f"{path}/{below}"] = f"{target.relative_to(self._real)}/{below}"
                yield f"{path}/{below}"
        finally:
            os.close(folder)

    def chunks(self, path: str) -> Iterator[bytes]:
        """Yield the contents of a file. Raises OSError."""
        opened = open_below(self.root, self._links.get(path, path))
        if opened is None:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
        with os.fdopen(opened[0], "rb", buffering=0) as file:
            while chunk := file.read(_CHUNK):
                yield chunk

    def read(self, path: str, most: int) -> bytes:
        """Return the contents of a small file. Raises OSError, and Invalid if it has more than ``most`` bytes."""
        content = bytearray()
        for chunk in self.chunks(path):
            content += chunk
            if len(content) > most:
                raise Invalid.field("cnf_xml", f"The file has more than {most} bytes")
        return bytes(content)

    def names_flat_firmware(self, path: str) -> bool:
        """Return whether a config only tells the first SIP generation which firmware to run."""
        beginning = next(self.chunks(path), b"")
        return sep_config.names_flat_firmware(beginning)

    def is_same(self, path: str, library: Library, entry: FileEntry) -> bool:
        """Return whether the library's file ``entry`` has the bytes of the file at ``path``."""
        if library.is_at(self.root) and path == entry.path:
            return True
        with closing(library.open(entry.path)) as content:
            at = 0
            for chunk in self.chunks(path):
                if content.read(at, len(chunk)) != chunk:
                    return False
                at += len(chunk)
            return at == entry.size


def _overlap(one: Path, other: Path) -> bool:
    """Return whether two resolved paths are equal, or one contains the other."""
    return one == other or one in other.parents or other in one.parents
