"""The served directory: what phones may read, found by name, opened safely, replaced atomically."""

import errno
import hashlib
import logging
import os
import secrets
import stat
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from cisisk.model.errors import CisiskError, StorageFailed
from cisisk.model.mac import Mac
from cisisk.provisioning.contents import DEFAULT_BUDGET, Contents
from cisisk.provisioning.names import MAX_COMPONENTS, device_mac, normalise
from cisisk.provisioning.source import Content, NotServed

log = logging.getLogger(__name__)

MAX_ADOPTED_BYTES = 8 << 20
"""No phone takes a config near this size (phone-protocol notes 2.1: 550,001 bytes); what lies there is none."""

STAGING = ".cisisk"
"""Where a file is written before it appears under its name: below the root, for only within one file system is that
atomic, and hidden, so that no phone can read half of it."""

_SAFE = os.O_NOFOLLOW | os.O_CLOEXEC
_A_LINK_OR_DEVICE = {errno.ELOOP, errno.ENXIO, errno.ENODEV}


class ChangedMeanwhile(CisiskError):
    """Somebody else wrote the file between reading and replacing it; nothing was replaced."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One file as it lies on the disk.

    Attributes:
        path: below the root.
        content: the whole of it.
        stamp: inode, size and times, which differ after any change.
    """

    path: str
    content: bytes
    stamp: tuple[int, int, int, int]

    @property
    def sha256(self) -> str:
        """Hexadecimal hash of the content."""
        return hashlib.sha256(self.content).hexdigest()


class Library:
    """The served directory under ``root``, which is created when absent (0700).

    Every method may be called from any thread. Those that change something take turns; :meth:`open` waits for nobody:
    it meets them in ``_paths``, a dict that is swapped whole or set at one key, so it sees the old entry or the new.

    Raises:
        StorageFailed: the directory cannot be made or read.
    """

    def __init__(self, root: Path, cache_bytes: int = DEFAULT_BUDGET) -> None:
        self._paths: dict[str, str] = {}
        self._contents = Contents(cache_bytes)
        self._changing = threading.Lock()
        self._seen = 0
        try:
            root.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._root = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            self._staging = _emptied(self._root, STAGING)
        except OSError as error:
            raise StorageFailed(f"The served directory {root} cannot be used: {error.strerror}") from error
        self.refresh()

    def close(self) -> None:
        """Let go of the directory."""
        os.close(self._staging)
        os.close(self._root)

    def __len__(self) -> int:
        return len(self._paths)

    def refresh(self) -> None:
        """Look again what lies in the directory: files that somebody put there become servable, removed ones not."""
        found: dict[str, str] = {}
        with self._changing:
            self._seen = os.fstat(self._root).st_mtime_ns
            for path in sorted(_regular_files(self._root), key=_precedence):
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

    def current(self, name: str) -> Snapshot | None:
        """What is served under ``name`` now, or None.

        Raises:
            StorageFailed: it cannot be read, or is larger than any config.
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
                if status.st_size > MAX_ADOPTED_BYTES:
                    raise StorageFailed(f"{path} has {status.st_size} bytes: that is no phone config. Move it away")
                return Snapshot(path, file.read(), _stamp(status))
        except OSError as error:
            raise StorageFailed(f"{name} cannot be read: {error.strerror}") from error

    def replace(self, name: str, content: bytes, known: Snapshot | None) -> None:
        """Serve ``content`` under ``name`` from now on; at no moment is there no file, or half of one.

        Args:
            name: a plain file name, written as given.
            content: the whole file.
            known: what :meth:`current` returned, so that nothing unseen is overwritten.

        Raises:
            ChangedMeanwhile: the file is no longer ``known``.
            StorageFailed: the disk refused; the old content is still served.
        """
        temporary = secrets.token_hex(8)
        try:
            try:
                self._write(temporary, content)
                with self._changing:
                    self._put(temporary, name, known)
            except BaseException:
                with suppress(OSError):
                    os.unlink(temporary, dir_fd=self._staging)
                raise
            os.fsync(self._root)
        except OSError as error:
            raise StorageFailed(f"{name} could not be written: {error.strerror}") from error

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
        """The regular file at ``path``, walked to without following any link: descriptor and state, or None."""
        if path is None:
            return None
        *folders, name = path.split("/")
        folder = self._root
        try:
            for part in folders:
                below = os.open(part, os.O_RDONLY | os.O_DIRECTORY | _SAFE, dir_fd=folder)
                if folder != self._root:
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
            if folder != self._root:
                os.close(folder)
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode):
            os.close(fd)
            return None
        return fd, status

    def _write(self, temporary: str, content: bytes) -> None:
        fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _SAFE, 0o600, dir_fd=self._staging)
        with os.fdopen(fd, "wb", buffering=0) as file:
            view = memoryview(content)
            while view:
                view = view[file.write(view) :]
            os.fsync(fd)

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


def _emptied(root: int, name: str) -> int:
    """The open directory ``name`` below ``root``, without what a process that was killed has left in it."""
    with suppress(FileExistsError):
        os.mkdir(name, 0o700, dir_fd=root)
    folder = os.open(name, os.O_RDONLY | os.O_DIRECTORY | _SAFE, dir_fd=root)
    with os.scandir(folder) as entries:
        leftovers = [entry.name for entry in entries]
    for leftover in leftovers:
        os.unlink(leftover, dir_fd=folder)
    return folder


def _regular_files(folder: int, prefix: str = "", depth: int = MAX_COMPONENTS) -> Iterator[str]:
    """The paths of all regular files below an open ``folder``; hidden names and links are passed over."""
    with os.scandir(folder) as entries:
        listed = [entry for entry in entries if not entry.name.startswith(".")]
    for entry in listed:
        if entry.is_file(follow_symlinks=False):
            yield prefix + entry.name
        elif entry.is_dir(follow_symlinks=False) and depth > 1:
            with suppress(FileNotFoundError, NotADirectoryError, PermissionError):
                below = os.open(entry.name, os.O_RDONLY | os.O_DIRECTORY | _SAFE, dir_fd=folder)
                try:
                    yield from _regular_files(below, f"{prefix}{entry.name}/", depth - 1)
                finally:
                    os.close(below)


def _precedence(path: str) -> tuple[bool, str]:
    """Of names that differ only in case, a config written the way Cisisk writes it comes first."""
    mac = device_mac(path)
    return not (isinstance(mac, Mac) and mac.config_name == path), path


def _stamp(status: os.stat_result) -> tuple[int, int, int, int]:
    return status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns
