"""The library as a tree of folders. FTP lists this tree, not the disk."""

import os
import stat
from collections.abc import Iterable, Iterator

from pyftpdlib.exceptions import FilesystemError
from pyftpdlib.filesystems import AbstractedFS

from cisisk.provisioning.library import FileEntry
from cisisk.provisioning.names import normalise

MAX_EMPTY_FOLDERS = 256
"""Folders without a file that are remembered: more than the upload of a tree needs at a time."""


class EmptyFolders:
    """The folders that clients have made and that have no file yet.

    A library has no empty folders: its folders are parts of file names. These are remembered until the server stops, so
    that a client can make a folder, enter it and upload into it, over one connection or several.
    """

    def __init__(self) -> None:
        self._paths: dict[str, None] = {}

    def __iter__(self) -> Iterator[str]:
        return iter(self._paths)

    def add(self, path: str) -> None:
        """Remember a folder; the oldest is forgotten when there are too many. The root is not remembered."""
        if not path:
            return
        self._paths[path] = None
        if len(self._paths) > MAX_EMPTY_FOLDERS:
            del self._paths[next(iter(self._paths))]

    def fill(self, path: str) -> None:
        """Forget the folders above ``path``: a file was stored there, so that the library has them now."""
        while path:
            path = path.rpartition("/")[0]
            self.discard(path)

    def discard(self, path: str) -> None:
        """Forget a folder."""
        self._paths.pop(path, None)


class LibraryView(AbstractedFS):
    """One session's view of the library.

    Paths are ``/``-separated, absolute and without ``..``. They are not paths of the disk. Methods raise
    FilesystemError, with a message for the user, if there is no such file or folder.
    """

    def __init__(self, empty: EmptyFolders, session: object) -> None:
        super().__init__("/", session)
        self._empty = empty
        self._files: dict[str, FileEntry] = {}
        self._folders: dict[str, set[str]] = {"/": set()}

    def show(self, entries: Iterable[FileEntry]) -> None:
        """Show these entries from now on."""
        self._files = {f"/{entry.path}": entry for entry in entries}
        self._folders = {"/": set()}
        for path in (*self._files, *(f"{folder}/" for folder in self._empty)):
            self._add(path)

    def _add(self, path: str) -> None:
        while path != "/":
            folder, _, name = path.rpartition("/")
            children = self._folders.setdefault(folder or "/", set())
            if name in children:
                return
            if name:
                children.add(name)
            path = folder or "/"

    def ftp2fs(self, ftppath: str) -> str:
        """Return the absolute path of ``ftppath``, which may be relative."""
        return str(self.ftpnorm(ftppath))

    def fs2ftp(self, fspath: str) -> str:
        """Return the same path."""
        return fspath

    def validpath(self, path: str) -> bool:
        """Whether the path is absolute: there is nothing outside the tree."""
        return path.startswith("/")

    def realpath(self, path: str) -> str:
        """Return the same path: there are no links."""
        return path

    def isfile(self, path: str) -> bool:
        """Whether there is a file with exactly this name."""
        return path in self._files

    def isdir(self, path: str) -> bool:
        """Whether there is such a folder."""
        return path in self._folders

    def exists(self, path: str) -> bool:
        """Whether there is a file or folder of exactly this name, which may be relative."""
        path = self.ftp2fs(path)
        return path in self._files or path in self._folders

    def listdir(self, path: str) -> list[str]:
        """Return the names in a folder."""
        return sorted(self._folders[self._existing(path)])

    def chdir(self, path: str) -> None:
        """Change the current folder."""
        self.cwd = self._existing(path)

    def mkdir(self, path: str) -> None:
        """Make an empty folder."""
        if path in self._folders or path in self._files:
            raise FilesystemError("A file or folder of that name exists")
        if normalise(f"{path}/file") != f"{path[1:]}/file".casefold():
            raise FilesystemError("Phones cannot request files in a folder of this name. Choose another name")
        self._empty.add(path)

    def rmdir(self, path: str) -> None:
        """Remove an empty folder."""
        if self._folders[self._existing(path)]:
            raise FilesystemError("The folder is not empty")
        self._empty.discard(path)
        # The folder above remains until it is removed too.
        self._empty.add(path.rpartition("/")[0])

    def getsize(self, path: str) -> int:
        """Return the size of a file in bytes."""
        return self.stat(path).st_size

    def getmtime(self, path: str) -> float:
        """Return when a file was changed, in seconds since 1970."""
        return self.stat(path).st_mtime

    def stat(self, path: str) -> os.stat_result:
        """Return what a listing shows."""
        entry = self._files.get(path)
        if entry is None:
            self._existing(path)
            return _status(stat.S_IFDIR | 0o755, 0, 0)
        return _status(stat.S_IFREG | 0o644, entry.size, int(entry.modified))

    lstat = stat

    def get_user_by_uid(self, _uid: int) -> str:
        """Return the name shown as owner of every file."""
        return "cisisk"

    get_group_by_gid = get_user_by_uid

    def _existing(self, path: str) -> str:
        if path not in self._folders:
            raise FilesystemError("No such file or folder")
        return path


def _status(mode: int, size: int, modified: int) -> os.stat_result:
    return os.stat_result((mode, 0, 0, 1, 0, 0, size, modified, modified, modified))
