import hashlib
import hmac
import json
import os
import stat
import time
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import jwt
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cisisk.identity.tokens import Claims, KeyRing
from cisisk.model.errors import StartRefused, Unauthenticated

LIFETIME = timedelta(minutes=15)
ANNA = Claims("user-of-anna", "session-of-anna")
NOT_VALID, EXPIRED = "The access token is not valid", "The access token has expired"
DAY = 86400


def refusal(ring: KeyRing, token: str) -> str:
    with pytest.raises(Unauthenticated) as refused:
        ring.verify(token)
    assert refused.value.__cause__ is None
    return str(refused.value)


def payload(**changes: Any) -> dict[str, Any]:
    moment = int(time.time())
    claims = {
        "iss": "cisisk",
        "aud": "cisisk-api",
        "sub": "u",
        "sid": "s",
        "iat": moment,
        "nbf": moment,
        "exp": moment + 900,
        "jti": "j",
        **changes,
    }
    return {name: value for name, value in claims.items() if value is not ...}


def signed(ring: KeyRing, claims: dict[str, Any], *, key: bytes | None = None, **headers: Any) -> str:
    return jwt.encode(
        claims,
        ring.keys[ring.active] if key is None else key,
        algorithm="HS256",
        headers={"kid": ring.active, "typ": "at+jwt", **headers},
    )


def part(content: object) -> str:
    raw = content if isinstance(content, bytes) else json.dumps(content).encode()
    return urlsafe_b64encode(raw).rstrip(b"=").decode()


def test_verify_issued_token_returns_claims(ring: KeyRing) -> None:
    assert ring.verify(ring.issue(ANNA)) == ANNA


def test_issued_token_follows_rfc_9068_and_is_unique(ring: KeyRing) -> None:
    token = ring.issue(ANNA)
    assert jwt.get_unverified_header(token) == {"alg": "HS256", "typ": "at+jwt", "kid": ring.active}
    claims = jwt.decode(token, options={"verify_signature": False})
    assert claims.pop("jti")
    assert claims.pop("iat") == claims.pop("nbf") == claims.pop("exp") - LIFETIME.total_seconds()
    assert claims == {"iss": "cisisk", "aud": "cisisk-api", "sub": ANNA.user_uuid, "sid": ANNA.session_uuid}
    assert ring.issue(ANNA) != ring.issue(ANNA)
    assert len(token) < 1000


def test_helper_signs_valid_tokens(ring: KeyRing) -> None:
    assert ring.verify(signed(ring, payload())) == Claims("u", "s")


def signed_with_sha512(ring: KeyRing) -> str:
    signing = f"{part({'alg': 'HS512', 'kid': ring.active, 'typ': 'at+jwt'})}.{part(payload())}"
    return f"{signing}.{part(hmac.digest(ring.keys[ring.active], signing.encode(), hashlib.sha512))}"


def signed_without(claim: str, ring: KeyRing) -> str:
    return signed(ring, payload(**{claim: ...}))


BRACKETS, OBJECTS = b"[" * 1400, b'{"a":' * 280
FORGERIES: dict[str, Callable[[KeyRing], str]] = {
    "no algorithm": lambda ring: jwt.encode(
        payload(), "", algorithm="none", headers={"kid": ring.active, "typ": "at+jwt"}
    ),
    "no algorithm, signature kept": lambda ring: (
        f"{part({'alg': 'none', 'kid': ring.active, 'typ': 'at+jwt'})}.{ring.issue(ANNA).partition('.')[2]}"
    ),
    "another algorithm": signed_with_sha512,
    "another key": lambda ring: signed(ring, payload(), key=b"k" * 32),
    "an empty key": lambda ring: f"{part({'alg': 'HS256', 'kid': ring.active, 'typ': 'at+jwt'})}.{part(payload())}.",
    "another key's id": lambda ring: signed(ring, payload(), kid="0000000000-00000000"),
    "a path for a key's id": lambda ring: signed(ring, payload(), kid="../keys"),
    "a list for a key's id": lambda ring: (
        f"{part({'alg': 'HS256', 'kid': [ring.active], 'typ': 'at+jwt'})}.{ring.issue(ANNA).partition('.')[2]}"
    ),
    "no key's id": lambda ring: jwt.encode(payload(), ring.keys[ring.active], headers={"typ": "at+jwt"}),
    "another type": lambda ring: signed(ring, payload(), typ="JWT"),
    "another audience": lambda ring: signed(ring, payload(aud="another")),
    "another issuer": lambda ring: signed(ring, payload(iss="another")),
    "a number for a user": lambda ring: signed(ring, payload(sub=1)),
    "not valid yet": lambda ring: signed(ring, payload(nbf=int(time.time()) + 60)),
    "issued in the future": lambda ring: signed(ring, payload(iat=int(time.time()) + 60)),
    "text for an expiry": lambda ring: signed(ring, payload(exp="tomorrow")),
    **{f"without {claim}": partial(signed_without, claim) for claim in payload()},
    "a claim changed": lambda ring: ".".join(
        [(parts := ring.issue(ANNA).split("."))[0], part(payload(sub="root")), parts[2]]
    ),
    "a payload that is no object": lambda ring: f"{ring.issue(ANNA).partition('.')[0]}.{part([])}.{part(b'x')}",
    "a header that is no object": lambda ring: f"{part(['HS256'])}.{ring.issue(ANNA).partition('.')[2]}",
    "a header of brackets": lambda _: f"{part(BRACKETS)}.{part({})}.{part(b'x')}",
    "a header of objects": lambda _: f"{part(OBJECTS)}.{part({})}.{part(b'x')}",
    "cut off": lambda ring: ring.issue(ANNA)[:-5],
    "two parts": lambda ring: ring.issue(ANNA).rpartition(".")[0],
    "four parts": lambda ring: f"{ring.issue(ANNA)}.x",
    "spaces around": lambda ring: f" {ring.issue(ANNA)}\n",
    "5000 characters": lambda ring: signed(ring, payload(sub="x" * 5000)),
    "5000 letters": lambda _: "a" * 5000,
    "5000 dots": lambda _: "." * 5000,
    "umlauts": lambda _: "ü.ü.ü",
    "half a surrogate pair": lambda ring: f"{ring.issue(ANNA)}\ud800",
    "a NUL": lambda ring: f"{ring.issue(ANNA)}\0",
    "nothing": lambda _: "",
    "dots": lambda _: "..",
}


@pytest.mark.parametrize("forgery", FORGERIES)
def test_verify_forged_token_gives_same_message(ring: KeyRing, forgery: str) -> None:
    assert refusal(ring, FORGERIES[forgery](ring)) == NOT_VALID


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(token=st.one_of(st.text(), st.lists(st.text(alphabet="eyJ0-_=Aa"), min_size=3, max_size=3).map(".".join)))
def test_verify_any_text_is_refused(ring: KeyRing, token: str) -> None:
    assert refusal(ring, token) == NOT_VALID


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.floats(0, 1, exclude_max=True), letters=st.permutations("Aa0-_.x"))
def test_verify_token_with_changed_character_is_refused(ring: KeyRing, place: float, letters: list[str]) -> None:
    token = ring.issue(ANNA)
    # The last character has two unused bits.
    at = int(place * (len(token) - 1))
    letter = letters[0] if letters[0] != token[at] else letters[1]
    assert refusal(ring, token[:at] + letter + token[at + 1 :]) == NOT_VALID


def test_verify_token_expired_beyond_leeway_is_refused(ring: KeyRing) -> None:
    moment = int(time.time())
    assert refusal(ring, signed(ring, payload(exp=moment - 60))) == EXPIRED
    assert ring.verify(signed(ring, payload(exp=moment - 3))) == Claims("u", "s")


def test_verify_tolerates_clock_set_back_within_leeway(ring: KeyRing) -> None:
    soon = int(time.time()) + 5
    assert ring.verify(signed(ring, payload(nbf=soon, iat=soon))) == Claims("u", "s")


def test_key_ring_repr_shows_no_key(ring: KeyRing) -> None:
    for key in ring.keys.values():
        assert str(key) not in repr(ring)
        assert b64encode(key).decode() not in repr(ring)


def test_key_file_is_private_and_persistent(tmp_path: Path, ring: KeyRing) -> None:
    path = tmp_path / "keys"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert all(len(key) == 32 for key in ring.keys.values())
    before = path.read_bytes()
    again = KeyRing.load(path, LIFETIME)
    assert again.verify(ring.issue(ANNA)) == ANNA
    assert path.read_bytes() == before
    assert [found.name for found in tmp_path.iterdir()] == ["keys"]


def test_installations_have_different_keys(tmp_path: Path, ring: KeyRing) -> None:
    other = KeyRing.load(tmp_path / "other", LIFETIME)
    assert refusal(other, ring.issue(ANNA)) == NOT_VALID


def written(path: Path, *ages: float) -> KeyRing:
    """Write keys of these ages in days and return their ring."""
    keys = {f"{int(time.time() - age * DAY):010d}-00000000": os.urandom(32) for age in ages}
    path.write_text(json.dumps({kid: b64encode(key).decode() for kid, key in keys.items()}))
    return KeyRing(keys=keys, active=max(keys), lifetime=LIFETIME)


def test_aged_key_only_verifies(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    old = written(path, 91)
    ring = KeyRing.load(path, LIFETIME)
    assert len(ring.keys) == 2
    assert ring.active != old.active
    assert ring.verify(old.issue(ANNA)) == ANNA
    assert ring.verify(ring.issue(ANNA)) == ANNA
    assert refusal(old, ring.issue(ANNA)) == NOT_VALID
    assert KeyRing.load(path, LIFETIME) == ring
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_young_key_keeps_signing(tmp_path: Path) -> None:
    old = written(tmp_path / "keys", 89)
    assert KeyRing.load(tmp_path / "keys", LIFETIME).active == old.active


def test_load_keeps_only_newest_of_aged_keys(tmp_path: Path) -> None:
    old = written(tmp_path / "keys", 300, 200, 100)
    ring = KeyRing.load(tmp_path / "keys", LIFETIME)
    assert len(ring.keys) == 2
    assert ring.verify(old.issue(ANNA)) == ANNA


def test_load_replaces_leftover_of_interrupted_write(tmp_path: Path) -> None:
    (tmp_path / "keys.new").write_text("{half")
    (tmp_path / "precious").write_text("precious")
    KeyRing.load(tmp_path / "keys", LIFETIME)
    (tmp_path / "keys").unlink()
    (tmp_path / "keys.new").symlink_to(tmp_path / "precious")
    KeyRing.load(tmp_path / "keys", LIFETIME)
    assert (tmp_path / "precious").read_text() == "precious"


KID = f"{int(time.time()):010d}-00000000"
KEY = b64encode(b"k" * 32).decode()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"null",
        b"[]",
        b'"text"',
        b"\xff\xfe",
        json.dumps({KID: KEY, "named": KEY}).encode(),
        json.dumps({"": KEY}).encode(),
        json.dumps({KID: None}).encode(),
        json.dumps({KID: [KEY]}).encode(),
        json.dumps({KID: "not base64!"}).encode(),
        json.dumps({KID: b64encode(b"short").decode()}).encode(),
        json.dumps({KID: {"nested": KEY}}).encode(),
    ],
)
def test_load_damaged_file_raises_start_refused_and_keeps_it(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "keys"
    path.write_bytes(content)
    with pytest.raises(StartRefused, match=f"The key file {path} is damaged"):
        KeyRing.load(path, LIFETIME)
    assert path.read_bytes() == content


def test_load_unusable_path_raises_start_refused(tmp_path: Path) -> None:
    with pytest.raises(StartRefused, match="Is a directory"):
        KeyRing.load(tmp_path, LIFETIME)
    with pytest.raises(StartRefused, match="No such file"):
        KeyRing.load(tmp_path / "absent" / "keys", LIFETIME)
