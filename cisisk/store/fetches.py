"""The fetch log: the requests for files over all protocols."""

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
"""One fetch to store: the attributes of :class:`LoggedFetch` in order, without the number. The MAC is given as digits,
the options as JSON. It is a tuple because a boot storm creates thousands a second."""

_COLUMNS = (
    "started_at, protocol, peer, port, local, name, mac, outcome, sha256, size, acknowledged, blocks, retransmits,"
    " duration, options"
)
_INSERT = f"INSERT INTO fetches ({_COLUMNS}) VALUES ({', '.join('?' * len(_COLUMNS.split(',')))})"  # noqa: S608 -- own names
_SELECT = f"SELECT number, {_COLUMNS} FROM fetches"  # noqa: S608 -- own names
_NEAR = 200
"""The phones of an address are counted among this many newest fetches: a client that tries names asks for many."""
WINDOW = 20_000
"""How far back the fetches of an unknown phone are read, counted in fetches of all phones. It bounds the cost of a
phone that fetches in a loop."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggedFetch:
    """A fetch that has ended.

    Attributes:
        number: counts the fetches in the order in which they ended.
        peer: address of the client; ``port`` is its port.
        local: the address that received the request.
        name: the requested name, made printable and truncated.
        mac: the phone whose file it is, if the name shows that.
        outcome: ``completed``, ``absent``, ``refused``, ``aborted``, ``timed_out`` or ``cut``.
        size: of the file, in bytes.
        acknowledged: bytes that the peer acknowledged.
        duration: in seconds.
        options: the negotiated TFTP options.
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
    """A filter; None matches any fetch.

    Attributes:
        name: text that the name contains, in any case.
        since: the earliest start; ``until``: fetches start before this time.
    """

    mac: Mac | None = None
    peer: str | None = None
    protocol: str | None = None
    outcome: str | None = None
    name: str | None = None
    since: Timestamp | None = None
    until: Timestamp | None = None

    def conditions(self) -> tuple[str, list[Any]]:
        """Return an SQL condition and its values."""
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
    """A phone that is not in the inventory and requested its own files.

    Attributes:
        peer: the address of its last request, at ``seen_at``.
        first_at: when it first requested a file from there, as far as the log reaches back.
        names: how many different files of its own it requested from there.
        proved: it took a whole file, which is impossible with a forged source address.
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
    """Store fetches."""
    tx.many(_INSERT, rows)


def page(tx: Read, listing: Listing, wanted: Wanted) -> Page[LoggedFetch]:
    """Return the wanted fetches, the newest first."""
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
    """Return the number of the newest fetch; 0 for an empty log."""
    row = tx.row("SELECT MAX(number) AS last FROM fetches")
    return int(row["last"] or 0) if row else 0


def newest_of_phone(tx: Read, mac: Mac, at_most: int) -> list[LoggedFetch]:
    """Return the fetches of a phone's own files, the newest first."""
    rows = tx.rows(f"{_SELECT} WHERE mac = ? ORDER BY number DESC LIMIT ?", (mac.digits, at_most))
    return [_fetch(row) for row in rows]


def newest_of_peer(tx: Read, peer: str, at_most: int) -> list[LoggedFetch]:
    """Return the fetches from one address, the newest first."""
    rows = tx.rows(f"{_SELECT} WHERE peer = ? ORDER BY number DESC LIMIT ?", (peer, at_most))
    return [_fetch(row) for row in rows]


def lately_asked_by(tx: Read, mac: Mac, peer: str, at_most: int = 60) -> list[tuple[str, str]]:
    """Return what a phone at an address requested lately: pairs of protocol and name, each once, the newest last.

    Files of other phones are left out.
    """
    rows = tx.rows(
        "SELECT protocol, name, mac FROM fetches WHERE peer = ? ORDER BY number DESC LIMIT ?",
        (peer, at_most),
    )
    own = dict.fromkeys((row["protocol"], row["name"]) for row in rows if row["mac"] in (None, mac.digits))
    return list(reversed(own))


def strangers(tx: Read, *, after: int, lately: Timestamp, most: int) -> list[Stranger]:
    """Return the phones outside the inventory that made the fetches after number ``after``.

    Fetches over FTP do not count: phones do not use it. Nor do those from an address that requested files of more than
    ``most`` such phones since ``lately``.
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
        # The join order and the index are fixed: an address may have more fetches than all its phones.
        " FROM asked CROSS JOIN fetches AS own INDEXED BY fetches_by_phone"
        "  ON own.mac = asked.mac AND own.peer = asked.peer AND own.number > last - ?5"
        " WHERE asked.peer IN quiet GROUP BY asked.mac",
        (after, lately, most, _NEAR, WINDOW),
    )
    return [Stranger(**{**dict(row), "mac": Mac(row["mac"]), "proved": bool(row["proved"])}) for row in rows]


def asked_by(tx: Read, peers: Mapping[Mac, str], after: int = 0) -> dict[Mac, list[tuple[str, str]]]:
    """Return what phones requested after number ``after``: pairs of protocol and name, by the time of the last request.

    Files of other phones are left out. A file of no phone counts for the phone whose address in ``peers`` requested it.
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
