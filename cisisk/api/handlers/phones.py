"""Handlers of phones, their software and their served configs."""

import asyncio

from aiohttp import web

from cisisk.api.context import LIBRARY, actor, database, mac_of, seen_versions
from cisisk.api.envelope import reply, reply_page
from cisisk.api.openapi import QUERY, body_of, operation
from cisisk.api.schemas.listing import ListQuery
from cisisk.api.schemas.phone import CiscoPhoneIn, CiscoPhoneOut, PhoneIn, PhoneOut
from cisisk.model.content_type import ContentType, content_type_of
from cisisk.model.errors import Invalid, NotFound
from cisisk.model.listing import Listing
from cisisk.store import phones

_PHONE, _CISCO_PHONE = PhoneOut(), CiscoPhoneOut()


@operation(summary="List phones", tag="Phones", query=ListQuery(), data=PhoneOut(many=True))
async def find(request: web.Request) -> web.Response:
    """GET /phones."""
    listing = Listing(**request[QUERY])
    page = await database(request).read(phones.page, listing)
    return reply_page(request, "phone(s) found", _PHONE, page, listing)


@operation(summary="Show a phone", tag="Phones", data=PhoneOut(), etag=True)
async def show(request: web.Request) -> web.Response:
    """GET /phones/{mac}."""
    phone = await database(request).read(phones.get, mac_of(request))
    return reply(request, "Phone found", _PHONE.dump(phone), version_of=phone)


@operation(summary="Add a phone", tag="Phones", body=PhoneIn(), data=PhoneOut(), status=201, errors=(409,), etag=True)
async def create(request: web.Request) -> web.Response:
    """POST /phones."""
    columns = dict(body_of(request))
    phone = await database(request).write(phones.create, actor(request), columns.pop("mac"), columns)
    return reply(request, "Phone created", _PHONE.dump(phone), status=201, version_of=phone)


@operation(
    summary="Change a phone",
    tag="Phones",
    body=PhoneIn(partial=True),
    data=PhoneOut(),
    etag=True,
)
async def update(request: web.Request) -> web.Response:
    """PUT /phones/{mac}."""
    columns, mac = dict(body_of(request)), mac_of(request)
    if columns.pop("mac", mac) != mac:
        raise Invalid.field("mac", "The MAC address of a phone cannot change. Add another phone, then delete this one")
    phone = await database(request).write(phones.update, actor(request), mac, columns, seen_versions(request))
    return reply(request, "Phone updated", _PHONE.dump(phone), version_of=phone)


@operation(summary="Delete a phone", tag="Phones", etag=True)
async def delete(request: web.Request) -> web.Response:
    """DELETE /phones/{mac}."""
    await database(request).write(phones.delete, actor(request), mac_of(request), seen_versions(request))
    return reply(request, "Phone deleted")


@operation(summary="List the software of phones", tag="Cisco phones", query=ListQuery(), data=CiscoPhoneOut(many=True))
async def find_cisco(request: web.Request) -> web.Response:
    """GET /cisco-phones."""
    listing = Listing(**request[QUERY])
    page = await database(request).read(phones.page_of_cisco_phones, listing)
    return reply_page(request, "cisco phone(s) found", _CISCO_PHONE, page, listing)


@operation(summary="Show the software of a phone", tag="Cisco phones", data=CiscoPhoneOut(), etag=True)
async def show_cisco(request: web.Request) -> web.Response:
    """GET /cisco-phones/{mac}."""
    phone = await database(request).read(phones.get_cisco_phone, mac_of(request))
    return reply(request, "Cisco phone found", _CISCO_PHONE.dump(phone), version_of=phone)


@operation(summary="Set a phone's software", tag="Cisco phones", body=CiscoPhoneIn(), data=CiscoPhoneOut(), etag=True)
async def put_cisco(request: web.Request) -> web.Response:
    """PUT /cisco-phones/{mac}."""
    phone = await database(request).write(
        phones.put_cisco_phone, actor(request), mac_of(request), body_of(request)["software"], seen_versions(request)
    )
    return reply(request, "Cisco phone updated", _CISCO_PHONE.dump(phone), version_of=phone)


@operation(summary="Delete the software and current profile of a phone", tag="Cisco phones", etag=True)
async def delete_cisco(request: web.Request) -> web.Response:
    """DELETE /cisco-phones/{mac}."""
    await database(request).write(phones.delete_cisco_phone, actor(request), mac_of(request), seen_versions(request))
    return reply(request, "Cisco phone deleted")


@operation(summary="Show the served config of a phone", tag="Phone config", content_type="application/xml", etag=True)
async def config(request: web.Request) -> web.Response:
    """GET /phone-config/{mac}."""
    phone = await database(request).read(phones.get, mac_of(request))
    served = await asyncio.to_thread(request.config_dict[LIBRARY].current_config, phone.mac)
    if served is None:
        raise NotFound(f"{phone.mac.config_name} is not in the served directory")
    response = web.Response(
        body=served.content,
        content_type="text/plain" if content_type_of(served.content) is ContentType.CNF else "application/xml",
        headers={"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"},
    )
    response.etag = served.sha256
    return response
