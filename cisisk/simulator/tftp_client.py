"""A phone's TFTP client: reads one file from a fixed local port."""

import asyncio
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from cisisk.simulator.tftp_download import MAX_FILE_BYTES, NO_OPTIONS, Address, FileAbsent, TftpDownload, TransferFailed

_DATAGRAM = 65_535
"""The largest possible datagram in bytes: none is truncated."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TftpRetry:
    """Retransmission of the last packet.

    The values of real phones are not published; logs suggest 4 s and 3 (docs/phone-protocol/boot.md#simulated-boot).

    Attributes:
        interval: seconds between two transmissions.
        retries: retransmissions in a row before the transfer fails.
    """

    interval: float = 4.0
    retries: int = 3


async def fetch(
    name: str,
    *,
    server: Address,
    local: Address,
    retry: TftpRetry | None = None,
    options: Mapping[str, int] = NO_OPTIONS,
    max_bytes: int = MAX_FILE_BYTES,
    lose_last_ack: bool = False,
) -> bytes:
    """Read ``name`` in octet mode.

    Args:
        name: file name of the request.
        server: numeric address and port.
        local: numeric address and port of the phone; port 0 is any. Phones use the same port for every file.
        retry: retransmission timing.
        options: values of ``blksize`` and ``tsize`` to request.
        max_bytes: the longest file that is accepted.
        lose_last_ack: drop the first acknowledgement of the last block, then answer its retransmission.

    Raises:
        FileAbsent: the server does not have the file.
        TransferFailed: no answer, an error packet, a broken transfer, or an unusable local port.
    """
    download = TftpDownload(name, server=server, options=options, max_bytes=max_bytes)
    try:
        with _bound(local) as sock:
            await _Exchange(sock, download, retry or TftpRetry()).run(lose_last_ack=lose_last_ack)
    except OSError as failure:
        raise TransferFailed(f"{local[0]} port {local[1]}: {failure.strerror or failure}") from failure
    return download.content


@contextmanager
def _bound(local: Address) -> Iterator[socket.socket]:
    family = socket.AF_INET6 if ":" in local[0] else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as sock:
        sock.settimeout(0)
        sock.bind(local)
        yield sock


class _Exchange:
    """One download over one socket."""

    def __init__(self, sock: socket.socket, download: TftpDownload, retry: TftpRetry) -> None:
        self._sock = sock
        self._download = download
        self._retry = retry
        self._loop = asyncio.get_running_loop()

    async def run(self, *, lose_last_ack: bool) -> None:
        await self._send(self._download.last_sent, self._download.peer)
        while not self._download.complete:
            await self._one_step(lose_last_ack=lose_last_ack)
        if lose_last_ack:
            await self._repeat_last_ack()

    async def _one_step(self, *, lose_last_ack: bool) -> None:
        """Wait for a packet that advances the transfer; retransmit the last packet as configured."""
        before = self._download.progress
        for attempt in range(1 + self._retry.retries):
            if attempt:
                await self._send(self._download.last_sent, self._download.peer)
            deadline = self._loop.time() + self._retry.interval
            while (received := await self._receive(deadline)) is not None:
                reply, sender = received
                if reply and not (lose_last_ack and self._download.complete):
                    await self._send(reply, sender)
                if self._download.progress > before:
                    return
        raise TransferFailed("no answer from the server")

    async def _repeat_last_ack(self) -> None:
        """Acknowledge a retransmission of the last block. The file is complete whether or not one arrives."""
        deadline = self._loop.time() + self._retry.interval * (1 + self._retry.retries)
        with suppress(FileAbsent, TransferFailed):
            while (received := await self._receive(deadline)) is not None:
                reply, sender = received
                if reply is not None:
                    await self._send(reply, sender)
                if sender == self._download.peer:
                    return

    async def _receive(self, deadline: float) -> tuple[bytes | None, Address] | None:
        """Return the reply to the next datagram and its destination, or None at ``deadline`` (loop time)."""
        try:
            async with asyncio.timeout_at(deadline):
                datagram, sender = await self._loop.sock_recvfrom(self._sock, _DATAGRAM)
        except TimeoutError:
            return None
        peer = (sender[0], sender[1])
        try:
            return self._download.take(datagram, peer), peer
        except TransferFailed as failure:
            if failure.error_packet is not None:
                await self._send(failure.error_packet, peer)
            raise

    async def _send(self, packet: bytes, peer: Address) -> None:
        await self._loop.sock_sendto(self._sock, packet, peer)
