"""Unpack archives as vendors pack firmware (zip, tar, tar.gz). Nothing in an archive is trusted."""

import gzip
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import BinaryIO, TypeAlias

from cisisk.model.errors import Invalid, TooLarge
from cisisk.model.firmware import LOADS
from cisisk.provisioning.staging import Staged

MAX_MEMBERS = 1000
"""Files in one archive. A firmware has about ten, a locale package of all languages several hundred."""
MAX_UNPACKED = 1 << 30
"""Bytes of all files together. The largest firmware packages, of an 88xx, have 300 MB."""
MAX_RATIO = 100
"""Unpacked to packed bytes. Firmware is already compressed (1 to 2), XML dictionaries reach 10, a zip bomb 1000."""
UNCHECKED_BYTES = 1 << 20
"""Bytes that any archive may unpack to, whatever the ratio: it means nothing for a few small files."""
_MAX_READ = 1 << 20
"""Bytes that a library may read at once. Directories and long names in real archives are smaller."""
_CHUNK = 256 << 10
_IS_ENCRYPTED = 1
"""The bit for encryption in a zip member's flags (APPNOTE 4.4.4)."""
_HIDDEN = (".", "__MACOSX")
"""Names of files that packing programs leave behind begin so, in any folder."""

_BROKEN = (
    tarfile.TarError, zipfile.BadZipFile, gzip.BadGzipFile, zlib.error, struct.error, EOFError, ValueError, KeyError,
    IndexError, OverflowError, RecursionError, NotImplementedError, RuntimeError,
)  # fmt: skip
"""Exceptions of the libraries for archives that are damaged or malicious."""


@dataclass(frozen=True, slots=True)
class Member:
    """One file of an archive.

    Attributes:
        path: its place below the root of the library.
        staged: its content, sealed.
    """

    path: str
    staged: Staged


Stage: TypeAlias = Callable[[], Staged]
"""Makes a new staged file. Raises StorageFailed."""
CheckPath: TypeAlias = Callable[[str], object]
"""Raises Invalid for a path that is not allowed."""


def unpack(archive: Staged, stage: Stage, check_path: CheckPath, max_unpacked: int = MAX_UNPACKED) -> Iterator[Member]:
    """Yield the files of a sealed ``archive``, in its order.

    Folders are skipped, and so is what packing programs leave behind (names that begin with a dot, ``__MACOSX``).

    Raises:
        Invalid: it is not an archive, it is damaged, or a member is a link, a device, encrypted, or has a path outside
            the root.
        TooLarge: it has more files or bytes than a firmware has.
        StorageFailed: the disk failed.
    """
    with archive.read() as file:
        head = file.read(4)
    if head.startswith(b"\x1f\x8b"):
        inner = _gunzipped(archive, stage, max_unpacked)
        try:
            yield from _Unpacking(stage, check_path, archive.size, max_unpacked).tar(inner)
        finally:
            inner.discard()
    elif head.startswith(b"PK"):
        yield from _Unpacking(stage, check_path, archive.size, max_unpacked).zip(archive)
    else:
        yield from _Unpacking(stage, check_path, archive.size, max_unpacked).tar(archive)


def without_wrapping(paths: list[str]) -> list[str]:
    """Return ``paths`` without the one folder around all of them, if a firmware is in it.

    Phones request a firmware's files without a folder.
    """
    tops = {path.partition("/")[0] for path in paths if "/" in path}
    inner = [path.partition("/")[2] for path in paths]
    is_wrapped = len(tops) == 1 and all(inner) and any(p.lower().endswith(LOADS) and "/" not in p for p in inner)
    return inner if is_wrapped else paths


class _Bounded:
    """A file that refuses large reads, whatever an archive makes a library request."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.seek = file.seek
        self.tell = file.tell
        self.seekable = file.seekable

    def read(self, size: int = -1) -> bytes:
        content = self._file.read(size if 0 <= size <= _MAX_READ else _MAX_READ + 1)
        if len(content) > _MAX_READ:
            raise _refused("Its directory is larger than that of any archive")
        return content


class _Unpacking:
    """One archive that is being unpacked."""

    def __init__(self, stage: Stage, check_path: CheckPath, packed: int, max_unpacked: int) -> None:
        self._stage = stage
        self._check_path = check_path
        self._count = 0
        self._max_unpacked = max_unpacked
        self._budget = _most_of(packed, max_unpacked)

    def zip(self, archive: Staged) -> Iterator[Member]:
        with archive.read() as file, _broken_is_refused(), zipfile.ZipFile(_Bounded(file)) as opened:
            for info in opened.infolist():
                name = info.filename
                mode = info.external_attr >> 16
                if info.flag_bits & _IS_ENCRYPTED:
                    raise _refused(f"{_shown(name)} is encrypted")
                if info.compress_type not in {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}:
                    raise _refused(f"{_shown(name)} is compressed by an unknown method")
                if stat.S_IFMT(mode) not in {0, stat.S_IFREG, stat.S_IFDIR}:
                    raise _refused(f"{_shown(name)} is a link or a device")
                path = self._path(name, is_folder=info.is_dir() or stat.S_ISDIR(mode))
                if path is not None:
                    with opened.open(info) as content:
                        yield Member(path, self._staged(content.read))

    def tar(self, archive: Staged) -> Iterator[Member]:
        with archive.read() as file, _broken_is_refused(), tarfile.TarFile(fileobj=_Bounded(file)) as opened:  # type: ignore[arg-type]  # tarfile only reads, seeks and tells
            while (info := opened.next()) is not None:
                if not (info.isreg() or info.isdir()) or info.issparse():
                    raise _refused(f"{_shown(info.name)} is a link, a device or a sparse file")
                path = self._path(info.name, is_folder=info.isdir())
                content = opened.extractfile(info) if path is not None else None
                if path is not None and content is not None:
                    with content:
                        yield Member(path, self._staged(content.read))

    def _path(self, name: str, *, is_folder: bool) -> str | None:
        """Return the place of a member, or None for a file that is skipped. Raises Invalid, TooLarge."""
        self._count += 1
        if self._count > MAX_MEMBERS:
            raise TooLarge(f"The archive has more than {MAX_MEMBERS} files")
        path = name.removeprefix("./").rstrip("/") if is_folder else name.removeprefix("./")
        parts = path.split("/")
        if is_folder and path in {"", "."}:
            return None
        if ".." in parts or "" in parts or "\\" in path:
            raise _refused(f"{_shown(name)} has a path outside the served directory, or an invalid name")
        if is_folder or any(part.startswith(_HIDDEN) for part in parts):
            return None
        try:
            self._check_path(path)
        except Invalid as error:
            raise _refused(f"{_shown(name)}: {error}") from error
        return path

    def _staged(self, read: Callable[[int], bytes]) -> Staged:
        """Stage the bytes that ``read`` returns."""
        staged = _filled(self._stage(), read, self._budget, self._max_unpacked)
        self._budget -= staged.size
        return staged


def _gunzipped(archive: Staged, stage: Stage, max_unpacked: int) -> Staged:
    """Unpack the tar of a tar.gz into a file, so that its headers are read from there and not from a zip bomb."""
    with archive.read() as file, _broken_is_refused(), gzip.GzipFile(fileobj=file) as opened:
        return _filled(stage(), opened.read, _most_of(archive.size, max_unpacked), max_unpacked)


def _filled(staged: Staged, read: Callable[[int], bytes], budget: int, max_unpacked: int) -> Staged:
    """Fill ``staged`` with all that ``read`` returns, at most ``budget`` bytes, and seal it. Discard it on an error."""
    try:
        while chunk := read(_CHUNK):
            _require_within(budget, staged.size + len(chunk), max_unpacked)
            staged.write(chunk)
        staged.seal()
    except BaseException:
        staged.discard()
        raise
    return staged


def _require_within(budget: int, size: int, max_unpacked: int) -> None:
    if size > budget:
        raise TooLarge(
            f"The archive unpacks to more than {max_unpacked} bytes, or to more than {MAX_RATIO} times its own size"
        )


def _most_of(packed: int, max_unpacked: int) -> int:
    return min(max_unpacked, max(UNCHECKED_BYTES, packed * MAX_RATIO))


def _refused(reason: str) -> Invalid:
    return Invalid.field("archive", reason)


def _shown(name: str) -> str:
    """Return a name from an archive in a form that can be shown."""
    return ascii(name)[1:-1][:100]


@contextmanager
def _broken_is_refused() -> Iterator[None]:
    try:
        yield
    except _BROKEN as error:
        raise _refused("The file is not a zip, tar or tar.gz archive, or it is damaged") from error
