"""Phone logins, default profiles and sites over the API."""

import sqlite3
from contextlib import closing
from typing import Any

import pytest

from tests.api.client import CONFIG, MAC, UNKNOWN, Client, Site, check_error

SITE = {
    "name": "Lisbon",
    "logout_profile_uuid": None,
    "emergency_location": "Rua Augusta 1",
    "emergency_caller_id": "+351 21 112",
    "logout_at": ["12:30", "20:00"],
}
LOGIN = {
    *("uuid", "mac", "phone_name", "location", "user_uuid", "username", "profile_uuid", "profile_name", "way"),
    *(
        "state",
        "logged_in_at",
        "until",
        "deployment",
        "reason",
        "reason_message",
        "returned_to",
        "ended_at",
        "ended_by",
    ),
}


def write_login(site: Site, user_uuid: str, mac: str = MAC, **columns: Any) -> None:
    """Store an open login, as a phone creates it."""
    row = {
        "uuid": UNKNOWN,
        "mac": mac.replace(":", ""),
        "user_uuid": user_uuid,
        "username": "anna",
        "profile_uuid": UNKNOWN,
        "profile_name": "Reception",
        "way": "phone",
        "takes_over": 0,
        "is_only": 1,
        "requested_at": "2026-06-28T12:00:00.000Z",
        "logged_in_at": "2026-06-28T12:00:00.100Z",
        **columns,
    }
    with closing(sqlite3.connect(site.settings.data.dir / "cisisk.db")) as store:
        names, marks = ", ".join(row), ", ".join("?" * len(row))
        store.execute(f"INSERT INTO phone_logins ({names}) VALUES ({marks})", tuple(row.values()))  # noqa: S608 -- no user input
        store.commit()


async def test_site_life_cycle_answers_as_in_contract(site: Site) -> None:
    created = await site.admin.post("/sites", SITE)
    assert (created.status, created.message) == (201, "Site created")
    assert {name: created.data[name] for name in SITE} == SITE
    path = f"/sites/{created.data['uuid']}"
    shown = await site.admin.get(path)
    assert (shown.message, shown.data, shown.etag) == ("Site found", created.data, created.etag)
    listed = await site.admin.get("/sites?q=augusta&sort=-name")
    assert (listed.message, listed.data) == ("1 site(s) found", [created.data])
    changed = await site.admin.put(path, {"logout_at": None}, If_Match=shown.etag)
    assert (changed.message, changed.data["logout_at"], changed.data["name"]) == ("Site updated", None, "Lisbon")
    check_error(await site.admin.delete(path, If_Match=shown.etag), 412)
    check_error(await site.admin.post("/sites", {"name": "LISBON"}), 409)
    assert (await site.admin.delete(path)).message == "Site deleted"
    for answer in (await site.admin.get(path), await site.admin.put(path, {}), await site.admin.delete(path)):
        check_error(answer, 404)
    rows = [row["action"] for row in await site.admin.whole_audit_log() if row["entity_type"] == "site"]
    assert rows == ["site.created", "site.updated", "site.deleted"]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", ""),
        ("logout_at", ["24:00"]),
        ("logout_at", "20:00"),
        ("logout_at", [f"{hour:02}:{minute:02}" for hour in range(13) for minute in (0, 30)]),
        ("logout_profile_uuid", UNKNOWN),
        ("emergency_caller_id", "1" * 65),
    ],
)
async def test_site_with_invalid_field_is_422(admin: Client, field: str, value: Any) -> None:
    answer = await admin.post("/sites", {**SITE, field: value})
    check_error(answer, 422)
    assert next(iter(answer.fields)).partition(".")[0] == field


async def test_phone_has_logout_profile_and_emergency_fields(site: Site) -> None:
    own = {
        "logout_profile_uuid": await site.admin.new_profile(site.admin_uuid),
        "emergency_location": "Lobby",
        "emergency_caller_id": "112",
    }
    made = (await site.admin.post("/phones", {"mac": MAC, **own})).data
    assert {name: made[name] for name in own} == own
    answer = await site.admin.put(f"/phones/{MAC}", {"logout_profile_uuid": UNKNOWN})
    assert answer.fields == {"logout_profile_uuid": ["No such profile"]}


async def test_phone_logins_list_open_and_with_history_all(site: Site) -> None:
    anna = await site.admin.new_user("anna")
    me = await site.anonymous.login("anna")
    await site.admin.post("/phones", {"mac": MAC, "name": "Lobby phone", "location": "Lisbon"})
    write_login(site, anna, uuid=UNKNOWN.replace("6", "7"), reason="idle", ended_at="2026-06-28T12:00:00.200Z")
    write_login(site, anna)
    listed = await site.admin.get("/phone-logins")
    assert listed.message == "1 login(s) found"
    (login,) = listed.data
    assert set(login) == LOGIN
    assert (login["mac"], login["phone_name"], login["location"]) == (MAC, "Lobby phone", "Lisbon")
    assert (login["state"], login["way"], login["reason"]) == ("open", "phone", None)
    assert (await me.get("/me")).data["logins"] == [login] == (await me.get("/me/logins")).data
    history = await site.admin.get("/phone-logins?history=true&limit=1&offset=1")
    assert (history.metadata["total"], [each["reason"] for each in history.data]) == (2, ["idle"])
    assert len((await me.get("/me/logins?history=true")).data) == 2
    assert (await site.admin.get("/me")).data["logins"] == [] == (await site.admin.get("/me/logins")).data
    assert (await site.admin.get("/phone-logins?q=lobby&sort=username")).data == [login]
    check_error(await me.get("/phone-logins"), 403)


async def test_logout_by_administrator_of_phone_and_user(site: Site) -> None:
    anna = await site.admin.new_user("anna")
    check_error(await site.admin.post(f"/phone-logins/{MAC}/logout"), 404)
    check_error(await site.admin.post(f"/users/{UNKNOWN}/logout-phones"), 404)
    home = await site.admin.new_profile(site.admin_uuid, cnf_xml=CONFIG.replace("101", "home"))
    await site.admin.post("/phones", {"mac": MAC, "logout_profile_uuid": home})
    write_login(site, anna)
    ended = await site.admin.post(f"/phone-logins/{MAC}/logout")
    assert ended.message == "Logged out"
    assert (ended.data["state"], ended.data["reason"], ended.data["returned_to"]) == ("ended", "administrator", "phone")
    assert ended.data["ended_by"] == (await site.admin.get("/deployments")).data[0]["uuid"]
    assert "home" in site.served().read_text("utf-8")

    other = "AA:BB:CC:DD:EE:02"
    write_login(site, anna, other, uuid=UNKNOWN.replace("6", "7"))
    ended = await site.admin.post(f"/users/{anna}/logout-phones")
    assert ended.message == "1 login(s) ended"
    assert [(login["mac"], login["returned_to"], login["ended_by"]) for login in ended.data] == [
        (other, "nothing", None)
    ]
    assert (await site.admin.post(f"/users/{anna}/logout-phones")).data == []
    actions = [(row["action"], row["payload"].get("reason")) for row in await site.admin.whole_audit_log()]
    assert actions.count(("phone_login.ended", "administrator")) == 2


async def test_logout_by_administrator_cancels_deferred_login(site: Site) -> None:
    anna = await site.admin.new_user("anna")
    write_login(site, anna, logged_in_at=None)
    called_off = await site.admin.post(f"/phone-logins/{MAC}/logout")
    assert (called_off.status, called_off.message) == (200, "Logged out")
    assert (called_off.data["uuid"], called_off.data["logged_in_at"]) == (UNKNOWN, None)
    assert (called_off.data["state"], called_off.data["reason"]) == ("ended", "administrator")
    check_error(await site.admin.post(f"/phone-logins/{MAC}/logout"), 404)
    write_login(site, anna, logged_in_at=None)
    assert (await site.admin.post(f"/users/{anna}/logout-phones")).message == "1 login(s) ended"


async def test_switch_over_api_ends_login(site: Site) -> None:
    anna = await site.admin.new_user("anna")
    write_login(site, anna)
    await site.admin.post("/phone-profiles/switch", {"mac": MAC, "profile_uuid": await site.admin.new_profile(anna)})
    (login,) = (await site.admin.get("/phone-logins?history=true")).data
    assert (login["state"], login["reason"]) == ("ended", "switched")


async def test_uploaded_config_ends_login(site: Site) -> None:
    write_login(site, await site.admin.new_user("anna"))
    uploaded = await site.admin.request(
        "PUT", "/files/SEPAABBCCDDEE01.cnf.xml", content=CONFIG.encode(), Content_Type="application/octet-stream"
    )
    assert uploaded.status in (200, 201), uploaded.content
    assert (await site.admin.get("/phone-logins")).data == []


async def test_default_profiles_are_set_shown_and_cleared(site: Site) -> None:
    anna = await site.admin.new_user("anna")
    desk = await site.admin.new_profile(anna, name="Desk")
    path = f"/users/{anna}/default-profiles"
    before = await site.admin.get(path)
    assert (before.message, before.data) == ("Default profiles found", {"default_profiles": []})
    wanted = {"default_profiles": [{"model": "CP-7942G", "profile_uuid": desk}]}
    put = await site.admin.put(path, wanted, If_Match=before.etag)
    assert put.message == "Default profiles updated"
    assert put.data["default_profiles"] == [{"model": "7942", "profile_uuid": desk, "profile_name": "Desk"}]
    check_error(await site.admin.delete(path, If_Match=before.etag), 412)
    listed = await site.admin.get(path)
    assert (listed.data, listed.etag) == (put.data, put.etag)
    answer = await site.admin.put(path, {"default_profiles": [{"model": "7942", "profile_uuid": UNKNOWN}]})
    assert list(answer.fields) == ["default_profiles"]
    deleted = await site.admin.delete(path)
    assert (deleted.message, deleted.data) == ("Default profiles deleted", None)
    assert (await site.admin.get(path)).data == before.data
    for method in ("GET", "DELETE"):
        check_error(await site.admin.request(method, f"/users/{UNKNOWN}/default-profiles"), 404)


async def test_emergency_placeholders_use_phone_not_user(site: Site) -> None:
    config = CONFIG.replace("</device>", "<l>{{emergency_location}}</l><c>{{emergency_caller_id}}</c></device>")
    profile = await site.admin.new_profile(site.admin_uuid, cnf_xml=config, placeholders=True)
    await site.admin.post("/phones", {"mac": MAC, "location": "lisbon", "emergency_caller_id": "7"})
    for dry_run in ("?dry_run=true", ""):
        body = {"mac": MAC, "profile_uuid": profile}
        (warning,) = (await site.admin.post(f"/phone-profiles/switch{dry_run}", body)).data["warnings"]
        assert (warning["code"], "emergency_location" in warning["message"]) == ("emergency_unknown", True)
    assert "<l></l><c>7</c>" in site.served().read_text("utf-8")
    await site.admin.post("/sites", SITE)
    switched = await site.admin.post("/phone-profiles/switch", {"mac": MAC, "profile_uuid": profile})
    assert switched.data["warnings"] == []
    assert "<l>Rua Augusta 1</l><c>7</c>" in site.served().read_text("utf-8")
