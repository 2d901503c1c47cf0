"""One file on its way from a TFTP server, without a socket: datagrams in, datagrams out (RFC 1350, 2347 to 2349)."""

import ipaddress
from collections.abc import Mapping
from types import MappingProxyType
from typing import TypeAlias

from cisisk.provisioning.tftp import wire
from cisisk.provisioning.tftp.wire import Data, ErrorCode, MalformedTftp, Oack, Packet

Address: TypeAlias = tuple[str, int]
"""IP address and port."""

NO_OPTIONS: Mapping[str, int] = MappingProxyType({})
"""A 7940 sends none. No capture shows a newer phone that does (docs/phone-protocol/file-transfer.md#tftp-requests)."""
MAX_FILE_BYTES = 16 * 1024 * 1024
"""More than any file a phone loads before it runs: locale jars are the largest, at some 2 MiB."""


class FileAbsent(Exception):
    """The server has no such file (TFTP error 1): the phone goes on to the next name."""


class TransferFailed(Exception):
    """The file did not arrive.

    Attributes:
        farewell: the error packet the server is owed; None when there is nobody to tell.
    """

    def __init__(self, reason: str, farewell: bytes | None = None) -> None:
        super().__init__(reason)
        self.farewell = farewell


class TftpDownload:
    """The receiver's side of one transfer.

    Attributes:
        last_sent: the packet to repeat when the server is silent: the request, then the newest acknowledgement.
        peer: where it goes: the server's well-known port, then the port the server chose.
        progress: counts the packets that moved the transfer on; duplicates do not.
        complete: the last block is there.
    """

    def __init__(
        self,
        name: str,
        *,
        server: Address,
        options: Mapping[str, int] = NO_OPTIONS,
        max_bytes: int = MAX_FILE_BYTES,
    ) -> None:
        """Ask ``server``, a numeric address, for ``name`` in octet mode, with ``options`` (``blksize``, ``tsize``)."""
        self.last_sent = wire.read_request(name, "octet", options)
        self.peer = server
        self.progress = 0
        self.complete = False
        self._host = ipaddress.ip_address(server[0])
        self._tid_known = False
        self._asked = options
        self._blksize = wire.DEFAULT_BLKSIZE
        self._max_bytes = max_bytes
        self._expected = 1
        self._content = bytearray()

    @property
    def content(self) -> bytes:
        """What has arrived so far; the file, once complete."""
        return bytes(self._content)

    def take(self, datagram: bytes, sender: Address) -> bytes | None:
        """Judge one datagram. Returns the packet that answers ``sender``, if it gets one.

        Raises:
            FileAbsent: the server says so.
            TransferFailed: the server sent an error, or something no transfer can go on from.
        """
        try:
            packet = wire.parse(datagram)
        except MalformedTftp:
            return None
        if not self._is_peer(packet, sender):
            is_error = isinstance(packet, wire.Error)
            return None if is_error else wire.error(ErrorCode.UNKNOWN_TID, "Unknown transfer ID")
        if isinstance(packet, Data):
            return self._stored(packet)
        if isinstance(packet, Oack):
            return self._agreed(packet)
        if isinstance(packet, wire.Error):
            if packet.code == ErrorCode.NOT_FOUND:
                raise FileAbsent(packet.message)
            raise TransferFailed(f"error {packet.code}: {packet.message}")
        return None  # a request or an acknowledgement: nothing a receiver can use

    def _is_peer(self, packet: Packet, sender: Address) -> bool:
        """Whether ``packet`` belongs here. The first that can open the transfer fixes the port (RFC 1350 section 4).

        A late block of the transfer before, which used the same local port, opens none.
        """
        if self._tid_known:
            return sender == self.peer
        if ipaddress.ip_address(sender[0]) != self._host:
            return False
        if isinstance(packet, wire.Error):
            return True
        self._tid_known = (isinstance(packet, Data) and packet.block == 1) or (
            isinstance(packet, Oack) and bool(self._asked)
        )
        if self._tid_known:
            self.peer = sender
        return self._tid_known

    def _stored(self, packet: Data) -> bytes | None:
        if packet.block != self._expected & 0xFFFF:
            is_repetition = self._expected > 1 and packet.block == (self._expected - 1) & 0xFFFF
            return wire.ack(packet.block) if is_repetition else None
        if len(packet.payload) > self._blksize:
            raise _violation(ErrorCode.ILLEGAL_OPERATION, "a block longer than agreed")
        if len(self._content) + len(packet.payload) > self._max_bytes:
            raise _violation(ErrorCode.DISK_FULL, f"larger than {self._max_bytes} bytes")
        self._content += packet.payload
        self._expected += 1
        self.complete = len(packet.payload) < self._blksize
        return self._advanced(wire.ack(packet.block))

    def _agreed(self, packet: Oack) -> bytes | None:
        if self._expected != 1:
            return None
        try:
            agreed = {name: int(value) for name, value in packet.options.items()}
        except ValueError:
            raise _violation(ErrorCode.OPTION_REFUSED, "an option that is no number") from None
        if not agreed.keys() <= self._asked.keys():
            raise _violation(ErrorCode.OPTION_REFUSED, "an option that was not asked for")
        if agreed.get("tsize", 0) > self._max_bytes:
            raise _violation(ErrorCode.DISK_FULL, f"larger than {self._max_bytes} bytes")
        blksize = agreed.get("blksize", wire.DEFAULT_BLKSIZE)
        if "blksize" in agreed and not wire.MIN_BLKSIZE <= blksize <= self._asked["blksize"]:
            raise _violation(ErrorCode.OPTION_REFUSED, "a block size that was not asked for")
        self._blksize = blksize
        return self._advanced(wire.ack(0))

    def _advanced(self, reply: bytes) -> bytes:
        self.progress += 1
        self.last_sent = reply
        return reply


def _violation(code: ErrorCode, what: str) -> TransferFailed:
    return TransferFailed(f"the server sent {what}", wire.error(code, what))
