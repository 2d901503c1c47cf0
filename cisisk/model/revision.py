"""Which version of a resource a caller has seen (RFC 9110 sections 8.8.3 and 13.1.1)."""

from collections.abc import Collection
from typing import Protocol

from cisisk.model.clock import Timestamp
from cisisk.model.errors import Stale


class Revised(Protocol):
    """A resource that counts its changes."""

    @property
    def created_at(self) -> Timestamp:
        """When it was made: a resource made anew under an old name is another one."""

    @property
    def revision(self) -> int:
        """Grows with each change."""


class _AnyVersion(frozenset[str]):
    def __contains__(self, _tag: object) -> bool:
        return True


ANY_VERSION = _AnyVersion()
"""What a caller has seen who means whatever is there, as long as something is."""


def entity_tag(resource: Revised) -> str:
    """The strong entity tag of a resource's current version, without its quotes."""
    return f"{''.join(filter(str.isdigit, resource.created_at))}-{resource.revision}"


def require_current(resource: Revised, seen: Collection[str] | None) -> None:
    """Let a change go on only if its caller has ``seen`` the current version; None does not care.

    Raises:
        Stale: the resource has changed since.
    """
    if seen is not None and entity_tag(resource) not in seen:
        raise Stale("It has been changed meanwhile. Read it again and repeat the change")
