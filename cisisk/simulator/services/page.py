"""A parsed page of an XML service."""

from dataclasses import dataclass, field
from enum import StrEnum

from cisisk.simulator.services.rules import Violation


class PageKind(StrEnum):
    """The kind of a page."""

    MENU = "menu"
    ICON_MENU = "icon menu"
    DIRECTORY = "directory"
    INPUT = "input"
    TEXT = "text"
    PLAIN = "plain text"
    """Sent as ``text/plain`` or ``text/html``; tags are shown as text."""
    EXECUTE = "execute"
    """Not shown: the phone executes the URLs."""
    ERROR = "error"


@dataclass(frozen=True, slots=True, kw_only=True)
class ParsedMenuItem:
    """A line of a menu. An empty URL has no effect."""

    name: str
    url: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ParsedEntry:
    """A line of a directory."""

    name: str
    telephone: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ParsedInputItem:
    """A line of a form.

    Attributes:
        name: label.
        parameter: query parameter.
        default: initial text.
        flags: ``InputFlags``: a letter for the allowed characters, and ``P`` for a masked line.
    """

    name: str
    parameter: str
    default: str = field(default="", repr=False)
    flags: str = "A"

    @property
    def is_masked(self) -> bool:
        """Return whether the typed text is hidden."""
        return "P" in self.flags


@dataclass(frozen=True, slots=True, kw_only=True)
class ParsedSoftKey:
    """A soft key."""

    name: str
    url: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Refresh:
    """A ``Refresh`` header.

    Attributes:
        seconds: delay; 0 waits for the Next key.
        url: next page; empty reloads this one.
    """

    seconds: int
    url: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class ParsedPage:
    """A page on the screen.

    Attributes:
        url: requested URL. It may contain a PIN.
        status: HTTP status; None if there was no response.
        text: text of a text page, plain text page or error.
        items: lines of a menu.
        entries: lines of a directory.
        inputs: lines of a form.
        submit_url: URL that the form is sent to.
        posts: the form is sent with POST.
        soft_keys: in the order of their positions; the defaults if the page has none.
        executes: URLs of an execute object.
        charset: charset of the page, used to encode the form.
        refresh: the ``Refresh`` header, or None.
        is_expired: Back does not return to the page.
        violations: broken rules; one that is not tolerated makes the page an error.
    """

    kind: PageKind
    url: str = field(default="", repr=False)
    status: int | None = None
    title: str = ""
    prompt: str = ""
    text: str = ""
    items: tuple[ParsedMenuItem, ...] = ()
    entries: tuple[ParsedEntry, ...] = ()
    inputs: tuple[ParsedInputItem, ...] = ()
    submit_url: str = field(default="", repr=False)
    posts: bool = False
    soft_keys: tuple[ParsedSoftKey, ...] = ()
    executes: tuple[str, ...] = ()
    charset: str = "iso8859-1"
    refresh: Refresh | None = None
    is_expired: bool = False
    violations: tuple[Violation, ...] = ()

    @property
    def keys(self) -> list[str]:
        """Return the names of the soft keys."""
        return [key.name for key in self.soft_keys]

    @property
    def names(self) -> list[str]:
        """Return the names of the menu, directory and form lines."""
        lines: tuple[ParsedMenuItem | ParsedEntry | ParsedInputItem, ...] = (*self.items, *self.entries, *self.inputs)
        return [line.name for line in lines]
