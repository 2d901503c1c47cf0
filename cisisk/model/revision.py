"""Entity tags of resources, and the check of ``If-Match`` (RFC 9110 sections 8.8.3 and 13.1.1)."""

from collections.abc import Collection
from typing import Protocol

from cisisk.model.clock import Timestamp
from cisisk.model.errors import Stale


class Revised(Protocol):
    """A resource that counts its changes."""

    @property
    def created_at(self) -> Timestamp:
        """When it was created. A resource that is deleted and created again is a different one."""

    @property
    def revision(self) -> int:
        """Grows with each change."""


class _AnyVersion(frozenset[str]):
    def __contains__(self, _tag: object) -> bool:
        return True


ANY_VERSION = _AnyVersion()
"""``If-Match: *``: any version matches, as long as the resource exists."""


def entity_tag(resource: Revised) -> str:
    """Return the strong entity tag of the current version, without quotes."""
    return f"{''.join(filter(str.isdigit, resource.created_at))}-{resource.revision}"


def require_current(resource: Revised, seen: Collection[str] | None) -> None:
    """Check that ``seen`` holds the entity tag of the current version; None skips the check.

    Raises:
        Stale: the resource has changed since the caller read it.
    """
    if seen is not None and entity_tag(resource) not in seen:
        raise Stale("The resource has changed since you read it. Read it again, then repeat the change.")
