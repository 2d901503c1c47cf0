"""Uploads to the library: files are staged, checked, and then served completely or not at all.

Every protocol uses this module. Only ``finish`` and ``remove`` wait for the event loop.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from cisisk.model.errors import Invalid, NotFound, StorageFailed, TooLarge
from cisisk.model.firmware import LOADS
from cisisk.model.mac import Mac
from cisisk.model.sep_config import names_flat_firmware
from cisisk.model.user import Actor
from cisisk.provisioning.archives import MAX_UNPACKED, Member, unpack, without_wrapping
from cisisk.provisioning.library import FileEntry, Library
from cisisk.provisioning.names import MAX_COMPONENTS, device_mac, normalise
from cisisk.provisioning.staging import Staged

_CONFIG = re.compile(r"(?:SEP|ATA)[0-9A-F]{12}\.cnf\.xml|SIP[0-9A-F]{12}\.cnf", re.IGNORECASE | re.ASCII)


class ConfigSink(Protocol):
    """Stores configs and audit rows.

    Methods block until they are done. Do not call them from the event loop's thread.
    """

    def put_config(self, actor: Actor, mac: Mac, name: str, content: bytes) -> None:
        """Serve ``content`` to the phone under ``name``, as an adopted version.

        Raises CisiskError if nothing is served.
        """

    def remove_config(self, actor: Actor, mac: Mac) -> None:
        """Remove the phone's config; its content is kept as a version. Raises CisiskError."""

    def record(self, actor: Actor, action: str, path: str, payload: dict[str, Any]) -> None:
        """Write an audit row before the file at ``path`` is changed. Raises CisiskError."""


class Upload:
    """One file that is being uploaded. Used by one thread at a time. Ends with :meth:`finish` or :meth:`discard`.

    Attributes:
        path: its place in the library.
        limit: its maximum size in bytes.
    """

    def __init__(self, uploads: "Uploads", path: str, actor: Actor, mac: Mac | None, limit: int) -> None:
        self.path = path
        self.limit = limit
        self._uploads = uploads
        self._actor = actor
        self._mac = mac
        self._staged = uploads.library.stage()

    @property
    def size(self) -> int:
        """Bytes written so far."""
        return self._staged.size

    def write(self, chunk: bytes) -> None:
        """Append ``chunk``.

        Raises:
            StorageFailed: the disk failed.
            TooLarge: the file has more than :attr:`limit` bytes.
        """
        if self._staged.size + len(chunk) > self.limit:
            raise TooLarge(f"{self.path} may have at most {self.limit} bytes")
        self._staged.write(chunk)

    def finish(self) -> None:
        """Check the file and serve it. The staged file is deleted in any case.

        Blocks. Do not call it from the event loop's thread.

        Raises:
            CisiskError: the file is refused, with a message for its sender. The previous file is still served.
        """
        try:
            self._staged.seal()
            if self._mac is None:
                self._uploads.publish(self._actor, self._staged, self.path)
            else:
                with self._staged.read() as file:
                    content = file.read()
                if names_flat_firmware(content) and self.path == self._mac.config_name:
                    # The phone reads only the name of its firmware from it. Its config is SIP<MAC>.cnf.
                    self._uploads.publish(self._actor, self._staged, self.path)
                else:
                    self._uploads.config_sink.put_config(self._actor, self._mac, self.path, content)
        except OSError as error:
            raise StorageFailed(f"{self.path} could not be read back: {error.strerror}") from error
        finally:
            self._staged.discard()

    def discard(self) -> None:
        """Delete the staged file. May be called after :meth:`finish`, and more than once."""
        self._staged.discard()


@dataclass(frozen=True, slots=True, kw_only=True)
class UploadLimits:
    """Limits of uploads.

    Attributes:
        max_file_bytes: of one file or archive. The largest parts of a firmware, the root file systems of an 88xx, have
            some 100 MB.
        max_unpacked_bytes: of all files of an archive together.
    """

    max_file_bytes: int = 512 << 20
    max_unpacked_bytes: int = MAX_UNPACKED


class Package:
    """An archive that is being uploaded. All its files are served or none. Used like an :class:`Upload`."""

    def __init__(self, uploads: "Uploads", actor: Actor, limits: UploadLimits) -> None:
        self.limit = limits.max_file_bytes
        self._max_unpacked = limits.max_unpacked_bytes
        self._uploads = uploads
        self._actor = actor
        self._staged = uploads.library.stage()

    def write(self, chunk: bytes) -> None:
        """Append ``chunk``. Raises StorageFailed, TooLarge."""
        if self._staged.size + len(chunk) > self.limit:
            raise TooLarge(f"An archive may have at most {self.limit} bytes")
        self._staged.write(chunk)

    def finish(self) -> list[str]:
        """Serve the files of the archive, and return their paths. Blocks like :meth:`Upload.finish`.

        Raises:
            CisiskError: as :func:`~cisisk.provisioning.archives.unpack`, or the archive has no file.
        """
        members: list[Member] = []
        try:
            self._staged.seal()
            for member in unpack(self._staged, self._uploads.library.stage, _check_member, self._max_unpacked):
                members.append(member)  # noqa: PERF402 -- those before a refused one have to be discarded
            return self._uploads.publish_package(self._actor, members)
        except OSError as error:
            raise StorageFailed(f"The archive could not be read back: {error.strerror}") from error
        finally:
            self._staged.discard()
            for member in members:
                member.staged.discard()

    def discard(self) -> None:
        """Delete the staged file. May be called after :meth:`finish`, and more than once."""
        self._staged.discard()


class Uploads:
    """Accepts uploads to ``library``. Methods may be called from any thread; ``remove`` not from the event loop's.

    Args:
        config_sink: stores configs and the audit log.
        max_config_bytes: the largest config of a phone.
    """

    def __init__(
        self, library: Library, config_sink: ConfigSink, max_config_bytes: int, limits: UploadLimits = UploadLimits()
    ) -> None:
        self.library = library
        self._limits = limits
        self.config_sink = config_sink
        self._max_config_bytes = max_config_bytes

    def begin(self, path: str, actor: Actor) -> Upload:
        """Begin the upload of a file to ``path``, such as ``Desktops/320x212x16/List.xml``.

        Args:
            path: below the root of the library, with ``/`` between its parts and no leading ``/``.
            actor: for the audit log: the user's UUID and address.

        Raises:
            Invalid: a file at this path is not allowed; the message says why.
            Conflict: the path conflicts with a present file: the same name in another case, or a folder.
            StorageFailed: the disk failed.
        """
        mac = check_path(path)
        if mac is None:
            self.library.require_places([path])
        return Upload(self, path, actor, mac, self._max_config_bytes if mac else self._limits.max_file_bytes)

    def begin_package(self, actor: Actor) -> Package:
        """Begin the upload of an archive: a zip, tar or tar.gz. Raises StorageFailed."""
        return Package(self, actor, self._limits)

    def publish_package(self, actor: Actor, members: Sequence[Member]) -> list[str]:
        """Serve the files of an archive, and return their paths. A ``.loads`` file follows the files that it names.

        Raises:
            Invalid: the archive has no file, or a path twice.
            Conflict, StorageFailed: as :meth:`Library.publish`.
        """
        if not members:
            raise Invalid.field("archive", "The archive contains no files")
        paths = without_wrapping([member.path for member in members])
        for path in paths:
            _check_member(path)
        if len(set(paths)) < len(paths):
            raise Invalid.field("archive", "The archive contains a file twice")
        files = [(member.staged, path) for member, path in zip(members, paths, strict=True)]
        files.sort(key=lambda file: file[1].lower().endswith(LOADS))
        self.library.require_places([path for _, path in files])
        self.config_sink.record(
            actor, "file.unpacked", files[0][1], {"paths": paths, "size": sum(s.size for s, _ in files)}
        )
        self.library.publish(files)
        return paths

    def publish(self, actor: Actor, staged: Staged, path: str) -> None:
        """Record and serve a sealed file at ``path``. A change that cannot be recorded is not made."""
        self.config_sink.record(actor, "file.uploaded", path, {"path": path, "size": staged.size})
        self.library.publish([(staged, path)])

    def remove(self, path: str, actor: Actor) -> None:
        """Remove the file at ``path``. Blocks like :meth:`Upload.finish`.

        Raises:
            NotFound: there is no file with exactly this name.
            CisiskError: the file could not be removed, and is still served.
        """
        entry = self.library.entry(path)
        if entry is None:
            raise NotFound("File not found")
        mac = config_mac(path)
        config = self.library.current_config(mac) if mac is not None else None
        if mac is not None and config is not None and config.path == path:
            self.config_sink.remove_config(actor, mac)
            return
        self.config_sink.record(actor, "file.deleted", path, {"path": path, "size": entry.size})
        self.library.remove(path)

    def entries(self) -> list[FileEntry]:
        """Return all served files, by path."""
        return self.library.entries()


def _check_member(path: str) -> None:
    if check_path(path) is not None:
        raise Invalid.field("path", "Upload a phone's config as a single file: then it is checked and kept")


def config_mac(path: str) -> Mac | None:
    """Return the phone whose config the file at ``path`` is, in any spelling; None for any other file."""
    # Compared as names are looked up: other letters and prefixes can become a phone's name after normalisation.
    name = normalise(path) or ""
    return device_mac(name) if _CONFIG.fullmatch(name) else None


def config_name(mac: Mac, path: str) -> str:
    """Return the name of a phone's config file as the phone spells it.

    Args:
        path: one for which :func:`config_mac` returns this phone.
    """
    folded = normalise(path)
    return next(name for name in mac.config_names if name.casefold() == folded)


def check_path(path: str) -> Mac | None:
    """Return the phone whose config ``path`` is, or None for another file that phones can request.

    Raises:
        Invalid: phones cannot request this path, or not in this spelling; the message says what is right.
    """
    if not path or not path.isprintable() or normalise(path) != path.casefold():
        raise Invalid.field(
            "path",
            "Phones cannot request this name. Separate folders with /, without a leading /. Use no leading dots, "
            f"no control characters, at most {MAX_COMPONENTS} parts and 255 bytes",
        )
    *folders, name = path.split("/")
    if not _CONFIG.fullmatch(name.casefold()):
        return None
    if folders:
        raise Invalid.field("path", f"Phones request their config without a folder: use {name}")
    mac = device_mac(name)
    if mac is None:
        raise Invalid.field("path", "An all-zero, multicast or broadcast address belongs to no phone")
    if name != (right := config_name(mac, name)):
        raise Invalid.field("path", f"Write the config's name as its phone does: {right}")
    return mac
