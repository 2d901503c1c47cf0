"""What a phone asks at its authenticationURL before it executes a command.

Source: docs/phone-protocol/restart.md#authentication-url
"""

from aiohttp import web

from cisisk.restart.execute import PhoneCommands

PATH = "/cisco/authentication"
"""Goes into the ``authenticationURL`` of profiles: ``http://<this Cisisk>:8080/cisco/authentication``."""

YES, NO = "AUTHORIZED", "UN-AUTHORIZED"
"""A phone takes exactly the first for a yes, without a line end; the second is what Cisco's documents call a no."""


def routes(commands: PhoneCommands) -> list[web.RouteDef]:
    """The page that vouches for the calls of ``commands``."""

    async def authenticate(request: web.Request) -> web.Response:
        # Some firmware writes the names in other letters.
        asked = {name.casefold(): value for name, value in request.query.items()}
        who = asked.get("userid", ""), asked.get("password", ""), asked.get("devicename", "")
        known = commands.authorise(request.remote or "", *who)
        return web.Response(text=YES if known else NO, headers={"Cache-Control": "no-store"})

    return [web.get(PATH, authenticate, allow_head=False)]
