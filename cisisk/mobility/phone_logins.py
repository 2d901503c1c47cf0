"""Users on phones: who may log in where, and which config a phone returns to."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Protocol, TypeAlias

from cisisk.mobility.background import BackgroundTasks
from cisisk.model.clock import now
from cisisk.model.codes.deployment import Misfit
from cisisk.model.codes.phone_login import LoginRefusal
from cisisk.model.deployment import Deployment, OnTimeout, Origin, Policy
from cisisk.model.errors import CisiskError, Conflict, NotFound, StorageFailed
from cisisk.model.listing import Listing, Page
from cisisk.model.mac import Mac
from cisisk.model.phone import Software
from cisisk.model.phone_login import (
    EndReason,
    LoggedInElsewhere,
    LoginState,
    LoginWay,
    Multiple,
    NoFittingProfile,
    OccupiedByAnother,
    PhoneDisabled,
    PhoneLogin,
    ReturnedTo,
)
from cisisk.model.profile import ProfileHead, misfit
from cisisk.model.start_time import NOW
from cisisk.model.user import Actor
from cisisk.provisioning.phone_locks import PhoneLocks
from cisisk.store import default_profiles, deployments, phone_logins, phones, profiles, sites
from cisisk.store.database import Database
from cisisk.store.transaction import Write

log = logging.getLogger(__name__)

_MAX_CONCURRENT_LOGOUTS = 16
"""Logouts of one user at the same time. Each holds a phone for some seconds."""

_TASK_NAME = "login or logout"

_WayBack: TypeAlias = tuple[ReturnedTo, Callable[[], Awaitable[Deployment]]]


@dataclass(frozen=True, slots=True)
class _Fitted:
    """The part of a phone that profiles are compared with; None for what is not known."""

    model: str | None
    software: Software | None


class ConfigSwitcher(Protocol):
    """The part of the switcher that phone logins need."""

    async def switch(
        self,
        actor: Actor,
        profile_uuid: str,
        mac: Mac,
        policy: Policy | None = None,
        *,
        origin: Origin = Origin.SWITCH,
    ) -> Deployment:
        """Switch a phone to a profile."""

    async def put_back(self, actor: Actor, mac: Mac, sha256: str) -> Deployment:
        """Serve a config that the phone was served once."""

    async def cancel(self, actor: Actor, uuid: str) -> Deployment:
        """Cancel a deployment that has not begun."""


class PhoneLogins:
    """Logs users in on phones, and out.

    Args:
        policy: of switches. That of a logout is the same, without what would keep the user on the phone.
        multiple: what happens to a login if the user is logged in elsewhere.
        maximum: how long one login may last; None for no limit.
    """

    def __init__(
        self,
        db: Database,
        switcher: ConfigSwitcher,
        policy: Policy,
        *,
        multiple: Multiple = Multiple.DENY,
        maximum: timedelta | None = None,
    ) -> None:
        self._db = db
        self._switcher = switcher
        self._logout_policy = replace(policy, when=NOW, refuse_in_call=False, on_timeout=OnTimeout.KEEP)
        self._multiple = multiple
        self._maximum = maximum
        self._locks = PhoneLocks()
        self._tasks = BackgroundTasks()

    # Lists of logins

    async def profiles_for(self, user_uuid: str, mac: Mac, model_header: str | None) -> list[ProfileHead]:
        """Return the user's profiles that fit a phone: the default of its model first, the others by name.

        Args:
            model_header: the model that the phone claims, for a phone whose model the inventory does not know.

        Raises:
            PhoneDisabled: the phone is not active.
        """
        phone = await self._db.read(phones.find, mac)
        if phone is not None and not phone.is_active:
            raise PhoneDisabled
        fitted = _Fitted((phone.model if phone else None) or model_header, phone.software if phone else None)
        known = await self._db.read(profiles.heads, user_uuid)
        is_claimed = phone is None or phone.model is None
        known = [profile for profile in known if _fits(profile, fitted, is_claimed=is_claimed)]
        model = fitted.model
        first = await self._db.read(default_profiles.find, user_uuid, model) if model else None
        return sorted(known, key=lambda profile: profile.uuid != first)

    async def where(self, user_uuid: str) -> list[PhoneLogin]:
        """Return the logins of a user, the newest first."""
        return await self._db.read(phone_logins.of_user, user_uuid)

    async def on(self, mac: Mac) -> PhoneLogin | None:
        """Return the login on a phone."""
        return await self._db.read(phone_logins.on, mac)

    async def last_on(self, mac: Mac) -> PhoneLogin | None:
        """Return the last login on a phone, which may still last."""
        return await self._db.read(phone_logins.last_on, mac)

    async def require_possible(self, user_uuid: str, mac: Mac, *, takes_over: bool) -> None:
        """Check beforehand whether a login would be refused for a login elsewhere.

        Raises:
            LoggedInElsewhere: as :meth:`log_in`, which decides.
        """
        self._require_possible(await self._db.read(phone_logins.elsewhere, user_uuid, mac), takes_over=takes_over)

    async def page(self, listing: Listing, *, user_uuid: str | None = None, history: bool = False) -> Page[PhoneLogin]:
        """Return the logins, the newest first; those of one user if named, and with ``history`` the ended ones too."""
        return await self._db.read(phone_logins.page, listing, user_uuid=user_uuid, history=history)

    # In and out

    async def log_in(
        self,
        actor: Actor,
        user_uuid: str,
        mac: Mac,
        profile_uuid: str | None,
        *,
        minutes: int | None = None,
        takes_over: bool = False,
        replaces: bool = True,
        how: LoginWay,
    ) -> PhoneLogin:
        """Switch a phone to one of a user's profiles, and record the login. Continues if the caller is cancelled.

        An earlier login on the phone ends. The login has not begun if the switch waits for the end of a call.

        Args:
            profile_uuid: None for the first of :meth:`profiles_for`.
            minutes: the maximum from its beginning; None for that of the settings.
            takes_over: the user has confirmed that the logins on other phones end.
            replaces: another user may be logged in on the phone now.

        Raises:
            PhoneDisabled, NoFittingProfile, OccupiedByAnother, LoggedInElsewhere: it is refused.
            NotFound: the user has no such profile.
            Conflict, StorageFailed: as :meth:`Switcher.switch`.
        """
        work = self._log_in(
            actor, user_uuid, mac, profile_uuid, minutes, takes_over=takes_over, replaces=replaces, how=how
        )
        return await self._tasks.run(_TASK_NAME, work)

    async def log_out(
        self, actor: Actor, mac: Mac, reason: EndReason, *, login: PhoneLogin | None = None
    ) -> PhoneLogin | None:
        """End the login on a phone, and return the phone to its earlier config; None if there was no login.

        That is the logout profile of the phone, else of its site, else the config before the login. Without any of them
        the phone keeps its config. A login that waits for the end of a call does not begin. It is returned if no other
        user is logged in. Continues if the caller is cancelled.

        Args:
            login: end only this one; None for any.

        Raises:
            StorageFailed: the disk or the database refused. It is tried again.
        """
        return await self._tasks.run(_TASK_NAME, self._log_out(actor, mac, reason, login))

    async def log_out_everywhere(self, actor: Actor, user_uuid: str, reason: EndReason) -> list[PhoneLogin]:
        """Do the same on every phone of a user. Returns the ended logins. Raises StorageFailed."""
        # Decided for all before the first phone restarts.
        leaving = await self._db.write(phone_logins.leave_everywhere, user_uuid, reason)
        at_once = asyncio.Semaphore(_MAX_CONCURRENT_LOGOUTS)

        async def log_out(login: PhoneLogin) -> PhoneLogin | None:
            async with at_once:
                return await self._log_out(actor, login.mac, reason, login)

        ended = await asyncio.gather(*(self._tasks.run(_TASK_NAME, log_out(login)) for login in leaving))
        return [login for login in ended if login is not None]

    async def _log_in(
        self,
        actor: Actor,
        user_uuid: str,
        mac: Mac,
        profile_uuid: str | None,
        minutes: int | None,
        *,
        takes_over: bool,
        replaces: bool,
        how: LoginWay,
    ) -> PhoneLogin:
        async with self._locks.take(mac):
            profile = await self._chosen(user_uuid, mac, profile_uuid)

            def begin(tx: Write) -> tuple[PhoneLogin, list[PhoneLogin]]:
                if not replaces:
                    _require_free(phone_logins.on(tx, mac), user_uuid)
                where = phone_logins.elsewhere(tx, user_uuid, mac)
                self._require_possible(where, takes_over=takes_over)
                login = phone_logins.begin(
                    tx,
                    mac,
                    user_uuid,
                    profile,
                    way=how,
                    takes_over=bool(where) and self._multiple is Multiple.TAKE_OVER,
                    is_only=self._multiple is not Multiple.ALLOW,
                    minutes=self._minutes(minutes),
                )
                return login, where

            login, where = await self._db.write(begin)
            try:
                deployment = await self._switcher.switch(actor, profile.uuid, mac)
            except StorageFailed:
                # The phone may be served the profile nevertheless. The deployment shows it.
                raise
            except CisiskError:
                await self._db.write(phone_logins.forget, login)
                raise
            login = await self._db.write(phone_logins.requested, login, deployment.uuid)
        if self._multiple is Multiple.TAKE_OVER:
            self._leave(actor, where, login)
        return login

    def _leave(self, actor: Actor, where: list[PhoneLogin], login: PhoneLogin) -> None:
        """End the logins that ``login`` takes over from. If it has not begun itself, that is done later."""
        for each in where:
            if login.state is not LoginState.BEGINNING or each.state is LoginState.BEGINNING:
                self._tasks.start(_TASK_NAME, self._log_out(actor, each.mac, EndReason.TAKE_OVER, each))

    async def _chosen(self, user_uuid: str, mac: Mac, profile_uuid: str | None) -> ProfileHead:
        fitting = await self.profiles_for(user_uuid, mac, None)
        if profile_uuid is None:
            if not fitting:
                raise NoFittingProfile
            return fitting[0]
        for profile in fitting:
            if profile.uuid == profile_uuid:
                return profile
        if any(profile.uuid == profile_uuid for profile in await self._db.read(profiles.heads, user_uuid)):
            raise NoFittingProfile(LoginRefusal.PROFILE_DOES_NOT_FIT)
        raise NotFound("Profile not found")

    def _require_possible(self, where: list[PhoneLogin], *, takes_over: bool) -> None:
        may_take_over = self._multiple is Multiple.TAKE_OVER
        if where and self._multiple is not Multiple.ALLOW and not (may_take_over and takes_over):
            raise LoggedInElsewhere(where, may_take_over=may_take_over)

    def _minutes(self, wanted: int | None) -> int | None:
        limits = [None if self._maximum is None else self._maximum // timedelta(minutes=1), wanted]
        return min((limit for limit in limits if limit is not None), default=None)

    async def _log_out(
        self, actor: Actor, mac: Mac, reason: EndReason, meant: PhoneLogin | None = None
    ) -> PhoneLogin | None:
        async with self._locks.take(mac):
            called_off = await self._call_off(actor, mac, reason, meant)
            login = await self._db.write(phone_logins.leave, mac, reason, None if meant is None else meant.uuid)
            return called_off if login is None else await self._give_back(actor, login)

    async def _call_off(self, actor: Actor, mac: Mac, reason: EndReason, meant: PhoneLogin | None) -> PhoneLogin | None:
        """Cancel a login that waits for the end of a call. Returns it, or None."""
        called_off = None
        for waiting in await self._db.read(phone_logins.beginning_on, mac):
            if meant is not None and meant.uuid != waiting.uuid:
                continue
            try:
                if waiting.deployment is not None:
                    await self._switcher.cancel(actor, waiting.deployment)
            except Conflict:
                if await self._has_ended(waiting.deployment):
                    # It was cancelled or failed, and the login was not informed: there was none to end.
                    await self._db.write(phone_logins.forget, waiting)
                    continue
                # It is just about to begin. Then it ends like any other.
                await self._db.write(phone_logins.leave_once_begun, waiting, reason)
                called_off = replace(waiting, reason=reason)
            else:
                await self._db.write(phone_logins.forget, waiting)
                called_off = replace(waiting, reason=reason, ended_at=now())
        return called_off

    async def _has_ended(self, deployment: str | None) -> bool:
        return deployment is not None and (await self._db.read(deployments.get, deployment)).ended_at is not None

    async def _give_back(self, actor: Actor, login: PhoneLogin) -> PhoneLogin:
        """Serve the phone of a login another config, so that the login ends."""
        mac = login.mac
        for returned_to, switch in await self._ways_back(actor, login):
            await self._db.write(phone_logins.returning, login, returned_to)
            try:
                await switch()
            except (NotFound, Conflict) as error:
                log.warning("logout of %s from %s (%s): %s", login.username, mac, returned_to, error)
                continue
            return await self._db.read(phone_logins.get, login.uuid)
        log.warning("logout of %s from %s: the phone keeps the config, for it has no other", login.username, mac)
        return await self._db.write(phone_logins.stays, actor, login)

    async def _ways_back(self, actor: Actor, login: PhoneLogin) -> list[_WayBack]:
        """Yield what the phone can be served, in the order in which it is tried."""
        mac, home = login.mac, login.home_sha256

        def profile(uuid: str) -> Callable[[], Awaitable[Deployment]]:
            return lambda: self._switcher.switch(actor, uuid, mac, self._logout_policy, origin=Origin.LOGOUT)

        ways = [(whose, profile(uuid)) for whose, uuid in await self._db.read(sites.logout_profiles, mac)]
        if home is not None:
            ways.append((ReturnedTo.BEFORE, lambda: self._switcher.put_back(actor, mac, home)))
        return ways

    # What is in progress

    async def forget_what_never_begins(self) -> None:
        """Delete the logins whose switch was cancelled or failed."""
        waiting = await self._db.read(phone_logins.not_begun)
        # In this order: a login that is in the store, and whose phone is not locked any more, has its deployment there.
        busy = set(self._locks.taken())
        if idle := [uuid for uuid, mac in waiting if mac not in busy]:
            await self._db.write(phone_logins.forget_abandoned, idle)

    async def stop(self) -> None:
        """Leave the logins in progress to the next start."""
        await self._tasks.stop()


def _fits(profile: ProfileHead, phone: _Fitted, *, is_claimed: bool) -> bool:
    """Return whether a profile can be offered on a phone, whose model it may only claim."""
    reason = misfit(profile, phone)
    # A claim does not tell which firmware a 7940 runs. The switch knows what the phone has requested.
    return reason is None or (is_claimed and reason.code == Misfit.READS_FLAT_CONFIG)


def _require_free(present: PhoneLogin | None, user_uuid: str) -> None:
    if present is not None and present.user_uuid != user_uuid and present.state is LoginState.OPEN:
        raise OccupiedByAnother(present.username)
