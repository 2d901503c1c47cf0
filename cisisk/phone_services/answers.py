"""HTTP answers to phones. The status is always 200: phones do not show the text of another status."""

from collections.abc import Awaitable
from dataclasses import dataclass, replace

from aiohttp import hdrs, web

from cisisk.locale import translations
from cisisk.model.errors import NotFound
from cisisk.phone_services.families import ScreenProfile
from cisisk.phone_services.objects import CONTENT_TYPE, PhonePage, Text, render
from cisisk.phone_services.problems import NotShown, page_text
from cisisk.phone_services.texts import ScreenProblem

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
        language: of the user; None if the user is not known.
    """

    page: PhonePage
    is_kept: bool = False
    refresh: tuple[int, str] | None = None
    language: str | None = None


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
    if answer.language is not None:
        screen = replace(screen, translations=translations(answer.language))
    return web.Response(body=render(answer.page, screen), headers=headers)


async def shown(answer: Awaitable[PageAnswer]) -> PageAnswer:
    """Return an answer, or the page that shows why there is none."""
    try:
        return await answer
    except NotShown as problem:
        return refusal(problem)
    except NotFound:
        return refusal(NotShown(ScreenProblem.GONE))


def refusal(not_shown: NotShown) -> PageAnswer:
    """Return the page that shows a problem."""
    return PageAnswer(page=Text(title="Cisisk", text=page_text(not_shown.notice)))
