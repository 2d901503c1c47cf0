"""Handlers of access permissions and alarms."""

from aiohttp import web

from cisisk.api.context import ACCESS, actor, mac_of
from cisisk.api.envelope import reply, reply_list
from cisisk.api.openapi import operation
from cisisk.api.schemas.access import AccessAlarmOut, AllowedFetchOut
from cisisk.model.listing import Listing

_ALARM, _ALLOWED = AccessAlarmOut(), AllowedFetchOut()


@operation(summary="Allow the next fetch of a phone from any address", tag="Phones", data=AllowedFetchOut())
async def allow_fetch(request: web.Request) -> web.Response:
    """POST /phones/{mac}/allow-fetch."""
    mac = mac_of(request)
    until = await request.config_dict[ACCESS].allow_next(actor(request), mac)
    return reply(request, "The next fetch is allowed from any address", _ALLOWED.dump({"mac": mac, "until": until}))


@operation(summary="List access alarms", tag="Phones", data=AccessAlarmOut(many=True))
async def find_alarms(request: web.Request) -> web.Response:
    """GET /access-alarms: the alarms since the start, the newest first."""
    data = _ALARM.dump(request.config_dict[ACCESS].alarms, many=True)
    return reply_list(request, f"{len(data)} alarm(s) found", data, total=len(data), listing=Listing())
