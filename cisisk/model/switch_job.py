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
"""Phones of one job: more than a site has, and what one answer and one look at the database can bear."""
MAX_CONCURRENCY = 64
"""Phones that are being switched at the same time, by all jobs together: so many are called at once."""
Cell: TypeAlias = str | int | float | bool | None
"""What stands in one column of one row."""


class JobState(StrEnum):
    """What becomes of a job's rows that have not begun."""

    RUNNING = "running"
    """They begin when their turn comes."""
    PAUSED = "paused"
    """Somebody has halted the job; it can be resumed."""
    STOPPED = "stopped"
    """Too few phones took their config, so Cisisk has halted the job; it can be resumed."""
    CANCELLED = "cancelled"
    """They never begin."""
    COMPLETED = "completed"
    """There are none, and all have ended."""


class RowState(StrEnum):
    """Where a row stands that has no deployment; one that has one is in the state of that."""

    PENDING = "pending"
    STARTING = "starting"
    """Its switch was asked for; its deployment is not known yet."""
    REFUSED = "refused"
    """Its switch could not begin."""
    CANCELLED = "cancelled"
    """It never begins: the job was cancelled before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RolloutPlan:
    """How a job goes through its rows.

    Attributes:
        canary: so many phones first; the others wait until all of them have ended. 0 for none.
        wave: phones of each wave after them; 0 for all the rest in one.
        concurrency: phones that are under way at the same time, until they have ended.
        min_confirmed: the share of phones, from 0 to 1, that must have taken their config for the job to go on.
    """

    canary: int
    wave: int = 0
    concurrency: int = 16
    min_confirmed: float = 0.9

    def wave_of(self, row: int) -> int:
        """The wave in which a row begins, by its number, which counts from 1; the canary is wave 0."""
        if row <= self.canary:
            return 0
        return 1 + ((row - self.canary - 1) // self.wave if self.wave else 0)

    def last_of(self, wave: int) -> int:
        """The number of the last row of a wave, if there are as many."""
        if wave == 0:
            return self.canary
        return self.canary + wave * self.wave if self.wave else MAX_ROWS


def usual_canary(rows: int) -> int:
    """How many phones to try first if nobody has said: a twentieth, from 1 to 5."""
    return max(1, min(5, rows // 20))


@dataclass(frozen=True, slots=True, kw_only=True)
class SwitchJob:
    """Many switches as one job.

    Attributes:
        reason: why Cisisk stopped the job; None if it did not.
        actor: in whose name the phones are switched.
        columns: the names of the input's columns, in its order; ``delimiter`` stood between them.
        rows: how many there are.
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
    """One phone of a new job; ``cells`` are its row of the input, by the job's columns."""

    mac: Mac
    profile_uuid: str
    cells: tuple[Cell, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class JobRow:
    """One phone of a job, and what has become of it.

    Attributes:
        number: counts from 1 in the order of the input.
        profile_uuid: as it was asked for; it may have been deleted since.
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
