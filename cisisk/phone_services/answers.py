"""Answers to phones: a page and the headers that go with it. Always status 200, for any other has no words."""

from dataclasses import dataclass

from aiohttp import hdrs, web

from cisisk.phone_services.families import ScreenProfile
from cisisk.phone_services.objects import CONTENT_TYPE, PhonePage, Text, render
from cisisk.phone_services.problems import NotShown, page_text

REFRESH = "Refresh"
"""Netscape's header: phones load its URL by themselves."""
LONG_AGO = "Sat, 01 Jan 2000 00:00:00 GMT"
"""An 8800 wants a date after 1970 (docs/phone-protocol/xml-services.md#answers)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PageAnswer:
    """What is shown.

    Attributes:
        page: the object.
        is_kept: the phone may come back to it; otherwise it is not among the pages that Back leads to.
        refresh: after how many seconds the phone loads which URL by itself.
    """

    page: PhonePage
    is_kept: bool = False
    refresh: tuple[int, str] | None = None


def response(answer: PageAnswer, screen: ScreenProfile) -> web.Response:
    """``answer`` as HTTP. Raises ValueError as :func:`render`."""
    headers: dict[str, str] = {
        hdrs.CONTENT_TYPE: f"{CONTENT_TYPE}; charset={screen.charset}",
        hdrs.CACHE_CONTROL: "no-store",
    }
    if not answer.is_kept:
        headers[hdrs.EXPIRES] = LONG_AGO
    if answer.refresh is not None:
        seconds, url = answer.refresh
        headers[REFRESH] = f"{seconds}; url={url}"
    return web.Response(body=render(answer.page, screen), headers=headers)


def refusal(not_shown: NotShown) -> PageAnswer:
    """The page that says why there is no other."""
    return PageAnswer(page=Text(title="Cisisk", text=page_text(not_shown.notice)))
