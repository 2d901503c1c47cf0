"""Handlers of users and of the authenticated user."""

from aiohttp import web

from cisisk.api.context import ACCOUNTS, PHONE_LOGINS, USER, actor, database, seen_versions, uuid_of
from cisisk.api.envelope import reply, reply_page
from cisisk.api.openapi import QUERY, Access, body_of, operation
from cisisk.api.schemas.listing import ListQuery
from cisisk.api.schemas.phone import PhoneOut
from cisisk.api.schemas.phone_login import PhoneLoginOut
from cisisk.api.schemas.user import CiscoUserOut, HeldPermissionOut, MeOut, UserIn, UserOut
from cisisk.model.listing import Listing
from cisisk.store import phones, pins, users

_USER, _PHONE = UserOut(), PhoneOut()


@operation(summary="List users", tag="Users", query=ListQuery(), data=UserOut(many=True))
async def find(request: web.Request) -> web.Response:
    """GET /users."""
    listing = Listing(**request[QUERY])
    page = await database(request).read(users.page, listing)
    return reply_page(request, "user(s) found", _USER, page, listing)


@operation(summary="Show a user", tag="Users", data=UserOut(), etag=True)
async def show(request: web.Request) -> web.Response:
    """GET /users/{uuid}."""
    user = await database(request).read(users.get, uuid_of(request))
    return reply(request, "User found", _USER.dump(user), version_of=user)


@operation(summary="Create a user", tag="Users", body=UserIn(), data=UserOut(), status=201, errors=(409,), etag=True)
async def create(request: web.Request) -> web.Response:
    """POST /users."""
    user = await request.config_dict[ACCOUNTS].create(actor(request), body_of(request))
    return reply(request, "User created", _USER.dump(user), status=201, version_of=user)


@operation(summary="Change a user", tag="Users", body=UserIn(partial=True), data=UserOut(), errors=(409,), etag=True)
async def update(request: web.Request) -> web.Response:
    """PUT /users/{uuid}."""
    accounts = request.config_dict[ACCOUNTS]
    user = await accounts.update(actor(request), uuid_of(request), body_of(request), seen_versions(request))
    return reply(request, "User updated", _USER.dump(user), version_of=user)


@operation(summary="Delete a user", tag="Users", errors=(409,), etag=True)
async def delete(request: web.Request) -> web.Response:
    """DELETE /users/{uuid}."""
    await database(request).write(users.delete, actor(request), uuid_of(request), seen_versions(request))
    return reply(request, "User deleted")


@operation(summary="Show the authenticated user", tag="Me", data=MeOut(), access=Access.USER)
async def me(request: web.Request) -> web.Response:
    """GET /me."""
    user = request[USER]
    pin = await database(request).read(pins.find, user.uuid)
    data = {
        **_USER.dump(user),
        "permission": HeldPermissionOut().dump(user) if user.level is not None else None,
        "cisco_user": CiscoUserOut().dump(pin) if pin else None,
        "logins": PhoneLoginOut().dump(await request.config_dict[PHONE_LOGINS].where(user.uuid), many=True),
    }
    return reply(request, "Authenticated user", data)


@operation(
    summary="List the phones with profiles of the authenticated user",
    tag="Me",
    query=ListQuery(),
    data=PhoneOut(many=True),
    access=Access.USER,
)
async def my_phones(request: web.Request) -> web.Response:
    """GET /me/phones."""
    listing = Listing(**request[QUERY])
    page = await database(request).read(phones.page_of_user, listing, request[USER].uuid)
    return reply_page(request, "phone(s) found", _PHONE, page, listing)
