"""Handlers of switches and deployments."""

import hashlib
from dataclasses import asdict, replace
from typing import Any

from aiohttp import web
from marshmallow import Schema

from cisisk.api.context import FEED, FINDINGS, SETTINGS, SWITCHER, actor, database, uuid_of
from cisisk.api.envelope import reply, reply_page
from cisisk.api.messages import restart_text
from cisisk.api.openapi import QUERY, body_of, operation
from cisisk.api.schemas.deployment import (
    DeploymentOut,
    DeploymentsQuery,
    DeploymentStoryOut,
    StepOut,
    SwitchIn,
    SwitchOut,
    SwitchQuery,
)
from cisisk.api.schemas.phone import WarningOut
from cisisk.mobility.switch import Preview
from cisisk.model.deployment import Deployment
from cisisk.model.listing import Listing
from cisisk.model.messages import render
from cisisk.store import deployments, steps

_DEPLOYMENT, _STORY, _STEP = DeploymentOut(), DeploymentStoryOut(), StepOut()
_SWITCH, _WARNINGS = SwitchOut(), WarningOut(many=True)
_DRY_RUN = "This was a dry run"
"""``restart`` of a dry run."""
_LIST_PARAMETERS = ("limit", "offset", "q", "sort")


@operation(
    summary="Switch a phone to a profile",
    tag="Deployments",
    body=SwitchIn(),
    query=SwitchQuery(),
    data=SwitchOut(),
    errors=(404, 409),
)
async def switch(request: web.Request) -> web.Response:
    """POST /phone-profiles/switch."""
    body, query, switcher = body_of(request), request[QUERY], request.config_dict[SWITCHER]
    if query["dry_run"]:
        preview = await switcher.preview(body["profile_uuid"], body["mac"])
        return reply(request, "Nothing was switched", await _previewed(request, preview))
    policy = replace(request.config_dict[SETTINGS].switch.policy, **body["policy"])
    deployment = await switcher.switch(actor(request), body["profile_uuid"], body["mac"], policy)
    if query["wait"]:
        deployment = await request.config_dict[FEED].ended(deployment.uuid, query["wait"])
    return reply(request, "Profile switched", await _switched(request, deployment))


async def _previewed(request: web.Request, preview: Preview) -> dict[str, Any]:
    findings = await request.config_dict[FINDINGS].of_plan(preview.content, preview.profile.uuid, preview.mac)
    data = {
        "profile_name": preview.profile.name,
        "mac": preview.mac,
        "restart": _DRY_RUN,
        "restart_outcome": None,
        "restart_detail": (),
        "uuid": None,
        "sha256": hashlib.sha256(preview.content).hexdigest(),
        "state": None,
        "ended_at": None,
        "warnings": findings,
        "preview": {
            **asdict(preview.diff),
            "methods": preview.methods,
            "in_the_way": [render(obstacle) for obstacle in preview.obstacles],
            "obstacles": preview.obstacles,
        },
    }
    return dict(_SWITCH.dump(data))


async def _switched(request: web.Request, deployment: Deployment) -> dict[str, Any]:
    return {**await _with_warnings(request, _SWITCH, deployment), "restart": restart_text(deployment)}


@operation(summary="List deployments", tag="Deployments", query=DeploymentsQuery(), data=DeploymentOut(many=True))
async def find(request: web.Request) -> web.Response:
    """GET /deployments."""
    query = request[QUERY]
    listing = Listing(**{name: query[name] for name in _LIST_PARAMETERS})
    page = await database(request).read(deployments.page, listing, query["mac"], query["state"])
    return reply_page(request, "deployment(s) found", _DEPLOYMENT, page, listing)


@operation(summary="Show a deployment", tag="Deployments", data=DeploymentStoryOut())
async def show(request: web.Request) -> web.Response:
    """GET /deployments/{uuid}."""
    deployment = await database(request).read(deployments.get, uuid_of(request))
    return reply(request, "Deployment found", await _story(request, deployment))


@operation(
    summary="Roll back a deployment",
    tag="Deployments",
    data=DeploymentStoryOut(),
    errors=(409,),
)
async def roll_back(request: web.Request) -> web.Response:
    """POST /deployments/{uuid}/rollback."""
    deployment = await request.config_dict[SWITCHER].roll_back(actor(request), uuid_of(request))
    return reply(request, "Deployment rolled back", await _story(request, deployment))


@operation(summary="Cancel a switch that has not started", tag="Deployments", data=DeploymentStoryOut(), errors=(409,))
async def cancel(request: web.Request) -> web.Response:
    """POST /deployments/{uuid}/cancel."""
    deployment = await request.config_dict[SWITCHER].cancel(actor(request), uuid_of(request))
    return reply(request, "Deployment cancelled", await _story(request, deployment))


async def _story(request: web.Request, deployment: Deployment) -> dict[str, Any]:
    story = await _with_warnings(request, _STORY, deployment)
    return {**story, "steps": _STEP.dump(await database(request).read(steps.of, deployment.uuid), many=True)}


async def _with_warnings(request: web.Request, schema: Schema, deployment: Deployment) -> dict[str, Any]:
    findings = await request.config_dict[FINDINGS].of(deployment)
    return {**schema.dump(deployment), "warnings": _WARNINGS.dump(findings)}
