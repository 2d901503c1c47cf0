"""The XML service browser of a phone and the actions of its user.

Source: docs/phone-protocol/xml-services.md#requests, docs/phone-protocol/xml-services.md#answers
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final, Protocol
from urllib.parse import quote

from cisisk.simulator.cgi import is_page
from cisisk.simulator.models import PhoneModel
from cisisk.simulator.running_config import RunningConfig
from cisisk.simulator.screen import CLOSES_PAGE
from cisisk.simulator.services import input_flags, page_parser, soft_keys
from cisisk.simulator.services.page import PageKind, ParsedEntry, ParsedInputItem, ParsedMenuItem, ParsedPage
from cisisk.simulator.services.page_fetcher import PageFetcher
from cisisk.simulator.services.rules import Rule, Violation
from cisisk.simulator.timing import Timing

NO_SERVICES = "No services configured"
"""Screen text when the config has no URL for a key."""
_MAX_HISTORY = 50
"""Pages that Back can return to."""
_MAX_RECORDED = 1000
"""Violations and dialled numbers kept: a phone may reload a broken page for days."""
_PARAMETER = "QueryStringParam:"
_KEEPS_PAGE = "1"
"""``Dial:number:useAppUI``: the page stays on the screen while the phone calls."""
_NOT_RUNNING = "the phone is not running"
_OPENS_DIRECTORIES = frozenset({PageKind.MENU, PageKind.ICON_MENU, PageKind.ERROR})
_LOCALE = "English_United_States"
"""Locale of a phone whose config names none."""


class NotPossible(Exception):
    """The user of this phone cannot do that now; the text is the reason."""


class BrowserPhone(Protocol):
    """The interface of the phone that the browser uses."""

    @property
    def model(self) -> PhoneModel:
        """Return the model."""

    @property
    def address(self) -> str:
        """Return the numeric IP address."""

    @property
    def device_name(self) -> str:
        """Return ``SEP`` and the MAC address."""

    @property
    def is_running(self) -> bool:
        """Return whether the phone is in the running state."""

    @property
    def running_config(self) -> RunningConfig | None:
        """Return the running config, or None before the first one."""

    def execute(self, urls: Sequence[str]) -> None:
        """Execute the URLs of an execute object that a service has returned."""


class Browser:
    """The window of a phone's XML services.

    Actions that load a page return the page on the screen afterwards, or None if the window is closed. A page that
    arrives after the window was closed, or after another page was opened, is dropped.

    Attributes:
        page: page on the screen; None if there is none yet.
        url: URL of the page on the screen or being loaded; None if the window is closed.
        highlighted: index of the highlighted line.
        editing: number that EditDial has put into the dialling line, or None.
        dialled: dialled numbers, the newest last.
        violations: rule violations of all pages, the newest last.
    """

    def __init__(self, device: BrowserPhone, timing: Timing, *, on_change: Callable[[str], None]) -> None:
        """Call ``on_change`` with a text without secrets after every change of the screen."""
        self.page: ParsedPage | None = None
        self.url: str | None = None
        self.highlighted = 0
        self.editing: str | None = None
        self.dialled: Final[deque[str]] = deque(maxlen=_MAX_RECORDED)
        self.violations: Final[deque[Violation]] = deque(maxlen=_MAX_RECORDED)
        self._device = device
        self._timing = timing
        self._on_change = on_change
        self._fetcher = PageFetcher(device.model, address=device.address, within=timing.services)
        self._history: list[str] = []
        self._values: list[str] = []
        self._field = 0
        self._visit = object()  # a new object for each page: detects pages that arrive too late
        self._pushed: asyncio.Task[ParsedPage | None] | None = None

    # The window

    async def open(self, url: str) -> ParsedPage | None:
        """Open ``url``; ``#DEVICENAME#`` in it is replaced by the device name.

        Raises:
            NotPossible: the phone is not running, or ``url`` is not an http URL.
        """
        if not self._device.is_running:
            raise NotPossible(_NOT_RUNNING)
        if not is_page(url):
            raise NotPossible("not an http URL")
        return await self._load(url)

    async def press_services(self) -> ParsedPage | None:
        """Press the Services key: open ``servicesURL`` of the running config."""
        config = self._device.running_config
        return await self._open_key("" if config is None else config.services_url)

    async def press_directories(self) -> ParsedPage | None:
        """Press the Directories key: open ``directoryURL`` of the running config."""
        config = self._device.running_config
        return await self._open_key("" if config is None else config.directory_url, is_directories=True)

    async def open_service(self, name: str) -> ParsedPage | None:
        """Open the ``phoneService`` called ``name`` of the phone's own list.

        Raises:
            NotPossible: the config has no such service.
        """
        config = self._device.running_config
        for service in () if config is None else config.services:
            if service.name == name:
                return await self.open(service.url)
        raise NotPossible(f"no service {name!r}")

    def push(self, url: str) -> None:
        """Open ``url`` in the background, as requested over the network."""
        self._cancel_push()
        self.url = url
        self._pushed = asyncio.create_task(self._load(url), name=f"page for {self._device.device_name}")

    def close(self) -> None:
        """Close the window and clear history and cookies."""
        self._visit = object()
        self._cancel_push()
        was_open = self.url is not None
        self.page = self.url = self.editing = None
        self._history.clear()
        self._fetcher.clear_cookies()
        if was_open:
            self._on_change("services closed")

    # Actions of the user

    async def press(self, name: str) -> ParsedPage | None:
        """Press the soft key called ``name``.

        Raises:
            NotPossible: the page has no such key, or it has no effect.
        """
        page = self._shown()
        for key in page.soft_keys:
            if key.name == name:
                return await self._press(page, key.url)
        raise NotPossible(f"no soft key {name!r}; the page has {page.keys}")

    def highlight(self, line: int | str) -> None:
        """Highlight a line of a menu or directory by its number, counted from 1, or by its name.

        Raises:
            NotPossible: the page has no such line.
        """
        page = self._shown()
        names = page.names if page.kind is not PageKind.INPUT else []
        place = names.index(line) if line in names else line - 1 if isinstance(line, int) else -1
        if not 0 <= place < len(names):
            raise NotPossible(f"no line {line!r}; the page has {names}")
        self.highlighted = place

    async def select(self, line: int | str) -> ParsedPage | None:
        """Select a line by its number, counted from 1, or by its name. In a directory, dial it.

        Raises:
            NotPossible: the page has no such line, or the line has no URL.
        """
        self.highlight(line)
        page = self._shown()
        return await self._press(page, "SoftKey:Dial" if page.kind is PageKind.DIRECTORY else "SoftKey:Select")

    def fill(self, line: str, text: str) -> None:
        """Replace the text of the form line with this parameter or name.

        Raises:
            NotPossible: the form has no such line, or a character cannot be typed there.
        """
        page = self._shown()
        for place, item in enumerate(page.inputs):
            if line in {item.parameter, item.name}:
                self._values[place] = _typed(text, item)
                self._field = place
                return
        raise NotPossible(f"no line {line!r}; the page has {page.names}")

    async def submit(self, **values: str) -> ParsedPage | None:
        """Fill the form by parameter and submit it.

        Raises:
            NotPossible: the page is not a form, or :meth:`fill` fails.
        """
        for line, text in values.items():
            self.fill(line, text)
        return await self._submit(self._shown())

    async def refresh(self) -> ParsedPage | None:
        """Wait for the page announced by the ``Refresh`` header of this one.

        Raises:
            NotPossible: there is no such header, or it waits for the Next key.
        """
        page = self._shown()
        if page.refresh is None or page.refresh.seconds == 0:
            raise NotPossible("the page does not refresh itself")
        visit = self._visit
        await asyncio.sleep(page.refresh.seconds * self._timing.refresh_factor)
        return self.page if self._visit is not visit else await self._next(page)

    async def back(self) -> ParsedPage | None:
        """Return to the last page that had not expired; on the first page, close the window."""
        self._shown()
        if self._history:
            return await self._load(self._history.pop(), replaces=True)
        self.close()
        return None

    def dial(self, number: str) -> None:
        """Dial ``number`` and close the window."""
        self.dialled.append(number)
        self.close()

    # Keys

    async def _press(self, page: ParsedPage, url: str) -> ParsedPage | None:
        scheme, _, rest = url.partition(":")
        if is_page(url):
            return await self._load(self._with_parameter_of_line(page, url))
        if url in CLOSES_PAGE:
            self.close()
        elif scheme == "QueryStringParam":
            return await self._load(_extended(self._line_url(page), rest))
        elif scheme == "SoftKey":
            return await self._press_native(page, rest)
        elif scheme == "Dial":
            self._dial_uri(rest)
        elif scheme == "EditDial":
            self.editing = rest.partition(":")[0]
        return self.page

    async def _press_native(self, page: ParsedPage, name: str) -> ParsedPage | None:
        if page.kind is not PageKind.ERROR and not soft_keys.is_native(
            name, page.kind, has_next_page=page.refresh is not None
        ):
            raise NotPossible(f"{name} has no effect on a page of kind {page.kind}")
        match name:
            case "Select":
                return await self._select(page)
            case "Submit" | "Search":
                return await self._submit(page)
            case "Update" | "Next":
                return await self._next(page)
            case "<<":
                self._erase()
            case "Dial":
                self.dial(self._entry(page).telephone)
            case "EditDial":
                self.editing = self._entry(page).telephone
            case _:
                return await self.back()
        return self.page

    async def _select(self, page: ParsedPage) -> ParsedPage | None:
        url = self._item(page).url
        if not url or url.startswith(_PARAMETER) or url == "SoftKey:Select":
            raise NotPossible("the line has no URL")
        return await self._press(page, url)

    async def _submit(self, page: ParsedPage) -> ParsedPage | None:
        if page.kind is not PageKind.INPUT:
            raise NotPossible("the page is not a form")
        pairs = zip(page.inputs, self._values, strict=True)
        query = "&".join(
            f"{_encoded(item.parameter, page.charset)}={_encoded(value, page.charset)}" for item, value in pairs
        )
        if page.posts:
            return await self._load(page.submit_url, form=query.encode("ascii"))
        return await self._load(_extended(page.submit_url, query) if query else page.submit_url)

    def _erase(self) -> None:
        """Delete the last character of the current line."""
        if self._values:
            self._values[self._field] = self._values[self._field][:-1]

    async def _next(self, page: ParsedPage) -> ParsedPage | None:
        """Load the next page of ``page``, or reload it, and replace it."""
        next_url = "" if page.refresh is None else page.refresh.url
        return await self._load(next_url or page.url, replaces=True)

    def _dial_uri(self, rest: str) -> None:
        number, *options = rest.split(":")
        if options[:1] == [_KEEPS_PAGE]:
            self.dialled.append(number)
        else:
            self.dial(number)

    def _with_parameter_of_line(self, page: ParsedPage, url: str) -> str:
        """Return the ``url`` of a soft key, extended by the ``QueryStringParam`` of the highlighted line."""
        line = self._line_url(page) if page.items else ""
        return _extended(url, line.removeprefix(_PARAMETER)) if line.startswith(_PARAMETER) else url

    def _line_url(self, page: ParsedPage) -> str:
        return self._item(page).url

    def _item(self, page: ParsedPage) -> ParsedMenuItem:
        if not page.items:
            raise NotPossible("the page has no line to select")
        return page.items[self.highlighted]

    def _entry(self, page: ParsedPage) -> ParsedEntry:
        if not page.entries:
            raise NotPossible("the page has no entry to dial")
        return page.entries[self.highlighted]

    def _shown(self) -> ParsedPage:
        if self.page is None:
            raise NotPossible("the screen is empty")
        return self.page

    # Pages

    async def _open_key(self, url: str, *, is_directories: bool = False) -> ParsedPage | None:
        capabilities = self._device.model.services
        if not self._device.is_running:
            raise NotPossible(_NOT_RUNNING)
        if not is_page(url):
            return self._show(page_parser.error_page(NO_SERVICES, capabilities))
        if capabilities.names_itself:
            config = self._device.running_config
            locale = (config.user_locale if config is not None else None) or _LOCALE
            url = _extended(url, f"locale={_encoded(locale, 'utf-8')}&name={self._device.device_name}")
        page = await self.open(url)
        if not is_directories or not capabilities.directory_is_menu or page is None or page.kind in _OPENS_DIRECTORIES:
            return page
        violation = Violation(Rule.MENU_EXPECTED, f"{page.kind}")
        return self._show(
            replace(page_parser.error_page(page_parser.PARSE_ERROR, capabilities, violations=[violation]), url=page.url)
        )

    async def _load(self, url: str, *, form: bytes | None = None, replaces: bool = False) -> ParsedPage | None:
        """Load ``url`` and show it; with ``replaces``, the current page does not enter the history."""
        visit = self._visit = object()
        url = url.replace("#DEVICENAME#", self._device.device_name)
        if not is_page(url):
            raise NotPossible("not an http URL")
        page = await self._fetcher.fetch(url, form=form)
        if self._visit is not visit:
            return self.page
        if page.kind is PageKind.EXECUTE:
            self.violations.extend(page.violations)
            self._device.execute(page.executes)
            return self.page
        if not replaces and self.page is not None and not self.page.is_expired:
            self._history.append(self.page.url)
            del self._history[:-_MAX_HISTORY]
        return self._show(page)

    def _show(self, page: ParsedPage) -> ParsedPage:
        self._visit = object()
        self.page, self.url = page, page.url
        self.highlighted = self._field = 0
        self.editing = None
        self._values = [item.default for item in page.inputs]
        self.violations.extend(page.violations)
        heading = page.text if page.kind is PageKind.ERROR else page.title or page.prompt
        self._on_change(f"page shown: {page.kind} {heading!r}")
        return page

    def _cancel_push(self) -> None:
        # A pushed page that opens another one must not cancel itself.
        if self._pushed is not None and self._pushed is not asyncio.current_task():
            self._pushed.cancel()
        self._pushed = None


def _typed(text: str, item: ParsedInputItem) -> str:
    try:
        return input_flags.apply_flags(text, item.flags)
    except ValueError as error:
        raise NotPossible(f"{item.name}: {error}") from None


def _encoded(text: str, charset: str) -> str:
    return quote(text, safe="", encoding=charset, errors="replace")


def _extended(url: str, query: str) -> str:
    """Return ``url`` with ``query`` appended."""
    return f"{url}{'&' if '?' in url else '?'}{query}"
