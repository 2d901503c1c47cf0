"""Rules about lines, and about the keys for them."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence

from cisisk.model.catalogue import Family
from cisisk.model.codes.config import FindingCode
from cisisk.model.sep_config.case import Case
from cisisk.model.sep_config.document import text_of
from cisisk.model.sep_config.facts import LINE_PATH, Line
from cisisk.model.sep_config.finding import Finding

MAX_AUTH_PASSWORD_LENGTH = 30
MAX_PHONE_LABEL_LENGTH = 12
MAX_CALL_MANAGER_LENGTH = 50
CALL_MANAGERS_PATH = "devicePool/callManagerGroup/members/member/callManager/processNodeName"
CALL_MANAGER_PROXY = "USECALLMANAGER"


def _sip(case: Case) -> Iterator[Finding]:
    if case.protocol != "SIP" or case.reads_flat_config:
        return
    if (case.document.text("fullConfig") or "").lower() != "true":
        yield Finding(FindingCode.MISSING_FULL_CONFIG.notice(), line=case.document.line("fullConfig"))
    if not any(line.is_line for line in case.config.lines):
        yield Finding(FindingCode.NO_LINE.notice(), line=case.document.line("sipProfile"))


def _call_managers(case: Case) -> Iterator[Finding]:
    config, proxies = case.config, {line.proxy for line in case.config.lines if line.is_line}
    has_own_proxies = bool(proxies) and CALL_MANAGER_PROXY not in proxies
    if not config.call_managers and not has_own_proxies and not case.reads_flat_config:
        yield Finding(FindingCode.NO_CALL_MANAGER.notice(), line=case.document.line(CALL_MANAGERS_PATH))
    for element in case.document.every(CALL_MANAGERS_PATH):
        if len(text_of(element)) > MAX_CALL_MANAGER_LENGTH:
            notice = FindingCode.CALL_MANAGER_TOO_LONG.notice(longest=MAX_CALL_MANAGER_LENGTH)
            yield Finding(notice, line=element.sourceline)


def _lines(case: Case) -> Iterator[Finding]:
    lines = [line for line in case.config.lines if line.is_line]
    for line in lines:
        if not line.name:
            yield Finding(FindingCode.LINE_WITHOUT_NAME.notice(), line=line.at)
        if not line.proxy:
            yield Finding(FindingCode.LINE_WITHOUT_PROXY.notice(), line=line.at)
    other = next((line for line in lines if line.proxy and line.proxy != CALL_MANAGER_PROXY), None)
    if other:
        yield Finding(FindingCode.LINE_NOT_CALL_MANAGER.notice(), line=other.at)


def _duplicates(case: Case) -> Iterator[Finding]:
    yield from _repeated(
        case.config.lines,
        lambda line: line.button,
        FindingCode.DUPLICATE_BUTTON,
    )
    yield from _repeated(
        case.config.lines,
        lambda line: line.line_index,
        FindingCode.DUPLICATE_LINE_INDEX,
    )
    yield from _repeated(
        [line for line in case.config.lines if line.is_line],
        lambda line: line.name or None,
        FindingCode.DUPLICATE_LINE_NAME,
    )


def _repeated(lines: Sequence[Line], key: Callable[[Line], int | str | None], code: FindingCode) -> Iterator[Finding]:
    counts = Counter(key(line) for line in lines)
    for line in lines:
        if key(line) is not None and counts[key(line)] > 1:
            counts[key(line)] = 0
            yield Finding(code.notice(), line=line.at)


def _line_passwords(case: Case) -> Iterator[Finding]:
    for element in case.document.every(f"{LINE_PATH}/authPassword"):
        if len(text_of(element)) > MAX_AUTH_PASSWORD_LENGTH:
            yield Finding(
                FindingCode.AUTH_PASSWORD_TOO_LONG.notice(longest=MAX_AUTH_PASSWORD_LENGTH), line=element.sourceline
            )


def _label(case: Case) -> Iterator[Finding]:
    shown_on_79xx = not case.models or any(facts.family == Family.P79XX for facts in case.models)
    if shown_on_79xx and len(case.config.phone_label or "") > MAX_PHONE_LABEL_LENGTH:
        yield Finding(
            FindingCode.PHONE_LABEL_TOO_LONG.notice(longest=MAX_PHONE_LABEL_LENGTH),
            line=case.document.line("sipProfile/phoneLabel"),
        )


LINE_RULES = (_sip, _call_managers, _lines, _duplicates, _line_passwords, _label)
