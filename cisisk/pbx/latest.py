"""A bounded memory of peers and devices, whose names come from the network."""

from typing import TypeVar

MAX_REMEMBERED = 10_000
"""Peers and devices that are remembered, the latest: ten times the phones of a large site."""
_MAX_NAME_LENGTH = 128
"""Characters of a name that is remembered. Asterisk cuts names at 80."""
_T = TypeVar("_T")


def remember(memory: dict[str, _T], name: str, value: _T) -> None:
    """Remember a value by name, and forget the oldest beyond :data:`MAX_REMEMBERED`."""
    if len(name) > _MAX_NAME_LENGTH:
        return
    memory.pop(name, None)
    memory[name] = value
    if len(memory) > MAX_REMEMBERED:
        del memory[next(iter(memory))]
