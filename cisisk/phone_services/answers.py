"""HTTP answers to phones. The status is always 200: phones do not show the text of another status."""

from dataclasses import dataclass

from aiohttp import hdrs, web

from cisisk.phone_services.families import ScreenProfile
from cisisk.phone_services.objects import CONTENT_TYPE, PhonePage, Text, render
from cisisk.phone_services.problems import NotShown, page_text

REFRESH = "Refresh"
"""The header by which a phone loads another URL after some seconds."""
LONG_AGO = "Sat, 01 Jan 2000 00:00:00 GMT"
"""An 8800 needs a date after 1970 (docs/phone-protocol/xml-services.md#answers)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PageAnswer:
    """A page and how the phone treats it.

    Attributes:
        page: the XML object.
        is_kept: whether the phone keeps the page in its history, so that Back can lead to it.
        refresh: the seconds after which the phone loads another page, and the URL of that page.
    """

    page: PhonePage
    is_kept: bool = False
    refresh: tuple[int, str] | None = None


def response(answer: PageAnswer, screen: ScreenProfile) -> web.Response:
    """Return the HTTP response of an answer. Raises ValueError as :func:`render`."""
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
    """Return the page that shows a problem."""
    return PageAnswer(page=Text(title="Cisisk", text=page_text(not_shown.notice)))
