"""The FTP server: a thread with a loop of its own."""

import logging
import socket
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import ModuleType

from pyftpdlib.servers import FTPServer as Listener

from cisisk.model.errors import ConfigurationError
from cisisk.provisioning.fetch import FetchListener
from cisisk.provisioning.ftp.authorizer import FtpAuthenticator
from cisisk.provisioning.ftp.loop import Loop
from cisisk.provisioning.ftp.session import FtpContext, Session
from cisisk.provisioning.uploads import Uploads

MAX_CONNECTIONS = 100
"""Of all clients, commands and data together: some administrators, each with several transfers."""
MAX_PER_ADDRESS = 16
"""Sessions of one address; clients that mirror a tree open up to ten."""
WORKERS = 4
"""Uploads that are judged at the same time, and listings: an archive must not keep a ring tone waiting."""
IDLE = 1.0
"""Seconds the loop sleeps at most, so that its heartbeat goes on without any traffic."""
BREATH = 1.0
"""Seconds without a new connection when the system has no descriptor for it."""
JOIN_MARGIN = 5.0
"""Seconds beyond the grace after which a thread that has not ended hangs."""

log = logging.getLogger(__name__)


class FtpServer:
    """Serves the library to administrators, on a thread of its own."""

    def __init__(
        self,
        *,
        host: str,
        port: int,
        door: FtpAuthenticator,
        uploads: Uploads,
        on_fetch: FetchListener,
        passive_ports: tuple[int, int] | None = None,
        certificate: tuple[Path, Path] | None = None,
    ) -> None:
        """Bind the port; clients wait there until ``start``.

        Args:
            host: the address to serve; ``0.0.0.0`` every IPv4 address, ``::`` every address of both families.
            port: 21, or 0 for any free one.
            door: who may come in.
            uploads: the way into the library, and to what is in it: administrators get everything.
            on_fetch: called from the server's thread, once per ended download.
            passive_ports: the lowest and highest port for data; None: any.
            certificate: PEM files with the certificate and its key; with them TLS is required.

        Raises:
            OSError: the port is in use or privileged, or the host is no address of this machine.
            ConfigurationError: the certificate or the key cannot be used, or pyOpenSSL is not installed.
        """
        kind: type[Session] = Session
        settings: dict[str, object] = {}
        if certificate is not None:
            tls = _tls()
            kind, settings = tls.TlsSession, {"ssl_context": tls.context(*certificate)}
        self._workers = ThreadPoolExecutor(WORKERS, thread_name_prefix="ftp-worker")
        house = FtpContext(door=door, uploads=uploads, on_fetch=on_fetch, workers=self._workers)
        ports = None if passive_ports is None else range(passive_ports[0], passive_ports[1] + 1)
        handler = type("BoundSession", (kind,), {"house": house, "passive_ports": ports, **settings})
        bound = _bound(host, port)
        self._address: tuple[str, int] = bound.getsockname()[:2]
        self._loop = Loop()
        self._listener = _Listener(bound, handler, ioloop=self._loop)
        self._stop_at: float | None = None
        self._heartbeat = time.monotonic()
        self._thread = threading.Thread(target=self._run, name="ftp", daemon=True)

    @property
    def address(self) -> tuple[str, int]:
        """Host and port that clients connect to."""
        return self._address

    @property
    def is_alive(self) -> bool:
        """Whether the thread runs. After ``start`` and before ``stop`` it must."""
        return self._thread.is_alive()

    @property
    def heartbeat(self) -> float:
        """Monotonic time at which the loop last turned; it turns every second at least."""
        return self._heartbeat

    def start(self) -> None:
        """Begin to serve."""
        self._thread.start()

    def stop(self, grace: float) -> None:
        """End the thread and free the port. May be called more than once, and without ``start``.

        No client is accepted any more; transfers under way may finish within ``grace`` seconds and are then cut. An
        upload that is being judged is judged. Not to be called on the event loop's own thread once a client was there.
        """
        self._stop_at = time.monotonic() + grace
        if self._thread.ident is None:
            self._loop.close()
        else:
            self._loop.call_soon_threadsafe(self._listener.close)
            self._thread.join(grace + JOIN_MARGIN)
            if self._thread.is_alive():
                log.error("the FTP thread hangs and is left behind")
        # What they publish needs the library, which is closed after this.
        self._workers.shutdown()

    def _run(self) -> None:
        try:
            while self._stop_at is None or (self._is_busy() and time.monotonic() < self._stop_at):
                self._loop.turn(IDLE if self._stop_at is None else min(IDLE, self._stop_at - time.monotonic()))
                self._heartbeat = time.monotonic()
        except Exception:
            log.critical("the FTP server has failed", exc_info=True)
        finally:
            self._loop.close()

    def _is_busy(self) -> bool:
        return any(isinstance(each, Session) and each.is_busy for each in self._loop.socket_map.values())


class _Listener(Listener):
    """The port."""

    # The listener itself and the bell are in the loop as well.
    max_cons = MAX_CONNECTIONS + 2
    max_cons_per_ip = MAX_PER_ADDRESS

    def handle_error(self) -> None:
        """Accepting has failed, for want of descriptors most often. Where pyftpdlib closes the port, have a rest."""
        log.warning("an FTP client cannot be accepted", exc_info=sys.exception())
        self.del_channel()
        self.call_later(BREATH, self.add_channel)


def _tls() -> ModuleType:
    """What serves over TLS; it alone needs pyOpenSSL, and is imported by who uses it."""
    try:
        from cisisk.provisioning.ftp import tls
    except ImportError as error:
        raise ConfigurationError(
            "ftp.tls_cert: needs pyOpenSSL. Install it with: pip install 'cisisk[ftps]'"
        ) from error
    return tls


def _bound(host: str, port: int) -> socket.socket:
    family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    made = socket.socket(family, socket.SOCK_STREAM)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        made.bind(address)
        made.listen()
    except BaseException:
        made.close()
        raise
    return made
