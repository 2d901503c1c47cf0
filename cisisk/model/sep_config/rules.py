"""The rules behind the findings. Each rule checks one property, and yields its findings."""

import re
from collections.abc import Iterator

from cisisk.model import placeholders
from cisisk.model.catalogue import find
from cisisk.model.codes.config import FindingCode
from cisisk.model.sep_config.access_rules import ACCESS_RULES
from cisisk.model.sep_config.case import Case
from cisisk.model.sep_config.encoding import BYTE_ORDER_MARK
from cisisk.model.sep_config.finding import Finding
from cisisk.model.sep_config.line_rules import LINE_RULES
from cisisk.model.sep_config.model_rules import MAX_LOAD_LENGTH, notices_for_model

LARGE_BYTES = 64 * 1024
"""Usual configs have 6 to 25 KB."""

_LOAD_SUFFIX = re.compile(r"\.(?:loads|bin\d?|sbn|sb2|sebn|sbin|sgn|zup|zz|zip|tar|cop)$", re.IGNORECASE)


def findings_in(case: Case) -> Iterator[Finding]:
    """Yield the findings of all rules, rule by rule."""
    for rule in _RULES:
        yield from rule(case)


def _form(case: Case) -> Iterator[Finding]:
    content = case.document.content
    if content.startswith(BYTE_ORDER_MARK):
        yield Finding(FindingCode.BYTE_ORDER_MARK.notice(), line=1)
    if content.removeprefix(BYTE_ORDER_MARK)[:1].isspace():
        yield Finding(FindingCode.LEADING_WHITESPACE.notice(), line=1)
    if len(content) > LARGE_BYTES:
        yield Finding(FindingCode.LARGE_CONFIG.notice(size=len(content)))
    if case.document.undeclared_prefix is not None:
        yield Finding(FindingCode.UNDECLARED_PREFIX.notice(), line=case.document.undeclared_prefix)


def _placeholders(case: Case) -> Iterator[Finding]:
    yield from placeholder_findings(case.document.content, fills=case.placeholders)


def placeholder_findings(content: bytes, *, fills: bool) -> Iterator[Finding]:
    """Yield the findings about placeholders in a config whose profile ``fills`` them in, or not."""
    known = tuple(f"{{{{{name}}}}}" for name in placeholders.NAMES)
    if not fills:
        if (line := placeholders.first_line_of_known(content)) is not None:
            yield Finding(FindingCode.PLACEHOLDER_NOT_FILLED.notice(known=known), line=line)
    elif (line := placeholders.first_line_of_unknown(content)) is not None:
        yield Finding(FindingCode.UNKNOWN_PLACEHOLDER.notice(known=known), line=line)


def _protocol(case: Case) -> Iterator[Finding]:
    config = case.config
    if case.protocol is None:
        yield Finding(FindingCode.PROTOCOL_UNKNOWN.notice(), line=case.document.line("deviceProtocol"))
    if config.speaks and case.profile_protocol not in {None, config.speaks}:
        yield Finding(
            FindingCode.PROTOCOL_SOFTWARE_MISMATCH.notice(protocol=config.speaks, software=str(case.software_type)),
            line=case.document.line("deviceProtocol"),
        )


def _models(case: Case) -> Iterator[Finding]:
    for model in case.compatible_models:
        if find(model) is None:
            yield Finding(FindingCode.UNKNOWN_MODEL.notice(model=model))
    for facts in case.models:
        for notice, path in notices_for_model(case.config, case.protocol, facts):
            yield Finding(notice, line=case.document.line(path))


def _load(case: Case) -> Iterator[Finding]:
    load, line = case.config.load, case.document.line("loadInformation")
    if load is None:
        return
    if _LOAD_SUFFIX.search(load):
        yield Finding(FindingCode.LOAD_WITH_SUFFIX.notice(), line=line)
    facts, protocol = case.load, case.config.protocol or case.config.settings_protocol or case.profile_protocol
    if facts.protocol and protocol and facts.protocol != protocol:
        yield Finding(
            FindingCode.LOAD_PROTOCOL_MISMATCH.notice(load_protocol=facts.protocol, protocol=protocol), line=line
        )
    if facts.is_multiplatform:
        yield Finding(FindingCode.MULTIPLATFORM_LOAD.notice(load=load[:MAX_LOAD_LENGTH]), line=line)


def _flat_config(case: Case) -> Iterator[Finding]:
    if case.config.is_read_for_firmware_only:
        yield Finding(FindingCode.READS_FLAT_CONFIG.notice(), line=case.document.line("loadInformation"))


# Rules that can yield many findings come last: those must not displace others.
_RULES = (_form, _placeholders, _protocol, _models, _load, _flat_config, *ACCESS_RULES, *LINE_RULES)
