import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cisisk.simulator.services.lines import FLAGS, typed


@pytest.mark.parametrize(
    ("flags", "text", "stands"),
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
def test_what_the_keys_offer_can_be_typed(flags: str, text: str, stands: str) -> None:
    assert typed(text, flags) == stands


@pytest.mark.parametrize(
    ("flags", "text"), [("N", "12a"), ("NP", "1*"), ("T", "+49"), ("E", "x"), ("A", "Jürgen"), ("U", "ß"), ("L", "\n")]
)
def test_what_has_no_key_cannot_be_typed(flags: str, text: str) -> None:
    with pytest.raises(ValueError, match="cannot be typed") as impossible:
        typed(text, flags)
    assert text not in str(impossible.value)


@pytest.mark.parametrize("flags", ["", "P", "X", "n", "NN", "NPP", "NPN", " N"])
def test_unknown_flags_are_none(flags: str) -> None:
    assert not FLAGS.fullmatch(flags)


@given(st.text(string.printable), st.sampled_from(["A", "T", "N", "E", "U", "L", "NP", "AP"]))
def test_what_has_been_typed_can_be_typed_again(text: str, flags: str) -> None:
    try:
        stands = typed(text, flags)
    except ValueError:
        return
    assert typed(stands, flags) == stands
