"""A file in memory, for parts of the TFTP server without sockets."""

from collections.abc import Callable

import pytest


class MemoryContent:
    sha256 = "cafe"
    descriptor = None
    read_ahead = 0

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.size = len(data)
        self.closed = 0
        self.failure: Exception | None = None

    def read(self, offset: int, length: int) -> bytes:
        if self.failure is not None:
            raise self.failure
        return self._data[offset : offset + length]

    def truncate(self, size: int) -> None:
        self._data = self._data[:size]

    def close(self) -> None:
        self.closed += 1


MakeContent = Callable[[bytes], MemoryContent]


@pytest.fixture(name="content", scope="session")
def content_of() -> MakeContent:
    """Return a function that creates a content from bytes."""
    return MemoryContent
