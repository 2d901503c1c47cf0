"""Permissions of every operation, driven by the table of routes, so that new routes are included."""

import pytest
from aiohttp import web

from cisisk.api.routes import ROUTES
from tests.api.client import MAC, UNKNOWN, Client, Site, check_error, user

pytestmark = pytest.mark.asyncio(loop_scope="module")

PUBLIC = {
    ("GET", "/health"),
    ("GET", "/hello"),
    ("GET", "/openapi.json"),
    ("POST", "/auth/login"),
    ("POST", "/auth/refresh"),
}
OWN = {
    *(("GET", "/me"), ("GET", "/me/phones"), ("GET", "/me/logins"), ("POST", "/auth/logout")),
    *(("GET", "/me/cisco-services/personal"), ("GET", "/me/cisco-services/company")),
}
COMPANY = {("GET", "/company-directory"), ("GET", "/company-directory/{uuid}")}
"""Open to every user: phones show this directory to all users."""
PERSONAL = {("GET", "/personal-directory/{userUuid}"), ("POST", "/personal-directory/{userUuid}")}
"""Open to the named user; other users need permission level 0."""
CONTACT = {(method, "/personal-directory/contact/{uuid}") for method in ("GET", "PUT", "DELETE")}
"""Open to the owner; other users get 404."""
REGISTER = ("POST", "/auth/register")
"""Public, or for superadmins only, depending on ``auth.public_register``."""


def operations() -> list[tuple[str, str]]:
    """Return method and path of every route, without regular expressions in paths."""
    return [(route.method, web.DynamicResource(route.path).canonical) for route in ROUTES]


MANAGEMENT = [each for each in operations() if each not in PUBLIC | OWN | COMPANY | CONTACT]


@pytest.fixture
def site(shared_site: Site) -> Site:
    return shared_site


def filled_in(path: str) -> str:
    """Return the path with values for its parameters."""
    path = path.replace("{mac}", MAC).replace("{uuid}", UNKNOWN).replace("{userUuid}", UNKNOWN)
    return path.replace("{extUuid}", UNKNOWN).replace("{before}", "1").replace("{after}", "2")


async def ask(client: Client, method: str, path: str) -> tuple[str, str, int]:
    """Send an invalid body, so that an authorized request changes nothing and opens no stream."""
    body = ["nothing"] if method in ("POST", "PUT") else None
    answer = await client.request(method, filled_in(path), body, Last_Event_ID="nothing")
    return method, path, answer.status


async def test_operations_open_to_users_are_routes() -> None:
    assert set(operations()) > PUBLIC | OWN | COMPANY | CONTACT | PERSONAL | {REGISTER}
    assert len(MANAGEMENT) > 50


async def test_operation_without_token_is_401_unless_public(site: Site) -> None:
    for method, path in operations():
        if (method, path) in PUBLIC:
            continue
        answer = await site.anonymous.request(method, filled_in(path))
        assert (method, path, answer.status) == (method, path, 401)
        check_error(answer, 401)
        assert answer.headers["WWW-Authenticate"] == "Bearer"


async def test_public_operation_ignores_token(site: Site) -> None:
    for method, path in PUBLIC:
        for client in (site.anonymous, site.anonymous.with_token("nonsense"), site.admin):
            assert (await ask(client, method, path))[2] == (200 if method == "GET" else 422)


@pytest.mark.parametrize("level", [1, 5, None])
async def test_management_operation_without_level_0_is_403(site: Site, level: int | None) -> None:
    if level is None:
        await site.admin.new_user("unprivileged")
        clerk = await site.anonymous.login("unprivileged")
    else:
        clerk = await site.clerk(level)
    assert [await ask(clerk, method, path) for method, path in MANAGEMENT] == [
        (method, path, 403) for method, path in MANAGEMENT
    ]
    for method, path in OWN | COMPANY:
        if method == "GET":
            assert (path, (await ask(clerk, method, path))[2]) == (path, 404 if "{" in path else 200)
    for method, path in CONTACT:
        assert (method, (await ask(clerk, method, path))[2]) == (method, 422 if method == "PUT" else 404)
    assert (await clerk.post("/auth/logout", {})).status == 200


async def test_superadmin_may_use_every_operation(site: Site) -> None:
    for method, path in {*MANAGEMENT, *COMPANY, *CONTACT}:
        assert (await ask(site.admin, method, path))[2] not in (401, 403)


async def test_personal_directory_is_open_to_its_user(site: Site) -> None:
    uuid, name = await site.new_clerk()
    clerk = await site.anonymous.login(name)
    for method, path in PERSONAL:
        own = path.replace("{userUuid}", uuid)
        assert (method, (await ask(clerk, method, own))[2]) == (method, 200 if method == "GET" else 422)


async def test_permission_change_applies_to_open_logins(site: Site) -> None:
    uuid, name = await site.new_clerk()
    clerk = await site.anonymous.login(name)
    assert (await clerk.get("/users")).status == 403
    superadmin = "00000000-0000-0000-0000-000000000000"
    await site.admin.post("/user-perms", {"user_uuid": uuid, "perm_uuid": superadmin})
    assert (await clerk.get("/users")).status == 200
    await site.admin.delete(f"/user-perms/{uuid}")
    assert (await clerk.get("/users")).status == 403


async def test_second_permission_of_level_0_grants_access(site: Site) -> None:
    deputy = await site.clerk(level=0)
    assert (await deputy.post("/users", user(site.name()))).status == 201
