"""The served directory: what phones may read, found by name, opened safely, replaced atomically."""

import errno
import hashlib
import logging
import os
import stat
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, TypeAlias

from cisisk.model.errors import CisiskError, Conflict, NotFound, StorageFailed
from cisisk.model.mac import Mac
from cisisk.provisioning.contents import DEFAULT_BUDGET, SETTLED_NS, Contents
from cisisk.provisioning.names import MAX_COMPONENTS, device_mac, normalise
from cisisk.provisioning.source import Content, NotServed
from cisisk.provisioning.staging import STAGING, Staged, emptied

log = logging.getLogger(__name__)

MAX_ADOPTED_BYTES = 8 << 20
"""No phone takes a config near this size (docs/phone-protocol/sep-xml.md#form); what lies there is none."""

_SAFE = os.O_NOFOLLOW | os.O_CLOEXEC
_A_LINK_OR_DEVICE = {errno.ELOOP, errno.ENXIO, errno.ENODEV}


Stamp: TypeAlias = tuple[int, int, int, int]
"""Inode, size and times of a file, which differ after any change."""

WRITE_ATTEMPTS = 3
"""Times a config is written when another program keeps replacing the same file between reading and writing."""


class ChangedMeanwhile(CisiskError):
    """Somebody else wrote the file between reading and replacing it; nothing was replaced."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One file as it lies on the disk.

    Attributes:
        path: below the root.
        content: the whole of it.
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
    """Which names are taken, without upper and lower case, as phones see them."""

    def __init__(self, paths: Mapping[str, str]) -> None:
        # A copy at once: others go on changing what it is made from.
        self._files = dict(paths)
        self._folders = {folder.casefold(): folder for path in self._files.values() for folder in _folders_of(path)}

    def add(self, path: str) -> None:
        """A file at ``path``."""
        self._files[path.casefold()] = path
        self._folders.update((folder.casefold(), folder) for folder in _folders_of(path))

    def clash(self, path: str) -> str | None:
        """Why a file at ``path`` would not go together with what is there, or None."""
        key = path.casefold()
        if (other := self._files.get(key, path)) != path:
            return f"{other} is there already, and phones do not tell upper from lower case: use that name"
        if key in self._folders:
            return f"{self._folders[key]} is a folder"
        for folder in _folders_of(path):
            if folder.casefold() in self._files:
                return f"{self._files[folder.casefold()]} is a file and cannot be a folder as well"
            if (other := self._folders.get(folder.casefold(), folder)) != folder:
                return f"There is a folder {other} already: write it the same"
        return None


class Library:
    """The served directory under ``root``, which is created when absent (0700).

    Every method may be called from any thread. Those that change something take turns; :meth:`open` waits for nobody:
    it meets them in ``_paths``, a dict that is swapped whole or set at one key, so it sees the old entry or the new.

    Raises:
        StorageFailed: the directory cannot be made or read.
    """

    def __init__(self, root: Path, cache_bytes: int = DEFAULT_BUDGET, settled_ns: int = SETTLED_NS) -> None:
        self._paths: dict[str, str] = {}
        self._contents = Contents(cache_bytes, settled_ns)
        self._changing = threading.Lock()
        self._seen = 0
        try:
            root.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._root = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            self._staging = emptied(self._root, STAGING)
        except OSError as error:
            raise StorageFailed(f"The served directory {root} cannot be used: {error.strerror}") from error
        self.refresh()

    def close(self) -> None:
        """Let go of the directory."""
        os.close(self._staging)
        os.close(self._root)

    def __len__(self) -> int:
        return len(self._paths)

    def is_at(self, directory: int) -> bool:
        """Whether the open ``directory`` is the served one."""
        return os.path.sameopenfile(directory, self._root)

    def __contains__(self, name: str) -> bool:
        """Whether a phone that asks for ``name`` would find a file."""
        return self._path(name) is not None

    def refresh(self) -> None:
        """Look again what lies in the directory: files that somebody put there become servable, removed ones not."""
        found: dict[str, str] = {}
        with self._changing:
            self._seen = os.fstat(self._root).st_mtime_ns
            for path in sorted(regular_files(self._root), key=precedence):
                key = normalise(path)
                if key is not None and found.setdefault(key, path) != path:
                    log.debug("%s is hidden by %s: phones do not tell upper from lower case", path, found[key])
            self._paths = found

    def open(self, name: str) -> Content:
        """The file that a peer asked for by ``name``, as it is at this moment.

        Raises:
            NotServed: no such file, or one that is not to be read: outside the root, hidden, a link, a device.
            OSError: it is there but the system cannot open it (out of descriptors, disk error).
        """
        path = self._path(name)
        opened = self._open(path)
        if opened is None and (newer := self._path(name)) != path:
            # Replaced by the same name in other letters between finding and opening it.
            opened = self._open(newer)
        if opened is None:
            raise NotServed(name)
        return self._contents.take(*opened)

    def current(self, name: str, most: int = MAX_ADOPTED_BYTES) -> Snapshot | None:
        """What is served under ``name`` now, or None.

        Raises:
            StorageFailed: it cannot be read, or has more than ``most`` bytes, and is no phone config then.
        """
        try:
            if os.fstat(self._root).st_mtime_ns != self._seen:
                self.refresh()
            path = self._path(name)
            opened = self._open(path)
            if path is None or opened is None:
                return None
            fd, status = opened
            with os.fdopen(fd, "rb", buffering=0) as file:
                if status.st_size > most:
                    raise StorageFailed(f"{path} has {status.st_size} bytes: that is no phone config. Move it away")
                return Snapshot(path, file.read(), _stamp(status))
        except OSError as error:
            raise StorageFailed(f"{name} cannot be read: {error.strerror}") from error

    def replace(self, name: str, content: bytes, known: Snapshot | None) -> None:
        """Serve ``content`` under ``name`` from now on, as :meth:`put` does, and with its errors."""
        staged = self.staged(name, content)
        try:
            self.put(staged, name, known)
        finally:
            staged.discard()

    def put(self, staged: Staged, name: str, known: Snapshot | None) -> None:
        """Serve a file under ``name`` from now on; at no moment is there no file, or half of one.

        Args:
            staged: sealed. It stays the caller's while it is not served.
            name: a plain file name, written as given.
            known: what :meth:`current` returned, so that nothing unseen is overwritten.

        Raises:
            ChangedMeanwhile: the file is no longer ``known``.
            StorageFailed: the disk refused; the old content is still served.
        """
        try:
            with self._changing:
                self._put(staged.name, name, known)
            os.fsync(self._root)
        except OSError as error:
            raise StorageFailed(f"{name} could not be written: {error.strerror}") from error

    def remove(self, path: str, known: Snapshot | None = None) -> None:
        """Serve the file at ``path`` no more; the folders that this leaves empty go with it.

        Args:
            path: below the root, exactly as it is written there.
            known: what :meth:`current` returned, where nothing unseen may be lost.

        Raises:
            NotFound: no such file.
            ChangedMeanwhile: the file is no longer ``known``.
            StorageFailed: the disk refused; the file is still served.
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

    def stage(self, called: str = "The file") -> Staged:
        """A new file that nobody is served yet; errors speak of it as ``called``. Raises StorageFailed."""
        return Staged(self._staging, called)

    def staged(self, name: str, content: bytes) -> Staged:
        """A new file with ``content``, sealed, that is to be served under ``name``. Raises StorageFailed."""
        staged = self.stage(name)
        try:
            staged.write(content)
            staged.seal()
        except BaseException:
            staged.discard()
            raise
        return staged

    def publish(self, files: Sequence[tuple[Staged, str]]) -> None:
        """Serve files from now on, each whole at once, in this order; what has their names is replaced.

        Args:
            files: sealed ones, each with its path below the root.

        Raises:
            Conflict: as :meth:`require_places`; nothing is served yet.
            StorageFailed: the disk refused. Of several files the first ones may be served; every one is old or new.
        """
        with self._changing:
            self.require_places([path for _, path in files])
            for staged, path in files:
                self._move(staged, path)

    def require_places(self, paths: Sequence[str]) -> None:
        """Raise Conflict when new files at ``paths`` would not go together with what is there, or with one another."""
        layout = _Layout(self._paths)
        for path in paths:
            if reason := layout.clash(path):
                raise Conflict(reason)
            layout.add(path)

    def entries(self) -> list[FileEntry]:
        """Everything that is served, by path."""
        found = (self.entry(path) for path in sorted(self._paths.values()))
        return [entry for entry in found if entry is not None]

    def entry(self, path: str) -> FileEntry | None:
        """The file at ``path``, exactly as it is written; None when there is none."""
        status = self._status(path)
        return None if status is None else FileEntry(path, status.st_size, status.st_mtime)

    def stamp(self, path: str) -> Stamp | None:
        """Which version of the file at ``path``, exactly as it is written, lies there; None when there is none."""
        status = self._status(path)
        return None if status is None else _stamp(status)

    def stamps(self) -> dict[str, Stamp]:
        """The same of every file that lies in no folder: the configs are among those."""
        found = {path: self.stamp(path) for path in list(self._paths.values()) if "/" not in path}
        return {path: stamp for path, stamp in found.items() if stamp is not None}

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
            nobody_else = os.fstat(self._root).st_mtime_ns == self._seen
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
            if nobody_else:
                self._seen = os.fstat(self._root).st_mtime_ns
        except OSError as error:
            raise StorageFailed(f"{path} could not be written: {error.strerror}") from error

    def _folders(self, path: str, *, make: bool = False) -> tuple[list[int], str]:
        """The open folders from the root to that of ``path``, the caller's to close, and the name in the last one."""
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
        nobody_else = os.fstat(self._root).st_mtime_ns == self._seen
        os.rename(temporary, name, src_dir_fd=self._staging, dst_dir_fd=self._root)
        self._paths[name.casefold()] = name
        if known is not None and known.path != name:
            # The same name in other letters: its content is kept as a version, the phone must not find it again.
            with suppress(FileNotFoundError):
                os.unlink(known.path, dir_fd=self._root)
        if nobody_else:
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
            # Removed by somebody: what it held is kept as a version, and nothing is there to be lost.
            return
        if not stat.S_ISREG(status.st_mode) and known is None:
            return
        if known is None or _stamp(status) != known.stamp:
            raise ChangedMeanwhile(f"{name} was changed by somebody else at this moment")


def _folders_of(path: str) -> list[str]:
    return [path[:at] for at, letter in enumerate(path) if letter == "/"]


def _close(folders: Sequence[int]) -> None:
    for folder in folders:
        os.close(folder)


def _remove_empty(folders: Sequence[int], path: str) -> None:
    """Remove the folders of ``path`` in which nothing lies any more, from the innermost one."""
    parts = path.split("/")[:-1]
    for folder, part in zip(reversed(folders[:-1]), reversed(parts), strict=True):
        try:
            os.rmdir(part, dir_fd=folder)
        except OSError:
            # Not empty, most often.
            return


def open_below(root: int, path: str) -> tuple[int, os.stat_result] | None:
    """The regular file at ``path`` below the open directory ``root``, walked to without following any link.

    Returns:
        Its descriptor, the caller's to close, and its state; None when there is no such file.

    Raises:
        OSError: it is there but the system cannot open it.
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
    folder: int, prefix: str = "", depth: int = MAX_COMPONENTS, passed_over: list[str] | None = None
) -> Iterator[str]:
    """The paths of all regular files below an open ``folder``; the rest (hidden, links) goes to ``passed_over``."""
    with os.scandir(folder) as entries:
        listed = list(entries)
    for entry in listed:
        is_hidden = entry.name.startswith(".")
        if not is_hidden and entry.is_file(follow_symlinks=False):
            yield prefix + entry.name
            continue
        if not is_hidden and entry.is_dir(follow_symlinks=False) and depth > 1:
            with suppress(FileNotFoundError, NotADirectoryError, PermissionError):
                below = os.open(entry.name, os.O_RDONLY | os.O_DIRECTORY | _SAFE, dir_fd=folder)
                try:
                    yield from regular_files(below, f"{prefix}{entry.name}/", depth - 1, passed_over)
                finally:
                    os.close(below)
                continue
        if passed_over is not None and not (entry.name == STAGING and not prefix):
            passed_over.append(prefix + entry.name)


def precedence(path: str) -> tuple[bool, str]:
    """Of names that differ only in case, a config written the way Cisisk writes it comes first."""
    mac = device_mac(path)
    return not (isinstance(mac, Mac) and mac.config_name == path), path


def _stamp(status: os.stat_result) -> Stamp:
    return status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns
