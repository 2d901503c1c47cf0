"""Files as netascii (RFC 1350 section 1, RFC 764): a line ends with CR LF, and a single CR is CR NUL."""

import bisect
from dataclasses import dataclass

from cisisk.provisioning.source import Content

MAX_BYTES = 1 << 20
"""Bytes of the largest file that is sent as netascii. Its translated length must be known in advance, so that all of it
is read. Text files for phones are much smaller."""
_PIECE = 4096
"""Bytes of the file that are translated at once."""


def encode(text: bytes) -> bytes:
    """Return ``text``, whose lines end with LF, as netascii."""
    return text.replace(b"\r", b"\r\0").replace(b"\n", b"\r\n")


@dataclass(slots=True, eq=False)
class NetasciiContent:
    """A content that is translated in pieces, so that no second copy is held. Offsets are those of the translation.

    ``sha256`` is that of the file: it identifies the version.
    """

    content: Content
    size: int
    sha256: str | None
    _starts: list[int]

    @classmethod
    def of(cls, content: Content) -> "NetasciiContent":
        """Read ``content`` to find its translated size. The new object owns it. Raises OSError if the disk fails."""
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
