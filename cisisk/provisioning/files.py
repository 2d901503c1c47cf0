"""The library as administrators see it: the purpose of each file, and which firmware is complete."""

from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

from cisisk.model.clock import Timestamp, timestamp
from cisisk.model.errors import Invalid, NotFound
from cisisk.model.firmware import LOADS
from cisisk.model.listing import Listing, Page
from cisisk.provisioning.firmware import Load, find_load
from cisisk.provisioning.library import FileEntry, Library
from cisisk.provisioning.purpose import Purpose, purpose


class FileKind(StrEnum):
    """What a file is for, in administrators' terms."""

    CONFIG = "config"
    FIRMWARE = "firmware"
    RING_TONE = "ring_tone"
    BACKGROUND = "background"
    LOCALE = "locale"
    DIAL_TEMPLATE = "dial_template"
    SOFT_KEYS = "soft_keys"
    OTHER = "other"


_KINDS = {
    **dict.fromkeys(
        (Purpose.CONFIG, Purpose.SIGNED_CONFIG, Purpose.SHARED_CONFIG, Purpose.DEFAULT_CONFIG, Purpose.WIRELESS),
        FileKind.CONFIG,
    ),
    **dict.fromkeys((Purpose.FIRMWARE, Purpose.FIRMWARE_PART, Purpose.IMAGE_NAME, Purpose.RECOVERY), FileKind.FIRMWARE),
    **dict.fromkeys((Purpose.DICTIONARY, Purpose.TONES), FileKind.LOCALE),
    **dict.fromkeys((Purpose.DIAL_PLAN, Purpose.DIAL_RULES), FileKind.DIAL_TEMPLATE),
    Purpose.RINGTONE: FileKind.RING_TONE,
    Purpose.BACKGROUND: FileKind.BACKGROUND,
    Purpose.SOFT_KEYS: FileKind.SOFT_KEYS,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ServedFile:
    """One file of the library.

    Attributes:
        path: below the root, as it is written on the disk.
        size: in bytes.
        load: the firmware that it describes and its missing parts; None unless it is a ``.loads`` file.
    """

    path: str
    size: int
    modified_at: Timestamp
    kind: FileKind
    load: Load | None


def kind_of(path: str) -> FileKind:
    """Return what the file at ``path`` is for."""
    return _KINDS.get(purpose(path), FileKind.OTHER)


def page(library: Library, listing: Listing, kind: FileKind | None) -> Page[ServedFile]:
    """Return the files by path, of one ``kind`` or of all. Blocks while the directory is read.

    Raises:
        Invalid: ``listing.sort`` is not path, size or modified_at.
    """
    wanted = (listing.q or "").casefold()
    entries = [
        entry
        for entry in library.entries()
        if wanted in entry.path.casefold() and (kind is None or kind_of(entry.path) is kind)
    ]
    if listing.sort:
        fields = {"path": "path", "size": "size", "modified_at": "modified"}
        field = fields.get(listing.sort.removeprefix("-"))
        if field is None:
            raise Invalid.field("sort", f"Sort by one of {', '.join(fields)}, with - before it to reverse")
        entries.sort(key=lambda entry: getattr(entry, field), reverse=listing.sort.startswith("-"))
    end = None if listing.limit is None else listing.offset + listing.limit
    return Page([_served(library, entry) for entry in entries[listing.offset : end]], len(entries))


def find(library: Library, path: str) -> ServedFile:
    """Return the file with exactly this path. Blocks like :func:`page`. Raises NotFound."""
    entry = library.entry(path)
    if entry is None:
        raise NotFound("File not found")
    return _served(library, entry)


def _served(library: Library, entry: FileEntry) -> ServedFile:
    is_loads = entry.path.lower().endswith(LOADS)
    return ServedFile(
        path=entry.path,
        size=entry.size,
        modified_at=timestamp(datetime.fromtimestamp(entry.modified, UTC)),
        kind=kind_of(entry.path),
        load=find_load(library, entry.path[: -len(LOADS)]) if is_loads else None,
    )
