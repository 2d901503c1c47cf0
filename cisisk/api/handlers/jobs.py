"""Handlers of switch jobs."""

import asyncio
from collections.abc import Iterator, Mapping
from dataclasses import fields, replace
from typing import Any

from aiohttp import hdrs, web

from cisisk.api import csv_table, json_body
from cisisk.api.context import SETTINGS, SWITCH_JOBS, actor, database, uuid_of
from cisisk.api.envelope import reply, reply_list
from cisisk.api.messages import row_restart
from cisisk.api.openapi import CSV, JSON, QUERY, UnsupportedBody, loaded, operation
from cisisk.api.schemas.job import (
    MAX_VALUES,
    DryRunOut,
    JobListQuery,
    JobRowOut,
    JobRowQuery,
    SwitchJobIn,
    SwitchJobOut,
    SwitchJobQuery,
)
from cisisk.mobility.switch_jobs import JobRequest
from cisisk.model.deployment import Policy
from cisisk.model.job_table import Table
from cisisk.model.listing import Listing
from cisisk.model.messages import render
from cisisk.model.switch_job import JobRow, RolloutPlan, SwitchJob, usual_canary
from cisisk.store import jobs

TABLE_ROWS = 500
"""Rows read and written per step: some milliseconds of database work."""
RESULTS = ("result_deployment", "result_state", "result_restart", "result_message")
"""Result columns after those of the input. They are dropped from an input that is such a table itself."""

_JOB, _ROW, _DRY_RUN, _IN = SwitchJobOut(), JobRowOut(), DryRunOut(), SwitchJobIn()
_POLICY = {field.name for field in fields(Policy)}
_PACE = {field.name for field in fields(RolloutPlan)}


@operation(
    summary="Switch many phones in one job",
    tag="Switch jobs",
    body=SwitchJobIn(),
    upload=CSV,
    query=SwitchJobQuery(),
    data=SwitchJobOut(),
    dry_run_data=DryRunOut(),
    status=201,
    errors=(409,),
)
async def create(request: web.Request) -> web.Response:
    """POST /switch-jobs."""
    order, is_dry_run = await _order(request)
    switch_jobs = request.config_dict[SWITCH_JOBS]
    if is_dry_run:
        result = await switch_jobs.rehearse(order)
        return reply(request, "Nothing was switched", _DRY_RUN.dump(result))
    job = await switch_jobs.create(actor(request), order)
    return reply(request, "Switch job created", await _shown(request, job), status=201)


async def _order(request: web.Request) -> tuple[JobRequest, bool]:
    """Return the requested job and whether it is a dry run."""
    content = await json_body.whole(request)
    query: dict[str, Any] = request[QUERY]
    sent = dict(query)
    policy = {name: sent.pop(name) for name in _POLICY & set(sent)}
    # In a thread: a table of thousands of rows takes tenths of a second.
    if request.content_type == CSV:
        table = await asyncio.to_thread(csv_table.read, content)
    elif request.content_type == JSON:
        body = await asyncio.to_thread(_from_json, content)
        table = await asyncio.to_thread(Table.of_objects, body.pop("rows"))
        policy |= body.pop("policy", {})
        sent |= body
    else:
        raise UnsupportedBody(f"The body must be JSON or a CSV table with the content type {JSON} or {CSV}")
    default = request.config_dict[SETTINGS].switch.policy
    pace = RolloutPlan(**{"canary": usual_canary(len(table.rows))} | {name: sent[name] for name in _PACE & set(sent)})
    return JobRequest(table=table, policy=replace(default, **policy), pace=pace), bool(sent.get("dry_run"))


def _from_json(content: bytes) -> dict[str, Any]:
    return loaded(_IN, json_body.parse(content, most=MAX_VALUES))


@operation(summary="List switch jobs", tag="Switch jobs", query=JobListQuery(), data=SwitchJobOut(many=True))
async def find(request: web.Request) -> web.Response:
    """GET /switch-jobs."""
    listing = Listing(**request[QUERY])
    page = await database(request).read(jobs.page, listing)
    counts = await database(request).read(jobs.counts, [job.uuid for job in page.items])
    data = [_dumped(job, counts) for job in page.items]
    return reply_list(request, f"{len(data)} switch job(s) found", data, total=page.total, listing=listing)


@operation(summary="Show a switch job", tag="Switch jobs", data=SwitchJobOut())
async def show(request: web.Request) -> web.Response:
    """GET /switch-jobs/{uuid}."""
    job = await database(request).read(jobs.get, uuid_of(request))
    return reply(request, "Switch job found", await _shown(request, job))


@operation(
    summary="List the rows of a switch job with their results",
    tag="Switch jobs",
    query=JobRowQuery(),
    data=JobRowOut(many=True),
    or_csv=True,
)
async def find_rows(request: web.Request) -> web.StreamResponse:
    """GET /switch-jobs/{uuid}/rows."""
    query: dict[str, Any] = request[QUERY]
    state, wanted = query.pop("state"), query.pop("format")
    job = await database(request).read(jobs.get, uuid_of(request))
    if wanted == "csv" or (wanted is None and _prefers_csv(request)):
        return await _table(request, job, state)
    listing = Listing(**query)
    page = await database(request).read(jobs.rows_page, job.uuid, listing, state)
    data = [_dumped_row(job, row) for row in page.items]
    return reply_list(request, f"{len(data)} row(s) found", data, total=page.total, listing=listing)


@operation(summary="Pause a switch job", tag="Switch jobs", data=SwitchJobOut(), errors=(409,))
async def pause(request: web.Request) -> web.Response:
    """POST /switch-jobs/{uuid}/pause."""
    job = await request.config_dict[SWITCH_JOBS].pause(actor(request), uuid_of(request))
    return reply(request, "Switch job paused", await _shown(request, job))


@operation(summary="Resume a switch job", tag="Switch jobs", data=SwitchJobOut(), errors=(409,))
async def resume(request: web.Request) -> web.Response:
    """POST /switch-jobs/{uuid}/resume."""
    job = await request.config_dict[SWITCH_JOBS].resume(actor(request), uuid_of(request))
    return reply(request, "Switch job resumed", await _shown(request, job))


@operation(summary="Cancel a switch job", tag="Switch jobs", data=SwitchJobOut(), errors=(409,))
async def cancel(request: web.Request) -> web.Response:
    """POST /switch-jobs/{uuid}/cancel."""
    job = await request.config_dict[SWITCH_JOBS].cancel(actor(request), uuid_of(request))
    return reply(request, "Switch job cancelled", await _shown(request, job))


async def _shown(request: web.Request, job: SwitchJob) -> dict[str, Any]:
    return _dumped(job, await database(request).read(jobs.counts, [job.uuid]))


def _dumped(job: SwitchJob, counts: Mapping[str, Mapping[str, int]]) -> dict[str, Any]:
    return {**_JOB.dump(job), "counts": dict(counts.get(job.uuid, {}))}


def _dumped_row(job: SwitchJob, row: JobRow) -> dict[str, Any]:
    place = {"wave": job.pace.wave_of(row.number), "input": dict(zip(job.columns, row.cells, strict=True))}
    return {**_ROW.dump(row), **place}


def _results(row: JobRow) -> Iterator[str | None]:
    """Yield the values of the columns :data:`RESULTS`."""
    yield row.deployment
    yield row.state
    yield row_restart(row)
    yield None if row.notice is None else render(row.notice)


def _prefers_csv(request: web.Request) -> bool:
    """Return whether the client accepts CSV but not JSON. Quality values are ignored."""
    accepted = ",".join(request.headers.getall(hdrs.ACCEPT, ())).lower()
    return CSV in accepted and JSON not in accepted


async def _table(request: web.Request, job: SwitchJob, state: str | None) -> web.StreamResponse:
    """Return the input with the result columns as CSV."""
    input_places = [place for place, name in enumerate(job.columns) if name not in RESULTS]
    response = web.StreamResponse(
        headers={
            hdrs.CONTENT_TYPE: f"{CSV}; charset=utf-8; header=present",
            hdrs.CONTENT_DISPOSITION: f'attachment; filename="switch-job-{job.uuid}.csv"',
            hdrs.CACHE_CONTROL: "no-store",
            "X-Content-Type-Options": "nosniff",
        }
    )
    await response.prepare(request)
    if request.method == hdrs.METH_HEAD:
        return response
    await response.write(csv_table.write([[*(job.columns[place] for place in input_places), *RESULTS]], job.delimiter))
    last = 0
    while rows := await database(request).read(jobs.rows_after, job.uuid, last, TABLE_ROWS, state):
        last = rows[-1].number
        lines = [[*(row.cells[place] for place in input_places), *_results(row)] for row in rows]
        await response.write(csv_table.write(lines, job.delimiter))
    return response
