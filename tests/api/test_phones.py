"""Section 2 of the contract: phones, their current profiles and their served configs."""

from typing import Any

import pytest

from tests.api.client import CONFIG, MAC, SWITCH, Client, Site, check_error

FIELDS = {
    *("mac", "model", "phone_ip", "location", "description", "software", "name", "hostname", "phone_vlan"),
    *("brand", "software_version", "is_active", "current_profile_uuid"),
}


async def test_phone_life_cycle_answers_as_in_contract(admin: Client) -> None:
    body = {
        "mac": MAC,
        "model": "CP-7942G",
        "phone_ip": "192.0.2.7",
        "location": "Lobby",
        "description": "By the door",
        "software": "SCCP",
        "name": "Lobby phone",
        "hostname": "lobby",
        "phone_vlan": 12,
        "brand": "Cisco",
        "software_version": "9-4-2",
        "is_active": False,
    }
    created = await admin.post("/phones", body)
    assert (created.status, created.message) == (201, "Phone created")
    assert set(created.data) >= FIELDS
    assert {name: created.data[name] for name in body} == body
    assert created.data["current_profile_uuid"] is None
    shown = await admin.get(f"/phones/{MAC}")
    assert (shown.message, shown.data) == ("Phone found", created.data)
    listed = await admin.get("/phones")
    assert (listed.message, listed.data) == ("1 phone(s) found", [created.data])
    changed = await admin.put(f"/phones/{MAC}", {"name": "Other", "software": "SIPE"})
    assert changed.message == "Phone updated"
    assert (changed.data["name"], changed.data["software"], changed.data["model"]) == ("Other", "SIPE", "CP-7942G")
    deleted = await admin.delete(f"/phones/{MAC}")
    assert (deleted.status, deleted.message, deleted.data) == (200, "Phone deleted", None)
    check_error(await admin.get(f"/phones/{MAC}"), 404)
    check_error(await admin.put(f"/phones/{MAC}", {"name": "a"}), 404)
    check_error(await admin.delete(f"/phones/{MAC}"), 404)
    assert (await admin.get("/phones")).message == "0 phone(s) found"


async def test_phone_software_defaults_to_sip(admin: Client) -> None:
    made = (await admin.post("/phones", {"mac": MAC})).data
    assert (made["software"], made["is_active"], made["model"]) == ("SIP", True, None)


async def test_phone_with_duplicate_mac_is_409(admin: Client) -> None:
    await admin.post("/phones", {"mac": MAC})
    check_error(await admin.post("/phones", {"mac": "SEPAABBCCDDEE01"}), 409)


async def test_phone_with_invalid_field_is_422(admin: Client) -> None:
    wrong: list[tuple[str, Any]] = [
        ("phone_ip", "192.0.2.300"),
        ("phone_ip", "lobby"),
        ("software", "H323"),
        ("software", ""),
        ("phone_vlan", 4096),
        ("phone_vlan", -1),
        ("phone_vlan", 1.5),
        ("phone_vlan", "twelve"),
        ("is_active", "perhaps"),
        ("name", "a" * 256),
        ("model", 7942),
    ]
    for field, value in wrong:
        answer = await admin.post("/phones", {"mac": MAC, field: value})
        check_error(answer, 422)
        assert list(answer.fields) == [field]
    check_error(await admin.get(f"/phones/{MAC}"), 404)


@pytest.mark.parametrize("written", ["2001:DB8:0:0:0:0:0:7", "2001:db8::7"])
async def test_phone_ip_is_returned_in_canonical_form(admin: Client, written: str) -> None:
    assert (await admin.post("/phones", {"mac": MAC, "phone_ip": written})).data["phone_ip"] == "2001:db8::7"


# Cisco phones


async def test_cisco_phone_exists_for_every_phone(site: Site) -> None:
    admin, profile = site.admin, await site.admin.new_profile(site.admin_uuid)
    await admin.post("/phones", {"mac": MAC, "software": "SIPE"})
    entry = {"mac": MAC, "software": "SIPE", "current_profile_uuid": None}
    listed = await admin.get("/cisco-phones")
    assert (listed.message, listed.data) == ("1 cisco phone(s) found", [entry])
    shown = await admin.get(f"/cisco-phones/{MAC}")
    assert (shown.message, shown.data) == ("Cisco phone found", entry)
    changed = await admin.put(f"/cisco-phones/{MAC}", {"software": "SCCP"})
    assert (changed.message, changed.data) == ("Cisco phone updated", {**entry, "software": "SCCP"})
    assert (await admin.get(f"/phones/{MAC}")).data["software"] == "SCCP"
    await admin.post(SWITCH, {"profile_uuid": profile, "mac": MAC})
    assert (await admin.get(f"/cisco-phones/{MAC}")).data["current_profile_uuid"] == profile


async def test_cisco_phone_deletion_keeps_phone(site: Site) -> None:
    admin, profile = site.admin, await site.admin.new_profile(site.admin_uuid)
    await admin.post("/phones", {"mac": MAC, "name": "Lobby"})
    await admin.post(SWITCH, {"profile_uuid": profile, "mac": MAC})
    deleted = await admin.delete(f"/cisco-phones/{MAC}")
    assert (deleted.message, deleted.data) == ("Cisco phone deleted", None)
    phone = (await admin.get(f"/phones/{MAC}")).data
    assert (phone["name"], phone["software"], phone["current_profile_uuid"]) == ("Lobby", None, None)
    check_error(await admin.get(f"/cisco-phones/{MAC}"), 404)
    check_error(await admin.delete(f"/cisco-phones/{MAC}"), 404)
    assert (await admin.get("/cisco-phones")).data == []
    assert (await admin.get(f"/phone-config/{MAC}")).content == CONFIG.encode()
    again = (await admin.put(f"/cisco-phones/{MAC}", {"software": "SIP"})).data
    assert again == {"mac": MAC, "software": "SIP", "current_profile_uuid": None}


async def test_cisco_phone_of_unknown_phone_is_404(admin: Client) -> None:
    check_error(await admin.put(f"/cisco-phones/{MAC}", {"software": "SIP"}), 404)
    await admin.post("/phones", {"mac": MAC})
    for body in ({}, {"software": None}, {"software": "sip"}):
        answer = await admin.put(f"/cisco-phones/{MAC}", body)
        check_error(answer, 422)
        assert list(answer.fields) == ["software"]


async def test_cisco_phone_is_deleted_with_phone(admin: Client) -> None:
    await admin.post("/phones", {"mac": MAC, "software": "SCCP"})
    await admin.delete(f"/phones/{MAC}")
    check_error(await admin.get(f"/cisco-phones/{MAC}"), 404)
    assert (await admin.get("/cisco-phones")).data == []
    assert (await admin.post("/phones", {"mac": MAC})).data["software"] == "SIP"


# Served configs


async def test_phone_config_is_the_served_file(site: Site) -> None:
    admin, profile = site.admin, await site.admin.new_profile(site.admin_uuid)
    check_error(await admin.get(f"/phone-config/{MAC}"), 404)
    await admin.post("/phones", {"mac": MAC})
    check_error(await admin.get(f"/phone-config/{MAC}"), 404)
    await admin.post(SWITCH, {"profile_uuid": profile, "mac": MAC})
    served = await admin.get(f"/phone-config/{MAC}")
    assert (served.status, served.content) == (200, CONFIG.encode())
    assert served.headers["Content-Type"] == "application/xml"
    assert served.headers["X-Request-ID"]
    site.served().write_bytes(b"<device>by hand</device>")
    assert (await admin.get(f"/phone-config/{MAC}")).content == b"<device>by hand</device>"
    await admin.delete(f"/phones/{MAC}")
    check_error(await admin.get(f"/phone-config/{MAC}"), 404)
