"""The composition root: builds every part from the settings, starts them in order and stops them in reverse."""

import asyncio
import gc
import logging
import os
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import hdrs, web

from cisisk.adoption.configs import ConfigAdoption, ThreadsafeAdoption
from cisisk.adoption.directory import DirectoryImport
from cisisk.adoption.served_directory import ServedDirectory
from cisisk.api import application, context
from cisisk.api.health import Health
from cisisk.appliance import http_ports, provisioning_ports
from cisisk.appliance.http_ports import Runners
from cisisk.appliance.limits import DEFAULT_LIMITS, Limits
from cisisk.appliance.provisioning_ports import Servers
from cisisk.config import Settings
from cisisk.events.feed import Feed
from cisisk.events.webhooks import Webhooks, webhook_session
from cisisk.fetches.discovery import PhoneDiscovery
from cisisk.fetches.log import FetchLog
from cisisk.fetches.tracker import FetchTracker
from cisisk.identity.accounts import Accounts
from cisisk.identity.administrators import Administrators
from cisisk.identity.pin_login import PinLogin
from cisisk.identity.tokens import KeyRing
from cisisk.mobility.auto_logout import AutoLogout, LogoutRules
from cisisk.mobility.deploy import Deployer
from cisisk.mobility.findings import Findings
from cisisk.mobility.phone_logins import PhoneLogins
from cisisk.mobility.profiles import Profiles
from cisisk.mobility.server_address import server_address
from cisisk.mobility.switch import Switcher
from cisisk.mobility.switch_jobs import SwitchJobs
from cisisk.mobility.watcher import Watcher
from cisisk.model.errors import ConfigurationError
from cisisk.model.logout_times import local_zone
from cisisk.model.mac import Mac
from cisisk.model.phone import Software
from cisisk.model.phone_login import Multiple
from cisisk.pbx.calls import Calls
from cisisk.pbx.connection import Asterisk
from cisisk.pbx.registrar import Registrar
from cisisk.pbx.registrations import Registrations
from cisisk.pbx.setup_check import SetupCheck
from cisisk.phone_services import authentication
from cisisk.phone_services.pages import Pages
from cisisk.provisioning import default_config
from cisisk.provisioning.access.policy import AccessPolicy, Mode
from cisisk.provisioning.access.watch import AccessWatch
from cisisk.provisioning.default_config import WithDefault
from cisisk.provisioning.library import Library
from cisisk.provisioning.phone_locks import PhoneLocks
from cisisk.provisioning.uploads import Uploads
from cisisk.restart.ami_command import AmiCommand
from cisisk.restart.ami_pjsip import AmiPjsip
from cisisk.restart.ami_sccp import AmiSccp
from cisisk.restart.ami_sip import AmiSip
from cisisk.restart.cgi_init_restart import CgiInitRestart
from cisisk.restart.cgi_keys import CgiKeys
from cisisk.restart.execute import PhoneCommands
from cisisk.restart.method import Restarts
from cisisk.restart.sip_notify import SipNotify
from cisisk.sip.transaction import SipClient
from cisisk.store import lock, migrations
from cisisk.store.database import Database

log = logging.getLogger(__name__)


CONTROL_SOCKET = "control.sock"
"""In the data directory: the API without a token, for the owner of that directory."""
SWITCH_DRAIN_SECONDS = 2.5
"""For switches under way, which stop waiting for their phones. Shorter than the time that their requests have."""
GARBAGE_EVERY = 50_000
"""Objects that are created and kept between two garbage collections: those of four thousand transfers."""
_UPLOAD_THREADS = 4
"""Uploads, downloads and listings of administrators that wait for the disk at the same time."""
_PHONE_CONNECTIONS = 64
"""Concurrent connections to phones."""


@dataclass(frozen=True, slots=True)
class Appliance:
    """A running appliance.

    Attributes:
        new_admin_password: of the superadmin that this start created, if it was generated.
        api_url: of the API; empty if only its control socket is open.
        phones_url: of the phones' services; empty likewise.
        tftp_address: host and port; None if TFTP is off.
        provisioning_http_address, ftp_address: likewise.
    """

    health: Health
    new_admin_password: str | None
    api_url: str = ""
    phones_url: str = ""
    tftp_address: tuple[str, int] | None = None
    provisioning_http_address: tuple[str, int] | None = None
    ftp_address: tuple[str, int] | None = None


@dataclass(frozen=True, slots=True)
class _Provisioning:
    """The files that phones are served, and the access to them."""

    access: AccessWatch
    library: Library
    policy: AccessPolicy


@dataclass(frozen=True, slots=True)
class _Mobility:
    """The parts that switch phones and observe the results."""

    asterisk: Asterisk | None
    setup_check: SetupCheck | None
    auto_logout: AutoLogout
    commands: PhoneCommands
    fetch_tracker: FetchTracker
    deployer: Deployer
    feed: Feed
    fetch_log: FetchLog
    findings: Findings
    phone_logins: PhoneLogins
    profiles: Profiles
    switch_jobs: SwitchJobs
    switcher: Switcher
    watcher: Watcher
    webhooks: Webhooks


@dataclass(frozen=True, slots=True)
class _Files:
    """The parts that handle administrators' files in the served directory."""

    adoption: ConfigAdoption
    takeover: DirectoryImport
    uploads: Uploads
    upload_threads: ThreadPoolExecutor


@dataclass(frozen=True, slots=True)
class _Core:
    """All parts that do not listen on the network."""

    accounts: Accounts
    db: Database
    files: _Files
    mobility: _Mobility
    new_admin_password: str | None
    provisioning: _Provisioning


@asynccontextmanager
async def running(settings: Settings, limits: Limits = DEFAULT_LIMITS) -> AsyncIterator[Appliance]:
    """Run the whole appliance, from the lock to the last listening port; stop it in order at the end of the block.

    Raises:
        StartRefused: it cannot run here and now.
        ConfigurationError: a setting cannot be used.
    """
    async with _core(settings, limits) as core, AsyncExitStack() as stack:
        provisioning, mobility, files = core.provisioning, core.mobility, core.files
        await mobility.deployer.recover()
        await mobility.switch_jobs.recover()
        await provisioning.access.refresh()
        servers = await stack.enter_async_context(
            provisioning_ports.bound(
                settings,
                source=provisioning.policy,
                on_fetch=mobility.fetch_tracker.note,
                authenticator=Administrators(core.accounts, "FTP"),
                uploads=files.uploads,
            )
        )
        served_directory = ServedDirectory(provisioning.library, files.adoption, limits.directory_refresh_seconds)
        tasks = [
            # Ends last: the fetch tracker passes it fetches until its own end.
            asyncio.create_task(mobility.fetch_log.run(), name="fetch log"),
            asyncio.create_task(mobility.fetch_tracker.run(), name="fetch tracker"),
            asyncio.create_task(served_directory.run(), name="refresh of the served directory"),
            asyncio.create_task(provisioning.access.run(), name="access watch"),
            asyncio.create_task(mobility.feed.run(), name="feed of deployment steps"),
            asyncio.create_task(mobility.auto_logout.run(), name="automatic logouts"),
            asyncio.create_task(mobility.webhooks.run(), name="webhook deliveries"),
        ]
        # Stops after the tasks that request logouts, and after the requests that wait for one.
        stack.push_async_callback(mobility.phone_logins.stop)
        for task in tasks:
            stack.push_async_callback(_end, task)
        if mobility.asterisk is not None:
            tasks.append(asyncio.create_task(mobility.asterisk.run(), name="Asterisk connection"))
            stack.push_async_callback(_end, tasks[-1])
        if mobility.setup_check is not None:
            tasks.append(asyncio.create_task(mobility.setup_check.run(), name="check of Asterisk's settings"))
            stack.push_async_callback(_end, tasks[-1])
        health = Health(
            core.db,
            servers.tftp,
            tasks,
            ftp=servers.ftp,
            http=servers.http,
            asterisk=mobility.asterisk,
            setup_check=mobility.setup_check,
            served_directory=served_directory,
            limits=limits.api,
        )
        servers.start()
        runners = _runners(settings, limits, core, health)
        stack.push_async_callback(_stop, mobility.deployer, runners, servers)
        # End first: no switch begins while those under way end.
        for work, name in ((mobility.watcher.run(), "switch watcher"), (mobility.switch_jobs.run(), "switch jobs")):
            tasks.append(asyncio.create_task(work, name=name))
            stack.push_async_callback(_end, tasks[-1])
        api_url, phones_url = await http_ports.listen(settings.server, runners, settings.data.dir / CONTROL_SOCKET)
        stack.enter_context(_rare_garbage())
        yield Appliance(
            health,
            core.new_admin_password,
            api_url,
            phones_url,
            tftp_address=servers.tftp.address if servers.tftp else None,
            provisioning_http_address=servers.http.address if servers.http else None,
            ftp_address=servers.ftp.address if servers.ftp else None,
        )


@asynccontextmanager
async def control_only(settings: Settings) -> AsyncIterator[Appliance]:
    """Run only the API on its control socket, for the command line while no service runs. Raises as running."""
    async with _core(settings, DEFAULT_LIMITS) as core, AsyncExitStack() as stack:
        await core.mobility.deployer.recover()
        health = Health(core.db, None)
        runner = web.AppRunner(_api_app(settings, DEFAULT_LIMITS, core, health), access_log=None)
        stack.push_async_callback(runner.cleanup)
        await runner.setup()
        await http_ports.listen_locally(runner, settings.data.dir / CONTROL_SOCKET)
        yield Appliance(health, core.new_admin_password)


@asynccontextmanager
async def _core(settings: Settings, limits: Limits) -> AsyncIterator[_Core]:
    http_ports.keep_clients_out_of_the_log()
    directory = settings.data.dir
    lock.prepare(directory)
    async with AsyncExitStack() as stack:
        stack.enter_context(lock.exclusive(directory))
        db, locks = await _database(directory, stack), PhoneLocks()
        accounts = _accounts(settings, db)
        provisioning = await _provisioning(settings, limits, db, stack)
        mobility = await _mobility(settings, limits, db, provisioning, locks, stack)
        yield _Core(
            accounts=accounts,
            db=db,
            files=_files(settings, limits, db, provisioning.library, locks, stack),
            mobility=mobility,
            new_admin_password=await accounts.first_superadmin(os.environ.get("CISISK_ADMIN_PASSWORD")),
            provisioning=provisioning,
        )


async def _database(directory: Path, stack: AsyncExitStack) -> Database:
    path = directory / "cisisk.db"
    await asyncio.to_thread(migrations.migrate, path, migrations.steps())
    return await stack.enter_async_context(Database.open(path.absolute().as_uri()))


def _accounts(settings: Settings, db: Database) -> Accounts:
    keys = KeyRing.load(settings.data.dir / "keys", timedelta(minutes=settings.auth.access_token_minutes))
    return Accounts(db, keys, timedelta(days=settings.auth.refresh_token_days))


async def _provisioning(settings: Settings, limits: Limits, db: Database, stack: AsyncExitStack) -> _Provisioning:
    library = await asyncio.to_thread(Library, settings.served_root, settings.tftp.cache_bytes)
    stack.callback(library.close)
    served = await asyncio.to_thread(_with_default, settings, library)
    if isinstance(served, WithDefault):
        stack.callback(served.close)
    policy = AccessPolicy(
        served,
        Mode(settings.provisioning.access),
        decoys=map(Mac.parse, settings.provisioning.decoys),
        limits=limits.sources,
    )
    return _Provisioning(access=AccessWatch(db, policy, limits.access_refresh_seconds), library=library, policy=policy)


async def _mobility(
    settings: Settings,
    limits: Limits,
    db: Database,
    provisioning: _Provisioning,
    locks: PhoneLocks,
    stack: AsyncExitStack,
) -> _Mobility:
    library, policy = provisioning.library, provisioning.policy
    commands = PhoneCommands(settings.phone_http, await stack.enter_async_context(_phone_session()))
    sip_notify = SipNotify(await stack.enter_async_context(SipClient()), settings.phone_sip)
    asterisk = Asterisk(settings.asterisk, limits.asterisk) if settings.asterisk.host else None
    restarts = _restarts(settings, asterisk, commands, sip_notify)
    registrar = Registrar(asterisk, settings.asterisk.channel, limits.identify_seconds)
    calls = Calls(asterisk, registrar, settings.asterisk.channel)
    registrations = Registrations(asterisk, settings.asterisk.channel, calls)
    fetch_log = FetchLog(db, settings.fetch_log, PhoneDiscovery(db), limits.fetch_log)
    fetch_tracker = FetchTracker(db, policy.believes)
    fetch_tracker.subscribe(fetch_log.take)
    feed = Feed(db, limits.feed)
    db.subscribe(feed.wake)
    deployer = Deployer(db, library, fetch_tracker, commands, restarts, locks, policy.expect, registrar.identify)
    switcher = Switcher(
        db,
        deployer,
        restarts,
        partial(server_address, settings.server.public_url),
        calls.is_in_call,
        settings.switch.policy,
        refuse_unknown_call=settings.switch.refuse_unknown_call,
    )
    phone_logins = _phone_logins(settings, db, switcher)
    return _Mobility(
        asterisk=asterisk,
        setup_check=_setup_check(settings, limits, asterisk),
        auto_logout=AutoLogout(db, phone_logins, _logout_rules(settings), switcher, calls),
        commands=commands,
        fetch_tracker=fetch_tracker,
        deployer=deployer,
        feed=feed,
        fetch_log=fetch_log,
        findings=Findings(db, library),
        phone_logins=phone_logins,
        profiles=Profiles(db, library, settings.provisioning.max_config_bytes),
        switch_jobs=SwitchJobs(db, switcher, feed),
        switcher=switcher,
        watcher=Watcher(db, feed, fetch_tracker, switcher, registrations, calls, limits.watch_retry),
        webhooks=Webhooks(db, feed, await stack.enter_async_context(webhook_session(limits.webhooks)), limits.webhooks),
    )


def _files(
    settings: Settings, limits: Limits, db: Database, library: Library, locks: PhoneLocks, stack: AsyncExitStack
) -> _Files:
    most, private = settings.provisioning.max_config_bytes, settings.data.dir
    adoption = ConfigAdoption(db, library, locks, most)
    uploads = Uploads(library, ThreadsafeAdoption(adoption), most, limits.uploads)
    upload_threads = ThreadPoolExecutor(_UPLOAD_THREADS, "files")
    stack.push_async_callback(_end_threads, upload_threads)
    return _Files(
        adoption=adoption,
        takeover=DirectoryImport(
            adoption, library, uploads, upload_threads, private=private, served=settings.served_root
        ),
        uploads=uploads,
        upload_threads=upload_threads,
    )


def _phone_logins(settings: Settings, db: Database, switcher: Switcher) -> PhoneLogins:
    minutes = settings.phone_login.maximum_minutes
    return PhoneLogins(
        db,
        switcher,
        settings.switch.policy,
        multiple=Multiple(settings.phone_login.multiple),
        maximum=timedelta(minutes=minutes) if minutes else None,
    )


def _logout_rules(settings: Settings) -> LogoutRules:
    minutes = settings.phone_login.idle_minutes
    return LogoutRules(
        logout_at=settings.phone_login.logout_times,
        idle=timedelta(minutes=minutes) if minutes else None,
        zone=local_zone(),
    )


def _with_default(settings: Settings, library: Library) -> Library | WithDefault:
    """Return what phones are served: the library, with a default config if one is set."""
    call_manager = settings.provisioning.default_call_manager
    if not call_manager:
        return library
    if not settings.server.public_url:
        raise ConfigurationError(
            "provisioning.default_call_manager: set server.public_url too. The default config needs it: phones verify"
            " there who may control them"
        )
    content = default_config.render(call_manager, settings.server.public_url.rstrip("/") + authentication.PATH)
    return WithDefault(library, settings.data.dir / "generated", content)


@contextmanager
def _rare_garbage() -> Iterator[None]:
    """Collect garbage less often, and never among objects that exist at the start.

    A boot storm creates a hundred objects for each transfer and no cycles. With Python's thresholds each few transfers
    would cause a collection, at times of all objects.
    """
    thresholds = gc.get_threshold()
    gc.freeze()
    gc.set_threshold(GARBAGE_EVERY, *thresholds[1:])
    try:
        yield
    finally:
        gc.set_threshold(*thresholds)
        gc.unfreeze()


def _restarts(
    settings: Settings, asterisk: Asterisk | None, commands: PhoneCommands, sip_notify: SipNotify
) -> Restarts:
    orders = {
        Software.SIP: settings.restart.sip,
        Software.SIPE: settings.restart.sipe,
        Software.SCCP: settings.restart.sccp,
    }
    through_asterisk = (kind(asterisk, settings.asterisk.channel) for kind in (AmiPjsip, AmiSip, AmiCommand, AmiSccp))
    return Restarts([*through_asterisk, sip_notify, CgiInitRestart(commands), CgiKeys(commands)], orders)


def _setup_check(settings: Settings, limits: Limits, asterisk: Asterisk | None) -> SetupCheck | None:
    if asterisk is None:
        return None
    methods = {*settings.restart.sip, *settings.restart.sipe, *settings.restart.sccp}
    return SetupCheck(asterisk, settings.asterisk.channel, methods, limits.setup_check_seconds)


def _phone_session() -> aiohttp.ClientSession:
    # A phone's web server keeps neither connections nor cookies, and answers one client at a time.
    connector = aiohttp.TCPConnector(limit=_PHONE_CONNECTIONS, limit_per_host=2, force_close=True)
    return aiohttp.ClientSession(
        connector=connector,
        cookie_jar=aiohttp.DummyCookieJar(),
        # Phones do not compress. A compressed answer is not from a phone, and must not be unpacked.
        headers={hdrs.ACCEPT_ENCODING: "identity"},
        auto_decompress=False,
    )


def _api_app(settings: Settings, limits: Limits, core: _Core, health: Health) -> web.Application:
    parts: dict[web.AppKey[Any], Any] = {
        context.SETTINGS: settings,
        context.LIMITS: limits.api,
        context.DATABASE: core.db,
        context.ACCOUNTS: core.accounts,
        context.FEED: core.mobility.feed,
        context.LIBRARY: core.provisioning.library,
        context.FINDINGS: core.mobility.findings,
        context.ACCESS: core.provisioning.access,
        context.PHONE_LOGINS: core.mobility.phone_logins,
        context.PROFILES: core.mobility.profiles,
        context.SWITCH_JOBS: core.mobility.switch_jobs,
        context.SWITCHER: core.mobility.switcher,
        context.DIRECTORY_IMPORT: core.files.takeover,
        context.UPLOADS: core.files.uploads,
        context.UPLOAD_THREADS: core.files.upload_threads,
        context.WEBHOOKS: core.mobility.webhooks,
        context.HEALTH: health,
    }
    app = application.build(parts, settings.provisioning.max_config_bytes)

    async def end_feed(_app: web.Application) -> None:
        core.mobility.feed.end()

    # First of all: event streams end, and requests that wait for a switch are answered with its present state.
    app.on_shutdown.append(end_feed)
    return app


def _runners(settings: Settings, limits: Limits, core: _Core, health: Health) -> Runners:
    """With a certificate the API has its own port; without one it shares that of the phones."""
    api_app = _api_app(settings, limits, core, health)
    phones_app = web.Application() if settings.server.tls_cert else api_app
    phones_app.add_routes(authentication.routes(core.mobility.commands))
    lifetime = timedelta(hours=settings.phone_login.session_hours)
    login = PinLogin(core.db, core.accounts.pin_hashes, lifetime=lifetime)
    pages = Pages(
        core.db, login, core.mobility.phone_logins, settings.server.trusted_proxies, settings.server.public_url
    )
    phones_app.add_routes(pages.routes())
    return http_ports.runners_for(api_app, phones_app)


async def _stop(deployer: Deployer, runners: Runners, servers: Servers) -> None:
    """Stop all parts at the same time: no new work begins, and work under way may end."""
    endings = [
        deployer.stop(SWITCH_DRAIN_SECONDS),
        *(runner.cleanup() for runner in runners.each),
        *servers.endings(),
    ]
    for result in await asyncio.gather(*endings, return_exceptions=True):
        if isinstance(result, BaseException):
            log.error("stop failed: error=%r", result)


async def _end_threads(threads: ThreadPoolExecutor) -> None:
    """Wait for the threads while the event loop runs: they may wait for it."""
    await asyncio.to_thread(threads.shutdown, cancel_futures=True)


async def _end(task: asyncio.Task[None]) -> None:
    task.cancel()
    for ended in await asyncio.gather(task, return_exceptions=True):
        if isinstance(ended, Exception):
            log.error("task failed: name=%r", task.get_name(), exc_info=ended)
