"""Many switches as one job: a few phones first, then the others in waves, until too many fail."""

from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

from cisisk.model.clock import Timestamp
from cisisk.model.deployment import Policy
from cisisk.model.mac import Mac
from cisisk.model.notice import Notice
from cisisk.model.restart import MethodRefusal, RestartOutcome
from cisisk.model.user import Actor

MAX_ROWS = 5000
"""Phones of one job: more than a site has. One response and one query can still hold them."""
MAX_CONCURRENCY = 64
"""Phones that are switched at the same time, by all jobs together."""
Cell: TypeAlias = str | int | float | bool | None
"""The value in one column of one row."""


class JobState(StrEnum):
    """What happens to the rows of a job that have not begun."""

    RUNNING = "running"
    """They begin in their order."""
    PAUSED = "paused"
    """A user has paused the job. It can be resumed."""
    STOPPED = "stopped"
    """Too few phones took their config, so Cisisk has stopped the job. It can be resumed."""
    CANCELLED = "cancelled"
    """They never begin."""
    COMPLETED = "completed"
    """All rows have begun and ended."""


class RowState(StrEnum):
    """The state of a row without a deployment. A row with a deployment has the state of that."""

    PENDING = "pending"
    STARTING = "starting"
    """Its switch has been asked for. Its deployment is not known yet."""
    REFUSED = "refused"
    """Its switch could not begin."""
    CANCELLED = "cancelled"
    """It never begins: the job was cancelled before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RolloutPlan:
    """How a job proceeds through its rows.

    Attributes:
        canary: the number of phones that go first; the others wait until all of them have ended. 0 for none.
        wave: the number of phones in each wave after them; 0 for all the rest in one wave.
        concurrency: the number of phones that are being switched at the same time.
        min_confirmed: the share of phones, from 0 to 1, that must have fetched their config for the job to go on.
    """

    canary: int
    wave: int = 0
    concurrency: int = 16
    min_confirmed: float = 0.9

    def wave_of(self, row: int) -> int:
        """Return the wave in which a row begins, by its number, which counts from 1. The canary is wave 0."""
        if row <= self.canary:
            return 0
        return 1 + ((row - self.canary - 1) // self.wave if self.wave else 0)

    def last_of(self, wave: int) -> int:
        """Return the number that the last row of a wave has, if there are as many rows."""
        if wave == 0:
            return self.canary
        return self.canary + wave * self.wave if self.wave else MAX_ROWS


def usual_canary(rows: int) -> int:
    """Return how many phones to try first by default: a twentieth, from 1 to 5."""
    return max(1, min(5, rows // 20))


@dataclass(frozen=True, slots=True, kw_only=True)
class SwitchJob:
    """Many switches as one job.

    Attributes:
        reason: why Cisisk stopped the job; None if it did not.
        actor: the user in whose name the phones are switched.
        columns: the names of the input's columns, in its order, which ``delimiter`` separated.
        rows: the number of rows.
        ended_at: when it was cancelled or completed.
    """

    uuid: str
    state: JobState
    reason: Notice | None
    actor: Actor
    policy: Policy
    pace: RolloutPlan
    columns: tuple[str, ...]
    delimiter: str
    rows: int
    created_at: Timestamp
    ended_at: Timestamp | None


@dataclass(frozen=True, slots=True, kw_only=True)
class NewRow:
    """One phone of a new job. ``cells`` is its row of the input, by the job's columns."""

    mac: Mac
    profile_uuid: str
    cells: tuple[Cell, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class JobRow:
    """One phone of a job, and its result.

    Attributes:
        number: counts from 1 in the order of the input.
        profile_uuid: the profile that was asked for; it may have been deleted since.
        state: a :class:`RowState`, or the state of its deployment.
        restart_outcome, restart_detail: as in the deployment.
        notice: the latest that is known.
    """

    number: int
    mac: Mac
    profile_uuid: str
    cells: tuple[Cell, ...]
    deployment: str | None
    state: str
    restart_outcome: RestartOutcome | None
    restart_detail: tuple[MethodRefusal, ...]
    notice: Notice | None
