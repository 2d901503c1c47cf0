"""How Cisisk is, for the API and for the service manager's watchdog."""

import asyncio
import os
import time
from collections.abc import Collection
from pathlib import Path
from typing import Any

from cisisk.provisioning.tftp.server import TftpServer
from cisisk.store.database import Database

MAX_SILENCE = 5.0
"""Seconds; a protocol thread turns its loop at least once a second, even under load."""


class Health:
    """Asks the parts.

    Args:
        tftp: None when the TFTP server is switched off.
        tasks: what has to run as long as the appliance.
    """

    def __init__(self, db: Database, tftp: TftpServer | None, tasks: Collection[asyncio.Task[None]] = ()) -> None:
        self._db = db
        self._tftp = tftp
        self._tasks = tasks
        self._started = time.monotonic()

    async def check(self) -> dict[str, Any]:
        """The state of every part, as the API shows it; ``status`` is ``ok`` or ``degraded``."""
        database = "ok" if await self.database_answers() else "failed"
        tftp = "off" if self._tftp is None else "ok" if self.tftp_lives() else "failed"
        return {
            "status": "degraded" if "failed" in (database, tftp) else "ok",
            "uptime": round(time.monotonic() - self._started, 3),
            "database": database,
            "tftp": tftp,
            "memory": {"rss": await asyncio.to_thread(_resident_bytes)},
        }

    async def database_answers(self) -> bool:
        """Whether the database can be read and written in time."""
        return await self._db.answers()

    def dead_part(self) -> str | None:
        """The name of a part without which nothing is right any more; None while all live."""
        if not self.tftp_lives():
            return "TFTP thread"
        return next((task.get_name() for task in self._tasks if task.done()), None)

    def tftp_lives(self) -> bool:
        """Whether the TFTP thread runs and turns its loop; True when there is none to run."""
        if self._tftp is None:
            return True
        return self._tftp.is_alive and time.monotonic() - self._tftp.heartbeat < MAX_SILENCE


def _resident_bytes() -> int:
    """The second number of /proc/self/statm, in pages (proc(5))."""
    return int(Path("/proc/self/statm").read_text("ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")
