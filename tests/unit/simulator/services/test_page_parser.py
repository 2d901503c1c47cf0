import re
from xml.sax.saxutils import escape

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cisisk.simulator.models import MODELS
from cisisk.simulator.services.capabilities import Capabilities
from cisisk.simulator.services.page import (
    PageKind,
    ParsedEntry,
    ParsedInputItem,
    ParsedMenuItem,
    ParsedPage,
    ParsedSoftKey,
)
from cisisk.simulator.services.page_parser import PARSE_ERROR, parse_page
from cisisk.simulator.services.rules import TOLERATED, Rule

LATIN_ONLY = sorted(name for name, model in MODELS.items() if model.services.is_latin_only)
POSTING = sorted(name for name, model in MODELS.items() if model.services.posts)
URL = "http://192.0.2.5/page"
NAMES = st.text(st.characters(categories=["L", "N", "P", "S", "Zs"]), max_size=32)
CONTENT_TYPES = st.one_of(
    st.text(max_size=60),
    st.binary(max_size=40).map(lambda rest: "text/xml; charset=" + rest.decode("utf-8", "surrogateescape")),
)
MENU_ITEM = f"<MenuItem><Name>One</Name><URL>{URL}</URL></MenuItem>"
ENTRY = "<DirectoryEntry><Name>Ann</Name><Telephone>201</Telephone></DirectoryEntry>"
INPUT = (
    "<InputItem><DisplayName>PIN</DisplayName><QueryStringParam>pin</QueryStringParam>"
    "<DefaultValue/><InputFlags>NP</InputFlags></InputItem>"
)
SOFT_KEY = "<SoftKeyItem><Name>Go</Name><URL>{url}</URL><Position>{position}</Position></SoftKeyItem>"


def charset_of(capabilities: Capabilities) -> str:
    return "iso-8859-1" if capabilities.is_latin_only else "utf-8"


def shown(
    document: str, model: str = "7942", *, content_type: str | None = None, declared: str | None = None
) -> ParsedPage:
    capabilities = MODELS[model].services
    charset = charset_of(capabilities)
    body = f'<?xml version="1.0" encoding="{declared or charset}"?>\n{document}'
    wanted = f"text/xml; charset={charset}" if content_type is None else content_type
    return parse_page(body.encode(charset, "xmlcharrefreplace"), wanted, capabilities)


def rules(page: ParsedPage) -> set[Rule]:
    """Return the broken rules; check that only a page with tolerated violations is shown."""
    broken = {violation.rule for violation in page.violations}
    is_shown = broken <= TOLERATED
    assert (page.kind is not PageKind.ERROR) is is_shown
    assert (page.text == PARSE_ERROR) is not is_shown
    return broken


def menu(inside: str = MENU_ITEM) -> str:
    return f"<CiscoIPPhoneMenu><Title>Menu</Title>{inside}</CiscoIPPhoneMenu>"


def directory(inside: str = ENTRY) -> str:
    return f"<CiscoIPPhoneDirectory>{inside}</CiscoIPPhoneDirectory>"


def form(inside: str = INPUT, url: str = f"<URL>{URL}</URL>") -> str:
    return f"<CiscoIPPhoneInput>{url}{inside}</CiscoIPPhoneInput>"


def text(inside: str) -> str:
    return f"<CiscoIPPhoneText><Text>{inside}</Text></CiscoIPPhoneText>"


# Content


@pytest.mark.parametrize("model", MODELS)
def test_menu_is_parsed_for_every_model(model: str) -> None:
    page = shown(menu("<Prompt>Choose</Prompt><MenuItem><Name>A &amp; B</Name><URL/></MenuItem>" + MENU_ITEM), model)
    assert page.kind is PageKind.MENU
    assert page.items == (ParsedMenuItem(name="A & B"), ParsedMenuItem(name="One", url=URL))
    assert (page.title, page.prompt, page.violations) == ("" if model == "6941" else "Menu", "Choose", ())


@pytest.mark.parametrize("model", MODELS)
def test_directory_form_and_text_are_parsed_for_every_model(model: str) -> None:
    pages = [shown(document, model) for document in (directory(), form(), text("Hello\nworld"))]
    assert [rules(page) for page in pages] == [set()] * 3
    assert pages[0].entries == (ParsedEntry(name="Ann", telephone="201"),)
    assert pages[1].inputs == (ParsedInputItem(name="PIN", parameter="pin", flags="NP"),)
    assert pages[1].inputs[0].is_masked
    assert (pages[1].submit_url, pages[1].posts) == (URL, False)
    assert pages[2].text == "Hello\nworld"


def test_soft_keys_are_ordered_by_position() -> None:
    keys = [("Exit", "SoftKey:Exit", 3), ("Call", "Dial:201", 1), ("Select", "SoftKey:Select", 2)]
    items = "".join(
        f"<SoftKeyItem><Name>{name}</Name><URL>{url}</URL><Position>{place}</Position></SoftKeyItem>"
        for name, url, place in keys
    )
    page = shown(menu(MENU_ITEM + items))
    assert page.soft_keys == (
        ParsedSoftKey(name="Call", url="Dial:201"),
        ParsedSoftKey(name="Select", url="SoftKey:Select"),
        ParsedSoftKey(name="Exit", url="SoftKey:Exit"),
    )


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        ("7942", [["Select", "Exit"], ["Dial", "EditDial", "Exit"], ["Submit", "<<", "Cancel"], ["Update", "Exit"]]),
        ("8845", [["Exit", "Select"], ["Exit", "Dial", "EditDial"], ["Cancel", "Submit", "<<"], ["Exit", "Update"]]),
    ],
)
def test_page_without_soft_keys_gets_family_defaults(model: str, expected: list[list[str]]) -> None:
    assert [shown(document, model).keys for document in (menu(), directory(), form(), text(""))] == expected


@pytest.mark.parametrize("media_type", ["text/plain", "text/html"])
def test_text_content_type_is_shown_verbatim(media_type: str) -> None:
    page = parse_page(menu().encode(), f"{media_type}; charset=utf-8", MODELS["7942"].services)
    assert (page.kind, page.text, rules(page)) == (PageKind.PLAIN, menu(), set())


def test_one_line_display_shows_prompt_instead_of_title() -> None:
    document = "<CiscoIPPhoneText><Title>Title</Title>{}<Text/></CiscoIPPhoneText>"
    assert shown(document.format("<Prompt>Prompt</Prompt>"), "6941").title == ""
    assert shown(document.format(""), "6941").title == "Title"


def test_latin_only_phone_shows_question_marks_for_other_characters() -> None:
    document = text("&#915;\N{GREEK SMALL LETTER IOTA}&#225;ννης Müller")
    assert shown(document, "7960").text == "??á???? Müller"
    assert shown(document, "7962").text == "\u0393\u03b9á\u03bd\u03bd\u03b7\u03c2 Müller"


def test_xml_comments_are_ignored() -> None:
    assert rules(shown(menu(f"<!-- <Bogus/> -->{MENU_ITEM}"))) == set()


# Limits


@pytest.mark.parametrize(
    ("document", "rule"),
    [
        pytest.param(menu(MENU_ITEM * 101), Rule.MENU_ITEMS, id="menu items"),
        pytest.param(directory(ENTRY * 33), Rule.DIRECTORY_ENTRIES, id="entries"),
        pytest.param(form(INPUT * 6), Rule.INPUT_ITEMS, id="inputs"),
        pytest.param(text("x" * 4001), Rule.TEXT_LENGTH, id="text"),
        pytest.param(menu(MENU_ITEM.replace("One", "x" * 65)), Rule.NAME_LENGTH, id="menu name"),
        pytest.param(menu(MENU_ITEM.replace(URL, URL + "x" * 256)), Rule.URL_LENGTH, id="menu url"),
        pytest.param(menu().replace("Menu</Title>", "x" * 33 + "</Title>"), Rule.TITLE_LENGTH, id="title"),
        pytest.param(menu(f"<Prompt>{'x' * 33}</Prompt>"), Rule.PROMPT_LENGTH, id="prompt"),
        pytest.param(directory(ENTRY.replace("Ann", "x" * 33)), Rule.NAME_LENGTH, id="entry name"),
        pytest.param(directory(ENTRY.replace("201", "2" * 33)), Rule.TELEPHONE_LENGTH, id="telephone"),
        pytest.param(form(INPUT.replace("PIN", "x" * 33)), Rule.INPUT_LENGTH, id="display name"),
        pytest.param(form(INPUT.replace(">pin<", f">{'x' * 33}<")), Rule.INPUT_LENGTH, id="parameter"),
        pytest.param(
            form(INPUT.replace("<DefaultValue/>", f"<DefaultValue>{'x' * 33}</DefaultValue>")),
            Rule.INPUT_LENGTH,
            id="default",
        ),
        pytest.param(form(INPUT.replace("<DefaultValue/>", "")), Rule.MISSING_DEFAULT_VALUE, id="no default"),
        pytest.param(form(INPUT.replace("NP", "X")), Rule.INPUT_FLAGS, id="flags"),
        pytest.param(form(INPUT.replace("NP", "")), Rule.INPUT_FLAGS, id="no flags"),
        pytest.param(form(url=""), Rule.MISSING_TAG, id="form without url"),
        pytest.param(form(url="<URL>SoftKey:Exit</URL>"), Rule.BAD_URL, id="form to nowhere"),
        pytest.param(form(url=f'<URL method="post">{URL}</URL>'), Rule.POST, id="post"),
        pytest.param(form(url=f'<URL Method="post">{URL}</URL>'), Rule.UNKNOWN_ATTRIBUTE, id="attribute's case"),
        pytest.param(menu(MENU_ITEM.replace("<URL>", "<name>x</name><URL>")), Rule.UNKNOWN_TAG, id="tag's case"),
        pytest.param(menu().replace("Title>", "title>"), Rule.UNKNOWN_TAG, id="title's case"),
        pytest.param(menu(ENTRY), Rule.UNKNOWN_TAG, id="foreign child"),
        pytest.param(menu(MENU_ITEM.replace("One", "<b>One</b>")), Rule.UNKNOWN_TAG, id="markup"),
        pytest.param(menu("<Title>Again</Title>"), Rule.REPEATED_TAG, id="two titles"),
        pytest.param(menu("<MenuItem><Name>One</Name></MenuItem>"), Rule.MISSING_TAG, id="no url"),
        pytest.param("<CiscoIPPhoneText/>", Rule.MISSING_TAG, id="no text"),
        pytest.param("<CiscoIPPhonemenu/>", Rule.UNKNOWN_OBJECT, id="root's case"),
        pytest.param("<html><body>Not here</body></html>", Rule.UNKNOWN_OBJECT, id="a web page"),
        pytest.param('<CiscoIPPhoneMenu xmlns="urn:x"/>', Rule.UNKNOWN_OBJECT, id="namespace"),
        pytest.param(menu("<Title>"), Rule.NOT_WELL_FORMED, id="not well-formed"),
        pytest.param(text("R&D"), Rule.NOT_WELL_FORMED, id="ampersand"),
        pytest.param(text("&nbsp;"), Rule.ENTITY, id="entity"),
        pytest.param("<!DOCTYPE a>" + text(""), Rule.DOCUMENT_TYPE, id="document type"),
        pytest.param('<!DOCTYPE a [<!ENTITY b "c">]>' + text("&b;"), Rule.DOCUMENT_TYPE, id="own entity"),
        pytest.param(menu(MENU_ITEM.replace(URL, "SoftKey:Coffee")), Rule.UNKNOWN_URI, id="unknown soft key"),
        pytest.param(menu(MENU_ITEM.replace(URL, "page?x=1")), Rule.UNKNOWN_URI, id="relative"),
        pytest.param(menu(MENU_ITEM.replace(URL, "init:Services")), Rule.UNKNOWN_URI, id="scheme's case"),
        pytest.param(menu(MENU_ITEM.replace(URL, "QueryStringParam:x")), Rule.UNKNOWN_URI, id="no parameter"),
        pytest.param(menu(MENU_ITEM.replace(URL, "http:///page")), Rule.BAD_URL, id="no host"),
        pytest.param(menu(MENU_ITEM.replace(URL, "http://192.0.2.5:x/")), Rule.BAD_URL, id="no port"),
        pytest.param(menu(MENU_ITEM.replace(URL, URL + "?q=M&#252;ller")), Rule.BAD_URL, id="not ASCII"),
        pytest.param(menu(MENU_ITEM.replace(URL, URL + "?q=a b")), Rule.BAD_URL, id="blank"),
        pytest.param(menu(SOFT_KEY.format(url="", position=1)), Rule.UNKNOWN_URI, id="soft key without url"),
        pytest.param(menu(SOFT_KEY.format(url=URL, position=0)), Rule.SOFT_KEY_POSITION, id="position 0"),
        pytest.param(menu(SOFT_KEY.format(url=URL, position=17)), Rule.SOFT_KEY_POSITION, id="position 17"),
        pytest.param(menu(SOFT_KEY.format(url=URL, position="1st")), Rule.SOFT_KEY_POSITION, id="no position"),
        pytest.param(menu(SOFT_KEY.format(url=URL, position=1) * 2), Rule.SOFT_KEY_POSITION, id="position taken"),
        pytest.param(
            menu(SOFT_KEY.format(url=URL, position=1).replace("Go", "x" * 33)), Rule.SOFT_KEY_LENGTH, id="soft key"
        ),
        pytest.param(
            menu("<KeyItem><Key>NavLeft</Key><URL>SoftKey:Exit</URL></KeyItem>" * 33), Rule.KEY_ITEMS, id="keys"
        ),
        pytest.param(
            f"<CiscoIPPhoneIconMenu>{MENU_ITEM * 33}</CiscoIPPhoneIconMenu>", Rule.ICON_MENU_ITEMS, id="icons"
        ),
        pytest.param("<CiscoIPPhoneExecute/>", Rule.EXECUTE_ITEMS, id="nothing to execute"),
        pytest.param(
            "<CiscoIPPhoneExecute>" + "<ExecuteItem URL='Init:Services'/>" * 4 + "</CiscoIPPhoneExecute>",
            Rule.EXECUTE_ITEMS,
            id="too much to execute",
        ),
    ],
)
def test_broken_rule_is_reported_as_parse_error(document: str, rule: Rule) -> None:
    page = shown(document, "7942")
    assert rules(page) == {rule}
    assert all(len(violation.where) < 100 for violation in page.violations)


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize(
    "document",
    [
        pytest.param(menu("<MenuItem><Name>x</Name><URL>Dial:1</URL></MenuItem>" * 100), id="100 items"),
        pytest.param(menu(f"<MenuItem><Name>{'ü' * 64}</Name><URL>{URL:x<256}</URL></MenuItem>"), id="longest item"),
        pytest.param(
            directory(
                f"<DirectoryEntry><Name>{'ß' * 32}</Name><Telephone>{'1' * 32}</Telephone></DirectoryEntry>" * 32
            ),
            id="32 entries",
        ),
        pytest.param(form(INPUT * 5), id="5 inputs"),
        pytest.param(text("é" * 4000), id="4000 characters"),
        pytest.param(
            menu("".join(SOFT_KEY.format(url=URL, position=place) for place in range(1, 9))), id="8 soft keys"
        ),
    ],
)
def test_page_at_limits_is_shown_by_every_model(model: str, document: str) -> None:
    assert rules(shown(document, model)) == set()


def test_ninth_soft_key_is_accepted_by_newer_models_only() -> None:
    document = menu("".join(SOFT_KEY.format(url=URL, position=place) for place in range(1, 17)))
    assert rules(shown(document, "8845")) == set()
    assert Rule.SOFT_KEYS in rules(shown(document, "7970"))


@pytest.mark.parametrize("model", MODELS)
def test_post_form_is_accepted_by_posting_models_only(model: str) -> None:
    page = shown(form(url=f'<URL method="post">{URL}</URL>'), model)
    assert rules(page) == (set() if model in POSTING else {Rule.POST})
    assert page.posts is (model in POSTING)


def test_object_size_limit_depends_on_model() -> None:
    document = menu(MENU_ITEM.replace("</URL>", "?name=SEPACBBCCDDEE05</URL>") * 100)
    assert rules(shown(document, "7940")) == {Rule.OBJECT_SIZE}
    assert rules(shown(document, "7942")) == set()
    assert rules(shown(f"<!-- {'x' * 40_960} -->{menu()}", "8851")) == {Rule.OBJECT_SIZE}


@pytest.mark.parametrize(
    "uri", ["Notify:http://192.0.2.5/", "SendDigits:1", "Application:Cisco/Missed", "Display:On:1"]
)
def test_foreign_uri_scheme_is_refused_by_family(uri: str) -> None:
    document = menu(MENU_ITEM.replace(URL, uri))
    assert rules(shown(document, "8851")) == set()
    assert rules(shown(document, "7841")) == {Rule.UNKNOWN_URI}


@pytest.mark.parametrize("name", ["Submit", "Dial", "<<"])
def test_soft_key_without_effect_is_tolerated_and_reported(name: str) -> None:
    page = shown(menu(MENU_ITEM + SOFT_KEY.format(url=f"SoftKey:{escape(name)}", position=1)))
    assert rules(page) == {Rule.DEAD_SOFT_KEY}
    assert page.kind is PageKind.MENU


# Character sets


@pytest.mark.parametrize("model", MODELS)
def test_utf_8_is_refused_by_latin_only_models(model: str) -> None:
    page = parse_page(
        f'<?xml version="1.0" encoding="utf-8"?>{text("Ω")}'.encode(),
        "text/xml; charset=UTF-8",
        MODELS[model].services,
    )
    assert rules(page) == ({Rule.CHARSET_UNSUPPORTED} if model in LATIN_ONLY else set())


@pytest.mark.parametrize(
    ("content_type", "declared", "rule"),
    [
        ("text/xml", "utf-8", Rule.NO_CHARSET),
        ("text/xml; charset=iso-8859-1", "utf-8", Rule.CHARSET_MISMATCH),
        ("application/json", "utf-8", Rule.CONTENT_TYPE),
        ("application/xml; charset=utf-8", "utf-8", Rule.CONTENT_TYPE),
        ("", "utf-8", Rule.CONTENT_TYPE),
    ],
)
def test_content_type_that_contradicts_declaration_is_reported(content_type: str, declared: str, rule: Rule) -> None:
    assert rules(shown(menu(), content_type=content_type, declared=declared)) == {rule}


def test_unknown_charset_is_unsupported() -> None:
    page = shown(menu(), content_type="text/xml; charset=klingon", declared="klingon")
    assert Rule.CHARSET_UNSUPPORTED in rules(page)


def test_xml_without_declaration_is_utf_8() -> None:
    capabilities = MODELS["7942"].services
    assert rules(parse_page(text("é").encode(), "text/xml; charset=utf-8", capabilities)) == set()
    assert rules(parse_page(text("e").encode(), "text/xml; charset=latin1", capabilities)) == {Rule.CHARSET_MISMATCH}


@pytest.mark.parametrize("before", [b"\n", b" ", b"\xef\xbb\xbf"])
def test_bytes_before_first_tag_are_refused(before: bytes) -> None:
    page = parse_page(before + menu().encode(), "text/xml; charset=utf-8", MODELS["7942"].services)
    assert rules(page) == {Rule.LEADING_BYTES}


def test_invalid_bytes_for_charset_are_not_well_formed() -> None:
    page = parse_page(text("é").encode("latin-1"), "text/xml; charset=utf-8", MODELS["7942"].services)
    assert rules(page) == {Rule.NOT_WELL_FORMED}


# Any input


@given(body=st.binary(max_size=200), content_type=CONTENT_TYPES, model=st.sampled_from(sorted(MODELS)))
def test_any_response_is_page_or_error_with_rule(body: bytes, content_type: str, model: str) -> None:
    page = parse_page(body, content_type, MODELS[model].services)
    assert (page.kind is PageKind.ERROR) is bool({violation.rule for violation in page.violations} - TOLERATED)


@given(
    pieces=st.lists(
        st.sampled_from(
            re.findall("<[^>]*>|[^<]+", menu() + form() + directory() + SOFT_KEY + text("&#9;") + text("&x;"))
        )
    )
)
def test_any_tag_sequence_is_page_or_error_with_rule(pieces: list[str]) -> None:
    page = parse_page("".join(pieces).encode(), "text/xml; charset=utf-8", MODELS["8845"].services)
    assert (page.kind is PageKind.ERROR) is bool({violation.rule for violation in page.violations} - TOLERATED)


@given(
    names=st.lists(NAMES, max_size=32),
    numbers=st.lists(st.text("0123456789+*#", max_size=32), min_size=32, max_size=32),
    model=st.sampled_from([name for name in sorted(MODELS) if name not in LATIN_ONLY]),
)
def test_directory_within_limits_is_shown_unchanged(names: list[str], numbers: list[str], model: str) -> None:
    entries = [ParsedEntry(name=name, telephone=number) for name, number in zip(names, numbers, strict=False)]
    page = shown(
        directory(
            "".join(
                f"<DirectoryEntry><Name>{escape(entry.name)}</Name><Telephone>{entry.telephone}</Telephone></DirectoryEntry>"
                for entry in entries
            )
        ),
        model,
    )
    assert rules(page) == set()
    assert list(page.entries) == entries


@given(length=st.integers(0, 70), model=st.sampled_from(sorted(MODELS)))
def test_name_length_is_counted_in_characters(length: int, model: str) -> None:
    page = shown(menu(f"<MenuItem><Name>{'é' * length}</Name><URL>{URL}</URL></MenuItem>"), model)
    assert rules(page) == ({Rule.NAME_LENGTH} if length > 64 else set())
