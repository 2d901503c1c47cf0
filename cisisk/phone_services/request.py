"""Requests of phones: the name of the phone, the fields, and the headers."""

import asyncio
import re
import zlib
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from urllib.parse import unquote_to_bytes

from aiohttp import hdrs, web

from cisisk.identity.client_address import client_address
from cisisk.model.errors import Invalid
from cisisk.model.mac import Mac
from cisisk.model.user import Actor
from cisisk.phone_services.characters import line
from cisisk.phone_services.families import ScreenProfile, screen_of
from cisisk.phone_services.links import MAX_HOST, Links
from cisisk.phone_services.problems import NotShown
from cisisk.phone_services.texts import ScreenProblem

MODEL_HEADER = "x-CiscoIPPhoneModelName"
MAX_BODY_BYTES = 4096
"""Five fields of a form, each with 800 bytes."""
BODY_SECONDS = 5.0
"""A phone sends a form in one packet, and waits only some seconds for the page."""
MAX_VALUE = 256
MAX_FIELDS = 32
_NAMES_OF_PHONE = ("mac", "device", "name")
"""Some firmware adds ``name=SEP...``."""
_HOST = re.compile(r"(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?")
_MAX_HEADER = 256
_NO_FORM = (web.HTTPRequestEntityTooLarge, ValueError, LookupError, RuntimeError, zlib.error, TimeoutError)
"""Errors of bodies that are too large, malformed, missing, or in an unknown encoding."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PhoneRequest:
    """One request of one phone.

    Attributes:
        mac: as the request states it, unverified; None without a valid one.
        is_misnamed: the request states an invalid MAC address.
        address: of the client.
        fields: of the query and of the body.
        model: as the request states it; None if it does not.
    """

    mac: Mac | None
    is_misnamed: bool
    address: str
    fields: Mapping[str, str] = field(repr=False)
    model: str | None
    screen: ScreenProfile
    links: Links = field(repr=False)
    actor: Actor

    def get(self, name: str) -> str:
        """Return a field, stripped; empty if it was not sent."""
        return self.fields.get(name, "")

    @property
    def phone(self) -> Mac:
        """The phone that sent the request. Raises NotShown if the request does not name it."""
        if self.mac is None:
            raise NotShown(ScreenProblem.NO_PHONE)
        return self.mac


async def read(
    request: web.Request, proxies: Collection[str], public_url: str, body_seconds: float = BODY_SECONDS
) -> PhoneRequest:
    """Parse ``request``.

    Args:
        proxies: the addresses of proxies whose ``X-Forwarded-For`` is trusted.
        public_url: the URL of this server for phones behind one of them; may be empty.
        body_seconds: for the body to arrive.
    """
    fields = dict(_pairs(request.rel_url.raw_query_string.encode()))
    if request.method == hdrs.METH_POST:
        fields |= await _body(request, body_seconds)
    given = [fields[name] for name in _NAMES_OF_PHONE if fields.get(name)]
    mac = _mac(given)
    address = client_address(request, proxies) or ""
    model = _header(request, MODEL_HEADER) or None
    return PhoneRequest(
        mac=mac,
        is_misnamed=mac is None and bool(given),
        address=address,
        fields=fields,
        model=model,
        screen=screen_of(model, _header(request, hdrs.ACCEPT_CHARSET)),
        links=Links(base=_base(request, public_url if request.remote in proxies else ""), mac=mac),
        actor=Actor(ip=address or None, user_agent=_header(request, hdrs.USER_AGENT) or None),
    )


def _mac(given: Iterable[str]) -> Mac | None:
    """Return the first valid MAC address. A phone may add its name in another form."""
    for text in given:
        with suppress(Invalid):
            return Mac.parse(text)
    return None


async def _body(request: web.Request, seconds: float) -> dict[str, str]:
    """Return the fields of a posted form; none if the body is too large, too late, or no form."""
    bounded = request.clone(client_max_size=MAX_BODY_BYTES)
    try:
        async with asyncio.timeout(seconds):
            if request.content_type.startswith("multipart/"):
                posted = await bounded.post()
                texts = ((name, value) for name, value in posted.items() if isinstance(value, str))
                return {name: line(value, "utf-8")[:MAX_VALUE] for name, value in list(texts)[:MAX_FIELDS]}
            return dict(_pairs(await bounded.read()))
    except _NO_FORM:
        return {}


def _pairs(encoded: bytes) -> Iterator[tuple[str, str]]:
    for pair in encoded.split(b"&", MAX_FIELDS)[:MAX_FIELDS]:
        name, _, value = pair.partition(b"=")
        yield _text(name), _text(value)


def _text(encoded: bytes) -> str:
    """Return a decoded field. Phones send UTF-8, and older ones ISO-8859-1."""
    raw = unquote_to_bytes(encoded.replace(b"+", b" "))
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        text = raw.decode("iso-8859-1")
    return line(text, "utf-8")[:MAX_VALUE]


def _header(request: web.Request, name: str) -> str:
    return request.headers.get(name, "").encode(errors="replace").decode()[:_MAX_HEADER]


def _base(request: web.Request, public_url: str) -> str:
    """Return the base URL of links: the one by which the phone reached this server."""
    if public_url and len(public_url) <= MAX_HOST:
        return public_url.rstrip("/")
    host = request.headers.get(hdrs.HOST, "")
    if len(host) > MAX_HOST or not _HOST.fullmatch(host):
        own = request.transport.get_extra_info("sockname") if request.transport else None
        address, port = own[:2] if isinstance(own, tuple) else ("127.0.0.1", 80)
        host = f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
    return f"{request.scheme}://{host}"
