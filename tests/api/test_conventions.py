"""Section 0 of the contract: the envelope, MAC addresses, ids and times."""

from uuid import UUID

import pytest

from tests.api.client import CONFIG, SWITCH, TIME, Site, check_error, check_metadata

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.fixture
def site(shared_site: Site) -> Site:
    return shared_site


async def test_success_has_the_envelope(site: Site) -> None:
    answer = await site.admin.get("/me")
    assert answer.status == 200
    assert set(answer.body) == {"success", "message", "data", "metadata"}
    assert answer.body["success"] is True
    check_metadata(answer)


async def test_success_without_data_has_null(site: Site) -> None:
    answer = await site.admin.delete(f"/users/{await site.admin.new_user(site.name())}")
    assert "data" in answer.body
    assert answer.body["data"] is None


@pytest.mark.parametrize(
    "path", ["/users", "/permissions", "/phones", "/cisco-phones", "/phone-profiles", "/audit-logs", "/me/phones"]
)
async def test_list_is_array_with_total(site: Site, path: str) -> None:
    answer = await site.admin.get(path)
    assert answer.status == 200
    assert isinstance(answer.body["data"], list)
    check_metadata(answer, frozenset({"total", "limit", "offset"}))
    assert answer.metadata["total"] == len(answer.data)
    assert answer.metadata["offset"] == 0


async def test_request_id_is_unique(site: Site) -> None:
    ids = {(await site.admin.get("/me")).headers["X-Request-ID"] for _ in range(3)}
    assert len(ids) == 3


async def test_response_is_not_cacheable(site: Site) -> None:
    for answer in (await site.admin.get("/me"), await site.admin.get("/nothing"), await site.admin.get("/phones")):
        assert answer.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize(
    ("mac", "form"),
    [
        ("AA:BB:CC:DD:EE:01", "AA:BB:CC:DD:EE:01"),
        ("AA:BB:CC:DD:EE:02", "aa-bb-cc-dd-ee-02"),
        ("AA:BB:CC:DD:EE:03", "aabb.ccdd.ee03"),
        ("AA:BB:CC:DD:EE:04", "AABBCCDDEE04"),
        ("AA:BB:CC:DD:EE:05", "SEPAABBCCDDEE05"),
        ("AA:BB:CC:DD:EE:06", "aA:bb:cC:dd:EE:06"),
        ("AA:BB:CC:DD:EE:07", "sepaabbccddee07"),
    ],
)
async def test_mac_in_any_form_is_returned_in_one(site: Site, mac: str, form: str) -> None:
    profile = await site.admin.new_profile(site.admin_uuid)
    assert (await site.admin.post("/phones", {"mac": form})).data["mac"] == mac
    assert (await site.admin.post(SWITCH, {"profile_uuid": profile, "mac": form})).data["mac"] == mac
    for path in ("/phones/", "/cisco-phones/"):
        assert (await site.admin.get(path + form)).data["mac"] == mac
    assert (await site.admin.get("/phone-config/" + form)).content == CONFIG.encode()
    assert (await site.admin.put("/cisco-phones/" + form, {"software": "SIP"})).data["mac"] == mac
    assert (await site.admin.put("/phones/" + form, {"name": "a"})).data["mac"] == mac
    assert mac in [phone["mac"] for phone in (await site.admin.get("/phones")).data]
    assert (await site.admin.delete("/phones/" + form)).status == 200


@pytest.mark.parametrize(
    "text",
    [
        "FF:FF:FF:FF:FF:FF",
        "00:00:00:00:00:00",
        "01:00:5E:00:00:01",
        "33:33:00:00:00:01",
        "SEP000000000000",
        "AA:BB:CC:DD:EE",
        "AA:BB:CC:DD:EE:01:02",
        "AA:BB-CC:DD:EE:01",
        "AABBCCDDEE0G",
        "SEP",
        "nothing",
    ],
)
async def test_mac_that_is_invalid_is_422(site: Site, text: str) -> None:
    profile = await site.admin.new_profile(site.admin_uuid)
    for answer in (
        await site.admin.post("/phones", {"mac": text}),
        await site.admin.post(SWITCH, {"profile_uuid": profile, "mac": text}),
        await site.admin.get(f"/phones/{text}"),
        await site.admin.put(f"/phones/{text}", {"name": "a"}),
        await site.admin.delete(f"/phones/{text}"),
        await site.admin.get(f"/cisco-phones/{text}"),
        await site.admin.put(f"/cisco-phones/{text}", {"software": "SIP"}),
        await site.admin.delete(f"/cisco-phones/{text}"),
        await site.admin.get(f"/phone-config/{text}"),
    ):
        check_error(answer, 422)
        assert list(answer.fields) == ["mac"]
    assert text not in str((await site.admin.get("/phones")).data)


async def test_uuid_in_capitals_is_accepted(site: Site) -> None:
    mac = site.mac()
    body = {"user_uuid": site.admin_uuid.upper(), "name": "a", "cnf_xml": CONFIG}
    profile = (await site.admin.post("/phone-profiles", body)).data
    assert profile["user_uuid"] == site.admin_uuid
    assert profile["uuid"] == str(UUID(profile["uuid"]))
    switched = await site.admin.post(SWITCH, {"profile_uuid": profile["uuid"].upper(), "mac": mac})
    assert (await site.admin.get(f"/phones/{mac}")).data["current_profile_uuid"] == profile["uuid"], switched.body
    shown = await site.admin.get(f"/phone-profiles/{profile['uuid'].upper()}")
    assert shown.data["uuid"] == profile["uuid"]
    assert (await site.admin.get(f"/users/{site.admin_uuid.upper()}")).data["uuid"] == site.admin_uuid


async def test_times_are_utc_with_milliseconds_in_responses(site: Site) -> None:
    profile = (await site.admin.get(f"/phone-profiles/{await site.admin.new_profile(site.admin_uuid)}")).data
    phone = (await site.admin.post("/phones", {"mac": site.mac()})).data
    me = (await site.admin.get("/me")).data
    permission = (await site.admin.get("/permissions")).data[0]
    pin = (await site.admin.put(f"/cisco-users/{site.admin_uuid}", {"pin_code": "1234"})).data
    row = (await site.admin.get("/audit-logs")).data[0]
    for time in (
        *(thing[name] for thing in (profile, phone, me, permission) for name in ("created_at", "updated_at")),
        me["last_login_at"],
        pin["created_at"],
        row["created_at"],
    ):
        assert TIME.fullmatch(time)
