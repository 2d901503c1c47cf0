"""A phone's HTTP client: one bounded request from the phone's own address."""

from collections.abc import Mapping
from dataclasses import dataclass

import aiohttp
from multidict import CIMultiDictProxy
from yarl import URL

_USER_AGENT = "Allegro-Software-WebClient/4.34"
"""What a 79xx calls itself (docs/phone-protocol/xml-services.md#requests)."""
ACCEPT = "x-CiscoIPPhone/*, text/*,image/png,*/*"


class Unanswered(Exception):
    """There was no usable answer.

    Attributes:
        refused: nobody listens there.
    """

    def __init__(self, reason: str, *, refused: bool = False) -> None:
        super().__init__(reason)
        self.refused = refused


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpAnswer:
    """What a server answered.

    Attributes:
        body: one byte more than was allowed if it is longer than that.
    """

    status: int
    headers: CIMultiDictProxy[str]
    body: bytes


async def get(url: URL, *, model_name: str, address: str, within: float, max_bytes: int) -> tuple[int, bytes]:
    """The status and the body ``url`` answers; redirects are not followed.

    Args:
        url: http or https.
        model_name: as in ``x-CiscoIPPhoneModelName``.
        address: the phone's own, to ask from.
        within: seconds for all of it.
        max_bytes: a longer body is refused.

    Raises:
        Unanswered: refused, silent, broken or too long.
    """
    headers = {"User-Agent": _USER_AGENT, "Accept": ACCEPT, "x-CiscoIPPhoneModelName": model_name}
    answer = await ask(url, headers=headers, address=address, within=within, max_bytes=max_bytes)
    if len(answer.body) > max_bytes:
        raise Unanswered(f"larger than {max_bytes} bytes")
    return answer.status, answer.body


async def ask(
    url: URL, *, headers: Mapping[str, str], address: str, within: float, max_bytes: int, form: bytes | None = None
) -> HttpAnswer:
    """What ``url`` answers; redirects are not followed, and no cookies kept.

    Args:
        url: http or https.
        headers: of the request.
        address: the phone's own, to ask from.
        within: seconds for all of it.
        max_bytes: of the body; what is longer is not read to the end.
        form: is posted; None gets.

    Raises:
        Unanswered: refused, silent or broken.
    """
    connector = aiohttp.TCPConnector(local_addr=(address, 0), force_close=True)
    limit = aiohttp.ClientTimeout(total=within)
    try:
        async with (
            aiohttp.ClientSession(
                connector=connector,
                timeout=limit,
                cookie_jar=aiohttp.DummyCookieJar(),
                skip_auto_headers=["Accept-Encoding"],  # no phone unpacks anything
            ) as session,
            session.request(
                "GET" if form is None else "POST", url, headers=headers, data=form, allow_redirects=False
            ) as response,
        ):
            body = await _read(response.content, max_bytes + 1)
            return HttpAnswer(status=response.status, headers=response.headers, body=body)
    except aiohttp.ClientConnectorError as failure:
        raise Unanswered("refused", refused=isinstance(failure.os_error, ConnectionRefusedError)) from failure
    except (aiohttp.ClientError, TimeoutError, OSError) as failure:
        raise Unanswered(str(failure) or type(failure).__name__) from failure


async def _read(stream: aiohttp.StreamReader, length: int) -> bytes:
    body = bytearray()
    async for chunk in stream.iter_any():
        body += chunk
        if len(body) >= length:
            break
    return bytes(body[:length])
