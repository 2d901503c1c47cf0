"""The keys below the screen that a phone has by itself (phone-protocol notes 4.1)."""

from collections.abc import Sequence

from cisisk.simulator.services.page import Kind, SoftKey

SCHEME = "SoftKey:"
KNOWN = frozenset({"Submit", "Select", "Exit", "Update", "Cancel", "Search", "Next", "Back", "Dial", "EditDial", "<<"})
_MOVES_ON = frozenset({"Next", "Update"})
_NATIVE = {
    Kind.MENU: {"Select", "Exit", "Back"},
    Kind.ICON_MENU: {"Select", "Exit", "Back"},
    Kind.TEXT: {"Update", "Exit", "Back"},
    Kind.PLAIN: {"Update", "Exit", "Back"},
    Kind.DIRECTORY: {"Dial", "EditDial", "Exit", "Back", "Cancel", "Next"},
    Kind.INPUT: {"Submit", "<<", "Cancel", "Exit", "Back", "Search"},
}
_DEFAULT: dict[Kind, tuple[str, ...]] = {
    Kind.MENU: ("Select", "Exit"),
    Kind.ICON_MENU: ("Select", "Exit"),
    Kind.TEXT: ("Update", "Exit"),
    Kind.PLAIN: ("Update", "Exit"),
    Kind.DIRECTORY: ("Dial", "EditDial", "Exit"),
    Kind.INPUT: ("Submit", "<<", "Cancel"),
    Kind.ERROR: ("Exit",),
}


def is_native(name: str, kind: Kind, *, has_next_page: bool) -> bool:
    """Whether ``SoftKey:`` and this ``name`` does something on a page of this ``kind``.

    A page that a ``Refresh`` has given a next page knows Next and Update, whatever its kind.
    """
    return name in _NATIVE.get(kind, ()) or (has_next_page and name in _MOVES_ON)


def defaults(kind: Kind, *, exit_first: bool, waits_for_next: bool) -> tuple[SoftKey, ...]:
    """What a phone offers below a page that brings no soft key."""
    names: Sequence[str] = _DEFAULT.get(kind, ())
    if exit_first:
        names = sorted(names, key=lambda name: name not in {"Exit", "Cancel"})
    if waits_for_next:
        names = [*names, "Next"]
    return tuple(SoftKey(name=name, url=SCHEME + name) for name in names)
