"""The address under which the phones reach this Cisisk."""

import socket
from urllib.parse import urlsplit

from cisisk.model.errors import Conflict


def server_address(public_url: str, phone_address: str | None) -> str:
    """Return the host of ``public_url``, or the local address from which the system reaches ``phone_address``.

    Raises:
        Conflict: neither is known.
    """
    if host := urlsplit(public_url).hostname:
        return host
    if phone_address is None:
        raise Conflict(
            "The profile uses {{server}}, but neither server.public_url nor the phone's address is known. Set one of "
            "them"
        )
    family = socket.AF_INET6 if ":" in phone_address else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            # Connecting a datagram socket sends nothing; it only chooses the route. The port does not matter.
            probe.connect((phone_address, 9))
        except OSError as error:
            raise Conflict(
                f"The profile uses {{{{server}}}}, but there is no way to {phone_address}: {error.strerror}"
            ) from None
        return str(probe.getsockname()[0])
