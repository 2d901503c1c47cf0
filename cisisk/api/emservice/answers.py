"""Answers to applications, in the call manager's XML.

The forms are those of its developer guide ("Request Types Reference") and, where that contradicts itself, of published
traces of the service: a phone always has three elements, of which ``none`` stands for each that has no value. Without
an XML declaration, as there for queries, and in ASCII: applications read them with whatever encoding they think of.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias
from urllib.parse import quote

from lxml import etree

from cisisk.api.emservice.failures import Failure

CONTENT_TYPE = "text/xml"
"""From memory: the guide names none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceUser:
    """Who is logged in on a phone.

    Attributes:
        name: as it was asked for, like everywhere here.
        username: None for nobody.
        last_username: who logged in there last, and may still be; None for nobody ever.
    """

    name: str
    exists: bool
    username: str | None = None
    last_username: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class UserDevices:
    """On which phones a user is logged in, by device name; None for no such user."""

    name: str
    devices: Sequence[str] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class UserProfiles:
    """The profiles of a user: their names, and whether each comes first on some model; or why there are none."""

    name: str
    profiles: Sequence[tuple[str, bool]] | Failure


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedUser:
    """Whether a user exists."""

    name: str
    exists: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceType:
    """The model of a phone; None when it is not known."""

    name: str
    exists: bool
    model: str | None = None


Result: TypeAlias = DeviceUser | UserDevices | UserProfiles | CheckedUser | DeviceType

_WRAPPERS: dict[type[Result], str] = {
    DeviceUser: "deviceUserResults",
    UserDevices: "userDevicesResults",
    UserProfiles: "deviceProfileResults",
    CheckedUser: "checkUserResults",
    # Published nowhere, like the query.
    DeviceType: "checkDeviceTypeResults",
}


def success() -> bytes:
    """What was asked is done, or will be without further ado."""
    response = etree.Element("response")
    etree.SubElement(response, "success")
    return etree.tostring(response)


def failure(why: Failure) -> bytes:
    """What was asked is refused, a query as well: the guide's DTD has another form for these, its examples this one."""
    response = etree.Element("response")
    _add_failure(response, why)
    return etree.tostring(response)


def results(found: Sequence[Result]) -> bytes:
    """What was found, in the order in which it was asked for; at least one, and all of one kind."""
    response = etree.Element("response")
    wrapper = etree.SubElement(response, _WRAPPERS[type(found[0])])
    for each in found:
        match each:
            case DeviceUser():
                _add_device_user(wrapper, each)
            case UserDevices():
                _add_user_devices(wrapper, each)
            case UserProfiles():
                _add_user_profiles(wrapper, each)
            case CheckedUser():
                _add_checked_user(wrapper, each)
            case DeviceType():
                _add_device_type(wrapper, each)
    return etree.tostring(response)


def _add_device_user(wrapper: etree._Element, found: DeviceUser) -> None:
    device = etree.SubElement(wrapper, "device", name=found.name)
    if not found.exists:
        etree.SubElement(device, "doesNotExist")
        return
    for name, username in (("userID", found.username), ("lastlogin", found.last_username)):
        if username is None:
            etree.SubElement(device, "none")
        else:
            _add(device, name, _encoded(username))
    _add(device, "emccDevice", "no")


def _add_user_devices(wrapper: etree._Element, found: UserDevices) -> None:
    user = _add_user(wrapper, found.name)
    if found.devices is None:
        etree.SubElement(user, "doesNotExist")
    elif not found.devices:
        etree.SubElement(user, "none")
    else:
        for device in found.devices:
            _add(user, "deviceName", device)


def _add_user_profiles(wrapper: etree._Element, found: UserProfiles) -> None:
    user = _add_user(wrapper, found.name)
    if isinstance(found.profiles, Failure):
        # Neither doesNotExist nor none: applications in the field read failure/error here.
        _add_failure(user, found.profiles)
        return
    for name, is_default in found.profiles:
        profile = etree.SubElement(user, "deviceProfile")
        _add(profile, "deviceProfileName", name)
        _add(profile, "isDefaultDeviceProfile", "t" if is_default else "f")


def _add_checked_user(wrapper: etree._Element, found: CheckedUser) -> None:
    user = _add_user(wrapper, found.name)
    if found.exists:
        _add(user, "exists", _encoded(found.name))
    else:
        etree.SubElement(user, "doesNotExist")


def _add_device_type(wrapper: etree._Element, found: DeviceType) -> None:
    device = etree.SubElement(wrapper, "device", name=found.name)
    if not found.exists:
        etree.SubElement(device, "doesNotExist")
    elif found.model is None:
        etree.SubElement(device, "none")
    else:
        _add(device, "deviceType", found.model)


def _add_user(wrapper: etree._Element, name: str) -> etree._Element:
    return etree.SubElement(wrapper, "user", id=_encoded(name))


def _add_failure(parent: etree._Element, why: Failure) -> None:
    error = etree.SubElement(etree.SubElement(parent, "failure"), "error", code=str(why.code))
    error.text = why.text


def _add(parent: etree._Element, name: str, text: str) -> None:
    etree.SubElement(parent, name).text = text


def _encoded(username: str) -> str:
    """A user ID as it goes over the wire: ``em%40cisco.com``."""
    return quote(username, safe="")
