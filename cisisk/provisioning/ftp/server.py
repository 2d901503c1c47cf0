"""The FTP server: a thread with its own event loop."""

import logging
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import ModuleType

from cisisk.model.errors import ConfigurationError
from cisisk.provisioning.fetch import FetchListener
from cisisk.provisioning.ftp.authorizer import FtpAuthenticator
from cisisk.provisioning.ftp.control import quiet_library
from cisisk.provisioning.ftp.limits import DEFAULT_LIMITS, FtpLimits
from cisisk.provisioning.ftp.loop import Listener, Loop
from cisisk.provisioning.ftp.session import FtpContext, Session
from cisisk.provisioning.uploads import Uploads

WORKERS = 4
"""Threads that check uploads and read listings: a large archive must not delay a ring tone."""
IDLE_SECONDS = 1.0
"""Longest sleep of the loop, so that its heartbeat continues without traffic."""
JOIN_MARGIN_SECONDS = 5.0
"""Time beyond the grace after which a thread that has not ended counts as hung."""

log = logging.getLogger(__name__)


class FtpServer:
    """Serves the library to administrators, on a thread of its own."""

    def __init__(
        self,
        *,
        host: str,
        port: int,
        authenticator: FtpAuthenticator,
        uploads: Uploads,
        on_fetch: FetchListener,
        passive_ports: tuple[int, int] | None = None,
        certificate: tuple[Path, Path] | None = None,
        limits: FtpLimits = DEFAULT_LIMITS,
    ) -> None:
        """Bind the port; clients wait there until ``start``.

        Args:
            host: the address to serve; ``0.0.0.0`` every IPv4 address, ``::`` every address of both families.
            port: 21, or 0 for any free one.
            authenticator: checks passwords.
            uploads: stores, lists and deletes the files of the library. Administrators see all of them.
            on_fetch: called from the server's thread, once per ended download.
            passive_ports: the lowest and highest port for data; None: any.
            certificate: PEM files with the certificate and its key; with them TLS is required.
            limits: limits of the server and of each session.

        Raises:
            OSError: the port is in use or privileged, or the host is no address of this machine.
            ConfigurationError: the certificate or the key cannot be used, or pyOpenSSL is not installed.
        """
        quiet_library()
        kind: type[Session] = Session
        settings: dict[str, object] = {}
        if certificate is not None:
            tls = _tls()
            kind, settings = tls.TlsSession, {"ssl_context": tls.context(*certificate)}
        self._workers = ThreadPoolExecutor(WORKERS, thread_name_prefix="ftp-worker")
        shared = FtpContext(authenticator=authenticator, uploads=uploads, on_fetch=on_fetch, workers=self._workers)
        ports = None if passive_ports is None else range(passive_ports[0], passive_ports[1] + 1)
        handler = type(
            "BoundSession", (kind,), {"context": shared, "limits": limits, "passive_ports": ports, **settings}
        )
        bound = _bound(host, port)
        self._address: tuple[str, int] = bound.getsockname()[:2]
        self._loop = Loop()
        self._listener = Listener(bound, handler, self._loop, limits)
        self._stop_at: float | None = None
        self._heartbeat = time.monotonic()
        self._thread = threading.Thread(target=self._run, name="ftp", daemon=True)

    @property
    def address(self) -> tuple[str, int]:
        """Host and port that clients connect to."""
        return self._address

    @property
    def is_alive(self) -> bool:
        """Whether the thread runs. It must between ``start`` and ``stop``."""
        return self._thread.is_alive()

    @property
    def heartbeat(self) -> float:
        """Monotonic time of the last iteration of the loop, which takes at most a second."""
        return self._heartbeat

    def start(self) -> None:
        """Begin to serve."""
        self._thread.start()

    def stop(self, grace: float) -> None:
        """End the thread and free the port. May be called more than once, and without ``start``.

        No new client is accepted. Transfers under way may finish within ``grace`` seconds and are then cut. An upload
        that is being checked is still stored. Do not call it on the event loop's thread after a client has connected.
        """
        self._stop_at = time.monotonic() + grace
        if self._thread.ident is None:
            self._loop.close()
        else:
            self._loop.call_soon_threadsafe(self._listener.close)
            self._thread.join(grace + JOIN_MARGIN_SECONDS)
            if self._thread.is_alive():
                log.error("FTP thread hangs and is abandoned")
        # They still need the library, which is closed after this.
        self._workers.shutdown()

    def _run(self) -> None:
        try:
            while self._stop_at is None or (self._is_busy() and time.monotonic() < self._stop_at):
                self._loop.turn(
                    IDLE_SECONDS if self._stop_at is None else min(IDLE_SECONDS, self._stop_at - time.monotonic())
                )
                self._heartbeat = time.monotonic()
        except Exception:
            log.critical("FTP server failed", exc_info=True)
        finally:
            self._loop.close()

    def _is_busy(self) -> bool:
        return any(isinstance(each, Session) and each.is_busy for each in self._loop.socket_map.values())


def _tls() -> ModuleType:
    """Import the module for TLS. It alone needs pyOpenSSL, an optional package."""
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
