"""Access tokens (JWT as in RFC 9068, signed with HS256) and their signing keys."""

import json
import os
import secrets
import time
from base64 import b64decode, b64encode
from binascii import Error as NotBase64
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, Self

import jwt

from cisisk.model.errors import StartRefused, Unauthenticated

_ISSUER, _AUDIENCE, _TYPE = "cisisk", "cisisk-api", "at+jwt"
_CLAIMS = ["iss", "aud", "sub", "sid", "iat", "nbf", "exp", "jti"]
_KEY_BYTES = 32
"""A key for HS256 has at least 256 bits (RFC 7518 section 3.2)."""
_KEY_AGE = timedelta(days=90)
"""Time for which a key signs. Afterwards it only verifies, and a new key signs."""
_MAX_TOKEN = 2048
"""Characters; an issued token has about 400."""
_LEEWAY = 10
"""Seconds by which the clock may be set back between issue and use."""


@dataclass(frozen=True, slots=True)
class Claims:
    """The claims of a valid access token."""

    user_uuid: str
    session_uuid: str


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyRing:
    """The signing keys by id. The newest signs; the others only verify."""

    keys: Mapping[str, bytes] = field(repr=False)
    active: str
    lifetime: timedelta

    @classmethod
    def load(cls, path: Path, lifetime: timedelta) -> Self:
        """Read the keys from ``path``. Create the file (0600) if it is absent, and add a key if the newest is too old.

        Args:
            path: the key file.
            lifetime: lifetime of access tokens.

        Raises:
            StartRefused: the file is damaged or not writable.
        """
        try:
            keys = _read(path) if path.exists() else {}
            if not keys or _made_at(max(keys)) + _KEY_AGE.total_seconds() < time.time():
                # Only the newest of the old keys can have signed a token that has not expired.
                keys = {**({max(keys): keys[max(keys)]} if keys else {}), _new_id(): secrets.token_bytes(_KEY_BYTES)}
                _write(path, keys)
        except (ValueError, KeyError, TypeError, AttributeError, NotBase64) as error:
            raise StartRefused(
                f"The key file {path} is damaged. Remove it and start again. All users then have to log in again"
            ) from error
        except OSError as error:
            raise StartRefused(
                f"Cannot use the key file {path}: {error.strerror}. Check its path and permissions"
            ) from error
        return cls(keys=keys, active=max(keys), lifetime=lifetime)

    def issue(self, claims: Claims) -> str:
        """Return a signed access token with ``claims``."""
        moment = int(time.time())
        payload = {
            "iss": _ISSUER,
            "aud": _AUDIENCE,
            "sub": claims.user_uuid,
            "sid": claims.session_uuid,
            "iat": moment,
            "nbf": moment,
            "exp": moment + int(self.lifetime.total_seconds()),
            "jti": secrets.token_urlsafe(12),
        }
        headers = {"kid": self.active, "typ": _TYPE}
        return jwt.encode(payload, self.keys[self.active], algorithm="HS256", headers=headers)

    def verify(self, token: str) -> Claims:
        """Return the claims of ``token``.

        Raises:
            Unauthenticated: the token is invalid or has expired.
        """
        try:
            if len(token) > _MAX_TOKEN:
                raise jwt.InvalidTokenError  # noqa: TRY301 -- the same error for every defect
            payload = self._decode(token)
            return Claims(str(payload["sub"]), str(payload["sid"]))
        except jwt.ExpiredSignatureError:
            raise Unauthenticated("The access token has expired") from None
        except (jwt.InvalidTokenError, ValueError):
            raise Unauthenticated("The access token is not valid") from None

    def _decode(self, token: str) -> dict[str, Any]:
        # Nearly every token is of the active key. To read the key's id first would parse each token twice.
        for kid in sorted(self.keys, reverse=True):
            try:
                whole = jwt.decode_complete(
                    token,
                    self.keys[kid],
                    algorithms=["HS256"],
                    issuer=_ISSUER,
                    audience=_AUDIENCE,
                    leeway=_LEEWAY,
                    options={"require": _CLAIMS},
                )
            except jwt.InvalidSignatureError:
                continue
            header: dict[str, Any] = whole["header"]
            if header.get("kid") == kid and header.get("typ") == _TYPE:
                payload: dict[str, Any] = whole["payload"]
                return payload
        raise jwt.InvalidTokenError


def _new_id() -> str:
    """Return a key id; ids sort by age."""
    return f"{int(time.time()):010d}-{secrets.token_hex(4)}"


def _made_at(kid: str) -> int:
    return int(kid.partition("-")[0])


def _read(path: Path) -> dict[str, bytes]:
    keys = {str(kid): b64decode(key, validate=True) for kid, key in json.loads(path.read_text("ascii")).items()}
    if any(len(key) < _KEY_BYTES for key in keys.values()):
        raise ValueError("short key")
    return keys


def _write(path: Path, keys: Mapping[str, bytes]) -> None:
    temporary = path.with_name(f"{path.name}.new")
    temporary.unlink(missing_ok=True)
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(fd, "w", encoding="ascii") as file:
        json.dump({kid: b64encode(key).decode() for kid, key in keys.items()}, file)
        file.flush()
        os.fsync(fd)
    temporary.replace(path)
