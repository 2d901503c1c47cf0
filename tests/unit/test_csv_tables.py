"""CSV tables of spreadsheets."""

import csv
import io
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cisisk.api.csv_table import read, write
from cisisk.model.errors import Invalid
from cisisk.model.switch_job import MAX_ROWS


def refused(content: bytes) -> str:
    with pytest.raises(Invalid) as caught:
        read(content)
    return caught.value.fields["body"][0]


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_read_spreadsheet_formats(delimiter: str, line_end: str, mark: str) -> None:
    lines = [["mac", "desk"], ["AA", f'say "1"{delimiter} 2'], [], ["", ""], ["BB", "größer"]]
    quoted = [delimiter.join('"' + cell.replace('"', '""') + '"' for cell in line) for line in lines]
    table = read((mark + line_end.join(quoted) + line_end).encode())
    assert (table.columns, table.delimiter) == (("mac", "desk"), delimiter)
    assert table.rows == [["AA", f'say "1"{delimiter} 2'], ["BB", "größer"]]


def test_read_cell_with_line_ends() -> None:
    assert read(b'a,b\n"1\n2",3').rows == [["1\n2", "3"]]


def test_read_invalid_table_raises_invalid_with_line() -> None:
    assert refused(b"mac\xff") == "The table is not UTF-8. Save it as CSV in UTF-8"
    assert refused(b"mac\0") == "The table contains a NUL character"
    assert refused(b"") == "The table is empty. Its first line must contain the column names"
    assert refused(b"\r\n , \n") == "The table is empty. Its first line must contain the column names"
    assert refused(b'mac,desk\n1,"2"3') == "Line 2 is not valid CSV: ',' expected after '\"'"
    assert refused(b"a,b\n1," + b"2" * 200_000).startswith("Line 2 is not valid CSV: field larger")


def test_read_stops_after_row_limit() -> None:
    assert len(read(b"mac\n" + b"1\n" * 9999).rows) == MAX_ROWS + 1


@pytest.mark.parametrize("cell", ["=1+1", "+1+1", "-1+cmd|' /C calc'!A0", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "＝1"])  # noqa: RUF001 -- the full-width form is meant
def test_write_escapes_formulas(cell: str) -> None:
    [[shown]] = csv.reader(io.StringIO(write([[cell]], ",").decode(), newline=""))
    assert shown == f"'{cell}"


def test_write_keeps_numbers_and_empty_cells() -> None:
    row = ["+49301234567", "-5", "-1,5", None, True, False, 12, 1.5, "a=b"]
    assert write([row], ";") == b"+49301234567;-5;-1,5;;true;false;12;1.5;a=b\r\n"


TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=30)


@given(
    columns=st.lists(TEXT.filter(str.strip), min_size=2, max_size=5),
    cells=st.lists(TEXT.filter(str.strip), min_size=10, max_size=10),
)
def test_written_table_can_be_read_again(columns: list[str], cells: list[str]) -> None:
    width = len(columns)
    rows = [cells[at : at + width] for at in range(0, len(cells) - width + 1, width)]
    # The first line determines the delimiter.
    columns = [column.translate(str.maketrans(",;\t\n\r", "     ")) for column in columns]
    table = read(write([[f"c{column}" for column in columns], *rows], ","))
    assert table.columns == tuple(f"c{column}" for column in columns)
    read_again = [[str(cell).removeprefix("'") for cell in row] for row in table.rows]
    assert read_again == [[cell.removeprefix("'") for cell in row] for row in rows]


@given(st.binary(max_size=300))
def test_read_any_bytes_returns_or_raises_invalid(content: bytes) -> None:
    with suppress(Invalid):
        assert read(content).columns
