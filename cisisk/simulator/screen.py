"""Execution of URIs: the key buffer and the open page.

Source: docs/phone-protocol/restart.md#command-uris, docs/phone-protocol/restart.md#key-sequences
"""

from collections.abc import Sequence
from dataclasses import dataclass

from cisisk.simulator.cgi import Status, is_page
from cisisk.simulator.models import PhoneModel

INIT_RESTART = "Init:Restart"
CLOSES_PAGE = frozenset({"Init:Services", "Init:Directories", "Init:Messages"})
_CLOSES_MENU = frozenset({"Init:Settings", "Init:Applications"})
_NO_EFFECT_HERE = frozenset({"Init:CallHistory", "Init:AppStatus"})
_KEYS = frozenset(
    [
        *(f"KeyPad{digit}" for digit in (*range(10), "Star", "Pound")),
        *(f"Soft{number}" for number in range(1, 6)),
        *(f"FixedFeature{number}" for number in range(1, 4)),
        *(f"Session{number}" for number in range(1, 7)),
        *(f"{kind}{number}" for kind in ("Line", "Feature") for number in range(1, 109)),
        *("Settings", "Applications", "Services", "Directories", "Contacts", "Messages", "Info", "AppMenu"),
        *("Headset", "Speaker", "Mute", "Hold", "Release", "VolUp", "VolDwn"),
        *("NavUp", "NavDwn", "NavLeft", "NavRight", "NavSelect", "NavBack"),
    ]
)


class Keypad:
    """Recognises the key sequence that restarts a phone.

    The first key of the sequence opens a menu, and closes it when pressed again. A sequence that begins while the
    menu is open therefore fails silently, as on a real phone.
    """

    def __init__(self, sequence: Sequence[str]) -> None:
        """Recognise ``sequence``; an empty one never restarts the phone."""
        self._sequence = list(sequence)
        self._pressed: list[str] = []

    def close_menu(self) -> None:
        """Close the menu, so that the sequence can begin."""
        self._pressed.clear()

    def press(self, key: str) -> bool:
        """Press ``key`` and return whether it completes the sequence."""
        if not self._sequence:
            return False
        if key == self._sequence[0]:
            self._pressed = [] if self._pressed else [key]
        elif self._pressed and len(self._pressed) <= len(self._sequence):
            self._pressed.append(key)
        if self._pressed != self._sequence:
            return False
        self.close_menu()
        return True


@dataclass(frozen=True, slots=True, kw_only=True)
class Execution:
    """The result of one ``CiscoIPPhoneExecute``.

    Attributes:
        results: each URL and its status.
        restart: cause of the restart, or None.
        closes: the window of the XML services closes.
        opens: page that opens afterwards, or None.
    """

    results: tuple[tuple[str, Status], ...]
    restart: str | None = None
    closes: bool = False
    opens: str | None = None


class Screen:
    """Executes the URIs of ``CiscoIPPhoneExecute`` objects."""

    def __init__(self, model: PhoneModel) -> None:
        self._keypad = Keypad(model.restart_keys)

    def execute(self, urls: Sequence[str], *, init_restarts: bool, keys_restart: bool) -> Execution:
        """Execute ``urls``; the caller closes and opens pages.

        Only the first key of a request takes effect: a phone ignores keys while it redraws its soft keys.

        Args:
            urls: the URLs of the items of one request.
            init_restarts: ``Init:Restart`` currently restarts the phone.
            keys_restart: the restart keys currently restart the phone; otherwise they fail silently.
        """
        results: list[tuple[str, Status]] = []
        restart: str | None = None
        opens: str | None = None
        closes = key_seen = False
        for url in urls:
            status = Status.SUCCESS
            if is_page(url):
                opens = url
            elif url == INIT_RESTART and init_restarts:
                restart = url
            elif url.startswith("Key:") and url.removeprefix("Key:") in _KEYS:
                completed = not key_seen and self._keypad.press(url.removeprefix("Key:"))
                key_seen = True
                restart = "key presses" if completed and keys_restart else restart
            elif not self._initialise(url):
                status = Status.NOT_EXECUTABLE
            if url in CLOSES_PAGE:
                closes, opens = True, None
            results.append((url, status))
        return Execution(results=tuple(results), restart=restart, closes=closes, opens=opens)

    def power_cycle(self) -> None:
        """Reset the state, as at a restart."""
        self._keypad.close_menu()

    def _initialise(self, url: str) -> bool:
        """Execute an ``Init:`` URI and return whether the phone supports it."""
        if url in CLOSES_PAGE or url in _CLOSES_MENU:
            self._keypad.close_menu()
            return True
        return url in _NO_EFFECT_HERE
