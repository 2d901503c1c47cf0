"""The authenticationURL: a phone asks there whether it may execute a command.

Source: docs/phone-protocol/restart.md#authentication-url
"""

from aiohttp import web

from cisisk.restart.execute import PhoneCommands

PATH = "/cisco/authentication"
"""The path in the ``authenticationURL`` of profiles: ``http://<this Cisisk>:8080/cisco/authentication``."""

YES, NO = "AUTHORIZED", "UN-AUTHORIZED"
"""A phone accepts exactly the first text, without a line end. Cisco's documents use the second as the refusal."""


def routes(commands: PhoneCommands) -> list[web.RouteDef]:
    """Return the route that confirms the calls of ``commands``."""

    async def authenticate(request: web.Request) -> web.Response:
        # Some firmware uses another case in the names.
        fields = {name.casefold(): value for name, value in request.query.items()}
        who = fields.get("userid", ""), fields.get("password", ""), fields.get("devicename", "")
        known = commands.authorise(request.remote or "", *who)
        return web.Response(text=YES if known else NO, headers={"Cache-Control": "no-store"})

    return [web.get(PATH, authenticate, allow_head=False)]
