"""Users, permissions, and the actor of an operation."""

from dataclasses import dataclass

from cisisk.model.clock import Timestamp

SUPERADMIN_LEVEL = 0
SUPERADMIN_PERMISSION = "00000000-0000-0000-0000-000000000000"
"""The seeded permission of level 0."""
PIN_FORM = "[0-9]{4,16}"
"""A regular expression. The keypad of a phone has digits only."""


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """A person or an API client.

    Attributes:
        last_uuid: the user who changed this record last.
        level: the permission level; a lower level permits more. None without a permission.
        revision: the number of changes by administrators.
    """

    uuid: str
    first_name: str
    last_name: str
    username: str
    email: str
    phone: str | None
    lang: str
    location: str | None
    nationality: str | None
    timezone: str
    last_uuid: str | None
    last_login_ip: str | None
    last_login_at: Timestamp | None
    last_logout_ip: str | None
    is_active: bool
    created_at: Timestamp
    created_by: str | None
    updated_at: Timestamp
    created_ip: str | None
    updated_ip: str | None
    level: int | None
    perm_name: str | None
    revision: int

    @property
    def is_superadmin(self) -> bool:
        """Whether this user may call the management endpoints."""
        return self.level == SUPERADMIN_LEVEL


@dataclass(frozen=True, slots=True, kw_only=True)
class Permission:
    """A named permission level. Level 0 permits everything."""

    uuid: str
    level: int
    name: str
    description: str | None
    created_at: Timestamp
    updated_at: Timestamp
    revision: int


@dataclass(frozen=True, slots=True, kw_only=True)
class UserPermission:
    """The permission of a user. ``created_at`` and ``revision`` are those of the permission."""

    user_uuid: str
    perm_uuid: str
    level: int
    perm_name: str
    created_at: Timestamp
    revision: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Actor:
    """The originator of an operation, for the audit log.

    Attributes:
        user_uuid: None for Cisisk itself, its command line, and unauthenticated clients.
        ip: the address of the client; None if the request did not come over the network.
    """

    user_uuid: str | None = None
    ip: str | None = None
    user_agent: str | None = None


SYSTEM = Actor()
"""Cisisk itself."""
