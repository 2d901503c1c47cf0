"""The elements of a config file that a simulated phone uses."""

import re
from dataclasses import dataclass, field
from typing import Self

from lxml import etree

from cisisk.simulator import phone_xml

MAX_TEXT = 255
"""Longest URL or file name in characters (docs/phone-protocol/sep-xml.md#elements)."""
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_NUMBER = re.compile(r"[0-9]{1,5}", re.ASCII)
_USE_CALL_MANAGER = "USECALLMANAGER"
"""As the ``proxy`` of a line: register with the process node of the call manager group."""
_TCP = "1"
_TLS = "3"
"""Values of ``transportLayerProtocol``."""
_SIP_PORT = 5060
_EXPIRES = 3600
"""Default of ``timerRegisterExpires`` in seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LineAtProxy:
    """The registration parameters of the first line.

    Attributes:
        name: user part of the address of record.
        contact: user part of the contact.
        host, port: the registrar.
        is_tcp: use TCP; otherwise UDP.
        auth_name, auth_password: credentials for a challenge.
        expires: lifetime to request, in seconds.
    """

    name: str
    contact: str
    host: str
    port: int
    is_tcp: bool
    auth_name: str
    auth_password: str = field(repr=False)
    expires: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PhoneService:
    """An entry of the phone's own list of services."""

    name: str
    url: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningConfig:
    """The elements that a simulated phone uses. An absent or invalid element is empty.

    Attributes:
        load: firmware name without ``.loads``.
        user_locale: directory of the dictionary; None if the element is absent. With None the phone requests no
            dictionary, with an empty string it requests one at ``/``.
        network_locale: directory of the tones, with the same distinction.
        extra_files: the files of soft keys, dial plan and feature policy, in request order.
        authentication_url: authorises requests to ``/CGI/Execute``; empty authorises every request.
        web_access: 0 enabled, 1 disabled, 2 read only.
        settings_access: 1 enabled.
        line: name of the first line.
        contact: user part of its contact, if different.
        has_call_manager: the first line registers with a call manager and accepts its service-control requests.
        services_url: page of the Services key; empty for the phone's own list.
        directory_url: page of the Directories key; empty for the phone's own list.
        services: the phone's own list.
        registers: registration of the first line; None without a proxy or when the transport is TLS.
    """

    load: str
    user_locale: str | None
    network_locale: str | None
    extra_files: tuple[str, ...]
    authentication_url: str
    web_access: str
    settings_access: str
    line: str
    contact: str
    has_call_manager: bool
    services_url: str
    directory_url: str
    services: tuple[PhoneService, ...]
    registers: LineAtProxy | None = None

    @classmethod
    def read(cls, document: bytes, *, root: str = "device") -> Self:
        """Parse a ``SEP<MAC>.cnf.xml``, or an ``XMLDefault.cnf.xml``, whose root is ``Default``.

        Raises:
            XmlError: the document is one that a phone rejects.
        """
        device = phone_xml.parse(document, root)
        # 0 is the phone's own list, 1 the URLs, 2 both (docs/phone-protocol/sep-xml.md#elements).
        provisioning = _text(device, "phoneServices/provisioning")
        own_list = () if provisioning == "1" else device.iterfind("phoneServices/phoneService")
        extra = (_text(device, name) for name in ("softKeyFile", "dialTemplate", "featurePolicyFile"))
        return cls(
            load=_text(device, "loadInformation"),
            user_locale=_text(device, "userLocale/name") if device.find("userLocale") is not None else None,
            network_locale=_text(device, "networkLocale") if device.find("networkLocale") is not None else None,
            extra_files=tuple(name for name in extra if name),
            authentication_url=_text(device, "authenticationURL"),
            web_access=_text(device, "vendorConfig/webAccess"),
            settings_access=_text(device, "vendorConfig/settingsAccess"),
            line=_text(device, "sipProfile/sipLines/line/name"),
            contact=_text(device, "sipProfile/sipLines/line/contact"),
            services_url="" if provisioning == "0" else _text(device, "servicesURL"),
            directory_url="" if provisioning == "0" else _text(device, "directoryURL"),
            services=tuple(
                PhoneService(name=_text(service, "name"), url=_text(service, "url")) for service in own_list
            ),
            has_call_manager=_text(device, "sipProfile/sipLines/line/proxy") == _USE_CALL_MANAGER,
            registers=_line_at_proxy(device),
        )


def _line_at_proxy(device: etree._Element) -> LineAtProxy | None:
    line, transport = device.find("sipProfile/sipLines/line"), _text(device, "transportLayerProtocol")
    if line is None or transport == _TLS:
        return None
    name, host, port = _text(line, "name"), _text(line, "proxy"), _text(line, "port")
    if host == _USE_CALL_MANAGER:
        members = device.findall("devicePool/callManagerGroup/members/member")
        first = min(members, key=lambda member: _number(member.get("priority", ""), 0), default=device)
        host = _text(first, "callManager/processNodeName")
        port = _text(first, "callManager/ports/sipPort")
    if not name or not host:
        return None
    return LineAtProxy(
        name=name,
        contact=_text(line, "contact") or name,
        host=host,
        port=_number(port, _SIP_PORT),
        is_tcp=transport == _TCP,
        auth_name=_text(line, "authName") or name,
        auth_password=_text(line, "authPassword"),
        expires=_number(_text(device, "sipProfile/sipStack/timerRegisterExpires"), _EXPIRES),
    )


def _number(text: str, default: int) -> int:
    return int(text) if _NUMBER.fullmatch(text) and 0 < int(text) < 1 << 16 else default


def _text(device: etree._Element, path: str) -> str:
    text = (device.findtext(path) or "").strip()
    return "" if len(text) > MAX_TEXT or _CONTROL.search(text) else text
