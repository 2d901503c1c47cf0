"""The published document is valid OpenAPI and holds what the contract names."""

from typing import Any

import pytest
from aiohttp import web
from openapi_spec_validator import validate

from cisisk.api.routes import ROUTES
from tests.api.client import Site

PREFIX = "/api/v1"
USER = (
    "first_name last_name username email phone lang location nationality timezone is_active uuid last_uuid "
    "last_login_ip last_login_at last_logout_ip created_at created_by updated_at created_ip updated_ip"
)
REGISTRATION = "first_name last_name username email password phone lang location nationality timezone"
PROFILE_IN = "user_uuid name description cnf_xml compatible_models software_type"
PROFILE = f"{PROFILE_IN} uuid created_at updated_at"
PHONE_IN = "mac model phone_ip location description software name hostname phone_vlan brand software_version is_active"
PHONE = f"{PHONE_IN} current_profile_uuid"
CISCO_PHONE = "mac software current_profile_uuid"
CISCO_USER = "uuid user_uuid created_at"
PERMISSION_IN = "level name description"
PERMISSION = f"{PERMISSION_IN} uuid"
HELD = "user_uuid perm_uuid level perm_name"
AUDIT = "uuid user_uuid action entity_type entity_uuid payload ip user_agent created_at"
TOKENS = "accessToken refreshToken"
NULL = ""

CONTRACT: dict[str, tuple[str, str, str]] = {
    # section 1: the fields that are sent, those that are required, those that come back
    "GET /phone-profiles": ("", "", PROFILE),
    "GET /phone-profiles/{uuid}": ("", "", PROFILE),
    "GET /phone-profiles/user/{userUuid}": ("", "", PROFILE),
    "POST /phone-profiles": (PROFILE_IN, "user_uuid name cnf_xml", PROFILE),
    "PUT /phone-profiles/{uuid}": (PROFILE_IN, "", PROFILE),
    "DELETE /phone-profiles/{uuid}": ("", "", NULL),
    "POST /phone-profiles/switch": ("profile_uuid mac policy", "profile_uuid mac", "profile mac restart"),
    # section 2
    "POST /auth/login": ("username password", "username password", f"user {TOKENS}"),
    "POST /auth/refresh": ("refresh_token", "refresh_token", TOKENS),
    "POST /auth/logout": ("refresh_token", "", NULL),
    "POST /auth/register": (REGISTRATION, "first_name last_name username email password", USER),
    "GET /users": ("", "", USER),
    "POST /users": (f"{REGISTRATION} is_active", "first_name last_name username email password", USER),
    "GET /users/{uuid}": ("", "", USER),
    "PUT /users/{uuid}": (f"{REGISTRATION} is_active", "", USER),
    "DELETE /users/{uuid}": ("", "", NULL),
    "GET /me": ("", "", f"{USER} permission cisco_user"),
    "GET /me/phones": ("", "", PHONE),
    "GET /permissions": ("", "", PERMISSION),
    "POST /permissions": (PERMISSION_IN, "level name", PERMISSION),
    "GET /permissions/{uuid}": ("", "", PERMISSION),
    "PUT /permissions/{uuid}": (PERMISSION_IN, "", PERMISSION),
    "DELETE /permissions/{uuid}": ("", "", NULL),
    "POST /user-perms": ("user_uuid perm_uuid", "user_uuid perm_uuid", HELD),
    "GET /user-perms/{userUuid}": ("", "", HELD),
    "DELETE /user-perms/{userUuid}": ("", "", NULL),
    "GET /phones": ("", "", PHONE),
    "POST /phones": (PHONE_IN, "mac", PHONE),
    "GET /phones/{mac}": ("", "", PHONE),
    "PUT /phones/{mac}": (PHONE_IN, "", PHONE),
    "DELETE /phones/{mac}": ("", "", NULL),
    "GET /cisco-phones": ("", "", CISCO_PHONE),
    "GET /cisco-phones/{mac}": ("", "", CISCO_PHONE),
    "PUT /cisco-phones/{mac}": ("software", "software", CISCO_PHONE),
    "DELETE /cisco-phones/{mac}": ("", "", NULL),
    "GET /cisco-users/by-user/{userUuid}": ("", "", CISCO_USER),
    "PUT /cisco-users/{userUuid}": ("pin_code", "pin_code", CISCO_USER),
    "DELETE /cisco-users/{userUuid}": ("", "", NULL),
    "GET /phone-config/{mac}": ("", "", NULL),
    "GET /audit-logs": ("", "", AUDIT),
    "GET /audit-logs/by-user/{userUuid}": ("", "", AUDIT),
    "GET /health": ("", "", "status uptime database memory"),
    "GET /hello": ("", "", "greeting documentation environment"),
}
LISTS = {
    *("GET /phone-profiles", "GET /phone-profiles/user/{userUuid}", "GET /users", "GET /me/phones"),
    *("GET /permissions", "GET /phones", "GET /cisco-phones", "GET /audit-logs"),
    "GET /audit-logs/by-user/{userUuid}",
}
CREATED = {"POST /phone-profiles", "POST /auth/register", "POST /users", "POST /permissions", "POST /user-perms"}
CREATED |= {"POST /phones"}
WITHOUT_TOKEN = {"POST /auth/login", "POST /auth/refresh", "GET /health", "GET /hello"}


@pytest.fixture
async def document(site: Site) -> dict[str, Any]:
    answer = await site.anybody.get("/openapi.json")
    assert answer.status == 200
    assert answer.headers["Content-Type"].startswith("application/json")
    return dict(answer.body)


def resolved(document: dict[str, Any], part: Any) -> dict[str, Any]:
    """What a part of the document is, its reference followed."""
    while "$ref" in part:
        found: Any = document
        for name in part["$ref"].removeprefix("#/").split("/"):
            found = found[name]
        part = found
    return dict(part)


async def test_it_is_valid_openapi(document: dict[str, Any]) -> None:
    validate(document)
    assert document["openapi"].startswith("3.0.")


async def test_every_route_is_described_and_nothing_else(document: dict[str, Any]) -> None:
    described = {f"{method.upper()} {path}" for path, item in document["paths"].items() for method in item}
    routes = {f"{route.method} {PREFIX}{web.DynamicResource(route.path).canonical}" for route in ROUTES}
    assert described == routes - {f"GET {PREFIX}/openapi.json"}
    assert len(routes) == len(ROUTES)


async def test_everything_in_the_contract_is_there_field_by_field(document: dict[str, Any]) -> None:
    for name, (sent, required, returned) in CONTRACT.items():
        method, path = name.split()
        operation = document["paths"][PREFIX + path][method.lower()]
        assert (name, takes(document, operation)) == (name, (set(sent.split()) - {""}, set(required.split())))
        status = "201" if name in CREATED else "200"
        schema = operation["responses"][status]["content"]
        if name.startswith("GET /phone-config"):
            assert list(schema) == ["application/xml"]
            continue
        envelope = resolved(document, schema["application/json"]["schema"])
        assert set(envelope["required"]) == {"success", "message", "data", "metadata"}
        data = resolved(document, envelope["properties"]["data"])
        assert (name, data.get("type") == "array") == (name, name in LISTS)
        if name in LISTS:
            data = resolved(document, data["items"])
        missing = set(returned.split()) - set(data.get("properties", {}))
        assert (name, missing) == (name, set())


def takes(document: dict[str, Any], operation: dict[str, Any]) -> tuple[set[str], set[str]]:
    """The contract's fields of a body, and the required ones among them."""
    if "requestBody" not in operation:
        return set(), set()
    schema = resolved(document, operation["requestBody"]["content"]["application/json"]["schema"])
    return set(schema["properties"]) - {"placeholders"}, set(schema.get("required", ()))


async def test_who_needs_a_token_is_published(document: dict[str, Any]) -> None:
    for name in CONTRACT:
        method, path = name.split()
        operation = document["paths"][PREFIX + path][method.lower()]
        if name == "POST /auth/register":
            assert operation["security"] == [{}, {"bearer": []}]
        else:
            assert (name, operation.get("security")) == (name, [] if name in WITHOUT_TOKEN else None)
            assert (name, "401" in operation["responses"]) == (name, not name.startswith("GET /he"))


async def test_the_ways_through_a_list_are_published(document: dict[str, Any]) -> None:
    for name in LISTS:
        operation = document["paths"][PREFIX + name.split()[1]]["get"]
        queries = {each["name"] for each in operation["parameters"] if each["in"] == "query"}
        assert (name, queries) == (name, {"limit", "offset", "q", "sort"})


async def test_if_match_is_published_wherever_something_is_changed_or_deleted(document: dict[str, Any]) -> None:
    for path, item in document["paths"].items():
        for method in set(item) & {"put", "delete"}:
            headers = {each["name"] for each in item[method]["parameters"] if each["in"] == "header"}
            assert (method, path, headers, "412" in item[method]["responses"]) == (method, path, {"If-Match"}, True)
