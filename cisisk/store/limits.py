"""The limits of the database."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreLimits:
    """Limits of the database.

    Attributes:
        group_seconds: a group of writes is committed after this time, so that its first caller waits at most a few
            fsyncs.
        group_size: writes in one commit, at most: if the disk refuses the commit, all of them fail.
        ping_seconds: if SELECT 1 takes longer than this, the database counts as down: phones do not wait longer.
    """

    group_seconds: float = 0.02
    group_size: int = 64
    ping_seconds: float = 2.0


DEFAULT_LIMITS = StoreLimits()
