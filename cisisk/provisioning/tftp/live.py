"""The transfers under way: starts them on requests, passes datagrams to them, and reports how they end.

It uses no sockets: the caller passes datagrams in, and opens an ``Endpoint`` for every answer.
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
from cisisk.provisioning.tftp.netascii import MAX_BYTES as MAX_NETASCII_BYTES
from cisisk.provisioning.tftp.netascii import NetasciiContent
from cisisk.provisioning.tftp.options import DEFAULT_LARGEST_BLKSIZE
from cisisk.provisioning.tftp.transfer import CANNOT_READ, Datagrams, Transfer
from cisisk.provisioning.tftp.wire import ErrorCode

MAX_PER_ADDRESS = 64
"""Concurrent transfers of one address. A phone has one or two, many phones behind one NAT need more, and a single
machine must not be able to fill the server."""
MAX_IGNORED = 32
"""Transfers that an address may request and not acknowledge within ``FORGET_SECONDS``. A phone that loses power leaves
one or two. An attacker that forges a victim's address can direct 96 blocks a minute there, and no more."""
FORGET_SECONDS = 60.0
"""Seconds after which transfers that an address has ignored are forgotten."""
MAX_UNKNOWN_TIDS = 100
"""Datagrams a second that are answered with error 5. A peer that is mistaken needs one."""
REFLECTOR_PORTS = frozenset({0, 7, 9, 13, 17, 19, 37, 53, 69, 111, 123, 137, 161, 389, 520})
"""Source ports that get no answer. No client uses port 0. At the others a service listens (echo, discard, daytime,
qotd, chargen, time, DNS, TFTP, portmap, NTP, NetBIOS, SNMP, CLDAP, RIP) that would reply to the answer of a forged
request."""
SATURATION_LOG_INTERVAL = 60.0
"""Seconds between two log lines about dropped requests: there may be thousands a second."""

_MODES = frozenset({"octet", "netascii"})
NOT_FOUND = wire.error(ErrorCode.NOT_FOUND, "File not found")

log = logging.getLogger(__name__)


class Endpoint(Protocol):
    """The server's end of transfers, its transfer identifier (RFC 1350 section 4)."""

    def carry(self, transfer: Transfer, peer: SocketAddress) -> None:
        """Receive datagrams from ``peer`` for ``transfer`` from now on."""

    def send(self, datagrams: Datagrams, to: SocketAddress) -> None:
        """Send datagrams. One that cannot be sent is lost like any other: nothing is raised."""

    def release(self, peer: SocketAddress) -> None:
        """The transfer to ``peer`` has ended. Nothing is raised."""


Send: TypeAlias = Callable[[Datagrams, SocketAddress], None]
OpenEndpoint: TypeAlias = Callable[[SocketAddress, str], Endpoint]
"""Opens an endpoint for a peer, on the local address that received its request. Raises OSError if there is none."""


NewTransfer: TypeAlias = Callable[..., Transfer]
"""Makes the state machine of a transfer, as Transfer does."""


@dataclass(slots=True, eq=False)
class LiveTransfer:
    """A transfer with its peer, and the resources that it releases at its end."""

    transfer: Transfer
    content: Content
    peer: SocketAddress
    local: str
    endpoint: Endpoint
    started: float
    started_at: Timestamp


class LiveTransfers:
    """All transfers of one server, by the peer's address and port. Belongs to one thread.

    Methods do not raise: errors of datagrams, the file source and the listener are handled here.
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
        max_netascii_bytes: int = MAX_NETASCII_BYTES,
    ) -> None:
        self._max_netascii_bytes = max_netascii_bytes
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
        self._forget_at = FORGET_SECONDS
        self._unknown_tids = 0
        self._unknown_tids_since = -math.inf
        self._saturation_logged = -math.inf
        self._now = -math.inf
        self._now_at: Timestamp = ""

    def __len__(self) -> int:
        return len(self._live)

    def __contains__(self, peer: SocketAddress) -> bool:
        return peer in self._live

    def request(self, datagram: bytes, peer: SocketAddress, local: str, now: float) -> None:
        """Handle a datagram that arrived from ``peer`` on the request port at the local address ``local``.

        A repeated request joins its transfer. Another request from the same port replaces the transfer: phones use one
        source port for all their requests. The caller must pass earlier datagrams of the peer to :meth:`receive` first:
        otherwise a transfer whose last acknowledgement is still unread counts as replaced. A datagram that is not a
        request gets no answer.
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
        """Handle a datagram that arrived from ``peer`` at the endpoint of its transfer."""
        live = self._live.get(peer)
        if live is not None:
            self._advance(live, now, live.transfer.receive, datagram, now)

    def refuse_unknown(self, datagram: bytes, peer: SocketAddress, send: Send, now: float) -> None:
        """Answer a datagram from a peer without a transfer with error 5, by ``send`` (RFC 1350 section 4).

        Errors are not answered, and the number of answers is limited.
        """
        if now >= self._unknown_tids_since + 1.0:
            self._unknown_tids, self._unknown_tids_since = 0, now
        if self._unknown_tids >= MAX_UNKNOWN_TIDS or peer[1] in REFLECTOR_PORTS:
            return
        try:
            packet = wire.parse(datagram)
        except wire.MalformedTftp:
            return
        if not isinstance(packet, wire.Error):
            self._unknown_tids += 1
            self.counters.unknown_tids += 1
            send((wire.error(ErrorCode.UNKNOWN_TID, "unknown transfer ID"),), peer)

    def expire(self, now: float) -> None:
        """Repeat or end the transfers that have waited too long."""
        for live in [live for live in self._live.values() if live.transfer.is_due(now)]:
            self._advance(live, now, live.transfer.expire, now)
        if now >= self._forget_at:
            self._forget_at = now + FORGET_SECONDS
            self._ignored.clear()

    def cut(self, reason: str, now: float) -> None:
        """End every transfer, and send the peers the reason."""
        for live in list(self._live.values()):
            self._advance(live, now, live.transfer.cut, reason)

    def _admit(self, request: wire.TftpRequest, peer: SocketAddress, local: str, now: float) -> None:
        """Start a transfer for a new request, unless a limit is reached.

        At a limit the request gets no answer: the phone repeats it. After an error it would request XMLDefault.cnf.xml.
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
            reason = wire.error(ErrorCode.ACCESS_VIOLATION, "files cannot be written")
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
        except _NotOpened:
            outcome, error = FetchOutcome.CUT, wire.error(ErrorCode.UNDEFINED, CANNOT_READ)
        except Exception:
            log.exception("file not opened: name=%r host=%s", request.name, peer[0])
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
        """Open the file. Raises NotServed, _NotOpened, _TooLong, and any error of the source."""
        try:
            content = self._source.open(request.name, host)
        except OSError as error:
            raise _NotOpened from error
        try:
            if request.mode == "netascii":
                content = _as_netascii(content, self._max_netascii_bytes)
            return content, self._new_transfer(request, content, now, largest_blksize=self._largest_blksize)
        except BaseException:
            content.close()
            raise

    def _advance(self, live: LiveTransfer, now: float, step: Callable[..., Datagrams], *arguments: Any) -> None:
        """Take one step of a transfer. An error in it ends this transfer only."""
        try:
            datagrams = step(*arguments)
        except Exception:
            log.exception("transfer failed: name=%r host=%s", live.transfer.request.name, live.peer[0])
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
            log.exception("file not closed: name=%r", live.transfer.request.name)
        self._report(_fetch_of(live, outcome, now))

    def _report(self, fetch: Fetch) -> None:
        self.counters.add(fetch)
        try:
            self._on_fetch(fetch)
        except Exception:
            log.exception("fetch listener failed: fetch=%r", fetch)

    def _unsent(
        self, outcome: FetchOutcome, request: wire.TftpRequest, peer: SocketAddress, local: str, now: float
    ) -> Fetch:
        """Return the record of a request without a file."""
        return Fetch(
            protocol="tftp",
            started_at=self._timestamp(now),
            peer=peer[:2],
            local=local,
            name=request.name,
            outcome=outcome,
        )

    def _timestamp(self, now: float) -> Timestamp:
        """Return the time of day at ``now``, computed once for all requests of that moment."""
        if now != self._now:
            self._now, self._now_at = now, clock.now()
        return self._now_at

    def _saturated(self, state: str, now: float) -> None:
        self.counters.dropped[Dropped.SATURATED] += 1
        if now >= self._saturation_logged + SATURATION_LOG_INTERVAL:
            self._saturation_logged = now
            log.warning("TFTP requests dropped: reason=%r", state)


class _NotOpened(Exception):
    """The system could not open the file. The source has logged it."""


class _TooLong(Exception):
    """The file is too large for netascii."""


def _as_netascii(content: Content, longest: int) -> NetasciiContent:
    """Translate a content. Raises _TooLong, or OSError if the disk fails."""
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
