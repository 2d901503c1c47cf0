"""The rules behind the findings. Each looks at one question and yields what it found."""

import re
from collections.abc import Iterator

from cisisk.model import placeholders
from cisisk.model.catalogue import find, load_protocol
from cisisk.model.sep_config.access_rules import ACCESS_RULES
from cisisk.model.sep_config.case import Case
from cisisk.model.sep_config.encoding import BYTE_ORDER_MARK
from cisisk.model.sep_config.finding import Finding, FindingCode
from cisisk.model.sep_config.line_rules import LINE_RULES

LARGE_BYTES = 64 * 1024
"""Configs in the field have 6 to 25 KB."""

_LOAD_SUFFIX = re.compile(r"\.(?:loads|bin\d?|sbn|sb2|sgn|zup|zip|tar|cop)$", re.IGNORECASE)


def findings_in(case: Case) -> Iterator[Finding]:
    """Everything the rules find, rule by rule."""
    for rule in _RULES:
        yield from rule(case)


def _form(case: Case) -> Iterator[Finding]:
    content = case.document.content
    if content.startswith(BYTE_ORDER_MARK):
        yield Finding(
            code=FindingCode.BYTE_ORDER_MARK,
            message="The file begins with a byte order mark, which some phones do not skip. Save it as UTF-8 without.",
            line=1,
        )
    if content.removeprefix(BYTE_ORDER_MARK)[:1].isspace():
        yield Finding(
            code=FindingCode.LEADING_WHITESPACE,
            message="White space stands before the first <, which some phones do not skip. Delete it.",
            line=1,
        )
    if len(content) > LARGE_BYTES:
        yield Finding(
            code=FindingCode.LARGE_CONFIG,
            message=f"The file has {len(content)} bytes. Usual are 6 to 25 KB; small phones may not take so much.",
        )
    if case.document.undeclared_prefix is not None:
        yield Finding(
            code=FindingCode.UNDECLARED_PREFIX,
            message="A name has a prefix that is not declared, as in call-manager exports. Phones do not mind; "
            "other programs may. Remove the attribute, or declare its prefix with xmlns.",
            line=case.document.undeclared_prefix,
        )


def _placeholders(case: Case) -> Iterator[Finding]:
    content = case.document.content
    known = ", ".join(f"{{{{{name}}}}}" for name in placeholders.NAMES)
    if not case.placeholders:
        if (line := placeholders.first_line_of_known(content)) is not None:
            yield Finding(
                code=FindingCode.PLACEHOLDER_NOT_FILLED,
                message=f"One of {known} stands in the file, and the profile does not fill them in. "
                "Switch placeholders on for this profile.",
                line=line,
            )
    elif (line := placeholders.first_line_of_unknown(content)) is not None:
        yield Finding(
            code=FindingCode.UNKNOWN_PLACEHOLDER,
            message=f"Something here looks like a placeholder and is none; the phone gets it as it is. Known: {known}.",
            line=line,
        )


def _protocol(case: Case) -> Iterator[Finding]:
    config = case.config
    if config.speaks and case.profile_protocol not in {None, config.speaks}:
        yield Finding(
            code=FindingCode.PROTOCOL_SOFTWARE_MISMATCH,
            message=f"The file is for {config.speaks}, the profile for {case.software_type} software. Correct one: "
            "a phone with the other firmware would have to load a new one first.",
            line=case.document.line("deviceProtocol"),
        )
    for facts in case.models:
        if case.protocol and case.protocol not in facts.protocols:
            (other,) = facts.protocols
            sccp = case.protocol == "SCCP"
            yield Finding(
                code=FindingCode.SCCP_ON_SIP_ONLY_MODEL if sccp else FindingCode.SIP_ON_SCCP_ONLY_MODEL,
                message=f"There is no {case.protocol} firmware for the {facts.name}. "
                f"Use an {other} config, or remove the model from the profile.",
                line=case.document.line("deviceProtocol"),
            )


def _models(case: Case) -> Iterator[Finding]:
    for model in case.compatible_models:
        if find(model) is None:
            yield Finding(
                code=FindingCode.UNKNOWN_MODEL,
                message=f"The model {model} is not in the catalogue. Check its spelling; "
                "the file is not judged against it.",
            )


def _load(case: Case) -> Iterator[Finding]:
    load, line = case.config.load, case.document.line("loadInformation")
    if load is None:
        return
    if _LOAD_SUFFIX.search(load):
        yield Finding(
            code=FindingCode.LOAD_WITH_SUFFIX,
            message="loadInformation names a file. Write the load without its suffix, such as SIP45.9-4-2SR3-1S: "
            "the phone appends .loads itself.",
            line=line,
        )
    protocol = load_protocol(load)
    if protocol and case.protocol and protocol != case.protocol:
        yield Finding(
            code=FindingCode.LOAD_PROTOCOL_MISMATCH,
            message=f"loadInformation names {protocol} firmware in a config for {case.protocol}. Correct one of them.",
            line=line,
        )


# Rules that can find much come last: their findings must not push out the others.
_RULES = (_form, _placeholders, _protocol, _models, _load, *ACCESS_RULES, *LINE_RULES)
