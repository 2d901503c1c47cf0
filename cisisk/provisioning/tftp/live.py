"""The transfers under way: which requests become one, what the others are answered, how each one ends.

Knows no sockets: whatever carries the datagrams hands them in, and lends an ``Endpoint`` for every answer.
"""

import logging
import math
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

from cisisk.model import clock
from cisisk.model.clock import Timestamp
from cisisk.provisioning.fetch import Fetch, FetchListener, FetchOutcome
from cisisk.provisioning.source import Content, FileSource, NotServed
from cisisk.provisioning.tftp import wire
from cisisk.provisioning.tftp.addresses import SocketAddress
from cisisk.provisioning.tftp.counters import Counters, Dropped
from cisisk.provisioning.tftp.netascii import LONGEST as LONGEST_NETASCII
from cisisk.provisioning.tftp.netascii import NetasciiContent
from cisisk.provisioning.tftp.options import DEFAULT_LARGEST_BLKSIZE
from cisisk.provisioning.tftp.transfer import CANNOT_READ, Datagrams, Transfer
from cisisk.provisioning.tftp.wire import ErrorCode

MAX_PER_ADDRESS = 64
"""Transfers of one address at a time. A phone has one or two; many phones behind one NAT need more than a few; and one
machine must not be able to fill the server."""
MAX_IGNORED = 32
"""Transfers that an address may ask for and never acknowledge within ``FORGIVENESS``. A phone that loses its power in
between leaves one or two. Whoever forges a victim's address gets 96 blocks a minute sent there, and no more."""
FORGIVENESS = 60.0
"""Seconds after which what an address has ignored is forgotten."""
MAX_STRANGERS = 100
"""Datagrams a second that are answered with error 5. One is enough for an honest peer that has lost its way."""
REFLECTOR_PORTS = frozenset({0, 7, 9, 13, 17, 19, 37, 53, 69, 111, 123, 137, 161, 389, 520})
"""Source ports that get no answer. Nobody asks from port 0; on the others listens a service (echo, discard, daytime,
qotd, chargen, time, DNS, TFTP, portmap, NTP, NetBIOS, SNMP, CLDAP, RIP) that a forged request would set talking."""
SATURATION_LOG_INTERVAL = 60.0
"""Seconds between two log lines about dropped requests: the drops may be thousands a second."""

_MODES = frozenset({"octet", "netascii"})
NOT_FOUND = wire.error(ErrorCode.NOT_FOUND, "File not found")

log = logging.getLogger(__name__)


class Endpoint(Protocol):
    """A transfer identifier of ours (RFC 1350 section 4): where packets of transfers leave and arrive."""

    def carry(self, transfer: Transfer, peer: SocketAddress) -> None:
        """Take in what arrives from ``peer`` for ``transfer`` from now on."""

    def send(self, datagrams: Datagrams, to: SocketAddress) -> None:
        """Hand datagrams over. One that cannot be sent is lost like any other: nothing is raised."""

    def release(self, peer: SocketAddress) -> None:
        """The transfer to ``peer`` has ended. Nothing is raised."""


Send: TypeAlias = Callable[[Datagrams, SocketAddress], None]
OpenEndpoint: TypeAlias = Callable[[SocketAddress, str], Endpoint]
"""An endpoint for a peer, on the local address its request was sent to. Raises OSError when there is none."""


NewTransfer: TypeAlias = Callable[..., Transfer]
"""Makes the state machine of a transfer, as Transfer does."""


@dataclass(slots=True, eq=False)
class LiveTransfer:
    """A transfer with its peer, and what it gives back when it ends."""

    transfer: Transfer
    content: Content
    peer: SocketAddress
    local: str
    endpoint: Endpoint
    started: float
    started_at: Timestamp


class LiveTransfers:
    """All transfers of one server, by the peer's address and port. Belongs to one thread.

    Whatever a datagram, the file source or the listener does is dealt with here: no method raises.
    """

    def __init__(
        self,
        *,
        source: FileSource,
        on_fetch: FetchListener,
        open_endpoint: OpenEndpoint,
        max_transfers: int,
        largest_blksize: int = DEFAULT_LARGEST_BLKSIZE,
        new_transfer: NewTransfer = Transfer,
        longest_netascii: int = LONGEST_NETASCII,
    ) -> None:
        self._longest_netascii = longest_netascii
        self.counters = Counters()
        self._source = source
        self._on_fetch = on_fetch
        self._open_endpoint = open_endpoint
        self._max_transfers = max_transfers
        self._largest_blksize = largest_blksize
        self._new_transfer = new_transfer
        self._live: dict[SocketAddress, LiveTransfer] = {}
        self._per_address: dict[str, int] = {}
        self._ignored: Counter[str] = Counter()
        self._forgive_at = FORGIVENESS
        self._strangers = 0
        self._strangers_since = -math.inf
        self._saturation_logged = -math.inf
        self._now = -math.inf
        self._now_at: Timestamp = ""

    def __len__(self) -> int:
        return len(self._live)

    def __contains__(self, peer: SocketAddress) -> bool:
        return peer in self._live

    def request(self, datagram: bytes, peer: SocketAddress, local: str, now: float) -> None:
        """A datagram from ``peer`` arrived on the request port at the local address ``local``.

        A repeated request joins its transfer, another one from the same port replaces it: phones use one source port
        for all their requests. So what the peer sent to its endpoint earlier has to be handed in earlier, or a transfer
        whose last acknowledgement is still to be read counts as replaced. What is no request gets no answer.
        """
        self.counters.requests += 1
        try:
            request = wire.parse(datagram)
        except wire.MalformedTftp:
            request = None
        if not isinstance(request, wire.TftpRequest):
            self.counters.dropped[Dropped.MALFORMED] += 1
            return
        if peer[1] in REFLECTOR_PORTS:
            self.counters.dropped[Dropped.REFLECTOR] += 1
            return
        live = self._live.get(peer)
        if live is not None:
            if live.transfer.request == request and live.local == local:
                self._advance(live, now, live.transfer.repeat)
                return
            self._advance(live, now, live.transfer.abandon)
        self._admit(request, peer, local, now)

    def receive(self, datagram: bytes, peer: SocketAddress, now: float) -> None:
        """A datagram arrived from ``peer`` at the endpoint of its transfer."""
        live = self._live.get(peer)
        if live is not None:
            self._advance(live, now, live.transfer.receive, datagram, now)

    def turn_away(self, datagram: bytes, stranger: SocketAddress, send: Send, now: float) -> None:
        """Tell a stranger, by ``send``, that it knocks at a port where it has no transfer (RFC 1350 section 4).

        An error is never answered with an error, and whoever sends thousands does not get thousands.
        """
        if now >= self._strangers_since + 1.0:
            self._strangers, self._strangers_since = 0, now
        if self._strangers >= MAX_STRANGERS or stranger[1] in REFLECTOR_PORTS:
            return
        try:
            packet = wire.parse(datagram)
        except wire.MalformedTftp:
            return
        if not isinstance(packet, wire.Error):
            self._strangers += 1
            self.counters.strangers += 1
            send((wire.error(ErrorCode.UNKNOWN_TID, "unknown transfer ID"),), stranger)

    def expire(self, now: float) -> None:
        """Repeat or give up whatever has waited long enough."""
        for live in [live for live in self._live.values() if live.transfer.is_due(now)]:
            self._advance(live, now, live.transfer.expire, now)
        if now >= self._forgive_at:
            self._forgive_at = now + FORGIVENESS
            self._ignored.clear()

    def cut(self, reason: str, now: float) -> None:
        """End every transfer; the peers are told the reason."""
        for live in list(self._live.values()):
            self._advance(live, now, live.transfer.cut, reason)

    def _admit(self, request: wire.TftpRequest, peer: SocketAddress, local: str, now: float) -> None:
        """Answer a new request, unless a limit is reached.

        Over the limits silence is right: the phone asks again, where an error would send it on to XMLDefault.cnf.xml.
        """
        host = peer[0]
        if self._ignored and self._ignored[host] >= MAX_IGNORED:
            self.counters.dropped[Dropped.REFLECTOR] += 1
            return
        to_host = self._per_address.get(host, 0)
        if len(self._live) >= self._max_transfers or to_host >= MAX_PER_ADDRESS:
            self._saturated(f"{len(self._live)} transfers, {to_host} of them to {host}", now)
            return
        try:
            endpoint = self._open_endpoint(peer, local)
        except OSError as error:
            self._saturated(str(error), now)
            return
        if request.is_write:
            reason = wire.error(ErrorCode.ACCESS_VIOLATION, "nothing can be written here")
        elif request.mode not in _MODES:
            reason = wire.error(ErrorCode.ILLEGAL_OPERATION, "only the modes octet and netascii are served")
        else:
            self._begin(request, peer, local, endpoint, now)
            return
        endpoint.send((reason,), peer)
        self._report(self._unsent(FetchOutcome.REFUSED, request, peer, local, now))

    def _begin(
        self, request: wire.TftpRequest, peer: SocketAddress, local: str, endpoint: Endpoint, now: float
    ) -> None:
        try:
            content, transfer = self._open(request, peer[0], now)
        except NotServed:
            outcome, error = FetchOutcome.ABSENT, NOT_FOUND
        except _TooLong:
            outcome, error = FetchOutcome.REFUSED, wire.error(ErrorCode.ILLEGAL_OPERATION, "too large for netascii")
        except Exception:
            log.exception("cannot open %r for %s", request.name, peer[0])
            outcome, error = FetchOutcome.CUT, wire.error(ErrorCode.UNDEFINED, CANNOT_READ)
        else:
            live = LiveTransfer(transfer, content, peer, local, endpoint, now, self._timestamp(now))
            self._live[peer] = live
            host = peer[0]
            self._per_address[host] = self._per_address.get(host, 0) + 1
            endpoint.carry(transfer, peer)
            self._advance(live, now, transfer.start, now)
            return
        endpoint.send((error,), peer)
        self._report(self._unsent(outcome, request, peer, local, now))

    def _open(self, request: wire.TftpRequest, host: str, now: float) -> tuple[Content, Transfer]:
        """Raises NotServed, _TooLong, and whatever else the source raises."""
        content = self._source.open(request.name, host)
        try:
            if request.mode == "netascii":
                content = _as_netascii(content, self._longest_netascii)
            return content, self._new_transfer(request, content, now, largest_blksize=self._largest_blksize)
        except BaseException:
            content.close()
            raise

    def _advance(self, live: LiveTransfer, now: float, step: Callable[..., Datagrams], *arguments: Any) -> None:
        """One step of a transfer. A fault in it ends this transfer and no other."""
        try:
            datagrams = step(*arguments)
        except Exception:
            log.exception("transfer of %r to %s failed", live.transfer.request.name, live.peer[0])
            datagrams = live.transfer.cut(CANNOT_READ)
        if datagrams:
            live.endpoint.send(datagrams, live.peer)
        if live.transfer.outcome is not None:
            self._finish(live, live.transfer.outcome, now)

    def _finish(self, live: LiveTransfer, outcome: FetchOutcome, now: float) -> None:
        peer = live.peer
        host = peer[0]
        del self._live[peer]
        left = self._per_address.pop(host) - 1
        if left:
            self._per_address[host] = left
        if outcome is FetchOutcome.TIMED_OUT and not live.transfer.is_proven:
            self._ignored[host] += 1
        live.endpoint.release(peer)
        try:
            live.content.close()
        except Exception:
            log.exception("cannot close %r", live.transfer.request.name)
        self._report(_fetch_of(live, outcome, now))

    def _report(self, fetch: Fetch) -> None:
        self.counters.add(fetch)
        try:
            self._on_fetch(fetch)
        except Exception:
            log.exception("the listener failed on %r", fetch)

    def _unsent(
        self, outcome: FetchOutcome, request: wire.TftpRequest, peer: SocketAddress, local: str, now: float
    ) -> Fetch:
        """The record of a request that gets no file."""
        return Fetch(
            protocol="tftp",
            started_at=self._timestamp(now),
            peer=peer[:2],
            local=local,
            name=request.name,
            outcome=outcome,
        )

    def _timestamp(self, now: float) -> Timestamp:
        """The time of day at ``now``, worked out once for all the requests of that moment."""
        if now != self._now:
            self._now, self._now_at = now, clock.now()
        return self._now_at

    def _saturated(self, state: str, now: float) -> None:
        self.counters.dropped[Dropped.SATURATED] += 1
        if now >= self._saturation_logged + SATURATION_LOG_INTERVAL:
            self._saturation_logged = now
            log.warning("requests are being dropped: %s", state)


class _TooLong(Exception):
    """A file that is not sent as netascii."""


def _as_netascii(content: Content, longest: int) -> NetasciiContent:
    """Raises _TooLong, or OSError when the disk fails."""
    if content.size > longest:
        raise _TooLong
    return NetasciiContent.of(content)


def _fetch_of(live: LiveTransfer, outcome: FetchOutcome, now: float) -> Fetch:
    transfer = live.transfer
    return Fetch(
        protocol="tftp",
        started_at=live.started_at,
        peer=live.peer[:2],
        local=live.local,
        name=transfer.request.name,
        outcome=outcome,
        sha256=transfer.sha256,
        size=transfer.size,
        acknowledged=transfer.acknowledged,
        blocks=transfer.blocks,
        retransmits=transfer.retransmits,
        duration=now - live.started,
        options=tuple(transfer.options.accepted.items()),
    )
