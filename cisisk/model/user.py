"""People, what they may do, and who is acting."""

from dataclasses import dataclass

from cisisk.model.clock import Timestamp

SUPERADMIN_LEVEL = 0
SUPERADMIN_PERMISSION = "00000000-0000-0000-0000-000000000000"
"""The seeded permission of level 0."""
PIN_FORM = "[0-9]{4,16}"
"""A regular expression: a phone's keypad has no other characters."""


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """A person or an API client.

    Attributes:
        last_uuid: who changed this record last.
        level: the permission level, lower reaches further; None without a permission.
        revision: counts the changes an administrator made.
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
        """Whether the management endpoints are open to this user."""
        return self.level == SUPERADMIN_LEVEL


@dataclass(frozen=True, slots=True, kw_only=True)
class Permission:
    """A named level of access; 0 reaches everything."""

    uuid: str
    level: int
    name: str
    description: str | None
    created_at: Timestamp
    updated_at: Timestamp
    revision: int


@dataclass(frozen=True, slots=True, kw_only=True)
class UserPermission:
    """Which permission a user holds. ``created_at`` and ``revision`` are the permission's."""

    user_uuid: str
    perm_uuid: str
    level: int
    perm_name: str
    created_at: Timestamp
    revision: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Actor:
    """Who does something, for the audit log.

    Attributes:
        user_uuid: None for Cisisk itself, its command line, and people who are not yet known.
        ip: where from; None when it did not come over the network.
    """

    user_uuid: str | None = None
    ip: str | None = None
    user_agent: str | None = None


SYSTEM = Actor()
"""Cisisk itself."""
