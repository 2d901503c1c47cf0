"""Section 3 of the contract: key expansion modules and phone services."""

from typing import Any

import pytest

from tests.api.client import MAC, Client, Site, check_error

KEM_MAC = "AA:BB:CC:DD:EE:99"
KEM = {
    "model": "CP-7915",
    "mac": KEM_MAC,
    "ip": "192.0.2.9",
    "connected_phone": MAC,
    "software_version": "B015-1-0-4",
    "software_type": "SCCP",
}
SERVICE = {"name": "Weather", "url": "http://192.0.2.5/weather", "type": "menu"}


async def test_kem_life_cycle_answers_as_in_contract(admin: Client) -> None:
    await admin.post("/phones", {"mac": MAC, "model": "CP-7965G"})
    created = await admin.post("/cisco-kem", {**KEM, "connected_phone": "SEPAABBCCDDEE01"})
    assert (created.status, created.message) == (201, "Cisco KEM created")
    assert {name: created.data[name] for name in KEM} == KEM
    assert created.data["warnings"] == []
    path = f"/cisco-kem/{created.data['uuid']}"
    shown = await admin.get(path)
    assert (shown.message, shown.data) == ("Cisco KEM found", created.data)
    for q in ("", "?q=7915", "?q=ee:99", "?q=AABBCCDDEE01", "?sort=-model"):
        listed = await admin.get(f"/cisco-kem{q}")
        assert (listed.message, listed.data) == ("1 cisco KEM(s) found", [created.data])
    changed = await admin.put(path, {"connected_phone": None, "ip": None})
    assert (changed.message, changed.data["connected_phone"], changed.data["ip"], changed.data["mac"]) == (
        "Cisco KEM updated",
        None,
        None,
        KEM_MAC,
    )
    deleted = await admin.delete(path)
    assert (deleted.message, deleted.data) == ("Cisco KEM deleted", None)
    for answer in (await admin.get(path), await admin.put(path, {"ip": None}), await admin.delete(path)):
        check_error(answer, 404)


async def test_kem_incompatible_with_phone_is_stored_with_warning(admin: Client) -> None:
    await admin.post("/phones", {"mac": MAC, "model": "CP-7965G"})
    uuids = []
    for model, codes in (
        ("CP-7915", []),
        ("CP-7916", ["mixed_modules"]),
        ("CP-7915", ["too_many_modules", "mixed_modules"]),
    ):
        made = await admin.post("/cisco-kem", {"model": model, "connected_phone": MAC})
        assert (made.status, [warning["code"] for warning in made.data["warnings"]]) == (201, codes)
        uuids.append(made.data["uuid"])
    shown = (await admin.get(f"/cisco-kem/{uuids[0]}")).data["warnings"]
    assert [warning["code"] for warning in shown] == ["too_many_modules", "mixed_modules"]
    assert all(set(warning) == {"code", "parameters", "message"} for warning in shown)
    await admin.delete(f"/cisco-kem/{uuids[1]}")
    assert [kem["warnings"] for kem in (await admin.get("/cisco-kem")).data] == [[], []]
    await admin.put(f"/phones/{MAC}", {"model": "CP-7942G"})
    (warning,) = (await admin.put(f"/cisco-kem/{uuids[0]}", {"software_version": "1"})).data["warnings"]
    assert warning["code"] == "phone_takes_no_modules"


async def test_kem_is_deleted_with_phone(site: Site) -> None:
    await site.admin.post("/phones", {"mac": MAC})
    made = (await site.admin.post("/cisco-kem", {"model": "CP-7915", "connected_phone": MAC})).data
    other = (await site.admin.post("/cisco-kem", {"model": "CP-7916"})).data
    await site.admin.delete(f"/phones/{MAC}")
    assert (await site.admin.get("/cisco-kem")).data == [other]
    row = (await site.admin.whole_audit_log())[-1]
    assert (row["action"], row["payload"]) == ("phone.deleted", {"kems": [{"uuid": made["uuid"], "model": "CP-7915"}]})


async def test_kem_of_unknown_phone_is_refused(admin: Client) -> None:
    answer = await admin.post("/cisco-kem", KEM)
    check_error(answer, 422)
    assert list(answer.fields) == ["connected_phone"]
    made = (await admin.post("/cisco-kem", {})).data
    answer = await admin.put(f"/cisco-kem/{made['uuid']}", {"connected_phone": MAC})
    assert list(answer.fields) == ["connected_phone"]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("mac", "nonsense"),
        ("mac", "FF:FF:FF:FF:FF:FF"),
        ("connected_phone", "00:00:00:00:00:00"),
        ("connected_phone", 7),
        ("ip", "192.0.2.300"),
        ("model", "m" * 65),
        ("software_type", []),
    ],
)
async def test_kem_with_invalid_field_is_422(admin: Client, field: str, value: Any) -> None:
    answer = await admin.post("/cisco-kem", {field: value})
    check_error(answer, 422)
    assert list(answer.fields) == [field]


async def test_service_life_cycle_answers_as_in_contract(admin: Client) -> None:
    created = await admin.post("/cisco-services", SERVICE)
    assert (created.status, created.message) == (201, "Cisco service created")
    assert {name: created.data[name] for name in SERVICE} == SERVICE
    path = f"/cisco-services/{created.data['uuid']}"
    shown = await admin.get(path)
    assert (shown.message, shown.data) == ("Cisco service found", created.data)
    listed = await admin.get("/cisco-services?q=weather&sort=-name")
    assert (listed.message, listed.data) == ("1 cisco service(s) found", [created.data])
    changed = await admin.put(path, {"url": "Application:Cisco/MissedCalls", "type": None})
    assert (changed.message, changed.data["url"], changed.data["type"], changed.data["name"]) == (
        "Cisco service updated",
        "Application:Cisco/MissedCalls",
        None,
        "Weather",
    )
    deleted = await admin.delete(path)
    assert (deleted.message, deleted.data) == ("Cisco service deleted", None)
    for answer in (await admin.get(path), await admin.put(path, {"name": "a"}), await admin.delete(path)):
        check_error(answer, 404)
    answer = await admin.post("/cisco-services", {"url": "u" * 257})
    assert list(answer.fields) == ["url"]
