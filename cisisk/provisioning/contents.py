"""The contents of served files: each version is read once, shared by its readers, and kept within a memory budget."""

import hashlib
import os
import threading
import time
from collections import OrderedDict
from typing import TypeAlias

DEFAULT_BUDGET = 6 << 20
"""Bytes of contents kept in memory: the configs of several hundred phones and the files that all of them share."""
WHOLE_BYTES = 1 << 20
"""Contents up to this size are hashed, and kept whole if the budget allows. Any config is smaller. Larger files
(firmware) are read from their descriptor in pieces, so that they are never in memory as a whole."""
SHORTEST_READ_AHEAD, LONGEST_READ_AHEAD = 4 << 10, 64 << 10
"""Bytes that a reader should read at once from a content that is not kept whole. For a large file it shrinks with
the number of readers, because each holds what it has read. For a small file that does not fit the budget it is the
minimum."""
KEPT_READS = 4
"""Of a version with several readers: phones that start together read the same parts at about the same time."""
MAX_HASHES = 8192
"""Hashes remembered of contents that are not kept: those of a large site's configs, 2 MiB."""
SETTLED_NS = 50_000_000
"""After this time without a change, the times of a file identify its version. Kernels before 6.13 count them in ticks
of up to 10 ms, so that two writes within a tick have the same times."""

Identity: TypeAlias = tuple[int, int, int, int, int]
"""Device, inode, size and times of a file. They differ after any change."""


class _Version:
    """One version of one file. It has either ``whole`` or the descriptor.

    ``lasting``: its identity is unique, so that other readers may find it. ``recent``: the offsets and bytes that
    several readers last read.
    """

    __slots__ = ("fd", "identity", "lasting", "recent", "sha256", "size", "users", "whole")

    def __init__(self, identity: Identity, size: int, sha256: str | None, *, lasting: bool) -> None:
        self.identity = identity
        self.size = size
        self.sha256 = sha256
        self.lasting = lasting
        self.whole: bytes | None = None
        self.fd = -1
        self.users = 0
        self.recent: tuple[tuple[int, bytes], ...] = ()


class _Opened:
    """A version that one reader has opened."""

    __slots__ = ("_is_open", "_owner", "_version", "_whole", "sha256", "size")

    def __init__(self, version: _Version, owner: "Contents") -> None:
        self._version = version
        self._whole = version.whole
        self._owner = owner
        self._is_open = True
        self.size = version.size
        self.sha256 = version.sha256

    @property
    def descriptor(self) -> int | None:
        return None if self._whole is not None else self._version.fd

    @property
    def read_ahead(self) -> int:
        return self.size if self._whole is not None else self._owner.read_ahead(self.size)

    def read(self, offset: int, length: int) -> bytes:
        if self._whole is not None:
            # Python makes no copy of bytes that are read whole.
            return self._whole[offset : offset + length]
        version = self._version
        if version.users == 1 or length < SHORTEST_READ_AHEAD:
            return os.pread(version.fd, length, offset)
        for start, content in version.recent:
            if start == offset and len(content) == length:
                return content
        content = os.pread(version.fd, length, offset)
        version.recent = ((offset, content), *version.recent[: KEPT_READS - 1])
        return content

    def close(self) -> None:
        if self._is_open:
            self._is_open = False
            self._owner.give_back(self._version)


class Contents:
    """The versions in use and, within the budget, those used last. Methods may be called from any thread."""

    def __init__(self, budget: int = DEFAULT_BUDGET, settled_ns: int = SETTLED_NS) -> None:
        self._budget = budget
        self._settled_ns = settled_ns
        self._lock = threading.Lock()
        self._versions: dict[Identity, _Version] = {}
        self._idle: OrderedDict[Identity, _Version] = OrderedDict()
        self._hashes: OrderedDict[Identity, str] = OrderedDict()
        self._kept = 0
        self._streams = 0

    @property
    def kept(self) -> int:
        """Bytes of whole contents in memory."""
        return self._kept

    def read_ahead(self, size: int) -> int:
        """Return how much a reader of a content of ``size`` bytes that is not kept whole should read at once."""
        if size <= WHOLE_BYTES:
            return SHORTEST_READ_AHEAD
        return max(SHORTEST_READ_AHEAD, min(LONGEST_READ_AHEAD, self._budget // max(self._streams, 1)))

    def take(self, fd: int, status: os.stat_result) -> _Opened:
        """Return the version in the open file ``fd``. This object owns the descriptor from now on.

        Raises:
            OSError: the disk failed.
        """
        identity = _identity(status)
        with self._lock:
            version = self._versions.get(identity)
            try:
                if version is None:
                    version = self._read(fd, identity, status)
            except BaseException:
                os.close(fd)
                raise
            if version.fd != fd:
                os.close(fd)
            return self._hand_out(version)

    def give_back(self, version: _Version) -> None:
        """Note that a reader has closed ``version``."""
        with self._lock:
            version.users -= 1
            if version.whole is None:
                self._streams -= 1
            if version.users == 0:
                if version.whole is not None and version.lasting:
                    self._idle[version.identity] = version
                else:
                    self._forget(version)

    def _hand_out(self, version: _Version) -> _Opened:
        version.users += 1
        if version.whole is None:
            self._streams += 1
        elif version.users == 1:
            self._idle.pop(version.identity, None)
        return _Opened(version, self)

    def _read(self, fd: int, identity: Identity, status: os.stat_result) -> _Version:
        lasting = time.time_ns() - max(status.st_mtime_ns, status.st_ctime_ns) > self._settled_ns
        version = _Version(identity, status.st_size, None, lasting=lasting)
        if version.size > WHOLE_BYTES or not self._read_whole(fd, version):
            version.fd = fd
        if lasting:
            self._versions[identity] = version
        return version

    def _read_whole(self, fd: int, version: _Version) -> bool:
        """Set a version's hash, and its content if that may be kept. Return whether it is kept."""
        fits = self._kept + version.size <= self._budget or self._make_room(version.size)
        sha256 = self._hashes.get(version.identity)
        content = os.pread(fd, version.size, 0) if fits or sha256 is None else b""
        if sha256 is None:
            sha256 = hashlib.sha256(content).hexdigest()
            if version.lasting:
                self._remember(version.identity, sha256)
        version.sha256 = sha256
        if fits:
            version.whole = content
            version.size = len(content)
            self._kept += version.size
        return fits

    def _make_room(self, size: int) -> bool:
        """Drop unused versions, the least recently used first. Return whether ``size`` more bytes fit."""
        while self._kept + size > self._budget and self._idle:
            self._forget(self._idle.popitem(last=False)[1])
        return self._kept + size <= self._budget

    def _forget(self, version: _Version) -> None:
        if version.lasting:
            del self._versions[version.identity]
        if version.whole is not None:
            self._kept -= version.size
        else:
            os.close(version.fd)

    def _remember(self, identity: Identity, sha256: str) -> None:
        self._hashes[identity] = sha256
        if len(self._hashes) > MAX_HASHES:
            self._hashes.popitem(last=False)


def _identity(status: os.stat_result) -> Identity:
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns
