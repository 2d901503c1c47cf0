"""Every object keeps every limit for any input."""

import unicodedata
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from cisisk.phone_services.families import screen_of
from cisisk.phone_services.objects import (
    DIAL,
    SELECT,
    SUBMIT,
    Directory,
    DirectoryEntry,
    Input,
    InputItem,
    Menu,
    MenuItem,
    PhonePage,
    SoftKey,
    Text,
    render,
)
from cisisk.phone_services.texts import ScreenLabel, in_words
from tests.unit.phone_services.limits import FAMILIES, Seen, seen

URL = "http://192.0.2.5:8080/cisco/services/pdir/contact?mac=SEPAABBCCDDEE01&id=11111111-1111-1111-1111-111111111111"
NAMES = ("João Gonçalves", "Jürgen Groß", "Ελένη Παπαδοπούλου", "山田太郎", 'O\'Brien & "Söhne" <GmbH>')
EXIT = in_words(ScreenLabel.EXIT).strip()
anything = st.text(max_size=200)


def shown(page: PhonePage, model: str) -> Seen:
    screen = screen_of(model)
    return seen(render(page, screen), f"text/xml; charset={screen.charset}", model)


@pytest.mark.parametrize("model", FAMILIES)
@given(title=anything, prompt=anything, name=anything, text=st.text(max_size=6000))
def test_any_text_becomes_a_page_that_keeps_the_limits(
    model: str, title: str, prompt: str, name: str, text: str
) -> None:
    # Every page of Cisisk has one of them.
    title = f"A{title}"
    shown(Text(title=title, prompt=prompt, text=text), model)
    shown(Menu(title=title, prompt=prompt, items=[MenuItem(name, URL)] * 24, keys=[SELECT]), model)
    shown(Directory(title=title, prompt=prompt, entries=[DirectoryEntry(name, "123")] * 32, keys=[DIAL]), model)
    item = InputItem(label="Name", parameter="person", flags="A", default=name)
    shown(Input(title=title, prompt=prompt, url=URL, items=[item] * 5, keys=[SUBMIT]), model)


@pytest.mark.parametrize("name", NAMES)
def test_utf8_phone_gets_names_unchanged(name: str) -> None:
    page = shown(Directory(title="Corporate", entries=[DirectoryEntry(name, "1")]), "CP-7942G")
    assert page.entries == [(name, "1")]


def test_latin1_phone_gets_replaced_letters() -> None:
    entries = [DirectoryEntry(name, "1") for name in (*NAMES, "Łukasz Dvořák")]
    page = shown(Directory(title="Corporate", entries=entries), "CP-7940G")
    names = [name for name, _ in page.entries]
    assert names[:2] == [*NAMES[:2]]
    assert names[2:] == ["????? ????????????", "????", NAMES[4], "?ukasz Dvorák"]


def test_phone_without_utf8_gets_latin1() -> None:
    screen = screen_of("CP-7942G", "iso-8859-1")
    assert screen.charset == "iso-8859-1"
    assert b"Gro\xdf" in render(Text(title="x", text="Groß"), screen)
    for header in ("", "utf-8,iso-8859-1;q=0.8", "iso-8859-1, UTF-8;q=0.5", "*"):
        assert screen_of("CP-7942G", header).charset == "utf-8"


@pytest.mark.parametrize(("limit", "unit"), [(32, "e\u0301\u0323"), (32, "👩\u200d🚒"), (32, "👍🏽"), (32, "か\u3099")])
def test_text_is_truncated_between_characters(limit: int, unit: str) -> None:
    for before in range(8):
        text = "x" * before + unicodedata.normalize("NFC", unit) * 40
        title = shown(Text(title=text, text="x"), "CP-8845").title
        assert limit - 4 < len(title) <= limit
        assert title == "x" * before + unicodedata.normalize("NFC", unit) * title.count(
            unicodedata.normalize("NFC", unit)
        )


def test_names_lose_forbidden_characters_and_line_ends() -> None:
    page = shown(Menu(title="a\0b\ud800c\x85d\uffff", items=[MenuItem("one\n\ttwo\x0b", URL)]), "CP-7942G")
    assert page.title == "abcd"
    assert list(page.items) == ["one two"]


def test_text_keeps_line_ends() -> None:
    assert shown(Text(title="x", text="one\r\ntwo\rthree\n"), "CP-7942G").text == "one\ntwo\nthree\n"


def test_6900_gets_the_title_as_prompt() -> None:
    assert shown(Text(title="Personal", text="x"), "CP-6941").prompt == "Personal"
    assert shown(Text(title="Personal", prompt="1-32 of 33", text="x"), "CP-6941").prompt == "1-32 of 33"


def keys(model: str, *names: str) -> list[str]:
    page = Text(title="x", text="x", keys=[SoftKey(name, URL) for name in names])
    positions = shown(page, model).positions
    return [f"{positions[name]} {name}" for name in (*names, EXIT)]


def test_soft_keys_follow_the_order_of_the_family() -> None:
    assert keys("CP-7942G", "Dial", "Add", "Options", "Next") == ["1 Dial", "2 Add", "4 Options", "5 Next", f"3 {EXIT}"]
    assert keys("CP-8845", "Dial", "Add", "Options", "Next") == ["2 Dial", "3 Add", "4 Options", "5 Next", f"1 {EXIT}"]
    assert keys("CP-7970G") == [f"3 {EXIT}"]


@pytest.mark.parametrize(
    "page",
    [
        Menu(title="x", items=[MenuItem("x", URL)] * 101),
        Directory(title="x", entries=[DirectoryEntry("x", "1")] * 33),
        Directory(title="x", entries=[DirectoryEntry("x", "1" * 33)]),
        Input(title="x", url=URL, items=[InputItem(label="x", parameter="x", flags="A")] * 6),
        Input(title="x", url="http://192.0.2.5/ä", items=[]),
        Menu(title="x", items=[MenuItem("x", f"{URL}{'x' * 256}")]),
        Text(title="x", text="x", keys=[SoftKey("x", "http://192.0.2.5/a b")]),
        Text(title="x", text="x", keys=[SELECT] * 8),
    ],
)
def test_uncuttable_content_is_an_error(page: PhonePage) -> None:
    with pytest.raises(ValueError, match=r"more than a phone accepts|not percent-encoded"):
        render(page, screen_of("CP-8845"))


@pytest.mark.parametrize("model", FAMILIES)
@pytest.mark.parametrize("name", ["山" * 64, "&" * 64, "𠮷" * 64], ids=["kanji", "ampersands", "rare"])
def test_full_page_of_long_names_fits(model: str, name: str) -> None:
    screen, keys = screen_of(model), [SoftKey(name, URL) for name in ("Add", "Options", "Next", "Back", "Search")]
    shown(Menu(title=name, items=[MenuItem(name, URL)] * screen.menu_items, keys=keys), model)
    shown(Directory(title=name, entries=[DirectoryEntry(name, "1" * 32)] * 32, keys=keys), model)


def test_form_repr_shows_no_values() -> None:
    item = InputItem(label="PIN", parameter="pin", flags="NP", default="314159")
    form: Any = Input(title="x", url=f"{URL}&pin=314159", items=[item])
    assert "314159" not in repr(form)


def test_quotation_marks_need_no_entities() -> None:
    content = render(Text(title="x", text="\"'&<>"), screen_of("CP-7942G"))
    assert b"<Text>\"'&amp;&lt;&gt;</Text>" in content
    assert etree.fromstring(content).findtext("Text") == "\"'&<>"
