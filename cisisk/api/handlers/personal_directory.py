"""Handlers of personal directories. Users may use their own."""

from aiohttp import web

from cisisk.api.context import USER, actor, database, owner_of, seen_versions, uuid_of
from cisisk.api.envelope import reply, reply_page
from cisisk.api.openapi import QUERY, Access, body_of, operation
from cisisk.api.schemas.contact import PersonalContactIn, PersonalContactOut
from cisisk.api.schemas.listing import ListQuery
from cisisk.model.listing import Listing
from cisisk.store import contacts, users

_CONTACT, _TAG = PersonalContactOut(), "Personal directory"


@operation(
    summary="List the personal contacts of a user in the user's order",
    tag=_TAG,
    query=ListQuery(),
    data=PersonalContactOut(many=True),
    access=Access.OWN,
)
async def find(request: web.Request) -> web.Response:
    """GET /personal-directory/{userUuid}."""
    user = await database(request).read(users.get, uuid_of(request, "userUuid"))
    return await _list(request, user.uuid)


@operation(
    summary="List the personal contacts of the authenticated user",
    tag="Me",
    query=ListQuery(),
    data=PersonalContactOut(many=True),
    access=Access.USER,
)
async def find_mine(request: web.Request) -> web.Response:
    """GET /me/cisco-services/personal."""
    return await _list(request, request[USER].uuid)


async def _list(request: web.Request, user_uuid: str) -> web.Response:
    listing = Listing(**request[QUERY])
    page = await database(request).read(contacts.page_of_personal, listing, user_uuid)
    return reply_page(request, "personal contact(s) found", _CONTACT, page, listing)


@operation(summary="Show a personal contact", tag=_TAG, data=PersonalContactOut(), access=Access.OWN, etag=True)
async def show(request: web.Request) -> web.Response:
    """GET /personal-directory/contact/{uuid}."""
    contact = await database(request).read(contacts.get_personal, uuid_of(request), owner_of(request))
    return reply(request, "Personal contact found", _CONTACT.dump(contact), version_of=contact)


@operation(
    summary="Add a personal contact",
    tag=_TAG,
    body=PersonalContactIn(),
    data=PersonalContactOut(),
    status=201,
    errors=(409,),
    access=Access.OWN,
    etag=True,
)
async def create(request: web.Request) -> web.Response:
    """POST /personal-directory/{userUuid}."""
    contact = await database(request).write(
        contacts.create_personal, actor(request), uuid_of(request, "userUuid"), body_of(request)
    )
    return reply(request, "Personal contact created", _CONTACT.dump(contact), status=201, version_of=contact)


@operation(
    summary="Change a personal contact",
    tag=_TAG,
    body=PersonalContactIn(partial=True),
    data=PersonalContactOut(),
    access=Access.OWN,
    etag=True,
)
async def update(request: web.Request) -> web.Response:
    """PUT /personal-directory/contact/{uuid}."""
    contact = await database(request).write(
        contacts.update_personal,
        actor(request),
        uuid_of(request),
        body_of(request),
        seen_versions(request),
        owner_of(request),
    )
    return reply(request, "Personal contact updated", _CONTACT.dump(contact), version_of=contact)


@operation(summary="Delete a personal contact", tag=_TAG, access=Access.OWN, etag=True)
async def delete(request: web.Request) -> web.Response:
    """DELETE /personal-directory/contact/{uuid}."""
    await database(request).write(
        contacts.delete_personal, actor(request), uuid_of(request), seen_versions(request), owner_of(request)
    )
    return reply(request, "Personal contact deleted")
