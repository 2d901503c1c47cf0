"""Handlers of phone logins and default profiles."""

from aiohttp import web

from cisisk.api.context import PHONE_LOGINS, USER, actor, database, mac_of, seen_versions, uuid_of
from cisisk.api.envelope import reply, reply_list, reply_page
from cisisk.api.openapi import QUERY, Access, body_of, operation
from cisisk.api.schemas.phone_login import (
    DefaultProfilesIn,
    DefaultProfilesOut,
    PhoneLoginOut,
    PhoneLoginsQuery,
)
from cisisk.model.errors import NotFound
from cisisk.model.listing import Listing
from cisisk.model.phone_login import EndReason
from cisisk.store import default_profiles, users

_LOGIN, _DEFAULTS = PhoneLoginOut(), DefaultProfilesOut()
_TAG = "Logins on phones"


@operation(summary="List phone logins", tag=_TAG, query=PhoneLoginsQuery(), data=PhoneLoginOut(many=True))
async def find(request: web.Request) -> web.Response:
    """GET /phone-logins."""
    return await _list(request, None)


@operation(
    summary="List the phone logins of the authenticated user",
    tag="Me",
    query=PhoneLoginsQuery(),
    data=PhoneLoginOut(many=True),
    access=Access.USER,
)
async def find_mine(request: web.Request) -> web.Response:
    """GET /me/logins."""
    return await _list(request, request[USER].uuid)


async def _list(request: web.Request, user_uuid: str | None) -> web.Response:
    query = request[QUERY]
    listing = Listing(**{name: query[name] for name in ("limit", "offset", "q", "sort")})
    page = await request.config_dict[PHONE_LOGINS].page(listing, user_uuid=user_uuid, history=query["history"])
    return reply_page(request, "login(s) found", _LOGIN, page, listing)


@operation(summary="Log out the user of a phone", tag=_TAG, data=PhoneLoginOut())
async def log_out(request: web.Request) -> web.Response:
    """POST /phone-logins/{mac}/logout."""
    mac = mac_of(request)
    ended = await request.config_dict[PHONE_LOGINS].log_out(actor(request), mac, EndReason.ADMINISTRATOR)
    if ended is None:
        raise NotFound("No user is logged in on this phone")
    return reply(request, "Logged out", _LOGIN.dump(ended))


@operation(summary="Log a user out of all phones", tag=_TAG, data=PhoneLoginOut(many=True))
async def log_out_everywhere(request: web.Request) -> web.Response:
    """POST /users/{uuid}/logout-phones."""
    user = await database(request).read(users.get, uuid_of(request))
    ended = await request.config_dict[PHONE_LOGINS].log_out_everywhere(
        actor(request), user.uuid, EndReason.ADMINISTRATOR
    )
    data = _LOGIN.dump(ended, many=True)
    return reply_list(request, f"{len(data)} login(s) ended", data, total=len(data), listing=Listing())


@operation(summary="Show a user's default profiles", tag=_TAG, data=DefaultProfilesOut(), etag=True)
async def show_defaults(request: web.Request) -> web.Response:
    """GET /users/{uuid}/default-profiles."""
    found = await database(request).read(default_profiles.get, uuid_of(request))
    return reply(request, "Default profiles found", _DEFAULTS.dump(found), version_of=found)


@operation(
    summary="Set a user's default profiles",
    tag=_TAG,
    body=DefaultProfilesIn(),
    data=DefaultProfilesOut(),
    etag=True,
)
async def put_defaults(request: web.Request) -> web.Response:
    """PUT /users/{uuid}/default-profiles."""
    wanted = [(each["model"], each["profile_uuid"]) for each in body_of(request)["default_profiles"]]
    kept = await database(request).write(
        default_profiles.put, actor(request), uuid_of(request), wanted, seen_versions(request)
    )
    return reply(request, "Default profiles updated", _DEFAULTS.dump(kept), version_of=kept)


@operation(summary="Delete a user's default profiles", tag=_TAG, etag=True)
async def delete_defaults(request: web.Request) -> web.Response:
    """DELETE /users/{uuid}/default-profiles."""
    await database(request).write(default_profiles.put, actor(request), uuid_of(request), [], seen_versions(request))
    return reply(request, "Default profiles deleted")
