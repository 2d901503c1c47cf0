"""Signed forms of phones' configs. Cisisk serves those of other programs, and makes none.

A phone whose trust list has a TFTP server requests the signed form first, and takes no other.

Source: docs/phone-protocol/trust.md#envelope, docs/phone-protocol/trust.md#what-phones-do
"""

from itertools import product

from cisisk.model.mac import Mac
from cisisk.provisioning.library import Library, Snapshot, Unreadable
from cisisk.provisioning.purpose import Purpose, purpose

_PREFIXES = ("SEP", "SIP", "ATA")
_SUFFIXES = (".cnf.xml.sgn", ".cnf.xml.enc.sgn", ".cnf.sgn", ".cnf.enc.sgn")
_HEADER = 8
"""Bytes that hold the length of the envelope: the fields 1 (version) and 2 (length of the header)."""


def signed_names(mac: Mac) -> tuple[str, ...]:
    """Return the names under which a phone may request a signed config."""
    return tuple(f"{prefix}{mac.digits}{suffix}" for prefix, suffix in product(_PREFIXES, _SUFFIXES))


def is_signed(path: str) -> bool:
    """Return whether the file at ``path`` is a signed config of a phone."""
    return purpose(path) is Purpose.SIGNED_CONFIG


def has_signed(library: Library, mac: Mac) -> bool:
    """Return whether the library has a signed config of the phone."""
    return any(name in library for name in signed_names(mac))


def stale_signed(library: Library, mac: Mac, config: bytes | None) -> list[Snapshot | Unreadable]:
    """Return the phone's signed configs that do not hold ``config``. Blocks while they are read.

    An encrypted config cannot be compared, and counts as stale.

    Raises:
        StorageFailed: the served directory failed.
    """
    stale: list[Snapshot | Unreadable] = []
    for name in signed_names(mac):
        try:
            found = library.current(name)
        except Unreadable as error:
            stale.append(error)
        else:
            if found is not None and (config is None or name.endswith(".enc.sgn") or payload(found.content) != config):
                stale.append(found)
    return stale


def payload(content: bytes) -> bytes | None:
    """Return what a signed file holds behind its header, or None if it has no such header."""
    # 01 0002 <version> 02 0002 <length of the header>
    if len(content) < _HEADER + 2 or content[0] != 1 or content[5:_HEADER] != b"\x02\x00\x02":
        return None
    return content[int.from_bytes(content[_HEADER : _HEADER + 2], "big") :]
