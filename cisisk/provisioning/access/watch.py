"""Carries addresses from the store to the access policy, and alarms from the policy to the store."""

import asyncio
import logging
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from datetime import timedelta

from cisisk.model import clock
from cisisk.model.clock import Timestamp
from cisisk.model.errors import StorageFailed
from cisisk.model.mac import Mac
from cisisk.model.user import Actor
from cisisk.provisioning.access.alarm import Alarm
from cisisk.provisioning.access.policy import ALLOWED_SECONDS, AccessPolicy
from cisisk.store import audit, phones
from cisisk.store.database import Database
from cisisk.store.transaction import Write

log = logging.getLogger(__name__)

REFRESH_SECONDS = 2.0
"""How soon the policy knows that a phone has taken a file from an address, or that an administrator entered one."""


class AccessWatch:
    """Keeps one policy informed, and writes its alarms to the log and the audit log."""

    def __init__(self, db: Database, policy: AccessPolicy, refresh_seconds: float = REFRESH_SECONDS) -> None:
        self._refresh_seconds = refresh_seconds
        self._db = db
        self._policy = policy
        self._changes: int | None = None

    async def refresh(self) -> None:
        """Give the policy the phones' addresses, if anything has been written since the last call.

        Raises:
            StorageFailed: the database does not answer; the policy keeps what it knew.
        """
        changes = await self._db.read(phones.changes)
        if changes != self._changes:
            self._policy.know(await self._db.read(phones.addresses))
            self._changes = changes

    @property
    def alarms(self) -> Sequence[Alarm]:
        """The latest alarms since the start, the newest first."""
        return self._policy.alarms

    async def allow_next(self, actor: Actor, mac: Mac) -> Timestamp:
        """Let a phone of the inventory take its files at any address, as :meth:`AccessPolicy.allow_next` does.

        Returns:
            when the permission ends at the latest.

        Raises:
            NotFound: the phone is not in the inventory.
            StorageFailed: the permission could not be recorded; nothing is allowed.
        """
        until = clock.after(timedelta(seconds=ALLOWED_SECONDS))
        await self._db.write(phones.note_allowed_fetch, actor, mac, until)
        self._policy.allow_next(mac)
        return until

    async def run(self) -> None:
        """Refresh the policy and write its alarms at intervals, until cancelled."""
        while True:
            await asyncio.sleep(self._refresh_seconds)
            try:
                await self.refresh()
            except StorageFailed as error:
                log.warning("phone addresses not refreshed error=(%s)", error.notice)
            await self.write_alarms()

    async def write_alarms(self) -> None:
        """Write the alarms that are due."""
        alarms = self._policy.due_alarms()
        for alarm in alarms:
            log.warning("access alarm %s", alarm.notice)
        if alarms:
            try:
                await self._record(alarms)
            except StorageFailed as error:
                log.warning("access alarm not recorded error=(%s)", error.notice)

    async def _record(self, alarms: Iterable[Alarm]) -> None:
        def record(tx: Write) -> None:
            for alarm in alarms:
                audit.record(tx, Actor(ip=alarm.host), f"access.{alarm.kind}", alarm.host, asdict(alarm))

        await self._db.write(record)
