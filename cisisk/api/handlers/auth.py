"""Handlers of login, logout and registration."""

from aiohttp import web

from cisisk.api.context import ACCOUNTS, actor
from cisisk.api.envelope import reply
from cisisk.api.openapi import Access, body_of, operation
from cisisk.api.schemas.user import LoginIn, LoginOut, LogoutIn, RefreshIn, RegistrationIn, TokensOut, UserOut
from cisisk.identity.accounts import Login

_USER = UserOut()


def _tokens(login: Login) -> dict[str, str]:
    return {"accessToken": login.access_token, "refreshToken": login.refresh_token}


@operation(summary="Log in", tag="Auth", body=LoginIn(), data=LoginOut(), errors=(401, 429), access=Access.PUBLIC)
async def login(request: web.Request) -> web.Response:
    """POST /auth/login."""
    body = body_of(request)
    done = await request.config_dict[ACCOUNTS].login(body["username"], body["password"], actor(request))
    return reply(request, "Login successful", {"user": _USER.dump(done.user), **_tokens(done)})


@operation(
    summary="Exchange a refresh token",
    tag="Auth",
    body=RefreshIn(),
    data=TokensOut(),
    errors=(401,),
    access=Access.PUBLIC,
)
async def refresh(request: web.Request) -> web.Response:
    """POST /auth/refresh."""
    done = await request.config_dict[ACCOUNTS].refresh(body_of(request)["refresh_token"], actor(request))
    return reply(request, "Token refreshed", _tokens(done))


@operation(summary="Log out", tag="Auth", body=LogoutIn(), access=Access.USER)
async def logout(request: web.Request) -> web.Response:
    """POST /auth/logout."""
    await request.config_dict[ACCOUNTS].logout(actor(request), body_of(request)["refresh_token"])
    return reply(request, "Logout successful")


@operation(
    summary="Register",
    tag="Auth",
    body=RegistrationIn(),
    data=UserOut(),
    status=201,
    errors=(409,),
    access=Access.OPTIONAL,
)
async def register(request: web.Request) -> web.Response:
    """POST /auth/register: public if ``auth.public_register`` is on, otherwise for superadmins."""
    created = await request.config_dict[ACCOUNTS].create(actor(request), body_of(request), action="auth.register")
    return reply(request, "Registration successful", _USER.dump(created), status=201)
