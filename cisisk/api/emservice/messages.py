"""Parser of application messages: only the DTDs of the developer guide are accepted.

Source: Cisco's Extension Mobility API developer guide, "Message Document Type Definitions". The order of elements does
not matter. ``remoteIPAddr`` and ``isViaHeaderSet``, which the call manager's own pages send, are ignored.
"""

import re
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import TypeAlias
from urllib.parse import unquote

from lxml import etree

from cisisk.api.emservice.failures import BadMessage, UnknownQuery
from cisisk.model import foreign_xml

MAX_CHARACTERS = 65536
"""Longest message; the examples have about 400 characters."""
MAX_VALUE = 256
"""Longest name or password in characters, the same limit as for passwords elsewhere."""
MAX_QUERY_ITEMS = 500
"""Users or phones in one query; each needs several database queries."""
_MAX_MINUTES_DIGITS = 6
"""Almost two years; the limit of the call manager is a week."""

_DECLARATION = re.compile(r"<\?xml[ \t\r\n][^<>?]*\?>")
_IGNORED = ("remoteIPAddr", "isViaHeaderSet")


@dataclass(frozen=True, slots=True, kw_only=True)
class Application:
    """The credentials of the application."""

    name: str
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class LoginRequest:
    """Log a user in on a phone.

    Attributes:
        device: device name of the phone.
        username: the user.
        profile: name or uuid of the profile; None for the default profile.
        minutes: longest duration; None for the configured one.
    """

    device: str
    username: str
    profile: str | None
    minutes: int | None


@dataclass(frozen=True, slots=True)
class LogoutRequest:
    """Log out the user of a phone."""

    device: str


@dataclass(frozen=True, slots=True)
class LogoutAllRequest:
    """Log a user out of all phones. None logs out all users, the only form in the guide."""

    username: str | None


@dataclass(frozen=True, slots=True)
class DeviceUserQuery:
    """Return the users of phones."""

    devices: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class UserDevicesQuery:
    """Return the phones of users."""

    usernames: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class DeviceProfileQuery:
    """Return the profiles of users. The guide's example and its DTD use different names; applications use both."""

    usernames: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class CheckUser:
    """Return whether users exist."""

    usernames: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class CheckDeviceType:
    """Return the models of phones. Its format is not published; it is assumed to match the other queries."""

    devices: tuple[str, ...]


Query: TypeAlias = DeviceUserQuery | UserDevicesQuery | DeviceProfileQuery | CheckUser | CheckDeviceType
Operation: TypeAlias = LoginRequest | LogoutRequest | LogoutAllRequest | Query

_QUERIES: dict[str, tuple[str, type[Query]]] = {
    "deviceUserQuery": ("deviceName", DeviceUserQuery),
    "userDevicesQuery": ("userID", UserDevicesQuery),
    "deviceProfileQuery": ("userID", DeviceProfileQuery),
    "userDeviceProfileQuery": ("userID", DeviceProfileQuery),
    "checkUser": ("userID", CheckUser),
    "checkDeviceType": ("deviceName", CheckDeviceType),
}
"""The element name and class of each query."""


def parse(text: str) -> tuple[Application, Operation]:
    """Parse an untrusted message.

    Raises:
        BadMessage: the message is too long, not well-formed, has a DTD, or is unknown.
        UnknownQuery: the query is unknown.
    """
    root = _root(text)
    if root.tag == "request":
        children = _children(root, {"appInfo", "login", "logout", "logoutAll"})
    elif root.tag == "query":
        children = _children(root, None)
        if not children.keys() <= {"appInfo", *_QUERIES}:
            raise UnknownQuery("Unknown query")
    else:
        raise BadMessage("The root element is not request or query")
    application = _application(_only(children, "appInfo"))
    if len(children) > 1:
        raise BadMessage("The message has more than one operation")
    for name, elements in children.items():
        if len(elements) == 1:
            return application, _operation(name, elements[0])
    raise BadMessage("The message has no operation, or the same one twice")


def _root(text: str) -> etree._Element:
    if len(text) > MAX_CHARACTERS:
        raise BadMessage("The message is too long")
    document = text.strip("\ufeff \t\r\n")
    # The declared encoding is that of a file; the form has already been decoded.
    if declaration := _DECLARATION.match(document):
        document = document[declaration.end() :]
    if "<!DOCTYPE" in document:
        raise BadMessage("A DTD is not accepted")
    try:
        return etree.fromstring(document.encode(), foreign_xml.parser("utf-8"))
    except (etree.XMLSyntaxError, UnicodeEncodeError):
        # The parser's message may quote the password.
        raise BadMessage("Not well-formed XML") from None


def _operation(name: str, element: etree._Element) -> Operation:
    if name == "login":
        return _login(element)
    if name == "logout":
        children = _children(element, {"deviceName", *_IGNORED})
        return LogoutRequest(_required(children, "deviceName"))
    if name == "logoutAll":
        children = _children(element, {"userID", *_IGNORED})
        return LogoutAllRequest(_username(_required(children, "userID")) if "userID" in children else None)
    return _query(name, element)


def _login(element: etree._Element) -> LoginRequest:
    children = _children(element, {"deviceName", "userID", "deviceProfile", "exclusiveDuration", *_IGNORED})
    return LoginRequest(
        device=_required(children, "deviceName"),
        username=_username(_required(children, "userID")),
        # Serialisers write an empty element for an unset value.
        profile=(_value(_only(children, "deviceProfile")) or None) if "deviceProfile" in children else None,
        minutes=_minutes(_only(children, "exclusiveDuration")) if "exclusiveDuration" in children else None,
    )


def _minutes(element: etree._Element) -> int | None:
    children = _children(element, {"time", "indefinite"})
    if children.keys() == {"indefinite"}:
        if _value(_only(children, "indefinite")):
            raise BadMessage("indefinite must be empty")
        return None
    digits = _required(children, "time")
    if children or len(digits) > _MAX_MINUTES_DIGITS or not re.fullmatch("[0-9]*[1-9][0-9]*", digits):
        raise BadMessage("A duration must be a number of minutes or indefinite")
    return int(digits)


def _query(name: str, element: etree._Element) -> Query:
    named, kind = _QUERIES[name]
    found = _children(element, {named, *_IGNORED}).get(named, [])
    if not 0 < len(found) <= MAX_QUERY_ITEMS:
        raise BadMessage(f"A query must name 1 to {MAX_QUERY_ITEMS} users or phones")
    values = [_filled(each) for each in found]
    return kind(tuple(map(_username, values) if named == "userID" else values))


def _application(element: etree._Element) -> Application:
    children = _children(element, {"appID", "appCertificate", "appEncryptedCertificate"})
    name = _value(_only(children, "appID"))
    if "appEncryptedCertificate" in children:
        # Encrypted with a key that only call managers have: no password can match.
        return Application(name=name, password="")
    return Application(name=name, password=_text(_only(children, "appCertificate")))


def _children(element: etree._Element, known: Collection[str] | None) -> dict[str, list[etree._Element]]:
    """Return the children of ``element`` by name; None for ``known`` allows any name."""
    if element.attrib or any((part or "").strip() for part in (element.text, *(child.tail for child in element))):
        raise BadMessage("Attributes and text between elements are not allowed")
    children: dict[str, list[etree._Element]] = {}
    for child in element:
        name = str(child.tag)
        if known is not None and name not in known:
            raise BadMessage("An unexpected element")
        children.setdefault(name, []).append(child)
    return children


def _only(children: dict[str, list[etree._Element]], name: str) -> etree._Element:
    """Remove and return the only element called ``name``."""
    found = children.pop(name, [])
    if len(found) != 1:
        raise BadMessage(f"{name} must occur exactly once")
    return found[0]


def _required(children: dict[str, list[etree._Element]], name: str) -> str:
    return _filled(_only(children, name))


def _filled(element: etree._Element) -> str:
    value = _value(element)
    if not value:
        raise BadMessage("A value is empty")
    return value


def _value(element: etree._Element) -> str:
    return _text(element).strip()


def _text(element: etree._Element) -> str:
    text = element.text or ""
    if len(element) or element.attrib or len(text) > MAX_VALUE:
        raise BadMessage(f"A value must be plain text of at most {MAX_VALUE} characters")
    return text


def _username(value: str) -> str:
    """Decode a user ID: percent-encoded UTF-8 (the guide, "Character Encoding Support")."""
    return unquote(value)
