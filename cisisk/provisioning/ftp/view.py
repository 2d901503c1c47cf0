"""The library as a tree of folders: what FTP lists, instead of the disk."""

import os
import stat
from collections.abc import Iterable, Iterator

from pyftpdlib.exceptions import FilesystemError
from pyftpdlib.filesystems import AbstractedFS

from cisisk.provisioning.library import FileEntry
from cisisk.provisioning.names import normalise

MAX_EMPTY_FOLDERS = 256
"""Folders that were made and have no file yet; more than any upload of a whole tree needs at a time."""


class EmptyFolders:
    """The folders that somebody made and put nothing into yet. A library has none: its folders are parts of names.

    They are remembered until the server stops, so that a client may make a folder, enter it and upload into it, over
    one connection or several.
    """

    def __init__(self) -> None:
        self._paths: dict[str, None] = {}

    def __iter__(self) -> Iterator[str]:
        return iter(self._paths)

    def add(self, path: str) -> None:
        """Remember one; of too many the oldest is forgotten. The root need not be."""
        if not path:
            return
        self._paths[path] = None
        if len(self._paths) > MAX_EMPTY_FOLDERS:
            del self._paths[next(iter(self._paths))]

    def fill(self, path: str) -> None:
        """A file was stored: the folders on the way to it are in the library now."""
        while path:
            path = path.rpartition("/")[0]
            self.discard(path)

    def discard(self, path: str) -> None:
        """Forget one."""
        self._paths.pop(path, None)


class LibraryView(AbstractedFS):
    """One session's view. Paths are ``/``-separated, absolute and without ``..``; none of them is a path of the system.

    Raises (every method that needs something to be there): FilesystemError, with a text for the user.
    """

    def __init__(self, empty: EmptyFolders, session: object) -> None:
        super().__init__("/", session)
        self._empty = empty
        self._files: dict[str, FileEntry] = {}
        self._folders: dict[str, set[str]] = {"/": set()}

    def show(self, entries: Iterable[FileEntry]) -> None:
        """See the library as it is now."""
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
        """The absolute path of what a client means by ``ftppath``."""
        return str(self.ftpnorm(ftppath))

    def fs2ftp(self, fspath: str) -> str:
        """What a client is told: the same."""
        return fspath

    def validpath(self, path: str) -> bool:
        """There is nothing outside."""
        return path.startswith("/")

    def realpath(self, path: str) -> str:
        """There are no links."""
        return path

    def isfile(self, path: str) -> bool:
        """Whether a file is served under exactly this name."""
        return path in self._files

    def isdir(self, path: str) -> bool:
        """Whether there is such a folder."""
        return path in self._folders

    def listdir(self, path: str) -> list[str]:
        """The names in a folder."""
        return sorted(self._folders[self._existing(path)])

    def chdir(self, path: str) -> None:
        """Make it the folder that names are relative to."""
        self.cwd = self._existing(path)

    def mkdir(self, path: str) -> None:
        """Have a folder that is empty for now."""
        if path in self._folders or path in self._files:
            raise FilesystemError("There is one already")
        if normalise(f"{path}/file") != f"{path[1:]}/file".casefold():
            raise FilesystemError("No phone could ask for a file in a folder of this name")
        self._empty.add(path)

    def rmdir(self, path: str) -> None:
        """Have an empty folder no more."""
        if self._folders[self._existing(path)]:
            raise FilesystemError("The folder is not empty")
        self._empty.discard(path)
        # The one around it is there until somebody removes that as well.
        self._empty.add(path.rpartition("/")[0])

    def getsize(self, path: str) -> int:
        """Bytes of a file."""
        return self.stat(path).st_size

    def getmtime(self, path: str) -> float:
        """When a file was changed, in seconds since 1970."""
        return self.stat(path).st_mtime

    def stat(self, path: str) -> os.stat_result:
        """What a listing shows."""
        entry = self._files.get(path)
        if entry is None:
            self._existing(path)
            return _status(stat.S_IFDIR | 0o755, 0, 0)
        return _status(stat.S_IFREG | 0o644, entry.size, int(entry.modified))

    lstat = stat

    def get_user_by_uid(self, _uid: int) -> str:
        """The owner of everything."""
        return "cisisk"

    get_group_by_gid = get_user_by_uid

    def _existing(self, path: str) -> str:
        if path not in self._folders:
            raise FilesystemError("No such file or folder")
        return path


def _status(mode: int, size: int, modified: int) -> os.stat_result:
    return os.stat_result((mode, 0, 0, 1, 0, 0, size, modified, modified, modified))
