"""How Cisisk is, for the API and for the service manager's watchdog."""

import asyncio
import os
import time
from collections.abc import Collection
from pathlib import Path
from typing import Any, Protocol

from cisisk.pbx.connection import Asterisk
from cisisk.provisioning.http.server import HttpServer
from cisisk.store.database import Database

MAX_SILENCE = 5.0
"""Seconds; a protocol thread turns its loop at least once a second, even under load."""


class ServerThread(Protocol):
    """A protocol server on a thread of its own."""

    @property
    def is_alive(self) -> bool:
        """Whether the thread runs."""

    @property
    def heartbeat(self) -> float:
        """Monotonic time at which its loop last turned."""


class Health:
    """Asks the parts.

    Args:
        tftp, ftp, http: None when that server is switched off; ``http`` is the one that serves files to phones.
        asterisk: likewise. That it is away is told, and is no failure of this service: phones are served without it.
        tasks: what has to run as long as the appliance.
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
    ) -> None:
        self._db = db
        self._tftp = tftp
        self._ftp = ftp
        self._http = http
        self._asterisk = asterisk
        self._tasks = tasks
        self._started = time.monotonic()

    async def check(self) -> dict[str, Any]:
        """The state of every part, as the API shows it; ``status`` is ``ok`` or ``degraded``."""
        database = "ok" if await self.database_answers() else "failed"
        tftp, ftp = _state(self._tftp), _state(self._ftp)
        http = "off" if self._http is None else "ok" if self._http.is_serving else "failed"
        return {
            "status": "degraded" if "failed" in (database, tftp, http, ftp) else "ok",
            "uptime": round(time.monotonic() - self._started, 3),
            "database": database,
            "tftp": tftp,
            "provisioning_http": http,
            "ftp": ftp,
            "asterisk": "off" if self._asterisk is None else "ok" if self._asterisk.is_connected else "failed",
            "memory": {"rss": await asyncio.to_thread(_resident_bytes)},
        }

    async def database_answers(self) -> bool:
        """Whether the database can be read and written in time."""
        return await self._db.answers()

    def dead_part(self) -> str | None:
        """The name of a part without which nothing is right any more; None while all live."""
        for name, server in (("TFTP thread", self._tftp), ("FTP thread", self._ftp)):
            if not _lives(server):
                return name
        return next((task.get_name() for task in self._tasks if task.done()), None)


def _state(server: ServerThread | None) -> str:
    return "off" if server is None else "ok" if _lives(server) else "failed"


def _lives(server: ServerThread | None) -> bool:
    """Whether its thread runs and turns its loop; True when there is none to run."""
    return server is None or (server.is_alive and time.monotonic() - server.heartbeat < MAX_SILENCE)


def _resident_bytes() -> int:
    """The second number of /proc/self/statm, in pages (proc(5))."""
    return int(Path("/proc/self/statm").read_text("ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")
