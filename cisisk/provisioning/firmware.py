"""Which firmware the library holds, and what is missing of it."""

from dataclasses import dataclass

from cisisk.model.errors import CisiskError
from cisisk.model.firmware import LOADS, MAX_LOADS_BYTES, parts_of
from cisisk.provisioning.library import Library


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """One firmware.

    Attributes:
        name: as ``loadInformation`` has it, without ``.loads``.
        parts: the files that its ``.loads`` file names.
        missing: those that the library does not have; the ``.loads`` file itself when that is missing.
    """

    name: str
    parts: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()


def find_load(library: Library, name: str) -> Load:
    """What the library has of the load ``name``. Blocks for the time of reading a small file. Never raises."""
    loads = f"{name}{LOADS}"
    try:
        found = library.current(loads, MAX_LOADS_BYTES)
    except CisiskError:
        found = None
    if found is None:
        return Load(name=name, missing=(loads,))
    # A .loads file may name itself in its header.
    parts = tuple(part for part in parts_of(found.content) if part.casefold() != loads.casefold())
    return Load(name=name, parts=parts, missing=tuple(part for part in parts if part not in library))
