"""The interface between a protocol server and the files that it serves."""

from typing import Protocol

from cisisk.model.errors import CisiskError


class NotServed(CisiskError):
    """There is no such file, or the peer may not have it. The peer must not see the difference."""


class Content(Protocol):
    """One version of a file, opened for one transfer. Replacing the file meanwhile does not change it."""

    @property
    def size(self) -> int:
        """Size in bytes."""

    @property
    def sha256(self) -> str | None:
        """Hexadecimal hash of the whole content; None if it was too large to compute at the request."""

    @property
    def descriptor(self) -> int | None:
        """The open file, for sendfile(2), until :meth:`close`; None if the bytes are kept in memory."""

    @property
    def read_ahead(self) -> int:
        """How many bytes a sequential reader should read at once: all of them if they are kept in memory."""

    def read(self, offset: int, length: int) -> bytes:
        """Return ``length`` bytes from ``offset``, fewer only at the end. Raises OSError if the disk fails."""

    def close(self) -> None:
        """Close the content. May be called more than once."""


class FileSource(Protocol):
    """Opens files for a protocol server. Called from that server's thread."""

    def open(self, name: str, host: str) -> Content:
        """Open the current content of the file ``name`` for the peer at the IP address ``host``.

        Raises:
            NotServed: absent or denied.
            OSError: the file exists, but the system could not open it. The source has logged that.
        """
