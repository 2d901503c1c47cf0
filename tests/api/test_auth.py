"""Section 2 of the contract: logging in and out, refreshing, registering, and what ends a login."""

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
    """A new login: a client with its access token, and its refresh token."""
    login = (await client.post("/auth/login", {"username": username, "password": password})).data
    return client.with_token(login["accessToken"]), login["refreshToken"]


async def refresh(client: Client, token: str) -> Any:
    return await client.post("/auth/refresh", {"refresh_token": token})


# Login


async def test_a_login_answers_with_the_user_and_two_tokens(site: Site) -> None:
    answer = await site.anybody.post("/auth/login", {"username": "admin", "password": PASSWORD})
    assert (answer.status, answer.message) == (200, "Login successful")
    assert set(answer.data) == {"user", "accessToken", "refreshToken"}
    shown = answer.data["user"]
    assert set(shown) >= USER_FIELDS
    assert (shown["uuid"], shown["username"], shown["last_login_ip"]) == (site.admin_uuid, "admin", "127.0.0.1")
    assert shown["last_login_at"] == (await site.admin.get(f"/users/{site.admin_uuid}")).data["last_login_at"]
    assert (await site.anybody.with_token(answer.data["accessToken"]).get("/me")).status == 200


async def test_the_letters_of_a_username_may_be_large_or_small(site: Site) -> None:
    await site.admin.new_user("Anna")
    assert (await site.anybody.login("aNNA")).token


async def test_an_unknown_user_and_a_wrong_password_get_the_same_answer(site: Site) -> None:
    await site.admin.new_user("anna")
    await site.admin.new_user("berta", is_active=False)
    answers = [
        await site.anybody.post("/auth/login", {"username": name, "password": password})
        for name, password in (("anna", "wrong"), ("nobody", "wrong"), ("berta", PASSWORD))
    ]
    for answer in answers:
        check_error(answer, 401)
        assert answer.headers["WWW-Authenticate"] == "Bearer"
    assert len({json.dumps(answer.body["error"]) for answer in answers}) == 1
    assert len({frozenset(answer.headers) for answer in answers}) == 1


@pytest.mark.parametrize("username", ["anna", "nobody"])
async def test_the_sixth_wrong_password_is_429_whether_there_is_such_a_user_or_not(site: Site, username: str) -> None:
    await site.admin.new_user("anna")
    guess = {"username": username, "password": "wrong"}
    assert [(await site.anybody.post("/auth/login", guess)).status for _ in range(5)] == [401] * 5
    for password in ("wrong", PASSWORD):
        answer = await site.anybody.post("/auth/login", {"username": username, "password": password})
        check_error(answer, 429)
        assert 1 <= int(answer.headers["Retry-After"]) <= 900


async def test_who_was_let_in_before_stays_in_while_somebody_guesses(site: Site) -> None:
    for _ in range(7):
        await site.anybody.post("/auth/login", {"username": "admin", "password": "wrong"})
    assert (await site.admin.get("/me")).status == 200


async def test_a_right_password_wipes_the_slips_of_an_account_out(site: Site) -> None:
    for _ in range(2):
        for _ in range(2):
            await site.anybody.post("/auth/login", {"username": "admin", "password": "wrong"})
        await site.anybody.login("admin")


async def test_guessing_from_many_made_up_addresses_is_guessing_from_one(site_with: SiteWith) -> None:
    async with site_with(server={"trusted_proxies": ["127.0.0.1"]}) as site:
        statuses = [
            (
                await site.anybody.post(
                    "/auth/login",
                    {"username": f"user{number}", "password": "wrong"},
                    X_Forwarded_For=f"203.0.113.{number}, 198.51.100.7",
                )
            ).status
            for number in range(6)
        ]
        assert statuses == [401] * 5 + [429]
        right = {"username": "admin", "password": PASSWORD}
        assert (await site.anybody.post("/auth/login", right, X_Forwarded_For="198.51.100.7")).status == 429
        assert (await site.anybody.post("/auth/login", right, X_Forwarded_For="198.51.100.8")).status == 200


@pytest.mark.parametrize("field", ["username", "password"])
async def test_a_login_that_is_none_is_422_and_no_guess(site: Site, field: str) -> None:
    for value in (None, "", 7, ["a"], "a" * 10_000, "a\0"):
        answer = await site.anybody.post("/auth/login", {"username": "admin", "password": PASSWORD, field: value})
        check_error(answer, 422)
        assert list(answer.fields) == [field]
    assert (await site.anybody.login("admin")).token


# Refresh


async def test_a_refresh_token_is_exchanged_once(site: Site) -> None:
    client, first = await tokens(site.anybody)
    answer = await refresh(site.anybody, first)
    assert (answer.status, answer.message) == (200, "Token refreshed")
    assert set(answer.data) == {"accessToken", "refreshToken"}
    second = answer.data["refreshToken"]
    assert second != first
    for each in (client, site.anybody.with_token(answer.data["accessToken"])):
        assert (await each.get("/me")).status == 200
    check_error(await refresh(site.anybody, first), 401)


async def test_the_reuse_of_a_refresh_token_ends_the_family_and_no_other(site: Site) -> None:
    client, first = await tokens(site.anybody)
    other, other_token = await tokens(site.anybody)
    renewed = (await refresh(site.anybody, first)).data
    third = (await refresh(site.anybody, renewed["refreshToken"])).data
    check_error(await refresh(site.anybody, first), 401)
    for token in (renewed["refreshToken"], third["refreshToken"]):
        check_error(await refresh(site.anybody, token), 401)
    for each in (client, client.with_token(third["accessToken"])):
        check_error(await each.get("/me"), 401)
    assert (await other.get("/me")).status == 200
    assert (await refresh(site.anybody, other_token)).status == 200


@pytest.mark.parametrize("token", ["nonsense", "a" * 43])
async def test_a_refresh_token_that_is_none_is_401(site: Site, token: str) -> None:
    answer = await refresh(site.anybody, token)
    check_error(answer, 401)
    assert answer.headers["WWW-Authenticate"] == "Bearer"


async def test_one_kind_of_token_is_not_good_for_the_other(site: Site) -> None:
    client, token = await tokens(site.anybody)
    check_error(await client.with_token(token).get("/me"), 401)
    assert (await refresh(site.anybody, str(client.token))).status in (401, 422)


# Logout


async def test_a_logout_with_a_refresh_token_ends_that_login(site: Site) -> None:
    client, token = await tokens(site.anybody)
    other, other_token = await tokens(site.anybody)
    answer = await client.post("/auth/logout", {"refresh_token": token})
    assert (answer.status, answer.message, answer.data) == (200, "Logout successful", None)
    check_error(await client.get("/me"), 401)
    check_error(await refresh(site.anybody, token), 401)
    assert (await other.get("/me")).status == 200
    assert (await refresh(site.anybody, other_token)).status == 200


@pytest.mark.parametrize("body", [None, {}, {"refresh_token": None}])
async def test_a_logout_without_a_refresh_token_ends_all_of_the_users(site: Site, body: Any) -> None:
    await site.admin.new_user("anna")
    logins = [await tokens(site.anybody, "anna") for _ in range(2)]
    assert (await logins[0][0].post("/auth/logout", body)).message == "Logout successful"
    for client, token in logins:
        check_error(await client.get("/me"), 401)
        check_error(await refresh(site.anybody, token), 401)
    assert (await site.admin.get("/me")).status == 200


async def test_nobody_ends_the_login_of_somebody_else(site: Site) -> None:
    anna = await site.admin.new_user("anna")
    client, _ = await tokens(site.anybody, "anna")
    other, token = await tokens(site.anybody)
    await client.post("/auth/logout", {"refresh_token": token})
    assert (await other.get("/me")).status == 200
    assert (await site.admin.get(f"/users/{anna}")).data["last_logout_ip"] == "127.0.0.1"
    assert (await site.admin.get(f"/users/{site.admin_uuid}")).data["last_logout_ip"] is None


# What ends a login


@pytest.mark.parametrize("how", ["deactivated", "deleted", "password changed"])
async def test_what_is_done_to_a_user_ends_the_users_logins_at_once(site: Site, how: str) -> None:
    anna = await site.admin.new_user("anna")
    client, token = await tokens(site.anybody, "anna")
    if how == "deleted":
        await site.admin.delete(f"/users/{anna}")
    else:
        change = {"is_active": False} if how == "deactivated" else {"password": "another horse"}
        assert (await site.admin.put(f"/users/{anna}", change)).status == 200
    check_error(await client.get("/me"), 401)
    check_error(await refresh(site.anybody, token), 401)
    old = {"username": "anna", "password": PASSWORD}
    check_error(await site.anybody.post("/auth/login", old), 401)


async def test_a_user_who_is_active_again_logs_in_anew(site: Site) -> None:
    anna = await site.admin.new_user("anna")
    client, token = await tokens(site.anybody, "anna")
    for active in (False, True):
        await site.admin.put(f"/users/{anna}", {"is_active": active})
    check_error(await client.get("/me"), 401)
    check_error(await refresh(site.anybody, token), 401)
    assert (await site.anybody.login("anna")).token


async def test_a_new_password_is_the_one_that_counts(site: Site) -> None:
    anna = await site.admin.new_user("anna")
    await site.admin.put(f"/users/{anna}", {"password": "another horse"})
    assert (await site.anybody.login("anna", "another horse")).token


async def test_other_changes_end_no_login(site: Site) -> None:
    anna = await site.admin.new_user("anna")
    client, _ = await tokens(site.anybody, "anna")
    await site.admin.put(f"/users/{anna}", {"phone": "1", "username": "anne", "is_active": True})
    assert (await client.get("/me")).data["username"] == "anne"


# Forged tokens


def _segment(content: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(content).encode()).rstrip(b"=").decode()


async def test_a_forged_token_is_401(site: Site) -> None:
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
    # The same made here is good: what follows is refused for what it says, not for how it was made.
    assert (await site.anybody.with_token(signed(claims)).get("/me")).status == 200
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
        "another's claims": f"{head}.{_segment({**claims, 'sub': 'somebody'})}.{signature}",
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
        answer = await site.anybody.with_token(token).get("/me")
        assert (name, answer.status) == (name, 401)
        check_error(answer, 401)
        assert answer.headers["WWW-Authenticate"] == "Bearer"


async def test_a_token_does_not_outlive_its_time(site: Site) -> None:
    claims = jwt.decode(str(site.admin.token), options={"verify_signature": False})
    assert claims["exp"] - claims["iat"] == 15 * 60
    ring = KeyRing.load(site.settings.data.dir / "keys", timedelta(seconds=-30))
    answer = await site.anybody.with_token(ring.issue(Claims(claims["sub"], claims["sid"]))).get("/me")
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


async def test_registering_is_for_superadmins_while_it_is_not_public(site: Site) -> None:
    answer = await site.anybody.post("/auth/register", REGISTRATION)
    check_error(answer, 401)
    assert answer.headers["WWW-Authenticate"] == "Bearer"
    check_error(await site.anybody.with_token("nonsense").post("/auth/register", REGISTRATION), 401)
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


async def test_everybody_may_register_when_it_is_public_and_gets_no_permission(site_with: SiteWith) -> None:
    async with site_with(auth={"public_register": True}) as site:
        more = {"phone": "+49 1", "lang": "de", "location": "Bonn", "nationality": "DE", "timezone": "Europe/Berlin"}
        answer = await site.anybody.post("/auth/register", {**REGISTRATION, **more})
        assert answer.status == 201
        assert {name: answer.data[name] for name in more} == more
        assert answer.data["created_by"] is None
        anna = await site.anybody.login("anna")
        assert (await anna.get("/me")).data["permission"] is None
        check_error(await anna.post("/phones", {"mac": MAC}), 403)
        check_error(await site.anybody.post("/auth/register", REGISTRATION), 409)
        assert list((await site.anybody.post("/auth/register", {**REGISTRATION, "is_active": True})).fields) == [
            "is_active"
        ]
        assert (await site.admin.post("/auth/register", user("berta"))).status == 201
        check_error(await site.anybody.with_token("nonsense").post("/auth/register", user("dora")), 401)
