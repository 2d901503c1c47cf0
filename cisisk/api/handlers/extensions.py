"""Handlers of extensions and their users. Secrets are never returned."""

from aiohttp import web

from cisisk.api.context import actor, database, seen_versions, uuid_of
from cisisk.api.envelope import reply, reply_page
from cisisk.api.openapi import QUERY, body_of, operation
from cisisk.api.schemas.extension import ExtensionIn, ExtensionOut, UserExtensionIn, UserExtensionOut
from cisisk.api.schemas.listing import ListQuery
from cisisk.model.listing import Listing
from cisisk.store import extensions, users

_EXTENSION, _LINK = ExtensionOut(), UserExtensionOut()
_TAG, _LINK_TAG = "Extensions", "User extensions"


@operation(summary="List extensions", tag=_TAG, query=ListQuery(), data=ExtensionOut(many=True))
async def find(request: web.Request) -> web.Response:
    """GET /extensions."""
    listing = Listing(**request[QUERY])
    page = await database(request).read(extensions.page, listing)
    return reply_page(request, "extension(s) found", _EXTENSION, page, listing)


@operation(summary="Show an extension", tag=_TAG, data=ExtensionOut(), etag=True)
async def show(request: web.Request) -> web.Response:
    """GET /extensions/{uuid}."""
    extension = await database(request).read(extensions.get, uuid_of(request))
    return reply(request, "Extension found", _EXTENSION.dump(extension), version_of=extension)


@operation(
    summary="Add an extension",
    tag=_TAG,
    body=ExtensionIn(),
    data=ExtensionOut(),
    status=201,
    errors=(409,),
    etag=True,
)
async def create(request: web.Request) -> web.Response:
    """POST /extensions."""
    extension = await database(request).write(extensions.create, actor(request), body_of(request))
    return reply(request, "Extension created", _EXTENSION.dump(extension), status=201, version_of=extension)


@operation(
    summary="Change an extension",
    tag=_TAG,
    body=ExtensionIn(partial=True),
    data=ExtensionOut(),
    errors=(409,),
    etag=True,
)
async def update(request: web.Request) -> web.Response:
    """PUT /extensions/{uuid}."""
    extension = await database(request).write(
        extensions.update, actor(request), uuid_of(request), body_of(request), seen_versions(request)
    )
    return reply(request, "Extension updated", _EXTENSION.dump(extension), version_of=extension)


@operation(summary="Delete an extension", tag=_TAG, etag=True)
async def delete(request: web.Request) -> web.Response:
    """DELETE /extensions/{uuid}."""
    await database(request).write(extensions.delete, actor(request), uuid_of(request), seen_versions(request))
    return reply(request, "Extension deleted")


@operation(
    summary="List the users of all extensions",
    tag=_LINK_TAG,
    query=ListQuery(),
    data=UserExtensionOut(many=True),
)
async def find_links(request: web.Request) -> web.Response:
    """GET /user-extensions."""
    listing = Listing(**request[QUERY])
    page = await database(request).read(extensions.page_of_links, listing)
    return reply_page(request, "link(s) found", _LINK, page, listing)


@operation(summary="List a user's extensions", tag=_LINK_TAG, query=ListQuery(), data=UserExtensionOut(many=True))
async def find_of_user(request: web.Request) -> web.Response:
    """GET /user-extensions/by-user/{userUuid}."""
    user = await database(request).read(users.get, uuid_of(request, "userUuid"))
    listing = Listing(**request[QUERY])
    page = await database(request).read(extensions.page_of_user, listing, user.uuid)
    return reply_page(request, "extension(s) linked to user", _LINK, page, listing)


@operation(summary="List the users of an extension", tag=_LINK_TAG, query=ListQuery(), data=UserExtensionOut(many=True))
async def find_of_extension(request: web.Request) -> web.Response:
    """GET /user-extensions/by-extension/{extUuid}."""
    extension = await database(request).read(extensions.get, uuid_of(request, "extUuid"))
    listing = Listing(**request[QUERY])
    page = await database(request).read(extensions.page_of_extension, listing, extension.uuid)
    return reply_page(request, "user(s) linked to extension", _LINK, page, listing)


@operation(summary="Show a link between a user and an extension", tag=_LINK_TAG, data=UserExtensionOut(), etag=True)
async def show_link(request: web.Request) -> web.Response:
    """GET /user-extensions/{uuid}."""
    found = await database(request).read(extensions.get_link, uuid_of(request))
    return reply(request, "Link found", _LINK.dump(found), version_of=found)


@operation(
    summary="Link an extension to a user",
    tag=_LINK_TAG,
    body=UserExtensionIn(),
    data=UserExtensionOut(),
    status=201,
    errors=(409,),
    etag=True,
)
async def link(request: web.Request) -> web.Response:
    """POST /user-extensions."""
    body = body_of(request)
    made = await database(request).write(extensions.link, actor(request), body["user_uuid"], body["extension_uuid"])
    return reply(request, "User linked to extension", _LINK.dump(made), status=201, version_of=made)


@operation(summary="Delete a link between a user and an extension", tag=_LINK_TAG, etag=True)
async def unlink(request: web.Request) -> web.Response:
    """DELETE /user-extensions/{uuid}."""
    await database(request).write(extensions.unlink, actor(request), uuid_of(request), seen_versions(request))
    return reply(request, "Link deleted")
