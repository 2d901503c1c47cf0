"""How the families of phones differ in what their screens take.

Source: docs/phone-protocol/xml-services.md#objects, docs/phone-protocol/xml-services.md#soft-keys
"""

from dataclasses import dataclass
from typing import Literal, TypeAlias

from cisisk.model import catalogue
from cisisk.model.catalogue import Family
from cisisk.model.phone import plain_model

Charset: TypeAlias = Literal["utf-8", "iso-8859-1"]

OLD_PAGE_BYTES = 8 * 1024
"""What the small memory of a 79xx takes for certain."""
NEW_PAGE_BYTES = 40 * 1024
"""Cisco's own figure, which it gives for CiscoIPPhoneExecute."""
OLD_MENU_ITEMS, NEW_MENU_ITEMS = 20, 100
"""A page of a menu: as many as fit into those bytes with long names and our URLs, and never more than 100."""

_LARGE = frozenset({Family.P894X, Family.P99XX, Family.P78XX, Family.P88XX, Family.P8821, Family.P883X, Family.DX})
_LATIN = frozenset({Family.P7905, Family.P7910, Family.P7940, Family.P793X, Family.P39XX})
"""Their fonts have no more than ISO-8859-1."""
_POSTS = frozenset({Family.P78XX, Family.P88XX})
_POSTING_MODELS = frozenset({"8832"})


@dataclass(frozen=True, slots=True, kw_only=True)
class ScreenProfile:
    """What one phone's screen takes.

    Attributes:
        exit_first: Exit is its first soft key; on a 79xx it is the third.
        shows_title: it shows title and prompt; a 6900 shows the prompt alone.
        posts: it obeys ``<URL method="post">``.
        page_bytes: the largest page.
        menu_items: on one page of a menu.
    """

    exit_first: bool = True
    shows_title: bool = True
    posts: bool = False
    charset: Charset = "utf-8"
    page_bytes: int = OLD_PAGE_BYTES
    menu_items: int = OLD_MENU_ITEMS


def screen_of(model: str | None, accept_charset: str = "") -> ScreenProfile:
    """The screen of a phone.

    Args:
        model: as ``x-CiscoIPPhoneModelName`` or the inventory has it; what is in no catalogue is taken for a small
            screen with the newer keys.
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
