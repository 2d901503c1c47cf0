from collections.abc import Callable
from typing import TypeVar

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from cisisk.model import sep_config
from cisisk.model.errors import Invalid

Given = TypeVar("Given")
Result = TypeVar("Result")
DECLARATIONS = [
    "",
    "\ufeff",
    *(f'<?xml version="1.0" encoding="{name}"?>' for name in ("UTF-8", "ascii", "iso-8859-1")),
]


def outcome(function: Callable[[Given], Result], argument: Given) -> Result | Invalid:
    try:
        return function(argument)
    except Invalid as refused:
        return refused


@given(st.sampled_from(DECLARATIONS), st.text())
@example("", "\ufeff<device/>\r\n")
@example("", "\ufeff\ufeff<device/>\r\n")
@example("", '<?xml encoding="UTF-16"?>')
@example('<?xml version="1.0" encoding="iso-8859-1"?>', "\x80\x85\xa0\xff\r\r\n")
@example("", "ï»¿<?xml encoding='ISO-8859-1'?>")
@example("", "<\0d\0")
def test_text_comes_back_exactly_as_it_was_given(declaration: str, text: str) -> None:
    result = outcome(sep_config.encode, declaration + text)
    if isinstance(result, Invalid):
        assert list(result.fields) == ["cnf_xml"]
    else:
        assert sep_config.decode(result) == declaration + text


@given(st.binary())
@example(b"\xef\xbb\xbf<device/>\r\n")
@example(b"\xff\xfe<\0")
@example(b"\xef\xbb\xbf<?xml encoding='ISO-8859-1'?>")
def test_bytes_that_have_a_text_come_back_exactly(content: bytes) -> None:
    result = outcome(sep_config.decode, content)
    if isinstance(result, Invalid):
        assert list(result.fields) == ["cnf_xml"]
    else:
        assert sep_config.encode(result) == content


def test_text_is_encoded_as_its_declaration_says() -> None:
    assert sep_config.encode("<device>é</device>") == b"<device>\xc3\xa9</device>"
    assert sep_config.encode("<?xml version='1.0' encoding='UTF-8'?>é").endswith(b"\xc3\xa9")
    assert sep_config.encode('<?xml version="1.0"\n encoding = "iso-8859-1" ?>é').endswith(b"?>\xe9")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (
            '<?xml version="1.0" encoding="ISO-8859-1"?>\r\n<device>10 €',
            "Line 2, column 12: This character does not exist in ISO-8859-1",
        ),
        ('<?xml version="1.0" encoding="US-ASCII"?>é', "Line 1, column 42: This character does not exist"),
        ("<device>\n\ud800</device>", "Line 2, column 1: This is half of a surrogate pair"),
        ('\ufeff<?xml version="1.0" encoding="ISO-8859-1"?>', "Line 1, column 1: This character"),
        ('<?xml version="1.0" encoding="UTF-16"?><device/>', "Phones do not read the encoding UTF-16"),
        ('<?xml version="1.0" encoding=""?><device/>', "Phones do not read the encoding"),
        ('<?xml version="1.0" encoding="' + "x" * 1000 + '"?>', f"Phones do not read the encoding {'X' * 40}"),
    ],
)
def test_unencodable_text_is_rejected_with_its_place(text: str, reason: str) -> None:
    with pytest.raises(Invalid) as caught:
        sep_config.encode(text)
    assert reason in caught.value.fields["cnf_xml"][0]


def test_column_of_wrong_byte_counts_characters() -> None:
    with pytest.raises(Invalid, match="Line 2, column 3: These bytes are not UTF-8"):
        sep_config.decode("<device>\néé€".encode()[:-1])


def test_late_declaration_is_ignored() -> None:
    assert sep_config.encode('<device/><?xml encoding="UTF-16"?>é').endswith(b"\xc3\xa9")
