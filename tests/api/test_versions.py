"""Config versions of a phone and their differences."""

import hashlib

import pytest

from tests.api.client import CONFIG, SWITCH, TIME, Site, check_error

pytestmark = pytest.mark.asyncio(loop_scope="module")

SECRET = "xQ7sentinel"
OTHER = CONFIG.replace("<name>101</name>", f"<name>305</name><authPassword>{SECRET}</authPassword>").replace(
    "<sipProfile>", "<loadInformation>SIP45.9-4-2SR3-1S</loadInformation><sipProfile>"
)


@pytest.fixture
def site(shared_site: Site) -> Site:
    return shared_site


async def switched(site: Site, *configs: str) -> str:
    """Switch a new phone to each config in order, and return its MAC."""
    mac = site.mac()
    for xml in configs:
        profile = await site.admin.new_profile(site.admin_uuid, cnf_xml=xml)
        assert (await site.admin.post(SWITCH, {"profile_uuid": profile, "mac": mac})).status == 200
    return mac


async def test_versions_are_listed_newest_first_without_content(site: Site) -> None:
    mac = await switched(site, CONFIG, OTHER, CONFIG)
    answer = await site.admin.get(f"/phones/{mac}/versions")
    assert answer.message == "2 version(s) found"
    assert [answer.metadata[name] for name in ("total", "limit", "offset")] == [2, 100, 0]
    assert [(row["sha256"], row["size"], row["origin"]) for row in answer.data] == [
        (hashlib.sha256(xml.encode()).hexdigest(), len(xml.encode()), "switch") for xml in (OTHER, CONFIG)
    ]
    assert all(set(row) == {"number", "sha256", "origin", "created_at", "size"} for row in answer.data)
    assert all(TIME.fullmatch(row["created_at"]) for row in answer.data)
    assert SECRET.encode() not in answer.content


async def test_version_list_is_sorted_searched_and_paged(site: Site) -> None:
    mac = await switched(site, CONFIG, OTHER)
    newest, oldest = [row["number"] for row in (await site.admin.get(f"/phones/{mac}/versions")).data]
    for query, numbers in {
        "limit=1": [newest],
        "limit=1&offset=1": [oldest],
        "sort=number": [oldest, newest],
        "sort=-size": [newest, oldest],
        f"q={hashlib.sha256(CONFIG.encode()).hexdigest()[:20]}": [oldest],
        "q=adopted": [],
    }.items():
        answer = await site.admin.get(f"/phones/{mac}/versions?{query}")
        assert (query, [row["number"] for row in answer.data]) == (query, numbers)
    assert (await site.admin.get(f"/phones/{mac}/versions?sort=content")).fields.keys() == {"sort"}


async def test_version_diff_lists_changes_without_secrets(site: Site) -> None:
    mac = await switched(site, CONFIG, OTHER)
    newest, oldest = [row["number"] for row in (await site.admin.get(f"/phones/{mac}/versions")).data]
    answer = await site.admin.get(f"/phones/{mac}/versions/{oldest}/diff/{newest}")
    assert answer.message == "3 change(s) found"
    assert answer.data == {
        "changes": ["load: none -> SIP45.9-4-2SR3-1S", "line 1: 101 -> 305", "line 1/authPassword: changed"],
        "more": 0,
        "restart": "reset",
        "reset_for": ["load"],
    }
    back = (await site.admin.get(f"/phones/{mac}/versions/{newest}/diff/{oldest}")).data
    assert back["changes"][1] == "line 1: 305 -> 101"
    same = (await site.admin.get(f"/phones/{mac}/versions/{newest}/diff/{newest}")).data
    assert same == {"changes": [], "more": 0, "restart": None, "reset_for": []}


async def test_version_diff_requires_versions_of_same_phone(site: Site) -> None:
    mac, other = await switched(site, CONFIG), await switched(site, OTHER)
    [own] = [row["number"] for row in (await site.admin.get(f"/phones/{mac}/versions")).data]
    [foreign] = [row["number"] for row in (await site.admin.get(f"/phones/{other}/versions")).data]
    for number in (foreign, 0, -1, "x", "9" * 18, "9" * 30, "9" * 5000, "%D9%A3", ""):
        check_error(await site.admin.get(f"/phones/{mac}/versions/{own}/diff/{number}"), 404)
        check_error(await site.admin.get(f"/phones/{mac}/versions/{number}/diff/{own}"), 404)


async def test_versions_require_superadmin_and_known_phone(site: Site) -> None:
    mac, clerk = await switched(site, CONFIG), await site.clerk()
    for path in ("versions", "versions/1/diff/2"):
        check_error(await site.admin.get(f"/phones/{site.mac()}/{path}"), 404)
        check_error(await site.admin.get(f"/phones/zz/{path}"), 422)
        check_error(await clerk.get(f"/phones/{mac}/{path}"), 403)
        check_error(await site.anonymous.get(f"/phones/{mac}/{path}"), 401)
