"""The names under which phones request the files of another TFTP server.

Sites with chan-sccp keep files in folders, and their server rewrites what phones request (provision_sccp). Phones
request firmware, ring tones and configs without a folder, texts and tones below their locale, and pictures below
``Desktops``.

Source: docs/phone-protocol/boot.md#file-names
"""

from collections.abc import Callable


def _without_folder(rest: str) -> str:
    return rest.rpartition("/")[2]


_REWRITES: tuple[tuple[str, Callable[[str], str]], ...] = (
    ("settings/", _without_folder),
    ("firmware/", _without_folder),
    ("ringtones/", _without_folder),
    ("locales/languages/", lambda rest: rest),
    ("locales/countries/", lambda rest: rest),
    ("wallpapers/", lambda rest: f"Desktops/{rest}"),
)
"""The beginning of a path on the server, and what makes a name of the rest."""


def requested_name(path: str) -> str:
    """Return the name under which phones request the file at ``path`` of another server."""
    folded = path.casefold()
    for beginning, rewrite in _REWRITES:
        if folded.startswith(beginning):
            return rewrite(path[len(beginning) :])
    return path
