"""The client address of a request behind reverse proxies."""

import ipaddress
from collections.abc import Collection

from aiohttp import hdrs, web


def client_address(request: web.Request, proxies: Collection[str]) -> str | None:
    """Return the last address that is not one of the trusted ``proxies``, or None for the control socket."""
    address = request.remote or None
    if address not in proxies:
        return address
    # A proxy may add a second header below one from its client: together they form one list.
    for hop in reversed(",".join(request.headers.getall(hdrs.X_FORWARDED_FOR, ())).split(",")):
        try:
            address = str(ipaddress.ip_address(hop.strip()))
        except ValueError:
            break
        if address not in proxies:
            break
    return address
