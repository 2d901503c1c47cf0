"""What a phone asks, read in one place: its name, its fields, its headers."""

import asyncio
import re
import zlib
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from urllib.parse import unquote_to_bytes

from aiohttp import hdrs, web

from cisisk.identity.client_address import client_address
from cisisk.model.codes.phone_screen import ScreenProblem
from cisisk.model.errors import Invalid
from cisisk.model.mac import Mac
from cisisk.model.user import Actor
from cisisk.phone_services.characters import line
from cisisk.phone_services.families import ScreenProfile, screen_of
from cisisk.phone_services.links import MAX_HOST, Links
from cisisk.phone_services.problems import NotShown

MODEL_HEADER = "x-CiscoIPPhoneModelName"
MAX_BODY_BYTES = 4096
"""Five fields of a form, each longer than a keypad has patience for."""
BODY_SECONDS = 5.0
"""A phone sends those in one packet, and gives up waiting for the page after some seconds."""
MAX_VALUE = 256
MAX_FIELDS = 32
_NAMES_OF_PHONE = ("mac", "device", "name")
"""Some firmware adds ``name=SEP...`` by itself."""
_HOST = re.compile(r"(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?")
_MAX_HEADER = 256
_NO_FORM = (web.HTTPRequestEntityTooLarge, ValueError, LookupError, RuntimeError, zlib.error, TimeoutError)
"""What comes of bodies that are too long, broken, in encodings that nobody knows, or never there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PhoneRequest:
    """One request of one phone.

    Attributes:
        mac: as the phone says; anybody can say so. None if it says nothing.
        is_misnamed: it says something else instead.
        address: where the request came from.
        fields: of the query and of the body.
        model: as the phone says; None if it does not.
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
        """One field, without blanks around it; empty when it was not sent."""
        return self.fields.get(name, "")

    @property
    def phone(self) -> Mac:
        """The phone that asks. Raises NotShown: it did not say who it is."""
        if self.mac is None:
            raise NotShown(ScreenProblem.NO_PHONE)
        return self.mac


async def read(request: web.Request, proxies: Collection[str], public_url: str) -> PhoneRequest:
    """Read ``request``.

    Args:
        proxies: whose ``X-Forwarded-For`` is believed.
        public_url: how phones reach this server when they do so through one of them; may be empty.
    """
    fields = dict(_pairs(request.rel_url.raw_query_string.encode()))
    if request.method == hdrs.METH_POST:
        fields |= await _body(request)
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
    """Of several names the first that is one: a phone that adds its own to ours may write it otherwise."""
    for text in given:
        with suppress(Invalid):
            return Mac.parse(text)
    return None


async def _body(request: web.Request) -> dict[str, str]:
    """The fields of a posted form; what is too long, too late, or no form, has none."""
    bounded = request.clone(client_max_size=MAX_BODY_BYTES)
    try:
        async with asyncio.timeout(BODY_SECONDS):
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
    """What a phone has typed: in UTF-8, or in the charset of older ones."""
    raw = unquote_to_bytes(encoded.replace(b"+", b" "))
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        text = raw.decode("iso-8859-1")
    return line(text, "utf-8")[:MAX_VALUE]


def _header(request: web.Request, name: str) -> str:
    return request.headers.get(name, "").encode(errors="replace").decode()[:_MAX_HEADER]


def _base(request: web.Request, public_url: str) -> str:
    """What to put before the paths: the way on which the phone has just come."""
    if public_url and len(public_url) <= MAX_HOST:
        return public_url.rstrip("/")
    host = request.headers.get(hdrs.HOST, "")
    if len(host) > MAX_HOST or not _HOST.fullmatch(host):
        own = request.transport.get_extra_info("sockname") if request.transport else None
        address, port = own[:2] if isinstance(own, tuple) else ("127.0.0.1", 80)
        host = f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
    return f"{request.scheme}://{host}"
