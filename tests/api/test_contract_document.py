"""Compare the contract, as a table, with the published document and with the responses of a running appliance.

A renamed field, a missing field or a changed requirement fails here.
"""

import re
from typing import Any, NamedTuple

import pytest
from aiohttp import web
from openapi_spec_validator import validate

from cisisk.api.routes import ROUTES
from tests.api.client import CONFIG, MAC, PASSWORD, SUPERADMIN, Answer, Site, user

PREFIX = "/api/v1"
USER = (
    "first_name last_name username email phone lang location nationality timezone is_active uuid last_uuid "
    "last_login_ip last_login_at last_logout_ip created_at created_by updated_at created_ip updated_ip"
)
REGISTRATION = "first_name last_name username email password phone lang location nationality timezone"
REGISTERED = "first_name last_name username email password"
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
KEM_IN = "model mac ip connected_phone software_version software_type"
KEM = f"{KEM_IN} uuid"
SERVICE_IN = "name url type"
SERVICE = f"{SERVICE_IN} uuid"
PERSONAL_IN = "name work mobile home email ringtone"
PERSONAL = f"{PERSONAL_IN} uuid"
COMPANY_IN = f"{PERSONAL_IN} department company location building"
COMPANY = f"{COMPANY_IN} uuid"
EXTENSION_IN = "type extension name password description voicemail voicemail_passcode is_active"
EXTENSION = f"{EXTENSION_IN} uuid"
LINK_IN = "user_uuid extension_uuid"
LINK = f"uuid {LINK_IN} username first_name last_name extension ext_name type created_at"
RAW = "application/xml"
"""Used instead of field names: the response is not JSON."""


class Endpoint(NamedTuple):
    """An operation of the contract: fields sent, required fields, fields returned, and the message."""

    sent: str
    required: str
    returned: str
    message: str
    """The message, with N for a number, as in the contract."""


def shown(returned: str, message: str) -> Endpoint:
    """Return an operation that takes no body."""
    return Endpoint("", "", returned, message)


CONTRACT: dict[str, Endpoint] = {
    # section 1
    "GET /phone-profiles": shown(PROFILE, "N profile(s) found"),
    "GET /phone-profiles/{uuid}": shown(PROFILE, "Profile found"),
    "GET /phone-profiles/user/{userUuid}": shown(PROFILE, "N profile(s) found"),
    "POST /phone-profiles": Endpoint(PROFILE_IN, "user_uuid name cnf_xml", PROFILE, "Profile created"),
    "PUT /phone-profiles/{uuid}": Endpoint(PROFILE_IN, "", PROFILE, "Profile updated"),
    "DELETE /phone-profiles/{uuid}": shown("", "Profile deleted"),
    "POST /phone-profiles/switch": Endpoint(
        "profile_uuid mac", "profile_uuid mac", "profile mac restart", "Profile switched"
    ),
    # section 2
    "POST /auth/login": Endpoint("username password", "username password", f"user {TOKENS}", "Login successful"),
    "POST /auth/refresh": Endpoint("refresh_token", "refresh_token", TOKENS, "Token refreshed"),
    "POST /auth/logout": Endpoint("refresh_token", "", "", "Logout successful"),
    "POST /auth/register": Endpoint(REGISTRATION, REGISTERED, USER, "Registration successful"),
    "GET /users": shown(USER, "N user(s) found"),
    "POST /users": Endpoint(f"{REGISTRATION} is_active", REGISTERED, USER, "User created"),
    "GET /users/{uuid}": shown(USER, "User found"),
    "PUT /users/{uuid}": Endpoint(f"{REGISTRATION} is_active", "", USER, "User updated"),
    "DELETE /users/{uuid}": shown("", "User deleted"),
    "GET /me": shown(f"{USER} permission cisco_user", "Authenticated user"),
    "GET /me/phones": shown(PHONE, "N phone(s) found"),
    "GET /me/cisco-services/personal": shown(PERSONAL, "N personal contact(s) found"),
    "GET /me/cisco-services/company": shown(COMPANY, "N company contact(s) found"),
    "GET /permissions": shown(PERMISSION, "N permission(s) found"),
    "POST /permissions": Endpoint(PERMISSION_IN, "level name", PERMISSION, "Permission created"),
    "GET /permissions/{uuid}": shown(PERMISSION, "Permission found"),
    "PUT /permissions/{uuid}": Endpoint(PERMISSION_IN, "", PERMISSION, "Permission updated"),
    "DELETE /permissions/{uuid}": shown("", "Permission deleted"),
    "POST /user-perms": Endpoint("user_uuid perm_uuid", "user_uuid perm_uuid", HELD, "User permission created"),
    "GET /user-perms/{userUuid}": shown(HELD, "User permission found"),
    "DELETE /user-perms/{userUuid}": shown("", "User permission deleted"),
    "GET /phones": shown(PHONE, "N phone(s) found"),
    "POST /phones": Endpoint(PHONE_IN, "mac", PHONE, "Phone created"),
    "GET /phones/{mac}": shown(PHONE, "Phone found"),
    "PUT /phones/{mac}": Endpoint(PHONE_IN, "", PHONE, "Phone updated"),
    "DELETE /phones/{mac}": shown("", "Phone deleted"),
    "GET /cisco-phones": shown(CISCO_PHONE, "N cisco phone(s) found"),
    "GET /cisco-phones/{mac}": shown(CISCO_PHONE, "Cisco phone found"),
    "PUT /cisco-phones/{mac}": Endpoint("software", "software", CISCO_PHONE, "Cisco phone updated"),
    "DELETE /cisco-phones/{mac}": shown("", "Cisco phone deleted"),
    "GET /cisco-users/by-user/{userUuid}": shown(CISCO_USER, "Cisco user found"),
    "PUT /cisco-users/{userUuid}": Endpoint("pin_code", "pin_code", CISCO_USER, "Cisco user updated"),
    "DELETE /cisco-users/{userUuid}": shown("", "Cisco user deleted"),
    "GET /phone-config/{mac}": shown(RAW, ""),
    "GET /audit-logs": shown(AUDIT, "N log(s) found"),
    "GET /audit-logs/by-user/{userUuid}": shown(AUDIT, "N log(s) found"),
    "GET /health": shown("status uptime database memory", "Service is healthy"),
    "GET /hello": shown("greeting documentation environment", "Hello"),
    # section 3
    "GET /cisco-kem": shown(KEM, "N cisco KEM(s) found"),
    "POST /cisco-kem": Endpoint(KEM_IN, "", KEM, "Cisco KEM created"),
    "GET /cisco-kem/{uuid}": shown(KEM, "Cisco KEM found"),
    "PUT /cisco-kem/{uuid}": Endpoint(KEM_IN, "", KEM, "Cisco KEM updated"),
    "DELETE /cisco-kem/{uuid}": shown("", "Cisco KEM deleted"),
    "GET /cisco-services": shown(SERVICE, "N cisco service(s) found"),
    "POST /cisco-services": Endpoint(SERVICE_IN, "", SERVICE, "Cisco service created"),
    "GET /cisco-services/{uuid}": shown(SERVICE, "Cisco service found"),
    "PUT /cisco-services/{uuid}": Endpoint(SERVICE_IN, "", SERVICE, "Cisco service updated"),
    "DELETE /cisco-services/{uuid}": shown("", "Cisco service deleted"),
    "GET /personal-directory/{userUuid}": shown(PERSONAL, "N personal contact(s) found"),
    "POST /personal-directory/{userUuid}": Endpoint(PERSONAL_IN, "name", PERSONAL, "Personal contact created"),
    "PUT /personal-directory/contact/{uuid}": Endpoint(PERSONAL_IN, "", PERSONAL, "Personal contact updated"),
    "DELETE /personal-directory/contact/{uuid}": shown("", "Personal contact deleted"),
    "GET /company-directory": shown(COMPANY, "N company contact(s) found"),
    "POST /company-directory": Endpoint(COMPANY_IN, "name", COMPANY, "Company contact created"),
    "GET /company-directory/{uuid}": shown(COMPANY, "Company contact found"),
    "PUT /company-directory/{uuid}": Endpoint(COMPANY_IN, "", COMPANY, "Company contact updated"),
    "DELETE /company-directory/{uuid}": shown("", "Company contact deleted"),
    "GET /extensions": shown(EXTENSION, "N extension(s) found"),
    "POST /extensions": Endpoint(EXTENSION_IN, "type extension name password", EXTENSION, "Extension created"),
    "GET /extensions/{uuid}": shown(EXTENSION, "Extension found"),
    "PUT /extensions/{uuid}": Endpoint(EXTENSION_IN, "", EXTENSION, "Extension updated"),
    "DELETE /extensions/{uuid}": shown("", "Extension deleted"),
    "GET /user-extensions": shown(LINK, "N link(s) found"),
    "POST /user-extensions": Endpoint(LINK_IN, LINK_IN, LINK, "User linked to extension"),
    "GET /user-extensions/by-user/{userUuid}": shown(LINK, "N extension(s) linked to user"),
    "GET /user-extensions/by-extension/{extUuid}": shown(LINK, "N user(s) linked to extension"),
    "DELETE /user-extensions/{uuid}": shown("", "Link deleted"),
}
LISTS = {name for name, endpoint in CONTRACT.items() if endpoint.message.startswith("N ")}
CREATED = {
    *("POST /phone-profiles", "POST /auth/register", "POST /users", "POST /permissions", "POST /user-perms"),
    *("POST /phones", "POST /cisco-kem", "POST /cisco-services", "POST /personal-directory/{userUuid}"),
    *("POST /company-directory", "POST /extensions", "POST /user-extensions"),
}
WITHOUT_TOKEN = {"POST /auth/login", "POST /auth/refresh", "GET /health", "GET /hello"}
ANY_LEVEL = WITHOUT_TOKEN | {
    *("POST /auth/logout", "GET /me", "GET /me/phones", "GET /me/cisco-services/personal"),
    *("GET /me/cisco-services/company", "GET /company-directory", "GET /company-directory/{uuid}"),
}
CONFLICTS = {
    *("POST /phone-profiles/switch", "POST /auth/register", "POST /users", "PUT /users/{uuid}"),
    *("DELETE /users/{uuid}", "POST /permissions", "PUT /permissions/{uuid}", "DELETE /permissions/{uuid}"),
    *("POST /user-perms", "DELETE /user-perms/{userUuid}", "POST /phones", "POST /extensions"),
    *("PUT /extensions/{uuid}", "POST /user-extensions", "POST /personal-directory/{userUuid}"),
}
MORE_SENT = {
    "placeholders",
    "content_type",
    "policy",
    "logout_profile_uuid",
    "emergency_location",
    "emergency_caller_id",
}
"""Fields that Cisisk accepts beyond the contract."""
DEFAULTS: dict[str, dict[str, Any]] = {
    "POST /auth/register": {"lang": "en", "timezone": "UTC"},
    "POST /users": {"lang": "en", "timezone": "UTC", "is_active": True},
    "POST /phones": {"software": "SIP"},
    "POST /extensions": {"voicemail": False},
}
SOFTWARE = {"SCCP", "SIP", "SIPE"}
VALUES: dict[str, dict[str, set[Any]]] = {
    "POST /phone-profiles": {"software_type": {*SOFTWARE, "", None}},
    "POST /phones": {"software": {*SOFTWARE, None}},
    "PUT /cisco-phones/{mac}": {"software": SOFTWARE},
    "POST /extensions": {"type": {"chan_sccp", "chan_sip", "chan_pjsip", "custom"}},
}
"""The allowed values of fields."""
NEVER_RETURNED = {"password", "password_hash", "pin_code", "pin", "pin_hash", "voicemail_passcode", "secret"}
METADATA = {"timestamp", "version", "requestId", "ip", "environment"}


@pytest.fixture
async def document(site: Site) -> dict[str, Any]:
    answer = await site.anonymous.get("/openapi.json")
    assert answer.status == 200
    assert answer.headers["Content-Type"].startswith("application/json")
    return dict(answer.body)


def resolved(document: dict[str, Any], part: Any) -> dict[str, Any]:
    """Follow the references of a part of the document."""
    while "$ref" in part:
        found: Any = document
        for name in part["$ref"].removeprefix("#/").split("/"):
            found = found[name]
        part = found
    return dict(part)


async def test_document_is_valid_openapi(document: dict[str, Any]) -> None:
    validate(document)
    assert document["openapi"].startswith("3.0.")


async def test_document_describes_every_route(document: dict[str, Any]) -> None:
    described = {f"{method.upper()} {path}" for path, item in document["paths"].items() for method in item}
    routes = {f"{route.method} {PREFIX}{web.DynamicResource(route.path).canonical}" for route in ROUTES}
    assert described == routes - {f"GET {PREFIX}/openapi.json"}
    assert len(routes) == len(ROUTES)


async def test_document_has_every_field_of_contract(document: dict[str, Any]) -> None:
    for name, endpoint in CONTRACT.items():
        operation = published(document, name)
        sent, required = set(endpoint.sent.split()), set(endpoint.required.split())
        assert (name, takes(document, operation)) == (name, (sent, required))
        if endpoint.returned == RAW:
            assert list(operation["responses"]["200"]["content"]) == [RAW]
            continue
        data = returned(document, name)
        assert (name, data.get("type") == "array") == (name, name in LISTS)
        if name in LISTS:
            data = resolved(document, data["items"])
        missing = set(endpoint.returned.split()) - set(data.get("properties", {}))
        assert (name, missing) == (name, set())
        # Every response has each of these fields; the value may be null.
        assert (name, set(endpoint.returned.split()) - set(data.get("required", ()))) == (name, set())


def published(document: dict[str, Any], name: str) -> dict[str, Any]:
    """Return an operation of the document."""
    method, path = name.split()
    return dict(document["paths"][PREFIX + path][method.lower()])


def body_schema(document: dict[str, Any], name: str) -> dict[str, Any]:
    """Return the schema of the body of an operation."""
    return resolved(document, published(document, name)["requestBody"]["content"]["application/json"]["schema"])


def envelope(document: dict[str, Any], name: str) -> dict[str, Any]:
    """Return the schema of a success."""
    answer = published(document, name)["responses"]["201" if name in CREATED else "200"]
    return resolved(document, answer["content"]["application/json"]["schema"])


def returned(document: dict[str, Any], name: str) -> dict[str, Any]:
    """Return the schema of ``data`` in a success."""
    return resolved(document, envelope(document, name)["properties"]["data"])


def takes(document: dict[str, Any], operation: dict[str, Any]) -> tuple[set[str], set[str]]:
    """Return the fields of a body that the contract names, and the required fields."""
    if "requestBody" not in operation:
        return set(), set()
    schema = resolved(document, operation["requestBody"]["content"]["application/json"]["schema"])
    return set(schema["properties"]) - MORE_SENT, set(schema.get("required", ()))


async def test_document_has_defaults_and_allowed_values(document: dict[str, Any]) -> None:
    for name, defaults in DEFAULTS.items():
        properties = body_schema(document, name)["properties"]
        assert (name, {field: properties[field].get("default") for field in defaults}) == (name, defaults)
    for name, fields in VALUES.items():
        properties = body_schema(document, name)["properties"]
        found = {field: set(resolved(document, properties[field])["enum"]) for field in fields}
        assert (name, found) == (name, fields)
    models = body_schema(document, "POST /phone-profiles")["properties"]["compatible_models"]
    assert (models["type"], models["items"]["type"]) == ("array", "string")


async def test_document_has_envelope_of_contract(document: dict[str, Any]) -> None:
    for name in CONTRACT:
        responses = published(document, name)["responses"]
        if "application/json" in (responses.get("200") or responses["201"])["content"]:
            whole = envelope(document, name)
            assert (name, set(whole["required"])) == (name, {"success", "message", "data", "metadata"})
            metadata = resolved(document, whole["properties"]["metadata"])
            assert (name, set(metadata["required"])) == (name, METADATA)
            assert (name, {"total", "limit", "offset"} <= set(metadata["properties"])) == (name, name in LISTS)
        for status in set(responses) - {"200", "201"}:
            error = resolved(document, responses[status])["content"]["application/json"]["schema"]
            whole = resolved(document, error)
            if (name, status) == ("GET /health", "503"):
                continue
            assert (name, status, set(whole["required"])) == (name, status, {"success", "message", "error", "metadata"})
            inner = resolved(document, whole["properties"]["error"])
            assert set(inner["properties"]) == {"code", "message", "fields"}


async def test_document_has_status_codes_of_contract(document: dict[str, Any]) -> None:
    for name, endpoint in CONTRACT.items():
        method, path = name.split()
        responses = set(published(document, name)["responses"])
        expected = {
            "401": name not in WITHOUT_TOKEN or name.startswith("POST"),
            "403": name not in ANY_LEVEL,
            "404": "{" in path or name == "POST /phone-profiles/switch",
            "409": name in CONFLICTS,
            "412": method in ("PUT", "DELETE"),
            **dict.fromkeys(("400", "413", "415"), bool(endpoint.sent)),
            "422": bool(endpoint.sent) or "{" in path or name in LISTS,
        }
        assert (name, {code: code in responses for code in expected}) == (name, expected)


async def test_document_returns_no_secret_field(document: dict[str, Any]) -> None:
    for name, endpoint in CONTRACT.items():
        if endpoint.returned == RAW:
            continue
        data = returned(document, name)
        properties = resolved(document, data.get("items", data)).get("properties", {})
        for field in NEVER_RETURNED & set(properties):
            assert (name, field in endpoint.returned.split(), properties[field]["enum"]) == (name, True, [None])


async def test_document_has_security_of_contract(document: dict[str, Any]) -> None:
    for name in CONTRACT:
        operation = published(document, name)
        if name == "POST /auth/register":
            assert operation["security"] == [{}, {"bearer": []}]
        else:
            assert (name, operation.get("security")) == (name, [] if name in WITHOUT_TOKEN else None)


async def test_document_has_query_parameters_of_lists(document: dict[str, Any]) -> None:
    for name in LISTS:
        operation = document["paths"][PREFIX + name.split()[1]]["get"]
        queries = {each["name"] for each in operation["parameters"] if each["in"] == "query"}
        assert (name, queries) == (name, {"limit", "offset", "q", "sort"})


async def test_document_has_if_match_for_every_change(document: dict[str, Any]) -> None:
    for path, item in document["paths"].items():
        for method in set(item) & {"put", "delete"}:
            headers = {each["name"] for each in item[method]["parameters"] if each["in"] == "header"}
            assert (method, path, headers, "412" in item[method]["responses"]) == (method, path, {"If-Match"}, True)


async def test_document_has_page_sizes_of_audit_log(document: dict[str, Any]) -> None:
    for name, default, most in (("GET /audit-logs", 100, 500), ("GET /audit-logs/by-user/{userUuid}", 50, 200)):
        parameters = {each["name"]: each["schema"] for each in published(document, name)["parameters"]}
        assert (parameters["limit"]["default"], parameters["limit"]["maximum"]) == (default, most)
        assert parameters["offset"]["default"] == 0


async def run_every_operation(site: Site) -> dict[str, Answer]:
    """Run every operation of the contract successfully, and return the responses by operation."""
    answers: dict[str, Answer] = {}

    async def ask(name: str, body: Any = None, **values: str) -> Any:
        method, path = name.split()
        client = site.anonymous if name in WITHOUT_TOKEN else site.admin
        answers[name] = await client.request(method, path.format(**values), body)
        # ``data`` fails the test on errors; a raw body has no envelope.
        return None if CONTRACT[name].returned == RAW else answers[name].data

    async def resource(path: str, body: dict[str, Any], change: dict[str, Any]) -> str:
        """Create, list, show and change a resource; return its uuid or MAC."""
        key = "mac" if path == "/phones" else "uuid"
        one = f"{path}/{{{key}}}"
        made = (await ask(f"POST {path}", body))[key]
        await ask(f"GET {path}")
        await ask(f"GET {one}", **{key: made})
        await ask(f"PUT {one}", change, **{key: made})
        return str(made)

    login = await ask("POST /auth/login", {"username": "admin", "password": PASSWORD})
    refreshed = await ask("POST /auth/refresh", {"refresh_token": login["refreshToken"]})
    await ask("POST /auth/logout", {"refresh_token": refreshed["refreshToken"]})
    await ask("POST /auth/register", user("berta"))
    anna = await resource("/users", user("anna"), {"phone": "1"})
    for name in ("GET /me", "GET /health", "GET /hello", "GET /audit-logs"):
        await ask(name)
    await ask("GET /audit-logs/by-user/{userUuid}", userUuid=site.admin_uuid)
    permission = await resource("/permissions", {"level": 5, "name": "clerk"}, {"description": "a"})
    await ask("POST /user-perms", {"user_uuid": anna, "perm_uuid": permission})
    await ask("GET /user-perms/{userUuid}", userUuid=anna)
    await ask("PUT /cisco-users/{userUuid}", {"pin_code": "1234"}, userUuid=anna)
    await ask("GET /cisco-users/by-user/{userUuid}", userUuid=anna)
    await resource("/phones", {"mac": MAC}, {"name": "a"})
    await ask("GET /cisco-phones")
    await ask("GET /cisco-phones/{mac}", mac=MAC)
    await ask("PUT /cisco-phones/{mac}", {"software": "SIP"}, mac=MAC)
    desk = {"user_uuid": site.admin_uuid, "name": "a", "cnf_xml": CONFIG}
    profile = await resource("/phone-profiles", desk, {"name": "b"})
    await ask("GET /phone-profiles/user/{userUuid}", userUuid=site.admin_uuid)
    await ask("POST /phone-profiles/switch", {"profile_uuid": profile, "mac": MAC})
    await ask("GET /me/phones")
    await ask("GET /phone-config/{mac}", mac=MAC)
    kem = await resource("/cisco-kem", {"connected_phone": MAC}, {"model": "CP-7915"})
    service = await resource("/cisco-services", {"name": "a"}, {"type": "b"})
    contact = await ask("POST /personal-directory/{userUuid}", {"name": "a"}, userUuid=anna)
    await site.admin.post(f"/personal-directory/{site.admin_uuid}", {"name": "mine"})
    await ask("GET /personal-directory/{userUuid}", userUuid=anna)
    await ask("PUT /personal-directory/contact/{uuid}", {"work": "1"}, uuid=contact["uuid"])
    colleague = await resource("/company-directory", {"name": "a"}, {"work": "1"})
    await ask("GET /me/cisco-services/personal")
    await ask("GET /me/cisco-services/company")
    line = {"type": "chan_pjsip", "extension": "101", "name": "a", "password": "b"}
    extension = await resource("/extensions", line, {"description": "c"})
    link = await ask("POST /user-extensions", {"user_uuid": anna, "extension_uuid": extension})
    await ask("GET /user-extensions")
    await ask("GET /user-extensions/by-user/{userUuid}", userUuid=anna)
    await ask("GET /user-extensions/by-extension/{extUuid}", extUuid=extension)
    await ask("DELETE /user-extensions/{uuid}", uuid=link["uuid"])
    await ask("DELETE /extensions/{uuid}", uuid=extension)
    await ask("DELETE /company-directory/{uuid}", uuid=colleague)
    await ask("DELETE /personal-directory/contact/{uuid}", uuid=contact["uuid"])
    await ask("DELETE /cisco-services/{uuid}", uuid=service)
    await ask("DELETE /cisco-kem/{uuid}", uuid=kem)
    await ask("DELETE /phone-profiles/{uuid}", uuid=profile)
    await ask("DELETE /cisco-phones/{mac}", mac=MAC)
    await ask("DELETE /phones/{mac}", mac=MAC)
    await ask("DELETE /cisco-users/{userUuid}", userUuid=anna)
    await ask("DELETE /user-perms/{userUuid}", userUuid=anna)
    await ask("DELETE /permissions/{uuid}", uuid=permission)
    await ask("DELETE /users/{uuid}", uuid=anna)
    return answers


async def test_responses_have_fields_and_messages_of_contract(site: Site) -> None:
    answers = await run_every_operation(site)
    assert set(answers) == set(CONTRACT)
    for name, answer in answers.items():
        endpoint = CONTRACT[name]
        assert (name, answer.status) == (name, 201 if name in CREATED else 200)
        if endpoint.returned == RAW:
            assert answer.headers["Content-Type"].startswith(RAW)
            continue
        assert (name, re.sub(r"^\d+ ", "N ", answer.message)) == (name, endpoint.message)
        data = answer.data
        if name in LISTS:
            # An empty list would not show its fields.
            assert data, name
            assert (name, answer.message.split()[0]) == (name, str(len(data)))
            data = data[0]
        if endpoint.returned:
            assert (name, set(endpoint.returned.split()) - set(data)) == (name, set())
        else:
            assert (name, data) == (name, None)


async def test_unknown_field_is_refused_by_every_operation(site: Site) -> None:
    for name, endpoint in CONTRACT.items():
        if endpoint.sent:
            method, path = name.split()
            path = path.format(mac=MAC, uuid=SUPERADMIN, userUuid=SUPERADMIN, extUuid=SUPERADMIN)
            answer = await site.admin.request(method, path, {"nonsense": 1})
            assert (name, "nonsense" in answer.fields) == (name, True)
