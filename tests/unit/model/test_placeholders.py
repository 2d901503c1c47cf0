import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cisisk.model import placeholders, sep_config

VALUES = {"mac": "AABBCCDDEE01", "device_name": "SEPAABBCCDDEE01", "server": "192.0.2.5"}
KNOWN = re.compile(rb"\{\{(?:mac|device_name|server)\}\}")


@pytest.mark.parametrize(
    ("content", "rendered"),
    [
        (b"<a>{{mac}}</a>", b"<a>AABBCCDDEE01</a>"),
        (b"{{device_name}}{{server}}", b"SEPAABBCCDDEE01192.0.2.5"),
        (b"{{{mac}}}", b"{AABBCCDDEE01}"),
        (
            b"{{MAC}} {{ mac }} {mac} {{mac} {{user}} {Jan 01 2003}",
            b"{{MAC}} {{ mac }} {mac} {{mac} {{user}} {Jan 01 2003}",
        ),
        (b"\xff\xeb\r\n", b"\xff\xeb\r\n"),
        (b"", b""),
    ],
)
def test_exactly_the_known_placeholders_are_filled_in(content: bytes, rendered: bytes) -> None:
    assert placeholders.render(content, VALUES) == rendered


def test_value_is_escaped_for_text_and_attributes() -> None:
    values = VALUES | {"server": "<a&b>\"c'"}
    assert placeholders.render(b"{{server}}", values) == b"&lt;a&amp;b&gt;&quot;c&apos;"


@pytest.mark.parametrize("encoding", ["UTF-8", "US-ASCII", "ISO-8859-1"])
def test_value_keeps_characters_in_each_encoding(encoding: str) -> None:
    url = "<authenticationURL>{{server}}/</authenticationURL>"
    content = f'<?xml version="1.0" encoding="{encoding}"?><device>{url}</device>'
    rendered = placeholders.render(content.encode(), VALUES | {"server": "http://zoë.example/?a&b"})
    assert sep_config.read(rendered).authentication_url == "http://zoë.example/?a&b/"


def test_render_does_not_replace_inside_values() -> None:
    assert placeholders.render(b"{{server}}", VALUES | {"server": "{{mac}}"}) == b"{{mac}}"


@given(st.lists(st.sampled_from([b"{{mac}}", b"{{server}}", b"{", b"}", b"{{", b"mac", b"\\1", b"\xff"]) | st.binary()))
def test_replacement_changes_no_other_byte(parts: list[bytes]) -> None:
    content = b"".join(parts)
    rendered = placeholders.render(content, dict.fromkeys(placeholders.NAMES, ""))
    assert rendered == b"".join(KNOWN.split(content))
    echoed = placeholders.render(content, {name: f"{{{{{name}}}}}" for name in placeholders.NAMES})
    assert echoed == content


def test_used_placeholders_are_listed() -> None:
    assert placeholders.used(b"{{mac}} {{server}} {{mac}} {{other}}") == {"mac", "server"}
    assert placeholders.used(b"{mac} {{MAC}}") == frozenset()


def test_first_placeholder_has_line_number() -> None:
    assert placeholders.first_line_of_known(b"\n{{x}}\r\n{{mac}}\n{{mac}}") == 3
    assert placeholders.first_line_of_known(b"{{x}}") is None


def test_first_lookalike_has_line_number() -> None:
    assert placeholders.first_line_of_unknown(b"{{mac}}\n{{{mac}}}\n{{ mac }}") == 3
    assert placeholders.first_line_of_unknown(b"{{mac}} {{1}} {{}} {{a b}}") is None
