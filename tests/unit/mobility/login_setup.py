"""Phone logins with a stub of the switcher: it serves no configs and restarts no phones."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from cisisk.mobility.auto_logout import AutoLogout, LogoutRules
from cisisk.mobility.phone_logins import PhoneLogins
from cisisk.model.clock import Timestamp, now
from cisisk.model.deployment import Deployment, DeploymentState, Origin, Plan, Policy
from cisisk.model.errors import CisiskError
from cisisk.model.mac import Mac
from cisisk.model.phone import Software
from cisisk.model.profile import Profile
from cisisk.model.start_time import IDLE
from cisisk.model.target import Target
from cisisk.model.user import SYSTEM, Actor, User
from cisisk.pbx.calls import CallState
from cisisk.store import configs, deployments, phones, profiles, progress, users
from cisisk.store.database import Database
from tests.patience import PATIENCE


@dataclass
class Switches:
    """A stub of the Switcher that records each switch as written immediately.

    Attributes:
        refuses: what is raised for a profile, or for a config that is put back.
        in_call: phones whose switches are deferred.
        going: cleared, every switch waits until it is set.
    """

    db: Database
    refuses: dict[str, CisiskError] = field(default_factory=dict)
    in_call: set[Mac] = field(default_factory=set)
    going: asyncio.Event = field(default_factory=asyncio.Event)
    policies: list[Policy | None] = field(default_factory=list)

    async def switch(
        self,
        actor: Actor,
        profile_uuid: str,
        mac: Mac,
        policy: Policy | None = None,
        *,
        origin: Origin = Origin.SWITCH,
    ) -> Deployment:
        profile = await self.db.read(profiles.get, profile_uuid)
        self.policies.append(policy)
        if profile_uuid in self.refuses:
            raise self.refuses[profile_uuid]
        plan = Plan(
            mac=mac,
            content=profile.cnf_xml,
            profile_uuid=profile_uuid,
            profile_name=profile.name,
            origin=origin,
            deferred_until=IDLE if mac in self.in_call else None,
        )
        return await self._write(actor, plan)

    async def put_back(self, actor: Actor, mac: Mac, sha256: str) -> Deployment:
        if sha256 in self.refuses:
            raise self.refuses[sha256]
        content = await self.db.read(configs.content_of, sha256) or b""
        plan = Plan(mac=mac, content=content, profile_uuid=None, profile_name="before", origin=Origin.LOGOUT)
        return await self._write(actor, plan)

    async def roll_back(self, deployment: Deployment) -> Deployment:
        content = await self.db.read(configs.content_of, deployment.replaced or "") or b""
        before = await self.db.read(deployments.of_config, deployment.mac, deployment.replaced or "")
        plan = Plan(
            mac=deployment.mac,
            content=content,
            profile_uuid=before.profile_uuid if before else None,
            profile_name=before.profile_name if before else "before",
            origin=Origin.ROLLBACK,
            rolls_back=deployment.uuid,
        )
        return await self._write(SYSTEM, plan)

    async def begin(self, deployment: Deployment, at: Timestamp | None = None) -> None:
        """Write a deferred deployment at time ``at``, or now."""
        served = await self.db.read(configs.served_to, deployment.mac)
        found = await self.db.read(configs.content_of, served.sha256) if served and served.sha256 else None
        content = await self.db.read(configs.content_of, deployment.sha256)
        plan = Plan(
            mac=deployment.mac,
            content=content or b"",
            profile_uuid=deployment.profile_uuid,
            profile_name=deployment.profile_name,
            origin=deployment.origin,
        )
        begun = await self.db.write(progress.begun, deployment, plan, found)
        await self.db.write(progress.written, SYSTEM, begun, at or now())

    async def cancel(self, actor: Actor, uuid: str) -> Deployment:
        return await self.db.write(progress.cancelled, actor, uuid)

    async def target_of(self, deployment: Deployment) -> Target:
        return Target(mac=deployment.mac, address=None, model=None, software=Software.SIP)

    async def _write(self, actor: Actor, plan: Plan) -> Deployment:
        await self.going.wait()
        served = await self.db.read(configs.served_to, plan.mac)
        content = await self.db.read(configs.content_of, served.sha256) if served and served.sha256 else None
        deployment = await self.db.write(progress.record, actor, plan, content)
        if deployment.state is not DeploymentState.DEFERRED:
            await self.db.write(progress.written, actor, deployment, now())
        return await self.db.read(deployments.get, deployment.uuid)


@dataclass
class Calls:
    """A stub of the calls that Asterisk reports."""

    states: dict[Mac, CallState] = field(default_factory=dict)

    async def call_state(self, target: Target) -> CallState:
        return self.states.get(target.mac, CallState(in_call=None))


class LoginSetup:
    """Phone logins and automatic logout with a settable clock."""

    def __init__(self, db: Database) -> None:
        self.db = db
        self.switches, self.calls = Switches(db), Calls()
        self.switches.going.set()
        self.ahead = timedelta(0)
        self.logins = self.open()
        self.auto_logout = self.watch()

    def now(self) -> datetime:
        return datetime.now(UTC) + self.ahead

    def open(self, **options: Any) -> PhoneLogins:
        self.logins = PhoneLogins(self.db, self.switches, Policy(), **options)
        return self.logins

    def watch(self, **rules: Any) -> AutoLogout:
        return AutoLogout(
            self.db,
            self.logins,
            LogoutRules(**rules),
            self.switches,
            self.calls,
            self.now,
        )

    async def user(self, name: str) -> User:
        row = {"username": name, "first_name": name, "last_name": "Arendt", "email": f"{name}@example.org"}
        return await self.db.write(users.create, SYSTEM, {**row, "lang": "en", "timezone": "UTC"}, "$hash")

    async def profile(self, owner: User, name: str, **more: Any) -> Profile:
        content = f"<device><!-- {name} --></device>".encode()
        return await self.db.write(
            profiles.create, SYSTEM, {"user_uuid": owner.uuid, "name": name, "cnf_xml": content, **more}
        )

    async def served(self, mac: Mac) -> bytes | None:
        """Return the served config of a phone."""
        served = await self.db.read(configs.served_to, mac)
        return await self.db.read(configs.content_of, served.sha256) if served and served.sha256 else None

    async def phone(self, mac: Mac, **columns: Any) -> None:
        await self.db.write(phones.create, SYSTEM, mac, columns)

    async def settled(self, is_so: Callable[[], Any]) -> None:
        """Wait for a condition that background tasks fulfil."""
        async with asyncio.timeout(PATIENCE):
            while not await is_so():  # noqa: ASYNC110 -- polls the store
                await asyncio.sleep(0.005)
