"""The client side of one TFTP transfer, without a socket: datagrams in, datagrams out (RFC 1350, 2347 to 2349)."""

import ipaddress
from collections.abc import Mapping
from types import MappingProxyType
from typing import TypeAlias

from cisisk.provisioning.tftp import wire
from cisisk.provisioning.tftp.wire import Data, ErrorCode, MalformedTftp, Oack, Packet

Address: TypeAlias = tuple[str, int]
"""IP address and port."""

NO_OPTIONS: Mapping[str, int] = MappingProxyType({})
"""A 7940 sends no options. No capture shows a newer phone that does.

Source: docs/phone-protocol/file-transfer.md#tftp-requests
"""
MAX_FILE_BYTES = 16 * 1024 * 1024
"""More than any file a phone loads at boot: locale archives are the largest, with about 2 MiB."""


class FileAbsent(Exception):
    """The server does not have the file (TFTP error 1)."""


class TransferFailed(Exception):
    """The transfer failed.

    Attributes:
        error_packet: the error packet to send to the server, or None.
    """

    def __init__(self, reason: str, error_packet: bytes | None = None) -> None:
        super().__init__(reason)
        self.error_packet = error_packet


class TftpDownload:
    """The receiver's side of one transfer.

    Attributes:
        last_sent: the packet to retransmit: the request, then the newest acknowledgement.
        peer: its destination: the server's request port, then the port the server chose.
        progress: number of packets that advanced the transfer; duplicates do not count.
        complete: the last block has arrived.
    """

    def __init__(
        self,
        name: str,
        *,
        server: Address,
        options: Mapping[str, int] = NO_OPTIONS,
        max_bytes: int = MAX_FILE_BYTES,
    ) -> None:
        """Request ``name`` in octet mode.

        Args:
            name: file name.
            server: numeric address and port.
            options: values of ``blksize`` and ``tsize`` to request.
            max_bytes: the longest file that is accepted.
        """
        self.last_sent = wire.read_request(name, "octet", options)
        self.peer = server
        self.progress = 0
        self.complete = False
        self._host = ipaddress.ip_address(server[0])
        self._tid_known = False
        self._requested = options
        self._blksize = wire.DEFAULT_BLKSIZE
        self._max_bytes = max_bytes
        self._expected = 1
        self._content = bytearray()

    @property
    def content(self) -> bytes:
        """Return the bytes received so far."""
        return bytes(self._content)

    def take(self, datagram: bytes, sender: Address) -> bytes | None:
        """Process one datagram. Return the packet to send back to ``sender``, or None.

        Raises:
            FileAbsent: the server does not have the file.
            TransferFailed: the server sent an error packet or broke the protocol.
        """
        try:
            packet = wire.parse(datagram)
        except MalformedTftp:
            return None
        if not self._is_peer(packet, sender):
            is_error = isinstance(packet, wire.Error)
            return None if is_error else wire.error(ErrorCode.UNKNOWN_TID, "Unknown transfer ID")
        if isinstance(packet, Data):
            return self._store(packet)
        if isinstance(packet, Oack):
            return self._negotiate(packet)
        if isinstance(packet, wire.Error):
            if packet.code == ErrorCode.NOT_FOUND:
                raise FileAbsent(packet.message)
            raise TransferFailed(f"error {packet.code}: {packet.message}")
        return None  # a request or an acknowledgement has no meaning for a receiver

    def _is_peer(self, packet: Packet, sender: Address) -> bool:
        """Return whether ``packet`` belongs to this transfer.

        The first packet that can open the transfer fixes the server's port (RFC 1350 section 4). A late block of the
        previous transfer, which used the same local port, does not.
        """
        if self._tid_known:
            return sender == self.peer
        if ipaddress.ip_address(sender[0]) != self._host:
            return False
        if isinstance(packet, wire.Error):
            return True
        self._tid_known = (isinstance(packet, Data) and packet.block == 1) or (
            isinstance(packet, Oack) and bool(self._requested)
        )
        if self._tid_known:
            self.peer = sender
        return self._tid_known

    def _store(self, packet: Data) -> bytes | None:
        if packet.block != self._expected & 0xFFFF:
            is_repetition = self._expected > 1 and packet.block == (self._expected - 1) & 0xFFFF
            return wire.ack(packet.block) if is_repetition else None
        if len(packet.payload) > self._blksize:
            raise _violation(ErrorCode.ILLEGAL_OPERATION, "a block longer than negotiated")
        if len(self._content) + len(packet.payload) > self._max_bytes:
            raise _violation(ErrorCode.DISK_FULL, f"larger than {self._max_bytes} bytes")
        self._content += packet.payload
        self._expected += 1
        self.complete = len(packet.payload) < self._blksize
        return self._advance(wire.ack(packet.block))

    def _negotiate(self, packet: Oack) -> bytes | None:
        if self._expected != 1:
            return None
        try:
            agreed = {name: int(value) for name, value in packet.options.items()}
        except ValueError:
            raise _violation(ErrorCode.OPTION_REFUSED, "an option that is not a number") from None
        if not agreed.keys() <= self._requested.keys():
            raise _violation(ErrorCode.OPTION_REFUSED, "an option that was not requested")
        if agreed.get("tsize", 0) > self._max_bytes:
            raise _violation(ErrorCode.DISK_FULL, f"larger than {self._max_bytes} bytes")
        blksize = agreed.get("blksize", wire.DEFAULT_BLKSIZE)
        if "blksize" in agreed and not wire.MIN_BLKSIZE <= blksize <= self._requested["blksize"]:
            raise _violation(ErrorCode.OPTION_REFUSED, "a block size that was not requested")
        self._blksize = blksize
        return self._advance(wire.ack(0))

    def _advance(self, reply: bytes) -> bytes:
        self.progress += 1
        self.last_sent = reply
        return reply


def _violation(code: ErrorCode, what: str) -> TransferFailed:
    return TransferFailed(f"the server sent {what}", wire.error(code, what))
