"""What administrators put into the library: written where nobody can read it, judged, and served whole or not at all.

The one door for every protocol. Nothing here waits for the event loop except ``finish`` and ``remove``.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from cisisk.model.errors import Invalid, NotFound, StorageFailed, TooLarge
from cisisk.model.firmware import LOADS
from cisisk.model.mac import Mac
from cisisk.model.user import Actor
from cisisk.provisioning.archives import MAX_UNPACKED, Member, unpack, without_wrapping
from cisisk.provisioning.library import FileEntry, Library
from cisisk.provisioning.names import MAX_COMPONENTS, normalise
from cisisk.provisioning.staging import Staged

_CONFIG = re.compile(r"SEP[0-9A-F]{12}\.cnf\.xml", re.IGNORECASE | re.ASCII)


class ConfigSink(Protocol):
    """Who keeps the records. Each method blocks until it is done and is called from any thread but the event loop's."""

    def put_config(self, actor: Actor, mac: Mac, content: bytes) -> None:
        """Serve ``content`` to the phone, as a version that was adopted. Raises CisiskError; nothing is served then."""

    def remove_config(self, actor: Actor, mac: Mac) -> None:
        """Serve the phone no config any more; what it had is kept as a version. Raises CisiskError."""

    def record(self, actor: Actor, action: str, path: str, payload: dict[str, Any]) -> None:
        """Write an audit row of what is about to be done with the file at ``path``. Raises CisiskError."""


class Upload:
    """One file on its way into the library. Used by one thread at a time; ended by :meth:`finish` or :meth:`discard`.

    Attributes:
        path: where it will be served.
        limit: the most bytes it may have.
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
        """Bytes so far."""
        return self._staged.size

    def write(self, chunk: bytes) -> None:
        """Append ``chunk``.

        Raises:
            StorageFailed: the disk refused.
            TooLarge: more than :attr:`limit`.
        """
        if self._staged.size + len(chunk) > self.limit:
            raise TooLarge(f"{self.path} may have at most {self.limit} bytes")
        self._staged.write(chunk)

    def finish(self) -> None:
        """Judge the whole file and serve it from now on; whatever happens, nothing is left beside what is served.

        Blocks: not for the event loop's own thread.

        Raises:
            CisiskError: it is not accepted, with a text for whoever sent it; what was served before still is.
        """
        try:
            self._staged.seal()
            if self._mac is None:
                self._uploads.publish(self._actor, self._staged, self.path)
            else:
                with self._staged.read() as file:
                    content = file.read()
                self._uploads.keeper.put_config(self._actor, self._mac, content)
        except OSError as error:
            raise StorageFailed(f"{self.path} could not be read back: {error.strerror}") from error
        finally:
            self._staged.discard()

    def discard(self) -> None:
        """Leave nothing of it. Harmless after :meth:`finish`, and more than once."""
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
    """An archive on its way into the library, whose files are served all or not at all. Used as an :class:`Upload`."""

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
        """Serve what is in the archive: the paths of its files. Blocks, as :meth:`Upload.finish`.

        Raises:
            CisiskError: as :func:`~cisisk.provisioning.archives.unpack`, or there is no file in it.
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
        """Leave nothing of it. Harmless after :meth:`finish`, and more than once."""
        self._staged.discard()


class Uploads:
    """The way into ``library``. Methods may be called from any thread; ``remove`` not from the event loop's own.

    Args:
        keeper: who decides about configs and writes the audit log.
        max_config_bytes: the largest config of a phone.
    """

    def __init__(
        self, library: Library, keeper: ConfigSink, max_config_bytes: int, limits: UploadLimits = UploadLimits()
    ) -> None:
        self.library = library
        self._limits = limits
        self.keeper = keeper
        self._max_config_bytes = max_config_bytes

    def begin(self, path: str, actor: Actor) -> Upload:
        """Begin a file that is to be served at ``path``, such as ``Desktops/320x212x16/List.xml``.

        Args:
            path: below the root of the library, with ``/`` between its parts and none in front.
            actor: for the audit log: the user's UUID, and the address it comes from.

        Raises:
            Invalid: nothing may be written there; the text says why.
            Conflict: it does not go together with what is there: the same name in other letters, a folder.
            StorageFailed: the disk refuses.
        """
        mac = check_path(path)
        if mac is None:
            self.library.require_places([path])
        return Upload(self, path, actor, mac, self._max_config_bytes if mac else self._limits.max_file_bytes)

    def begin_package(self, actor: Actor) -> Package:
        """Begin an archive of files: a zip, tar or tar.gz. Raises StorageFailed."""
        return Package(self, actor, self._limits)

    def publish_package(self, actor: Actor, members: Sequence[Member]) -> list[str]:
        """Serve the files of an archive, a ``.loads`` file only after the files that it names; their paths.

        Raises:
            Invalid: there is no file in it, or one twice.
            Conflict, StorageFailed: as :meth:`Library.publish`.
        """
        if not members:
            raise Invalid.field("archive", "There is no file in it")
        paths = without_wrapping([member.path for member in members])
        for path in paths:
            _check_member(path)
        if len(set(paths)) < len(paths):
            raise Invalid.field("archive", "A file is in it twice")
        files = [(member.staged, path) for member, path in zip(members, paths, strict=True)]
        files.sort(key=lambda file: file[1].lower().endswith(LOADS))
        self.library.require_places([path for _, path in files])
        self.keeper.record(actor, "file.unpacked", files[0][1], {"paths": paths, "size": sum(s.size for s, _ in files)})
        self.library.publish(files)
        return paths

    def publish(self, actor: Actor, staged: Staged, path: str) -> None:
        """Serve a sealed file at ``path``. The audit row comes first: what cannot be recorded is not done."""
        self.keeper.record(actor, "file.uploaded", path, {"path": path, "size": staged.size})
        self.library.publish([(staged, path)])

    def remove(self, path: str, actor: Actor) -> None:
        """Serve the file at ``path`` no more. Blocks, as :meth:`Upload.finish`.

        Raises:
            NotFound: there is no file with exactly this name.
            CisiskError: it could not be removed, and is still served.
        """
        entry = self.library.entry(path)
        if entry is None:
            raise NotFound("File not found")
        mac = config_mac(path)
        if mac is not None:
            self.keeper.remove_config(actor, mac)
            return
        self.keeper.record(actor, "file.deleted", path, {"path": path, "size": entry.size})
        self.library.remove(path)

    def entries(self) -> list[FileEntry]:
        """Everything that is served, by path: (path, size, modified in seconds since 1970)."""
        return self.library.entries()


def _check_member(path: str) -> None:
    if check_path(path) is not None:
        raise Invalid.field("path", "Upload a phone's config by itself, so that it is judged and kept as a version")


def config_mac(path: str) -> Mac | None:
    """Whose config the file at ``path`` is, in whatever spelling; None for every other file."""
    # As it is looked up: there are other letters and prefixes than A to Z that a phone's name comes to the same with.
    name = normalise(path) or ""
    if not _CONFIG.fullmatch(name):
        return None
    try:
        return Mac.parse(name[: -len(".cnf.xml")])
    except Invalid:
        return None


def check_path(path: str) -> Mac | None:
    """Whether a phone could ask for ``path``: the phone whose config that is, or None for every other file.

    Raises:
        Invalid: no phone could, or not in this spelling; the text says what would be right.
    """
    if not path or not path.isprintable() or normalise(path) != path.casefold():
        raise Invalid.field(
            "path",
            "No phone could ask for this name. Write folders with / and none in front, no name that begins with a dot, "
            f"no control characters, at most {MAX_COMPONENTS} parts and 255 bytes",
        )
    *folders, name = path.split("/")
    folded = name.casefold()
    if not _CONFIG.fullmatch(folded):
        return None
    if folders:
        raise Invalid.field("path", f"Phones ask for their config without a folder: {name}")
    mac = Mac.parse(folded[: -len(".cnf.xml")], field="path")
    if name != mac.config_name:
        raise Invalid.field("path", f"Write a config's name as its phone does: {mac.config_name}")
    return mac
