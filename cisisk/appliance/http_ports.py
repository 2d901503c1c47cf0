"""The HTTP ports: which application listens on which port, with or without TLS."""

import asyncio
import errno
import logging
import ssl
from dataclasses import dataclass
from pathlib import Path

from aiohttp import hdrs, web
from aiohttp.http import HttpProcessingError

from cisisk.config import ServerSettings
from cisisk.model.errors import ConfigurationError, StartRefused

HTTP_DRAIN_SECONDS = 3.0
"""For open requests at the end. aiohttp takes up to twice as long for one that does not end."""


class _Unquoted(logging.Filter):
    """Drops log records of aiohttp's server that quote a client that hung up or sent no HTTP: they may hold secrets."""

    def filter(self, record: logging.LogRecord) -> bool:
        return not (record.exc_info and isinstance(record.exc_info[1], (ConnectionError, HttpProcessingError)))


_UNQUOTED = _Unquoted()


def keep_clients_out_of_the_log() -> None:
    """Drop the log records that quote clients. May be called more than once."""
    logging.getLogger("aiohttp.server").addFilter(_UNQUOTED)


@dataclass(frozen=True, slots=True)
class Runners:
    """The running applications: two, or one that serves both."""

    api: web.AppRunner
    phones: web.AppRunner

    @property
    def each(self) -> list[web.AppRunner]:
        """Each runner once."""
        return [self.api] if self.api is self.phones else [self.api, self.phones]


def runners_for(api_app: web.Application, phones_app: web.Application) -> Runners:
    """Return runners for two applications, or for one that serves both."""
    for app in {api_app, phones_app}:
        app.on_response_prepare.append(_say_no_version)
    api = _runner(api_app)
    return Runners(api, api if phones_app is api_app else _runner(phones_app))


def _runner(app: web.Application) -> web.AppRunner:
    # No access log: the queries of phones contain passwords.
    return web.AppRunner(app, access_log=None, shutdown_timeout=HTTP_DRAIN_SECONDS)


async def _say_no_version(_request: web.Request, response: web.StreamResponse) -> None:
    response.headers[hdrs.SERVER] = "Cisisk"


async def listen(server: ServerSettings, runners: Runners, control_socket: Path) -> tuple[str, str]:
    """Open the ports and the control socket; return the URLs of the API and of the phones' services.

    Raises:
        StartRefused: a port or the socket cannot be opened.
        ConfigurationError: the certificate or its key cannot be used.
    """
    for runner in runners.each:
        await runner.setup()
    await listen_locally(runners.api, control_socket)
    phones_url = await _listen_on(runners.phones, server.host, server.port, "server.port", None)
    if runners.api is runners.phones:
        return phones_url, phones_url
    tls = await asyncio.to_thread(_tls_context, server.tls_cert, server.tls_key)
    return await _listen_on(runners.api, server.host, server.tls_port, "server.tls_port", tls), phones_url


async def _listen_on(runner: web.AppRunner, host: str, port: int, setting: str, tls: ssl.SSLContext | None) -> str:
    # asyncio excludes IPv4 from a socket on ::, so that IPv4 needs its own.
    for each in ("0.0.0.0", host) if host == "::" else (host,):  # noqa: S104 -- :: in the settings is every address
        site = web.TCPSite(runner, each, port, ssl_context=tls)
        try:
            await site.start()
        except OSError as error:
            raise port_refused(setting, "TCP", each, port, error) from error
        port = site.port
    shown = f"[{host}]" if ":" in host else host
    return f"{'https' if tls else 'http'}://{shown}:{port}"


async def listen_locally(runner: web.AppRunner, path: Path) -> None:
    """Open the control socket at ``path`` (0600). Raises StartRefused."""
    try:
        await web.UnixSite(runner, path).start()
        await asyncio.to_thread(path.chmod, 0o600)
    except OSError as error:
        reason = error.strerror or error
        raise StartRefused(
            f"The control socket {path} cannot be opened: {reason}. A shorter data.dir may help"
        ) from error


def _tls_context(certificate: str, key: str) -> ssl.SSLContext:
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        tls.load_cert_chain(certificate, key, _no_passphrase)
    except (OSError, ssl.SSLError) as error:
        raise ConfigurationError(
            f"server.tls_cert, server.tls_key: {Path(certificate)} and its key: {error}"
        ) from error
    return tls


def _no_passphrase() -> str:
    """Refuse a key with a passphrase. OpenSSL would ask for it on the terminal."""
    raise ConfigurationError("server.tls_key: the key has a passphrase. Remove it: Cisisk needs the key without one")


def port_refused(setting: str, kind: str, host: str, port: int, error: OSError) -> StartRefused:
    """Return why a port cannot be opened, and what to do.

    Args:
        setting: the key of the port, such as ``tftp.port``. ``host`` is in the same section.
        kind: ``TCP`` or ``UDP``.
    """
    remedy = {
        errno.EACCES: (
            "ports below 1024 need the right CAP_NET_BIND_SERVICE, which the systemd unit grants; without it, set "
            f"{setting} to a higher one"
        ),
        errno.EADDRINUSE: f"another program has it. Stop that one ('ss -lnp' names it), or set {setting}",
        errno.EADDRNOTAVAIL: f"{host} is not an address of this machine. Set {setting.partition('.')[0]}.host",
    }.get(error.errno or 0, error.strerror or str(error))
    return StartRefused(f"{kind} port {port} on {host} ({setting}) cannot be opened: {remedy}")
