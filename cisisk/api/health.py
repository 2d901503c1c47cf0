"""Health checks for the API and the watchdog of the service manager."""

import asyncio
import os
import time
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any, Protocol

from cisisk.adoption.served_directory import ServedDirectory
from cisisk.api.limits import DEFAULT_LIMITS, ApiLimits
from cisisk.api.schemas.notice import NoticeOut
from cisisk.model.notice import Notice
from cisisk.pbx.connection import Asterisk
from cisisk.pbx.setup_check import SetupCheck
from cisisk.provisioning.http.server import HttpServer
from cisisk.store.database import Database

_PROBLEM = NoticeOut()


class ServerThread(Protocol):
    """A protocol server with its own thread."""

    @property
    def is_alive(self) -> bool:
        """Return whether the thread is running."""

    @property
    def heartbeat(self) -> float:
        """Return the monotonic time of the last iteration of its loop."""


class Health:
    """Checks the parts of the appliance.

    Args:
        db: the database.
        tftp, ftp, http: the servers; None if disabled. ``http`` is the provisioning server.
        asterisk, setup_check: the connection to Asterisk and what it lacks; None if disabled. A lost connection is
            reported but does not degrade the status, because phones are served without it.
        served_directory: follows the directory; None if nothing is served.
        tasks: background tasks that must run as long as the appliance.
        limits: limits of the API.
    """

    def __init__(
        self,
        db: Database,
        tftp: ServerThread | None,
        tasks: Collection[asyncio.Task[None]] = (),
        *,
        ftp: ServerThread | None = None,
        http: HttpServer | None = None,
        asterisk: Asterisk | None = None,
        setup_check: SetupCheck | None = None,
        served_directory: ServedDirectory | None = None,
        limits: ApiLimits = DEFAULT_LIMITS,
    ) -> None:
        self._db = db
        self._max_heartbeat_age = limits.max_heartbeat_age
        self._tftp = tftp
        self._ftp = ftp
        self._http = http
        self._asterisk = asterisk
        self._setup_check = setup_check
        self._served_directory = served_directory
        self._tasks = tasks
        self._started = time.monotonic()

    async def check(self) -> dict[str, Any]:
        """Return the state of every part for the API; ``status`` is ``ok`` or ``degraded``."""
        database = "ok" if await self.database_answers() else "failed"
        tftp, ftp = _state(self._tftp, self._max_heartbeat_age), _state(self._ftp, self._max_heartbeat_age)
        http = "off" if self._http is None else "ok" if self._http.is_serving else "failed"
        asterisk, problems = self._asterisk_state()
        problem = self._served_directory.problem if self._served_directory else None
        directory = "off" if self._served_directory is None else "failed" if problem else "ok"
        return {
            "status": "degraded" if "failed" in (database, tftp, http, ftp, directory) else "ok",
            "uptime": round(time.monotonic() - self._started, 3),
            "database": database,
            "tftp": tftp,
            "provisioning_http": http,
            "ftp": ftp,
            "served_directory": directory,
            "served_directory_problem": None if problem is None else _PROBLEM.dump(problem),
            "asterisk": asterisk,
            "asterisk_problems": NoticeOut(many=True).dump(problems),
            "memory": {"rss": await asyncio.to_thread(_resident_bytes)},
        }

    def _asterisk_state(self) -> tuple[str, Sequence[Notice]]:
        if self._asterisk is None:
            return "off", ()
        if not self._asterisk.is_connected:
            return "failed", (self._asterisk.away_because,)
        problems = self._setup_check.problems if self._setup_check is not None else ()
        return "degraded" if problems else "ok", problems

    async def database_answers(self) -> bool:
        """Return whether the database can be read and written in time."""
        return await self._db.answers()

    def failed_part(self) -> str | None:
        """Return the name of an essential part that has failed, or None."""
        for name, server in (("TFTP thread", self._tftp), ("FTP thread", self._ftp)):
            if not _responds(server, self._max_heartbeat_age):
                return name
        return next((task.get_name() for task in self._tasks if task.done()), None)


def _state(server: ServerThread | None, max_age: float) -> str:
    return "off" if server is None else "ok" if _responds(server, max_age) else "failed"


def _responds(server: ServerThread | None, max_age: float) -> bool:
    """Return whether the thread of ``server`` responds; True if the server is disabled."""
    return server is None or (server.is_alive and time.monotonic() - server.heartbeat < max_age)


def _resident_bytes() -> int:
    """Return the resident memory: the second number of /proc/self/statm, in pages (proc(5))."""
    return int(Path("/proc/self/statm").read_text("ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")
