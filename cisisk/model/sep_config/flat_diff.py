"""The differences between two flat configs, in the terms of phone administrators."""

import re
from collections.abc import Iterator

from cisisk.model.sep_config.flat import FlatConfig

_SECRET = re.compile(r"pass|pwd|pin|secret|credential|token|key", re.IGNORECASE)
_LINE_NAME = re.compile(r"line(\d)_name")
_WORDS = {"image_version": "load", "phone_label": "phone label"}
_MAX_VALUE = 64


def flat_changes(before: FlatConfig, after: FlatConfig) -> Iterator[str]:
    """Yield the differences: first the usual names, then the lines, then other settings. Secrets are not shown."""
    names = dict.fromkeys([*before.settings, *after.settings])
    for name in sorted(names, key=_rank):
        old, new = before.text(name), after.text(name)
        if old != new:
            yield _changed(name, old, new)


def _rank(name: str) -> tuple[int, str]:
    if name in _WORDS:
        return 0, name
    return (1, name) if _LINE_NAME.fullmatch(name) else (2, "")


def _changed(name: str, before: str | None, after: str | None) -> str:
    match = _LINE_NAME.fullmatch(name)
    called = f"line {match[1]}" if match else _WORDS.get(name, name)
    if _SECRET.search(name) or _hides(before) or _hides(after):
        return f"{called}: changed"
    return f"{called}: {_shown(before)} -> {_shown(after)}"


def _hides(value: str | None) -> bool:
    """Return whether a value is a URL with credentials."""
    return "@" in (value or "").partition("//")[2] or _SECRET.search((value or "").partition("?")[2]) is not None


def _shown(value: str | None) -> str:
    if value is None:
        return "none"
    words = " ".join(value.split())
    return (words if len(words) <= _MAX_VALUE else f"{words[:_MAX_VALUE]}...") or "empty"
