"""The seam between a protocol server and what it serves."""

from typing import Protocol

from cisisk.model.errors import CisiskError


class NotServed(CisiskError):
    """There is no such file for this peer. Absent and denied are the same on purpose."""


class Content(Protocol):
    """One version of a file, opened for one transfer; replacing the file meanwhile changes nothing here."""

    @property
    def size(self) -> int:
        """Bytes in total."""

    @property
    def sha256(self) -> str | None:
        """Hexadecimal hash of the whole content; None where it was too large to compute at the request."""

    @property
    def descriptor(self) -> int | None:
        """The open file, for sendfile(2), until this content is closed; None where the bytes are kept in memory."""

    @property
    def read_ahead(self) -> int:
        """How many bytes a sequential reader should read at once: all of them where they are kept in memory."""

    def read(self, offset: int, length: int) -> bytes:
        """Exactly ``length`` bytes from ``offset``, fewer only at the end. Raises OSError when the disk fails."""

    def close(self) -> None:
        """Give the content back. May be called more than once."""


class FileSource(Protocol):
    """Where the files of a protocol server come from. Called from that server's own thread."""

    def open(self, name: str, host: str) -> Content:
        """The current content of the file that the peer at the IP address ``host`` asked for by ``name``.

        Raises:
            NotServed: absent or denied.
            OSError: it is there, but the system could not open it.
        """
