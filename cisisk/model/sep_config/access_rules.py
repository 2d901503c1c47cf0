"""Rules about commands to the phone, and about secrets in its config."""

from collections.abc import Iterator

from cisisk.model.codes.config import FindingCode
from cisisk.model.sep_config.case import Case
from cisisk.model.sep_config.document import text_of
from cisisk.model.sep_config.finding import Finding

MAX_URL_LENGTH = 255
URL_PATHS = (
    "authenticationURL",
    "secureAuthenticationURL",
    "servicesURL",
    "secureServicesURL",
    "directoryURL",
    "secureDirectoryURL",
    "messagesURL",
    "secureMessagesURL",
    "informationURL",
    "secureInformationURL",
    "idleURL",
    "secureIdleURL",
    "proxyServerURL",
)
_KNOWN_VALUES = {
    "vendorConfig/webAccess": ("0", "1", "2"),
    "vendorConfig/settingsAccess": ("0", "1", "2"),
    "vendorConfig/pcPort": ("0", "1"),
    "vendorConfig/sshAccess": ("0", "1"),
    "vendorConfig/spanToPCPort": ("0", "1"),
    "vendorConfig/voiceVlanAccess": ("0", "1", "2"),
    "deviceSecurityMode": ("1", "2", "3"),
    "transportLayerProtocol": ("1", "2", "3", "4"),
}
"""Elements that hold a number. A phone ignores words such as ``on`` and uses its default
(docs/phone-protocol/sep-xml.md#elements)."""


def _authentication(case: Case) -> Iterator[Finding]:
    config = case.config
    if config.authentication_url == "":
        yield Finding(FindingCode.BLANK_AUTHENTICATION_URL.notice(), line=case.document.line("authenticationURL"))
    elif config.authentication_url is None and not config.secure_authentication_url and not case.reads_flat_config:
        yield Finding(FindingCode.MISSING_AUTHENTICATION_URL.notice())


def _web_access(case: Case) -> Iterator[Finding]:
    if case.config.web_access in {"disabled", "read_only"}:
        yield Finding(FindingCode.WEB_ACCESS_DISABLED.notice(), line=case.document.line("vendorConfig/webAccess"))


def _values(case: Case) -> Iterator[Finding]:
    for path, known in _KNOWN_VALUES.items():
        text = case.document.text(path)
        if text and text not in known:
            notice = FindingCode.VALUE_UNKNOWN.notice(element=path.rpartition("/")[2], known=known)
            yield Finding(notice, line=case.document.line(path))


def _urls(case: Case) -> Iterator[Finding]:
    for path in URL_PATHS:
        if len(case.document.text(path) or "") > MAX_URL_LENGTH:
            yield Finding(
                FindingCode.URL_TOO_LONG.notice(element=path, longest=MAX_URL_LENGTH), line=case.document.line(path)
            )


def _stored_passwords(case: Case) -> Iterator[Finding]:
    for name, code in (
        ("sshPassword", FindingCode.SSH_PASSWORD_PRESENT),
        ("phonePassword", FindingCode.PHONE_PASSWORD_PRESENT),
    ):
        for element in case.document.root.iter(f"{{*}}{name}"):
            if text_of(element):
                yield Finding(code.notice(element=name), line=element.sourceline)
                break


def _security(case: Case) -> Iterator[Finding]:
    document = case.document
    if case.config.device_security_mode in {"authenticated", "encrypted"}:
        yield Finding(FindingCode.SECURITY_MODE_NEEDS_TRUST_LIST.notice(), line=document.line("deviceSecurityMode"))
    if (document.text("encrConfig") or "").lower() in {"true", "1"}:
        yield Finding(FindingCode.ENCRYPTED_CONFIG.notice(), line=document.line("encrConfig"))


ACCESS_RULES = (_authentication, _web_access, _values, _urls, _stored_passwords, _security)
