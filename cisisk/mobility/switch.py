"""The switch: put a profile on a phone, now or later, or put back what was there before."""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from cisisk.mobility import emergency, lookup
from cisisk.mobility.deploy import Deployer
from cisisk.model import placeholders
from cisisk.model.clock import now
from cisisk.model.codes.deployment import DeploymentFailure, RollbackRefusal
from cisisk.model.codes.error import ErrorKind
from cisisk.model.codes.restart import RestartRefusal
from cisisk.model.deployment import Deployment, OnTimeout, Origin, Plan, Policy
from cisisk.model.errors import Conflict, NotFound, PhoneInCall
from cisisk.model.mac import Mac
from cisisk.model.notice import Notice
from cisisk.model.phone import Software
from cisisk.model.profile import Profile
from cisisk.model.sep_config.diff import Diff, RestartType, diff
from cisisk.model.site import EmergencyCall
from cisisk.model.start_time import IDLE, NOW, StartKind, StartTime
from cisisk.model.target import NotRestarted, Target
from cisisk.model.user import Actor
from cisisk.pbx.registrations import Watched
from cisisk.restart import service_control
from cisisk.restart.method import Restarts
from cisisk.store import deployments, progress
from cisisk.store.database import Database
from cisisk.store.transaction import Read


class IsInCall(Protocol):
    """Tells whether a phone is in a call, or was in one less than so many minutes ago."""

    def __call__(self, target: Target, quiet_minutes: int, *, if_unknown: bool = False) -> Awaitable[bool]:
        """Ask. ``if_unknown`` holds where nobody can tell."""


@dataclass(frozen=True, slots=True)
class _Resolved:
    """What is known before anything changes."""

    profile: Profile
    target: Target
    content: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """What a switch would do.

    Attributes:
        content: what the phone would be served.
        diff: between what it is served and that.
        methods: the restart methods that would be tried, in this order.
        obstacles: what may keep the phone from restarting; the config would be served all the same.
    """

    profile: Profile
    mac: Mac
    content: bytes = field(repr=False)
    diff: Diff
    methods: tuple[str, ...]
    obstacles: tuple[Notice, ...]


class Switcher:
    """Switches phones.

    Args:
        server_address: the address of this Cisisk as the phone at a given address (None: not known) reaches it.
        is_in_call: asked where a policy wants to know.
        policy: of those switches that bring none along.
    """

    def __init__(
        self,
        db: Database,
        deployer: Deployer,
        restarts: Restarts,
        server_address: Callable[[str | None], str],
        is_in_call: IsInCall,
        policy: Policy,
    ) -> None:
        self._db = db
        self._deployer = deployer
        self._restarts = restarts
        self._server_address = server_address
        self._is_in_call = is_in_call
        self._policy = policy

    async def switch(
        self,
        actor: Actor,
        profile_uuid: str,
        mac: Mac,
        policy: Policy | None = None,
        *,
        origin: Origin = Origin.SWITCH,
    ) -> Deployment:
        """Deploy a profile to a phone and restart it, now or when ``policy`` says; what is known of it then.

        What has begun goes on to its end even if the caller is cancelled.

        Raises:
            NotFound: no such profile.
            Conflict: the profile does not fit the phone, or ``policy`` refuses because of a call.
            StorageFailed: the disk or the database refused; the phone is served what it had before, unless the text
                says otherwise.
        """
        policy = policy or self._policy
        # Refused before it takes its turn: what is not accepted supersedes nothing.
        await self._deployer.catch_up()
        resolved = await self._resolve(profile_uuid, mac)
        until = await self._deferred_until(resolved.target, policy)
        if until is not None:
            plan = replace(_plan(resolved, resolved.target, policy, origin), deferred_until=until)
            return await self._record(actor, plan)
        work = self._switch_in_turn(actor, resolved, policy, origin)
        return await self._deployer.to_the_end(f"switch {mac}", work)

    async def begin(self, deployment: Deployment) -> Deployment:
        """Carry out a deferred deployment. What keeps it from beginning is how it ends.

        Raises:
            Conflict: it has ended meanwhile.
            StorageFailed: as :meth:`switch`.
        """
        return await self._deployer.to_the_end(f"switch {deployment.mac}", self._begin_in_turn(deployment))

    async def roll_back(self, actor: Actor, uuid: str, *, only_if_timed_out: bool = False) -> Deployment:
        """Serve the phone again what it was served before a deployment; the deployment that does that.

        Raises:
            NotFound: there is no such deployment.
            Conflict: it is not what the phone is served, or the phone was served nothing before; or it has come further
                meanwhile.
            StorageFailed: as :meth:`switch`.
        """
        undone = await self._db.read(deployments.get, uuid)
        work = self._roll_back_in_turn(actor, undone, only_if_timed_out=only_if_timed_out)
        return await self._deployer.to_the_end(f"rollback {undone.mac}", work)

    async def cancel(self, actor: Actor, uuid: str) -> Deployment:
        """Call off a deployment that has not begun.

        Raises:
            NotFound: there is none.
            Conflict: it has begun, or ended.
        """
        return await self._db.write(progress.cancelled, actor, uuid)

    async def put_back(self, actor: Actor, mac: Mac, sha256: str, *, origin: Origin = Origin.LOGOUT) -> Deployment:
        """Serve the phone again what it was once served; the deployment that does that, which nothing takes back.

        Raises:
            NotFound: it never was.
            StorageFailed: as :meth:`switch`.
        """
        return await self._deployer.to_the_end(f"switch {mac}", self._put_back_in_turn(actor, mac, sha256, origin))

    async def trigger(self, deployment: Deployment, action: RestartType | None) -> Deployment:
        """Have the phone restart once more, unless the deployment has come further meanwhile.

        Args:
            action: None for what the change needs.

        Raises:
            StorageFailed: what became of it cannot be recorded.
        """
        work = self._trigger_in_turn(deployment, action)
        return await self._deployer.to_the_end(f"restart {deployment.mac}", work)

    async def settle(self, mac: Mac) -> None:
        """Find out how far a phone's deployments came that were cut off. Raises StorageFailed."""
        await self._deployer.settle(mac)

    async def is_idle(self, deployment: Deployment) -> bool:
        """Whether a phone is in no call, as far as anybody can tell."""
        target = await self.target_of(deployment)
        # It was in a call: that it has ended somebody has to tell.
        return not await self._is_in_call(target, deployment.policy.quiet_minutes, if_unknown=True)

    async def target_of(self, deployment: Deployment) -> Target:
        """The phone of a deployment, as far as it is known now."""
        return await self._db.read(lookup.phone_of, deployment)

    async def preview(self, profile_uuid: str, mac: Mac) -> Preview:
        """What :meth:`switch` would do now. Nothing is written or recorded, and the phone is not called.

        Raises:
            NotFound, Conflict: as the switch would.
        """
        resolved = await self._resolve(profile_uuid, mac)
        found = await self._deployer.served_to(mac)
        served = found.content if found else None
        target = await self._deployer.identified(resolved.target, served, resolved.content)
        change = await asyncio.to_thread(diff, served, resolved.content)
        if change.restart is not None and target.software is Software.SCCP:
            # Few configs for SCCP say so themselves.
            change = replace(change, restart="reset")
        return Preview(
            profile=resolved.profile,
            mac=mac,
            content=resolved.content,
            diff=change,
            methods=self._restarts.order(target.software),
            obstacles=tuple(_obstacles(target)),
        )

    async def _deferred_until(self, target: Target, policy: Policy) -> StartTime | None:
        """When it is to begin; None for at once. Raises Conflict: it is refused because of a call."""
        if policy.when.at is not None and policy.when.at > now():
            return policy.when
        if not policy.refuse_in_call and policy.when.kind is not StartKind.IDLE:
            return None
        in_call = await self._is_in_call(target, policy.quiet_minutes)
        if in_call and policy.refuse_in_call:
            if not policy.quiet_minutes:
                raise PhoneInCall(ErrorKind.PHONE_IN_CALL.notice())
            raise PhoneInCall(ErrorKind.PHONE_IN_CALL_LATELY.notice(minutes=policy.quiet_minutes))
        return IDLE if in_call else None

    async def _record(self, actor: Actor, plan: Plan) -> Deployment:
        # In a turn of its own: what is being written at this moment would look like somebody else's.
        async with self._deployer.turn(plan.mac, supersedes=False):
            found = await self._deployer.served_to(plan.mac)
            return await self._db.write(progress.record, actor, plan, found.content if found else None)

    async def _switch_in_turn(self, actor: Actor, resolved: _Resolved, policy: Policy, origin: Origin) -> Deployment:
        mac = resolved.target.mac
        has_to_wait = self._deployer.is_busy(mac)
        async with self._deployer.turn(mac) as superseded:
            if has_to_wait:
                # The profile may have been changed meanwhile, and the phone have moved.
                resolved = await self._resolve(resolved.profile.uuid, mac)
            found = await self._deployer.served_to(mac)
            served = found.content if found else None
            target = await self._deployer.identified(resolved.target, served, resolved.content)
            recording = self._db.write(progress.record, actor, _plan(resolved, target, policy, origin), served)
            return await self._deployer.deploy(actor, recording, target, found, superseded)

    async def _begin_in_turn(self, deferred: Deployment) -> Deployment:
        mac, actor = deferred.mac, Actor(user_uuid=deferred.requested_by)
        # Supersedes none as long as it is not certain that it begins.
        async with self._deployer.turn(mac, supersedes=False) as superseded:
            try:
                resolved = await self._resolve(deferred.profile_uuid or "", mac)
            except (NotFound, Conflict) as error:
                await self._db.write(progress.failed, deferred, DeploymentFailure.DUE.notice(reason=error.notice))
                return await self._db.read(deployments.get, deferred.uuid)
            content = self._again(resolved.target, await self._db.read(lookup.earlier, mac, deferred.sha256, deferred))
            found = await self._deployer.served_to(mac)
            served = found.content if found else None
            target = await self._deployer.identified(resolved.target, served, content)
            plan = replace(_plan(resolved, target, deferred.policy, deferred.origin), content=content)
            recording = self._db.write(progress.begun, deferred, plan, served)
            return await self._deployer.deploy(actor, recording, target, found, superseded)

    async def _roll_back_in_turn(self, actor: Actor, undone: Deployment, *, only_if_timed_out: bool) -> Deployment:
        mac = undone.mac
        # Supersedes none: a newer switch that has its turn before it is what counts.
        async with self._deployer.turn(mac, supersedes=False) as superseded:
            undone, sha256 = await self._undoable(undone.uuid)
            if only_if_timed_out and (undone.timed_out_on is None or undone.ended_at is not None):
                raise Conflict(RollbackRefusal.COME_FURTHER.notice(state=undone.state))
            found = await self._deployer.served_to(mac)
            if found is None or found.sha256 != undone.sha256:
                raise Conflict(RollbackRefusal.CHANGED_OUTSIDE.notice())
            target, plan = await self._plan_again(await self.target_of(undone), sha256, found.content, Origin.ROLLBACK)
            policy = replace(undone.policy, when=NOW, on_timeout=OnTimeout.KEEP)
            plan = replace(plan, policy=policy, rolls_back=undone.uuid)
            recording = self._db.write(progress.record, actor, plan, found.content)
            if undone.fetched_at is None and hashlib.sha256(plan.content).hexdigest() == sha256:
                return await self._deployer.serve(actor, recording, target, found)
            return await self._deployer.deploy(actor, recording, target, found, superseded)

    async def _undoable(self, uuid: str) -> tuple[Deployment, str]:
        """What is to be undone, as it is now, and the sha256 of what is to be served again. Raises Conflict."""
        undone = await self._db.read(deployments.get, uuid)
        if undone.written_at is None or undone.superseded_at is not None:
            raise Conflict(RollbackRefusal.NOT_SERVED.notice(state=undone.state))
        if undone.replaced is None:
            raise Conflict(RollbackRefusal.NOTHING_BEFORE.notice())
        return undone, undone.replaced

    async def _put_back_in_turn(self, actor: Actor, mac: Mac, sha256: str, origin: Origin) -> Deployment:
        async with self._deployer.turn(mac) as superseded:
            found = await self._deployer.served_to(mac)
            served = found.content if found else None
            target, plan = await self._plan_again(await self._db.read(lookup.phone, mac), sha256, served, origin)
            recording = self._db.write(progress.record, actor, plan, served)
            return await self._deployer.deploy(actor, recording, target, found, superseded)

    async def _plan_again(
        self, target: Target, sha256: str, served: bytes | None, origin: Origin
    ) -> tuple[Target, Plan]:
        """To serve what was served before, under the name of the profile that it was then; and who the phone is."""
        earlier = await self._db.read(lookup.earlier, target.mac, sha256)
        before, content = earlier.deployment, self._again(target, earlier)
        target = await self._deployer.identified(target, served, content)
        plan = Plan(
            mac=target.mac,
            content=content,
            profile_uuid=before.profile_uuid if before else None,
            profile_name=before.profile_name if before else "what was served before",
            origin=origin,
            # To go back once more would be to serve what was taken back.
            policy=replace(self._policy, when=NOW, on_timeout=OnTimeout.KEEP),
            **_registration(target),
        )
        return target, plan

    def _again(self, target: Target, earlier: lookup.Earlier) -> bytes:
        """Return a config as it was, except for what emergency calls tell: the phone may have moved since."""
        return self._render(earlier.profile, target, earlier.call) if earlier.profile else earlier.content

    async def _trigger_in_turn(self, deployment: Deployment, action: RestartType | None) -> Deployment:
        mac = deployment.mac
        async with self._deployer.turn(mac, supersedes=False) as superseded:
            served, wanted, target = await self._db.read(_contents, deployment.uuid)
            target = await self._deployer.identified(target, served, wanted)
            # To know who it is takes its time, in which it may have come for its config.
            await self._deployer.catch_up()
            deployment = await self._db.read(deployments.get, deployment.uuid)
            if deployment.ended_at is not None or deployment.fetched_at is not None:
                return deployment
            target = replace(target, action=action or service_control.action_for(target))
            deployment = replace(deployment, **_registration(target))
            return await self._deployer.trigger(deployment, target, superseded)

    async def _resolve(self, profile_uuid: str, mac: Mac) -> _Resolved:
        """Return what a switch needs. Raises NotFound, and Conflict: the profile does not fit the phone."""
        chosen = await self._db.read(lookup.choice, profile_uuid, mac)
        return _Resolved(chosen.profile, chosen.target, self._render(chosen.profile, chosen.target, chosen.call))

    def _render(self, profile: Profile, target: Target, call: EmergencyCall) -> bytes:
        if not profile.placeholders:
            return profile.cnf_xml
        values = {"mac": str(target.mac), "device_name": target.mac.device_name}
        values |= emergency.values(call)
        if "server" in placeholders.used(profile.cnf_xml):
            values["server"] = self._server_address(target.address)
        return placeholders.render(profile.cnf_xml, values)


def _contents(tx: Read, uuid: str) -> tuple[bytes | None, bytes, Target]:
    """Return what a deployment replaced, what it serves, and its phone as it is known now. Raises NotFound."""
    deployment = deployments.get(tx, uuid)
    served = lookup.content(tx, deployment.replaced) if deployment.replaced else None
    return served, lookup.content(tx, deployment.sha256), lookup.phone_of(tx, deployment)


def _plan(resolved: _Resolved, target: Target, policy: Policy, origin: Origin) -> Plan:
    return Plan(
        mac=target.mac,
        content=resolved.content,
        profile_uuid=resolved.profile.uuid,
        profile_name=resolved.profile.name,
        origin=origin,
        policy=policy,
        **_registration(target),
    )


def _registration(target: Target) -> dict[str, Any]:
    """How the phone is registered now, and by what it will be known when it registers again."""
    known = target.registration
    was_asked = known is not None or target.unregistered is not None
    return {
        # Where nobody is asked, nobody will tell the new registration by it either.
        "line": Watched.of(target).line if was_asked else None,
        "before_peer": known.peer if known else None,
        "before_call_id": known.call_id if known else "",
    }


def _obstacles(target: Target) -> Iterator[Notice]:
    """What may keep the phone from restarting."""
    try:
        target.require_address()
    except NotRestarted as error:
        yield error.notice
    if target.unregistered is not None:
        yield target.unregistered.notice
    if target.registration is not None and target.registration.in_call:
        yield RestartRefusal.IN_CALL.notice()
