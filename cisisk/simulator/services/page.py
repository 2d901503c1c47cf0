"""A page of an XML service as it stands on the screen."""

from dataclasses import dataclass, field
from enum import StrEnum

from cisisk.simulator.services.rules import Violation


class PageKind(StrEnum):
    """What is on the screen."""

    MENU = "menu"
    ICON_MENU = "icon menu"
    DIRECTORY = "directory"
    INPUT = "input"
    TEXT = "text"
    PLAIN = "plain text"
    """Sent as ``text/plain`` or ``text/html``, whatever it is: tags are shown."""
    EXECUTE = "execute"
    """Nothing to show: the phone executes it."""
    ERROR = "error"


@dataclass(frozen=True, slots=True, kw_only=True)
class ParsedMenuItem:
    """A line of a menu. Its URL may be empty: then nothing happens."""

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
        name: as it stands on the screen.
        parameter: in the query.
        default: what stands in it at first.
        flags: a letter for what can be typed, and ``P`` for what is not shown.
    """

    name: str
    parameter: str
    default: str = field(default="", repr=False)
    flags: str = "A"

    @property
    def is_masked(self) -> bool:
        """Whether nobody can read what is typed."""
        return "P" in self.flags


@dataclass(frozen=True, slots=True, kw_only=True)
class ParsedSoftKey:
    """A key below the screen."""

    name: str
    url: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Refresh:
    """What comes next by itself.

    Attributes:
        seconds: until then; 0 waits for the Next key.
        url: of the next page; empty loads this one again.
    """

    seconds: int
    url: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class ParsedPage:
    """What a phone shows.

    Attributes:
        url: what was asked for. It may hold a PIN.
        status: of HTTP, None if there was no answer.
        text: of a text, a plain text or an error.
        items: of a menu.
        entries: of a directory.
        inputs: of a form.
        submit_url: where the form goes.
        posts: the form is posted.
        soft_keys: in the order of their positions, the phone's own if the page has none.
        executes: the URLs of the items of an execute object.
        charset: the page's, which a form is encoded in.
        refresh: what comes next by itself.
        is_expired: nothing leads back to it.
        violations: of rules; with one that is not tolerated the page is an error.
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
        """The names of its soft keys."""
        return [key.name for key in self.soft_keys]

    @property
    def names(self) -> list[str]:
        """The names of its lines, whatever they are."""
        lines: tuple[ParsedMenuItem | ParsedEntry | ParsedInputItem, ...] = (*self.items, *self.entries, *self.inputs)
        return [line.name for line in lines]
