"""HTTP requests of the XML service browser (docs/phone-protocol/xml-services.md#requests)."""

import re
from dataclasses import replace
from datetime import UTC, datetime
from urllib.parse import urljoin

from multidict import CIMultiDictProxy
from yarl import URL

from cisisk.simulator import http_client
from cisisk.simulator.http_client import HttpAnswer, RequestFailed
from cisisk.simulator.models import PhoneModel
from cisisk.simulator.services import cookies, page_parser
from cisisk.simulator.services.cookies import Cookies
from cisisk.simulator.services.page import ParsedPage, Refresh
from cisisk.simulator.services.rules import Rule, Violation

NOT_FOUND = "Host not found"
"""Screen text after any failed request."""
MAX_REDIRECTS = 5
"""The limit of real phones is not published; a service needs one or two."""
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_REFRESH = re.compile(r"\s*([0-9]{0,5})\s*(?:[;,]\s*url\s*=\s*(\S*)\s*)?", re.IGNORECASE)
_FIRST_EXPIRY = datetime(1970, 1, 2, tzinfo=UTC)


class PageFetcher:
    """Fetches pages for the browser of one phone."""

    def __init__(self, model: PhoneModel, *, address: str, within: float) -> None:
        """Request from the local ``address``; a page times out after ``within`` seconds."""
        self._cookies = Cookies()
        self._model = model
        self._capabilities = model.services
        self._address = address
        self._within = within

    def clear_cookies(self) -> None:
        """Drop all cookies, including those of requests in progress."""
        self._cookies = Cookies()

    async def fetch(self, url: str, *, form: bytes | None = None) -> ParsedPage:
        """Return the page that the phone shows for ``url``. A failure is a page of kind ERROR.

        Args:
            url: http or https.
            form: body of a POST, url-encoded; None sends a GET.
        """
        jar = self._cookies
        refused = 0
        current = url
        try:
            for _ in range(1 + MAX_REDIRECTS):
                answer = await self._request(current, form, jar)
                host = URL(current).host or ""
                refused += jar.store(host, answer.headers.getall("Set-Cookie", ()))
                target = urljoin(current, answer.headers.get("Location", ""))
                if answer.status not in _REDIRECTS or not page_parser.is_fetchable(target) or target == current:
                    break
                current, form = target, None
        except (RequestFailed, ValueError):  # ValueError: an invalid URL
            return replace(page_parser.error_page(NOT_FOUND, self._capabilities), url=url)
        page = self._page(answer)
        violations = (*page.violations, *[Violation(Rule.COOKIE)] * refused)
        return replace(page, url=url, status=answer.status, violations=violations)

    async def _request(self, url: str, form: bytes | None, jar: Cookies) -> HttpAnswer:
        target = URL(url, encoded=True)
        headers = {
            "User-Agent": self._capabilities.user_agent,
            "Accept": http_client.ACCEPT,
            "Accept-Language": "en",
            "Accept-Charset": self._capabilities.accept_charset,
            "x-CiscoIPPhoneModelName": self._model.product,
            "x-CiscoIPPhoneSDKVersion": self._capabilities.sdk_version,
            "x-CiscoIPPhoneDisplay": self._capabilities.display,
        }
        cookie = jar.header(target.host or "")
        if cookie:
            headers["Cookie"] = cookie
        if form is not None:
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        return await http_client.request(
            target,
            headers=headers,
            address=self._address,
            within=self._within,
            max_bytes=self._capabilities.max_object,
            form=form,
        )

    def _page(self, answer: HttpAnswer) -> ParsedPage:
        if answer.status != 200:
            return page_parser.error_page(f"HTTP Error [{answer.status}]!", self._capabilities)
        violations: list[Violation] = []
        refresh = _refresh(answer.headers, violations)
        is_expired = self._is_expired(answer.headers.get("Expires"), violations)
        page = page_parser.parse_page(
            answer.body,
            answer.headers.get("Content-Type", ""),
            self._capabilities,
            has_next_page=refresh is not None,
            waits_for_next=refresh is not None and refresh.seconds == 0,
        )
        return replace(
            page,
            refresh=refresh,
            is_expired=page.is_expired or is_expired,
            violations=(*page.violations, *violations),
        )

    def _is_expired(self, expires: str | None, violations: list[Violation]) -> bool:
        if expires is None:
            return False
        when = cookies.read_date(expires)
        if when is None or (self._capabilities.expires_after_1970 and when < _FIRST_EXPIRY):
            violations.append(Violation(Rule.EXPIRES))
            return False
        return when <= datetime.now(UTC)


def _refresh(headers: CIMultiDictProxy[str], violations: list[Violation]) -> Refresh | None:
    """Return the parsed ``Refresh`` header, or None. Without seconds the page waits for the Next key."""
    header = headers.get("Refresh")
    if header is None:
        return None
    match = _REFRESH.fullmatch(header)
    url = "" if match is None else match[2] or ""
    if match is None or len(url) > page_parser.MAX_URL or (url and not page_parser.is_fetchable(url)):
        violations.append(Violation(Rule.REFRESH))
        return None
    return Refresh(seconds=int(match[1] or 0), url=url)
