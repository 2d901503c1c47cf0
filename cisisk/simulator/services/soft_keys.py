"""The keys below the screen that a phone has by itself (docs/phone-protocol/xml-services.md#soft-keys)."""

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
    """Whether ``SoftKey:`` and this ``name`` does something on a page of this ``kind``.

    A page that a ``Refresh`` has given a next page knows Next and Update, whatever its kind.
    """
    return name in _NATIVE.get(kind, ()) or (has_next_page and name in _MOVES_ON)


def defaults(kind: PageKind, *, exit_first: bool, waits_for_next: bool) -> tuple[ParsedSoftKey, ...]:
    """What a phone offers below a page that brings no soft key."""
    names: Sequence[str] = _DEFAULT.get(kind, ())
    if exit_first:
        names = sorted(names, key=lambda name: name not in {"Exit", "Cancel"})
    if waits_for_next:
        names = [*names, "Next"]
    return tuple(ParsedSoftKey(name=name, url=SCHEME + name) for name in names)
