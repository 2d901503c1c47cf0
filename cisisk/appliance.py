"""The composition root: builds every part from the settings, starts them in order and stops them in reverse."""

import asyncio
import gc
import logging
import os
import resource
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any

import aiohttp
from aiohttp import hdrs, web

from cisisk import http_ports
from cisisk.api import application, context
from cisisk.api.health import Health
from cisisk.config import Settings
from cisisk.http_ports import Runners
from cisisk.identity.accounts import Accounts
from cisisk.identity.tokens import KeyRing
from cisisk.mobility.contacts import Contacts
from cisisk.mobility.profiles import Profiles
from cisisk.mobility.restart.cgi_init_restart import CgiInitRestart
from cisisk.mobility.restart.cgi_keys import CgiKeys
from cisisk.mobility.restart.execute import PhoneCommands
from cisisk.mobility.restart.method import Restarts
from cisisk.mobility.server_address import server_address
from cisisk.mobility.switch import Switcher
from cisisk.model.phone import Software
from cisisk.phone_services import authentication
from cisisk.provisioning.library import Library
from cisisk.provisioning.tftp.server import TftpServer
from cisisk.store import lock, migrations
from cisisk.store.database import Database

log = logging.getLogger(__name__)


CONTROL_SOCKET = "control.sock"
"""In the data directory: the API for whoever owns it, without a token."""
SWITCH_DRAIN_SECONDS = 2.5
"""For switches under way, which no longer wait for their phones: less than the requests that they answer have."""
TFTP_DRAIN_SECONDS = 5.0
"""For transfers under way at the end: a config needs one, a firmware is asked for again."""
GARBAGE_EVERY = 50_000
"""Objects made and kept between two looks for dead cycles: those of four thousand transfers."""
REFRESH_SECONDS = 5.0
"""How soon a file that somebody puts into the served directory is found."""
_SPARE_DESCRIPTORS = 1024
"""For the API's connections, the database and the rest, beside the files of the TFTP transfers."""
_PHONE_CONNECTIONS = 64
"""Phones that are called at the same time."""


@dataclass(frozen=True, slots=True)
class Appliance:
    """A running appliance.

    Attributes:
        new_admin_password: of the superadmin that was created at this start, if it was generated.
        api_url: where the API is; empty when only its control socket is.
        phones_url: where phones reach their services; empty likewise.
        tftp_address: host and port; None when TFTP is off.
    """

    health: Health
    new_admin_password: str | None
    api_url: str = ""
    phones_url: str = ""
    tftp_address: tuple[str, int] | None = None


@dataclass(frozen=True, slots=True)
class _Core:
    """Everything that listens to no network."""

    accounts: Accounts
    commands: PhoneCommands
    contacts: Contacts
    db: Database
    library: Library
    new_admin_password: str | None
    profiles: Profiles
    switcher: Switcher


@asynccontextmanager
async def running(settings: Settings) -> AsyncIterator[Appliance]:
    """The whole appliance, from the lock to the last listening port; stopped in order at the end of the block.

    Raises:
        StartRefused: it cannot run here and now.
        ConfigurationError: a setting cannot be followed.
    """
    async with _core(settings) as core, AsyncExitStack() as stack:
        await core.switcher.recover()
        tftp = _bind_tftp(settings, core) if settings.tftp.enabled else None
        tasks = [
            asyncio.create_task(core.contacts.run(), name="record of fetches"),
            asyncio.create_task(_keep_fresh(core.library), name="watch of the served directory"),
        ]
        for task in tasks:
            stack.push_async_callback(_end, task)
        health = Health(core.db, tftp, tasks)
        if tftp is not None:
            tftp.start()
        runners = _runners(settings, core, health)
        stack.push_async_callback(_stop, core.switcher, runners, tftp)
        api_url, phones_url = await http_ports.listen(settings.server, runners, settings.data.dir / CONTROL_SOCKET)
        stack.enter_context(_rare_garbage())
        yield Appliance(health, core.new_admin_password, api_url, phones_url, tftp.address if tftp else None)


@asynccontextmanager
async def control_only(settings: Settings) -> AsyncIterator[Appliance]:
    """The API on its control socket and nothing else, for the command line while no service runs. Raises as running."""
    async with _core(settings) as core, AsyncExitStack() as stack:
        health = Health(core.db, None)
        runner = web.AppRunner(_api_app(settings, core, health), access_log=None)
        stack.push_async_callback(runner.cleanup)
        await runner.setup()
        await http_ports.listen_locally(runner, settings.data.dir / CONTROL_SOCKET)
        yield Appliance(health, core.new_admin_password)


@asynccontextmanager
async def _core(settings: Settings) -> AsyncIterator[_Core]:
    directory = settings.data.dir
    lock.prepare(directory)
    async with AsyncExitStack() as stack:
        stack.enter_context(lock.exclusive(directory))
        path = directory / "cisisk.db"
        await asyncio.to_thread(migrations.migrate, path, migrations.steps())
        db = await stack.enter_async_context(Database.open(path.absolute().as_uri()))
        library = await asyncio.to_thread(Library, settings.served_root, settings.tftp.cache_bytes)
        stack.callback(library.close)
        keys = KeyRing.load(directory / "keys", timedelta(minutes=settings.auth.access_token_minutes))
        accounts = Accounts(db, keys, timedelta(days=settings.auth.refresh_token_days))
        session = await stack.enter_async_context(_phone_session())
        commands = PhoneCommands(settings.phone_http, session)
        contacts = Contacts(db)
        address = partial(server_address, settings.server.public_url)
        yield _Core(
            accounts=accounts,
            commands=commands,
            contacts=contacts,
            db=db,
            library=library,
            new_admin_password=await accounts.first_superadmin(os.environ.get("CISISK_ADMIN_PASSWORD")),
            profiles=Profiles(db, settings.provisioning.max_config_bytes),
            switcher=Switcher(db, library, contacts, commands, _restarts(settings, commands), address),
        )


@contextmanager
def _rare_garbage() -> Iterator[None]:
    """Look for cycles of dead objects less often, and never among what was there at the start.

    A boot storm makes a hundred objects for each transfer and no cycles; Python would go through them, and at times
    through the whole appliance, every few transfers.
    """
    thresholds = gc.get_threshold()
    gc.freeze()
    gc.set_threshold(GARBAGE_EVERY, *thresholds[1:])
    try:
        yield
    finally:
        gc.set_threshold(*thresholds)
        gc.unfreeze()


def _restarts(settings: Settings, commands: PhoneCommands) -> Restarts:
    orders = {
        Software.SIP: settings.restart.sip,
        Software.SIPE: settings.restart.sipe,
        Software.SCCP: settings.restart.sccp,
    }
    return Restarts([CgiInitRestart(commands), CgiKeys(commands)], orders)


def _phone_session() -> aiohttp.ClientSession:
    # A phone's web server keeps no connection and no cookie, and answers one caller at a time.
    connector = aiohttp.TCPConnector(limit=_PHONE_CONNECTIONS, limit_per_host=2, force_close=True)
    return aiohttp.ClientSession(
        connector=connector,
        cookie_jar=aiohttp.DummyCookieJar(),
        # Phones do not compress; what does is no phone, and must not blow up here.
        headers={hdrs.ACCEPT_ENCODING: "identity"},
        auto_decompress=False,
    )


def _bind_tftp(settings: Settings, core: _Core) -> TftpServer:
    _allow_descriptors(settings.tftp.max_transfers + _SPARE_DESCRIPTORS)
    try:
        return TftpServer(
            host=settings.tftp.host,
            port=settings.tftp.port,
            source=core.library,
            on_fetch=core.contacts.note,
            max_transfers=settings.tftp.max_transfers,
            port_range=settings.tftp.reply_ports,
            single_port=settings.tftp.single_port,
            largest_blksize=settings.tftp.max_blksize,
        )
    except OSError as error:
        raise http_ports.port_refused("tftp.port", "UDP", settings.tftp.host, settings.tftp.port, error) from error


def _allow_descriptors(wanted: int) -> None:
    """Raise the soft limit of open files as far as it is needed and allowed."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    allowed = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if resource.RLIM_INFINITY != soft < allowed:
        resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
    if allowed < wanted:
        log.warning("only %d files may be open at once; tftp.max_transfers would need %d", allowed, wanted)


def _api_app(settings: Settings, core: _Core, health: Health) -> web.Application:
    parts: dict[web.AppKey[Any], Any] = {
        context.SETTINGS: settings,
        context.DATABASE: core.db,
        context.ACCOUNTS: core.accounts,
        context.LIBRARY: core.library,
        context.PROFILES: core.profiles,
        context.SWITCHER: core.switcher,
        context.HEALTH: health,
    }
    return application.build(parts, settings.provisioning.max_config_bytes)


def _runners(settings: Settings, core: _Core, health: Health) -> Runners:
    """With a certificate the API has a port of its own; without one it shares that of the phones."""
    api_app = _api_app(settings, core, health)
    phones_app = web.Application() if settings.server.tls_cert else api_app
    phones_app.add_routes(authentication.routes(core.commands))
    return http_ports.runners_for(api_app, phones_app)


async def _keep_fresh(library: Library) -> None:
    while True:
        await asyncio.sleep(REFRESH_SECONDS)
        try:
            await asyncio.to_thread(library.refresh)
        except OSError as error:
            log.warning("the served directory cannot be read: %s", error.strerror)


async def _stop(switcher: Switcher, runners: Runners, tftp: TftpServer | None) -> None:
    """No new work, and what is under way comes to its end, all at the same time."""
    endings = [switcher.stop(SWITCH_DRAIN_SECONDS), *(runner.cleanup() for runner in runners.each)]
    if tftp is not None:
        endings.append(asyncio.to_thread(tftp.stop, TFTP_DRAIN_SECONDS))
    for result in await asyncio.gather(*endings, return_exceptions=True):
        if isinstance(result, BaseException):
            log.error("stopping: %r", result)


async def _end(task: asyncio.Task[None]) -> None:
    task.cancel()
    for ended in await asyncio.gather(task, return_exceptions=True):
        if isinstance(ended, Exception):
            log.error("the %s has failed", task.get_name(), exc_info=ended)
