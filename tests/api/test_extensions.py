"""Section 3 of the contract: extensions and their links to users."""

import json
import logging
import sqlite3
from contextlib import closing
from typing import Any

import pytest

from tests.api.client import UNKNOWN, Answer, Client, Site, check_error

PASSWORD, PASSCODE = "sentinel-sip-password", "8264013579"
BODY = {"type": "chan_pjsip", "extension": "101", "name": "Reception", "password": PASSWORD}


async def test_extension_life_cycle_answers_as_in_contract(admin: Client) -> None:
    body = {**BODY, "description": "By the door", "voicemail": True, "voicemail_passcode": PASSCODE, "is_active": False}
    created = await admin.post("/extensions", body)
    assert (created.status, created.message) == (201, "Extension created")
    secrets = {"password": None, "voicemail_passcode": None}
    assert {name: created.data[name] for name in body} == {**body, **secrets}
    path = f"/extensions/{created.data['uuid']}"
    shown = await admin.get(path)
    assert (shown.message, shown.data) == ("Extension found", created.data)
    listed = await admin.get("/extensions")
    assert (listed.message, listed.data) == ("1 extension(s) found", [created.data])
    changed = await admin.put(path, {"name": "Lobby", "password": "another", "description": None})
    assert (changed.message, changed.data["name"], changed.data["description"]) == ("Extension updated", "Lobby", None)
    assert (changed.data["password"], changed.data["type"]) == (None, "chan_pjsip")
    deleted = await admin.delete(path)
    assert (deleted.message, deleted.data) == ("Extension deleted", None)
    for answer in (await admin.get(path), await admin.put(path, {"name": "a"}), await admin.delete(path)):
        check_error(answer, 404)


async def test_extension_defaults_to_active_without_voicemail(admin: Client) -> None:
    made = (await admin.post("/extensions", BODY)).data
    assert (made["is_active"], made["voicemail"], made["description"]) == (True, False, None)


async def test_extension_with_duplicate_number_is_409(admin: Client) -> None:
    await admin.post("/extensions", BODY)
    check_error(await admin.post("/extensions", {**BODY, "name": "Other"}), 409)
    other = (await admin.post("/extensions", {**BODY, "extension": "102"})).data
    check_error(await admin.put(f"/extensions/{other['uuid']}", {"extension": "101"}), 409)
    assert (await admin.put(f"/extensions/{other['uuid']}", {"extension": "102"})).status == 200


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("type", "chan_iax"),
        ("type", None),
        ("extension", ""),
        ("extension", 101),
        ("name", ""),
        ("password", ""),
        ("password", None),
        ("password", "p" * 257),
        ("voicemail", "perhaps"),
        ("voicemail_passcode", ""),
        ("is_active", 7),
    ],
)
async def test_extension_with_invalid_field_is_422(admin: Client, field: str, value: Any) -> None:
    answer = await admin.post("/extensions", {**BODY, field: value})
    check_error(answer, 422)
    assert list(answer.fields) == [field]
    assert PASSWORD not in answer.content.decode()


async def test_voicemail_requires_passcode(admin: Client) -> None:
    def refused(answer: Answer) -> bool:
        return list(answer.fields) == ["voicemail_passcode"]

    assert refused(await admin.post("/extensions", {**BODY, "voicemail": True}))
    assert refused(await admin.post("/extensions", {**BODY, "voicemail": True, "voicemail_passcode": None}))
    path = f"/extensions/{(await admin.post('/extensions', BODY)).data['uuid']}"
    assert refused(await admin.put(path, {"voicemail": True}))
    assert (await admin.put(path, {"voicemail": True, "voicemail_passcode": PASSCODE})).data["voicemail"] is True
    assert refused(await admin.put(path, {"voicemail_passcode": None}))
    assert (await admin.put(path, {"name": "Other"})).data["voicemail"] is True
    assert (await admin.put(path, {"voicemail": None})).data["voicemail"] is False
    assert (await admin.put(path, {"voicemail": True})).data["voicemail"] is True
    assert (await admin.put(path, {"voicemail": False, "voicemail_passcode": None})).status == 200
    assert refused(await admin.put(path, {"voicemail": True}))


async def test_extension_secrets_are_stored_and_never_shown(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    admin, shown = site.admin, ""
    body = {**BODY, "voicemail": True, "voicemail_passcode": PASSCODE}
    with caplog.at_level(logging.DEBUG):
        created = await admin.post("/extensions", body)
        path = f"/extensions/{created.data['uuid']}"
        for answer in (
            created,
            await admin.get(path),
            await admin.get("/extensions"),
            await admin.get(f"/extensions?q={PASSWORD}"),
            await admin.get(f"/extensions?q={PASSCODE}"),
            await admin.put(path, {"password": PASSWORD[::-1], "voicemail_passcode": PASSCODE[::-1]}),
            await admin.put(path, {"password": [PASSWORD], "voicemail_passcode": {"a": PASSCODE}}),
            await admin.post("/extensions", body),
            await admin.get("/extensions?sort=password"),
            await admin.delete(path),
        ):
            shown += answer.content.decode()
        await admin.post("/extensions", body)
    shown += json.dumps(await admin.whole_audit_log()) + caplog.text
    for secret in (PASSWORD, PASSCODE, PASSWORD[::-1], PASSCODE[::-1]):
        assert secret not in shown
    # The secrets are stored for later use by phones and call managers.
    with closing(sqlite3.connect(site.settings.data.dir / "cisisk.db")) as store:
        assert store.execute("SELECT password, voicemail_passcode FROM extensions").fetchall() == [(PASSWORD, PASSCODE)]


async def test_extension_search_ignores_secrets(admin: Client) -> None:
    await admin.post("/extensions", {**BODY, "voicemail": True, "voicemail_passcode": PASSCODE})
    for q, found in ((PASSWORD, 0), (PASSCODE, 0), ("10", 1), ("RECEPT", 1)):
        assert (q, (await admin.get(f"/extensions?q={q}")).metadata["total"]) == (q, found)


# Links to users


async def made(site: Site) -> tuple[str, str]:
    """Create a user and an extension; return both uuids."""
    anna = await site.admin.new_user("anna")
    return anna, (await site.admin.post("/extensions", BODY)).data["uuid"]


async def test_extension_link_is_created_listed_and_deleted(site: Site) -> None:
    admin, (anna, extension) = site.admin, await made(site)
    linked = await admin.post("/user-extensions", {"user_uuid": anna, "extension_uuid": extension})
    assert (linked.status, linked.message) == (201, "User linked to extension")
    row = {
        "user_uuid": anna,
        "extension_uuid": extension,
        "username": "anna",
        "first_name": "Anna",
        "last_name": "Tester",
        "extension": "101",
        "ext_name": "Reception",
        "type": "chan_pjsip",
    }
    assert linked.data == {**row, "uuid": linked.data["uuid"], "created_at": linked.data["created_at"]}
    for path, message in (
        ("/user-extensions", "1 link(s) found"),
        (f"/user-extensions/by-user/{anna}", "1 extension(s) linked to user"),
        (f"/user-extensions/by-extension/{extension}", "1 user(s) linked to extension"),
    ):
        listed = await admin.get(path)
        assert (listed.message, listed.data) == (message, [linked.data])
    path = f"/user-extensions/{linked.data['uuid']}"
    assert (await admin.get(path)).data == linked.data
    deleted = await admin.delete(path)
    assert (deleted.message, deleted.data) == ("Link deleted", None)
    check_error(await admin.delete(path), 404)
    assert (await admin.get(f"/user-extensions/by-user/{anna}")).message == "0 extension(s) linked to user"


async def test_extension_link_requires_both_ends_and_is_unique(site: Site) -> None:
    anna, extension = await made(site)
    for body, field in (
        ({"user_uuid": UNKNOWN, "extension_uuid": extension}, "user_uuid"),
        ({"user_uuid": anna, "extension_uuid": UNKNOWN}, "extension_uuid"),
        ({"user_uuid": anna}, "extension_uuid"),
        ({"user_uuid": "anna", "extension_uuid": extension}, "user_uuid"),
    ):
        answer = await site.admin.post("/user-extensions", body)
        assert list(answer.fields) == [field]
    body = {"user_uuid": anna, "extension_uuid": extension}
    assert (await site.admin.post("/user-extensions", body)).status == 201
    check_error(await site.admin.post("/user-extensions", body), 409)
    for path in (f"/user-extensions/by-user/{UNKNOWN}", f"/user-extensions/by-extension/{UNKNOWN}"):
        check_error(await site.admin.get(path), 404)


@pytest.mark.parametrize("what", ["user", "extension"])
async def test_extension_link_is_deleted_with_either_end(site: Site, what: str) -> None:
    anna, extension = await made(site)
    await site.admin.post("/user-extensions", {"user_uuid": anna, "extension_uuid": extension})
    await site.admin.delete(f"/users/{anna}" if what == "user" else f"/extensions/{extension}")
    assert (await site.admin.get("/user-extensions")).data == []
    payload = (await site.admin.whole_audit_log())[-1]["payload"]
    assert payload.get("extensions") == (["101"] if what == "user" else None)
    assert payload.get("users") == ([anna] if what == "extension" else None)


async def test_extension_link_shows_current_names(site: Site) -> None:
    anna, extension = await made(site)
    made_ = await site.admin.post("/user-extensions", {"user_uuid": anna, "extension_uuid": extension})
    await site.admin.put(f"/extensions/{extension}", {"name": "Lobby"})
    await site.admin.put(f"/users/{anna}", {"last_name": "Arendt"})
    shown = await site.admin.get(f"/user-extensions/{made_.data['uuid']}")
    assert (shown.data["ext_name"], shown.data["last_name"]) == ("Lobby", "Arendt")
    assert shown.etag != made_.etag
