"""Config versions, and the one that each phone is served."""

import hashlib
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass

from cisisk.model import deployment_states as life
from cisisk.model.clock import Timestamp, now
from cisisk.model.codes.deployment import StepNotice
from cisisk.model.deployment import Origin
from cisisk.model.errors import NotFound
from cisisk.model.listing import Listing, Page
from cisisk.model.mac import Mac
from cisisk.model.notice import Notice
from cisisk.model.user import SYSTEM, Actor
from cisisk.store import audit, deployments, moves, phone_logins
from cisisk.store.changes import insert
from cisisk.store.listing import ListSource
from cisisk.store.transaction import Read, Write

CHANGED_ON_DISK = "config.changed_on_disk"
"""The audit action for a config that was written or removed from outside Cisisk."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """The config that a phone is served, as last recorded.

    Attributes:
        sha256: of the config; None if there is none.
        pending: sha256 of the config that is about to replace it; empty if it is about to be removed.
        origin: what put it there, at ``since``; ``drift`` if it was written or removed from outside Cisisk.
    """

    mac: Mac
    sha256: str | None
    pending: str | None
    origin: str
    since: Timestamp


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """One config that a phone was served or was about to be served, without its content.

    Attributes:
        number: counts the versions of all phones.
        created_at: when it was first recorded.
        size: in bytes.
    """

    number: int
    sha256: str
    origin: Origin
    created_at: Timestamp
    size: int


def _version(row: sqlite3.Row) -> Version:
    return Version(**{**dict(row), "origin": Origin(row["origin"])})


_VERSIONS = ListSource(
    select="SELECT number, sha256, origin, created_at, length(content) AS size"
    " FROM config_versions JOIN contents USING (sha256)",
    searched=("sha256", "origin"),
    sortable=("number", "sha256", "origin", "created_at", "size"),
    order="number DESC",
    item=_version,
)


def versions(tx: Read, mac: Mac, listing: Listing) -> Page[Version]:
    """Return the versions of a phone's config, the newest first."""
    return _VERSIONS.page(tx, listing, "mac = ?", (mac.digits,))


def version_content(tx: Read, mac: Mac, number: int) -> bytes:
    """Return the bytes of one of the phone's versions. Raises NotFound."""
    row = tx.row(
        "SELECT content FROM config_versions JOIN contents USING (sha256) WHERE mac = ? AND number = ?",
        (mac.digits, number),
    )
    if row is None:
        raise NotFound(f"The phone has no config version {number}")
    return bytes(row["content"])


def served(tx: Read) -> dict[Mac, Served]:
    """Return what each phone is served."""
    rows = tx.rows("SELECT mac, sha256, pending, origin, since FROM served_configs")
    return {Mac(row["mac"]): Served(**{**dict(row), "mac": Mac(row["mac"])}) for row in rows}


def served_to(tx: Read, mac: Mac) -> Served | None:
    """Return what one phone is served, or None if nothing was ever recorded."""
    row = tx.row("SELECT mac, sha256, pending, origin, since FROM served_configs WHERE mac = ?", (mac.digits,))
    return None if row is None else Served(**{**dict(row), "mac": mac})


def served_content(tx: Read, mac: Mac) -> bytes | None:
    """Return the config that a phone is served, as last recorded, or None."""
    row = tx.row("SELECT content FROM served_configs JOIN contents USING (sha256) WHERE mac = ?", (mac.digits,))
    return None if row is None else bytes(row["content"])


def keep_version(tx: Write, mac: Mac, content: bytes, origin: Origin) -> str:
    """Store ``content`` as a version of the phone's config, unless it is one; return its sha256."""
    sha256 = hashlib.sha256(content).hexdigest()
    tx.rows("INSERT OR IGNORE INTO contents (sha256, content) VALUES (?, ?)", (sha256, content))
    tx.rows(
        "INSERT OR IGNORE INTO config_versions (mac, sha256, origin, created_at) VALUES (?, ?, ?, ?)",
        (mac.digits, sha256, origin, now()),
    )
    return sha256


def content_of(tx: Read, sha256: str) -> bytes | None:
    """Return the bytes of a version, or None if there is none with this hash."""
    row = tx.row("SELECT content FROM contents WHERE sha256 = ?", (sha256,))
    return None if row is None else bytes(row["content"])


def found(tx: Write, mac: Mac, content: bytes | None) -> bool:
    """Record what the served directory holds for the phone: ``content``, or no file. New content becomes a version.

    Returns:
        Whether the file was changed or removed from outside Cisisk. If so, the audit log has an entry.
    """
    known = served_to(tx, mac)
    sha256 = None if content is None else hashlib.sha256(content).hexdigest()
    if known is not None and known.sha256 == sha256:
        if known.pending is not None:
            # The pending change did not happen. If the same content appears later, it came from outside.
            tx.rows("UPDATE served_configs SET pending = NULL WHERE mac = ?", (mac.digits,))
        return False
    if content is not None:
        keep_version(tx, mac, content, Origin.ADOPTED)
    if known is None:
        if content is not None:
            _serve(tx, mac, sha256, "adopted")
        return False
    if known.pending == (sha256 or ""):
        # Interrupted after the file was changed, before that was recorded.
        adopted(tx, SYSTEM, mac, sha256)
        return False
    _serve(tx, mac, sha256, "drift")
    supersede(tx, mac, now(), StepNotice.REPLACED_FROM_OUTSIDE.notice())
    payload = {"mac": str(mac), "sha256": sha256, "served_before": known.sha256}
    audit.record(tx, SYSTEM, CHANGED_ON_DISK, str(mac), payload)
    return True


def signed_set_aside(tx: Write, mac: Mac, contents: Mapping[str, bytes | None]) -> None:
    """Record, before they are removed, the phone's signed configs: by their names, None for one that is unreadable."""
    for name, content in contents.items():
        sha256 = None if content is None else keep_version(tx, mac, content, Origin.ADOPTED)
        insert(tx, "signed_configs", {"mac": mac.digits, "name": name, "sha256": sha256, "set_aside_at": now()})
        audit.record(tx, SYSTEM, "config.signed_set_aside", str(mac), {"mac": str(mac), "name": name, "sha256": sha256})


def takes_signed(tx: Read, mac: Mac) -> bool:
    """Return whether a signed config of the phone was set aside, and the phone has taken no plain config since."""
    row = tx.row(
        "SELECT MAX(set_aside_at) > COALESCE((SELECT MAX(fetched_at) FROM deployments WHERE mac = ?), '') AS takes"
        " FROM signed_configs WHERE mac = ?",
        (mac.digits, mac.digits),
    )
    return row is not None and bool(row["takes"])


def switched(tx: Write, mac: Mac, sha256: str) -> None:
    """Record that the phone is served the config of a switch."""
    _serve(tx, mac, sha256, "switch")


def about_to_adopt(tx: Write, mac: Mac, content: bytes) -> str:
    """Record, before the write, that the phone will be served ``content`` of no profile; return its sha256."""
    sha256 = keep_version(tx, mac, content, Origin.ADOPTED)
    tx.rows(
        "INSERT INTO served_configs (mac, pending, origin, since) VALUES (?, ?, 'adopted', ?)"
        " ON CONFLICT (mac) DO UPDATE SET pending = excluded.pending",
        (mac.digits, sha256, now()),
    )
    return sha256


def about_to_remove(tx: Write, mac: Mac) -> None:
    """Record, before the removal, that the phone's config will be removed."""
    tx.rows("UPDATE served_configs SET pending = '' WHERE mac = ?", (mac.digits,))


def adopted(tx: Write, actor: Actor, mac: Mac, sha256: str | None) -> None:
    """Record that the phone is served this config, or none: it runs no profile, and its login ends."""
    _serve(tx, mac, sha256, "adopted")
    supersede(tx, mac, now(), StepNotice.REPLACED_BY_FILE.notice())
    tx.rows(
        "UPDATE cisco_phones SET current_profile_uuid = NULL, revision = revision + 1"
        " WHERE mac = ? AND current_profile_uuid IS NOT NULL",
        (mac.digits,),
    )
    tx.rows("DELETE FROM service_sessions WHERE mac = ?", (mac.digits,))
    phone_logins.replaced(tx, actor, mac)
    action = "config.adopted" if sha256 else "config.removed"
    audit.record(tx, actor, action, str(mac), {"mac": str(mac), "sha256": sha256})


def imported_profile(tx: Read, mac: Mac, sha256: str) -> str | None:
    """Return the profile that a directory import made of this version, or None. It is empty if it was deleted since."""
    row = tx.row("SELECT profile_uuid FROM takeovers WHERE mac = ? AND sha256 = ?", (mac.digits, sha256))
    return None if row is None else str(row["profile_uuid"] or "")


def record_import(tx: Write, mac: Mac, content: bytes, profile_uuid: str) -> None:
    """Record that a directory import made the profile ``profile_uuid`` of ``content``."""
    sha256 = keep_version(tx, mac, content, Origin.ADOPTED)
    row = {"mac": mac.digits, "sha256": sha256, "profile_uuid": profile_uuid, "created_at": now()}
    insert(tx, "takeovers", row)


def belongs_to(tx: Write, mac: Mac, profile_uuid: str) -> None:
    """Record that the config the phone is served is of this profile."""
    tx.rows(
        "INSERT INTO cisco_phones (mac, current_profile_uuid, created_at) VALUES (?, ?, ?) ON CONFLICT (mac)"
        " DO UPDATE SET current_profile_uuid = excluded.current_profile_uuid, revision = revision + 1",
        (mac.digits, profile_uuid, now()),
    )


def _serve(tx: Write, mac: Mac, sha256: str | None, origin: str) -> None:
    tx.rows(
        "INSERT INTO served_configs (mac, sha256, origin, since) VALUES (?, ?, ?, ?) ON CONFLICT (mac) DO UPDATE"
        " SET sha256 = excluded.sha256, pending = NULL, origin = excluded.origin, since = excluded.since",
        (mac.digits, sha256, origin, now()),
    )


def supersede(tx: Write, mac: Mac, moment: Timestamp, notice: Notice, newer: str = "") -> None:
    """Supersede the phone's deployments that it was not seen to take: another config is served, by ``newer``."""
    candidates = [life.SUPERSEDE, life.SUPERSEDE_FETCHED, life.SUPERSEDE_ENDED]
    for replaced in deployments.replaceable(tx, mac):
        if replaced.uuid != newer:
            moves.move(tx, replaced, candidates, moment, notice, {"superseded_at": moment})
