"""One client's connection: reads its requests and sends the responses."""

import errno
import fcntl
import logging
import os
import select
import socket
import struct
import sys
import termios
import time
from collections import deque
from dataclasses import dataclass
from functools import lru_cache

from cisisk.model import clock
from cisisk.model.clock import Timestamp
from cisisk.provisioning.fetch import Fetch, FetchListener, FetchOutcome
from cisisk.provisioning.http import answer, request
from cisisk.provisioning.http.byte_range import ByteRange, Unsatisfiable, part_of
from cisisk.provisioning.http.limits import HttpLimits
from cisisk.provisioning.http.request import HttpRequest, MalformedHttp
from cisisk.provisioning.source import Content, FileSource, NotServed

log = logging.getLogger(__name__)

LINGER_BYTES = 64 << 10
"""Bytes read at most after the last response, before the connection is closed."""
RECEIVE_BYTES = request.LONGEST_HEAD + 4
"""Bytes of one read: the longest head and its end."""
TURN_BYTES = 256 << 10
"""Bytes of a large file sent in one pass of the loop. The kernel takes a fraction of a millisecond for a cached
file."""
MAX_RECORDED_NAME = 512
"""Characters of a reported name: as many as a TFTP request can hold."""

READING, WRITING, SETTLING, CLOSED = select.EPOLLIN, select.EPOLLOUT, 0, -1
"""What a connection waits for: a request, room to send, the confirmation of what was sent, or nothing."""

_RESET_ON_CLOSE = struct.pack("ii", 1, 0)
"""For SO_LINGER: the kernel drops unsent data, because the end of the transfer was already reported."""
_FIN = 1
"""The kernel counts the end of a stream as one unconfirmed byte."""
_NO_COUNT = bytes(4)
"""An int for SIOCOUTQ (tcp(7)), which has the number of TIOCOUTQ on Linux."""
_HUNG_UP = {errno.ECONNRESET, errno.EPIPE, errno.ENOTCONN}
_UNREACHABLE = {errno.ETIMEDOUT, errno.EHOSTUNREACH, errno.ENETUNREACH}


@dataclass(slots=True, eq=False)
class _Sending:
    """A file that is being sent. ``start`` and ``end`` are positions in all that is sent on the connection."""

    name: str
    sha256: str | None
    size: int
    part: ByteRange | None
    started_at: Timestamp
    began: float
    start: int
    end: int


class Connection:
    """Reads requests in order and answers each before it reads the next.

    Methods do not wait: :meth:`proceed` does what is possible now, and :attr:`state` then says what must happen next.

    Attributes:
        number: the socket's descriptor, also after the end.
        state: ``READING``, ``WRITING``, ``SETTLING`` or ``CLOSED``.
        waits_since: when it began to wait for a request; None while it has one, and at the end.
    """

    __slots__ = (
        "_confirmed_before",
        "_content",
        "_deadline",
        "_discarded",
        "_is_last",
        "_is_shut",
        "_left",
        "_limits",
        "_local",
        "_offset",
        "_on_fetch",
        "_parts",
        "_peer",
        "_received",
        "_sent",
        "_socket",
        "_source",
        "_unread",
        "_unsettled",
        "number",
        "state",
        "waits_since",
    )

    def __init__(
        self,
        accepted: socket.socket,
        peer: tuple[str, int],
        *,
        source: FileSource,
        on_fetch: FetchListener,
        now: float,
        limits: HttpLimits,
    ) -> None:
        """Take over an ``accepted`` socket, which must be non-blocking."""
        self.number = accepted.fileno()
        self.state = READING
        self.waits_since: float | None = now
        self._socket = accepted
        self._peer = peer
        self._local: str = accepted.getsockname()[0]
        self._source = source
        self._on_fetch = on_fetch
        self._limits = limits
        self._deadline = now + self._limits.head_seconds
        self._received = b""
        self._discarded = 0
        # Whether the present response, or the one before, is the last; whether a body follows its request; whether the
        # client knows that no more responses follow.
        self._is_last = self._unread = self._is_shut = False
        self._parts: list[bytes | memoryview] = []
        self._content: Content | None = None
        self._offset = 0
        self._left = 0
        # Positions in all that is sent on this connection.
        self._sent = 0
        self._confirmed_before = 0
        self._unsettled: deque[_Sending] = deque()

    @property
    def host(self) -> str:
        """The client's IP address."""
        return self._peer[0]

    @property
    def is_unsettled(self) -> bool:
        """Whether a file was sent that the client has not confirmed: then :meth:`settle` must check again."""
        return bool(self._unsettled)

    def proceed(self, now: float) -> None:
        """Continue after the event that ``state`` names, or after an error."""
        try:
            if self.state == WRITING:
                self._write(now)
            else:
                self._read(now)
        except OSError as error:
            if error.errno in _HUNG_UP:
                self.close(FetchOutcome.ABORTED)
            elif error.errno in _UNREACHABLE:
                self.close(FetchOutcome.TIMED_OUT)
            else:
                log.warning("HTTP response not sent: host=%s error=%r", self.host, error.strerror)
                self.close(FetchOutcome.CUT)

    def settle(self, now: float) -> None:
        """Report what the client has confirmed. Close the connection if it waited only for that."""
        try:
            self._report_confirmed()
            if self.state == SETTLING:
                self._close_if_settled()
            elif self._is_last and self.state == READING:
                self._end(now)
        except OSError:
            self.close(FetchOutcome.ABORTED)

    def expire(self, now: float) -> None:
        """Close the connection if its time is over."""
        if now < self._deadline or self.state == CLOSED:
            return
        confirmed = self._confirmed()
        if confirmed - self._confirmed_before >= self._limits.stall_bytes and self._unsettled:
            self._confirmed_before = confirmed
            self._deadline = now + self._limits.stall_seconds
        else:
            self.close(FetchOutcome.TIMED_OUT)

    def finish(self) -> None:
        """Accept no further request, and close the connection when the present response has arrived."""
        self._is_last = True
        if self.state == READING and not self._unsettled:
            self.close(FetchOutcome.CUT)

    def close(self, outcome: FetchOutcome) -> None:
        """Close the connection now. ``outcome``: of the files that are not confirmed. May be called more than once."""
        if self.state == CLOSED:
            return
        self.state = CLOSED
        self.waits_since = None
        if self._unsettled:
            confirmed = self._confirmed()
            if self._unsettled[-1].end > confirmed:
                self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
            while self._unsettled:
                sending = self._unsettled.popleft()
                self._report(sending, FetchOutcome.COMPLETED if sending.end <= confirmed else outcome, confirmed)
        if self._content is not None:
            self._content.close()
        self._socket.close()

    def _read(self, now: float) -> None:
        try:
            arrived = self._socket.recv(RECEIVE_BYTES)
        except BlockingIOError:
            return
        if not arrived:
            self._hung_up()
        elif self._is_last:
            self._discarded += len(arrived)
            if self._discarded > LINGER_BYTES:
                self.close(FetchOutcome.ABORTED)
        else:
            if not self._received:
                self._deadline = min(self._deadline, now + self._limits.head_seconds)
            self._received += arrived
            self._next_request(now)

    def _write(self, now: float) -> None:
        if not self._flush():
            return
        if self._is_last:
            self.state = READING
        else:
            self._next_request(now)

    def _hung_up(self) -> None:
        """Handle the end of the client's stream. The client may still read."""
        if self._unsettled:
            self.state = SETTLING
            self.waits_since = None
        else:
            self.close(FetchOutcome.COMPLETED)

    def _close_if_settled(self) -> None:
        if not self._unsettled:
            self.close(FetchOutcome.COMPLETED)
        elif self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            self.close(FetchOutcome.ABORTED)

    def _next_request(self, now: float) -> None:
        """Prepare the response to the next request that has arrived, if there is one."""
        try:
            head = None
            if self._received:
                head, self._received = request.split(self._received)
            if head is None:
                self._wait(now)
                return
            self._begin(request.parse(head), now)
        except MalformedHttp as refusal:
            self._is_last = self._unread = True
            self._parts = [answer.error_head(refusal.status, answer.CLOSE)]
        self.state = WRITING
        self.waits_since = None

    def _wait(self, now: float) -> None:
        self.state = READING
        if self.waits_since is None:
            self.waits_since = now
            self._deadline = now + (self._limits.head_seconds if self._received else self._limits.idle_seconds)

    def _end(self, now: float) -> None:
        """Close the connection after the last response, or wait until that is safe."""
        if not (self._unsettled or self._received or self._unread):
            self.close(FetchOutcome.COMPLETED)
        elif not self._is_shut:
            self._is_shut = True
            self._socket.shutdown(socket.SHUT_WR)
            self._sent += _FIN
            self._deadline = now + (self._limits.stall_seconds if self._unsettled else self._limits.linger_seconds)

    def _begin(self, asked: HttpRequest, now: float) -> None:
        """Decide on the response to a request."""
        self._deadline = now + self._limits.stall_seconds
        self._is_last = not asked.keep_alive
        self._unread = asked.has_body
        connection = answer.connection_field(keep_alive=asked.keep_alive, is_old=asked.is_old)
        if asked.method not in {"GET", "HEAD"}:
            self._fail(405, connection, asked, now, FetchOutcome.REFUSED)
            return
        try:
            content = self._source.open(asked.name, self.host)
        except NotServed:
            self._fail(404, connection, asked, now, FetchOutcome.ABSENT)
            return
        except OSError:
            # The source has logged it.
            self._fail(500, connection, asked, now, FetchOutcome.CUT)
            return
        except Exception:
            log.exception("file not opened: name=%r host=%s", asked.name[:MAX_RECORDED_NAME], self.host)
            self._fail(500, connection, asked, now, FetchOutcome.CUT)
            return
        if asked.method == "HEAD":
            # Only requests for a file are reported, those for an absent one included.
            self._parts = [answer.file_head(asked.name, content.size, None, connection)]
            content.close()
            return
        try:
            self._begin_file(asked, content, connection, now)
        except Unsatisfiable:
            self._fail(416, connection, asked, now, FetchOutcome.REFUSED, content.size)
            content.close()
        except OSError:
            log.exception("file not read: name=%r host=%s", asked.name[:MAX_RECORDED_NAME], self.host)
            self._fail(500, connection, asked, now, FetchOutcome.CUT)
            content.close()

    def _begin_file(self, asked: HttpRequest, content: Content, connection: bytes, now: float) -> None:
        """Prepare a file. Raises Unsatisfiable, or OSError if the disk fails."""
        size = content.size
        part = None if asked.byte_range is None else part_of(asked.byte_range, size)
        offset, length = part or (0, size)
        head = answer.file_head(asked.name, size, part, connection)
        start = self._sent + len(head)
        sending = _Sending(asked.name, content.sha256, size, part, _time_of_day(now), now, start, start + length)
        if content.descriptor is None or not length:
            # A view: clients share one content in memory, whichever part they read.
            self._parts = [head, memoryview(content.read(0, size))[offset : offset + length]]
            content.close()
        else:
            self._parts = [head]
            self._content, self._offset, self._left = content, offset, length
        self._confirmed_before = self._sent
        self._unsettled.append(sending)

    def _fail(
        self,
        status: int,
        connection: bytes,
        asked: HttpRequest,
        now: float,
        outcome: FetchOutcome,
        size: int | None = None,
    ) -> None:
        self._parts = [answer.error_head(status, connection, size)]
        self._on_fetch(
            Fetch(
                protocol="http",
                started_at=_time_of_day(now),
                peer=self._peer,
                local=self._local,
                name=asked.name[:MAX_RECORDED_NAME],
                outcome=outcome,
            )
        )

    def _flush(self) -> bool:
        """Send what the kernel accepts, and at most a turn's share of a file. Return whether everything was sent."""
        try:
            while self._parts:
                self._sent_of_parts(self._socket.sendmsg(self._parts, (), socket.MSG_MORE if self._left else 0))
            if self._left:
                self._send_file()
        except BlockingIOError:
            return False
        return not self._left

    def _sent_of_parts(self, sent: int) -> None:
        self._sent += sent
        while self._parts and sent >= len(self._parts[0]):
            sent -= len(self._parts.pop(0))
        if sent:
            self._parts[0] = memoryview(self._parts[0])[sent:]

    def _send_file(self) -> None:
        if self._content is None or self._content.descriptor is None:
            raise OSError(errno.EBADF, "the file is closed")
        sent = os.sendfile(self.number, self._content.descriptor, self._offset, min(self._left, TURN_BYTES))
        if not sent:
            raise OSError(errno.EIO, "the file was truncated while it was sent")
        self._sent += sent
        self._offset += sent
        self._left -= sent
        if not self._left:
            self._content.close()
            self._content = None

    def _confirmed(self) -> int:
        """Return the position up to which the client's system has acknowledged what was sent."""
        return self._sent - int.from_bytes(fcntl.ioctl(self.number, termios.TIOCOUTQ, _NO_COUNT), sys.byteorder)

    def _report_confirmed(self) -> None:
        if self._unsettled:
            confirmed = self._confirmed()
            while self._unsettled and self._unsettled[0].end <= confirmed:
                self._report(self._unsettled.popleft(), FetchOutcome.COMPLETED, confirmed)

    def _report(self, sending: _Sending, outcome: FetchOutcome, confirmed: int) -> None:
        part = sending.part
        is_whole = part is None or part.length == sending.size
        self._on_fetch(
            Fetch(
                protocol="http",
                started_at=sending.started_at,
                peer=self._peer,
                local=self._local,
                name=sending.name[:MAX_RECORDED_NAME],
                outcome=outcome,
                # A part does not prove that the client has this version.
                sha256=sending.sha256 if is_whole else None,
                size=sending.size,
                acknowledged=min(max(confirmed - sending.start, 0), sending.end - sending.start),
                duration=time.monotonic() - sending.began,
                options=() if part is None else (("first", part.offset), ("last", part.offset + part.length - 1)),
            )
        )


@lru_cache(maxsize=1)
def _time_of_day(_now: float) -> Timestamp:
    """Return the time of day, computed once for all requests at the monotonic time ``_now``."""
    return clock.now()
