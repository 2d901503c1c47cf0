"""The provisioning ports: phones fetch files over TFTP and HTTP, administrators store them over FTP."""

import asyncio
import logging
import resource
from collections.abc import AsyncIterator, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cisisk.appliance.http_ports import port_refused
from cisisk.config import Settings
from cisisk.provisioning.fetch import FetchListener
from cisisk.provisioning.ftp.authorizer import FtpAuthenticator
from cisisk.provisioning.ftp.server import FtpServer
from cisisk.provisioning.http.limits import DEFAULT_LIMITS as HTTP_LIMITS
from cisisk.provisioning.http.server import HttpServer
from cisisk.provisioning.source import FileSource
from cisisk.provisioning.tftp.fastpath.switch import choose_path
from cisisk.provisioning.tftp.server import TftpServer
from cisisk.provisioning.uploads import Uploads

DRAIN_SECONDS = 5.0
"""For transfers under way at the end. A config needs less, a firmware is requested again, and an incomplete upload is
deleted."""
SPARE_DESCRIPTORS = 1024 + 2 * HTTP_LIMITS.max_connections
"""Descriptors beside those of TFTP transfers: for the API's connections, the database, and HTTP connections with their
files."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Servers:
    """The provisioning servers; None for one that is off."""

    tftp: TftpServer | None
    http: HttpServer | None
    ftp: FtpServer | None

    def start(self) -> None:
        """Start the servers: HTTP in the running event loop, the others on their own threads."""
        for server in (self.tftp, self.http, self.ftp):
            if server is not None:
                server.start()

    def endings(self) -> list[Coroutine[Any, Any, None]]:
        """Return coroutines that stop the servers, to be awaited together. Transfers under way may end."""
        endings: list[Coroutine[Any, Any, None]] = []
        if self.tftp is not None:
            endings.append(asyncio.to_thread(self.tftp.stop, DRAIN_SECONDS))
        if self.http is not None:
            endings.append(self.http.stop(DRAIN_SECONDS))
        if self.ftp is not None:
            endings.append(asyncio.to_thread(self.ftp.stop, DRAIN_SECONDS))
        return endings


@asynccontextmanager
async def bound(
    settings: Settings,
    *,
    source: FileSource,
    on_fetch: FetchListener,
    authenticator: FtpAuthenticator,
    uploads: Uploads,
) -> AsyncIterator[Servers]:
    """Bind the servers that are enabled; phones wait at their ports until they are started.

    At the end of the block all transfers are cut, for example after a start that failed.

    Args:
        source: the served files; used on the event loop and on TFTP's thread.
        on_fetch: called once per ended fetch, on these and on FTP's thread.
        authenticator: checks passwords for FTP.
        uploads: stores, lists and deletes files for FTP.

    Raises:
        StartRefused: a port cannot be opened.
        ConfigurationError: FTP's certificate or its key cannot be used.
    """
    _allow_descriptors(settings.tftp.max_transfers + SPARE_DESCRIPTORS)
    tftp = http = ftp = None
    async with AsyncExitStack() as stack:
        if settings.tftp.enabled:
            tftp = _tftp(settings, source, on_fetch)
            stack.push_async_callback(asyncio.to_thread, tftp.stop, 0)
        if settings.provisioning_http.enabled:
            http = _http(settings, source, on_fetch)
            stack.push_async_callback(http.stop, 0)
        if settings.ftp.enabled:
            ftp = _ftp(settings, authenticator, uploads, on_fetch)
            stack.push_async_callback(asyncio.to_thread, ftp.stop, 0)
        yield Servers(tftp, http, ftp)


def _tftp(settings: Settings, source: FileSource, on_fetch: FetchListener) -> TftpServer:
    tftp = settings.tftp
    try:
        return TftpServer(
            host=tftp.host,
            port=tftp.port,
            source=source,
            on_fetch=on_fetch,
            max_transfers=tftp.max_transfers,
            port_range=tftp.reply_ports,
            single_port=tftp.single_port,
            largest_blksize=tftp.max_blksize,
            path=choose_path(),
        )
    except OSError as error:
        raise port_refused("tftp.port", "UDP", tftp.host, tftp.port, error) from error


def _http(settings: Settings, source: FileSource, on_fetch: FetchListener) -> HttpServer:
    http = settings.provisioning_http
    try:
        return HttpServer(host=http.host, port=http.port, source=source, on_fetch=on_fetch)
    except OSError as error:
        raise port_refused("provisioning_http.port", "TCP", http.host, http.port, error) from error


def _ftp(settings: Settings, authenticator: FtpAuthenticator, uploads: Uploads, on_fetch: FetchListener) -> FtpServer:
    ftp = settings.ftp
    try:
        return FtpServer(
            host=ftp.host,
            port=ftp.port,
            authenticator=authenticator,
            uploads=uploads,
            on_fetch=on_fetch,
            passive_ports=ftp.data_ports,
            certificate=(Path(ftp.tls_cert), Path(ftp.tls_key)) if ftp.tls_cert else None,
        )
    except OSError as error:
        raise port_refused("ftp.port", "TCP", ftp.host, ftp.port, error) from error


def _allow_descriptors(wanted: int) -> None:
    """Raise the soft limit of open files to what is needed, as far as the hard limit allows."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    allowed = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if resource.RLIM_INFINITY != soft < allowed:
        resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
    if allowed < wanted:
        log.warning("limit of open files too low for tftp.max_transfers: limit=%d needed=%d", allowed, wanted)
