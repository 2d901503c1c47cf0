"""Handlers of permissions and their assignment to users."""

from aiohttp import web

from cisisk.api.context import actor, database, seen_versions, uuid_of
from cisisk.api.envelope import reply, reply_page
from cisisk.api.openapi import QUERY, body_of, operation
from cisisk.api.schemas.listing import ListQuery
from cisisk.api.schemas.user import PermissionIn, PermissionOut, UserPermissionIn, UserPermissionOut
from cisisk.model.listing import Listing
from cisisk.store import permissions

_PERMISSION, _HELD = PermissionOut(), UserPermissionOut()


@operation(summary="List permissions", tag="Permissions", query=ListQuery(), data=PermissionOut(many=True))
async def find(request: web.Request) -> web.Response:
    """GET /permissions."""
    listing = Listing(**request[QUERY])
    page = await database(request).read(permissions.page, listing)
    return reply_page(request, "permission(s) found", _PERMISSION, page, listing)


@operation(summary="Show a permission", tag="Permissions", data=PermissionOut(), etag=True)
async def show(request: web.Request) -> web.Response:
    """GET /permissions/{uuid}."""
    permission = await database(request).read(permissions.get, uuid_of(request))
    return reply(request, "Permission found", _PERMISSION.dump(permission), version_of=permission)


@operation(
    summary="Create a permission",
    tag="Permissions",
    body=PermissionIn(),
    data=PermissionOut(),
    status=201,
    errors=(409,),
    etag=True,
)
async def create(request: web.Request) -> web.Response:
    """POST /permissions."""
    permission = await database(request).write(permissions.create, actor(request), body_of(request))
    return reply(request, "Permission created", _PERMISSION.dump(permission), status=201, version_of=permission)


@operation(
    summary="Change a permission",
    tag="Permissions",
    body=PermissionIn(partial=True),
    data=PermissionOut(),
    errors=(409,),
    etag=True,
)
async def update(request: web.Request) -> web.Response:
    """PUT /permissions/{uuid}."""
    permission = await database(request).write(
        permissions.update, actor(request), uuid_of(request), body_of(request), seen_versions(request)
    )
    return reply(request, "Permission updated", _PERMISSION.dump(permission), version_of=permission)


@operation(summary="Delete an unassigned permission", tag="Permissions", errors=(409,), etag=True)
async def delete(request: web.Request) -> web.Response:
    """DELETE /permissions/{uuid}."""
    await database(request).write(permissions.delete, actor(request), uuid_of(request), seen_versions(request))
    return reply(request, "Permission deleted")


@operation(
    summary="Assign a permission to a user",
    tag="User permissions",
    body=UserPermissionIn(),
    data=UserPermissionOut(),
    status=201,
    errors=(409,),
    etag=True,
)
async def give(request: web.Request) -> web.Response:
    """POST /user-perms."""
    body = body_of(request)
    held = await database(request).write(permissions.give, actor(request), body["user_uuid"], body["perm_uuid"])
    return reply(request, "User permission created", _HELD.dump(held), status=201, version_of=held)


@operation(summary="Show the permission of a user", tag="User permissions", data=UserPermissionOut(), etag=True)
async def show_held(request: web.Request) -> web.Response:
    """GET /user-perms/{userUuid}."""
    held = await database(request).read(permissions.held_by, uuid_of(request, "userUuid"))
    return reply(request, "User permission found", _HELD.dump(held), version_of=held)


@operation(summary="Remove the permission of a user", tag="User permissions", errors=(409,), etag=True)
async def take(request: web.Request) -> web.Response:
    """DELETE /user-perms/{userUuid}."""
    await database(request).write(
        permissions.take, actor(request), uuid_of(request, "userUuid"), seen_versions(request)
    )
    return reply(request, "User permission deleted")
