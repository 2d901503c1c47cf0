"""A file as netascii (RFC 1350 section 1, RFC 764): a line ends with CR LF, and a CR of its own is CR NUL."""

import bisect
from dataclasses import dataclass

from cisisk.provisioning.source import Content

LONGEST = 1 << 20
"""Bytes of the largest file that is sent so. Its length must be known before it is sent, so every byte is looked at;
and text that phones read is far smaller."""
_PIECE = 4096
"""Bytes of the file that are translated at once."""


def encode(text: bytes) -> bytes:
    """The octets that stand for ``text``, whose lines end with LF."""
    return text.replace(b"\r", b"\r\0").replace(b"\n", b"\r\n")


@dataclass(slots=True, eq=False)
class NetasciiContent:
    """A content translated piece by piece, so that no second copy of it is held. Offsets are those of the translation.

    ``sha256`` stays that of the file: it names the version.
    """

    content: Content
    size: int
    sha256: str | None
    _starts: list[int]

    @classmethod
    def of(cls, content: Content) -> "NetasciiContent":
        """Look through ``content``, which belongs to this object from now on. Raises OSError when the disk fails."""
        starts = [0]
        for offset in range(0, content.size, _PIECE):
            piece = content.read(offset, _PIECE)
            starts.append(starts[-1] + len(piece) + piece.count(b"\r") + piece.count(b"\n"))
        return cls(content, starts[-1], content.sha256, starts)

    @property
    def descriptor(self) -> None:
        """See Content: no file holds the translation."""

    @property
    def read_ahead(self) -> int:
        """See Content."""
        return _PIECE

    def read(self, offset: int, length: int) -> bytes:
        """See Content."""
        first = max(bisect.bisect_right(self._starts, offset) - 1, 0)
        last = max(bisect.bisect_left(self._starts, offset + length), first + 1)
        translated = encode(self.content.read(first * _PIECE, (last - first) * _PIECE))
        begin = offset - self._starts[first]
        return translated[begin : begin + length]

    def close(self) -> None:
        """See Content."""
        self.content.close()
