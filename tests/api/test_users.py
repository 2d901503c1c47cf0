"""Section 2 of the contract: users, ``/me``, permissions and PINs."""

from typing import Any

from tests.api.client import CONFIG, MAC, PASSWORD, SUPERADMIN, SWITCH, UNKNOWN, Client, Site, check_error, user
from tests.api.test_auth import USER_FIELDS


async def test_user_life_cycle_answers_as_in_contract(site: Site) -> None:
    admin = site.admin
    more = {"phone": "+49 1", "lang": "de", "location": "Bonn", "nationality": "DE", "timezone": "Europe/Berlin"}
    created = await admin.post("/users", user("anna", **more, is_active=False))
    assert (created.status, created.message) == (201, "User created")
    anna = created.data
    assert set(anna) == USER_FIELDS
    sent = {name: value for name, value in user("anna", **more, is_active=False).items() if name != "password"}
    assert {name: anna[name] for name in sent} == sent
    made_by = {"created_by": site.admin_uuid, "last_uuid": site.admin_uuid}
    assert {name: anna[name] for name in made_by} == made_by
    assert (anna["created_ip"], anna["updated_ip"], anna["last_login_at"]) == ("127.0.0.1", "127.0.0.1", None)

    shown = await admin.get(f"/users/{anna['uuid']}")
    assert (shown.message, shown.data) == ("User found", anna)
    listed = await admin.get("/users")
    assert listed.message == "2 user(s) found"
    assert [each["username"] for each in listed.data] == ["admin", "anna"]
    assert listed.data[1] == anna
    changed = await admin.put(f"/users/{anna['uuid']}", {"last_name": "Other", "is_active": True})
    assert changed.message == "User updated"
    assert (changed.data["last_name"], changed.data["is_active"], changed.data["first_name"]) == ("Other", True, "Anna")
    deleted = await admin.delete(f"/users/{anna['uuid']}")
    assert (deleted.status, deleted.message, deleted.data) == (200, "User deleted", None)
    check_error(await admin.get(f"/users/{anna['uuid']}"), 404)
    assert (await admin.get("/users")).message == "1 user(s) found"


async def test_user_is_created_with_required_fields(admin: Client) -> None:
    made = (await admin.post("/users", user("anna"))).data
    rest = {"phone": None, "lang": "en", "location": None, "nationality": None, "timezone": "UTC", "is_active": True}
    assert {name: made[name] for name in rest} == rest


async def test_user_has_updated_by(site: Site) -> None:
    deputy_uuid, name = await site.new_clerk(level=0)
    deputy = await site.anonymous.login(name)
    anna = await site.admin.new_user("anna")
    changed = (await deputy.put(f"/users/{anna}", {"phone": "1"})).data
    assert (changed["created_by"], changed["last_uuid"]) == (site.admin_uuid, deputy_uuid)


async def test_user_name_and_email_are_unique_ignoring_case(admin: Client) -> None:
    anna, berta = await admin.new_user("anna"), await admin.new_user("berta")
    for taken in ({"username": "ANNA"}, {"email": "Anna@Example.com"}):
        check_error(await admin.post("/users", user("dora") | taken), 409)
        check_error(await admin.put(f"/users/{berta}", taken), 409)
    assert (await admin.put(f"/users/{anna}", {"username": "ANNA", "email": "ANNA@example.com"})).status == 200
    await admin.delete(f"/users/{anna}")
    assert (await admin.post("/users", user("anna"))).status == 201


async def test_user_with_invalid_field_is_422(admin: Client) -> None:
    wrong: list[tuple[str, Any]] = [
        ("username", ""),
        ("username", "an na"),
        ("username", "a" * 65),
        ("email", "anna"),
        ("email", ""),
        ("password", "short"),
        ("password", 12345678),
        ("password", "a" * 257),
        ("first_name", ""),
        ("last_name", "a" * 121),
        ("phone", 7),
        ("is_active", "perhaps"),
    ]
    for field, value in wrong:
        answer = await admin.post("/users", user("anna") | {field: value})
        check_error(answer, 422)
        assert list(answer.fields) == [field]
    assert (await admin.get("/users")).metadata["total"] == 1


async def test_user_answers_contain_no_password_or_hash(site: Site) -> None:
    admin = site.admin
    anna = await admin.new_user("anna")
    answers = [
        await admin.get("/users"),
        await admin.get(f"/users/{anna}"),
        await admin.put(f"/users/{anna}", {"password": "another horse"}),
        await admin.put(f"/cisco-users/{anna}", {"pin_code": "918273"}),
        await admin.get(f"/cisco-users/by-user/{anna}"),
        await site.anonymous.post("/auth/login", {"username": "anna", "password": "another horse"}),
        await (await site.anonymous.login("anna", "another horse")).get("/me"),
        await admin.get("/audit-logs"),
    ]
    for answer in answers:
        assert answer.status == 200
        for secret in (b"another horse", b"918273", b"argon2", b"hash", b"pin_code"):
            assert secret not in answer.content


# The current user


async def test_me_returns_current_user(site: Site) -> None:
    answer = await site.admin.get("/me")
    assert answer.message == "Authenticated user"
    assert set(answer.data) == USER_FIELDS | {"permission", "cisco_user", "logins"}
    assert answer.data["uuid"] == site.admin_uuid
    assert answer.data["permission"] == {"level": 0, "perm_name": "superadmin"}
    assert answer.data["cisco_user"] is None
    pin = (await site.admin.put(f"/cisco-users/{site.admin_uuid}", {"pin_code": "1234"})).data
    assert (await site.admin.get("/me")).data["cisco_user"] == pin
    assert set(pin) == {"uuid", "user_uuid", "created_at"}
    await site.admin.new_user("anna")
    assert (await (await site.anonymous.login("anna")).get("/me")).data["permission"] is None


async def test_me_phones_are_those_with_own_profiles(site: Site) -> None:
    anna = await site.admin.new_user("anna")
    client = await site.anonymous.login("anna")
    assert (await client.get("/me/phones")).data == []
    hers, other = await site.admin.new_profile(anna), await site.admin.new_profile(site.admin_uuid)
    for mac, profile in ((MAC, hers), ("AA:BB:CC:DD:EE:02", other), ("AA:BB:CC:DD:EE:03", hers)):
        await site.admin.post(SWITCH, {"profile_uuid": profile, "mac": mac})
    answer = await client.get("/me/phones")
    assert answer.message == "2 phone(s) found"
    assert [phone["mac"] for phone in answer.data] == [MAC, "AA:BB:CC:DD:EE:03"]
    assert answer.data[0] == (await site.admin.get(f"/phones/{MAC}")).data
    await site.admin.post(SWITCH, {"profile_uuid": other, "mac": MAC})
    assert [phone["mac"] for phone in (await client.get("/me/phones")).data] == ["AA:BB:CC:DD:EE:03"]


# Permissions


async def test_permission_superadmin_exists_and_is_protected(admin: Client) -> None:
    answer = await admin.get("/permissions")
    assert answer.message == "1 permission(s) found"
    [seeded] = answer.data
    assert {name: seeded[name] for name in ("uuid", "level", "name")} == {
        "uuid": SUPERADMIN,
        "level": 0,
        "name": "superadmin",
    }
    assert (await admin.get(f"/permissions/{SUPERADMIN}")).data == seeded


async def test_permission_life_cycle_answers_as_in_contract(admin: Client) -> None:
    created = await admin.post("/permissions", {"level": 5, "name": "clerk", "description": "Reads"})
    assert (created.status, created.message) == (201, "Permission created")
    path = f"/permissions/{created.data['uuid']}"
    shown = await admin.get(path)
    assert (shown.message, shown.data) == ("Permission found", created.data)
    changed = await admin.put(path, {"level": 6})
    assert (changed.message, changed.data["level"], changed.data["name"]) == ("Permission updated", 6, "clerk")
    deleted = await admin.delete(path)
    assert (deleted.message, deleted.data) == ("Permission deleted", None)
    check_error(await admin.get(path), 404)


async def test_permission_with_invalid_field_is_refused(admin: Client) -> None:
    await admin.new_permission(5, "clerk")
    check_error(await admin.post("/permissions", {"level": 6, "name": "Clerk"}), 409)
    check_error(await admin.put(f"/permissions/{SUPERADMIN}", {"name": "clerk"}), 409)
    for level in (-1, "5", 1.5, True, None, 10**30):
        answer = await admin.post("/permissions", {"level": level, "name": "guest"})
        check_error(answer, 422)
        assert list(answer.fields) == ["level"]


async def test_user_permission_is_replaced_by_another(site: Site) -> None:
    admin, anna = site.admin, await site.admin.new_user("anna")
    for level, name in ((5, "clerk"), (7, "guest")):
        uuid = await admin.new_permission(level, name)
        answer = await admin.post("/user-perms", {"user_uuid": anna, "perm_uuid": uuid})
        assert answer.status == 201
        held = {"user_uuid": anna, "perm_uuid": uuid, "level": level, "perm_name": name}
        assert answer.data == held
        assert (await admin.get(f"/user-perms/{anna}")).data == held
        check_error(await admin.delete(f"/permissions/{uuid}"), 409)
    deleted = await admin.delete(f"/user-perms/{anna}")
    assert (deleted.status, deleted.data) == (200, None)
    check_error(await admin.get(f"/user-perms/{anna}"), 404)
    check_error(await admin.delete(f"/user-perms/{anna}"), 404)
    for body, field in (
        ({"user_uuid": UNKNOWN, "perm_uuid": SUPERADMIN}, "user_uuid"),
        ({"user_uuid": anna, "perm_uuid": UNKNOWN}, "perm_uuid"),
    ):
        answer = await admin.post("/user-perms", body)
        check_error(answer, 422)
        assert list(answer.fields) == [field]


async def test_last_superadmin_cannot_be_removed(site: Site) -> None:
    admin, path = site.admin, f"/users/{site.admin_uuid}"
    clerk = await admin.new_permission(5, "clerk")

    async def attempts() -> list[int]:
        return [
            (await admin.post("/user-perms", {"user_uuid": site.admin_uuid, "perm_uuid": clerk})).status,
            (await admin.delete(f"/user-perms/{site.admin_uuid}")).status,
            (await admin.put(path, {"is_active": False})).status,
            (await admin.delete(path)).status,
            (await admin.put(f"/permissions/{SUPERADMIN}", {"level": 1})).status,
            (await admin.delete(f"/permissions/{SUPERADMIN}")).status,
        ]

    assert await attempts() == [409] * 6
    # A deactivated superadmin does not count.
    deputy = await admin.new_user("deputy", is_active=False)
    await admin.post("/user-perms", {"user_uuid": deputy, "perm_uuid": SUPERADMIN})
    assert await attempts() == [409] * 6
    assert (await admin.get("/me")).data["permission"]["level"] == 0
    await admin.put(f"/users/{deputy}", {"is_active": True})
    assert (await admin.delete(f"/user-perms/{site.admin_uuid}")).status == 200
    check_error(await (await site.anonymous.login("deputy")).delete(f"/users/{deputy}"), 409)


# PINs


async def test_pin_is_set_changed_and_deleted(site: Site) -> None:
    admin, anna = site.admin, await site.admin.new_user("anna")
    check_error(await admin.get(f"/cisco-users/by-user/{anna}"), 404)
    first = await admin.put(f"/cisco-users/{anna}", {"pin_code": "1234"})
    assert first.status == 200
    assert set(first.data) == {"uuid", "user_uuid", "created_at"}
    assert first.data["user_uuid"] == anna
    assert (await admin.put(f"/cisco-users/{anna}", {"pin_code": "9876543210"})).data == first.data
    shown = await admin.get(f"/cisco-users/by-user/{anna}")
    assert (shown.message, shown.data) == ("Cisco user found", first.data)
    deleted = await admin.delete(f"/cisco-users/{anna}")
    assert (deleted.message, deleted.data) == ("Cisco user deleted", None)
    check_error(await admin.delete(f"/cisco-users/{anna}"), 404)


async def test_pin_with_invalid_value_is_refused(site: Site) -> None:
    for pin in ("", "123", "12345678901234567", "12a4", "\uff11\uff12\uff13\uff14", "1234\n", None, 1234):
        answer = await site.admin.put(f"/cisco-users/{site.admin_uuid}", {"pin_code": pin})
        check_error(answer, 422)
        assert list(answer.fields) == ["pin_code"]
    check_error(await site.admin.put(f"/cisco-users/{UNKNOWN}", {"pin_code": "1234"}), 404)


async def test_user_deletion_deletes_related_resources(site: Site) -> None:
    admin, anna = site.admin, await site.admin.new_user("anna")
    profile = await admin.new_profile(anna)
    await admin.put(f"/cisco-users/{anna}", {"pin_code": "1234"})
    await admin.post("/user-perms", {"user_uuid": anna, "perm_uuid": SUPERADMIN})
    await admin.post(SWITCH, {"profile_uuid": profile, "mac": MAC})
    assert (await admin.delete(f"/users/{anna}")).status == 200
    for path in (
        f"/phone-profiles/{profile}",
        f"/phone-profiles/user/{anna}",
        f"/cisco-users/by-user/{anna}",
        f"/user-perms/{anna}",
    ):
        check_error(await admin.get(path), 404)
    assert (await admin.get(f"/phones/{MAC}")).data["current_profile_uuid"] is None
    assert (await admin.get(f"/phone-config/{MAC}")).content == CONFIG.encode()
    old = {"username": "anna", "password": PASSWORD}
    check_error(await site.anonymous.post("/auth/login", old), 401)
