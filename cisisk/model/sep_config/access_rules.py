"""Rules about who may command the phone, and who may read its secrets."""

from collections.abc import Iterator

from cisisk.model.sep_config.case import Case
from cisisk.model.sep_config.document import text_of
from cisisk.model.sep_config.finding import Finding, FindingCode

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


def _authentication(case: Case) -> Iterator[Finding]:
    config = case.config
    remedy = "Set it to the authentication URL of this server."
    if config.authentication_url == "":
        yield Finding(
            code=FindingCode.BLANK_AUTHENTICATION_URL,
            message=f"authenticationURL is blank: the phone obeys commands from anybody. {remedy}",
            line=case.document.line("authenticationURL"),
        )
    elif config.authentication_url is None and not config.secure_authentication_url:
        yield Finding(
            code=FindingCode.MISSING_AUTHENTICATION_URL,
            message=f"There is no authenticationURL: the phone can ask nobody whether a command is allowed. {remedy}",
        )


def _web_access(case: Case) -> Iterator[Finding]:
    if case.config.web_access in {"disabled", "read_only"}:
        yield Finding(
            code=FindingCode.WEB_ACCESS_DISABLED,
            message="webAccess keeps the phone from taking commands over HTTP (CGI/Execute), so it cannot be "
            "restarted that way. Set it to 0, or rely on another restart method.",
            line=case.document.line("vendorConfig/webAccess"),
        )


def _urls(case: Case) -> Iterator[Finding]:
    for path in URL_PATHS:
        if len(case.document.text(path) or "") > MAX_URL_LENGTH:
            yield Finding(
                code=FindingCode.URL_TOO_LONG,
                message=f"{path} is longer than {MAX_URL_LENGTH} characters, the most a phone takes. Shorten it.",
                line=case.document.line(path),
            )


def _stored_passwords(case: Case) -> Iterator[Finding]:
    for name, code in (
        ("sshPassword", FindingCode.SSH_PASSWORD_PRESENT),
        ("phonePassword", FindingCode.PHONE_PASSWORD_PRESENT),
    ):
        for element in case.document.root.iter(f"{{*}}{name}"):
            if text_of(element):
                yield Finding(
                    code=code,
                    message=f"{name} is readable by anyone who fetches the file. Leave it blank, "
                    "or use a value that opens nothing else.",
                    line=element.sourceline,
                )
                break


def _security(case: Case) -> Iterator[Finding]:
    document = case.document
    if case.config.device_security_mode in {"authenticated", "encrypted"}:
        yield Finding(
            code=FindingCode.SECURITY_MODE_NEEDS_TRUST_LIST,
            message="deviceSecurityMode 2 and 3 need signed trust lists (CTL or ITL) on the phone. "
            "Set it to 1 unless your PBX makes them.",
            line=document.line("deviceSecurityMode"),
        )
    if (document.text("encrConfig") or "").lower() in {"true", "1"}:
        yield Finding(
            code=FindingCode.ENCRYPTED_CONFIG,
            message="encrConfig makes the phone expect files encrypted to its own certificate, which fit no other "
            "phone. Set it to false.",
            line=document.line("encrConfig"),
        )


ACCESS_RULES = (_authentication, _web_access, _urls, _stored_passwords, _security)
