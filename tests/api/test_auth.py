"""Section 2 of the contract: login, logout, refresh, registration, and events that end a login."""

import base64
import json
import time
from datetime import timedelta
from typing import Any

import jwt
import pytest

from cisisk.identity.tokens import Claims, KeyRing
from tests.api.client import MAC, PASSWORD, Client, Site, check_error, user
from tests.api.conftest import SiteWith

USER_FIELDS = {
    *("uuid", "first_name", "last_name", "username", "email", "phone", "lang", "location", "nationality"),
    *("timezone", "last_uuid", "last_login_ip", "last_login_at", "last_logout_ip", "is_active", "created_at"),
    *("created_by", "updated_at", "created_ip", "updated_ip"),
}


async def tokens(client: Client, username: str = "admin", password: str = PASSWORD) -> tuple[Client, str]:
    """Log in; return a client with the access token, and the refresh token."""
    login = (await client.post("/auth/login", {"username": username, "password": password})).data
    return client.with_token(login["accessToken"]), login["refreshToken"]


async def refresh(client: Client, token: str) -> Any:
    return await client.post("/auth/refresh", {"refresh_token": token})


# Login


async def test_login_returns_user_and_two_tokens(site: Site) -> None:
    answer = await site.anonymous.post("/auth/login", {"username": "admin", "password": PASSWORD})
    assert (answer.status, answer.message) == (200, "Login successful")
    assert set(answer.data) == {"user", "accessToken", "refreshToken"}
    shown = answer.data["user"]
    assert set(shown) >= USER_FIELDS
    assert (shown["uuid"], shown["username"], shown["last_login_ip"]) == (site.admin_uuid, "admin", "127.0.0.1")
    assert shown["last_login_at"] == (await site.admin.get(f"/users/{site.admin_uuid}")).data["last_login_at"]
    assert (await site.anonymous.with_token(answer.data["accessToken"]).get("/me")).status == 200


async def test_login_ignores_case_of_username(site: Site) -> None:
    await site.admin.new_user("Anna")
    assert (await site.anonymous.login("aNNA")).token


async def test_login_of_unknown_user_equals_wrong_password(site: Site) -> None:
    await site.admin.new_user("anna")
    await site.admin.new_user("berta", is_active=False)
    answers = [
        await site.anonymous.post("/auth/login", {"username": name, "password": password})
        for name, password in (("anna", "wrong"), ("unknown", "wrong"), ("berta", PASSWORD))
    ]
    for answer in answers:
        check_error(answer, 401)
        assert answer.headers["WWW-Authenticate"] == "Bearer"
    assert len({json.dumps(answer.body["error"]) for answer in answers}) == 1
    assert len({frozenset(answer.headers) for answer in answers}) == 1


@pytest.mark.parametrize("username", ["anna", "unknown"])
async def test_sixth_wrong_password_is_429_for_any_username(site: Site, username: str) -> None:
    await site.admin.new_user("anna")
    guess = {"username": username, "password": "wrong"}
    assert [(await site.anonymous.post("/auth/login", guess)).status for _ in range(5)] == [401] * 5
    for password in ("wrong", PASSWORD):
        answer = await site.anonymous.post("/auth/login", {"username": username, "password": password})
        check_error(answer, 429)
        assert 1 <= int(answer.headers["Retry-After"]) <= 900


async def test_open_login_survives_wrong_passwords(site: Site) -> None:
    for _ in range(7):
        await site.anonymous.post("/auth/login", {"username": "admin", "password": "wrong"})
    assert (await site.admin.get("/me")).status == 200


async def test_login_success_resets_throttle(site: Site) -> None:
    for _ in range(2):
        for _ in range(2):
            await site.anonymous.post("/auth/login", {"username": "admin", "password": "wrong"})
        await site.anonymous.login("admin")


async def test_throttle_uses_address_from_trusted_proxy(site_with: SiteWith) -> None:
    async with site_with(server={"trusted_proxies": ["127.0.0.1"]}) as site:
        statuses = [
            (
                await site.anonymous.post(
                    "/auth/login",
                    {"username": f"user{number}", "password": "wrong"},
                    X_Forwarded_For=f"203.0.113.{number}, 198.51.100.7",
                )
            ).status
            for number in range(6)
        ]
        assert statuses == [401] * 5 + [429]
        right = {"username": "admin", "password": PASSWORD}
        assert (await site.anonymous.post("/auth/login", right, X_Forwarded_For="198.51.100.7")).status == 429
        assert (await site.anonymous.post("/auth/login", right, X_Forwarded_For="198.51.100.8")).status == 200


@pytest.mark.parametrize("field", ["username", "password"])
async def test_login_with_invalid_body_is_422_and_not_throttled(site: Site, field: str) -> None:
    for value in (None, "", 7, ["a"], "a" * 10_000, "a\0"):
        answer = await site.anonymous.post("/auth/login", {"username": "admin", "password": PASSWORD, field: value})
        check_error(answer, 422)
        assert list(answer.fields) == [field]
    assert (await site.anonymous.login("admin")).token


# Refresh


async def test_refresh_token_is_valid_once(site: Site) -> None:
    client, first = await tokens(site.anonymous)
    answer = await refresh(site.anonymous, first)
    assert (answer.status, answer.message) == (200, "Token refreshed")
    assert set(answer.data) == {"accessToken", "refreshToken"}
    second = answer.data["refreshToken"]
    assert second != first
    for each in (client, site.anonymous.with_token(answer.data["accessToken"])):
        assert (await each.get("/me")).status == 200
    check_error(await refresh(site.anonymous, first), 401)


async def test_refresh_token_reuse_ends_only_its_login(site: Site) -> None:
    client, first = await tokens(site.anonymous)
    other, other_token = await tokens(site.anonymous)
    renewed = (await refresh(site.anonymous, first)).data
    third = (await refresh(site.anonymous, renewed["refreshToken"])).data
    check_error(await refresh(site.anonymous, first), 401)
    for token in (renewed["refreshToken"], third["refreshToken"]):
        check_error(await refresh(site.anonymous, token), 401)
    for each in (client, client.with_token(third["accessToken"])):
        check_error(await each.get("/me"), 401)
    assert (await other.get("/me")).status == 200
    assert (await refresh(site.anonymous, other_token)).status == 200


@pytest.mark.parametrize("token", ["nonsense", "a" * 43])
async def test_refresh_with_invalid_token_is_401(site: Site, token: str) -> None:
    answer = await refresh(site.anonymous, token)
    check_error(answer, 401)
    assert answer.headers["WWW-Authenticate"] == "Bearer"


async def test_token_of_wrong_kind_is_refused(site: Site) -> None:
    client, token = await tokens(site.anonymous)
    check_error(await client.with_token(token).get("/me"), 401)
    assert (await refresh(site.anonymous, str(client.token))).status in (401, 422)


# Logout


async def test_logout_with_refresh_token_ends_that_login(site: Site) -> None:
    client, token = await tokens(site.anonymous)
    other, other_token = await tokens(site.anonymous)
    answer = await client.post("/auth/logout", {"refresh_token": token})
    assert (answer.status, answer.message, answer.data) == (200, "Logout successful", None)
    check_error(await client.get("/me"), 401)
    check_error(await refresh(site.anonymous, token), 401)
    assert (await other.get("/me")).status == 200
    assert (await refresh(site.anonymous, other_token)).status == 200


@pytest.mark.parametrize("body", [None, {}, {"refresh_token": None}])
async def test_logout_without_refresh_token_ends_all_logins(site: Site, body: Any) -> None:
    await site.admin.new_user("anna")
    logins = [await tokens(site.anonymous, "anna") for _ in range(2)]
    assert (await logins[0][0].post("/auth/logout", body)).message == "Logout successful"
    for client, token in logins:
        check_error(await client.get("/me"), 401)
        check_error(await refresh(site.anonymous, token), 401)
    assert (await site.admin.get("/me")).status == 200


async def test_logout_with_token_of_other_user_keeps_that_login(site: Site) -> None:
    anna = await site.admin.new_user("anna")
    client, _ = await tokens(site.anonymous, "anna")
    other, token = await tokens(site.anonymous)
    await client.post("/auth/logout", {"refresh_token": token})
    assert (await other.get("/me")).status == 200
    assert (await site.admin.get(f"/users/{anna}")).data["last_logout_ip"] == "127.0.0.1"
    assert (await site.admin.get(f"/users/{site.admin_uuid}")).data["last_logout_ip"] is None


# Events that end a login


@pytest.mark.parametrize("event", ["deactivated", "deleted", "password changed"])
async def test_user_deactivated_deleted_or_repassworded_loses_logins(site: Site, event: str) -> None:
    anna = await site.admin.new_user("anna")
    client, token = await tokens(site.anonymous, "anna")
    if event == "deleted":
        await site.admin.delete(f"/users/{anna}")
    else:
        change = {"is_active": False} if event == "deactivated" else {"password": "another horse"}
        assert (await site.admin.put(f"/users/{anna}", change)).status == 200
    check_error(await client.get("/me"), 401)
    check_error(await refresh(site.anonymous, token), 401)
    old = {"username": "anna", "password": PASSWORD}
    check_error(await site.anonymous.post("/auth/login", old), 401)


async def test_user_reactivated_must_log_in_again(site: Site) -> None:
    anna = await site.admin.new_user("anna")
    client, token = await tokens(site.anonymous, "anna")
    for active in (False, True):
        await site.admin.put(f"/users/{anna}", {"is_active": active})
    check_error(await client.get("/me"), 401)
    check_error(await refresh(site.anonymous, token), 401)
    assert (await site.anonymous.login("anna")).token


async def test_login_with_new_password_succeeds(site: Site) -> None:
    anna = await site.admin.new_user("anna")
    await site.admin.put(f"/users/{anna}", {"password": "another horse"})
    assert (await site.anonymous.login("anna", "another horse")).token


async def test_user_update_keeps_logins(site: Site) -> None:
    anna = await site.admin.new_user("anna")
    client, _ = await tokens(site.anonymous, "anna")
    await site.admin.put(f"/users/{anna}", {"phone": "1", "username": "anne", "is_active": True})
    assert (await client.get("/me")).data["username"] == "anne"


# Forged tokens


def _segment(content: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(content).encode()).rstrip(b"=").decode()


async def test_forged_token_is_401(site: Site) -> None:
    token = str(site.admin.token)
    header = jwt.get_unverified_header(token)
    claims = jwt.decode(token, options={"verify_signature": False})
    head, body, signature = token.split(".")
    ring = KeyRing.load(site.settings.data.dir / "keys", timedelta(minutes=1))
    key = ring.keys[ring.active]

    def signed(claims: dict[str, Any], key: bytes = key, **headers: Any) -> str:
        return jwt.encode(claims, key, "HS256", headers={**header, **headers})

    def without(name: str) -> dict[str, Any]:
        return {each: value for each, value in claims.items() if each != name}

    past = int(time.time()) - 60
    # An unchanged token of this function is valid, so the refusals below have other causes.
    assert (await site.anonymous.with_token(signed(claims)).get("/me")).status == 200
    forged = {
        "alg none": f"{_segment({**header, 'alg': 'none'})}.{body}.",
        "alg none, signature kept": f"{_segment({**header, 'alg': 'none'})}.{body}.{signature}",
        "alg nOnE": f"{_segment({**header, 'alg': 'nOnE'})}.{body}.",
        "other algorithm": jwt.encode(claims, key * 2, "HS512", headers=header),
        "another key": signed(claims, b"k" * 32),
        "an unknown key": signed(claims, kid="0000000000-00000000"),
        "no key": f"{_segment({**header, 'kid': None})}.{body}.{signature}",
        "a key that is a path": signed(claims, kid="../../keys"),
        "another type": signed(claims, typ="JWT"),
        "no signature": f"{head}.{body}.",
        "another's claims": f"{head}.{_segment({**claims, 'sub': 'other'})}.{signature}",
        "expired": signed({**claims, "exp": past}),
        "not yet": signed({**claims, "nbf": int(time.time()) + 600}),
        "another issuer": signed({**claims, "iss": "other"}),
        "another audience": signed({**claims, "aud": "other"}),
        "another user": signed({**claims, "sub": await site.admin.new_user("anna")}),
        "another session": signed({**claims, "sid": claims["jti"]}),
        "a subject that is no text": signed({**claims, "sub": ["a"]}),
        **{f"no {name}": signed(without(name)) for name in ("exp", "sub", "sid", "aud", "iss")},
        "an object for claims": f"{head}.{_segment([])}.{signature}",
        "too long": signed({**claims, "more": "a" * 4000}),
    }
    for name, token in forged.items():
        answer = await site.anonymous.with_token(token).get("/me")
        assert (name, answer.status) == (name, 401)
        check_error(answer, 401)
        assert answer.headers["WWW-Authenticate"] == "Bearer"


async def test_expired_token_is_401(site: Site) -> None:
    claims = jwt.decode(str(site.admin.token), options={"verify_signature": False})
    assert claims["exp"] - claims["iat"] == 15 * 60
    ring = KeyRing.load(site.settings.data.dir / "keys", timedelta(seconds=-30))
    answer = await site.anonymous.with_token(ring.issue(Claims(claims["sub"], claims["sid"]))).get("/me")
    check_error(answer, 401)
    assert "expired" in answer.message


# Registration

REGISTRATION = {
    "first_name": "Anna",
    "last_name": "Tester",
    "username": "anna",
    "email": "anna@example.com",
    "password": PASSWORD,
}


async def test_registration_when_not_public_requires_superadmin(site: Site) -> None:
    answer = await site.anonymous.post("/auth/register", REGISTRATION)
    check_error(answer, 401)
    assert answer.headers["WWW-Authenticate"] == "Bearer"
    check_error(await site.anonymous.with_token("nonsense").post("/auth/register", REGISTRATION), 401)
    check_error(await (await site.clerk()).post("/auth/register", REGISTRATION), 403)
    answer = await site.admin.post("/auth/register", REGISTRATION)
    assert (answer.status, answer.message) == (201, "Registration successful")
    assert set(answer.data) >= USER_FIELDS
    assert answer.data["created_by"] == site.admin_uuid
    assert {name: answer.data[name] for name in ("lang", "timezone", "phone", "is_active")} == {
        "lang": "en",
        "timezone": "UTC",
        "phone": None,
        "is_active": True,
    }


async def test_public_registration_creates_user_without_permission(site_with: SiteWith) -> None:
    async with site_with(auth={"public_register": True}) as site:
        more = {"phone": "+49 1", "lang": "de", "location": "Bonn", "nationality": "DE", "timezone": "Europe/Berlin"}
        answer = await site.anonymous.post("/auth/register", {**REGISTRATION, **more})
        assert answer.status == 201
        assert {name: answer.data[name] for name in more} == more
        assert answer.data["created_by"] is None
        anna = await site.anonymous.login("anna")
        assert (await anna.get("/me")).data["permission"] is None
        check_error(await anna.post("/phones", {"mac": MAC}), 403)
        check_error(await site.anonymous.post("/auth/register", REGISTRATION), 409)
        assert list((await site.anonymous.post("/auth/register", {**REGISTRATION, "is_active": True})).fields) == [
            "is_active"
        ]
        assert (await site.admin.post("/auth/register", user("berta"))).status == 201
        check_error(await site.anonymous.with_token("nonsense").post("/auth/register", user("dora")), 401)
