"""Tables as spreadsheets write and read them."""

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
def test_what_spreadsheets_write_is_read(delimiter: str, line_end: str, mark: str) -> None:
    lines = [["mac", "desk"], ["AA", f'say "1"{delimiter} 2'], [], ["", ""], ["BB", "größer"]]
    quoted = [delimiter.join('"' + cell.replace('"', '""') + '"' for cell in line) for line in lines]
    table = read((mark + line_end.join(quoted) + line_end).encode())
    assert (table.columns, table.delimiter) == (("mac", "desk"), delimiter)
    assert table.rows == [["AA", f'say "1"{delimiter} 2'], ["BB", "größer"]]


def test_a_cell_may_have_lines() -> None:
    assert read(b'a,b\n"1\n2",3').rows == [["1\n2", "3"]]


def test_what_is_no_table_is_refused_with_its_line() -> None:
    assert refused(b"mac\xff") == "Not UTF-8: save the table as CSV in UTF-8"
    assert refused(b"mac\0") == "Holds a NUL: no text"
    assert refused(b"") == "Holds no table: its first line has to name the columns"
    assert refused(b"\r\n , \n") == "Holds no table: its first line has to name the columns"
    assert refused(b'mac,desk\n1,"2"3') == "Line 2 is not CSV: ',' expected after '\"'"
    assert refused(b"a,b\n1," + b"2" * 200_000).startswith("Line 2 is not CSV: field larger")


def test_an_endless_table_is_read_no_further_than_one_row_too_many() -> None:
    assert len(read(b"mac\n" + b"1\n" * 9999).rows) == MAX_ROWS + 1


@pytest.mark.parametrize("cell", ["=1+1", "+1+1", "-1+cmd|' /C calc'!A0", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "＝1"])  # noqa: RUF001 -- the full-width form is meant
def test_what_a_spreadsheet_would_carry_out_becomes_text(cell: str) -> None:
    [[shown]] = csv.reader(io.StringIO(write([[cell]], ",").decode(), newline=""))
    assert shown == f"'{cell}"


def test_numbers_and_nothing_are_written_as_they_are() -> None:
    row = ["+49301234567", "-5", "-1,5", None, True, False, 12, 1.5, "a=b"]
    assert write([row], ";") == b"+49301234567;-5;-1,5;;true;false;12;1.5;a=b\r\n"


TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=30)


@given(
    columns=st.lists(TEXT.filter(str.strip), min_size=2, max_size=5),
    cells=st.lists(TEXT.filter(str.strip), min_size=10, max_size=10),
)
def test_what_is_written_is_read_again_but_for_the_apostrophes(columns: list[str], cells: list[str]) -> None:
    width = len(columns)
    rows = [cells[at : at + width] for at in range(0, len(cells) - width + 1, width)]
    # What stands between the cells is told by the first line.
    columns = [column.translate(str.maketrans(",;\t\n\r", "     ")) for column in columns]
    table = read(write([[f"c{column}" for column in columns], *rows], ","))
    assert table.columns == tuple(f"c{column}" for column in columns)
    read_again = [[str(cell).removeprefix("'") for cell in row] for row in table.rows]
    assert read_again == [[cell.removeprefix("'") for cell in row] for row in rows]


@given(st.binary(max_size=300))
def test_no_bytes_do_more_than_be_refused(content: bytes) -> None:
    with suppress(Invalid):
        assert read(content).columns
