"""The limits of all parts that have no setting."""

from dataclasses import dataclass, field

from cisisk.fetches.log import FetchLogLimits


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The limits of an appliance. The defaults are for production; tests pass shorter times and smaller numbers."""

    fetch_log: FetchLogLimits = field(default_factory=FetchLogLimits)


DEFAULT_LIMITS = Limits()
