"""Numbers, searches and the URLs that carry them."""

import asyncio
from typing import Any
from unittest.mock import Mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cisisk.model.contact import Contact
from cisisk.model.listing import Page
from cisisk.model.mac import Mac
from cisisk.phone_services import people
from cisisk.phone_services.links import MAX_HOST, MAX_NUMBER, MAX_SEARCHED, Links, searchable
from cisisk.phone_services.objects import MAX_HEADING, MAX_URL
from cisisk.phone_services.paging import MAX_START, ListPart, part_from, start_from
from cisisk.phone_services.problems import NotShown
from cisisk.phone_services.request import PhoneRequest
from cisisk.phone_services.texts import ScreenLabel, ScreenProblem, Words, in_words

MOMENT = "2026-06-28T12:00:00.000Z"


def contact(**numbers: Any) -> Contact:
    return Contact(uuid="1", name="Anna", created_at=MOMENT, updated_at=MOMENT, **numbers)


@pytest.mark.parametrize(
    ("written", "dialled"),
    [
        ("+49 (0)30 123-45/6", "+493012345" + "6"),
        ("0 30.123", "030123"),
        ("(030) 12", "03012"),
        ("*97#", "*97#"),
        ("\uff10\uff13-1234", "031234"),
        ("1" * 32, "1" * 32),
        # Part of a number is another number.
        ("1" * 33, ""),
        ("030 12 ext. 5", ""),
        ("12+3", ""),
        ("anna@example.org", ""),
        ("", ""),
        (None, ""),
    ],
)
def test_number_is_dialled_whole_or_not(written: str | None, dialled: str) -> None:
    assert people.dialable(written) == dialled


def test_entry_has_the_first_dialable_number() -> None:
    assert people.entries([contact(work="see web", mobile="1 2", home="3")])[0].telephone == "12"
    assert [(each.name, each.telephone) for each in people.numbers(contact(work="x", mobile="1 2", home="3"))] == [
        (ScreenLabel.MOBILE, "12"),
        (ScreenLabel.HOME, "3"),
    ]
    with pytest.raises(NotShown) as problem:
        people.numbers(contact(work="x"))
    assert problem.value.notice == ScreenProblem.NO_NUMBER.notice(name="Anna")


@given(st.text(max_size=300), st.text("0123456789*#", max_size=300))
def test_any_search_fits_into_a_url(text: str, number: str) -> None:
    asked = {"n": text.encode(errors="ignore").decode(), "d": number, "start": str(MAX_START)}
    place = people.place(Mock(spec=PhoneRequest, get=asked.__getitem__))
    assert number.startswith(place.number)
    links = Links(base=f"https://{'h' * MAX_HOST}", mac=Mac("AABBCCDDEE01"))
    for page in ("cdir/contact", "pdir/contacts"):
        uuid = "11111111-1111-1111-1111-111111111111" if page == "cdir/contact" else ""
        assert len(links.to(page, id=uuid, **place.parameters)) <= MAX_URL


def test_search_is_truncated_between_characters() -> None:
    assert searchable("山田太郎" * 5) == "山田太郎山田太"
    assert searchable("x" * 100) == "x" * MAX_SEARCHED
    assert searchable("/" * 100) == "/" * 21
    assert searchable("*#21" * 10, MAX_NUMBER) == "*#21*#21*#21"


@given(st.integers(0, 300), st.integers(1, 100), st.integers(0, 400))
def test_next_and_back_lead_through_the_whole_list(total: int, size: int, start: int) -> None:
    async def find(offset: int) -> Page[int]:
        return Page(list(range(total))[offset : offset + size], total)

    part = asyncio.run(part_from(find, start, size))
    keys = {key.name: int(key.url) for key in part.keys(str)}
    # Beyond the end of a shorter list, the last page is shown.
    assert list(part.items) == list(range(total))[part.start : part.start + size]
    assert bool(part.items) == bool(total)
    assert part.start == start or (start >= total and part.start + size >= total)
    if ScreenLabel.NEXT in keys:
        assert keys[ScreenLabel.NEXT] == part.start + len(part.items) < total
    else:
        assert part.start + size >= total
    assert (ScreenLabel.BACK in keys) == bool(part.start)
    assert 0 <= keys.get(ScreenLabel.BACK, 0) <= part.start


@pytest.mark.parametrize(
    ("part", "prompt"),
    [
        (
            ListPart(items=range(32), start=32, size=32, total=101),
            ScreenLabel.PAGE.notice(first=33, last=64, total=101),
        ),
        (
            ListPart(items=range(5), start=96, size=32, total=101),
            ScreenLabel.PAGE.notice(first=97, last=101, total=101),
        ),
        (ListPart(items=range(5), start=0, size=32, total=5), ""),
    ],
)
def test_prompt_shows_the_position_in_a_list(part: ListPart[int], prompt: Words) -> None:
    assert part.prompt == prompt


@pytest.mark.wording
def test_prompt_of_the_longest_list_fits() -> None:
    assert len(in_words(ListPart(items=range(32), start=999_968, size=32, total=MAX_START).prompt)) <= MAX_HEADING


@pytest.mark.parametrize("text", ["", "-1", "x", "1e3", "٣", "99999999", "1000001", "²"])
def test_invalid_start_is_zero(text: str) -> None:
    assert start_from(text) == 0
