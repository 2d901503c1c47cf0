"""Handlers of phone PINs. PINs and their hashes are never returned."""

from aiohttp import web

from cisisk.api.context import ACCOUNTS, actor, database, seen_versions, uuid_of
from cisisk.api.envelope import reply
from cisisk.api.openapi import body_of, operation
from cisisk.api.schemas.user import CiscoUserOut, PinIn
from cisisk.store import pins

_CISCO_USER = CiscoUserOut()


@operation(summary="Show whether a user has a PIN", tag="Cisco users", data=CiscoUserOut(), etag=True)
async def show(request: web.Request) -> web.Response:
    """GET /cisco-users/by-user/{userUuid}."""
    pin = await database(request).read(pins.get, uuid_of(request, "userUuid"))
    return reply(request, "Cisco user found", _CISCO_USER.dump(pin), version_of=pin)


@operation(summary="Set a user's PIN", tag="Cisco users", body=PinIn(), data=CiscoUserOut(), etag=True)
async def put(request: web.Request) -> web.Response:
    """PUT /cisco-users/{userUuid}."""
    accounts = request.config_dict[ACCOUNTS]
    pin = await accounts.set_pin(
        actor(request), uuid_of(request, "userUuid"), body_of(request)["pin_code"], seen_versions(request)
    )
    return reply(request, "Cisco user updated", _CISCO_USER.dump(pin), version_of=pin)


@operation(summary="Delete a user's PIN", tag="Cisco users", etag=True)
async def delete(request: web.Request) -> web.Response:
    """DELETE /cisco-users/{userUuid}."""
    await database(request).write(pins.delete, actor(request), uuid_of(request, "userUuid"), seen_versions(request))
    return reply(request, "Cisco user deleted")
