"""A phone's HTTP client: one bounded GET from the phone's own address."""

import aiohttp
from yarl import URL

_USER_AGENT = "Allegro-Software-WebClient/4.34"
"""What a 79xx calls itself (phone-protocol notes 4.2)."""


class Unanswered(Exception):
    """There was no usable answer.

    Attributes:
        refused: nobody listens there.
    """

    def __init__(self, reason: str, *, refused: bool = False) -> None:
        super().__init__(reason)
        self.refused = refused


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
    headers = {
        "User-Agent": _USER_AGENT,
        "Accept": "x-CiscoIPPhone/*, text/*,image/png,*/*",
        "x-CiscoIPPhoneModelName": model_name,
    }
    connector = aiohttp.TCPConnector(local_addr=(address, 0), force_close=True)
    limit = aiohttp.ClientTimeout(total=within)
    try:
        async with (
            aiohttp.ClientSession(connector=connector, timeout=limit, headers=headers) as session,
            session.get(url, allow_redirects=False) as response,
        ):
            return response.status, await _bounded(response.content, max_bytes)
    except aiohttp.ClientConnectorError as failure:
        raise Unanswered("refused", refused=isinstance(failure.os_error, ConnectionRefusedError)) from failure
    except (aiohttp.ClientError, TimeoutError, OSError) as failure:
        raise Unanswered(str(failure) or type(failure).__name__) from failure


async def _bounded(stream: aiohttp.StreamReader, max_bytes: int) -> bytes:
    body = bytearray()
    async for chunk in stream.iter_any():
        body += chunk
        if len(body) > max_bytes:
            raise Unanswered(f"larger than {max_bytes} bytes")
    return bytes(body)
