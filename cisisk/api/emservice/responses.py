"""Responses to applications in the call manager's XML.

The format follows the developer guide ("Request Types Reference") and, where it is inconsistent, published traces of
the service: a phone always has three elements, with ``none`` for each missing value. Responses have no XML declaration,
like the guide's query responses, and are ASCII, because applications decode them with various encodings.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias
from urllib.parse import quote

from lxml import etree

from cisisk.api.emservice.failures import Failure

CONTENT_TYPE = "text/xml"
"""Not specified in the guide; chosen from experience."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceUser:
    """The user of a phone.

    Attributes:
        name: device name as in the query; this applies to all results.
        exists: the phone is in the inventory.
        username: the logged-in user, or None.
        last_username: the user of the last login, which may still be active; None if there was none.
    """

    name: str
    exists: bool
    username: str | None = None
    last_username: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class UserDevices:
    """The device names of a user's phones; None if the user does not exist."""

    name: str
    devices: Sequence[str] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class UserProfiles:
    """The profiles of a user: name and whether it is a default profile; or a failure."""

    name: str
    profiles: Sequence[tuple[str, bool]] | Failure


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedUser:
    """The existence of a user."""

    name: str
    exists: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceType:
    """The model of a phone; None if unknown."""

    name: str
    exists: bool
    model: str | None = None


Result: TypeAlias = DeviceUser | UserDevices | UserProfiles | CheckedUser | DeviceType

_WRAPPERS: dict[type[Result], str] = {
    DeviceUser: "deviceUserResults",
    UserDevices: "userDevicesResults",
    UserProfiles: "deviceProfileResults",
    CheckedUser: "checkUserResults",
    # Not published, like the query.
    DeviceType: "checkDeviceTypeResults",
}


def success() -> bytes:
    """Return the response to a successful request."""
    response = etree.Element("response")
    etree.SubElement(response, "success")
    return etree.tostring(response)


def failure(reason: Failure) -> bytes:
    """Return the response to a refused request or query. For queries it follows the guide's examples, not its DTD."""
    response = etree.Element("response")
    _add_failure(response, reason)
    return etree.tostring(response)


def results(found: Sequence[Result]) -> bytes:
    """Return the response to a query with at least one result; all results have the same type."""
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
        # Existing applications expect failure/error here, not doesNotExist or none.
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


def _add_failure(parent: etree._Element, reason: Failure) -> None:
    error = etree.SubElement(etree.SubElement(parent, "failure"), "error", code=str(reason.code))
    error.text = reason.text


def _add(parent: etree._Element, name: str, text: str) -> None:
    etree.SubElement(parent, name).text = text


def _encoded(username: str) -> str:
    """Return a percent-encoded user ID such as ``em%40cisco.com``."""
    return quote(username, safe="")
