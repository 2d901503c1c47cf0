"""The seam between a protocol server and what it serves."""

import ctypes
from typing import Protocol

from cisisk.model.errors import CisiskError


class NotServed(CisiskError):
    """There is no such file for this peer. Absent and denied are the same on purpose."""


_BYTES_HEAD = bytes.__basicsize__ - 1
"""Where in a bytes object its bytes begin. CPython lays it out so; the check below is for the day it does not."""
if ctypes.string_at(id(probe := b"\1\2\3") + _BYTES_HEAD, 3) != probe:
    raise ImportError("this Python lays out bytes in another way")


class Stretch:
    """Bytes of a content that are at hand, and where the system finds them without copying.

    Attributes:
        start: their offset in the content.
        content: the bytes.
        end: the offset after the last of them.
        address: where they lie in memory, as long as this object lives.
    """

    __slots__ = ("address", "content", "end", "start")

    def __init__(self, start: int, content: bytes) -> None:
        self.start = start
        self.content = content
        self.end = start + len(content)
        self.address = id(content) + _BYTES_HEAD


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

    def read(self, offset: int, length: int) -> bytes:
        """Exactly ``length`` bytes from ``offset``, fewer only at the end. Raises OSError when the disk fails."""

    def stretch(self, offset: int, length: int) -> Stretch:
        """What is at hand around ``offset``: ``length`` bytes from there at least, fewer only at the end.

        For who reads on from there in small pieces. Raises OSError when the disk fails.
        """

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
