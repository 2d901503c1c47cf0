"""The facts of a config that boots, switches, comparisons and findings need.

Source: docs/phone-protocol/sep-xml.md#elements
"""

from dataclasses import dataclass, field
from itertools import islice
from typing import Literal, TypeAlias

from lxml import etree

from cisisk.model.catalogue import Protocol
from cisisk.model.loads import load_protocol, read_load
from cisisk.model.sep_config.document import Document, local_name, text_of
from cisisk.model.sep_config.refusal import refusal

LINE_PATH = "sipProfile/sipLines/line"
MAX_LINES = 512
"""More than any phone shows: an 8865 with three modules has 113 keys."""
LINE_FEATURE = 9
"""The featureID of a line key. Other keys have others: 20 is a service, 21 a busy lamp."""

WebAccess: TypeAlias = Literal["enabled", "disabled", "read_only"]
SecurityMode: TypeAlias = Literal["none", "authenticated", "encrypted"]
Transport: TypeAlias = Literal["TCP", "UDP", "TLS"]

_CALL_MANAGER = "devicePool/callManagerGroup/members/member/callManager"
_PROTOCOLS: dict[str | None, Protocol] = {"SIP": "SIP", "SCCP": "SCCP"}
_WEB_ACCESS: dict[str | None, WebAccess] = {"0": "enabled", "1": "disabled", "2": "read_only"}
_SECURITY_MODES: dict[str | None, SecurityMode] = {"1": "none", "2": "authenticated", "3": "encrypted"}
_TRANSPORTS: dict[str | None, Transport] = {"1": "TCP", "2": "UDP", "3": "TLS"}
_MAX_DIGITS = 9


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One programmable key.

    Attributes:
        button: the number of the key, from 1.
        feature_id: the function of the key; :data:`LINE_FEATURE` is a line.
        name: the SIP user.
        proxy: a host, or ``USECALLMANAGER``.
        at: the line of the file on which the element begins.
    """

    button: int | None
    line_index: int | None
    feature_id: int | None
    name: str | None
    contact: str | None
    display_name: str | None
    label: str | None
    proxy: str | None
    at: int | None = field(compare=False)

    @property
    def is_line(self) -> bool:
        """Whether the key is a line, for calls."""
        return self.feature_id == LINE_FEATURE


@dataclass(frozen=True, slots=True, kw_only=True)
class SepConfig:
    """The facts of one config. It holds no passwords.

    An attribute is None if the file lacks the element, or the element has an unknown value. A URL is ``""`` if the
    element is blank. URLs are left out of the repr, because they may carry credentials.

    Attributes:
        encoding: as declared, in upper case.
        protocol: as declared.
        has_sip_profile: whether there is a ``<sipProfile>``; SIP configs that declare no protocol have one.
        has_sccp_port: whether there is an ``<ethernetPhonePort>``; SIP configs often have it as well.
        load: the firmware load; with None the phone keeps its firmware.
        load_server: another host from which the phone fetches its firmware.
        is_flat: whether it is a flat config, ``SIP<MAC>.cnf``.
        modules: the number of configured key expansion modules.
        call_managers: hosts, in the order of the file.
    """

    encoding: str
    protocol: Protocol | None
    has_sip_profile: bool
    has_sccp_port: bool
    load: str | None
    load_server: str | None
    lines: tuple[Line, ...]
    modules: int
    phone_label: str | None
    call_managers: tuple[str, ...]
    device_security_mode: SecurityMode | None
    transport: Transport | None
    web_access: WebAccess | None
    user_locale: str | None
    network_locale: str | None
    authentication_url: str | None = field(repr=False)
    secure_authentication_url: str | None = field(repr=False)
    is_flat: bool = False

    @property
    def speaks(self) -> Protocol | None:
        """The protocol of a phone with this config; None if nothing in the file reveals it.

        The declared protocol; else that of the load, which the phone will run; else that of the settings.
        """
        return self.protocol or load_protocol(self.load or "") or self.settings_protocol

    @property
    def is_read_for_firmware_only(self) -> bool:
        """Whether phones with the load that it names read their lines from a flat config instead."""
        return not self.is_flat and read_load(self.load or "").reads_flat_config

    @property
    def settings_protocol(self) -> Protocol | None:
        """The protocol that the settings in the file are for: SIP lines, or a port for SCCP without SIP settings."""
        if self.has_sip_profile:
            return "SIP"
        return "SCCP" if self.has_sccp_port else None


def facts_of(document: Document) -> SepConfig:
    """Return the facts of a config.

    Raises:
        Invalid: it has more than :data:`MAX_LINES` lines.
    """
    text = document.text
    return SepConfig(
        encoding=document.encoding,
        protocol=_PROTOCOLS.get((text("deviceProtocol") or "").upper()),
        has_sip_profile=document.first("sipProfile") is not None,
        has_sccp_port=bool(document.text(f"{_CALL_MANAGER}/ports/ethernetPhonePort")),
        load=text("loadInformation") or None,
        load_server=text("vendorConfig/loadServer") or None,
        lines=_lines(document),
        modules=sum(1 for _ in document.every("addOnModules/addOnModule")),
        phone_label=text("sipProfile/phoneLabel"),
        call_managers=_call_managers(document),
        device_security_mode=_SECURITY_MODES.get(text("deviceSecurityMode")),
        transport=_TRANSPORTS.get(text("transportLayerProtocol")),
        web_access=_WEB_ACCESS.get(text("vendorConfig/webAccess")),
        user_locale=text("userLocale/name") or text("userLocale") or None,
        network_locale=text("networkLocale") or None,
        authentication_url=text("authenticationURL"),
        secure_authentication_url=text("secureAuthenticationURL"),
    )


def _call_managers(document: Document) -> tuple[str, ...]:
    nodes = document.every(f"{_CALL_MANAGER}/processNodeName")
    return tuple(name for name in map(text_of, nodes) if name)


def _lines(document: Document) -> tuple[Line, ...]:
    elements = list(islice(document.every(LINE_PATH), MAX_LINES + 1))
    if len(elements) > MAX_LINES:
        raise refusal(
            f"The file has more than {MAX_LINES} <line> elements. No phone has so many keys; remove some.",
            line=elements[MAX_LINES].sourceline,
        )
    return tuple(_line(element) for element in elements)


def _line(element: etree._Element) -> Line:
    texts: dict[str, str] = {}
    for child in element:
        texts.setdefault(local_name(child), text_of(child))
    return Line(
        button=_number(element.get("button")),
        line_index=_number(element.get("lineIndex")),
        feature_id=_number(texts.get("featureID")),
        name=texts.get("name"),
        contact=texts.get("contact"),
        display_name=texts.get("displayName"),
        label=texts.get("featureLabel"),
        proxy=texts.get("proxy"),
        at=element.sourceline,
    )


def _number(text: str | None) -> int | None:
    digits = (text or "").strip()
    return int(digits) if digits.isascii() and digits.isdigit() and len(digits) <= _MAX_DIGITS else None
