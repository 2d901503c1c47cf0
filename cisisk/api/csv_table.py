"""CSV tables of spreadsheets: RFC 4180 in UTF-8 with any common delimiter."""

import csv
import io
import re
from collections.abc import Iterable, Sequence
from typing import Final

from cisisk.model.errors import Invalid
from cisisk.model.job_table import MAX_COLUMNS, Table
from cisisk.model.switch_job import MAX_ROWS, Cell

_DELIMITERS: Final = ",;\t"
"""Spreadsheets use the semicolon in locales with a decimal comma."""
_FORMULA: Final = re.compile(r"[=+\-@\t\r\n\uff0b\uff0d\uff1d\uff20]")
"""First character of a cell that a spreadsheet may execute as a formula (OWASP, CSV Injection)."""
_NUMBER: Final = re.compile(r"[+-][0-9]+([.,][0-9]+)?", re.ASCII)
"""A signed or international number: it begins like a formula but is harmless."""


def read(content: bytes) -> Table:
    """Parse a table whose first line contains the column names. Empty lines are skipped.

    Raises:
        Invalid: ``content`` is not such a table.
    """
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Invalid.field("body", "The table is not UTF-8. Save it as CSV in UTF-8") from error
    if "\0" in text:
        raise Invalid.field("body", "The table contains a NUL character")
    first = text.lstrip("\r\n").partition("\n")[0]
    delimiter = max(_DELIMITERS, key=first.count)
    lines = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    rows: list[list[str]] = []
    try:
        for cells in lines:
            if any(cell.strip() for cell in cells):
                rows.append(cells)
            if len(rows) > MAX_ROWS + 1 or len(cells) > MAX_COLUMNS:
                break
    except csv.Error as error:
        raise Invalid.field("body", f"Line {lines.line_num} is not valid CSV: {error}") from error
    if not rows:
        raise Invalid.field("body", "The table is empty. Its first line must contain the column names")
    return Table(columns=tuple(rows[0]), rows=rows[1:], delimiter=delimiter)


def write(rows: Iterable[Sequence[Cell]], delimiter: str) -> bytes:
    """Return ``rows`` as CSV. An apostrophe precedes cells that a spreadsheet would execute."""
    lines = io.StringIO()
    writer = csv.writer(lines, delimiter=delimiter, lineterminator="\r\n")
    writer.writerows([_escape_formula(_text(cell)) for cell in row] for row in rows)
    return lines.getvalue().encode()


def _text(cell: Cell) -> str:
    match cell:
        case None:
            return ""
        case bool():
            return "true" if cell else "false"
        case _:
            return str(cell)


def _escape_formula(text: str) -> str:
    return f"'{text}" if _FORMULA.match(text) and not _NUMBER.fullmatch(text) else text
