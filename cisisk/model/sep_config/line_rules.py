"""Rules about lines and the keys they stand on."""

from collections import Counter
from collections.abc import Callable, Iterator

from cisisk.model.catalogue import Family
from cisisk.model.sep_config.case import Case
from cisisk.model.sep_config.document import text_of
from cisisk.model.sep_config.facts import LINE_PATH, Line
from cisisk.model.sep_config.finding import Finding, FindingCode

MAX_AUTH_PASSWORD_LENGTH = 30
MAX_PHONE_LABEL_LENGTH = 12
CALL_MANAGER_PROXY = "USECALLMANAGER"


def _sip(case: Case) -> Iterator[Finding]:
    if case.protocol != "SIP":
        return
    if (case.document.text("fullConfig") or "").lower() != "true":
        yield Finding(
            code=FindingCode.MISSING_FULL_CONFIG,
            message="The phone may take the file as a change to its previous one. "
            "Add <fullConfig>true</fullConfig> as the first element.",
            line=case.document.line("fullConfig"),
        )
    if not any(line.is_line for line in case.config.lines):
        yield Finding(
            code=FindingCode.NO_LINE,
            message="There is no line, so the phone will not register. "
            "Add a <line> with <featureID>9</featureID> to sipProfile/sipLines.",
            line=case.document.line("sipProfile"),
        )


def _lines(case: Case) -> Iterator[Finding]:
    lines = [line for line in case.config.lines if line.is_line]
    for line in lines:
        if not line.name:
            yield Finding(
                code=FindingCode.LINE_WITHOUT_NAME,
                message="A line without a name cannot register. Give it the SIP user as <name>.",
                line=line.at,
            )
        if not line.proxy:
            yield Finding(
                code=FindingCode.LINE_WITHOUT_PROXY,
                message=f"A line does not say where to register. Add <proxy>{CALL_MANAGER_PROXY}</proxy>.",
                line=line.at,
            )
    other = next((line for line in lines if line.proxy and line.proxy != CALL_MANAGER_PROXY), None)
    if other:
        yield Finding(
            code=FindingCode.LINE_NOT_CALL_MANAGER,
            message="A line registers with a plain proxy, so the phone takes no service-control restart over SIP. "
            f"Write <proxy>{CALL_MANAGER_PROXY}</proxy>, or rely on another restart method.",
            line=other.at,
        )


def _duplicates(case: Case) -> Iterator[Finding]:
    yield from _repeated(
        case.config.lines,
        lambda line: line.button,
        FindingCode.DUPLICATE_BUTTON,
        "Two lines have the same button. Give each a key of its own.",
    )
    yield from _repeated(
        case.config.lines,
        lambda line: line.line_index,
        FindingCode.DUPLICATE_LINE_INDEX,
        "Two lines have the same lineIndex. Number them in order, beginning with 1.",
    )


def _repeated(
    lines: tuple[Line, ...], number: Callable[[Line], int | None], code: FindingCode, message: str
) -> Iterator[Finding]:
    counts = Counter(number(line) for line in lines)
    for line in lines:
        if number(line) is not None and counts[number(line)] > 1:
            counts[number(line)] = 0
            yield Finding(code=code, message=message, line=line.at)


def _line_passwords(case: Case) -> Iterator[Finding]:
    for element in case.document.every(f"{LINE_PATH}/authPassword"):
        if len(text_of(element)) > MAX_AUTH_PASSWORD_LENGTH:
            yield Finding(
                code=FindingCode.AUTH_PASSWORD_TOO_LONG,
                message=f"An authPassword is longer than {MAX_AUTH_PASSWORD_LENGTH} characters, the most a phone "
                "takes. Shorten it here and on the PBX.",
                line=element.sourceline,
            )


def _keys(case: Case) -> Iterator[Finding]:
    count = sum(line.is_line for line in case.config.lines)
    for facts in case.models:
        if facts.line_keys is None:
            continue
        keys = facts.line_keys + facts.module_keys * min(facts.modules, case.config.modules)
        if count > keys:
            yield Finding(
                code=FindingCode.TOO_MANY_LINES,
                message=f"The file has {count} lines, a {facts.name} has {keys} keys for them. "
                "Remove lines, or configure a key expansion module.",
                line=case.document.line(LINE_PATH),
            )


def _label(case: Case) -> Iterator[Finding]:
    shown_on_79xx = not case.models or any(facts.family == Family.P79XX for facts in case.models)
    if shown_on_79xx and len(case.config.phone_label or "") > MAX_PHONE_LABEL_LENGTH:
        yield Finding(
            code=FindingCode.PHONE_LABEL_TOO_LONG,
            message=f"A 79xx shows {MAX_PHONE_LABEL_LENGTH} characters of phoneLabel. Shorten it.",
            line=case.document.line("sipProfile/phoneLabel"),
        )


LINE_RULES = (_sip, _lines, _duplicates, _line_passwords, _keys, _label)
