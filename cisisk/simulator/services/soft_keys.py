"""Built-in soft keys (docs/phone-protocol/xml-services.md#soft-keys)."""

from collections.abc import Sequence

from cisisk.simulator.services.page import PageKind, ParsedSoftKey

SCHEME = "SoftKey:"
KNOWN = frozenset({"Submit", "Select", "Exit", "Update", "Cancel", "Search", "Next", "Back", "Dial", "EditDial", "<<"})
_MOVES_ON = frozenset({"Next", "Update"})
_NATIVE = {
    PageKind.MENU: {"Select", "Exit", "Back"},
    PageKind.ICON_MENU: {"Select", "Exit", "Back"},
    PageKind.TEXT: {"Update", "Exit", "Back"},
    PageKind.PLAIN: {"Update", "Exit", "Back"},
    PageKind.DIRECTORY: {"Dial", "EditDial", "Exit", "Back", "Cancel", "Next"},
    PageKind.INPUT: {"Submit", "<<", "Cancel", "Exit", "Back", "Search"},
}
_DEFAULT: dict[PageKind, tuple[str, ...]] = {
    PageKind.MENU: ("Select", "Exit"),
    PageKind.ICON_MENU: ("Select", "Exit"),
    PageKind.TEXT: ("Update", "Exit"),
    PageKind.PLAIN: ("Update", "Exit"),
    PageKind.DIRECTORY: ("Dial", "EditDial", "Exit"),
    PageKind.INPUT: ("Submit", "<<", "Cancel"),
    PageKind.ERROR: ("Exit",),
}


def is_native(name: str, kind: PageKind, *, has_next_page: bool) -> bool:
    """Return whether ``SoftKey:<name>`` has an effect on a page of this ``kind``.

    Every page with a ``Refresh`` header supports Next and Update.
    """
    return name in _NATIVE.get(kind, ()) or (has_next_page and name in _MOVES_ON)


def defaults(kind: PageKind, *, exit_first: bool, waits_for_next: bool) -> tuple[ParsedSoftKey, ...]:
    """Return the soft keys of a page that defines none."""
    names: Sequence[str] = _DEFAULT.get(kind, ())
    if exit_first:
        names = sorted(names, key=lambda name: name not in {"Exit", "Cancel"})
    if waits_for_next:
        names = [*names, "Next"]
    return tuple(ParsedSoftKey(name=name, url=SCHEME + name) for name in names)
