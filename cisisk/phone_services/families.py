"""The capabilities of phone screens, by family.

Source: docs/phone-protocol/xml-services.md#objects, docs/phone-protocol/xml-services.md#soft-keys
"""

from dataclasses import dataclass
from gettext import NullTranslations
from typing import Literal, TypeAlias

from cisisk.model import catalogue
from cisisk.model.catalogue import Family
from cisisk.model.messages import ENGLISH
from cisisk.model.phone import plain_model

Charset: TypeAlias = Literal["utf-8", "iso-8859-1"]

OLD_PAGE_BYTES = 8 * 1024
"""A size that the small memory of every 79xx accepts."""
NEW_PAGE_BYTES = 40 * 1024
"""The limit that Cisco documents for CiscoIPPhoneExecute."""
OLD_MENU_ITEMS, NEW_MENU_ITEMS = 20, 100
"""Items on a menu page: as many as fit into those bytes with long names and URLs, and at most 100."""

_LARGE = frozenset({Family.P894X, Family.P99XX, Family.P78XX, Family.P88XX, Family.P8821, Family.P883X, Family.DX})
_LATIN = frozenset({Family.P7905, Family.P7910, Family.P7940, Family.P793X, Family.P39XX})
"""Their fonts cover ISO-8859-1 only."""
_POSTS = frozenset({Family.P78XX, Family.P88XX})
_POSTING_MODELS = frozenset({"8832"})


@dataclass(frozen=True, slots=True, kw_only=True)
class ScreenProfile:
    """The capabilities of a screen.

    Attributes:
        exit_first: Exit is the first soft key; on a 79xx it is the third.
        shows_title: it shows title and prompt; a 6900 shows the prompt only.
        posts: it supports ``<URL method="post">``.
        page_bytes: the maximum size of a page.
        menu_items: the maximum number of items on a menu page.
        translations: of the language in which it shows texts.
    """

    exit_first: bool = True
    shows_title: bool = True
    posts: bool = False
    charset: Charset = "utf-8"
    page_bytes: int = OLD_PAGE_BYTES
    menu_items: int = OLD_MENU_ITEMS
    translations: NullTranslations = ENGLISH


def screen_of(model: str | None, accept_charset: str = "") -> ScreenProfile:
    """Return the screen of a phone.

    Args:
        model: as in ``x-CiscoIPPhoneModelName`` or the inventory. An unknown model is treated as a small screen with
            the newer order of soft keys.
        accept_charset: the header of that name.
    """
    name = plain_model(model or "")
    facts = catalogue.find(name)
    family = facts.family if facts else None
    is_large = family in _LARGE
    return ScreenProfile(
        exit_first=not name.startswith("79"),
        shows_title=family is not Family.P69XX,
        posts=family in _POSTS or name in _POSTING_MODELS,
        charset="iso-8859-1" if family in _LATIN or not _takes_utf8(accept_charset) else "utf-8",
        page_bytes=NEW_PAGE_BYTES if is_large else OLD_PAGE_BYTES,
        menu_items=NEW_MENU_ITEMS if is_large else OLD_MENU_ITEMS,
    )


def _takes_utf8(accept_charset: str) -> bool:
    charsets = {each.partition(";")[0].strip().casefold() for each in accept_charset.split(",")}
    return bool(charsets & {"", "utf-8", "utf8", "*"})
