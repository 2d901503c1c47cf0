"""Downloads and uploads, with the methods of the files that pyftpdlib reads and writes."""

import time

from cisisk.model.clock import now
from cisisk.model.errors import StorageFailed
from cisisk.provisioning.fetch import Fetch, FetchListener, FetchOutcome
from cisisk.provisioning.ftp.authorizer import FtpUser
from cisisk.provisioning.source import Content
from cisisk.provisioning.uploads import Upload

READ_BYTES = 64 << 10
"""Bytes of a file in memory for each download."""


class FtpDownload:
    """A file that is sent, and the producer of its bytes. Reports the fetch when it is closed.

    Attributes:
        outcome: set by the connection when the transfer ends.
        sent: bytes that the connection has sent.
    """

    def __init__(
        self, name: str, content: Content, position: int, peer: tuple[str, int], local: str, on_fetch: FetchListener
    ) -> None:
        self.name = name
        self.outcome = FetchOutcome.ABORTED
        self.sent = 0
        self.closed = False
        self._content = content
        self._position = position
        self._peer = peer
        self._local = local
        self._on_fetch = on_fetch
        self._started_at = now()
        self._started = time.monotonic()

    def more(self) -> bytes:
        """Return the next bytes; none at the end. Raises StorageFailed."""
        try:
            data = self._content.read(self._position, READ_BYTES)
        except OSError as error:
            self.outcome = FetchOutcome.CUT
            raise StorageFailed(f"The file cannot be read: {error.strerror}") from error
        self._position += len(data)
        return data

    def close(self) -> None:
        """Close the content and report the fetch."""
        if self.closed:
            return
        self.closed = True
        self._content.close()
        self._on_fetch(
            Fetch(
                protocol="ftp",
                started_at=self._started_at,
                peer=self._peer,
                local=self._local,
                name=self.name,
                outcome=self.outcome,
                sha256=self._content.sha256,
                size=self._content.size,
                acknowledged=self.sent,
                duration=time.monotonic() - self._started,
            )
        )


class FtpUpload:
    """A file that is received. Closing it deletes it unless it has ended.

    Attributes:
        user: who uploads it.
        announced: bytes that the client has announced (ALLO), or None.
        ended: whether all bytes have arrived.
        certain: whether it is certain that they are all: TLS announced the end (close_notify), or the announced number
            has arrived. The end of a TCP stream looks the same after a complete upload and after a killed client.
    """

    def __init__(self, upload: Upload, user: FtpUser, announced: int | None) -> None:
        self.name = upload.path
        self.user = user
        self.announced = announced
        self.ended = False
        self.certain = False
        self.closed = False
        self._upload = upload

    def write(self, chunk: bytes) -> None:
        """Add bytes. Raises StorageFailed, TooLarge."""
        self._upload.write(chunk)

    def end(self, *, said: bool) -> str | None:
        """Note the end of the data; return what is wrong with the upload, or None. ``said``: TLS announced the end."""
        size = self._upload.size
        if self.announced is not None and size < self.announced:
            return f"{size} bytes of {self.announced} have arrived"
        if size == 0:
            return "nothing has arrived"
        self.ended = True
        self.certain = said or self.announced is not None
        return None

    def close(self) -> None:
        """End the upload."""
        self.closed = True
        if not self.ended:
            self._upload.discard()

    def discard(self) -> None:
        """Delete what has arrived."""
        self._upload.discard()

    def finish(self) -> None:
        """Check the file and store it. Blocks. Raises CisiskError."""
        self._upload.finish()
