"""Where an HTTP request really comes from."""

import ipaddress
from collections.abc import Collection

from aiohttp import hdrs, web


def client_address(request: web.Request, proxies: Collection[str]) -> str | None:
    """The last address that none of the trusted ``proxies`` vouches for; None for the control socket."""
    address = request.remote or None
    if address not in proxies:
        return address
    # A proxy may add a line of its own below one that its client made up: together they are one list.
    for hop in reversed(",".join(request.headers.getall(hdrs.X_FORWARDED_FOR, ())).split(",")):
        try:
            address = str(ipaddress.ip_address(hop.strip()))
        except ValueError:
            break
        if address not in proxies:
            break
    return address
