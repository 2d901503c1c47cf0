"""Who may use what. Driven by the table of routes, so that a new route cannot be forgotten."""

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
ONES_OWN = {
    *(("GET", "/me"), ("GET", "/me/phones"), ("GET", "/me/logins"), ("POST", "/auth/logout")),
    *(("GET", "/me/cisco-services/personal"), ("GET", "/me/cisco-services/company")),
}
COMPANY = {("GET", "/company-directory"), ("GET", "/company-directory/{uuid}")}
"""For every user, as phones show it to everybody."""
PERSONAL = {("GET", "/personal-directory/{userUuid}"), ("POST", "/personal-directory/{userUuid}")}
"""For the user who is named; for others as any management operation."""
CONTACT = {(method, "/personal-directory/contact/{uuid}") for method in ("GET", "PUT", "DELETE")}
"""For the user whose it is; for others as if it were not there."""
REGISTER = ("POST", "/auth/register")
"""Public or for superadmins, as ``auth.public_register`` says."""


def operations() -> list[tuple[str, str]]:
    """Method and path of every route, a profile's path without the expression that keeps it from the switch."""
    return [(route.method, web.DynamicResource(route.path).canonical) for route in ROUTES]


MANAGEMENT = [each for each in operations() if each not in PUBLIC | ONES_OWN | COMPANY | CONTACT]


@pytest.fixture
def site(shared_site: Site) -> Site:
    return shared_site


def place(path: str) -> str:
    """The path with something in place of its parameters."""
    path = path.replace("{mac}", MAC).replace("{uuid}", UNKNOWN).replace("{userUuid}", UNKNOWN)
    return path.replace("{extUuid}", UNKNOWN).replace("{before}", "1").replace("{after}", "2")


async def ask(client: Client, method: str, path: str) -> tuple[str, str, int]:
    """With a body that is no good, so that nothing happens should it be let in; a stream would have no end."""
    body = ["nothing"] if method in ("POST", "PUT") else None
    answer = await client.request(method, place(path), body, Last_Event_ID="nothing")
    return method, path, answer.status


async def test_the_open_operations_are_among_the_routes() -> None:
    assert set(operations()) > PUBLIC | ONES_OWN | COMPANY | CONTACT | PERSONAL | {REGISTER}
    assert len(MANAGEMENT) > 50


async def test_without_a_token_everything_but_the_public_is_401(site: Site) -> None:
    for method, path in operations():
        if (method, path) in PUBLIC:
            continue
        answer = await site.anybody.request(method, place(path))
        assert (method, path, answer.status) == (method, path, 401)
        check_error(answer, 401)
        assert answer.headers["WWW-Authenticate"] == "Bearer"


async def test_the_public_operations_ask_for_no_token_and_look_at_none(site: Site) -> None:
    for method, path in PUBLIC:
        for client in (site.anybody, site.anybody.with_token("nonsense"), site.admin):
            assert (await ask(client, method, path))[2] == (200 if method == "GET" else 422)


@pytest.mark.parametrize("level", [1, 5, None])
async def test_every_management_operation_is_403_for_any_level_but_0(site: Site, level: int | None) -> None:
    if level is None:
        await site.admin.new_user("nobody")
        clerk = await site.anybody.login("nobody")
    else:
        clerk = await site.clerk(level)
    assert [await ask(clerk, method, path) for method, path in MANAGEMENT] == [
        (method, path, 403) for method, path in MANAGEMENT
    ]
    for method, path in ONES_OWN | COMPANY:
        if method == "GET":
            assert (path, (await ask(clerk, method, path))[2]) == (path, 404 if "{" in path else 200)
    for method, path in CONTACT:
        assert (method, (await ask(clerk, method, path))[2]) == (method, 422 if method == "PUT" else 404)
    assert (await clerk.post("/auth/logout", {})).status == 200


async def test_a_superadmin_gets_in_everywhere(site: Site) -> None:
    for method, path in {*MANAGEMENT, *COMPANY, *CONTACT}:
        assert (await ask(site.admin, method, path))[2] not in (401, 403)


async def test_users_get_into_their_own_personal_directory(site: Site) -> None:
    uuid, name = await site.new_clerk()
    clerk = await site.anybody.login(name)
    for method, path in PERSONAL:
        own = path.replace("{userUuid}", uuid)
        assert (method, (await ask(clerk, method, own))[2]) == (method, 200 if method == "GET" else 422)


async def test_a_level_counts_from_the_moment_it_is_given_or_taken(site: Site) -> None:
    uuid, name = await site.new_clerk()
    clerk = await site.anybody.login(name)
    assert (await clerk.get("/users")).status == 403
    superadmin = "00000000-0000-0000-0000-000000000000"
    await site.admin.post("/user-perms", {"user_uuid": uuid, "perm_uuid": superadmin})
    assert (await clerk.get("/users")).status == 200
    await site.admin.delete(f"/user-perms/{uuid}")
    assert (await clerk.get("/users")).status == 403


async def test_another_permission_of_level_0_is_as_good(site: Site) -> None:
    deputy = await site.clerk(level=0)
    assert (await deputy.post("/users", user(site.name()))).status == 201
