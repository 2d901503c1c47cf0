"""Parsing of the Range header."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cisisk.provisioning.http.byte_range import ByteRange, Unsatisfiable, part_of


@pytest.mark.parametrize(
    ("value", "part"),
    [
        ("bytes=0-0", (0, 1)),
        ("bytes=0-9", (0, 10)),
        ("bytes=0-", (0, 10)),
        ("bytes=0-99999999999999999999", (0, 10)),
        ("bytes=9-9", (9, 1)),
        ("bytes=-1", (9, 1)),
        ("bytes=-10", (0, 10)),
        ("bytes=-11", (0, 10)),
        ("BYTES = 2-3", (2, 2)),
        ("bytes=,2-3 ,", (2, 2)),
        ("bytes=0000-0001", (0, 2)),
    ],
)
def test_single_range_is_parsed(value: str, part: tuple[int, int]) -> None:
    assert part_of(value, 10) == part


@pytest.mark.parametrize("value", ["bytes=10-", "bytes=10-20", "bytes=99999999999999999999-", "bytes=-0"])
def test_range_without_a_byte_of_the_file_is_unsatisfiable(value: str) -> None:
    with pytest.raises(Unsatisfiable):
        part_of(value, 10)


@pytest.mark.parametrize(
    "value",
    [
        "",
        "bytes",
        "bytes=",
        "bytes=-",
        "bytes=3-2",
        "bytes=0-1,2-3",
        "lines=0-1",
        "bytes=a-b",
        "bytes=0x1-",
        "bytes=\N{ARABIC-INDIC DIGIT ONE}-",
    ],
)
def test_other_range_values_mean_the_whole_file(value: str) -> None:
    assert part_of(value, 10) is None


def test_empty_file_has_no_range() -> None:
    assert part_of("bytes=-5", 0) is None
    with pytest.raises(Unsatisfiable):
        part_of("bytes=0-", 0)


@given(st.integers(0, 1 << 40), st.integers(0, 1 << 41), st.integers(0, 1 << 41))
def test_part_begins_at_the_requested_offset_within_the_file(size: int, first: int, last: int) -> None:
    try:
        part = part_of(f"bytes={first}-{last}", size)
    except Unsatisfiable:
        assert first >= size
        return
    if last < first:
        assert part is None
    else:
        assert part == ByteRange(first, min(last, size - 1) - first + 1)


@given(st.text(), st.integers(0, 100))
def test_range_is_always_inside_file(value: str, size: int) -> None:
    try:
        part = part_of(value, size)
    except Unsatisfiable:
        return
    assert part is None or (part.length >= 1 and 0 <= part.offset <= size - part.length)
