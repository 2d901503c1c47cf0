"""Errors about a file never quote its passwords."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cisisk.model import sep_config
from cisisk.model.errors import Invalid
from cisisk.model.sep_config.document import parse

SENTINEL = "xQ7sentinel"
SECRET_ELEMENTS = ("authPassword", "sshPassword", "phonePassword")

FORMS = [
    "{}",
    "a&{};b",
    "a&{}",
    "a & {}",
    "a<{}",
    "a<{}/>",
    "a<{}>",
    "</{}>",
    "<!-- {} -- -->",
    "<!--{}",
    "<![CDATA[{}",
    "<![CDATA[{}]]>",
    "<{}:x/>",
    '<x {}:y="1"/>',
    '<x {0}="1" {0}="2"/>',
    "<x {}/>",
    "<x {}=1/>",
    "<x y='{}",
    "<?{} ?>",
    "<?{}",
    "<?xml {}?>",
    "<:{}/>",
    "<a:b:{}/>",
    "<x xmlns:{}=''/>",
    "<x xmlns='{} {}'/>",
    "<x xml:id='{} 1'/>",
    "<!DOCTYPE {}>",
    "\x01{}",
    "{}\x00",
    "&#{};",
    "{{{{{}}}}}",
    "{}" * 4,
]


def everything_said_about(content: bytes) -> str:
    said = ""
    for placeholders in (False, True):
        try:
            config, findings = sep_config.judge(content, compatible_models=["7942", "x"], placeholders=placeholders)
        except Invalid as refused:
            said += f"{refused} {refused!r} {refused.fields} {refused.__cause__!r}"
        else:
            said += f"{config!r} {config} {findings!r} {parse(content)!r}"
    return said


@pytest.mark.parametrize("element", SECRET_ELEMENTS)
@pytest.mark.parametrize("form", FORMS)
def test_password_in_broken_file_is_not_quoted(sip: bytes, element: str, form: str) -> None:
    start = sip.index(f"<{element}>".encode()) + len(element) + 2
    end = sip.index(f"</{element}>".encode())
    content = sip[:start] + form.format(*[SENTINEL] * 4).encode() + sip[end:]
    assert SENTINEL not in everything_said_about(content)


def test_unencodable_password_is_not_quoted() -> None:
    text = f'<?xml version="1.0" encoding="US-ASCII"?><device><authPassword>{SENTINEL}€</authPassword></device>'
    with pytest.raises(Invalid) as caught:
        sep_config.encode(text)
    assert SENTINEL not in f"{caught.value} {caught.value.fields} {caught.value.__cause__!r}"


@pytest.mark.parametrize("element", SECRET_ELEMENTS)
def test_password_in_other_encoding_is_not_quoted(sip: bytes, element: str) -> None:
    content = sip.replace(f"<{element}>".encode(), f"<{element}>{SENTINEL}".encode() + b"\xff")
    assert SENTINEL not in everything_said_about(content)


def test_credentials_in_a_url_are_not_shown() -> None:
    content = f"<device><authenticationURL>http://user:{SENTINEL}@192.0.2.5/</authenticationURL></device>".encode()
    assert sep_config.read(content).authentication_url == f"http://user:{SENTINEL}@192.0.2.5/"
    assert SENTINEL not in everything_said_about(content)


@given(data=st.data())
def test_damaged_config_shows_no_password(data: st.DataObject, sip: bytes) -> None:
    content = sip.replace(b"authSentinel", SENTINEL.encode())
    start = data.draw(st.integers(0, len(content)))
    damage = data.draw(st.sampled_from([b"<", b">", b"&", b"</", b'"', b"<!--", b"<![CDATA[", b"<x ", b"\xff"]))
    removed = data.draw(st.integers(0, 3))
    assert SENTINEL not in everything_said_about(content[:start] + damage + content[start + removed :])
