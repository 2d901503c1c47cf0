"""What handlers find on the application and on a request."""

from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor

from aiohttp import hdrs, web

from cisisk.adoption.directory import DirectoryImport
from cisisk.api.health import Health
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
DATABASE: web.AppKey[Database] = web.AppKey("DATABASE", Database)
ACCOUNTS: web.AppKey[Accounts] = web.AppKey("ACCOUNTS", Accounts)
LIBRARY: web.AppKey[Library] = web.AppKey("LIBRARY", Library)
UPLOADS: web.AppKey[Uploads] = web.AppKey("UPLOADS", Uploads)
TAKEOVER: web.AppKey[DirectoryImport] = web.AppKey("TAKEOVER", DirectoryImport)
UPLOAD_THREADS: web.AppKey[ThreadPoolExecutor] = web.AppKey("UPLOAD_THREADS", ThreadPoolExecutor)
"""Where what belongs to files is done: it waits for disks, and for the event loop, whose own threads must stay free."""
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
"""Makes the OpenAPI document, as JSON."""

REQUEST_ID: web.RequestKey[str] = web.RequestKey("REQUEST_ID", str)
USER: web.RequestKey[User] = web.RequestKey("USER", User)
"""Who is asking; absent on public operations and on the control socket."""

_MAX_USER_AGENT = 256
"""Characters of a client's own description that are kept."""


def client_ip(request: web.Request) -> str | None:
    """Where a request comes from: the last address that no trusted proxy vouches for; None for the control socket."""
    return client_address(request, request.config_dict[SETTINGS].server.trusted_proxies)


def came_over_control_socket(request: web.Request) -> bool:
    """Whether the caller could open the control socket, and so owns the data directory: everything is open to it."""
    return request.transport is not None and isinstance(request.transport.get_extra_info("sockname"), str)


def actor(request: web.Request) -> Actor:
    """Who is asking, for the audit log."""
    user = request.get(USER)
    agent = request.headers.get(hdrs.USER_AGENT, "").encode(errors="replace").decode()
    return Actor(
        user_uuid=user.uuid if user else None, ip=client_ip(request), user_agent=agent[:_MAX_USER_AGENT] or None
    )


def database(request: web.Request) -> Database:
    """The store."""
    return request.config_dict[DATABASE]


def mac_of(request: web.Request) -> Mac:
    """The phone that the path names. Raises Invalid."""
    return Mac.parse(request.match_info["mac"])


def uuid_of(request: web.Request, name: str = "uuid") -> str:
    """The id that the path has at ``name``, in small letters as all are stored; what is none is found nowhere."""
    return request.match_info[name].lower()


def owner_of(request: web.Request) -> str | None:
    """Whose things are open to the caller, a user's uuid; None when everybody's are."""
    user = request.get(USER)
    return None if user is None or user.is_superadmin else user.uuid


def seen_versions(request: web.Request) -> Collection[str] | None:
    """The entity tags of If-Match (RFC 9110 section 13.1.1); None without it."""
    wanted = request.headers.get(hdrs.IF_MATCH)
    if wanted is None:
        return None
    # A tag may be an asterisk as well; the one that stands for any version has no quotes.
    if wanted.strip() == "*":
        return ANY_VERSION
    # A weak tag never matches: the comparison of If-Match is the strong one.
    return {tag.value for tag in request.if_match or () if not tag.is_weak}
