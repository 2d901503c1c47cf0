"""The table of a new job: which phone gets which profile, and which rows are wrong."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final
from uuid import UUID

from cisisk.model.errors import Invalid
from cisisk.model.mac import Mac
from cisisk.model.switch_job import MAX_ROWS, Cell

MAX_COLUMNS: Final = 50
MAX_COLUMN_NAME: Final = 64
"""Characters."""
MAC, PROFILE_UUID, PROFILE, USERNAME = "mac", "profile_uuid", "profile", "username"
"""The columns that Cisisk reads, in any order and case. It keeps all other columns for the sender."""
_MISSING: Final = "Missing"


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Unchecked rows and the names of their columns. ``delimiter`` separated the cells."""

    columns: tuple[str, ...]
    rows: Sequence[Sequence[object]]
    delimiter: str = ","

    @classmethod
    def of_objects(cls, rows: Sequence[Mapping[str, object]]) -> "Table":
        """Return a table with all names in ``rows`` as columns, in the order of their first appearance."""
        columns = tuple(dict.fromkeys(name for row in rows for name in row))
        return cls(columns=columns, rows=[tuple(row.get(name) for name in columns) for row in rows])


@dataclass(frozen=True, slots=True, kw_only=True)
class WantedRow:
    """A phone and the profile for it, given by its uuid or by user and name (``named``)."""

    number: int
    mac: Mac
    profile_uuid: str | None
    named: tuple[str, str] | None
    cells: tuple[Cell, ...]


@dataclass(slots=True)
class ReadTable:
    """The contents of a table. ``refused`` holds pairs of a cell name, such as ``rows.3.mac``, and a reason."""

    rows: list[WantedRow] = field(default_factory=list)
    refused: list[tuple[str, str]] = field(default_factory=list)


def cell_name(row: int, column: str = "") -> str:
    """Return the name of a cell, or of a whole row, in errors. Rows count from 1."""
    return f"rows.{row}.{column}" if column else f"rows.{row}"


def read(table: Table) -> ReadTable:
    """Read all rows of a table, and collect all errors."""
    reading = ReadTable(refused=list(_refused_as_a_whole(table)))
    if reading.refused:
        return reading
    names, first_with = _plain(table.columns), dict[Mac, int]()
    for number, row in enumerate(table.rows, 1):
        cells = tuple(cell for cell in row if isinstance(cell, Cell))
        wrong = list(_wrong_as_a_row(table, row))
        if not wrong:
            wanted = _wanted(number, dict(zip(names, cells, strict=True)), cells, wrong)
            if wanted is not None and (first := first_with.setdefault(wanted.mac, number)) != number:
                wrong.append((MAC, f"The same phone as in row {first}"))
            if wanted is not None and not wrong:
                reading.rows.append(wanted)
        reading.refused += [(cell_name(number, column), reason) for column, reason in wrong]
    return reading


def _plain(names: Sequence[str]) -> list[str]:
    return [name.strip().casefold() for name in names]


def _wrong_as_a_row(table: Table, cells: Sequence[object]) -> Iterator[tuple[str, str]]:
    if len(cells) != len(table.columns):
        yield "", f"The row has {len(cells)} cells, and the table has {len(table.columns)} columns"
        return
    for name, cell in zip(table.columns, cells, strict=True):
        if not isinstance(cell, Cell):
            yield name, "The value is neither a text nor a number"


def _wanted(
    number: int, named: Mapping[str, Cell], cells: tuple[Cell, ...], wrong: list[tuple[str, str]]
) -> WantedRow | None:
    """Return the contents of a row; None if its phone is unknown. Appends all errors to ``wrong``."""
    mac = profile_uuid = None
    by_name = _text(named.get(USERNAME)), _text(named.get(PROFILE))
    try:
        if text := _text(named.get(PROFILE_UUID)):
            profile_uuid = str(UUID(text))
        elif not all(by_name):
            wrong.append((PROFILE_UUID, _MISSING))
    except ValueError:
        wrong.append((PROFILE_UUID, "Not a valid UUID."))
    try:
        if text := _text(named.get(MAC)):
            mac = Mac.parse(text)
        else:
            wrong.append((MAC, _MISSING))
    except Invalid as error:
        wrong += [(MAC, reason) for reason in error.fields[MAC]]
    if mac is None:
        return None
    wants = None if profile_uuid else by_name
    return WantedRow(number=number, mac=mac, profile_uuid=profile_uuid, named=wants, cells=cells)


def _refused_as_a_whole(table: Table) -> Iterator[tuple[str, str]]:
    names = _plain(table.columns)
    if not table.rows:
        yield "rows", "The table has no rows"
    elif len(table.rows) > MAX_ROWS:
        yield "rows", f"The table has {len(table.rows)} rows, and a job takes at most {MAX_ROWS}"
    if len(names) > MAX_COLUMNS:
        yield "columns", f"The table has {len(names)} columns, and a job takes at most {MAX_COLUMNS}"
    elif any(len(name) > MAX_COLUMN_NAME or not name.isprintable() for name in names):
        yield "columns", f"A column name is not printable, or is longer than {MAX_COLUMN_NAME} characters"
    elif twice := sorted({name for name in names if names.count(name) > 1}):
        yield "columns", f"These columns occur twice: {', '.join(twice)}"
    elif table.rows and MAC not in names:
        yield "columns", f"There is no column {MAC}"
    elif table.rows and PROFILE_UUID not in names and not {PROFILE, USERNAME} <= set(names):
        yield "columns", f"There is no column {PROFILE_UUID}, nor both {USERNAME} and {PROFILE}"


def _text(cell: Cell) -> str:
    return cell.strip() if isinstance(cell, str) else "" if cell is None else str(cell)
