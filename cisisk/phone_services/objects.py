"""Cisco's XML objects, and the limits that phones set to them. No I/O.

Source: docs/phone-protocol/xml-services.md#objects
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias
from xml.sax.saxutils import escape

from cisisk.phone_services.characters import block, cut, line
from cisisk.phone_services.families import ScreenProfile
from cisisk.phone_services.texts import ScreenLabel, Words, in_words

MAX_MENU_ITEMS = 100
MAX_DIRECTORY_ENTRIES = 32
MAX_INPUT_ITEMS = 5
MAX_SOFT_KEYS = 8
MAX_HEADING = 32
"""Title and prompt."""
MAX_MENU_NAME = 64
MAX_URL = 256
MAX_TEXT = 4000
MAX_SHORT = 32
"""All other texts: names and numbers of a directory, the parts of an input, the labels of soft keys."""

NO_NAME = "?"
"""Replaces a name of which a phone can show no character."""
CONTENT_TYPE = "text/xml"
_SHORTER = (MAX_TEXT, 2000, 1000, MAX_MENU_NAME, 48, 32, 24, 16, 12)
"""Limits for names and texts. They are tried in this order until the page is small enough for the phone."""


@dataclass(frozen=True, slots=True)
class SoftKey:
    """A soft key. Its ``url`` is that of a page, or a URI such as ``SoftKey:Select``."""

    name: Words
    url: str


SUBMIT = SoftKey(ScreenLabel.SUBMIT, "SoftKey:Submit")
SELECT = SoftKey(ScreenLabel.SELECT, "SoftKey:Select")
DIAL = SoftKey(ScreenLabel.DIAL, "SoftKey:Dial")
EDIT_DIAL = SoftKey(ScreenLabel.EDIT_DIAL, "SoftKey:EditDial")
BACKSPACE = SoftKey("<<", "SoftKey:<<")
EXIT = SoftKey(ScreenLabel.EXIT, "SoftKey:Exit")
NO = SoftKey(ScreenLabel.NO, "SoftKey:Exit")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Object:
    """The parts that all pages have.

    Attributes:
        keys: the soft keys without ``leave``, the most important one first.
        leave: the soft key that leaves the page.
    """

    title: Words
    prompt: Words = ""
    keys: Sequence[SoftKey] = ()
    leave: SoftKey = EXIT


@dataclass(frozen=True, slots=True)
class MenuItem:
    """A line of a menu, and the page that it opens."""

    name: Words
    url: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Menu(_Object):
    """A list of pages to choose from."""

    items: Sequence[MenuItem]


@dataclass(frozen=True, slots=True)
class DirectoryEntry:
    """A line of a directory, and the number that the Dial key calls."""

    name: Words
    telephone: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Directory(_Object):
    """A list of numbers to dial."""

    entries: Sequence[DirectoryEntry]


@dataclass(frozen=True, slots=True, kw_only=True)
class InputItem:
    """A field of a form.

    Attributes:
        flags: ``A`` any text, ``T`` a telephone number, ``N`` digits. A trailing ``P`` hides the input.
    """

    label: Words
    parameter: str
    flags: str
    default: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Input(_Object):
    """A form. The phone sends the fields to ``url``: in the query, or in the body if it can."""

    url: str = field(repr=False)
    items: Sequence[InputItem]


@dataclass(frozen=True, slots=True, kw_only=True)
class Text(_Object):
    """A text, or several lines."""

    text: Words | tuple[Words, ...]


PhonePage: TypeAlias = Menu | Directory | Input | Text


def render(page: PhonePage, screen: ScreenProfile) -> bytes:
    """Return the XML of ``page`` for ``screen``. Titles and names are cut to their limits.

    Raises:
        ValueError: the page has too many entries, a URL that is too long or not percent-encoded, or a number that is
            too long. These cannot be cut; callers must avoid them.
    """
    content = b""
    for longest in _SHORTER:
        content = _encoded(page, screen, longest)
        if len(content) <= screen.page_bytes:
            return content
    raise ValueError(f"a page of {len(content)} bytes is too large")


def default_value(text: str, screen: ScreenProfile) -> str:
    """Return ``text`` as a form shows it. If this value comes back, the user did not edit it."""
    return cut(line(text, screen.charset), MAX_SHORT)


def _encoded(page: PhonePage, screen: ScreenProfile, longest: int) -> bytes:
    name, inner = _kind_and_content(page, screen, longest)
    parts = [f'<?xml version="1.0" encoding="{screen.charset}"?>\n<{name}>', *_headings(page, screen), *inner]
    parts += [*_soft_keys(page, screen), f"</{name}>\n"]
    return "".join(parts).encode(screen.charset)


def _kind_and_content(page: PhonePage, screen: ScreenProfile, longest: int) -> tuple[str, Iterator[str]]:
    if isinstance(page, Menu):
        return "CiscoIPPhoneMenu", _menu(page, screen, longest)
    if isinstance(page, Directory):
        return "CiscoIPPhoneDirectory", _directory(page, screen, longest)
    if isinstance(page, Input):
        return "CiscoIPPhoneInput", _input(page, screen)
    lines = page.text if isinstance(page.text, tuple) else (page.text,)
    text = block("\n".join(in_words(each, screen.translations) for each in lines), screen.charset)
    return "CiscoIPPhoneText", iter([_element("Text", cut(text, min(longest, MAX_TEXT)))])


def _headings(page: PhonePage, screen: ScreenProfile) -> Iterator[str]:
    title, prompt = (cut(_line(text, screen), MAX_HEADING) for text in (page.title, page.prompt))
    if screen.shows_title:
        yield _element("Title", title)
        # Without a prompt the phone shows a text of its own.
        yield _element("Prompt", prompt) if prompt else ""
    else:
        yield _element("Prompt", prompt or title)


def _menu(page: Menu, screen: ScreenProfile, longest: int) -> Iterator[str]:
    _require(len(page.items) <= MAX_MENU_ITEMS, "items in a menu", len(page.items))
    for item in page.items:
        name = cut(_line(item.name, screen), min(longest, MAX_MENU_NAME)) or NO_NAME
        yield f"<MenuItem>{_element('Name', name)}{_element('URL', _url(item.url))}</MenuItem>"


def _directory(page: Directory, screen: ScreenProfile, longest: int) -> Iterator[str]:
    _require(len(page.entries) <= MAX_DIRECTORY_ENTRIES, "entries in a directory", len(page.entries))
    for entry in page.entries:
        _require(len(entry.telephone) <= MAX_SHORT, "characters in a number", len(entry.telephone))
        name = cut(_line(entry.name, screen), min(longest, MAX_SHORT)) or NO_NAME
        telephone = _element("Telephone", line(entry.telephone, screen.charset))
        yield f"<DirectoryEntry>{_element('Name', name)}{telephone}</DirectoryEntry>"


def _input(page: Input, screen: ScreenProfile) -> Iterator[str]:
    _require(len(page.items) <= MAX_INPUT_ITEMS, "items in an input", len(page.items))
    yield f'<URL method="post">{escape(_url(page.url))}</URL>' if screen.posts else _element("URL", _url(page.url))
    for item in page.items:
        label = cut(_line(item.label, screen), MAX_SHORT)
        # Some firmware rejects a form without default values; empty ones are accepted.
        default = default_value(item.default, screen)
        yield (
            f"<InputItem>{_element('DisplayName', label)}{_element('QueryStringParam', item.parameter)}"
            f"{_element('DefaultValue', default)}{_element('InputFlags', item.flags)}</InputItem>"
        )


def _soft_keys(page: PhonePage, screen: ScreenProfile) -> Iterator[str]:
    keys = list(page.keys)
    _require(len(keys) < MAX_SOFT_KEYS, "soft keys besides the last", len(keys))
    # A page with soft keys loses those of the phone, so it must have one that leaves it.
    positions = range(2, len(keys) + 2) if screen.exit_first else [1, 2, *range(4, len(keys) + 4)]
    placed = [(1 if screen.exit_first else 3, page.leave), *zip(positions, keys, strict=False)]
    for position, key in sorted(placed, key=lambda each: each[0]):
        name, url = _element("Name", cut(_line(key.name, screen), MAX_SHORT)), _element("URL", _url(key.url))
        yield f"<SoftKeyItem>{name}{url}<Position>{position}</Position></SoftKeyItem>"


def _line(words: Words, screen: ScreenProfile) -> str:
    return line(in_words(words, screen.translations), screen.charset)


def _element(name: str, text: str) -> str:
    # Outside attributes, quotation marks need no escaping.
    return f"<{name}>{escape(text)}</{name}>"


def _url(url: str) -> str:
    _require(len(url) <= MAX_URL, "characters in a URL", len(url))
    if not (url.isascii() and url.isprintable()) or " " in url:
        raise ValueError("a URL is not percent-encoded")
    return url


def _require(is_so: bool, what: str, count: int) -> None:  # noqa: FBT001 -- reads like assert
    if not is_so:
        raise ValueError(f"{count} {what} are more than a phone accepts")
