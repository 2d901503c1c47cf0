"""Concurrent requests: conflicting ones succeed once, and reads see whole configs."""

import asyncio
from collections import Counter
from collections.abc import Awaitable

import pytest

from tests.api.client import CONFIG, PASSWORD, SWITCH, Answer, Site, user

MANY = 8

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.fixture
def site(shared_site: Site) -> Site:
    return shared_site


async def statuses(*asked: Awaitable[Answer]) -> Counter[int]:
    return Counter(answer.status for answer in await asyncio.gather(*asked))


async def test_concurrent_creations_with_one_name_succeed_once(site: Site) -> None:
    name, mac = site.name(), site.mac()
    for path, body in (
        ("/users", user(name)),
        ("/permissions", {"level": 5, "name": name}),
        ("/phones", {"mac": mac}),
        ("/extensions", {"type": "custom", "extension": name, "name": name, "password": name}),
    ):
        assert await statuses(*(site.admin.post(path, body) for _ in range(MANY))) == {201: 1, 409: MANY - 1}


async def test_concurrent_updates_of_one_version_succeed_once(site: Site) -> None:
    path = f"/phone-profiles/{await site.admin.new_profile(site.admin_uuid)}"
    tag = (await site.admin.get(path)).etag
    changes = [site.admin.put(path, {"name": f"name {number}"}, If_Match=tag) for number in range(MANY)]
    assert await statuses(*changes) == {200: 1, 412: MANY - 1}


async def test_concurrent_deletions_succeed_once(site: Site) -> None:
    path = f"/phone-profiles/{await site.admin.new_profile(site.admin_uuid)}"
    assert await statuses(*(site.admin.delete(path) for _ in range(MANY))) == {200: 1, 404: MANY - 1}


async def test_concurrent_refreshes_with_one_token_succeed_once(site: Site) -> None:
    login = (await site.anonymous.post("/auth/login", {"username": "admin", "password": PASSWORD})).data
    asked = [site.anonymous.post("/auth/refresh", {"refresh_token": login["refreshToken"]}) for _ in range(MANY)]
    assert await statuses(*asked) == {200: 1, 401: MANY - 1}
    # Reuse of the token ends the whole login.
    assert (await site.anonymous.with_token(login["accessToken"]).get("/me")).status == 401


async def test_concurrent_removals_keep_one_superadmin(site: Site) -> None:
    one, first = await site.new_clerk(level=0)
    two, second = await site.new_clerk(level=0)
    clients = [await site.anonymous.login(name) for name in (first, second)]
    await site.admin.put(f"/users/{site.admin_uuid}", {"phone": "1"})
    done = await statuses(clients[0].delete(f"/users/{two}"), clients[1].delete(f"/users/{one}"))
    assert done in ({200: 2}, {200: 1, 401: 1}, {200: 1, 403: 1})
    assert (await site.admin.get("/me")).data["permission"]["level"] == 0


async def test_config_read_during_switches_is_whole(site: Site) -> None:
    mac = site.mac()
    configs = [CONFIG.replace("101", f"40{number}") + " " * number * 1000 for number in range(4)]
    profiles = [await site.admin.new_profile(site.admin_uuid, cnf_xml=xml) for xml in configs]
    await site.admin.post(SWITCH, {"profile_uuid": profiles[0], "mac": mac})
    switches = [asyncio.create_task(site.admin.post(SWITCH, {"profile_uuid": each, "mac": mac})) for each in profiles]
    seen = set()
    while not all(switch.done() for switch in switches):
        seen.add((await site.admin.get(f"/phone-config/{mac}")).content.decode())
    assert seen
    assert seen <= set(configs)
    assert {switch.result().status for switch in switches} == {200}


async def test_concurrent_logins_all_succeed(site: Site) -> None:
    login = {"username": "admin", "password": PASSWORD}
    assert await statuses(*(site.anonymous.post("/auth/login", login) for _ in range(MANY))) == {200: MANY}
