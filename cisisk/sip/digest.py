"""Answers to digest challenges (RFC 3261 section 22, RFC 7616), as far as phones use them: MD5, with or without qop."""

import hashlib
import re
from dataclasses import dataclass

from cisisk.sip import message
from cisisk.sip.message import SipResponse

_ESCAPED = re.compile(r"\\(.)")
CHALLENGED = {401: ("WWW-Authenticate", "Authorization"), 407: ("Proxy-Authenticate", "Proxy-Authorization")}
"""By status: the header of the challenge, and that of the answer."""


class Unanswerable(ValueError):
    """A challenge that is malformed, or requires what is not supported."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Challenge:
    """A digest challenge.

    Attributes:
        algorithm: as the challenge spells it, for the answer; None if it names none.
        with_qop: whether ``qop=auth`` is offered.
    """

    realm: str
    nonce: str
    opaque: str | None
    algorithm: str | None
    with_qop: bool


def challenge_of(response: SipResponse) -> Challenge:
    """Return the first supported challenge of a 401 or 407. Raises Unanswerable if there is none."""
    for value in response.all(CHALLENGED[response.status][0]):
        scheme, _, rest = value.partition(" ")
        if scheme.lower() != "digest":
            continue
        given = {name.lower(): text for name, text in map(_parameter, message.split(rest, ","))}
        algorithm = given.get("algorithm")
        offered = [qop.strip().lower() for qop in given["qop"].split(",")] if "qop" in given else None
        if (
            {"realm", "nonce"} <= given.keys()
            and (algorithm or "md5").lower() == "md5"
            and "auth" in (offered or "auth")
        ):
            return Challenge(
                realm=given["realm"],
                nonce=given["nonce"],
                opaque=given.get("opaque"),
                algorithm=algorithm,
                with_qop=offered is not None,
            )
    raise Unanswerable("no digest challenge with MD5")


def answer(challenge: Challenge, *, method: str, uri: str, username: str, password: str, cnonce: str) -> str:
    """Return the value of the header that answers. Raises Unsendable if a value cannot stand in a header.

    Args:
        cnonce: a random value; used if the challenge offers qop.
    """
    secret = _md5(f"{username}:{challenge.realm}:{password}")
    request = _md5(f"{method}:{uri}")
    count = "00000001"  # a nonce is used once
    middle = f"{challenge.nonce}:{count}:{cnonce}:auth" if challenge.with_qop else challenge.nonce
    parts = [
        f"username={message.quoted(username)}",
        f"realm={message.quoted(challenge.realm)}",
        f"nonce={message.quoted(challenge.nonce)}",
        f"uri={message.quoted(uri)}",
        f'response="{_md5(f"{secret}:{middle}:{request}")}"',
    ]
    if challenge.algorithm is not None:
        parts.append("algorithm=MD5")
    if challenge.opaque is not None:
        parts.append(f"opaque={message.quoted(challenge.opaque)}")
    if challenge.with_qop:
        parts += ["qop=auth", f"nc={count}", f"cnonce={message.quoted(cnonce)}"]
    return "Digest " + ", ".join(parts)


def _parameter(text: str) -> tuple[str, str]:
    name, _, value = (part.strip() for part in text.partition("="))
    if len(value) >= 2 and value[0] == value[-1] == '"':
        value = _ESCAPED.sub(r"\1", value[1:-1])
    return name, value


def _md5(text: str) -> str:
    return hashlib.md5(text.encode(errors="surrogatepass"), usedforsecurity=False).hexdigest()
