"""Execution of the messages, with the same functions as on the phones' screens."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from cisisk.api.emservice.failures import (
    FAILURES,
    NoUserLoggedIn,
    UnknownDevice,
    UnknownUser,
    UserDeactivated,
)
from cisisk.api.emservice.messages import (
    CheckDeviceType,
    CheckUser,
    DeviceProfileQuery,
    DeviceUserQuery,
    LoginRequest,
    LogoutAllRequest,
    LogoutRequest,
    Query,
    UserDevicesQuery,
)
from cisisk.api.emservice.responses import CheckedUser, DeviceType, DeviceUser, Result, UserDevices, UserProfiles
from cisisk.mobility.phone_logins import PhoneLogins
from cisisk.model.codes.phone_login import LoginRefusal
from cisisk.model.errors import Invalid
from cisisk.model.listing import Listing
from cisisk.model.mac import Mac
from cisisk.model.phone import Phone
from cisisk.model.phone_login import EndReason, LoginState, LoginWay, NoFittingProfile, PhoneLogin
from cisisk.model.user import Actor, User
from cisisk.store import default_profiles, phones, profiles, users
from cisisk.store.database import Database

_MAX_CONCURRENT_LOGOUTS = 16
"""Concurrent logouts of all users; each locks a phone for some seconds."""


@dataclass(frozen=True, slots=True)
class Operations:
    """The operations of applications."""

    db: Database
    logins: PhoneLogins

    async def log_in(self, actor: Actor, wanted: LoginRequest) -> None:
        """Log a user in on a phone.

        If the settings move a user's login to the last phone, the request counts as the confirmation, as with the call
        manager.

        Raises:
            UnknownDevice, UnknownUser, UserDeactivated: the phone or the user cannot be used.
            NoFittingProfile, PhoneDisabled, OccupiedByAnother, LoggedInElsewhere, NotFound, Conflict, StorageFailed:
                like :meth:`PhoneLogins.log_in`.
        """
        mac = (await self._phone(wanted.device)).mac
        user = await self._user(wanted.username)
        if not user.is_active:
            raise UserDeactivated("The user is deactivated")
        profile_uuid = None if wanted.profile is None else await self._profile(user, mac, wanted.profile)
        await self.logins.log_in(
            actor,
            user.uuid,
            mac,
            profile_uuid,
            minutes=wanted.minutes,
            takes_over=True,
            replaces=False,
            how=LoginWay.EMAPI,
        )

    async def log_out(self, actor: Actor, wanted: LogoutRequest) -> None:
        """Log out the user of a phone.

        Raises:
            UnknownDevice, NoUserLoggedIn: the phone is unknown or has no user.
            StorageFailed: the disk or the database failed.
        """
        mac = (await self._phone(wanted.device)).mac
        if await self.logins.log_out(actor, mac, EndReason.APPLICATION) is None:
            raise NoUserLoggedIn("No user is logged in on this phone")

    async def log_out_all(self, actor: Actor, wanted: LogoutAllRequest) -> None:
        """Log out a user or all users on all phones. Raises UnknownUser, StorageFailed."""
        if wanted.username is not None:
            user = await self._user(wanted.username)
            await self.logins.log_out_everywhere(actor, user.uuid, EndReason.APPLICATION)
            return
        semaphore = asyncio.Semaphore(_MAX_CONCURRENT_LOGOUTS)

        async def log_out(login: PhoneLogin) -> None:
            async with semaphore:
                await self.logins.log_out(actor, login.mac, EndReason.APPLICATION, login=login)

        logins = (await self.logins.page(Listing())).items
        results = await asyncio.gather(*map(log_out, logins), return_exceptions=True)
        # Raise only after all logouts: one failure must not prevent the others.
        for error in results:
            if error is not None:
                raise error

    async def find(self, query: Query) -> Sequence[Result]:
        """Return the results of a query in its order."""
        match query:
            case DeviceUserQuery(devices):
                return [await self._device_user(name) for name in devices]
            case UserDevicesQuery(usernames):
                return [await self._user_devices(name) for name in usernames]
            case DeviceProfileQuery(usernames):
                return [await self._user_profiles(name) for name in usernames]
            case CheckUser(usernames):
                return [CheckedUser(name=name, exists=await self._known(name) is not None) for name in usernames]
            case CheckDeviceType(devices):
                return [await self._device_type(name) for name in devices]

    async def _device_user(self, name: str) -> DeviceUser:
        phone = await self._found(name)
        if phone is None:
            return DeviceUser(name=name, exists=False)
        login, last = await self.logins.on(phone.mac), await self.logins.last_on(phone.mac)
        return DeviceUser(
            name=name,
            exists=True,
            username=login.username if login else None,
            last_username=last.username if last else None,
        )

    async def _user_devices(self, name: str) -> UserDevices:
        user = await self._known(name)
        if user is None:
            return UserDevices(name=name, devices=None)
        begun = [login for login in await self.logins.where(user.uuid) if login.state is not LoginState.BEGINNING]
        return UserDevices(name=name, devices=[login.mac.device_name for login in begun])

    async def _user_profiles(self, name: str) -> UserProfiles:
        user = await self._known(name)
        if user is None:
            return UserProfiles(name=name, profiles=FAILURES[UnknownUser])
        heads = await self.db.read(profiles.heads, user.uuid)
        firsts = {default.profile_uuid for default in await self.db.read(default_profiles.of_user, user.uuid)}
        found = [(profile.name, profile.uuid in firsts) for profile in heads]
        return UserProfiles(name=name, profiles=found or FAILURES[NoFittingProfile])

    async def _device_type(self, name: str) -> DeviceType:
        phone = await self._found(name)
        return DeviceType(name=name, exists=phone is not None, model=phone.model if phone else None)

    async def _profile(self, user: User, mac: Mac, wanted: str) -> str:
        """Return the uuid of the user's fitting profile with the name or uuid ``wanted``."""
        fitting = await self.logins.profiles_for(user.uuid, mac, None)
        for profile in fitting:
            if wanted in (profile.name, profile.uuid):
                return profile.uuid
        for profile in fitting:
            # The call manager ignores the case of names.
            if wanted.casefold() in (profile.name.casefold(), profile.uuid):
                return profile.uuid
        raise NoFittingProfile(LoginRefusal.NO_PROFILE_OF_NAME)

    async def _phone(self, name: str) -> Phone:
        phone = await self._found(name)
        if phone is None:
            raise UnknownDevice("The phone is not in the inventory")
        return phone

    async def _found(self, name: str) -> Phone | None:
        try:
            return await self.db.read(phones.find, Mac.parse(name))
        except Invalid:
            return None

    async def _user(self, name: str) -> User:
        user = await self._known(name)
        if user is None:
            raise UnknownUser("The user does not exist")
        return user

    async def _known(self, name: str) -> User | None:
        known = await self.db.read(users.credentials, name)
        return None if known is None else known[0]
