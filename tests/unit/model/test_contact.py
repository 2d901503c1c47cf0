import pytest
from hypothesis import given
from hypothesis import strategies as st

from cisisk.model.contact import digits, folded, is_number


@pytest.mark.parametrize(
    ("written", "sought"),
    [
        ("José Conceição", "jose conceicao"),
        ("GROẞ", "groß"),
        ("Groß", "GROSS"),
        ("Jürgen Müller", "jurgen muller"),
        ("Ju\u0308rgen", "Jürgen"),
        ("Ελευθέριος", "ΕΛΕΥΘΕΡΙΟΣ"),
        ("Δήμητρα", "ΔΗΜΗΤΡΑ"),
        ("ﾀﾅｶ", "タナカ"),
        ("\uff34\uff21\uff2e\uff21\uff2b\uff21", "tanaka"),
        ("田中\u3000一郎", "田中 一郎"),
        ("  Ana   Luísa ", "ana luisa"),
        ("ﬁnance", "FINANCE"),
        ("", ""),
    ],
)
def test_folded_ignores_case_accents_and_widths(written: str, sought: str) -> None:
    assert folded(written) == folded(sought)


@pytest.mark.parametrize(("one", "other"), [("か", "が"), ("ハ", "パ"), ("ß", "s"), ("o", "0")])
def test_folded_keeps_different_letters_apart(one: str, other: str) -> None:
    assert folded(one) != folded(other)


@given(st.text())
def test_folding_twice_changes_nothing_more(text: str) -> None:
    assert folded(folded(text)) == folded(text)


@pytest.mark.parametrize(
    ("number", "dialled"),
    [
        ("+49 (30) 123-45.67", "49301234567"),
        ("*21*101#", "*21*101#"),
        ("\uff11\uff10\uff11", "101"),
        ("ext. 7", "7"),
        ("", ""),
    ],
)
def test_digits_keeps_dialled_characters(number: str, dialled: str) -> None:
    assert digits(number) == dialled


def test_is_number_accepts_numbers_only() -> None:
    assert all(is_number(text) for text in ("101", "+49 30", "(030) 1/2-3", "*8", "\uff11"))
    assert not any(is_number(text) for text in ("Room 5", "", "sip:101", "anna"))
