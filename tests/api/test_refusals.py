"""Section 0 of the contract: the table of errors."""

import json
from typing import Any

import pytest

from tests.api.client import MAC, SWITCH, UNKNOWN, Site, check_error, user

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.fixture
def site(shared_site: Site) -> Site:
    return shared_site


@pytest.mark.parametrize(
    ("method", "path", "content"),
    [
        ("POST", "/auth/login", b'{"username": '),
        ("POST", "/users", b"username=anna"),
        ("PUT", f"/users/{UNKNOWN}", b"\xff\xfe"),
        ("POST", SWITCH, b"{} {}"),
    ],
)
async def test_body_that_is_not_json_is_400(site: Site, method: str, path: str, content: bytes) -> None:
    check_error(await site.admin.request(method, path, content=content), 400)


@pytest.mark.parametrize(
    "authorization", ["", "Bearer", "Bearer ", "Bearer x", "Bearer a.b.c", "Basic YWRtaW46YWRtaW4=", "bearer\xa0x"]
)
async def test_missing_or_invalid_token_is_401_with_bearer_challenge(site: Site, authorization: str) -> None:
    answer = await site.anonymous.get("/users", Authorization=authorization)
    check_error(answer, 401)
    assert answer.headers["WWW-Authenticate"] == "Bearer"


async def test_authorization_scheme_ignores_case(site: Site) -> None:
    for scheme in ("Bearer", "bearer", "BEARER"):
        assert (await site.anonymous.get("/me", Authorization=f"{scheme} {site.admin.token}")).status == 200


async def test_insufficient_level_is_403(site: Site) -> None:
    check_error(await (await site.clerk()).get("/users"), 403)


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/nothing",
        "/users/",
        "/",
        f"/users/{UNKNOWN}",
        "/users/not-a-uuid",
        "/users/%00",
        "/users/%ff",
        "/users/%ed%a0%80",
        "/users/..%2f..%2fetc",
        f"/permissions/{UNKNOWN}",
        f"/user-perms/{UNKNOWN}",
        f"/phone-profiles/{UNKNOWN}",
        f"/phone-profiles/user/{UNKNOWN}",
        f"/cisco-users/by-user/{UNKNOWN}",
        f"/deployments/{UNKNOWN}",
        f"/phones/{MAC}",
        f"/cisco-phones/{MAC}",
        f"/phone-config/{MAC}",
    ],
)
async def test_unknown_resource_is_404(site: Site, path: str) -> None:
    check_error(await site.admin.get(path), 404)


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("PATCH", "/users", {"GET", "POST"}),
        ("DELETE", "/users", {"GET", "POST"}),
        ("POST", f"/users/{UNKNOWN}", {"GET", "PUT", "DELETE"}),
        ("GET", "/auth/login", {"POST"}),
        ("GET", SWITCH, {"POST"}),
        ("PUT", SWITCH, {"POST"}),
        ("DELETE", SWITCH, {"POST"}),
        ("POST", "/health", {"GET"}),
        ("OPTIONS", "/phones", {"GET", "POST"}),
    ],
)
async def test_wrong_method_is_405_with_allow_header(site: Site, method: str, path: str, allowed: set[str]) -> None:
    answer = await site.admin.request(method, path)
    check_error(answer, 405)
    assert {name.strip() for name in answer.headers["Allow"].split(",")} - {"HEAD"} == allowed


async def test_conflict_is_409(site: Site) -> None:
    name = site.name()
    await site.admin.new_user(name)
    check_error(await site.admin.post("/users", user(name)), 409)


async def test_stale_etag_is_412(site: Site) -> None:
    uuid = await site.admin.new_user(site.name())
    check_error(await site.admin.delete(f"/users/{uuid}", If_Match='"old"'), 412)


async def test_body_too_large_is_413(site: Site) -> None:
    body = b'"' + b"a" * 4_000_000 + b'"'
    check_error(await site.admin.request("POST", "/phone-profiles", content=body), 413)


async def test_unauthorized_large_body_is_401_before_413(site: Site) -> None:
    body = b'"' + b"a" * 4_000_000 + b'"'
    check_error(await site.anonymous.request("POST", "/phone-profiles", content=body), 401)
    assert (await site.anonymous.get("/hello")).status == 200


async def test_largest_config_is_accepted_in_any_json_escaping(site: Site) -> None:
    limit = site.settings.provisioning.max_config_bytes
    head, tail = '<?xml version="1.0" encoding="ISO-8859-1"?><device><!--', "--></device>"
    xml = head + "é" * (limit - len(head) - len(tail)) + tail
    body = {"user_uuid": site.admin_uuid, "name": "large", "cnf_xml": xml}
    assert len(json.dumps(body)) > 5 * limit
    answer = await site.admin.post("/phone-profiles", body)
    assert answer.status == 201, answer.message
    assert answer.data["cnf_xml"] == xml
    assert list((await site.admin.post("/phone-profiles", {**body, "cnf_xml": xml + "\n"})).fields) == ["cnf_xml"]


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", "application/xml"])
async def test_body_with_other_content_type_is_415(site: Site, content_type: str) -> None:
    check_error(await site.admin.request("POST", "/users", content=b"{}", Content_Type=content_type), 415)


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("/users", {**user("anna"), "is_admin": True}, "is_admin"),
        ("/users", {**user("anna"), "uuid": UNKNOWN}, "uuid"),
        ("/auth/login", {"username": "a", "password": "b", "otp": "1"}, "otp"),
        ("/permissions", {"level": 1, "name": "a", "color": "red"}, "color"),
        ("/phones", {"mac": MAC, "current_profile_uuid": UNKNOWN}, "current_profile_uuid"),
        (SWITCH, {"profile_uuid": UNKNOWN, "mac": MAC, "force": True}, "force"),
        ("/user-perms", {"user_uuid": UNKNOWN, "perm_uuid": UNKNOWN, "level": 0}, "level"),
    ],
)
async def test_unknown_field_is_422_and_named(site: Site, path: str, body: Any, field: str) -> None:
    answer = await site.admin.post(path, body)
    check_error(answer, 422)
    assert answer.fields == {field: ["Unknown field."]}
    assert field in answer.message


async def test_refused_nested_field_is_named_by_path(site: Site) -> None:
    answer = await site.admin.post("/phone-profiles", {"name": "", "compatible_models": ["7942", 7], "cnf_xml": None})
    check_error(answer, 422)
    assert set(answer.fields) == {"user_uuid", "name", "compatible_models.1", "cnf_xml"}
    assert all(reasons and all(isinstance(reason, str) for reason in reasons) for reasons in answer.fields.values())


async def test_refused_secret_is_not_repeated(site: Site) -> None:
    for path, body in (
        ("/users", {**user("anna"), "password": "hunt3r"}),
        ("/users", {**user("anna"), "password": ["hunt3r"]}),
        ("/phone-profiles", {"user_uuid": UNKNOWN, "name": "a", "cnf_xml": "<device><authPassword>hunt3r</device>"}),
    ):
        answer = await site.admin.post(path, body)
        check_error(answer, 422)
        assert b"hunt3r" not in answer.content
    answer = await site.admin.put(f"/cisco-users/{UNKNOWN}", {"pin_code": "hunt3r"})
    check_error(answer, 422)
    assert b"hunt3r" not in answer.content


async def test_storage_failure_is_503_and_changes_nothing(site: Site) -> None:
    writer = site.running.health._db._writer
    await writer.execute("PRAGMA query_only = ON")
    check_error(await site.admin.post("/phones", {"mac": MAC}), 503)
    await writer.execute("PRAGMA query_only = OFF")
    check_error(await site.admin.get(f"/phones/{MAC}"), 404)
