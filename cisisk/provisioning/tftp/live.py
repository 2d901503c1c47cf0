"""The transfers under way: which requests become one, what the others are answered, how each one ends.

Knows no sockets: whatever carries the datagrams hands them in, and lends an ``Endpoint`` for every answer.
"""

import logging
import math
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from typing import Protocol, TypeAlias

from cisisk.model import clock
from cisisk.model.clock import Timestamp
from cisisk.provisioning.fetch import Fetch, FetchListener, Outcome
from cisisk.provisioning.source import Content, FileSource, NotServed
from cisisk.provisioning.tftp import wire
from cisisk.provisioning.tftp.transfer import CANNOT_READ, Datagrams, Transfer
from cisisk.provisioning.tftp.wire import ErrorCode

MAX_PER_ADDRESS = 64
"""Transfers of one address at a time. A phone has one or two; many phones behind one NAT need more than a few; and one
machine must not be able to fill the server."""
REFLECTOR_PORTS = frozenset({0, 7, 9, 13, 17, 19, 37, 53, 69, 111, 123, 137, 161, 389, 520})
"""Source ports that get no answer. Nobody asks from port 0; on the others listens a service (echo, discard, daytime,
qotd, chargen, time, DNS, TFTP, portmap, NTP, NetBIOS, SNMP, CLDAP, RIP) that a forged request would set talking."""
SATURATION_LOG_INTERVAL = 60.0
"""Seconds between two log lines about dropped requests: the drops may be thousands a second."""

SocketAddress: TypeAlias = tuple[str, int] | tuple[str, int, int, int]
"""Host and port, for IPv6 also flow and scope, as the kernel names a peer."""

log = logging.getLogger(__name__)


class Endpoint(Protocol):
    """A transfer identifier of ours: where the packets of one transfer leave and arrive (RFC 1350 section 4)."""

    def send(self, datagram: bytes, to: SocketAddress) -> None:
        """Hand one datagram over. One that cannot be sent is lost like any other: nothing is raised."""

    def close(self) -> None:
        """Give the identifier back. Nothing is raised."""


OpenEndpoint: TypeAlias = Callable[[SocketAddress, str], Endpoint]
"""An endpoint for a peer, on the local address its request was sent to. Raises OSError when there is none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Answer:
    """What every answer to a request has, be it a file or an error."""

    request: wire.Request
    peer: SocketAddress
    local: str
    endpoint: Endpoint
    started: float
    started_at: Timestamp


@dataclass(frozen=True, slots=True)
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
        self, *, source: FileSource, on_fetch: FetchListener, open_endpoint: OpenEndpoint, max_transfers: int
    ) -> None:
        self._source = source
        self._on_fetch = on_fetch
        self._open_endpoint = open_endpoint
        self._max_transfers = max_transfers
        self._live: dict[SocketAddress, _Live] = {}
        self._per_address: Counter[str] = Counter()
        self._saturation_logged = -math.inf

    def __len__(self) -> int:
        return len(self._live)

    def request(self, datagram: bytes, peer: SocketAddress, local: str, now: float) -> None:
        """A datagram from ``peer`` arrived on the request port at the local address ``local``.

        A repeated request joins its transfer, another one from the same port replaces it: phones use one source port
        for all their requests. So what the peer sent to its endpoint earlier has to be handed in earlier, or a transfer
        whose last acknowledgement is still to be read counts as replaced. What is no request gets no answer.
        """
        try:
            request = wire.parse(datagram)
        except wire.Malformed:
            return
        if not isinstance(request, wire.Request) or peer[1] in REFLECTOR_PORTS:
            return
        live = self._live.get(peer)
        if live is not None and live.answer.request == request and live.answer.local == local:
            self._advance(live, live.transfer.repeat, now)
            return
        if live is not None:
            self._advance(live, live.transfer.abandon, now)
        self._admit(request, peer, local, now)

    def receive(self, datagram: bytes, peer: SocketAddress, sender: SocketAddress, now: float) -> None:
        """A datagram from ``sender`` arrived at the endpoint that serves ``peer``."""
        live = self._live.get(peer)
        if live is None:
            return
        if sender == peer:
            self._advance(live, partial(live.transfer.receive, datagram, now), now)
        else:
            _turn_away(live.answer.endpoint, datagram, sender)

    def expire(self, now: float) -> None:
        """Repeat or give up whatever has waited long enough."""
        for live in [live for live in self._live.values() if live.transfer.deadline <= now]:
            self._advance(live, partial(live.transfer.expire, now), now)

    def cut(self, reason: str, now: float) -> None:
        """End every transfer; the peers are told the reason."""
        for live in list(self._live.values()):
            self._advance(live, partial(live.transfer.cut, reason), now)

    def _admit(self, request: wire.Request, peer: SocketAddress, local: str, now: float) -> None:
        """Answer a new request, unless a limit is reached.

        Over the limits silence is right: the phone asks again, where an error would send it on to XMLDefault.cnf.xml.
        """
        if len(self._live) >= self._max_transfers or self._per_address[peer[0]] >= MAX_PER_ADDRESS:
            self._log_saturation(f"{len(self._live)} transfers, {self._per_address[peer[0]]} of them to {peer[0]}", now)
            return
        try:
            endpoint = self._open_endpoint(peer, local)
        except OSError as error:
            self._log_saturation(str(error), now)
            return
        answer = _Answer(
            request=request, peer=peer, local=local, endpoint=endpoint, started=now, started_at=clock.now()
        )
        if request.is_write:
            self._refuse(answer, Outcome.REFUSED, ErrorCode.ACCESS_VIOLATION, "nothing can be written here")
        elif request.mode != "octet":
            self._refuse(answer, Outcome.REFUSED, ErrorCode.ILLEGAL_OPERATION, "only mode octet is served")
        else:
            self._begin(answer, now)

    def _begin(self, answer: _Answer, now: float) -> None:
        try:
            live = _open(self._source, answer, now)
        except NotServed:
            self._refuse(answer, Outcome.ABSENT, ErrorCode.NOT_FOUND, "File not found")
        except Exception:
            log.exception("cannot open %r for %s", answer.request.name, answer.peer[0])
            self._refuse(answer, Outcome.CUT, ErrorCode.UNDEFINED, CANNOT_READ)
        else:
            self._live[answer.peer] = live
            self._per_address[answer.peer[0]] += 1
            self._advance(live, partial(live.transfer.start, now), now)

    def _refuse(self, answer: _Answer, outcome: Outcome, code: ErrorCode, message: str) -> None:
        with closing(answer.endpoint):
            answer.endpoint.send(wire.error(code, message), answer.peer)
        self._report(_fetch(answer, outcome))

    def _advance(self, live: _Live, step: Callable[[], Datagrams], now: float) -> None:
        """One step of a transfer. A fault in it ends this transfer and no other."""
        try:
            datagrams = step()
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
        self._per_address[host] -= 1
        if not self._per_address[host]:
            del self._per_address[host]
        live.answer.endpoint.close()
        try:
            live.content.close()
        except Exception:
            log.exception("cannot close %r", live.answer.request.name)
        self._report(_fetch(live.answer, outcome, live.transfer, now))

    def _report(self, fetch: Fetch) -> None:
        try:
            self._on_fetch(fetch)
        except Exception:
            log.exception("the listener failed on %r", fetch)

    def _log_saturation(self, state: str, now: float) -> None:
        if now >= self._saturation_logged + SATURATION_LOG_INTERVAL:
            self._saturation_logged = now
            log.warning("requests are being dropped: %s", state)


def _open(source: FileSource, answer: _Answer, now: float) -> _Live:
    """Raises NotServed, and whatever else the source raises."""
    content = source.open(answer.request.name)
    try:
        return _Live(Transfer(answer.request, content, now), content, answer)
    except BaseException:
        content.close()
        raise


def _turn_away(endpoint: Endpoint, datagram: bytes, stranger: SocketAddress) -> None:
    """Tell a stranger that this is not its transfer (RFC 1350 section 4). An error is never answered with an error."""
    try:
        packet = wire.parse(datagram)
    except wire.Malformed:
        return
    if not isinstance(packet, wire.Error) and stranger[1] not in REFLECTOR_PORTS:
        endpoint.send(wire.error(ErrorCode.UNKNOWN_TID, "unknown transfer ID"), stranger)


def _fetch(answer: _Answer, outcome: Outcome, transfer: Transfer | None = None, now: float = 0.0) -> Fetch:
    refused = Fetch(
        protocol="tftp",
        started_at=answer.started_at,
        peer=answer.peer[:2],
        local=answer.local,
        name=answer.request.name,
        outcome=outcome,
    )
    if transfer is None:
        return refused
    return replace(
        refused,
        sha256=transfer.sha256,
        size=transfer.size,
        acknowledged=transfer.acknowledged,
        blocks=transfer.blocks,
        retransmits=transfer.retransmits,
        duration=now - answer.started,
        options=tuple(transfer.options.accepted.items()),
    )
