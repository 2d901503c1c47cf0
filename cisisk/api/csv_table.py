"""Tables as spreadsheets write and read them: RFC 4180, in UTF-8, with whatever stands between the cells."""

import csv
import io
import re
from collections.abc import Iterable, Sequence
from typing import Final

from cisisk.model.errors import Invalid
from cisisk.model.job_table import MAX_COLUMNS, Table
from cisisk.model.switch_job import MAX_ROWS, Cell

_DELIMITERS: Final = ",;\t"
"""A spreadsheet takes the semicolon where the comma is for decimals."""
_FORMULA: Final = re.compile(r"[=+\-@\t\r\n\uff0b\uff0d\uff1d\uff20]")
"""How a cell begins that a spreadsheet may take for a formula, and carry out (OWASP, CSV Injection)."""
_NUMBER: Final = re.compile(r"[+-][0-9]+([.,][0-9]+)?", re.ASCII)
"""A number of a phone, too, begins like one, and does no harm."""


def read(content: bytes) -> Table:
    """The table in ``content``, whose first line names its columns. Lines without any text are left out.

    Raises:
        Invalid: it is no such table.
    """
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Invalid.field("body", "Not UTF-8: save the table as CSV in UTF-8") from error
    if "\0" in text:
        raise Invalid.field("body", "Holds a NUL: no text")
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
        raise Invalid.field("body", f"Line {lines.line_num} is not CSV: {error}") from error
    if not rows:
        raise Invalid.field("body", "Holds no table: its first line has to name the columns")
    return Table(columns=tuple(rows[0]), rows=rows[1:], delimiter=delimiter)


def write(rows: Iterable[Sequence[Cell]], delimiter: str) -> bytes:
    """The lines for ``rows``. What a spreadsheet would carry out gets an apostrophe before it, and stays text."""
    lines = io.StringIO()
    writer = csv.writer(lines, delimiter=delimiter, lineterminator="\r\n")
    writer.writerows([_harmless(_text(cell)) for cell in row] for row in rows)
    return lines.getvalue().encode()


def _text(cell: Cell) -> str:
    match cell:
        case None:
            return ""
        case bool():
            return "true" if cell else "false"
        case _:
            return str(cell)


def _harmless(text: str) -> str:
    return f"'{text}" if _FORMULA.match(text) and not _NUMBER.fullmatch(text) else text
