import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cisisk.simulator.services.input_flags import FLAGS, apply_flags


@pytest.mark.parametrize(
    ("flags", "text", "expected"),
    [
        ("A", "Ann O'Neil 7", "Ann O'Neil 7"),
        ("AP", "s3cret!", "s3cret!"),
        ("PA", "s3cret!", "s3cret!"),
        ("N", "0123", "0123"),
        ("NP", "0123", "0123"),
        ("T", "*72#201", "*72#201"),
        ("E", "(1+2)*3", "(1+2)*3"),
        ("U", "anna7", "ANNA7"),
        ("L", "ANNA7", "anna7"),
        ("N", "", ""),
    ],
)
def test_apply_flags_allowed_text_is_accepted(flags: str, text: str, expected: str) -> None:
    assert apply_flags(text, flags) == expected


@pytest.mark.parametrize(
    ("flags", "text"), [("N", "12a"), ("NP", "1*"), ("T", "+49"), ("E", "x"), ("A", "Jürgen"), ("U", "ß"), ("L", "\n")]
)
def test_apply_flags_forbidden_character_raises_without_quoting_it(flags: str, text: str) -> None:
    with pytest.raises(ValueError, match="cannot be typed") as error:
        apply_flags(text, flags)
    assert text not in str(error.value)


@pytest.mark.parametrize("flags", ["", "P", "X", "n", "NN", "NPP", "NPN", " N"])
def test_unknown_flags_do_not_match(flags: str) -> None:
    assert not FLAGS.fullmatch(flags)


@given(st.text(string.printable), st.sampled_from(["A", "T", "N", "E", "U", "L", "NP", "AP"]))
def test_apply_flags_is_idempotent(text: str, flags: str) -> None:
    try:
        once = apply_flags(text, flags)
    except ValueError:
        return
    assert apply_flags(once, flags) == once
