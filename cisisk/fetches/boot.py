"""What a boot of a phone is: the requests of one start, and what they show. No sentences: codes and parameters."""

from dataclasses import dataclass
from enum import StrEnum

from cisisk.model.clock import Timestamp
from cisisk.model.notice import Notice
from cisisk.provisioning.purpose import Purpose
from cisisk.store.fetches import LoggedFetch


class Care(StrEnum):
    """Whether an administrator has to act."""

    NONE = "none"
    """Everything is as it should be."""
    HARMLESS = "harmless"
    """A file is missing that phones can do without."""
    ATTENTION = "attention"


class BootKind(StrEnum):
    """What a group of requests is."""

    BOOT = "boot"
    REQUESTS = "requests"
    """A running phone asked for files: a user opened a menu."""
    SILENCE = "silence"
    """There is no request, although one is expected."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BootRequest:
    """One request of a boot.

    Attributes:
        by_address: the file name does not identify the phone; the address of the client does.
        asked: an :class:`~cisisk.model.codes.boot.AskedCode`: what the file is for.
        result: a :class:`~cisisk.model.codes.boot.RequestCode`: how the request ended.
    """

    fetch: LoggedFetch
    purpose: Purpose
    by_address: bool
    asked: Notice
    result: Notice
    care: Care


@dataclass(frozen=True, slots=True, kw_only=True)
class BootFinding:
    """What a boot as a whole shows.

    Attributes:
        notice: a :class:`~cisisk.model.codes.boot.BootFindingCode`.
        remedies: each a :class:`~cisisk.model.codes.boot.RemedyCode`, the best first; empty if there is nothing to do.
    """

    notice: Notice
    remedies: tuple[Notice, ...] = ()
    care: Care = Care.ATTENTION


@dataclass(frozen=True, slots=True, kw_only=True)
class Boot:
    """Requests that belong together.

    Attributes:
        ended_at: when the last of them ended.
        findings: the most important first; never empty.
    """

    kind: BootKind
    started_at: Timestamp
    ended_at: Timestamp
    addresses: tuple[str, ...]
    findings: tuple[BootFinding, ...]
    requests: tuple[BootRequest, ...] = ()

    @property
    def needs_care(self) -> bool:
        """Whether an administrator has to act."""
        return any(finding.care is Care.ATTENTION for finding in self.findings)
