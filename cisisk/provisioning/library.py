"""The served directory: files are found by name, opened safely and replaced atomically."""

import errno
import hashlib
import logging
import os
import stat
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, TypeAlias

from cisisk.model.errors import CisiskError, Conflict, NotFound, StorageFailed
from cisisk.model.mac import Mac
from cisisk.model.sep_config import names_flat_firmware
from cisisk.provisioning.contents import DEFAULT_BUDGET, SETTLED_NS, Contents
from cisisk.provisioning.names import MAX_COMPONENTS, device_mac, normalise
from cisisk.provisioning.source import Content, NotServed
from cisisk.provisioning.staging import STAGING, Staged, emptied

log = logging.getLogger(__name__)

MAX_ADOPTED_BYTES = 8 << 20
"""No phone accepts a config near this size (docs/phone-protocol/sep-xml.md#form). A larger file is not a config."""

_SAFE = os.O_NOFOLLOW | os.O_CLOEXEC
_A_LINK_OR_DEVICE = {errno.ELOOP, errno.ENXIO, errno.ENODEV}


Stamp: TypeAlias = tuple[int, int, int, int]
"""Inode, size and times of a file. They differ after any change."""

REPEAT_LOG_SECONDS = 600.0
"""Between two log lines about requests that fail for the same cause."""
WRITE_ATTEMPTS = 3
"""Times a config is written when another program keeps replacing the same file between reading and writing."""


SET_ASIDE = ".set-aside"
"""Folder below the root for files that Cisisk may replace and cannot read. Hidden, so that no phone reads them."""


class ChangedMeanwhile(CisiskError):
    """Another program wrote the file between reading and replacing it. Nothing was replaced."""


class Unreadable(StorageFailed):
    """The file exists, and Cisisk may not read it.

    Attributes:
        path: below the root.
    """

    def __init__(self, path: str, error: OSError) -> None:
        super().__init__(f"{path} cannot be read: {error.strerror}. Let the user of the Cisisk process read it")
        self.path = path


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One file as it is on the disk.

    Attributes:
        path: below the root.
        content: all its bytes.
    """

    path: str
    content: bytes
    stamp: Stamp

    @property
    def sha256(self) -> str:
        """Hexadecimal hash of the content."""
        return hashlib.sha256(self.content).hexdigest()


class FileEntry(NamedTuple):
    """One served file: its path below the root, its size in bytes, and when it was changed (seconds since 1970)."""

    path: str
    size: int
    modified: float


class _Layout:
    """The names in use, with case folded, as phones see them."""

    def __init__(self, paths: Mapping[str, str]) -> None:
        # Copied at once, because other threads change the originals.
        self._files = dict(paths)
        self._folders = {folder.casefold(): folder for path in self._files.values() for folder in _folders_of(path)}

    def add(self, path: str) -> None:
        """Add a file at ``path``."""
        self._files[path.casefold()] = path
        self._folders.update((folder.casefold(), folder) for folder in _folders_of(path))

    def clash(self, path: str) -> str | None:
        """Return why a file at ``path`` conflicts with the present files, or None."""
        key = path.casefold()
        if (other := self._files.get(key, path)) != path:
            return f"{other} exists already, and phones ignore the case of names. Use that name"
        if key in self._folders:
            return f"{self._folders[key]} is a folder"
        for folder in _folders_of(path):
            if folder.casefold() in self._files:
                return f"{self._files[folder.casefold()]} is a file and cannot also be a folder"
            if (other := self._folders.get(folder.casefold(), folder)) != folder:
                return f"The folder {other} exists already. Write it the same way"
        return None


class Library:
    """The served directory ``root``, which is created if it is missing (mode 0700).

    Methods may be called from any thread. Those that change files hold a lock. :meth:`open` never waits: it reads
    ``_paths``, a dict that is replaced as a whole or set at one key, and so sees the old entry or the new one.

    Attributes:
        unreadable: the files and folders that this process may not read, as of the last :meth:`refresh`.

    Raises:
        StorageFailed: the directory cannot be created or read.
    """

    def __init__(self, root: Path, cache_bytes: int = DEFAULT_BUDGET, settled_ns: int = SETTLED_NS) -> None:
        self._paths: dict[str, str] = {}
        self._contents = Contents(cache_bytes, settled_ns)
        self._changing = threading.Lock()
        self._seen = 0
        self._logged: dict[int, float] = {}
        self.unreadable: tuple[str, ...] = ()
        try:
            self._location = root.absolute()
            root.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._root = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            self._staging = emptied(self._root, STAGING)
        except OSError as error:
            raise StorageFailed(f"The served directory {root} cannot be used: {error.strerror}") from error
        self.refresh()

    def close(self) -> None:
        """Close the directory."""
        os.close(self._staging)
        os.close(self._root)

    def __len__(self) -> int:
        return len(self._paths)

    def is_at(self, directory: int) -> bool:
        """Whether the open ``directory`` is the served one."""
        return os.path.sameopenfile(directory, self._root)

    def __contains__(self, name: str) -> bool:
        """Whether a request for ``name`` would find a file."""
        return self._path(name) is not None

    def refresh(self) -> None:
        """Read the directory again: new files become available, removed ones unavailable.

        A directory that has taken the place of the served one is served from now on.

        Raises:
            OSError: the directory cannot be read, or has been moved away. What was known of it is still served.
        """
        found: dict[str, str] = {}
        with self._changing:
            self._follow()
            self._seen = os.fstat(self._root).st_mtime_ns
            locked: list[str] = []
            for path in sorted(regular_files(self._root, locked=locked), key=precedence):
                key = normalise(path)
                if key is not None and found.setdefault(key, path) != path:
                    log.debug("file not served, name differs only in case: path=%s served=%s", path, found[key])
            self._paths = found
            locked += [path for path in found.values() if not os.access(path, os.R_OK, dir_fd=self._root)]
            self.unreadable = tuple(sorted(locked))

    def open(self, name: str) -> Content:
        """Open the file that a peer has requested as ``name``, in its present version.

        Raises:
            NotServed: there is no such file, or it may not be read: outside the root, hidden, a link, a device.
            OSError: the file exists but the system cannot open it (no permission, no descriptors, disk error). It is
                logged, each cause once in a while: a phone repeats its request for ever.
        """
        path = self._path(name)
        try:
            opened = self._open(path)
            if opened is None and (newer := self._path(name)) != path:
                # Replaced by a name in another case between the lookup and the opening.
                opened = self._open(newer)
            if opened is not None:
                return self._contents.take(*opened)
        except OSError as error:
            self._log_failure(name, error)
            raise
        raise NotServed(name)

    def current(self, name: str, most: int = MAX_ADOPTED_BYTES) -> Snapshot | None:
        """Return what is served under ``name`` now, or None.

        Raises:
            Unreadable: this process may not read it.
            StorageFailed: it cannot be read, or has more than ``most`` bytes and so is no phone config.
        """
        try:
            if os.fstat(self._root).st_mtime_ns != self._seen or self._is_elsewhere():
                self.refresh()
            path = self._path(name)
            try:
                opened = self._open(path)
            except PermissionError as error:
                raise Unreadable(path or name, error) from error
            if path is None or opened is None:
                return None
            fd, status = opened
            with os.fdopen(fd, "rb", buffering=0) as file:
                if status.st_size > most:
                    raise StorageFailed(f"{path} has {status.st_size} bytes, too many for a config. Move it away")
                return Snapshot(path, file.read(), _stamp(status))
        except FileNotFoundError as error:
            raise self._gone() from error
        except OSError as error:
            raise StorageFailed(f"{name} cannot be read: {error.strerror}") from error

    def current_config(self, mac: Mac) -> Snapshot | None:
        """Return the config that a phone is served now, under the name by which its kind requests it; or None.

        An XML config that names the firmware of the first SIP generation is passed over: the phone reads its lines from
        ``SIP<MAC>.cnf`` then.

        Raises:
            StorageFailed: as :meth:`current`.
        """
        for name in mac.config_names:
            found = self.current(name)
            if found is not None and not names_flat_firmware(found.content):
                return found
        return None

    def replaceable_config(self, mac: Mac) -> Snapshot | None:
        """Return the config that a phone is served, or None. A file that cannot be read is moved away.

        Raises:
            StorageFailed: as :meth:`current`, or the file cannot be moved.
        """
        for _ in range(WRITE_ATTEMPTS):
            try:
                return self.current_config(mac)
            except Unreadable as error:
                log.warning("file not readable, moved away: path=%s to=%s", error.path, self.set_aside(error.path))
        raise StorageFailed(f"{mac.config_name} cannot be read, and another program keeps writing it")

    def replace(self, name: str, content: bytes, known: Snapshot | None) -> None:
        """Serve ``content`` under ``name``, as :meth:`put` does and with its errors."""
        staged = self.staged(name, content)
        try:
            self.put(staged, name, known)
        finally:
            staged.discard()

    def put(self, staged: Staged, name: str, known: Snapshot | None) -> None:
        """Serve a file under ``name`` from now on. At no moment is the file missing or incomplete.

        Args:
            staged: sealed. The caller keeps it if it is not served.
            name: a plain file name, written as given.
            known: what :meth:`current` returned, so that an unknown version is not overwritten.

        Raises:
            ChangedMeanwhile: the file is no longer ``known``.
            StorageFailed: the disk failed; the old content is still served.
        """
        try:
            with self._changing:
                self._require_in_place()
                self._put(staged.name, name, known)
            os.fsync(self._root)
        except OSError as error:
            raise StorageFailed(f"{name} could not be written: {error.strerror}") from error

    def remove(self, path: str, known: Snapshot | None = None) -> None:
        """Remove the file at ``path``, and the folders that this leaves empty.

        Args:
            path: below the root, exactly as it is written on the disk.
            known: what :meth:`current` returned, if an unknown version must not be lost.

        Raises:
            NotFound: there is no such file.
            ChangedMeanwhile: the file is no longer ``known``.
            StorageFailed: the disk failed; the file is still served.
        """
        key = normalise(path)
        try:
            with self._changing:
                if key is None or self._paths.get(key) != path:
                    raise NotFound(f"There is no file {path}")
                if known is not None:
                    self._require(path, known)
                folders, name = self._folders(path)
                try:
                    with suppress(FileNotFoundError):
                        os.unlink(name, dir_fd=folders[-1])
                    del self._paths[key]
                    os.fsync(folders[-1])
                    _remove_empty(folders, path)
                finally:
                    _close(folders)
        except OSError as error:
            raise StorageFailed(f"{path} could not be removed: {error.strerror}") from error

    def set_aside(self, path: str) -> str:
        """Move the file at ``path`` where no phone finds it, and return its new path below the root.

        For a file that cannot be read, and so cannot be kept as a version before it is replaced.

        Raises:
            StorageFailed: the disk or the directory's permissions refused.
        """
        hidden = f"{SET_ASIDE}/{path.replace('/', '_')}.{time.time_ns()}"
        try:
            with self._changing:
                with suppress(FileExistsError):
                    os.mkdir(SET_ASIDE, 0o700, dir_fd=self._root)
                os.rename(path, hidden, src_dir_fd=self._root, dst_dir_fd=self._root)
            os.fsync(self._root)
            # The file may have hidden one with the same name in another case.
            self.refresh()
        except OSError as error:
            raise StorageFailed(f"{path} can be neither read nor replaced: {error.strerror}") from error
        return hidden

    def stage(self, called: str = "The file") -> Staged:
        """Create a file that is not served yet. Errors name it as ``called``. Raises StorageFailed."""
        return Staged(self._staging, called)

    def staged(self, name: str, content: bytes) -> Staged:
        """Create a sealed file with ``content``, to be served under ``name``. Raises StorageFailed."""
        staged = self.stage(name)
        try:
            staged.write(content)
            staged.seal()
        except BaseException:
            staged.discard()
            raise
        return staged

    def publish(self, files: Sequence[tuple[Staged, str]]) -> None:
        """Serve files from now on, in this order, each replaced atomically. Files of the same names are replaced.

        Args:
            files: sealed ones, each with its path below the root.

        Raises:
            Conflict: as :meth:`require_places`; no file is served yet.
            StorageFailed: the disk failed. The first of several files may be served; each file is either old or new.
        """
        with self._changing:
            self._require_in_place()
            self.require_places([path for _, path in files])
            for staged, path in files:
                self._move(staged, path)

    def require_places(self, paths: Sequence[str]) -> None:
        """Raise Conflict if new files at ``paths`` conflict with present files or with one another."""
        layout = _Layout(self._paths)
        for path in paths:
            if reason := layout.clash(path):
                raise Conflict(reason)
            layout.add(path)

    def entries(self) -> list[FileEntry]:
        """Return all served files, by path."""
        found = (self.entry(path) for path in sorted(self._paths.values()))
        return [entry for entry in found if entry is not None]

    def entry(self, path: str) -> FileEntry | None:
        """Return the file at exactly this path, or None."""
        status = self._status(path)
        return None if status is None else FileEntry(path, status.st_size, status.st_mtime)

    def stamp(self, path: str) -> Stamp | None:
        """Return the version of the file at exactly this path, or None."""
        status = self._status(path)
        return None if status is None else _stamp(status)

    def stamps(self) -> dict[str, Stamp]:
        """Return the version of every file that is in no folder. The configs are among them.

        Raises:
            OSError: the directory cannot be read.
        """
        found: dict[str, Stamp] = {}
        for path in list(self._paths.values()):
            if "/" in path:
                continue
            with suppress(FileNotFoundError):
                status = os.stat(path, dir_fd=self._root, follow_symlinks=False)
                if stat.S_ISREG(status.st_mode):
                    found[path] = _stamp(status)
        return found

    def _log_failure(self, name: str, error: OSError) -> None:
        moment, cause = time.monotonic(), error.errno or 0
        if moment >= self._logged.get(cause, -REPEAT_LOG_SECONDS) + REPEAT_LOG_SECONDS:
            self._logged[cause] = moment
            log.error("file not opened: name=%r error=%r", name, error.strerror)

    def _is_elsewhere(self) -> bool:
        """Whether the open directory is not the one at its path any more. Raises OSError: there is none."""
        try:
            there = self._location.stat()
        except PermissionError:
            # A folder above it cannot be searched. What is open can still be read.
            return False
        return not os.path.samestat(there, os.fstat(self._root))

    def _follow(self) -> None:
        """Open the directory that has taken the place of the served one, if one has. Raises OSError."""
        if not self._is_elsewhere():
            return
        root = os.open(self._location, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            staging = emptied(root, STAGING)
            # Other threads use these descriptors: dup2 replaces each of them at once.
            os.dup2(staging, self._staging, inheritable=False)
            os.dup2(root, self._root, inheritable=False)
            os.close(staging)
        finally:
            os.close(root)
        log.warning("served directory replaced, the new one is served: path=%s", self._location)

    def _require_in_place(self) -> None:
        """Raise StorageFailed if the open directory is not the served one any more: its files reach no phone soon."""
        try:
            if not self._is_elsewhere():
                return
        except OSError as error:
            raise self._gone() from error
        raise StorageFailed(f"The served directory {self._location} was replaced a moment ago. Try again")

    def _gone(self) -> StorageFailed:
        return StorageFailed(f"The served directory {self._location} was moved away or deleted. Put it back")

    def _status(self, path: str) -> os.stat_result | None:
        if self._path(path) != path:
            return None
        try:
            status = os.stat(path, dir_fd=self._root, follow_symlinks=False)
        except OSError:
            return None
        return status if stat.S_ISREG(status.st_mode) else None

    def _move(self, staged: Staged, path: str) -> None:
        try:
            is_unchanged = os.fstat(self._root).st_mtime_ns == self._seen
            folders, name = self._folders(path, make=True)
            try:
                os.rename(staged.name, name, src_dir_fd=self._staging, dst_dir_fd=folders[-1])
                self._paths[path.casefold()] = path
                for folder in reversed(folders):
                    os.fsync(folder)
            except OSError:
                _remove_empty(folders, path)
                raise
            finally:
                _close(folders)
            if is_unchanged:
                self._seen = os.fstat(self._root).st_mtime_ns
        except OSError as error:
            raise StorageFailed(f"{path} could not be written: {error.strerror}") from error

    def _folders(self, path: str, *, make: bool = False) -> tuple[list[int], str]:
        """Open the folders from the root to that of ``path``; the caller closes them. Return them and the last name."""
        *parts, name = path.split("/")
        folders = [os.dup(self._root)]
        try:
            for part in parts:
                if make:
                    with suppress(FileExistsError):
                        os.mkdir(part, 0o700, dir_fd=folders[-1])
                folders.append(os.open(part, os.O_RDONLY | os.O_DIRECTORY | _SAFE, dir_fd=folders[-1]))
        except BaseException:
            _close(folders)
            raise
        return folders, name

    def _put(self, temporary: str, name: str, known: Snapshot | None) -> None:
        self._require(name, known)
        is_unchanged = os.fstat(self._root).st_mtime_ns == self._seen
        os.rename(temporary, name, src_dir_fd=self._staging, dst_dir_fd=self._root)
        self._paths[name.casefold()] = name
        if known is not None and known.path != name:
            # The same name in another case. Its content is kept as a version; the phone must not find it again.
            with suppress(FileNotFoundError):
                os.unlink(known.path, dir_fd=self._root)
        if is_unchanged:
            self._seen = os.fstat(self._root).st_mtime_ns

    def _path(self, name: str) -> str | None:
        key = normalise(name)
        return None if key is None else self._paths.get(key)

    def _open(self, path: str | None) -> tuple[int, os.stat_result] | None:
        return None if path is None else open_below(self._root, path)

    def _require(self, name: str, known: Snapshot | None) -> None:
        if known is not None and known.path != name:
            self._require(name, None)
        try:
            status = os.stat(known.path if known else name, dir_fd=self._root, follow_symlinks=False)
        except FileNotFoundError:
            # Removed by another program. Its content is kept as a version, and no file can be lost.
            return
        if not stat.S_ISREG(status.st_mode) and known is None:
            return
        if known is None or _stamp(status) != known.stamp:
            raise ChangedMeanwhile(f"Another program has just changed {name}. Try again")


def _folders_of(path: str) -> list[str]:
    return [path[:at] for at, letter in enumerate(path) if letter == "/"]


def _close(folders: Sequence[int]) -> None:
    for folder in folders:
        os.close(folder)


def _remove_empty(folders: Sequence[int], path: str) -> None:
    """Remove the folders of ``path`` that are empty, from the innermost one."""
    parts = path.split("/")[:-1]
    for folder, part in zip(reversed(folders[:-1]), reversed(parts), strict=True):
        try:
            os.rmdir(part, dir_fd=folder)
        except OSError:
            # Not empty, most often.
            return


def open_below(root: int, path: str) -> tuple[int, os.stat_result] | None:
    """Open the regular file at ``path`` below the open directory ``root``, without following links.

    Returns:
        Its descriptor, which the caller closes, and its status; None if there is no such file.

    Raises:
        OSError: the file exists but the system cannot open it.
    """
    *folders, name = path.split("/")
    folder = root
    try:
        for part in folders:
            below = os.open(part, os.O_RDONLY | os.O_DIRECTORY | _SAFE, dir_fd=folder)
            if folder != root:
                os.close(folder)
            folder = below
        # O_NONBLOCK: opening a named pipe must not wait for its writer.
        fd = os.open(name, os.O_RDONLY | os.O_NONBLOCK | _SAFE, dir_fd=folder)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        if error.errno in _A_LINK_OR_DEVICE:
            return None
        raise
    finally:
        if folder != root:
            os.close(folder)
    status = os.fstat(fd)
    if not stat.S_ISREG(status.st_mode):
        os.close(fd)
        return None
    return fd, status


def regular_files(
    folder: int,
    prefix: str = "",
    depth: int = MAX_COMPONENTS,
    passed_over: list[str] | None = None,
    locked: list[str] | None = None,
) -> Iterator[str]:
    """Yield the paths of all regular files below an open ``folder``.

    Args:
        passed_over: gets the paths of everything else.
        locked: gets the folders that this process may not read.
    """
    with os.scandir(folder) as entries:
        listed = list(entries)
    for entry in listed:
        is_hidden = entry.name.startswith(".")
        if not is_hidden and entry.is_file(follow_symlinks=False):
            yield prefix + entry.name
            continue
        if not is_hidden and entry.is_dir(follow_symlinks=False) and depth > 1:
            try:
                below = os.open(entry.name, os.O_RDONLY | os.O_DIRECTORY | _SAFE, dir_fd=folder)
            except PermissionError:
                if locked is not None:
                    locked.append(prefix + entry.name)
            except (FileNotFoundError, NotADirectoryError):
                pass
            else:
                try:
                    yield from regular_files(below, f"{prefix}{entry.name}/", depth - 1, passed_over, locked)
                finally:
                    os.close(below)
                continue
        if passed_over is not None and (prefix or entry.name not in {STAGING, SET_ASIDE}):
            passed_over.append(prefix + entry.name)


def precedence(path: str) -> tuple[bool, str]:
    """Sort key for names that differ only in case: a config name as Cisisk writes it comes first."""
    mac = device_mac(path)
    return not (isinstance(mac, Mac) and path in mac.config_names), path


def _stamp(status: os.stat_result) -> Stamp:
    return status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns
