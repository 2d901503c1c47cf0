"""Authentication of a request to a phone by the ``authenticationURL`` of its config.

Source: docs/phone-protocol/restart.md#authentication-url
"""

from yarl import URL

from cisisk.simulator import http_client
from cisisk.simulator.http_client import RequestFailed

_AUTHORIZED = b"AUTHORIZED"
"""The whole body, without a line end; a phone treats any other body as a refusal."""
_MAX_BODY = 1024
"""Bytes: more than any refusal, except a web page."""


async def is_authorised(
    user: str, password: str, *, url: str, device_name: str, model_name: str, address: str, within: float
) -> bool:
    """Return whether ``url`` authorises these credentials for the phone ``device_name``.

    Args:
        user: sent as ``UserID``.
        password: sent as ``Password``.
        url: from the config; an empty one authorises every request.
        device_name: ``SEP`` and the MAC address, sent as ``devicename``.
        model_name: sent as ``x-CiscoIPPhoneModelName``.
        address: local IP address of the request.
        within: seconds to wait; no answer counts as a refusal, like every other failure.
    """
    if not url:
        return True
    try:
        status, body = await http_client.get(
            URL(url).update_query({"UserID": user, "Password": password, "devicename": device_name}),
            model_name=model_name,
            address=address,
            within=within,
            max_bytes=_MAX_BODY,
        )
    except (RequestFailed, ValueError):  # ValueError: the config's URL is invalid
        return False
    return status == 200 and body == _AUTHORIZED
