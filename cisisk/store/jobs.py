"""Switch jobs and their rows."""

import json
import sqlite3
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, TypeAlias
from uuid import uuid4

from cisisk.model.clock import now
from cisisk.model.deployment import DeploymentState, Policy
from cisisk.model.errors import Conflict, NotFound
from cisisk.model.listing import Listing, Page
from cisisk.model.mac import Mac
from cisisk.model.notice import Notice
from cisisk.model.restart import RestartOutcome
from cisisk.model.switch_job import JobRow, JobState, NewRow, RolloutPlan, SwitchJob
from cisisk.model.user import SYSTEM, Actor
from cisisk.store import audit, deployments, policies
from cisisk.store.listing import ListSource
from cisisk.store.transaction import Read, Write

RowKey: TypeAlias = tuple[str, int]
"""The uuid of a job and the number of a row."""

_NAMED_IN_CONFLICTS = 5
"""Limit of phones that an error lists."""
_JOBS = (
    "SELECT uuid, state, reason, requested_by, ip, user_agent, policy, canary, wave, concurrency, min_confirmed,"
    " columns, delimiter, rows, created_at, ended_at FROM switch_jobs"
)
_WITH_DEPLOYMENTS = (
    " FROM switch_job_rows AS row JOIN switch_jobs AS job ON job.number = row.job"
    " LEFT JOIN deployments AS done ON done.uuid = row.deployment"
)
_STATE = (
    "CASE WHEN done.state IS NOT NULL THEN done.state WHEN row.refused IS NOT NULL THEN 'refused'"
    " WHEN row.begun_after IS NOT NULL THEN 'starting' WHEN job.state = 'cancelled' THEN 'cancelled' ELSE 'pending' END"
)
_STARTING = "begun_after IS NOT NULL AND deployment IS NULL AND refused IS NULL"
_HAS_ENDED = "(row.refused IS NOT NULL OR done.ended_at IS NOT NULL)"
_ROWS = (
    f"SELECT row.number, row.mac, row.profile_uuid, row.cells, row.deployment, {_STATE} AS state, done.restart_outcome,"  # noqa: S608 -- own names
    " done.restart_detail,"
    " COALESCE(CASE WHEN done.ended_at IS NULL THEN row.refused END, (SELECT step.notice FROM deployment_steps AS step"
    " WHERE step.deployment = row.deployment ORDER BY step.number DESC LIMIT 1), row.refused) AS notice"
    f"{_WITH_DEPLOYMENTS}"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class RowProgress:
    """The progress of one row.

    Attributes:
        has_begun: its switch was requested.
        end: its final state; None before it ends.
        is_forgiven: it ended before the job was resumed.
    """

    number: int
    mac: Mac
    profile_uuid: str
    has_begun: bool
    deployment: str | None
    end: str | None
    is_forgiven: bool


@dataclass(frozen=True, slots=True)
class RowOutcome:
    """The outcome of a row's switch: its deployment, or why it failed. A failed switch can have a deployment too."""

    row: RowKey
    deployment: str | None
    refused: Notice | None


def _job(row: sqlite3.Row) -> SwitchJob:
    return SwitchJob(
        uuid=row["uuid"],
        state=JobState(row["state"]),
        reason=Notice.from_json(row["reason"]) if row["reason"] else None,
        actor=Actor(user_uuid=row["requested_by"], ip=row["ip"], user_agent=row["user_agent"]),
        policy=policies.from_json(row["policy"]),
        pace=RolloutPlan(**{name: row[name] for name in ("canary", "wave", "concurrency", "min_confirmed")}),
        columns=tuple(json.loads(row["columns"])),
        delimiter=row["delimiter"],
        rows=row["rows"],
        created_at=row["created_at"],
        ended_at=row["ended_at"],
    )


def _row(row: sqlite3.Row) -> JobRow:
    outcome, detail = row["restart_outcome"], row["restart_detail"]
    return JobRow(
        number=row["number"],
        mac=Mac(row["mac"]),
        profile_uuid=row["profile_uuid"],
        cells=tuple(json.loads(row["cells"])),
        deployment=row["deployment"],
        state=row["state"],
        restart_outcome=RestartOutcome(outcome) if outcome else None,
        restart_detail=deployments.refusals_from_json(detail) if detail else (),
        notice=Notice.from_json(row["notice"]) if row["notice"] else None,
    )


_LIST = ListSource(
    select=_JOBS,
    searched=("uuid", "state", "reason"),
    sortable=("created_at", "ended_at", "state", "rows"),
    order="number DESC",
    item=_job,
)
_ROW_LIST = ListSource(
    select=_ROWS,
    searched=("row.mac", "row.cells", "row.refused"),
    sortable=("row.number", "row.mac"),
    order="row.number",
    item=_row,
)


def create(
    tx: Write,
    actor: Actor,
    *,
    policy: Policy,
    pace: RolloutPlan,
    columns: Sequence[str],
    delimiter: str,
    rows: Sequence[NewRow],
) -> SwitchJob:
    """Store a running job.

    Raises:
        Conflict: some of its phones wait in another running job.
    """
    uuid = str(uuid4())
    _refuse_those_in_other_jobs(tx, [row.mac for row in rows], uuid)
    [created] = tx.rows(
        "INSERT INTO switch_jobs (uuid, state, requested_by, ip, user_agent, policy, canary, wave, concurrency,"
        " min_confirmed, columns, delimiter, rows, created_at)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING number",
        (
            *(uuid, JobState.RUNNING, actor.user_uuid, actor.ip, actor.user_agent, policies.to_json(policy)),
            *(pace.canary, pace.wave, pace.concurrency, pace.min_confirmed),
            *(json.dumps(columns), delimiter, len(rows), now()),
        ),
    )
    tx.many(
        "INSERT INTO switch_job_rows (job, number, mac, profile_uuid, cells) VALUES (?, ?, ?, ?, ?)",
        (
            (created["number"], number, row.mac.digits, row.profile_uuid, json.dumps(row.cells))
            for number, row in enumerate(rows, 1)
        ),
    )
    audit.record(tx, actor, "switch_job.created", uuid, {"rows": len(rows), **asdict(pace)})
    return get(tx, uuid)


def get(tx: Read, uuid: str) -> SwitchJob:
    """Return one job. Raises NotFound."""
    row = tx.row(f"{_JOBS} WHERE uuid = ?", (uuid,))
    if row is None:
        raise NotFound("Switch job not found")
    return _job(row)


def page(tx: Read, listing: Listing) -> Page[SwitchJob]:
    """Return the jobs, the newest first."""
    return _LIST.page(tx, listing)


def counts(tx: Read, uuids: Collection[str]) -> Mapping[str, Mapping[str, int]]:
    """Return for each of these jobs the number of its rows in each state."""
    found: dict[str, dict[str, int]] = defaultdict(dict)
    for row in tx.rows(
        f"SELECT job.uuid, {_STATE} AS row_state, COUNT(*) AS count{_WITH_DEPLOYMENTS}"  # noqa: S608 -- own names
        " WHERE job.uuid IN (SELECT value FROM json_each(?)) GROUP BY job.uuid, row_state",
        (json.dumps(list(uuids)),),
    ):
        found[row["uuid"]][row["row_state"]] = row["count"]
    return found


def rows_page(tx: Read, uuid: str, listing: Listing, state: str | None) -> Page[JobRow]:
    """Return the rows of a job in the order of the input; only those in one state if given."""
    where, parameters = "job.uuid = ?", [uuid]
    if state is not None:
        where, parameters = f"{where} AND {_STATE} = ?", [uuid, state]
    return _ROW_LIST.page(tx, listing, where, parameters)


def rows_after(tx: Read, uuid: str, number: int, limit: int, state: str | None) -> list[JobRow]:
    """Return at most ``limit`` rows of a job after row ``number``; only those in one state if given."""
    rows = tx.rows(
        f"{_ROWS} WHERE job.uuid = ?1 AND row.number > ?2 AND ({_STATE} = ?3 OR ?3 IS NULL)"
        " ORDER BY row.number LIMIT ?4",
        (uuid, number, state, limit),
    )
    return [_row(row) for row in rows]


def missing_profiles(tx: Read, uuids: Collection[str]) -> set[str]:
    """Return those of ``uuids`` that are of no profile."""
    rows = tx.rows(
        "SELECT value FROM json_each(?) WHERE NOT EXISTS (SELECT 1 FROM profiles WHERE uuid = value)",
        (json.dumps(list(uuids)),),
    )
    return {row["value"] for row in rows}


def profiles_named(tx: Read, names: Collection[tuple[str, str]]) -> Mapping[tuple[str, str], list[str]]:
    """Return the uuids of the profiles with these pairs of username and profile name."""
    found: dict[tuple[str, str], list[str]] = defaultdict(list)
    for row in tx.rows(
        "SELECT value ->> 0 AS username, value ->> 1 AS name, profiles.uuid FROM json_each(?) AS wanted"
        " JOIN users ON users.username = value ->> 0"
        " JOIN profiles ON profiles.user_uuid = users.uuid AND profiles.name = value ->> 1",
        (json.dumps(list(names)),),
    ):
        found[row["username"], row["name"]].append(row["uuid"])
    return found


def running(tx: Read) -> list[SwitchJob]:
    """Return the running jobs, the oldest first."""
    return [_job(row) for row in tx.rows(f"{_JOBS} WHERE state = 'running' ORDER BY number")]


def progress(tx: Read, uuid: str) -> list[RowProgress]:
    """Return the progress of all rows of a job: first the ended ones, as they ended, then the others by number."""
    rows = tx.rows(
        "SELECT row.number, row.mac, row.profile_uuid, row.begun_after IS NOT NULL AS has_begun, row.deployment,"
        f" CASE WHEN {_HAS_ENDED} THEN {_STATE} END AS end, row.forgiven{_WITH_DEPLOYMENTS} WHERE job.uuid = ?"
        f" ORDER BY {_HAS_ENDED} DESC, COALESCE(done.ended_at, row.refused_at), row.number",
        (uuid,),
    )
    return [
        RowProgress(
            number=row["number"],
            mac=Mac(row["mac"]),
            profile_uuid=row["profile_uuid"],
            has_begun=bool(row["has_begun"]),
            deployment=row["deployment"],
            end=row["end"],
            is_forgiven=bool(row["forgiven"]),
        )
        for row in rows
    ]


def begin(tx: Write, uuid: str, numbers: Collection[int]) -> set[int]:
    """Record that the switches of these rows are about to be requested.

    Returns:
        The rows that may begin: none if the job was halted meanwhile.
    """
    rows = tx.rows(
        "UPDATE switch_job_rows SET begun_after = (SELECT COALESCE(MAX(number), 0) FROM deployments)"
        " WHERE job = (SELECT number FROM switch_jobs WHERE uuid = ? AND state = 'running')"
        " AND number IN (SELECT value FROM json_each(?)) AND begun_after IS NULL RETURNING number",
        (uuid, json.dumps(list(numbers))),
    )
    return {row["number"] for row in rows}


def deployment_of(tx: Read, row: RowKey) -> str | None:
    """Return the deployment that the switch of a begun row has made, or None."""
    found = tx.row(
        f"SELECT ({_own_deployment('row')}) AS uuid FROM switch_job_rows AS row"  # noqa: S608 -- own names
        " JOIN switch_jobs AS job ON job.number = row.job WHERE job.uuid = ? AND row.number = ?",
        row,
    )
    return found["uuid"] if found else None


def _own_deployment(row: str, condition: str = "1") -> str:
    return (
        f"SELECT uuid FROM deployments AS made WHERE made.mac = {row}.mac AND made.number > {row}.begun_after"  # noqa: S608 -- own names
        f" AND made.profile_uuid = {row}.profile_uuid AND made.origin = 'switch' AND {condition}"
        " ORDER BY made.number LIMIT 1"
    )


def settle(tx: Write, outcomes: Collection[RowOutcome]) -> dict[str, DeploymentState]:
    """Store the outcomes of rows; return the states of those of their deployments that have ended."""
    moment = now()
    tx.many(
        "UPDATE switch_job_rows SET deployment = ?, refused = ?, refused_at = ?"
        " WHERE job = (SELECT number FROM switch_jobs WHERE uuid = ?) AND number = ?",
        [
            (each.deployment, each.refused and each.refused.to_json(), moment if each.refused else None, *each.row)
            for each in outcomes
        ],
    )
    return ended(tx, [each.deployment for each in outcomes if each.deployment])


def ended(tx: Read, deployments: Collection[str]) -> dict[str, DeploymentState]:
    """Return the states of those of ``deployments`` that have ended."""
    rows = tx.rows(
        "SELECT uuid, state FROM deployments WHERE ended_at IS NOT NULL AND uuid IN (SELECT value FROM json_each(?))",
        (json.dumps(list(deployments)),),
    )
    return {row["uuid"]: DeploymentState(row["state"]) for row in rows}


def deferred_for_nothing(tx: Read, deployments: Collection[str]) -> list[str]:
    """Return those of ``deployments`` that have not begun and whose job was cancelled meanwhile."""
    rows = tx.rows(
        f"SELECT done.uuid{_WITH_DEPLOYMENTS} WHERE job.state = 'cancelled' AND done.state = ?"  # noqa: S608 -- own names
        " AND row.deployment IN (SELECT value FROM json_each(?))",
        (DeploymentState.DEFERRED, json.dumps(list(deployments))),
    )
    return [row["uuid"] for row in rows]


def recover(tx: Write) -> None:
    """Find the deployments of the switches that the last process requested and did not settle.

    A switch without a deployment, or whose file was never written, counts as not requested.
    """
    own = _own_deployment("switch_job_rows", "(made.failed_at IS NULL OR made.written_at IS NOT NULL)")
    tx.rows(f"UPDATE switch_job_rows SET deployment = ({own}) WHERE {_STARTING}")  # noqa: S608 -- own names
    tx.rows(f"UPDATE switch_job_rows SET begun_after = NULL WHERE {_STARTING}")  # noqa: S608 -- own names


def pause(tx: Write, actor: Actor, uuid: str) -> SwitchJob:
    """Pause a running job. Raises NotFound, Conflict."""
    return _move(tx, actor, uuid, JobState.PAUSED, JobState.RUNNING)


def resume(tx: Write, actor: Actor, uuid: str) -> SwitchJob:
    """Resume a halted job. The rows that have ended by now no longer count as failures.

    Raises:
        NotFound: there is no such job.
        Conflict: it was not halted, or some of its phones wait in another running job.
    """
    job = _move(tx, actor, uuid, JobState.RUNNING, JobState.PAUSED, JobState.STOPPED)
    waiting = tx.rows(
        f"SELECT row.mac{_WITH_DEPLOYMENTS} WHERE job.uuid = ? AND NOT {_HAS_ENDED} ORDER BY row.number", (uuid,)
    )
    _refuse_those_in_other_jobs(tx, [Mac(row["mac"]) for row in waiting], uuid)
    tx.rows(
        "UPDATE switch_job_rows SET forgiven = 1 WHERE (job, number) IN"  # noqa: S608 -- own names
        f" (SELECT row.job, row.number{_WITH_DEPLOYMENTS} WHERE job.uuid = ? AND {_HAS_ENDED})",
        (uuid,),
    )
    return job


def cancel(tx: Write, actor: Actor, uuid: str) -> list[str]:
    """Cancel a job: the rows that have not begun never will. Return the deferred deployments of the other rows.

    Raises:
        NotFound: there is no such job.
        Conflict: it has ended.
    """
    halted = (JobState.RUNNING, JobState.PAUSED, JobState.STOPPED)
    _move(tx, actor, uuid, JobState.CANCELLED, *halted)
    rows = tx.rows(
        f"SELECT done.uuid{_WITH_DEPLOYMENTS} WHERE job.uuid = ? AND done.state = ? ORDER BY row.number",
        (uuid, DeploymentState.DEFERRED),
    )
    return [row["uuid"] for row in rows]


def stop(tx: Write, uuid: str, reason: Notice) -> bool:
    """Halt a job because too few phones took their config. Returns whether it still ran."""
    return _end_of_run(tx, uuid, JobState.STOPPED, reason)


def complete(tx: Write, uuid: str) -> bool:
    """Record that all rows of a job have ended; return whether it was running."""
    return _end_of_run(tx, uuid, JobState.COMPLETED, None)


def _end_of_run(tx: Write, uuid: str, state: JobState, reason: Notice | None) -> bool:
    if get(tx, uuid).state is not JobState.RUNNING:
        return False
    _move(tx, SYSTEM, uuid, state, JobState.RUNNING, reason=reason)
    return True


_AUDITED = {
    JobState.PAUSED: "switch_job.paused",
    JobState.RUNNING: "switch_job.resumed",
    JobState.CANCELLED: "switch_job.cancelled",
    JobState.STOPPED: "switch_job.stopped",
    JobState.COMPLETED: "switch_job.completed",
}


def _move(
    tx: Write, actor: Actor, uuid: str, state: JobState, *before: JobState, reason: Notice | None = None
) -> SwitchJob:
    job = get(tx, uuid)
    if job.state not in before:
        raise Conflict(f"The job is {job.state}")
    over = now() if state in {JobState.CANCELLED, JobState.COMPLETED} else None
    tx.rows(
        "UPDATE switch_jobs SET state = ?, reason = ?, ended_at = ? WHERE uuid = ?",
        (state, reason and reason.to_json(), over, uuid),
    )
    payload: dict[str, Any] = {} if reason is None else {"reason": reason.plain()}
    audit.record(tx, actor, _AUDITED[state], uuid, payload)
    return get(tx, uuid)


def _refuse_those_in_other_jobs(tx: Read, macs: Sequence[Mac], uuid: str) -> None:
    rows = tx.rows(
        f"SELECT row.mac, job.uuid{_WITH_DEPLOYMENTS} JOIN json_each(?) AS wanted ON wanted.value = row.mac"
        f" WHERE job.state = 'running' AND job.uuid <> ? AND NOT {_HAS_ENDED} ORDER BY row.mac",
        (json.dumps([mac.digits for mac in macs]), uuid),
    )
    if rows:
        named = ", ".join(f"{Mac(row['mac'])} in job {row['uuid']}" for row in rows[:_NAMED_IN_CONFLICTS])
        more = f", and {len(rows) - _NAMED_IN_CONFLICTS} more" if len(rows) > _NAMED_IN_CONFLICTS else ""
        raise Conflict(f"Phones that wait in another job that runs: {named}{more}")
