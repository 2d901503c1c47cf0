"""Whom a phone obeys: it asks ``authenticationURL`` of the config it runs.

Source: docs/phone-protocol/restart.md#authentication-url
"""

from yarl import URL

from cisisk.simulator import http_client
from cisisk.simulator.http_client import Unanswered

_AUTHORIZED = b"AUTHORIZED"
"""The whole body, without a line end; anything else is a no."""
_MAX_BODY = 1024
"""More than any refusal that is not a web page."""


async def is_authorised(
    user: str, password: str, *, url: str, device_name: str, model_name: str, address: str, within: float
) -> bool:
    """Ask ``url`` whether the owner of these credentials may execute something on the phone ``device_name``.

    Args:
        user: sent as ``UserID``.
        password: sent as ``Password``.
        url: as the config has it; a blank one lets everybody.
        device_name: ``SEP`` and the MAC address, sent as ``devicename``.
        model_name: as in ``x-CiscoIPPhoneModelName``.
        address: the phone's own, to ask from.
        within: seconds; no answer by then is a no, like every failure.
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
    except (Unanswered, ValueError):  # ValueError: the config's URL is none
        return False
    return status == 200 and body == _AUTHORIZED
