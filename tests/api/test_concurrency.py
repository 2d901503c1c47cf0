"""ETag and If-Match (RFC 9110 sections 8.8.3 and 13.1.1): no client overwrites a version it has not read."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import pytest

from tests.api.client import CONFIG, SWITCH, Answer, Site, user


@dataclass(frozen=True, slots=True)
class Resource:
    """A resource: the path to read it, the path to change and delete it, and two changes, or None without PUT."""

    shown: str
    changed: str
    changes: tuple[dict[str, Any], dict[str, Any]] | None


Maker = Callable[[Site], Awaitable[Resource]]
RENAMED = ({"description": "one"}, {"description": "two"})


async def a_user(site: Site) -> Resource:
    path = f"/users/{await site.admin.new_user(site.name())}"
    return Resource(path, path, ({"phone": "1"}, {"phone": "2"}))


async def a_permission(site: Site) -> Resource:
    path = f"/permissions/{await site.admin.new_permission(5, site.name())}"
    return Resource(path, path, RENAMED)


async def a_held_permission(site: Site) -> Resource:
    uuid, _ = await site.new_clerk()
    return Resource(f"/user-perms/{uuid}", f"/user-perms/{uuid}", None)


async def a_new_mac(site: Site) -> str:
    """Add a phone and return its MAC."""
    mac = site.mac()
    assert (await site.admin.post("/phones", {"mac": mac})).status == 201
    return mac


async def a_phone(site: Site) -> Resource:
    mac = await a_new_mac(site)
    return Resource(f"/phones/{mac}", f"/phones/{mac}", RENAMED)


async def a_cisco_phone(site: Site) -> Resource:
    mac = await a_new_mac(site)
    return Resource(f"/cisco-phones/{mac}", f"/cisco-phones/{mac}", ({"software": "SCCP"}, {"software": "SIPE"}))


async def a_profile(site: Site) -> Resource:
    path = f"/phone-profiles/{await site.admin.new_profile(site.admin_uuid)}"
    return Resource(path, path, RENAMED)


async def a_pin(site: Site) -> Resource:
    uuid = await site.admin.new_user(site.name())
    await site.admin.put(f"/cisco-users/{uuid}", {"pin_code": "1234"})
    shown, changed = f"/cisco-users/by-user/{uuid}", f"/cisco-users/{uuid}"
    return Resource(shown, changed, ({"pin_code": "2345"}, {"pin_code": "3456"}))


async def a_resource(site: Site, path: str, body: dict[str, Any], changed: str) -> Resource:
    """Create a resource with a POST to ``path``; its text field ``changed`` can be changed."""
    made = (await site.admin.post(path, body)).data["uuid"]
    one = f"/personal-directory/contact/{made}" if path.startswith("/personal") else f"{path}/{made}"
    return Resource(one, one, ({changed: "one"}, {changed: "two"}))


async def a_kem(site: Site) -> Resource:
    return await a_resource(site, "/cisco-kem", {}, "model")


async def a_service(site: Site) -> Resource:
    return await a_resource(site, "/cisco-services", {}, "name")


async def a_personal_contact(site: Site) -> Resource:
    return await a_resource(site, f"/personal-directory/{site.admin_uuid}", {"name": "a"}, "work")


async def a_company_contact(site: Site) -> Resource:
    return await a_resource(site, "/company-directory", {"name": "a"}, "department")


async def an_extension(site: Site) -> Resource:
    body = {"type": "custom", "extension": site.name(), "name": "a", "password": "b"}
    return await a_resource(site, "/extensions", body, "description")


async def a_link(site: Site) -> Resource:
    extension = (await an_extension(site)).shown.rpartition("/")[2]
    body = {"user_uuid": site.admin_uuid, "extension_uuid": extension}
    path = f"/user-extensions/{(await site.admin.post('/user-extensions', body)).data['uuid']}"
    return Resource(path, path, None)


async def a_webhook(site: Site) -> Resource:
    path = f"/webhooks/{(await site.admin.post('/webhooks', {'url': 'http://127.0.0.1:9/'})).data['uuid']}"
    return Resource(path, path, RENAMED)


ALL = [a_user, a_permission, a_held_permission, a_phone, a_cisco_phone, a_profile, a_pin, a_webhook]
ALL += [a_kem, a_service, a_personal_contact, a_company_contact, an_extension, a_link]
CHANGEABLE = [maker for maker in ALL if maker not in (a_held_permission, a_link)]
pytestmark = pytest.mark.asyncio(loop_scope="module")
NAMES: Callable[[Maker], str] = lambda maker: maker.__name__  # noqa: E731 -- typed as a function for pytest


@pytest.fixture
def site(shared_site: Site) -> Site:
    return shared_site


@pytest.mark.parametrize("make", ALL, ids=NAMES)
async def test_resource_has_stable_strong_etag(site: Site, make: Maker) -> None:
    resource = await make(site)
    tag = (await site.admin.get(resource.shown)).etag
    assert tag.startswith('"')
    assert tag.endswith('"')
    assert (await site.admin.get(resource.shown)).etag == tag


@pytest.mark.parametrize("make", CHANGEABLE, ids=NAMES)
async def test_resource_update_changes_etag(site: Site, make: Maker) -> None:
    resource = await make(site)
    assert resource.changes
    tags = [(await site.admin.get(resource.shown)).etag]
    for change in resource.changes:
        answer = await site.admin.put(resource.changed, change)
        assert (await site.admin.get(resource.shown)).etag == answer.etag
        tags.append(answer.etag)
    assert len(set(tags)) == 3


@pytest.mark.parametrize("make", CHANGEABLE, ids=NAMES)
async def test_update_requires_matching_etag(site: Site, make: Maker) -> None:
    resource = await make(site)
    assert resource.changes
    change, other = resource.changes
    old = (await site.admin.get(resource.shown)).etag

    async def put(if_match: str) -> Answer:
        return await site.admin.put(resource.changed, other, If_Match=if_match)

    new = (await site.admin.put(resource.changed, change, If_Match=old)).etag
    before = (await site.admin.get(resource.shown)).body["data"]
    for refused in (old, '"nonsense"', f"{old}, W/{new}", f"W/{new}", '"*"', "nonsense", ""):
        assert (refused, (await put(refused)).status) == (refused, 412)
    assert (await site.admin.get(resource.shown)).body["data"] == before
    assert (await site.admin.get(resource.shown)).etag == new
    newer = (await put(f'"nonsense", {new}')).etag
    assert newer != new
    assert (await put("*")).status == 200


@pytest.mark.parametrize("make", ALL, ids=NAMES)
async def test_deletion_requires_matching_etag(site: Site, make: Maker) -> None:
    resource = await make(site)
    tag = (await site.admin.get(resource.shown)).etag
    for refused in ('"nonsense"', f"W/{tag}"):
        assert (await site.admin.delete(resource.changed, If_Match=refused)).status == 412
    assert (await site.admin.get(resource.shown)).etag == tag
    assert (await site.admin.delete(resource.changed, If_Match=f'"nonsense", {tag}')).status == 200
    assert (await site.admin.get(resource.shown)).status == 404


@pytest.mark.parametrize("make", ALL, ids=NAMES)
async def test_deletion_with_star_requires_existing_resource(site: Site, make: Maker) -> None:
    resource = await make(site)
    assert (await site.admin.delete(resource.changed, If_Match="*")).status == 200
    assert (await site.admin.delete(resource.changed, If_Match="*")).status == 404
    assert (await site.admin.delete(resource.changed)).status == 404


async def test_creation_returns_etag(site: Site) -> None:
    bodies: dict[str, dict[str, Any]] = {
        "/users": user(site.name()),
        "/permissions": {"level": 5, "name": site.name()},
        "/phones": {"mac": site.mac()},
        "/phone-profiles": {"user_uuid": site.admin_uuid, "name": "a", "cnf_xml": CONFIG},
        "/cisco-kem": {},
        "/cisco-services": {},
        "/company-directory": {"name": "a"},
        "/extensions": {"type": "custom", "extension": site.name(), "name": "a", "password": "b"},
        "/webhooks": {"url": "http://127.0.0.1:9/"},
    }
    for path, body in bodies.items():
        created = await site.admin.post(path, body)
        name = created.data.get("uuid") or created.data["mac"]
        assert created.etag == (await site.admin.get(f"{path}/{name}")).etag


@pytest.mark.parametrize("make", [a_pin, a_cisco_phone], ids=NAMES)
@pytest.mark.parametrize("if_match", ["*", '"nonsense"'])
async def test_update_of_absent_resource_with_if_match_is_refused(site: Site, make: Maker, if_match: str) -> None:
    resource = await make(site)
    assert resource.changes
    await site.admin.delete(resource.changed)
    assert (await site.admin.put(resource.changed, resource.changes[0], If_Match=if_match)).status in (404, 412)
    assert (await site.admin.get(resource.shown)).status == 404
    assert (await site.admin.put(resource.changed, resource.changes[0])).status == 200


async def test_recreated_resource_has_new_etag(site: Site) -> None:
    mac = await a_new_mac(site)
    old = (await site.admin.get(f"/phones/{mac}")).etag
    await site.admin.delete(f"/phones/{mac}")
    await site.admin.post("/phones", {"mac": mac})
    assert (await site.admin.delete(f"/phones/{mac}", If_Match=old)).status == 412


async def test_held_permission_change_changes_etag(site: Site) -> None:
    resource = await a_held_permission(site)
    old = (await site.admin.get(resource.shown)).etag
    other = await site.admin.new_permission(7, site.name())
    await site.admin.post("/user-perms", {"user_uuid": resource.shown.rpartition("/")[2], "perm_uuid": other})
    current = (await site.admin.get(resource.shown)).etag
    await site.admin.put(f"/permissions/{other}", {"level": 8})
    for stale in (old, current):
        assert (await site.admin.delete(resource.changed, If_Match=stale)).status == 412


async def test_phone_software_change_changes_both_etags(site: Site) -> None:
    mac = await a_new_mac(site)
    tags = [(await site.admin.get(f"/phones/{mac}")).etag]
    await site.admin.put(f"/cisco-phones/{mac}", {"software": "SCCP"})
    tags.append((await site.admin.get(f"/phones/{mac}")).etag)
    await site.admin.delete(f"/cisco-phones/{mac}")
    tags.append((await site.admin.get(f"/phones/{mac}")).etag)
    assert len(set(tags)) == 3
    cisco = (await site.admin.put(f"/cisco-phones/{mac}", {"software": "SIP"})).etag
    await site.admin.put(f"/phones/{mac}", {"software": "SIPE"})
    assert (await site.admin.get(f"/cisco-phones/{mac}")).etag != cisco


async def test_switch_changes_etag_of_cisco_phone(site: Site) -> None:
    profile = await site.admin.new_profile(site.admin_uuid)
    mac = await a_new_mac(site)
    old = (await site.admin.get(f"/cisco-phones/{mac}")).etag
    await site.admin.post(SWITCH, {"profile_uuid": profile, "mac": mac})
    assert (await site.admin.delete(f"/cisco-phones/{mac}", If_Match=old)).status == 412


async def test_served_config_etag_depends_on_content(site: Site) -> None:
    tags, mac = [], site.mac()
    for text in ("one", "two", "one"):
        profile = await site.admin.new_profile(site.admin_uuid, cnf_xml=f"<device><!--{text}--></device>")
        await site.admin.post(SWITCH, {"profile_uuid": profile, "mac": mac})
        tags.append((await site.admin.get(f"/phone-config/{mac}")).etag)
    assert tags[0] == tags[2] != tags[1]
