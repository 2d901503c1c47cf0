"""The lock that admits one process per data directory."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from cisisk.model.errors import StartRefused


def prepare(directory: Path) -> None:
    """Create the data directory (mode 0700) if it is absent.

    Raises:
        StartRefused: it cannot be created or written, or belongs to another user.
    """
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise StartRefused(f"The data directory {directory} cannot be made: {error.strerror}. Set data.dir") from error
    if not os.access(directory, os.W_OK | os.X_OK):
        raise StartRefused(
            f"The data directory {directory} is not writable for this user. Change its owner or data.dir"
        )
    if directory.stat().st_uid != os.geteuid():
        raise StartRefused(
            f"The data directory {directory} belongs to another user, whose service could not use the files written "
            "now. Run this as that user, or while the service is running"
        )


@contextmanager
def exclusive(directory: Path) -> Iterator[None]:
    """Lock the data directory. The kernel releases the lock when the process ends for any reason.

    Raises:
        StartRefused: another process holds the lock.
    """
    path = directory / "lock"
    try:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise StartRefused(f"{path} cannot be opened: {error.strerror}") from error
    try:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(fd, 32).decode(errors="replace").strip() or "unknown"
            raise StartRefused(f"Cisisk already runs on {directory} (process {holder})") from None
        # The process number is only for the error message above: the lock holds without it on a full disk.
        with suppress(OSError):
            os.ftruncate(fd, 0)
            os.pwrite(fd, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(fd)
