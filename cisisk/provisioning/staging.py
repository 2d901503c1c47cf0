"""Files that are being written, before they are published under their names."""

import os
import secrets
import shutil
from contextlib import suppress
from typing import BinaryIO

from cisisk.model.errors import StorageFailed

STAGING = ".cisisk"
"""Folder for files that are being written. It is below the root, because a rename is atomic only within one file
system, and hidden, so that no phone reads an incomplete file."""

_SAFE = os.O_NOFOLLOW | os.O_CLOEXEC


class Staged:
    """A file that is being written and not served yet. Used by one thread at a time.

    Attributes:
        size: bytes written so far.
    """

    def __init__(self, staging: int, called: str) -> None:
        """Create a file in the open directory ``staging``. Errors name it as ``called``. Raises StorageFailed."""
        self.size = 0
        self._called = called
        self.name = secrets.token_hex(8)
        self._staging = staging
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | _SAFE
        try:
            self._file = os.fdopen(os.open(self.name, flags, 0o600, dir_fd=staging), "wb", buffering=0)
        except OSError as error:
            raise self._refused(error) from error

    def write(self, chunk: bytes) -> None:
        """Append ``chunk``. Raises StorageFailed."""
        view = memoryview(chunk)
        try:
            while view:
                written = self._file.write(view)
                self.size += written
                view = view[written:]
        except OSError as error:
            raise self._refused(error) from error

    def seal(self) -> None:
        """Write everything to the disk. Nothing can be added after that. Raises StorageFailed."""
        if self._file.closed:
            return
        try:
            with self._file:
                os.fsync(self._file.fileno())
        except OSError as error:
            raise self._refused(error) from error

    def read(self) -> BinaryIO:
        """Return the content. Raises StorageFailed."""
        try:
            return os.fdopen(os.open(self.name, os.O_RDONLY | _SAFE, dir_fd=self._staging), "rb")
        except OSError as error:
            raise self._refused(error) from error

    def discard(self) -> None:
        """Delete the file, unless it was published. May be called more than once."""
        with suppress(OSError):
            self._file.close()
        with suppress(OSError):
            os.unlink(self.name, dir_fd=self._staging)

    def _refused(self, error: OSError) -> StorageFailed:
        return StorageFailed(f"{self._called} could not be written: {error.strerror}")


def emptied(root: int, name: str) -> int:
    """Open the directory ``name`` below ``root``, and delete what a killed process has left in it."""
    with suppress(FileExistsError):
        os.mkdir(name, 0o700, dir_fd=root)
    folder = os.open(name, os.O_RDONLY | os.O_DIRECTORY | _SAFE, dir_fd=root)
    with os.scandir(folder) as entries:
        leftovers = [(entry.name, entry.is_dir(follow_symlinks=False)) for entry in entries]
    for leftover, is_folder in leftovers:
        if is_folder:  # not a file of ours: leave it, and start
            shutil.rmtree(leftover, dir_fd=folder)
        else:
            os.unlink(leftover, dir_fd=folder)
    return folder
