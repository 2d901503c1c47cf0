"""What is remembered of peers and devices by their names, which anybody may make up."""

from typing import TypeVar

MOST_REMEMBERED = 10_000
"""Peers and devices of which something is remembered, the latest; ten times the phones of a large site."""
_LONGEST_NAME = 128
"""Characters of a peer or a device that is remembered; Asterisk itself cuts them at 80."""
_T = TypeVar("_T")


def remember(memory: dict[str, _T], name: str, what: _T) -> None:
    """Keep the latest :data:`MOST_REMEMBERED`."""
    if len(name) > _LONGEST_NAME:
        return
    memory.pop(name, None)
    memory[name] = what
    if len(memory) > MOST_REMEMBERED:
        del memory[next(iter(memory))]
