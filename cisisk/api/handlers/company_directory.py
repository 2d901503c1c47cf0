"""Handlers of the company directory. Phones show it without login, so every user may read it."""

from aiohttp import web

from cisisk.api.context import actor, database, seen_versions, uuid_of
from cisisk.api.envelope import reply, reply_page
from cisisk.api.openapi import QUERY, Access, body_of, operation
from cisisk.api.schemas.contact import CompanyContactIn, CompanyContactOut
from cisisk.api.schemas.listing import ListQuery
from cisisk.model.listing import Listing
from cisisk.store import contacts

_CONTACT, _TAG = CompanyContactOut(), "Company directory"


@operation(
    summary="List company contacts",
    tag=_TAG,
    query=ListQuery(),
    data=CompanyContactOut(many=True),
    access=Access.KNOWN,
)
async def find(request: web.Request) -> web.Response:
    """GET /company-directory."""
    return await _list(request)


@operation(
    summary="List company contacts as shown on phones",
    tag="Me",
    query=ListQuery(),
    data=CompanyContactOut(many=True),
    access=Access.USER,
)
async def find_for_me(request: web.Request) -> web.Response:
    """GET /me/cisco-services/company."""
    return await _list(request)


async def _list(request: web.Request) -> web.Response:
    listing = Listing(**request[QUERY])
    page = await database(request).read(contacts.page_of_company, listing)
    return reply_page(request, "company contact(s) found", _CONTACT, page, listing)


@operation(summary="Show a company contact", tag=_TAG, data=CompanyContactOut(), access=Access.KNOWN, etag=True)
async def show(request: web.Request) -> web.Response:
    """GET /company-directory/{uuid}."""
    contact = await database(request).read(contacts.get_company, uuid_of(request))
    return reply(request, "Company contact found", _CONTACT.dump(contact), version_of=contact)


@operation(
    summary="Add a company contact",
    tag=_TAG,
    body=CompanyContactIn(),
    data=CompanyContactOut(),
    status=201,
    etag=True,
)
async def create(request: web.Request) -> web.Response:
    """POST /company-directory."""
    contact = await database(request).write(contacts.create_company, actor(request), body_of(request))
    return reply(request, "Company contact created", _CONTACT.dump(contact), status=201, version_of=contact)


@operation(
    summary="Change a company contact",
    tag=_TAG,
    body=CompanyContactIn(partial=True),
    data=CompanyContactOut(),
    etag=True,
)
async def update(request: web.Request) -> web.Response:
    """PUT /company-directory/{uuid}."""
    contact = await database(request).write(
        contacts.update_company, actor(request), uuid_of(request), body_of(request), seen_versions(request)
    )
    return reply(request, "Company contact updated", _CONTACT.dump(contact), version_of=contact)


@operation(summary="Delete a company contact", tag=_TAG, etag=True)
async def delete(request: web.Request) -> web.Response:
    """DELETE /company-directory/{uuid}."""
    await database(request).write(contacts.delete_company, actor(request), uuid_of(request), seen_versions(request))
    return reply(request, "Company contact deleted")
