"""The fetch log: what phones and others fetched, over every protocol."""

import json
import sqlite3
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from cisisk.model.clock import Timestamp
from cisisk.model.listing import Listing, Page
from cisisk.model.mac import Mac
from cisisk.store.listing import ListSource
from cisisk.store.transaction import Read, Write

Row: TypeAlias = tuple[str, str, str, int, str, str, str | None, str, str | None, int, int, int, int, float, str]
"""One fetch to be stored: the attributes of :class:`LoggedFetch` in their order, without the number; the MAC as its
digits, the options as JSON. A tuple, because a storm brings thousands of them a second."""

_COLUMNS = (
    "started_at, protocol, peer, port, local, name, mac, outcome, sha256, size, acknowledged, blocks, retransmits,"
    " duration, options"
)
_INSERT = f"INSERT INTO fetches ({_COLUMNS}) VALUES ({', '.join('?' * len(_COLUMNS.split(',')))})"  # noqa: S608 -- own names
_SELECT = f"SELECT number, {_COLUMNS} FROM fetches"  # noqa: S608 -- own names
_NEAR = 200
"""The newest fetches of an address in which its phones are counted: a thief's are all different."""
WINDOW = 20_000
"""How far back a stranger's fetches are looked at, counted in all fetches: a phone that loops must not cost more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggedFetch:
    """One ended fetch.

    Attributes:
        number: counts the fetches as they ended.
        peer: address of the client, and its ``port``.
        local: the address that was asked.
        name: what was asked for, made printable and cut.
        mac: whose file it is, if the name tells.
        outcome: ``completed``, ``absent``, ``refused``, ``aborted``, ``timed_out`` or ``cut``.
        size: bytes of the file.
        acknowledged: bytes that the peer has confirmed.
        duration: seconds.
        options: those agreed on.
    """

    number: int
    started_at: Timestamp
    protocol: str
    peer: str
    port: int
    local: str
    name: str
    mac: Mac | None
    outcome: str
    sha256: str | None
    size: int
    acknowledged: int
    blocks: int
    retransmits: int
    duration: float
    options: Mapping[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which fetches are wanted; None for any.

    Attributes:
        name: text that the name contains, in small or capital letters.
        since: the first moment, ``until`` the first one after it.
    """

    mac: Mac | None = None
    peer: str | None = None
    protocol: str | None = None
    outcome: str | None = None
    name: str | None = None
    since: Timestamp | None = None
    until: Timestamp | None = None

    def conditions(self) -> tuple[str, list[Any]]:
        """A WHERE clause and its values."""
        tests = {
            "mac = ?": self.mac and self.mac.digits,
            "peer = ?": self.peer,
            "protocol = ?": self.protocol,
            "outcome = ?": self.outcome,
            "instr(lower(name), lower(?)) > 0": self.name or None,
            "started_at >= ?": self.since,
            "started_at < ?": self.until,
        }
        asked = {test: value for test, value in tests.items() if value is not None}
        return " AND ".join(asked) or "1", list(asked.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class Stranger:
    """A phone that is not in the inventory and asked for files of its own.

    Attributes:
        peer: where it asked from last, at ``seen_at``.
        first_at: when it asked for the first time from there, as far as the log reaches back.
        names: how many different files of its own it asked for from there.
        proved: it took a whole file, which a forged source address cannot do.
    """

    mac: Mac
    peer: str
    seen_at: Timestamp
    first_at: Timestamp
    names: int
    proved: bool


def _fetch(row: sqlite3.Row) -> LoggedFetch:
    values = {"mac": Mac(row["mac"]) if row["mac"] else None, "options": json.loads(row["options"])}
    return LoggedFetch(**{**dict(row), **values})


_FETCHES = ListSource(
    select=_SELECT,
    searched=("name", "peer", "mac"),
    sortable=("started_at", "peer", "name", "size", "duration", "retransmits"),
    order="number DESC",
    item=_fetch,
)


def add(tx: Write, rows: Iterable[Row]) -> None:
    """Store fetches. Raises StorageFailed."""
    tx.many(_INSERT, rows)


def page(tx: Read, listing: Listing, wanted: Wanted) -> Page[LoggedFetch]:
    """The newest first."""
    return _FETCHES.page(tx, listing, *wanted.conditions())


def expired(tx: Read, *, before: Timestamp, rows: int, limit: int) -> list[int]:
    """Return the numbers of the oldest fetches that are not kept, at most ``limit``.

    Args:
        before: those that began before this time are not kept.
        rows: the newest fetches that are kept.
    """
    doomed = tx.rows(
        "SELECT number FROM (SELECT number FROM fetches"
        " WHERE number <= (SELECT MAX(number) FROM fetches) - ?1 ORDER BY number LIMIT ?3)"
        " UNION SELECT number FROM (SELECT number FROM fetches WHERE started_at < ?2 ORDER BY started_at LIMIT ?3)"
        " LIMIT ?3",
        (rows, before, limit),
    )
    return [row["number"] for row in doomed]


def remove(tx: Write, numbers: Iterable[int]) -> None:
    """Delete fetches."""
    tx.many("DELETE FROM fetches WHERE number = ?", ((number,) for number in numbers))


def last_number(tx: Read) -> int:
    """The number of the newest fetch; 0 for an empty log."""
    row = tx.row("SELECT MAX(number) AS last FROM fetches")
    return int(row["last"] or 0) if row else 0


def newest_of_phone(tx: Read, mac: Mac, at_most: int) -> list[LoggedFetch]:
    """The fetches of files that are a phone's own, the newest first."""
    rows = tx.rows(f"{_SELECT} WHERE mac = ? ORDER BY number DESC LIMIT ?", (mac.digits, at_most))
    return [_fetch(row) for row in rows]


def newest_of_peer(tx: Read, peer: str, at_most: int) -> list[LoggedFetch]:
    """The fetches from one address, the newest first."""
    rows = tx.rows(f"{_SELECT} WHERE peer = ? ORDER BY number DESC LIMIT ?", (peer, at_most))
    return [_fetch(row) for row in rows]


def strangers(tx: Read, *, after: int, lately: Timestamp, most: int) -> list[Stranger]:
    """The phones that nobody has put into the inventory among the fetches after number ``after``.

    Over FTP comes no phone: those fetches do not count. Nor do those from an address that has asked for files of more
    than ``most`` phones since ``lately`` that nobody has put into the inventory.
    """
    rows = tx.rows(
        "WITH strangers AS MATERIALIZED (SELECT mac, MAX(number) AS last FROM fetches WHERE number > ?1"
        "  AND mac IS NOT NULL AND outcome <> 'refused' AND protocol <> 'ftp' AND mac NOT IN (SELECT mac FROM phones)"
        "  GROUP BY mac),"
        " asked AS MATERIALIZED (SELECT strangers.mac, last, peer, started_at FROM strangers"
        "  JOIN fetches ON number = last),"
        " quiet AS MATERIALIZED (SELECT peer FROM (SELECT DISTINCT peer FROM asked) AS asking WHERE ?3 >="
        "  (SELECT COUNT(DISTINCT mac) FROM (SELECT mac, started_at FROM fetches WHERE peer = asking.peer"
        "    ORDER BY number DESC LIMIT ?4) AS near WHERE mac IS NOT NULL AND started_at >= ?2"
        "    AND NOT EXISTS (SELECT 1 FROM phones WHERE phones.mac = near.mac AND discovery IS NULL)))"
        " SELECT asked.mac, asked.peer, asked.started_at AS seen_at, MIN(own.started_at) AS first_at,"
        " COUNT(DISTINCT lower(own.name)) AS names, MAX(own.outcome = 'completed') AS proved"
        # In this order, and by that index: an address may have fetched more than all its phones.
        " FROM asked CROSS JOIN fetches AS own INDEXED BY fetches_by_phone"
        "  ON own.mac = asked.mac AND own.peer = asked.peer AND own.number > last - ?5"
        " WHERE asked.peer IN quiet GROUP BY asked.mac",
        (after, lately, most, _NEAR, WINDOW),
    )
    return [Stranger(**{**dict(row), "mac": Mac(row["mac"]), "proved": bool(row["proved"])}) for row in rows]


def asked_by(tx: Read, peers: Mapping[Mac, str], after: int = 0) -> dict[Mac, list[tuple[str, str]]]:
    """What phones asked for after number ``after``: pairs of protocol and name, in the order of their last requests.

    Files of other phones are left out; what belongs to no phone counts for the one whose address in ``peers`` asked.
    """
    rows = tx.rows(
        "SELECT phone.key AS mac, protocol, name FROM json_each(?) AS phone"
        " JOIN fetches ON peer = phone.value AND number > ? AND (fetches.mac IS NULL OR fetches.mac = phone.key)"
        " AND protocol <> 'ftp' GROUP BY phone.key, protocol, name ORDER BY MAX(number)",
        (json.dumps({mac.digits: peer for mac, peer in peers.items()}), after),
    )
    asked: dict[Mac, list[tuple[str, str]]] = {}
    for row in rows:
        asked.setdefault(Mac(row["mac"]), []).append((row["protocol"], row["name"]))
    return asked
