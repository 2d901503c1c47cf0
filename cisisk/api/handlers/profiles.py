"""Handlers of phone profiles."""

from typing import Any

from aiohttp import web

from cisisk.api.context import PROFILES, actor, database, seen_versions, uuid_of
from cisisk.api.envelope import reply, reply_page
from cisisk.api.openapi import QUERY, body_of, operation
from cisisk.api.schemas.listing import ListQuery
from cisisk.api.schemas.phone import (
    JudgedProfileOut,
    ProfileIn,
    ProfileOut,
    WarningOut,
)
from cisisk.mobility.profiles import JudgedProfile
from cisisk.model.listing import Listing
from cisisk.store import profiles, users

_PROFILE, _WARNINGS = ProfileOut(), WarningOut(many=True)


def _data(judged: JudgedProfile) -> dict[str, Any]:
    return {**_PROFILE.dump(judged.profile), "warnings": _WARNINGS.dump(judged.findings)}


@operation(summary="List phone profiles", tag="Phone profiles", query=ListQuery(), data=ProfileOut(many=True))
async def find(request: web.Request) -> web.Response:
    """GET /phone-profiles."""
    return await _list(request, None)


@operation(summary="List a user's phone profiles", tag="Phone profiles", query=ListQuery(), data=ProfileOut(many=True))
async def find_of_user(request: web.Request) -> web.Response:
    """GET /phone-profiles/user/{userUuid}."""
    user = await database(request).read(users.get, uuid_of(request, "userUuid"))
    return await _list(request, user.uuid)


async def _list(request: web.Request, user_uuid: str | None) -> web.Response:
    listing = Listing(**request[QUERY])
    page = await database(request).read(profiles.page, listing, user_uuid)
    return reply_page(request, "profile(s) found", _PROFILE, page, listing)


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
    await database(request).write(profiles.delete, actor(request), uuid_of(request), seen_versions(request))
    return reply(request, "Profile deleted")
