"""The one place where an application's message is parsed: the DTDs of the guide, and nothing else.

Cisco's Extension Mobility API developer guide, "Message Document Type Definitions". The order of elements is not looked
at; ``remoteIPAddr`` and ``isViaHeaderSet``, by which the call manager's own pages vouch for phones, are passed over.
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
"""A message of the size of an example has 400."""
MAX_VALUE = 256
"""Characters of a name or a password; passwords have no more here."""
MAX_ASKED = 500
"""Users or phones in one query: each is some look-ups in the database."""
_MAX_MINUTES_DIGITS = 6
"""Almost two years; the call manager's own limit is a week."""

_DECLARATION = re.compile(r"<\?xml[ \t\r\n][^<>?]*\?>")
_IGNORED = ("remoteIPAddr", "isViaHeaderSet")


@dataclass(frozen=True, slots=True, kw_only=True)
class Application:
    """Who asks: a user's name and password."""

    name: str
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class LoginRequest:
    """Log a user in on a phone.

    Attributes:
        profile: its name or uuid; None for the one that comes first.
        minutes: how long at most; None for as long as the settings say.
    """

    device: str
    username: str
    profile: str | None
    minutes: int | None


@dataclass(frozen=True, slots=True)
class LogoutRequest:
    """Log out whoever is logged in on a phone."""

    device: str


@dataclass(frozen=True, slots=True)
class LogoutAllRequest:
    """Log a user out of all phones; None for every user, which is all that the guide knows."""

    username: str | None


@dataclass(frozen=True, slots=True)
class DeviceUserQuery:
    """Who is logged in on phones."""

    devices: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class UserDevicesQuery:
    """On which phones users are logged in."""

    usernames: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class DeviceProfileQuery:
    """Which profiles users have. The guide's example calls it by another name than its DTD; applications use both."""

    usernames: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class CheckUser:
    """Whether users exist."""

    usernames: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class CheckDeviceType:
    """Which models phones are. Published nowhere: taken to be like the other queries."""

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
"""What is named in each query, and which query it is."""


def parse(text: str) -> tuple[Application, Operation]:
    """Read a message that may come from anybody.

    Raises:
        BadMessage: it is too long, not well-formed, has a DTD, or is none of the messages.
        UnknownQuery: it is a query, but none of those.
    """
    root = _root(text)
    if root.tag == "request":
        children = _children(root, {"appInfo", "login", "logout", "logoutAll"})
    elif root.tag == "query":
        children = _children(root, None)
        if not children.keys() <= {"appInfo", *_QUERIES}:
            raise UnknownQuery("No such query")
    else:
        raise BadMessage("Neither a request nor a query")
    application = _application(_only(children, "appInfo"))
    if len(children) > 1:
        raise BadMessage("More than one thing is asked")
    for name, elements in children.items():
        if len(elements) == 1:
            return application, _operation(name, elements[0])
    raise BadMessage("Nothing is asked, or something twice")


def _root(text: str) -> etree._Element:
    if len(text) > MAX_CHARACTERS:
        raise BadMessage("The message is too long")
    document = text.strip("\ufeff \t\r\n")
    # Whatever encoding is declared was that of a file: the form has its own.
    if declaration := _DECLARATION.match(document):
        document = document[declaration.end() :]
    if "<!DOCTYPE" in document:
        raise BadMessage("A DTD is not accepted")
    try:
        return etree.fromstring(document.encode(), foreign_xml.parser("utf-8"))
    except (etree.XMLSyntaxError, UnicodeEncodeError):
        # The parser's own words may quote the password.
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
        # Serialisers write an empty element for what is not set.
        profile=(_value(_only(children, "deviceProfile")) or None) if "deviceProfile" in children else None,
        minutes=_minutes(_only(children, "exclusiveDuration")) if "exclusiveDuration" in children else None,
    )


def _minutes(element: etree._Element) -> int | None:
    children = _children(element, {"time", "indefinite"})
    if children.keys() == {"indefinite"}:
        if _value(_only(children, "indefinite")):
            raise BadMessage("indefinite is empty")
        return None
    digits = _required(children, "time")
    if children or len(digits) > _MAX_MINUTES_DIGITS or not re.fullmatch("[0-9]*[1-9][0-9]*", digits):
        raise BadMessage("A duration is a number of minutes, or indefinite")
    return int(digits)


def _query(name: str, element: etree._Element) -> Query:
    named, kind = _QUERIES[name]
    found = _children(element, {named, *_IGNORED}).get(named, [])
    if not 0 < len(found) <= MAX_ASKED:
        raise BadMessage(f"A query names 1 to {MAX_ASKED} users or phones")
    values = [_filled(each) for each in found]
    return kind(tuple(map(_username, values) if named == "userID" else values))


def _application(element: etree._Element) -> Application:
    children = _children(element, {"appID", "appCertificate", "appEncryptedCertificate"})
    name = _value(_only(children, "appID"))
    if "appEncryptedCertificate" in children:
        # With a key that only call managers have: it is nobody's password here.
        return Application(name=name, password="")
    return Application(name=name, password=_text(_only(children, "appCertificate")))


def _children(element: etree._Element, known: Collection[str] | None) -> dict[str, list[etree._Element]]:
    """The elements below ``element`` by name; None for ``known`` lets any name pass."""
    if element.attrib or any((part or "").strip() for part in (element.text, *(child.tail for child in element))):
        raise BadMessage("An attribute, or text between elements")
    children: dict[str, list[etree._Element]] = {}
    for child in element:
        name = str(child.tag)
        if known is not None and name not in known:
            raise BadMessage("An element that does not belong there")
        children.setdefault(name, []).append(child)
    return children


def _only(children: dict[str, list[etree._Element]], name: str) -> etree._Element:
    """Take out the one element of that name."""
    found = children.pop(name, [])
    if len(found) != 1:
        raise BadMessage(f"{name} stands there once")
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
        raise BadMessage("A value is plain text, and not long")
    return text


def _username(value: str) -> str:
    """User IDs are percent-encoded UTF-8 in both directions (the guide, "Character Encoding Support")."""
    return unquote(value)
