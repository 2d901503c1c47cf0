"""A phone's HTTP client: one request of limited size and time from the phone's address."""

from collections.abc import Mapping
from dataclasses import dataclass

import aiohttp
from multidict import CIMultiDictProxy
from yarl import URL

_USER_AGENT = "Allegro-Software-WebClient/4.34"
"""The User-Agent of a 79xx (docs/phone-protocol/xml-services.md#requests)."""
ACCEPT = "x-CiscoIPPhone/*, text/*,image/png,*/*"


class RequestFailed(Exception):
    """The request got no usable response.

    Attributes:
        refused: the connection was refused.
    """

    def __init__(self, reason: str, *, refused: bool = False) -> None:
        super().__init__(reason)
        self.refused = refused


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpAnswer:
    """A response.

    Attributes:
        body: truncated to one byte more than ``max_bytes``.
    """

    status: int
    headers: CIMultiDictProxy[str]
    body: bytes


async def get(url: URL, *, model_name: str, address: str, within: float, max_bytes: int) -> tuple[int, bytes]:
    """Return the status and body of ``url``. Redirects are not followed.

    Args:
        url: http or https.
        model_name: sent as ``x-CiscoIPPhoneModelName``.
        address: local IP address of the request.
        within: seconds for the whole exchange.
        max_bytes: the longest body that is accepted.

    Raises:
        RequestFailed: refused, timed out, broken or too long.
    """
    headers = {"User-Agent": _USER_AGENT, "Accept": ACCEPT, "x-CiscoIPPhoneModelName": model_name}
    response = await request(url, headers=headers, address=address, within=within, max_bytes=max_bytes)
    if len(response.body) > max_bytes:
        raise RequestFailed(f"larger than {max_bytes} bytes")
    return response.status, response.body


async def request(
    url: URL, *, headers: Mapping[str, str], address: str, within: float, max_bytes: int, form: bytes | None = None
) -> HttpAnswer:
    """Return the response of ``url``. Redirects are not followed and cookies are not kept.

    Args:
        url: http or https.
        headers: request headers.
        address: local IP address of the request.
        within: seconds for the whole exchange.
        max_bytes: bytes of the body; reading stops one byte later.
        form: body of a POST, url-encoded; None sends a GET.

    Raises:
        RequestFailed: refused, timed out or broken.
    """
    connector = aiohttp.TCPConnector(local_addr=(address, 0), force_close=True)
    limit = aiohttp.ClientTimeout(total=within)
    try:
        async with (
            aiohttp.ClientSession(
                connector=connector,
                timeout=limit,
                cookie_jar=aiohttp.DummyCookieJar(),
                skip_auto_headers=["Accept-Encoding"],  # phones do not decompress responses
            ) as session,
            session.request(
                "GET" if form is None else "POST", url, headers=headers, data=form, allow_redirects=False
            ) as response,
        ):
            body = await _read(response.content, max_bytes + 1)
            return HttpAnswer(status=response.status, headers=response.headers, body=body)
    except aiohttp.ClientConnectorError as failure:
        raise RequestFailed("refused", refused=isinstance(failure.os_error, ConnectionRefusedError)) from failure
    except (aiohttp.ClientError, TimeoutError, OSError) as failure:
        raise RequestFailed(str(failure) or type(failure).__name__) from failure


async def _read(stream: aiohttp.StreamReader, length: int) -> bytes:
    body = bytearray()
    async for chunk in stream.iter_any():
        body += chunk
        if len(body) >= length:
            break
    return bytes(body[:length])
