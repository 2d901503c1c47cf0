"""CSV tables of switch jobs."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cisisk.model.job_table import MAX_COLUMNS, Table, read
from cisisk.model.mac import Mac
from cisisk.model.switch_job import MAX_ROWS

UUID = "6f2f4fd4-6f2b-4cf2-9d0c-6a0f4f6d3c11"
ONE, TWO = "AA:BB:CC:DD:EE:01", "AA:BB:CC:DD:EE:02"


def refused(columns: str, *rows: tuple[Any, ...]) -> dict[str, str]:
    return dict(read(Table(columns=tuple(columns.split()), rows=rows)).refused)


def test_columns_in_any_order_and_case_are_read() -> None:
    reading = read(Table(columns=("Desk", " Profile_UUID", "MAC"), rows=[("12", UUID.upper(), " sepaabbccddee01 ")]))
    assert reading.refused == []
    [row] = reading.rows
    assert (row.number, row.mac, row.profile_uuid, row.named) == (1, Mac("AABBCCDDEE01"), UUID, None)
    assert row.cells == ("12", UUID.upper(), " sepaabbccddee01 ")


def test_profile_is_named_by_user_and_name() -> None:
    reading = read(Table(columns=("mac", "username", "profile"), rows=[(ONE, "anna", "Desk")]))
    assert reading.rows[0].named == ("anna", "Desk")
    mixed = Table(columns=("mac", "username", "profile", "profile_uuid"), rows=[(ONE, "anna", "Desk", UUID)])
    assert (read(mixed).rows[0].named, read(mixed).rows[0].profile_uuid) == (None, UUID)


def test_all_errors_are_reported_at_once() -> None:
    assert refused(
        "mac profile_uuid desk",
        (ONE, UUID, 1),
        ("nothing", "nothing", 2),
        (None, "", 3),
        (TWO, "", 4),
        ("aabb.ccdd.ee01", UUID, 5),
        (ONE, UUID),
        (TWO, UUID, ["a list"]),
        ("FF:FF:FF:FF:FF:FF", UUID, 8),
    ) == {
        "rows.2.mac": "Not a MAC address such as AA:BB:CC:DD:EE:01",
        "rows.2.profile_uuid": "Not a valid UUID.",
        "rows.3.mac": "Missing",
        "rows.3.profile_uuid": "Missing",
        "rows.4.profile_uuid": "Missing",
        "rows.5.mac": "The same phone as in row 1",
        "rows.6": "The row has 2 cells, and the table has 3 columns",
        "rows.7.desk": "The value is neither a text nor a number",
        "rows.8.mac": "An all-zero, multicast or broadcast address belongs to no phone",
    }


@pytest.mark.parametrize(
    ("columns", "reason"),
    [
        ("profile_uuid", "There is no column mac"),
        ("mac", "There is no column profile_uuid, nor both username and profile"),
        ("mac profile", "There is no column profile_uuid, nor both username and profile"),
        ("mac profile_uuid Mac", "These columns occur twice: mac"),
        ("mac profile_uuid " + "x" * 65, "A column name is not printable, or is longer than 64 characters"),
        (
            " ".join(["mac", "profile_uuid", *map(str, range(MAX_COLUMNS))]),
            "The table has 52 columns, and a job takes at most 50",
        ),
    ],
)
def test_invalid_columns_are_rejected_before_rows(columns: str, reason: str) -> None:
    assert refused(columns, (ONE,)) == {"columns": reason}


def test_empty_and_too_long_tables_are_rejected() -> None:
    assert refused("mac profile_uuid") == {"rows": "The table has no rows"}
    reading = refused("mac profile_uuid", *[(ONE, UUID)] * (MAX_ROWS + 1))
    assert reading == {"rows": "The table has 5001 rows, and a job takes at most 5000"}


def test_table_of_objects_has_all_names() -> None:
    table = Table.of_objects([{"mac": ONE, "profile_uuid": UUID}, {"desk": 3, "mac": TWO}])
    assert table.columns == ("mac", "profile_uuid", "desk")
    assert table.rows == [(ONE, UUID, None), (TWO, None, 3)]


ANYTHING = st.none() | st.booleans() | st.integers() | st.text(max_size=20) | st.lists(st.integers(), max_size=2)


@given(st.lists(st.dictionaries(st.sampled_from(["mac", "profile_uuid", "profile", "username", "x"]), ANYTHING)))
def test_row_is_parsed_or_rejected(rows: list[dict[str, Any]]) -> None:
    reading = read(Table.of_objects(rows))
    named = {name.split(".")[1] for name, _ in reading.refused if name.startswith("rows.")}
    if not {name for name, _ in reading.refused} & {"rows", "columns"}:
        assert {str(row.number) for row in reading.rows} | named == {str(number) for number in range(1, len(rows) + 1)}
        assert not {str(row.number) for row in reading.rows} & named
