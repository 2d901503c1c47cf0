"""Section 2 of the contract: the audit log has a row for every change, and no row contains a secret."""

import json
import logging
from typing import Any

import pytest

from tests.api.client import MAC, SWITCH, UNKNOWN, Client, Site, check_error
from tests.api.conftest import SiteWith

FIELDS = {
    *("uuid", "user_uuid", "action", "entity_type", "entity_uuid", "payload", "ip", "user_agent", "created_at"),
}
PASSWORD, NEW_PASSWORD, PIN = "sentinel-password-1", "sentinel-password-2", "8264013579"
XML = (
    "<device><sipProfile><sipLines><line button='1'><authPassword>sentinel-auth</authPassword></line></sipLines>"
    "</sipProfile><sshPassword>sentinel-ssh</sshPassword><phonePassword>sentinel-phone</phonePassword></device>"
)


async def make_all_changes(site: Site) -> list[str]:
    """Make every kind of change once, and return the secrets that were used."""
    admin = site.admin
    anna = await admin.new_user("anna", password=PASSWORD)
    await admin.put(f"/users/{anna}", {"password": NEW_PASSWORD, "phone": "1"})
    clerk = await admin.new_permission(5, "clerk")
    await admin.put(f"/permissions/{clerk}", {"description": "Reads"})
    await admin.post("/user-perms", {"user_uuid": anna, "perm_uuid": clerk})
    await admin.put(f"/cisco-users/{anna}", {"pin_code": PIN})
    await admin.put(f"/cisco-users/{anna}", {"pin_code": PIN[::-1]})
    await admin.post("/phones", {"mac": MAC})
    await admin.put(f"/phones/{MAC}", {"name": "Lobby"})
    await admin.put(f"/cisco-phones/{MAC}", {"software": "SIPE"})
    profile = await admin.new_profile(anna, cnf_xml=XML)
    await admin.put(f"/phone-profiles/{profile}", {"cnf_xml": XML.replace("button='1'", "button='2'")})
    await admin.post(SWITCH, {"profile_uuid": profile, "mac": MAC})
    await _change_related_resources(admin, anna)
    first = (await site.anonymous.post("/auth/login", {"username": "anna", "password": NEW_PASSWORD})).data
    second = (await site.anonymous.post("/auth/refresh", {"refresh_token": first["refreshToken"]})).data
    await site.anonymous.post("/auth/refresh", {"refresh_token": first["refreshToken"]})
    third = (await site.anonymous.post("/auth/login", {"username": "anna", "password": NEW_PASSWORD})).data
    await site.anonymous.post("/auth/login", {"username": "anna", "password": "sentinel-wrong"})
    client = site.anonymous.with_token(third["accessToken"])
    await client.post("/auth/logout", {"refresh_token": third["refreshToken"]})
    await admin.post("/auth/register", {**_registration(), "password": PASSWORD})
    await admin.delete(f"/cisco-phones/{MAC}")
    await admin.delete(f"/cisco-users/{anna}")
    await admin.delete(f"/user-perms/{anna}")
    await admin.delete(f"/permissions/{clerk}")
    await admin.delete(f"/phone-profiles/{profile}")
    await admin.delete(f"/phones/{MAC}")
    await admin.delete(f"/users/{anna}")
    tokens = [login[name] for login in (first, second, third) for name in ("accessToken", "refreshToken")]
    typed = [PASSWORD, NEW_PASSWORD, PIN, PIN[::-1], "sentinel-wrong", "sentinel-line", "sentinel-mail"]
    return [*typed, "sentinel-auth", "sentinel-ssh", "sentinel-phone", "argon2", str(admin.token), *tokens]


async def _change_related_resources(admin: Client, anna: str) -> None:
    """Create, change and delete the resources around the phone."""
    secrets = {"password": "sentinel-line", "voicemail_passcode": "sentinel-mail"}
    line = {"type": "custom", "extension": "101", "name": "Lobby", "voicemail": True}
    resources: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
        "/cisco-kem": ({"connected_phone": MAC}, {"model": "CP-7915"}),
        "/cisco-services": ({"name": "Weather"}, {"type": "menu"}),
        "/company-directory": ({"name": "Zoe"}, {"work": "101"}),
        "/extensions": ({**line, **secrets}, secrets),
    }
    made = {}
    for path, (body, change) in resources.items():
        made[path] = (await admin.post(path, body)).data["uuid"]
        await admin.put(f"{path}/{made[path]}", change)
    link = await admin.post("/user-extensions", {"user_uuid": anna, "extension_uuid": made["/extensions"]})
    await admin.delete(f"/user-extensions/{link.data['uuid']}")
    contact = (await admin.post(f"/personal-directory/{anna}", {"name": "Zoe"})).data["uuid"]
    await admin.put(f"/personal-directory/contact/{contact}", {"work": "101"})
    await admin.delete(f"/personal-directory/contact/{contact}")
    for path, uuid in made.items():
        await admin.delete(f"{path}/{uuid}")


def _registration() -> dict[str, str]:
    return {"first_name": "B", "last_name": "T", "username": "berta", "email": "b@example.com"}


async def test_every_change_has_an_audit_row_in_order(site: Site) -> None:
    await make_all_changes(site)
    rows = await site.admin.whole_audit_log()
    assert [row["action"] for row in rows] == [
        "user.created",
        "auth.login",
        "user.created",
        "user.updated",
        "permission.created",
        "permission.updated",
        "user.permission_given",
        "cisco_user.created",
        "cisco_user.updated",
        "phone.created",
        "phone.updated",
        "cisco_phone.updated",
        "profile.created",
        "profile.updated",
        "profile.switched",
        "cisco_kem.created",
        "cisco_kem.updated",
        "cisco_service.created",
        "cisco_service.updated",
        "company_contact.created",
        "company_contact.updated",
        "extension.created",
        "extension.updated",
        "user_extension.created",
        "user_extension.deleted",
        "personal_contact.created",
        "personal_contact.updated",
        "personal_contact.deleted",
        "cisco_kem.deleted",
        "cisco_service.deleted",
        "company_contact.deleted",
        "extension.deleted",
        "auth.login",
        "auth.refresh_reused",
        "auth.login",
        "auth.logout",
        "auth.register",
        "cisco_phone.deleted",
        "cisco_user.deleted",
        "user.permission_taken",
        "permission.deleted",
        "profile.deleted",
        "phone.deleted",
        "user.deleted",
    ]
    for row in rows:
        assert set(row) == FIELDS
        assert row["entity_type"] == row["action"].partition(".")[0]
        assert isinstance(row["payload"], dict)
        assert row["entity_uuid"]
    by_admin = [row for row in rows[2:] if not row["action"].startswith("auth.")]
    assert {row["user_uuid"] for row in by_admin} == {site.admin_uuid}
    assert {row["ip"] for row in rows[1:]} == {"127.0.0.1"}
    assert all("aiohttp" in row["user_agent"] for row in rows[1:])


async def test_audit_rows_and_log_contain_no_secret(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        secrets = await make_all_changes(site)
    written = json.dumps(await site.admin.whole_audit_log())
    assert [secret for secret in secrets if secret in written] == []
    assert [secret for secret in secrets if secret in caplog.text] == []


async def test_audit_row_of_switch_names_deployment(site: Site) -> None:
    profile = await site.admin.new_profile(site.admin_uuid)
    done = (await site.admin.post(SWITCH, {"profile_uuid": profile, "mac": MAC})).data
    row = (await site.admin.whole_audit_log())[-1]
    assert (row["action"], row["entity_type"], row["entity_uuid"]) == ("profile.switched", "profile", profile)
    assert row["payload"] == {"deployment": done["deployment"], "mac": MAC, "sha256": done["sha256"]}


async def test_refused_request_has_no_audit_row(site: Site) -> None:
    before = await site.admin.whole_audit_log()
    profile = await site.admin.post("/phone-profiles", {"user_uuid": UNKNOWN, "name": "a", "cnf_xml": "<device/>"})
    assert profile.status == 422
    for answer in (
        await site.admin.delete(f"/users/{site.admin_uuid}"),
        await site.admin.put(f"/users/{site.admin_uuid}", {"phone": "1"}, If_Match='"old"'),
        await site.admin.post(SWITCH, {"profile_uuid": UNKNOWN, "mac": MAC}),
    ):
        assert answer.status in (404, 409, 412)
    assert await site.admin.whole_audit_log() == before


async def test_audit_log_is_paged_newest_first(site: Site) -> None:
    for number in range(60):
        await site.admin.put(f"/users/{site.admin_uuid}", {"phone": str(number)})
    everything = await site.admin.get("/audit-logs?limit=500")
    assert everything.message == "62 log(s) found"
    times = [row["created_at"] for row in everything.data]
    assert times == sorted(times, reverse=True)
    assert everything.data[-1]["action"] == "user.created"
    plain = await site.admin.get("/audit-logs")
    assert (plain.metadata["limit"], plain.metadata["total"], len(plain.data)) == (100, 62, 62)
    part = await site.admin.get("/audit-logs?limit=2&offset=59")
    assert (part.message, part.data) == ("2 log(s) found", everything.data[59:61])
    by_user = await site.admin.get(f"/audit-logs/by-user/{site.admin_uuid}")
    assert (by_user.metadata["limit"], by_user.metadata["total"], len(by_user.data)) == (50, 61, 50)
    assert by_user.data == everything.data[:50]
    assert (await site.admin.get(f"/audit-logs/by-user/{UNKNOWN}")).message == "0 log(s) found"
    for query in ("/audit-logs?limit=501", f"/audit-logs/by-user/{UNKNOWN}?limit=201", "/audit-logs?offset=-1"):
        check_error(await site.admin.get(query), 422)
    assert (await site.admin.get(f"/audit-logs/by-user/{UNKNOWN}?limit=200")).status == 200


async def test_audit_row_has_client_address_from_trusted_proxy(site_with: SiteWith) -> None:
    async with site_with(server={"trusted_proxies": ["127.0.0.1"]}, auth={"public_register": True}) as site:
        await site.anonymous.post(
            "/auth/register",
            {**_registration(), "password": PASSWORD},
            X_Forwarded_For="192.0.2.66",
            User_Agent="x" * 300,
        )
        row = (await site.admin.whole_audit_log())[-1]
        assert (row["action"], row["user_uuid"], row["ip"]) == ("auth.register", None, "192.0.2.66")
        assert row["user_agent"] == "x" * 256
