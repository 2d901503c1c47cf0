"""The objects that handlers find on the application and on a request."""

from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor

from aiohttp import hdrs, web

from cisisk.adoption.directory import DirectoryImport
from cisisk.api.health import Health
from cisisk.api.limits import ApiLimits
from cisisk.config import Settings
from cisisk.events.feed import Feed
from cisisk.events.webhooks import Webhooks
from cisisk.identity.accounts import Accounts
from cisisk.identity.client_address import client_address
from cisisk.mobility.findings import Findings
from cisisk.mobility.phone_logins import PhoneLogins
from cisisk.mobility.profiles import Profiles
from cisisk.mobility.switch import Switcher
from cisisk.mobility.switch_jobs import SwitchJobs
from cisisk.model.mac import Mac
from cisisk.model.revision import ANY_VERSION
from cisisk.model.user import Actor, User
from cisisk.provisioning.access.watch import AccessWatch
from cisisk.provisioning.library import Library
from cisisk.provisioning.uploads import Uploads
from cisisk.store.database import Database

SETTINGS: web.AppKey[Settings] = web.AppKey("SETTINGS", Settings)
LIMITS: web.AppKey[ApiLimits] = web.AppKey("LIMITS", ApiLimits)
DATABASE: web.AppKey[Database] = web.AppKey("DATABASE", Database)
ACCOUNTS: web.AppKey[Accounts] = web.AppKey("ACCOUNTS", Accounts)
LIBRARY: web.AppKey[Library] = web.AppKey("LIBRARY", Library)
UPLOADS: web.AppKey[Uploads] = web.AppKey("UPLOADS", Uploads)
DIRECTORY_IMPORT: web.AppKey[DirectoryImport] = web.AppKey("DIRECTORY_IMPORT", DirectoryImport)
UPLOAD_THREADS: web.AppKey[ThreadPoolExecutor] = web.AppKey("UPLOAD_THREADS", ThreadPoolExecutor)
"""Threads for file operations. They wait for disks and for the event loop, so they cannot use the loop's threads."""
ACCESS: web.AppKey[AccessWatch] = web.AppKey("ACCESS", AccessWatch)
SWITCH_JOBS: web.AppKey[SwitchJobs] = web.AppKey("SWITCH_JOBS", SwitchJobs)
FEED: web.AppKey[Feed] = web.AppKey("FEED", Feed)
FINDINGS: web.AppKey[Findings] = web.AppKey("FINDINGS", Findings)
PHONE_LOGINS: web.AppKey[PhoneLogins] = web.AppKey("PHONE_LOGINS", PhoneLogins)
PROFILES: web.AppKey[Profiles] = web.AppKey("PROFILES", Profiles)
SWITCHER: web.AppKey[Switcher] = web.AppKey("SWITCHER", Switcher)
WEBHOOKS: web.AppKey[Webhooks] = web.AppKey("WEBHOOKS", Webhooks)
HEALTH: web.AppKey[Health] = web.AppKey("HEALTH", Health)
DOCUMENT: web.AppKey[Callable[[], bytes]] = web.AppKey("DOCUMENT")
"""Returns the OpenAPI document as JSON."""

REQUEST_ID: web.RequestKey[str] = web.RequestKey("REQUEST_ID", str)
USER: web.RequestKey[User] = web.RequestKey("USER", User)
"""The authenticated user; absent on public operations and on the control socket."""

_MAX_USER_AGENT = 256
"""Characters of a User-Agent header that are stored."""


def client_ip(request: web.Request) -> str | None:
    """Return the client address of a request, or None for the control socket."""
    return client_address(request, request.config_dict[SETTINGS].server.trusted_proxies)


def came_over_control_socket(request: web.Request) -> bool:
    """Return whether the client uses the control socket. Only the owner of the data directory can open it."""
    return request.transport is not None and isinstance(request.transport.get_extra_info("sockname"), str)


def actor(request: web.Request) -> Actor:
    """Return the client of a request for the audit log."""
    user = request.get(USER)
    agent = request.headers.get(hdrs.USER_AGENT, "").encode(errors="replace").decode()
    return Actor(
        user_uuid=user.uuid if user else None, ip=client_ip(request), user_agent=agent[:_MAX_USER_AGENT] or None
    )


def database(request: web.Request) -> Database:
    """Return the database."""
    return request.config_dict[DATABASE]


def mac_of(request: web.Request) -> Mac:
    """Return the MAC address in the path. Raises Invalid."""
    return Mac.parse(request.match_info["mac"])


def uuid_of(request: web.Request, name: str = "uuid") -> str:
    """Return the path parameter ``name`` in lower case, as ids are stored. Invalid ids match nothing."""
    return request.match_info[name].lower()


def owner_of(request: web.Request) -> str | None:
    """Return the uuid of the only user whose data the client may use, or None for all users."""
    user = request.get(USER)
    return None if user is None or user.is_superadmin else user.uuid


def seen_versions(request: web.Request) -> Collection[str] | None:
    """Return the entity tags of If-Match (RFC 9110 section 13.1.1), or None without the header."""
    wanted = request.headers.get(hdrs.IF_MATCH)
    if wanted is None:
        return None
    # Only an unquoted asterisk means any version; a quoted one is a tag.
    if wanted.strip() == "*":
        return ANY_VERSION
    # If-Match uses strong comparison, so weak tags never match.
    return {tag.value for tag in request.if_match or () if not tag.is_weak}
