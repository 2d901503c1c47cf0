"""A phone's browser of XML services, and the person in front of it.

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
from cisisk.simulator.services import judge, lines, soft_keys
from cisisk.simulator.services.fetching import Fetching
from cisisk.simulator.services.page import PageKind, ParsedEntry, ParsedInputItem, ParsedMenuItem, ParsedPage
from cisisk.simulator.services.rules import Rule, Violation
from cisisk.simulator.timing import Timing

NO_SERVICES = "No services configured"
"""On the screen when the config has no URL for a key."""
_MAX_STACK = 50
"""Pages that lead back; more than anybody goes down."""
_MAX_RECORDED = 1000
"""Violations and dialled numbers remembered: a phone may idle before a broken page for days."""
_PARAMETER = "QueryStringParam:"
_KEEPS_PAGE = "1"
"""``Dial:number:useAppUI``: the page stays on the screen while the phone calls."""
_NOT_RUNNING = "the phone is not running"
_OPENS_DIRECTORIES = frozenset({PageKind.MENU, PageKind.ICON_MENU, PageKind.ERROR})
_LOCALE = "English_United_States"
"""Of a phone whose config names none."""


class NotPossible(Exception):
    """A person at this phone cannot do that now; the text says why."""


class BrowserPhone(Protocol):
    """The phone around the browser."""

    @property
    def model(self) -> PhoneModel:
        """How it behaves."""

    @property
    def address(self) -> str:
        """Its own, numeric."""

    @property
    def device_name(self) -> str:
        """``SEP`` and the MAC address."""

    @property
    def is_running(self) -> bool:
        """Whether there is anything on its screen."""

    @property
    def running_config(self) -> RunningConfig | None:
        """What it runs, None before it first got a config."""

    def carry_out(self, urls: Sequence[str]) -> None:
        """Execute what a service has answered with instead of a page."""


class Browser:
    """What a phone shows of XML services, and what a person can do with it.

    Everything that leads to another page returns what is on the screen then, None when the window is closed. A page
    that was still on its way when something else closed the window, or opened another page in it, is dropped.

    Attributes:
        page: what is on the screen, None if nothing is or before the first page has come.
        url: what is or is about to be on the screen, None if the window is closed.
        highlighted: index of the line that soft keys act on.
        editing: the number that EditDial has put into the phone's dialling line, None if it has not.
        dialled: the numbers that were called, the newest last.
        violations: of all pages since the phone was made, the newest last.
    """

    def __init__(self, device: BrowserPhone, timing: Timing, *, on_change: Callable[[str], None]) -> None:
        """``on_change`` hears at every change what is on the screen, in words without secrets."""
        self.page: ParsedPage | None = None
        self.url: str | None = None
        self.highlighted = 0
        self.editing: str | None = None
        self.dialled: Final[deque[str]] = deque(maxlen=_MAX_RECORDED)
        self.violations: Final[deque[Violation]] = deque(maxlen=_MAX_RECORDED)
        self._device = device
        self._timing = timing
        self._on_change = on_change
        self._fetching = Fetching(device.model, address=device.address, within=timing.services)
        self._stack: list[str] = []
        self._values: list[str] = []
        self._field = 0
        self._visit = object()
        self._pushed: asyncio.Task[ParsedPage | None] | None = None

    # The window

    async def open(self, url: str) -> ParsedPage | None:
        """Open ``url``, in which ``#DEVICENAME#`` stands for the phone's name.

        Raises:
            NotPossible: the phone is not running, or that is no http URL.
        """
        if not self._device.is_running:
            raise NotPossible(_NOT_RUNNING)
        if not is_page(url):
            raise NotPossible("that is no page")
        return await self._load(url)

    async def press_services(self) -> ParsedPage | None:
        """Press the Services key: ``servicesURL`` of the config that the phone runs."""
        config = self._device.running_config
        return await self._open_key("" if config is None else config.services_url)

    async def press_directories(self) -> ParsedPage | None:
        """Press the Directories key: ``directoryURL`` of the config that the phone runs."""
        config = self._device.running_config
        return await self._open_key("" if config is None else config.directory_url, is_directories=True)

    async def open_service(self, name: str) -> ParsedPage | None:
        """Choose the ``phoneService`` of this ``name`` from the phone's own list.

        Raises:
            NotPossible: the config has no such service.
        """
        config = self._device.running_config
        for service in () if config is None else config.services:
            if service.name == name:
                return await self.open(service.url)
        raise NotPossible(f"no service {name!r}")

    def push(self, url: str) -> None:
        """Open ``url`` because somebody told the phone to, without waiting for it."""
        self._cancel_push()
        self.url = url
        self._pushed = asyncio.create_task(self._load(url), name=f"page for {self._device.device_name}")

    def close(self) -> None:
        """Close the window, and forget the way back and the cookies. Does nothing to a closed one."""
        self._visit = object()
        self._cancel_push()
        was_open = self.url is not None
        self.page = self.url = self.editing = None
        self._stack.clear()
        self._fetching.forget()
        if was_open:
            self._on_change("closes its services")

    # What a person does

    async def press(self, name: str) -> ParsedPage | None:
        """Press the soft key called ``name``.

        Raises:
            NotPossible: there is no such key, or it does nothing here.
        """
        page = self._shown()
        for key in page.soft_keys:
            if key.name == name:
                return await self._press(page, key.url)
        raise NotPossible(f"no soft key {name!r}, but {page.keys}")

    def highlight(self, line: int | str) -> None:
        """Move to a line of a menu or directory: its number, counted from 1, or its name.

        Raises:
            NotPossible: there is no such line.
        """
        page = self._shown()
        names = page.names if page.kind is not PageKind.INPUT else []
        place = names.index(line) if line in names else line - 1 if isinstance(line, int) else -1
        if not 0 <= place < len(names):
            raise NotPossible(f"no line {line!r}, but {names}")
        self.highlighted = place

    async def select(self, line: int | str) -> ParsedPage | None:
        """Choose a line by its number, counted from 1, or its name. In a directory this calls.

        Raises:
            NotPossible: there is no such line, or nothing behind it.
        """
        self.highlight(line)
        page = self._shown()
        return await self._press(page, "SoftKey:Dial" if page.kind is PageKind.DIRECTORY else "SoftKey:Select")

    def fill(self, line: str, text: str) -> None:
        """Type ``text`` into the line of a form that has this parameter or name, instead of what stands there.

        Raises:
            NotPossible: there is no such line, or no key for a character.
        """
        page = self._shown()
        for place, item in enumerate(page.inputs):
            if line in {item.parameter, item.name}:
                self._values[place] = _typed(text, item)
                self._field = place
                return
        raise NotPossible(f"no line {line!r}, but {page.names}")

    async def submit(self, **values: str) -> ParsedPage | None:
        """Fill the form by parameters and send it.

        Raises:
            NotPossible: this is no form, or what :meth:`fill` raises.
        """
        for line, text in values.items():
            self.fill(line, text)
        return await self._submit(self._shown())

    async def refresh(self) -> ParsedPage | None:
        """Wait for the next page that this one has announced.

        Raises:
            NotPossible: it has announced none, or one that waits for the Next key.
        """
        page = self._shown()
        if page.refresh is None or page.refresh.seconds == 0:
            raise NotPossible("no page comes by itself")
        visit = self._visit
        await asyncio.sleep(page.refresh.seconds * self._timing.refresh_pace)
        return self.page if self._visit is not visit else await self._next(page)

    async def back(self) -> ParsedPage | None:
        """Leave the page for the last one that had not expired; from the first one, close the window."""
        self._shown()
        if self._stack:
            return await self._load(self._stack.pop(), leaves=False)
        self.close()
        return None

    def dial(self, number: str) -> None:
        """Call ``number``, which closes the window."""
        self.dialled.append(number)
        self.close()

    # What keys do

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
            raise NotPossible(f"{name} does nothing on a page of kind {page.kind}")
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
            raise NotPossible("nothing is behind that line")
        return await self._press(page, url)

    async def _submit(self, page: ParsedPage) -> ParsedPage | None:
        if page.kind is not PageKind.INPUT:
            raise NotPossible("this is no form")
        pairs = zip(page.inputs, self._values, strict=True)
        query = "&".join(
            f"{_encoded(item.parameter, page.charset)}={_encoded(value, page.charset)}" for item, value in pairs
        )
        if page.posts:
            return await self._load(page.submit_url, form=query.encode("ascii"))
        return await self._load(_extended(page.submit_url, query) if query else page.submit_url)

    def _erase(self) -> None:
        """The last character of the line that was typed into last."""
        if self._values:
            self._values[self._field] = self._values[self._field][:-1]

    async def _next(self, page: ParsedPage) -> ParsedPage | None:
        """The page that ``page`` has announced, or itself again, in its place."""
        announced = "" if page.refresh is None else page.refresh.url
        return await self._load(announced or page.url, leaves=False)

    def _dial_uri(self, rest: str) -> None:
        number, *options = rest.split(":")
        if options[:1] == [_KEEPS_PAGE]:
            self.dialled.append(number)
        else:
            self.dial(number)

    def _with_parameter_of_line(self, page: ParsedPage, url: str) -> str:
        """A soft key's ``url``, with the parameter that the highlighted line may have instead of a URL."""
        line = self._line_url(page) if page.items else ""
        return _extended(url, line.removeprefix(_PARAMETER)) if line.startswith(_PARAMETER) else url

    def _line_url(self, page: ParsedPage) -> str:
        return self._item(page).url

    def _item(self, page: ParsedPage) -> ParsedMenuItem:
        if not page.items:
            raise NotPossible("there is no line to choose")
        return page.items[self.highlighted]

    def _entry(self, page: ParsedPage) -> ParsedEntry:
        if not page.entries:
            raise NotPossible("there is nobody to call")
        return page.entries[self.highlighted]

    def _shown(self) -> ParsedPage:
        if self.page is None:
            raise NotPossible("nothing is on the screen")
        return self.page

    # Pages

    async def _open_key(self, url: str, *, is_directories: bool = False) -> ParsedPage | None:
        capabilities = self._device.model.services
        if not self._device.is_running:
            raise NotPossible(_NOT_RUNNING)
        if not is_page(url):
            return self._show(judge.failure(NO_SERVICES, capabilities))
        if capabilities.names_itself:
            config = self._device.running_config
            locale = (config.user_locale if config is not None else None) or _LOCALE
            url = _extended(url, f"locale={_encoded(locale, 'utf-8')}&name={self._device.device_name}")
        page = await self.open(url)
        if not is_directories or not capabilities.directory_is_menu or page is None or page.kind in _OPENS_DIRECTORIES:
            return page
        violation = Violation(Rule.MENU_EXPECTED, f"{page.kind}")
        return self._show(replace(judge.failure(judge.PARSE_ERROR, capabilities, violations=[violation]), url=page.url))

    async def _load(self, url: str, *, form: bytes | None = None, leaves: bool = True) -> ParsedPage | None:
        """Load ``url`` and show it; the page before it leads back if this ``leaves`` it."""
        visit = self._visit = object()
        url = url.replace("#DEVICENAME#", self._device.device_name)
        if not is_page(url):
            raise NotPossible("that is no page")
        page = await self._fetching.fetch(url, form=form)
        if self._visit is not visit:
            return self.page
        if page.kind is PageKind.EXECUTE:
            self.violations.extend(page.violations)
            self._device.carry_out(page.executes)
            return self.page
        if leaves and self.page is not None and not self.page.is_expired:
            self._stack.append(self.page.url)
            del self._stack[:-_MAX_STACK]
        return self._show(page)

    def _show(self, page: ParsedPage) -> ParsedPage:
        self._visit = object()
        self.page, self.url = page, page.url
        self.highlighted = self._field = 0
        self.editing = None
        self._values = [item.default for item in page.inputs]
        self.violations.extend(page.violations)
        said = page.text if page.kind is PageKind.ERROR else page.title or page.prompt
        self._on_change(f"shows {page.kind} {said!r}")
        return page

    def _cancel_push(self) -> None:
        """Unless it is what runs now."""
        if self._pushed is not None and self._pushed is not asyncio.current_task():
            self._pushed.cancel()
        self._pushed = None


def _typed(text: str, item: ParsedInputItem) -> str:
    try:
        return lines.typed(text, item.flags)
    except ValueError as impossible:
        raise NotPossible(f"{item.name}: {impossible}") from None


def _encoded(text: str, charset: str) -> str:
    return quote(text, safe="", encoding=charset, errors="replace")


def _extended(url: str, query: str) -> str:
    """``url`` with one more piece of ``query``."""
    return f"{url}{'&' if '?' in url else '?'}{query}"
