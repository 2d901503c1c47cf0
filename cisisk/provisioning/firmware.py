"""The firmware in the library, and the parts that are missing."""

from dataclasses import dataclass

from cisisk.model.codes.config import FindingCode
from cisisk.model.errors import CisiskError
from cisisk.model.firmware import LOADS, MAX_LOADS_BYTES, parts_of, single_files_of
from cisisk.model.sep_config import Finding, SepConfig
from cisisk.model.sep_config.model_rules import MAX_LOAD_LENGTH
from cisisk.provisioning.library import Library

_MAX_NAMED = 5
"""Missing files that a finding names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """One firmware.

    Attributes:
        name: as in ``loadInformation``, without ``.loads``.
        parts: the files that its ``.loads`` file names.
        missing: those that the library lacks; the ``.loads`` file itself if that is missing.
    """

    name: str
    parts: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()


def find_load(library: Library, name: str) -> Load:
    """Return what the library has of the load ``name``. Blocks while a small file is read. Never raises."""
    loads = f"{name}{LOADS}"
    try:
        found = library.current(loads, MAX_LOADS_BYTES)
    except CisiskError:
        found = None
    if found is None:
        single = next((file for file in single_files_of(name) if file in library), None)
        return Load(name=name, parts=(single,)) if single else Load(name=name, missing=(loads,))
    parts = parts_of(found.content)
    return Load(name=name, parts=parts, missing=tuple(part for part in parts if part not in library))


def load_findings(library: Library, config: SepConfig) -> tuple[Finding, ...]:
    """Return what is wrong with the firmware that ``config`` names. Blocks while a small file is read."""
    # A phone with another load server does not request firmware here.
    if config.load is None or config.load_server is not None:
        return ()
    load = find_load(library, config.load)
    name = config.load[:MAX_LOAD_LENGTH]
    if not load.missing:
        return ()
    if not load.parts:
        return (Finding(FindingCode.LOAD_NOT_SERVED.notice(load=name)),)
    return (
        Finding(
            FindingCode.LOAD_INCOMPLETE.notice(
                load=name, files=len(load.parts), absent=len(load.missing), examples=load.missing[:_MAX_NAMED]
            )
        ),
    )
