"""Phone profiles, and switching phones to them."""

import hashlib
from dataclasses import asdict
from typing import Any

from aiohttp import web
from marshmallow import Schema

from cisisk.api.context import LOADS, PROFILES, SWITCHER, actor, database, seen_versions, uuid_of
from cisisk.api.envelope import reply, reply_list
from cisisk.api.openapi import QUERY, body_of, operation
from cisisk.api.schemas.listing import ListQuery
from cisisk.api.schemas.phone import (
    DeploymentOut,
    JudgedProfileOut,
    ProfileIn,
    ProfileOut,
    SwitchIn,
    SwitchOut,
    SwitchQuery,
    WarningOut,
)
from cisisk.mobility.profiles import JudgedProfile
from cisisk.mobility.switch import Preview
from cisisk.model.deployment import Deployment
from cisisk.store import deployments, profiles, users
from cisisk.store.listing import Listing

_PROFILE, _WARNINGS = ProfileOut(), WarningOut(many=True)
_DEPLOYMENT, _SWITCH = DeploymentOut(), SwitchOut()
_DRY_RUN = "This was a dry run"
"""In place of what became of the restart."""


def _data(judged: JudgedProfile) -> dict[str, Any]:
    return {**_PROFILE.dump(judged.profile), "warnings": _WARNINGS.dump(judged.findings)}


@operation(summary="List phone profiles", tag="Phone profiles", query=ListQuery(), data=ProfileOut(many=True))
async def find(request: web.Request) -> web.Response:
    """GET /phone-profiles."""
    return await _list(request, None)


@operation(summary="List a user's phone profiles", tag="Phone profiles", query=ListQuery(), data=ProfileOut(many=True))
async def find_of_user(request: web.Request) -> web.Response:
    """GET /phone-profiles/user/{userUuid}."""
    user = await users.get(database(request), uuid_of(request, "userUuid"))
    return await _list(request, user.uuid)


async def _list(request: web.Request, user_uuid: str | None) -> web.Response:
    listing = Listing(**request[QUERY])
    page = await profiles.page(database(request), listing, user_uuid)
    data = _PROFILE.dump(page.items, many=True)
    return reply_list(request, f"{len(data)} profile(s) found", data, total=page.total, listing=listing)


@operation(summary="Show a phone profile", tag="Phone profiles", data=JudgedProfileOut(), etag=True)
async def show(request: web.Request) -> web.Response:
    """GET /phone-profiles/{uuid}."""
    judged = await request.config_dict[PROFILES].get(uuid_of(request))
    return reply(request, "Profile found", _data(judged), version_of=judged.profile)


@operation(
    summary="Create a phone profile",
    tag="Phone profiles",
    body=ProfileIn(),
    data=JudgedProfileOut(),
    status=201,
    etag=True,
)
async def create(request: web.Request) -> web.Response:
    """POST /phone-profiles."""
    judged = await request.config_dict[PROFILES].create(actor(request), body_of(request))
    return reply(request, "Profile created", _data(judged), status=201, version_of=judged.profile)


@operation(
    summary="Change a phone profile",
    tag="Phone profiles",
    body=ProfileIn(partial=True),
    data=JudgedProfileOut(),
    etag=True,
)
async def update(request: web.Request) -> web.Response:
    """PUT /phone-profiles/{uuid}."""
    judged = await request.config_dict[PROFILES].update(
        actor(request), uuid_of(request), body_of(request), seen_versions(request)
    )
    return reply(request, "Profile updated", _data(judged), version_of=judged.profile)


@operation(summary="Delete a phone profile", tag="Phone profiles", etag=True)
async def delete(request: web.Request) -> web.Response:
    """DELETE /phone-profiles/{uuid}."""
    await profiles.delete(database(request), actor(request), uuid_of(request), seen_versions(request))
    return reply(request, "Profile deleted")


@operation(
    summary="Switch a phone to a profile",
    tag="Phone profiles",
    body=SwitchIn(),
    query=SwitchQuery(),
    data=SwitchOut(),
    errors=(404, 409),
)
async def switch(request: web.Request) -> web.Response:
    """POST /phone-profiles/switch."""
    body, switcher = body_of(request), request.config_dict[SWITCHER]
    if request[QUERY]["dry_run"]:
        preview = await switcher.preview(body["profile_uuid"], body["mac"])
        return reply(request, "Nothing was switched", await _previewed(request, preview))
    deployment = await switcher.switch(actor(request), body["profile_uuid"], body["mac"])
    return reply(request, "Profile switched", await _with_warnings(request, _SWITCH, deployment))


async def _previewed(request: web.Request, preview: Preview) -> dict[str, Any]:
    findings = await request.config_dict[LOADS].findings_in(preview.content)
    told = {
        "profile_name": preview.profile.name,
        "mac": preview.mac,
        "restart": _DRY_RUN,
        "uuid": None,
        "sha256": hashlib.sha256(preview.content).hexdigest(),
        "warnings": findings,
        "preview": {**asdict(preview.diff), "methods": preview.methods, "in_the_way": preview.in_the_way},
    }
    return dict(_SWITCH.dump(told))


@operation(summary="Show what became of a switch", tag="Deployments", data=DeploymentOut())
async def show_deployment(request: web.Request) -> web.Response:
    """GET /deployments/{uuid}."""
    deployment = await deployments.get(database(request), uuid_of(request))
    return reply(request, "Deployment found", await _with_warnings(request, _DEPLOYMENT, deployment))


async def _with_warnings(request: web.Request, schema: Schema, deployment: Deployment) -> dict[str, Any]:
    findings = await request.config_dict[LOADS].findings_of(deployment)
    return {**schema.dump(deployment), "warnings": _WARNINGS.dump(findings)}
