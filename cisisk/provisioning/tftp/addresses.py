"""Addresses of peers and of this machine, as Python's sockets write them."""

from typing import Any, TypeAlias

SocketAddress: TypeAlias = tuple[str, int] | tuple[str, int, int, int]
"""Host and port of a peer; for IPv6 also flow and scope."""
LocalAddress: TypeAlias = tuple[Any, ...]
"""A local host; for IPv6 also the flow and scope of the peer behind it: a link-local address needs its interface."""
