"""Parsing of untrusted requests."""

from collections.abc import Mapping
from unittest.mock import Mock

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request
from hypothesis import given
from hypothesis import strategies as st

from cisisk.phone_services.request import MAX_VALUE, PhoneRequest, read

PATH = "/cisco/services/pdir"


def request(query: str, headers: Mapping[str, str] | None = None) -> web.Request:
    transport = Mock()
    transport.get_extra_info = {"sockname": ("192.0.2.5", 8080), "peername": ("192.0.2.7", 49152)}.get
    return make_mocked_request("GET", f"{PATH}?{query}", headers=headers or {"Host": "x:8080"}, transport=transport)


async def asked(query: str, headers: Mapping[str, str] | None = None, public_url: str = "") -> PhoneRequest:
    proxies = ["192.0.2.7"] if public_url else []
    return await read(request(query, headers), proxies, public_url)


async def test_values_are_utf8_or_latin1() -> None:
    for encoded in ("J%C3%BCrgen+Gro%C3%9F", "J%FCrgen%20Gro%DF"):
        assert (await asked(f"person={encoded}")).get("person") == "Jürgen Groß"


async def test_value_is_one_short_printable_line() -> None:
    fields = await asked(f"a=%0A+1%002%0d%0A&b={'x' * 999}&c&=d&&e=f=g")
    assert (fields.get("a"), fields.get("c"), fields.get("e")) == ("12", "", "f=g")
    assert len(fields.get("b")) == MAX_VALUE


@given(st.binary(max_size=300))
async def test_any_query_is_read(raw: bytes) -> None:
    # The parser of aiohttp accepts any printable text.
    query = "".join(chr(byte) if 0x21 <= byte < 0x7F and byte != 0x23 else f"%{byte:02X}" for byte in raw)
    await asked(query)


async def test_links_use_the_address_of_the_request() -> None:
    for host, base in {
        "192.0.2.5:8080": "http://192.0.2.5:8080",
        "cisisk.example": "http://cisisk.example",
        "[2001:db8::1]:8080": "http://[2001:db8::1]:8080",
        "": "http://192.0.2.5:8080",
        "x" * 51: "http://192.0.2.5:8080",
        "evil/<b>": "http://192.0.2.5:8080",
        "user@evil": "http://192.0.2.5:8080",
    }.items():
        assert (await asked("", {"Host": host})).links.base == base
    behind = await asked("", {"Host": "inner:1"}, public_url="https://cisisk.example/")
    assert behind.links.base == "https://cisisk.example"


async def test_request_repr_shows_no_fields() -> None:
    assert "314159" not in repr(await asked("mac=SEPAABBCCDDEE01&pin=314159"))


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_form_without_body_has_fields_of_url(method: str) -> None:
    posted = make_mocked_request(method, f"{PATH}?mac=AABBCCDDEE01&x=1", headers={"Host": "x"})
    assert (await read(posted, [], "")).get("x") == "1"
