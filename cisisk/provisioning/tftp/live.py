"""The transfers under way: which requests become one, what the others are answered, how each one ends.

Knows no sockets: whatever carries the datagrams hands them in, and lends an ``Endpoint`` for every answer.
"""

import logging
import math
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

from cisisk.model import clock
from cisisk.model.clock import Timestamp
from cisisk.provisioning.fetch import Fetch, FetchListener, Outcome
from cisisk.provisioning.source import Content, FileSource, NotServed
from cisisk.provisioning.tftp import wire
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

NOT_FOUND = wire.error(ErrorCode.NOT_FOUND, "File not found")

SocketAddress: TypeAlias = tuple[str, int] | tuple[str, int, int, int]
"""Host and port, for IPv6 also flow and scope, as the kernel names a peer."""

log = logging.getLogger(__name__)


class Endpoint(Protocol):
    """A transfer identifier of ours: where the packets of one transfer leave and arrive (RFC 1350 section 4)."""

    def carry(self, transfer: Transfer) -> None:
        """Take in what arrives for ``transfer`` from now on. An endpoint for an error carries none."""

    def send(self, datagram: bytes, to: SocketAddress) -> None:
        """Hand one datagram over. One that cannot be sent is lost like any other: nothing is raised."""

    def close(self) -> None:
        """Give the identifier back. Nothing is raised."""


Send: TypeAlias = Callable[[bytes, SocketAddress], None]
OpenEndpoint: TypeAlias = Callable[[SocketAddress, str], Endpoint]
"""An endpoint for a peer, on the local address its request was sent to. Raises OSError when there is none."""


@dataclass(slots=True, eq=False)
class _Answer:
    """What every answer to a request has, be it a file or an error."""

    request: wire.Request
    peer: SocketAddress
    local: str
    endpoint: Endpoint
    started: float
    started_at: Timestamp


@dataclass(slots=True, eq=False)
class _Live:
    """A transfer with what it gives back when it ends."""

    transfer: Transfer
    content: Content
    answer: _Answer


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
    ) -> None:
        self.counters = Counters()
        self._source = source
        self._on_fetch = on_fetch
        self._open_endpoint = open_endpoint
        self._max_transfers = max_transfers
        self._largest_blksize = largest_blksize
        self._live: dict[SocketAddress, _Live] = {}
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
        except wire.Malformed:
            request = None
        if not isinstance(request, wire.Request):
            self.counters.dropped[Dropped.MALFORMED] += 1
            return
        if peer[1] in REFLECTOR_PORTS:
            self.counters.dropped[Dropped.REFLECTOR] += 1
            return
        live = self._live.get(peer)
        if live is not None:
            if live.answer.request == request and live.answer.local == local:
                self._advance(live, now, live.transfer.repeat)
                return
            self._advance(live, now, live.transfer.abandon)
        self._admit(request, peer, local, now)

    def receive(self, datagram: bytes, peer: SocketAddress, now: float) -> None:
        """A datagram arrived from ``peer`` at the endpoint of its transfer."""
        live = self._live.get(peer)
        if live is not None:
            self._advance(live, now, live.transfer.receive, datagram, now)

    def complete(self, peer: SocketAddress, now: float) -> None:
        """The acknowledgement of the last block arrived from ``peer``."""
        live = self._live.get(peer)
        if live is not None:
            live.transfer.complete()
            self._finish(live, Outcome.COMPLETED, now)

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
        except wire.Malformed:
            return
        if not isinstance(packet, wire.Error):
            self._strangers += 1
            self.counters.strangers += 1
            send(wire.error(ErrorCode.UNKNOWN_TID, "unknown transfer ID"), stranger)

    def expire(self, now: float) -> None:
        """Repeat or give up whatever has waited long enough."""
        for live in [live for live in self._live.values() if live.transfer.deadline <= now]:
            self._advance(live, now, live.transfer.expire, now)
        if now >= self._forgive_at:
            self._forgive_at = now + FORGIVENESS
            self._ignored.clear()

    def cut(self, reason: str, now: float) -> None:
        """End every transfer; the peers are told the reason."""
        for live in list(self._live.values()):
            self._advance(live, now, live.transfer.cut, reason)

    def _admit(self, request: wire.Request, peer: SocketAddress, local: str, now: float) -> None:
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
        answer = _Answer(request, peer, local, endpoint, now, self._timestamp(now))
        if request.is_write:
            self._refuse(answer, Outcome.REFUSED, wire.error(ErrorCode.ACCESS_VIOLATION, "nothing can be written here"))
        elif request.mode not in {"octet", "netascii"}:
            reason = "only the modes octet and netascii are served"
            self._refuse(answer, Outcome.REFUSED, wire.error(ErrorCode.ILLEGAL_OPERATION, reason))
        else:
            self._begin(answer, now)

    def _begin(self, answer: _Answer, now: float) -> None:
        try:
            live = self._open(answer, now)
        except NotServed:
            self._refuse(answer, Outcome.ABSENT, NOT_FOUND)
        except _TooLong:
            reason = wire.error(ErrorCode.ILLEGAL_OPERATION, "too large for netascii")
            self._refuse(answer, Outcome.REFUSED, reason)
        except Exception:
            log.exception("cannot open %r for %s", answer.request.name, answer.peer[0])
            self._refuse(answer, Outcome.CUT, wire.error(ErrorCode.UNDEFINED, CANNOT_READ))
        else:
            self._live[answer.peer] = live
            host = answer.peer[0]
            self._per_address[host] = self._per_address.get(host, 0) + 1
            answer.endpoint.carry(live.transfer)
            self._advance(live, now, live.transfer.start, now)

    def _open(self, answer: _Answer, now: float) -> _Live:
        """Raises NotServed, _TooLong, and whatever else the source raises."""
        content = self._source.open(answer.request.name)
        try:
            if answer.request.mode == "netascii":
                content = _as_netascii(content)
            transfer = Transfer(answer.request, content, now, largest_blksize=self._largest_blksize)
        except BaseException:
            content.close()
            raise
        return _Live(transfer, content, answer)

    def _refuse(self, answer: _Answer, outcome: Outcome, error: bytes) -> None:
        with closing(answer.endpoint):
            answer.endpoint.send(error, answer.peer)
        self._report(_fetch(answer, outcome))

    def _advance(self, live: _Live, now: float, step: Callable[..., Datagrams], *arguments: Any) -> None:
        """One step of a transfer. A fault in it ends this transfer and no other."""
        try:
            datagrams = step(*arguments)
        except Exception:
            log.exception("transfer of %r to %s failed", live.answer.request.name, live.answer.peer[0])
            datagrams = live.transfer.cut(CANNOT_READ)
        for datagram in datagrams:
            live.answer.endpoint.send(datagram, live.answer.peer)
        if live.transfer.outcome is not None:
            self._finish(live, live.transfer.outcome, now)

    def _finish(self, live: _Live, outcome: Outcome, now: float) -> None:
        host = live.answer.peer[0]
        del self._live[live.answer.peer]
        left = self._per_address.pop(host) - 1
        if left:
            self._per_address[host] = left
        if outcome is Outcome.TIMED_OUT and not live.transfer.is_proven:
            self._ignored[host] += 1
        live.answer.endpoint.close()
        try:
            live.content.close()
        except Exception:
            log.exception("cannot close %r", live.answer.request.name)
        self._report(_fetch_of(live, outcome, now))

    def _report(self, fetch: Fetch) -> None:
        self.counters.add(fetch)
        try:
            self._on_fetch(fetch)
        except Exception:
            log.exception("the listener failed on %r", fetch)

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


def _as_netascii(content: Content) -> NetasciiContent:
    """Raises _TooLong, or OSError when the disk fails."""
    if content.size > LONGEST_NETASCII:
        raise _TooLong
    return NetasciiContent.of(content)


def _fetch(answer: _Answer, outcome: Outcome) -> Fetch:
    return Fetch(
        protocol="tftp",
        started_at=answer.started_at,
        peer=answer.peer[:2],
        local=answer.local,
        name=answer.request.name,
        outcome=outcome,
    )


def _fetch_of(live: _Live, outcome: Outcome, now: float) -> Fetch:
    answer, transfer = live.answer, live.transfer
    return Fetch(
        protocol="tftp",
        started_at=answer.started_at,
        peer=answer.peer[:2],
        local=answer.local,
        name=answer.request.name,
        outcome=outcome,
        sha256=transfer.sha256,
        size=transfer.size,
        acknowledged=transfer.acknowledged,
        blocks=transfer.blocks,
        retransmits=transfer.retransmits,
        duration=now - answer.started,
        options=tuple(transfer.options.accepted.items()),
    )
