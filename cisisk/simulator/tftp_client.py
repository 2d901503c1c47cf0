"""A phone's TFTP client: one file, from a fixed local port."""

import asyncio
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from cisisk.simulator.tftp_download import MAX_FILE_BYTES, NO_OPTIONS, Address, FileAbsent, TftpDownload, TransferFailed

_DATAGRAM = 65_535
"""The largest a datagram can be, so that none is read in part."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long a phone waits for the server.

    Attributes:
        interval: seconds until the last packet is sent again.
        retries: how often in a row it is; then the transfer has failed. No numbers of a real phone are published;
            4 s and 3 are what the logs suggest (docs/phone-protocol/boot.md#simulated-boot).
    """

    interval: float = 4.0
    retries: int = 3


async def fetch(
    name: str,
    *,
    server: Address,
    local: Address,
    patience: Patience | None = None,
    options: Mapping[str, int] = NO_OPTIONS,
    max_bytes: int = MAX_FILE_BYTES,
    lose_last_ack: bool = False,
) -> bytes:
    """Read ``name`` in octet mode.

    Args:
        name: as it goes into the request.
        server: numeric address and port.
        local: the phone's own; port 0 is any. A phone asks for every file from the same one.
        patience: the time-outs.
        options: ``blksize`` and ``tsize`` to ask for.
        max_bytes: a longer file is refused.
        lose_last_ack: the first acknowledgement of the last block gets lost on its way; the phone stays to repeat it.

    Raises:
        FileAbsent: the server has none.
        TransferFailed: silence, an error, a broken transfer, or a local port that cannot be used.
    """
    download = TftpDownload(name, server=server, options=options, max_bytes=max_bytes)
    try:
        with _bound(local) as sock:
            await _Exchange(sock, download, patience or Patience()).run(lose_last_ack=lose_last_ack)
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
    """A download and the socket it talks through."""

    def __init__(self, sock: socket.socket, download: TftpDownload, patience: Patience) -> None:
        self._sock = sock
        self._download = download
        self._patience = patience
        self._loop = asyncio.get_running_loop()

    async def run(self, *, lose_last_ack: bool) -> None:
        await self._send(self._download.last_sent, self._download.peer)
        while not self._download.complete:
            await self._one_step(lose_last_ack=lose_last_ack)
        if lose_last_ack:
            await self._repeat_last_ack()

    async def _one_step(self, *, lose_last_ack: bool) -> None:
        """Wait for a packet that moves the transfer on; repeat one's own as often as patience allows."""
        before = self._download.progress
        for attempt in range(1 + self._patience.retries):
            if attempt:
                await self._send(self._download.last_sent, self._download.peer)
            deadline = self._loop.time() + self._patience.interval
            while (received := await self._receive(deadline)) is not None:
                reply, sender = received
                if reply and not (lose_last_ack and self._download.complete):
                    await self._send(reply, sender)
                if self._download.progress > before:
                    return
        raise TransferFailed("the server is silent")

    async def _repeat_last_ack(self) -> None:
        """Answer the server that sends the last block again; the phone has its file whether or not it does."""
        deadline = self._loop.time() + self._patience.interval * (1 + self._patience.retries)
        with suppress(FileAbsent, TransferFailed):
            while (received := await self._receive(deadline)) is not None:
                reply, sender = received
                if reply is not None:
                    await self._send(reply, sender)
                if sender == self._download.peer:
                    return

    async def _receive(self, deadline: float) -> tuple[bytes | None, Address] | None:
        """The answer to the next datagram and who gets it; None at the ``deadline`` of the loop's clock."""
        try:
            async with asyncio.timeout_at(deadline):
                datagram, sender = await self._loop.sock_recvfrom(self._sock, _DATAGRAM)
        except TimeoutError:
            return None
        peer = (sender[0], sender[1])
        try:
            return self._download.take(datagram, peer), peer
        except TransferFailed as failure:
            if failure.farewell is not None:
                await self._send(failure.farewell, peer)
            raise

    async def _send(self, packet: bytes, peer: Address) -> None:
        await self._loop.sock_sendto(self._sock, packet, peer)
