"""The switch: put a profile on a phone, now or later, or put back what was there before."""

import asyncio
import hashlib
import logging
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from cisisk.mobility import emergency, lookup
from cisisk.mobility.deploy import Deployer
from cisisk.model import placeholders
from cisisk.model.clock import now
from cisisk.model.codes.deployment import DeploymentFailure, RollbackRefusal
from cisisk.model.codes.error import CallsUnknownCause, ErrorKind
from cisisk.model.codes.restart import RestartRefusal
from cisisk.model.deployment import Deployment, OnTimeout, Origin, Plan, Policy
from cisisk.model.errors import CallsUnknown, Conflict, NotFound, PhoneInCall
from cisisk.model.mac import Mac
from cisisk.model.notice import Notice
from cisisk.model.phone import Software
from cisisk.model.profile import Profile
from cisisk.model.sep_config.diff import Diff, RestartType, diff
from cisisk.model.site import EmergencyCall
from cisisk.model.start_time import IDLE, NOW, StartKind, StartTime
from cisisk.model.target import NotRestarted, Target
from cisisk.model.user import Actor
from cisisk.pbx.registrar import first_line
from cisisk.restart import service_control
from cisisk.restart.method import Restarts
from cisisk.store import deployments, progress
from cisisk.store.database import Database
from cisisk.store.transaction import Read

log = logging.getLogger(__name__)


class IsInCall(Protocol):
    """Tells whether a phone is in a call, or was in one less than so many minutes ago."""

    def __call__(self, target: Target, quiet_minutes: int, *, if_unknown: bool | None = False) -> Awaitable[bool]:
        """Ask. The result is ``if_unknown`` if that is not known. Raises CallsUnknown if that is None."""


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
        obstacles: what may keep the phone from restarting. The config would be served nevertheless.
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
        server_address: returns the address of this Cisisk as the phone at a given address (None: not known) reaches it.
        is_in_call: asked where a policy wants to know.
        policy: of switches without one of their own.
        refuse_unknown_call: whether ``refuse_in_call`` refuses what nothing tells.
    """

    def __init__(
        self,
        db: Database,
        deployer: Deployer,
        restarts: Restarts,
        server_address: Callable[[str | None], str],
        is_in_call: IsInCall,
        policy: Policy,
        *,
        refuse_unknown_call: bool = True,
    ) -> None:
        self._db = db
        self._refuse_unknown_call = refuse_unknown_call
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
        """Deploy a profile to a phone and restart it, now or when ``policy`` says. Returns what is known of it then.

        A switch that has begun continues if the caller is cancelled.

        Raises:
            NotFound: no such profile.
            Conflict: the profile does not fit the phone, or ``policy`` refuses because of a call.
            StorageFailed: the disk or the database refused. The phone is served what it had before, unless the notice
                says otherwise.
        """
        policy = policy or self._policy
        # Checked before the lock: a switch that is refused supersedes nothing.
        await self._deployer.catch_up()
        resolved = await self._resolve(profile_uuid, mac)
        until = await self._deferred_until(resolved.target, policy)
        if until is not None:
            plan = replace(_plan(resolved, resolved.target, policy, origin), deferred_until=until)
            return await self._record(actor, plan)
        work = self._switch_locked(actor, resolved, policy, origin)
        return await self._deployer.to_the_end(f"switch {mac}", work)

    async def begin(self, deployment: Deployment) -> Deployment:
        """Carry out a deferred deployment. If it cannot begin, it ends with the reason.

        Raises:
            Conflict: it has ended meanwhile.
            StorageFailed: as :meth:`switch`.
        """
        return await self._deployer.to_the_end(f"switch {deployment.mac}", self._begin_locked(deployment))

    async def roll_back(self, actor: Actor, uuid: str, *, only_if_timed_out: bool = False) -> Deployment:
        """Serve the phone again what it was served before a deployment. Returns the new deployment.

        Raises:
            NotFound: there is no such deployment.
            Conflict: the phone is not served its config, or was served nothing before, or has come further meanwhile.
            StorageFailed: as :meth:`switch`.
        """
        undone = await self._db.read(deployments.get, uuid)
        work = self._roll_back_locked(actor, undone, only_if_timed_out=only_if_timed_out)
        return await self._deployer.to_the_end(f"rollback {undone.mac}", work)

    async def cancel(self, actor: Actor, uuid: str) -> Deployment:
        """Cancel a deployment that has not begun.

        Raises:
            NotFound: there is none.
            Conflict: it has begun, or ended.
        """
        return await self._db.write(progress.cancelled, actor, uuid)

    async def put_back(self, actor: Actor, mac: Mac, sha256: str, *, origin: Origin = Origin.LOGOUT) -> Deployment:
        """Serve the phone again what it was once served. Returns the new deployment, which is never rolled back.

        Raises:
            NotFound: it never was served that.
            StorageFailed: as :meth:`switch`.
        """
        return await self._deployer.to_the_end(f"switch {mac}", self._put_back_locked(actor, mac, sha256, origin))

    async def trigger(self, deployment: Deployment, action: RestartType | None, *, goes_on: bool = False) -> Deployment:
        """Restart the phone once more, unless the deployment has come further meanwhile.

        Args:
            action: None for what the change needs.
            goes_on: whether these are further methods of the same restart. It waits for the end of a call.

        Raises:
            StorageFailed: the result cannot be recorded.
        """
        work = self._trigger_locked(deployment, action, goes_on=goes_on)
        return await self._deployer.to_the_end(f"restart {deployment.mac}", work)

    async def settle(self, mac: Mac) -> None:
        """Find out how far a phone's deployments came that were cut off. Raises StorageFailed."""
        await self._deployer.settle(mac)

    def has_untried(self, deployment: Deployment, software: Software) -> bool:
        """Return whether restart methods are left that were not tried for a deployment."""
        return bool(self._restarts.untried(software, [each.method for each in deployment.tried_methods]))

    async def is_in_call(self, deployment: Deployment) -> bool:
        """Return whether a phone is known to be in a call."""
        return await self._is_in_call(await self.target_of(deployment), 0)

    async def is_idle(self, deployment: Deployment) -> bool:
        """Return whether a phone is known to be in no call."""
        target = await self.target_of(deployment)
        # It was in a call. Only a report of its end counts.
        return not await self._is_in_call(target, deployment.policy.quiet_minutes, if_unknown=True)

    async def target_of(self, deployment: Deployment) -> Target:
        """Return the phone of a deployment, as far as it is known now."""
        return await self._db.read(lookup.phone_of, deployment)

    async def preview(self, profile_uuid: str, mac: Mac) -> Preview:
        """Return what :meth:`switch` would do now. Nothing is written or recorded, and the phone is not contacted.

        Raises:
            NotFound, Conflict: as the switch would.
        """
        resolved = await self._resolve(profile_uuid, mac)
        found = await self._deployer.served_to(mac)
        served = found.content if found else None
        target = await self._deployer.identified(resolved.target, served, resolved.content)
        change = await asyncio.to_thread(diff, served, resolved.content)
        if change.restart is not None and target.software is Software.SCCP:
            # Few SCCP configs name their software.
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
        """Return when the switch begins; None for at once.

        Raises:
            PhoneInCall, CallsUnknown: it is refused because of a call.
        """
        if policy.when.at is not None and policy.when.at > now():
            return policy.when
        if not policy.refuse_in_call and policy.when.kind is not StartKind.IDLE:
            return None
        try:
            in_call = await self._is_in_call(target, policy.quiet_minutes, if_unknown=None)
        except CallsUnknown as error:
            return self._begin_unknown(target.mac, policy, error)
        if in_call and policy.refuse_in_call:
            if not policy.quiet_minutes:
                raise PhoneInCall(ErrorKind.PHONE_IN_CALL.notice())
            raise PhoneInCall(ErrorKind.PHONE_IN_CALL_LATELY.notice(minutes=policy.quiet_minutes))
        return IDLE if in_call else None

    def _begin_unknown(self, mac: Mac, policy: Policy, unknown: CallsUnknown) -> StartTime | None:
        """Return when a switch begins if nothing tells whether the phone is in a call. Raises it to refuse that."""
        waits = policy.when.kind is StartKind.IDLE
        never_told = policy.refuse_in_call or (waits and unknown.cause is CallsUnknownCause.REFUSED)
        if never_told and self._refuse_unknown_call:
            raise unknown
        if waits and unknown.cause is CallsUnknownCause.AWAY:
            return IDLE
        log.warning("%s begins although nothing tells whether it is in a call: %s", mac, unknown.notice)
        return None

    async def _record(self, actor: Actor, plan: Plan) -> Deployment:
        # Under the lock: a file that is being written at this moment would look like a change from outside.
        async with self._deployer.lock(plan.mac, supersedes=False):
            found = await self._deployer.served_to(plan.mac)
            return await self._db.write(progress.record, actor, plan, found.content if found else None)

    async def _switch_locked(self, actor: Actor, resolved: _Resolved, policy: Policy, origin: Origin) -> Deployment:
        mac = resolved.target.mac
        has_to_wait = self._deployer.is_busy(mac)
        async with self._deployer.lock(mac) as superseded:
            if has_to_wait:
                # The profile may have been changed meanwhile, and the phone may have moved.
                resolved = await self._resolve(resolved.profile.uuid, mac)
            found = await self._deployer.replaceable(mac)
            served = found.content if found else None
            target = await self._deployer.identified(resolved.target, served, resolved.content)
            recording = self._db.write(progress.record, actor, _plan(resolved, target, policy, origin), served)
            return await self._deployer.deploy(actor, recording, target, found, superseded)

    async def _begin_locked(self, deferred: Deployment) -> Deployment:
        mac, actor = deferred.mac, Actor(user_uuid=deferred.requested_by)
        # Supersedes nothing as long as it is not certain that it begins.
        async with self._deployer.lock(mac, supersedes=False) as superseded:
            try:
                resolved = await self._resolve(deferred.profile_uuid or "", mac)
            except (NotFound, Conflict) as error:
                await self._db.write(progress.failed, deferred, DeploymentFailure.DUE.notice(reason=error.notice))
                return await self._db.read(deployments.get, deferred.uuid)
            content = self._again(resolved.target, await self._db.read(lookup.earlier, mac, deferred.sha256, deferred))
            found = await self._deployer.replaceable(mac)
            served = found.content if found else None
            target = await self._deployer.identified(resolved.target, served, content)
            plan = replace(_plan(resolved, target, deferred.policy, deferred.origin), content=content)
            recording = self._db.write(progress.begun, deferred, plan, served)
            return await self._deployer.deploy(actor, recording, target, found, superseded)

    async def _roll_back_locked(self, actor: Actor, undone: Deployment, *, only_if_timed_out: bool) -> Deployment:
        mac = undone.mac
        # Supersedes nothing: a newer switch that gets the lock first is the one that counts.
        async with self._deployer.lock(mac, supersedes=False) as superseded:
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
        """Return the deployment to undo, as it is now, and the sha256 of what to serve again. Raises Conflict."""
        undone = await self._db.read(deployments.get, uuid)
        if undone.written_at is None or undone.superseded_at is not None:
            raise Conflict(RollbackRefusal.NOT_SERVED.notice(state=undone.state))
        if undone.replaced is None:
            raise Conflict(RollbackRefusal.NOTHING_BEFORE.notice())
        return undone, undone.replaced

    async def _put_back_locked(self, actor: Actor, mac: Mac, sha256: str, origin: Origin) -> Deployment:
        async with self._deployer.lock(mac) as superseded:
            found = await self._deployer.replaceable(mac)
            served = found.content if found else None
            target, plan = await self._plan_again(await self._db.read(lookup.phone, mac), sha256, served, origin)
            recording = self._db.write(progress.record, actor, plan, served)
            return await self._deployer.deploy(actor, recording, target, found, superseded)

    async def _plan_again(
        self, target: Target, sha256: str, served: bytes | None, origin: Origin
    ) -> tuple[Target, Plan]:
        """Plan to serve a phone what it was served before, under the name of that profile. Returns its target, too."""
        earlier = await self._db.read(lookup.earlier, target.mac, sha256)
        before, content = earlier.deployment, self._again(target, earlier)
        target = await self._deployer.identified(target, served, content)
        plan = Plan(
            mac=target.mac,
            content=content,
            profile_uuid=before.profile_uuid if before else None,
            profile_name=before.profile_name if before else "what was served before",
            origin=origin,
            # A second rollback would serve what was rolled back.
            policy=replace(self._policy, when=NOW, on_timeout=OnTimeout.KEEP),
            **_registration(target),
        )
        return target, plan

    def _again(self, target: Target, earlier: lookup.Earlier) -> bytes:
        """Return a config as it was, except for what emergency calls tell: the phone may have moved since."""
        return self._render(earlier.profile, target, earlier.call) if earlier.profile else earlier.content

    async def _trigger_locked(self, deployment: Deployment, action: RestartType | None, *, goes_on: bool) -> Deployment:
        mac = deployment.mac
        async with self._deployer.lock(mac, supersedes=False) as superseded:
            served, wanted, target = await self._db.read(_contents, deployment.uuid)
            target = await self._deployer.identified(target, served, wanted)
            # Identifying the phone takes time, in which it may have fetched its config.
            await self._deployer.catch_up()
            deployment = await self._db.read(deployments.get, deployment.uuid)
            if deployment.ended_at is not None or deployment.fetched_at is not None:
                return deployment
            target = replace(target, action=action or service_control.action_for(target))
            deployment = replace(deployment, **_registration(target))
            return await self._deployer.trigger(deployment, target, superseded, goes_on=goes_on)

    async def _resolve(self, profile_uuid: str, mac: Mac) -> _Resolved:
        """Return what a switch needs. Raises NotFound, and Conflict: the profile does not fit the phone."""
        chosen = await self._db.read(lookup.choice, profile_uuid, mac)
        return _Resolved(chosen.profile, chosen.target, self._render(chosen.profile, chosen.target, chosen.call))

    def _render(self, profile: Profile, target: Target, call: EmergencyCall) -> bytes:
        if not profile.placeholders:
            return profile.cnf_xml
        device_name = target.mac.adapter_config_name.partition(".")[0] if target.is_adapter else target.mac.device_name
        values = {"mac": str(target.mac), "device_name": device_name}
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
    """Return what is registered now, and the line by which the phone's next registration will be known."""
    was_asked = target.registration is not None or target.unregistered is not None
    # Where no call manager is asked, none will report the new registration either.
    return {"line": first_line(target.wanted) if was_asked else None, "before": target.before}


def _obstacles(target: Target) -> Iterator[Notice]:
    """Yield what may keep the phone from restarting."""
    try:
        target.require_address()
    except NotRestarted as error:
        yield error.notice
    if target.unregistered is not None:
        yield target.unregistered.notice
    if target.registration is not None and target.registration.in_call:
        yield RestartRefusal.IN_CALL.notice()
