"""The two kinds of transfer, in the shape of the files that pyftpdlib moves bytes from and to."""

import time

from cisisk.model.clock import now
from cisisk.model.errors import StorageFailed
from cisisk.provisioning.fetch import Fetch, FetchListener, FetchOutcome
from cisisk.provisioning.ftp.authorizer import FtpUser
from cisisk.provisioning.source import Content
from cisisk.provisioning.uploads import Upload

READ_AT_ONCE = 64 << 10
"""Bytes of a file in memory per download."""


class FtpDownload:
    """A file on its way out; also the producer of its bytes. Reports itself when it is closed.

    Attributes:
        outcome: set by who knows how it ended.
        sent: bytes that the connection has taken.
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
        """The next bytes; none at the end. Raises StorageFailed."""
        try:
            data = self._content.read(self._position, READ_AT_ONCE)
        except OSError as error:
            self.outcome = FetchOutcome.CUT
            raise StorageFailed(f"The file cannot be read: {error.strerror}") from error
        self._position += len(data)
        return data

    def close(self) -> None:
        """Give the content back."""
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
    """A file on its way in. Closing it throws it away unless it has ended.

    Attributes:
        announced: bytes that the client said would come (ALLO); None when it said nothing.
        ended: all that will come is here.
        certain: the end was not merely the end of a TCP stream, which looks the same whether a client has sent
            everything or was killed: TLS said so (close_notify), or as much has come as was announced.
    """

    def __init__(self, upload: Upload, visitor: FtpUser, announced: int | None) -> None:
        self.name = upload.path
        self.visitor = visitor
        self.announced = announced
        self.ended = False
        self.certain = False
        self.closed = False
        self._upload = upload

    def write(self, chunk: bytes) -> None:
        """Take more. Raises StorageFailed, TooLarge."""
        self._upload.write(chunk)

    def end(self, *, said: bool) -> str | None:
        """No more will come; ``said`` by the protocol, not only by silence. What is wrong with that, or None."""
        size = self._upload.size
        if self.announced is not None and size < self.announced:
            return f"{size} bytes of {self.announced} have arrived"
        if size == 0:
            return "nothing has arrived"
        self.ended = True
        self.certain = said or self.announced is not None
        return None

    def close(self) -> None:
        """No more is read."""
        self.closed = True
        if not self.ended:
            self._upload.discard()

    def discard(self) -> None:
        """Leave nothing of it."""
        self._upload.discard()

    def finish(self) -> None:
        """Have it judged and served. Blocks. Raises CisiskError."""
        self._upload.finish()
