"""Section 0 of the contract: PUT changes only what is sent."""

from typing import Any

import pytest

from tests.api.client import CONFIG, Site, check_error, user

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.fixture
def site(shared_site: Site) -> Site:
    return shared_site


CONTACT = {"work": "101", "mobile": "0171", "home": "7", "email": "j@example.org", "ringtone": "Chime.raw"}
CLEARABLE = {
    "users": ("phone", "location", "nationality"),
    "phones": (
        *("model", "phone_ip", "location", "description", "name", "hostname"),
        *("phone_vlan", "brand", "software_version", "emergency_location", "emergency_caller_id"),
    ),
    "permissions": ("description",),
    "phone-profiles": ("description",),
    "cisco-kem": ("model", "mac", "ip", "connected_phone", "software_version", "software_type"),
    "cisco-services": ("name", "url", "type"),
    "personal-directory": ("work", "mobile", "home", "email", "ringtone"),
    "company-directory": (
        *("work", "mobile", "home", "email", "ringtone", "department", "company", "location", "building"),
    ),
    "extensions": ("description",),
    "sites": ("emergency_location", "emergency_caller_id"),
}
FILLED: dict[str, dict[str, Any]] = {
    "users": {"phone": "+49 1", "location": "Bonn", "nationality": "DE", "lang": "de", "timezone": "Europe/Berlin"},
    "phones": {
        "model": "CP-7942G",
        "phone_ip": "192.0.2.7",
        "location": "Lobby",
        "description": "By the door",
        "name": "Lobby phone",
        "hostname": "lobby",
        "phone_vlan": 12,
        "brand": "Cisco",
        "software_version": "9-4-2",
        "software": "SCCP",
        "is_active": False,
        "emergency_location": "Rua Augusta 1",
        "emergency_caller_id": "112",
    },
    "permissions": {"level": 7, "description": "Reads"},
    "phone-profiles": {"description": "For guests", "compatible_models": ["7942"], "software_type": "SIP"},
    "cisco-kem": {"model": "CP-7915", "ip": "192.0.2.8", "software_version": "1-0-4", "software_type": "SCCP"},
    "cisco-services": {"name": "Weather", "url": "http://192.0.2.5/weather", "type": "menu"},
    "personal-directory": {**CONTACT, "name": "José"},
    "company-directory": {
        **CONTACT,
        "name": "José",
        "department": "Sales",
        "company": "ACME",
        "location": "Bonn",
        "building": "B",
    },
    "extensions": {"type": "chan_sip", "name": "Lobby", "description": "By the door", "is_active": False},
    "sites": {"emergency_location": "Rua Augusta 1", "emergency_caller_id": "112", "logout_at": ["20:00"]},
}
DEFAULTS: dict[str, dict[str, Any]] = {
    "users": {"lang": "en", "timezone": "UTC", "is_active": True},
    "phones": {"software": "SIP", "is_active": True},
    "phone-profiles": {"compatible_models": [], "software_type": None, "placeholders": False},
    "extensions": {"voicemail": False, "is_active": True},
    "sites": {"logout_at": None, "logout_profile_uuid": None},
}
REQUIRED = {
    "users": ("first_name", "last_name", "username", "email", "password"),
    "phones": ("mac",),
    "permissions": ("level", "name"),
    "phone-profiles": ("user_uuid", "name", "cnf_xml"),
    "personal-directory": ("name",),
    "company-directory": ("name",),
    "extensions": ("type", "extension", "name", "password"),
    "sites": ("name",),
}


async def filled(site: Site, resource: str) -> tuple[str, dict[str, Any]]:
    """Create a resource with a value in every field; return its path and content."""
    bodies: dict[str, dict[str, Any]] = {
        "users": user(site.name()),
        "phones": {"mac": site.mac()},
        "permissions": {"name": site.name()},
        "phone-profiles": {"user_uuid": site.admin_uuid, "name": "Reception", "cnf_xml": CONFIG},
        "cisco-kem": {"mac": site.mac(), "connected_phone": site.mac()},
        "extensions": {"extension": site.name(), "password": "secret"},
        "sites": {"name": site.name()},
    }
    if resource == "cisco-kem":
        await site.admin.post("/phones", {"mac": bodies[resource]["connected_phone"]})
    body = {**bodies.get(resource, {}), **FILLED[resource]}
    made = (await site.admin.post(collection(site, resource), body)).data
    if resource == "personal-directory":
        return f"/{resource}/contact/{made['uuid']}", made
    return f"/{resource}/{made.get('uuid') or made['mac']}", made


def collection(site: Site, resource: str) -> str:
    """Return the path that creates a resource."""
    return f"/{resource}/{site.admin_uuid}" if resource == "personal-directory" else f"/{resource}"


def content_of(resource: dict[str, Any]) -> dict[str, Any]:
    """Return the fields that only clients change."""
    itself = ("updated_at", "updated_ip", "last_uuid", "warnings")
    return {name: value for name, value in resource.items() if name not in itself}


@pytest.mark.parametrize("resource", FILLED)
async def test_creation_returns_every_field(site: Site, resource: str) -> None:
    path, made = await filled(site, resource)
    assert {name: made[name] for name in FILLED[resource]} == FILLED[resource]
    assert content_of((await site.admin.get(path)).data) == content_of(made)


@pytest.mark.parametrize("resource", FILLED)
async def test_put_changes_only_sent_fields(site: Site, resource: str) -> None:
    path, made = await filled(site, resource)
    for name, value in FILLED[resource].items():
        changed = (await site.admin.put(path, {name: value})).data
        assert content_of(changed) == content_of(made)
    assert content_of((await site.admin.put(path, {})).data) == content_of(made)
    phone = site.mac()
    await site.admin.post("/phones", {"mac": phone})
    values = {"phone_vlan": 99, "phone_ip": "192.0.2.99", "ip": "192.0.2.99", "mac": phone, "connected_phone": phone}
    for name in CLEARABLE[resource]:
        value = values.get(name, "other")
        made[name] = value
        assert content_of((await site.admin.put(path, {name: value})).data) == content_of(made)


@pytest.mark.parametrize("resource", CLEARABLE)
async def test_null_in_put_clears_optional_field(site: Site, resource: str) -> None:
    path, _ = await filled(site, resource)
    for name in CLEARABLE[resource]:
        assert (await site.admin.put(path, {name: None})).data[name] is None
        assert (await site.admin.get(path)).data[name] is None


@pytest.mark.parametrize("resource", DEFAULTS)
async def test_null_in_put_restores_default(site: Site, resource: str) -> None:
    path, _ = await filled(site, resource)
    for name, default in DEFAULTS[resource].items():
        assert (await site.admin.put(path, {name: None})).data[name] == default
        assert (await site.admin.get(path)).data[name] == default


async def test_null_in_post_equals_absent_field(site: Site) -> None:
    optional = dict.fromkeys(["phone", "location", "nationality", "lang", "timezone", "is_active"])
    made = (await site.admin.post("/users", {**user(site.name()), **optional})).data
    assert {name: made[name] for name in DEFAULTS["users"]} == DEFAULTS["users"]
    optional = dict.fromkeys([*CLEARABLE["phones"], *DEFAULTS["phones"]])
    made = (await site.admin.post("/phones", {"mac": site.mac(), **optional})).data
    assert {name: made[name] for name in DEFAULTS["phones"]} == DEFAULTS["phones"]


@pytest.mark.parametrize("resource", REQUIRED)
async def test_null_in_required_field_is_422(site: Site, resource: str) -> None:
    path, made = await filled(site, resource)
    for name in REQUIRED[resource]:
        answer = await site.admin.put(path, {name: None})
        check_error(answer, 422)
        assert list(answer.fields) == [name]
    assert content_of((await site.admin.get(path)).data) == content_of(made)


async def test_put_of_phone_accepts_its_own_mac(site: Site) -> None:
    path, made = await filled(site, "phones")
    same = made["mac"].replace(":", "").lower()
    assert content_of((await site.admin.put(path, {"mac": same, "name": "other"})).data) == {
        **content_of(made),
        "name": "other",
    }
    answer = await site.admin.put(path, {"mac": site.mac(), "name": "third"})
    check_error(answer, 422)
    assert list(answer.fields) == ["mac"]
    assert (await site.admin.get(path)).data["name"] == "other"


@pytest.mark.parametrize("resource", REQUIRED)
async def test_missing_required_field_is_422(site: Site, resource: str) -> None:
    answer = await site.admin.post(collection(site, resource), {})
    check_error(answer, 422)
    assert set(answer.fields) == set(REQUIRED[resource])
