"""Concludes from the requests of one boot what happened to the phone. No I/O.

Sources:
- docs/phone-protocol/boot.md#request-order
- docs/phone-protocol/boot.md#missing-files
- docs/phone-protocol/boot.md#firmware
- docs/phone-protocol/trust.md#what-phones-do
"""

from collections.abc import Iterable, Iterator, Sequence
from collections.abc import Set as AbstractSet

from cisisk.fetches.boot import BootFinding, BootRequest, Care
from cisisk.fetches.boot_groups import is_boot, path_of
from cisisk.model import catalogue
from cisisk.model.catalogue import Family
from cisisk.model.codes.boot import AskedCode, BootFindingCode, RemedyCode, RequestCode
from cisisk.model.notice import Notice
from cisisk.provisioning.fetch import FetchOutcome
from cisisk.provisioning.purpose import Purpose, is_flat_config, purpose
from cisisk.store.fetches import LoggedFetch

_MISSES = {
    Purpose.TRUST_LIST: RequestCode.NO_TRUST_LIST,
    Purpose.CONFIG: RequestCode.CONFIG_ABSENT,
    Purpose.SIGNED_CONFIG: RequestCode.SIGNED_CONFIG_ABSENT,
    Purpose.SHARED_CONFIG: RequestCode.NO_SHARED_CONFIG,
    Purpose.DEFAULT_CONFIG: RequestCode.DEFAULT_CONFIG_ABSENT,
    Purpose.WIRELESS: RequestCode.NO_WIRELESS_SETTINGS,
    Purpose.IMAGE_NAME: RequestCode.NO_IMAGE_NAME,
    Purpose.RECOVERY: RequestCode.RECOVERY_ABSENT,
    Purpose.FIRMWARE: RequestCode.FIRMWARE_ABSENT,
    Purpose.FIRMWARE_PART: RequestCode.FIRMWARE_PART_ABSENT,
    Purpose.DICTIONARY: RequestCode.NO_DICTIONARY,
    Purpose.TONES: RequestCode.NO_TONES,
    Purpose.RINGTONE: RequestCode.NO_RING_TONES,
    Purpose.DIAL_PLAN: RequestCode.NO_DIAL_PLAN,
    Purpose.SOFT_KEYS: RequestCode.NO_SOFT_KEYS,
    Purpose.FEATURES: RequestCode.NO_FEATURE_POLICY,
    Purpose.DIAL_RULES: RequestCode.NO_DIAL_RULES,
    Purpose.BACKGROUND: RequestCode.NO_BACKGROUNDS,
    Purpose.HEADSET: RequestCode.NO_HEADSET_SETTINGS,
    Purpose.SYNCHRONISATION: RequestCode.NO_SYNCHRONISATION,
    Purpose.UNKNOWN: RequestCode.NO_SUCH_FILE,
}
_SERIOUS_MISSES = {
    RequestCode.CONFIG_ABSENT,
    RequestCode.SIGNED_CONFIG_ABSENT,
    RequestCode.DEFAULT_CONFIG_ABSENT,
    RequestCode.RECOVERY_ABSENT,
    RequestCode.FIRMWARE_ABSENT,
    RequestCode.FIRMWARE_PART_ABSENT,
}
_FAILURES = {
    FetchOutcome.TIMED_OUT: (RequestCode.TIMED_OUT, RequestCode.TIMED_OUT_THEN_TAKEN),
    FetchOutcome.CUT: (RequestCode.CUT, RequestCode.CUT_THEN_TAKEN),
    FetchOutcome.ABORTED: (RequestCode.ABORTED, RequestCode.ABORTED_THEN_TAKEN),
}
"""For each failed transfer: the code, and the code if another request took the file."""
_FILE_FINDINGS: dict[str, tuple[BootFindingCode, RemedyCode]] = {
    RequestCode.FIRMWARE_ABSENT: (BootFindingCode.FIRMWARE_MISSING, RemedyCode.ADD_FIRMWARE),
    RequestCode.FIRMWARE_PART_ABSENT: (BootFindingCode.FIRMWARE_INCOMPLETE, RemedyCode.COMPLETE_FIRMWARE),
    RequestCode.TIMED_OUT: (BootFindingCode.TRANSFERS_TIMED_OUT, RemedyCode.CHECK_TRANSFERS),
    RequestCode.CUT: (BootFindingCode.TRANSFERS_CUT, RemedyCode.CHECK_LOG),
    RequestCode.ABORTED: (BootFindingCode.TRANSFERS_ABORTED, RemedyCode.CHECK_STATUS_MESSAGES),
    RequestCode.REFUSED: (BootFindingCode.REQUESTS_REFUSED, RemedyCode.CHECK_CLIENT),
}
_ERASE_TRUST_LIST = {
    Family.P7940: RemedyCode.ERASE_TRUST_LIST_7940,
    Family.P79XX: RemedyCode.ERASE_TRUST_LIST_79XX,
    Family.P69XX: RemedyCode.ERASE_TRUST_LIST_ADMIN_SETTINGS,
    Family.P78XX: RemedyCode.ERASE_TRUST_LIST_ADMIN_SETTINGS,
    Family.P88XX: RemedyCode.ERASE_TRUST_LIST_ADMIN_SETTINGS,
    Family.P894X: RemedyCode.ERASE_TRUST_LIST_ADMINISTRATOR_SETTINGS,
    Family.P99XX: RemedyCode.ERASE_TRUST_LIST_ADMINISTRATOR_SETTINGS,
}
_JUDGED_BY_BOOT = {Purpose.CONFIG, Purpose.SIGNED_CONFIG, Purpose.RECOVERY}
"""Files whose failures the findings on the boot cover."""


def took(boot: Iterable[LoggedFetch], what: Purpose) -> bool:
    """Return whether a boot took a file of that purpose."""
    return any(fetch.outcome == FetchOutcome.COMPLETED for fetch in _for(boot, what))


def _for(boot: Iterable[LoggedFetch], what: Purpose) -> list[LoggedFetch]:
    """Return the fetches of a boot for that purpose.

    A phone that requests ``SIP<MAC>.cnf`` reads only the name of its firmware from ``SEP<MAC>.cnf.xml``
    (docs/phone-protocol/sep-xml.md#flat-configs).
    """
    found = [fetch for fetch in boot if purpose(fetch.name) is what]
    flat = [fetch for fetch in found if is_flat_config(fetch.name)] if what is Purpose.CONFIG else []
    return flat or found


def requests_in(boot: Sequence[LoggedFetch]) -> tuple[BootRequest, ...]:
    """Return each request of a boot with its code."""
    taken = {path_of(fetch) for fetch in boot if fetch.outcome == FetchOutcome.COMPLETED}
    took_own = took(boot, Purpose.CONFIG)
    return tuple(_request(fetch, taken, took_own=took_own) for fetch in boot)


def findings_in(
    boot: Sequence[LoggedFetch], requests: Iterable[BootRequest], model: str | None, *, is_loop: bool
) -> tuple[BootFinding, ...]:
    """Return what a boot shows, the most important first. Never empty.

    Args:
        requests: those of the boot, as :func:`requests_in` returns them.
        model: of the phone; the way to erase a trust list depends on it.
        is_loop: the phone has started several times in a row.
    """
    starts = is_boot(boot)
    findings = [*(_of_boot(boot, model, is_loop=is_loop) if starts else []), *_of_transfers(requests)]
    if not starts and not findings:
        findings.append(BootFinding(notice=BootFindingCode.RUNNING.notice(requests=len(boot)), care=Care.NONE))
    return tuple(sorted(findings, key=lambda finding: finding.care is not Care.ATTENTION))


def _request(fetch: LoggedFetch, taken: AbstractSet[str], *, took_own: bool) -> BootRequest:
    what = purpose(fetch.name)
    result, care = _result(fetch, what, is_taken=path_of(fetch) in taken, took_own=took_own)
    asked = AskedCode[what.name].notice()
    return BootRequest(fetch=fetch, purpose=what, by_address=fetch.mac is None, asked=asked, result=result, care=care)


def _result(fetch: LoggedFetch, what: Purpose, *, is_taken: bool, took_own: bool) -> tuple[Notice, Care]:
    """Return what a request came to. ``is_taken``: the boot took the file; ``took_own``: it took the phone's config."""
    outcome = FetchOutcome(fetch.outcome)
    if outcome is FetchOutcome.COMPLETED:
        return RequestCode.TAKEN.notice(size=fetch.size, duration=fetch.duration), Care.NONE
    if outcome is FetchOutcome.ABSENT:
        return _miss(what, is_taken=is_taken, took_own=took_own)
    care = Care.HARMLESS if is_taken else Care.ATTENTION
    if outcome is FetchOutcome.REFUSED:
        return (RequestCode.REFUSED_THEN_TAKEN if is_taken else RequestCode.REFUSED).notice(), care
    code = _FAILURES[outcome][is_taken]
    return code.notice(acknowledged=fetch.acknowledged, size=fetch.size), care


def _miss(what: Purpose, *, is_taken: bool, took_own: bool) -> tuple[Notice, Care]:
    if is_taken:
        return RequestCode.ABSENT_FIRST.notice(), Care.HARMLESS
    if what is Purpose.DEFAULT_CONFIG and took_own:
        return RequestCode.NO_DEFAULT_CONFIG.notice(), Care.HARMLESS
    code = _MISSES[what]
    return code.notice(), Care.ATTENTION if code in _SERIOUS_MISSES else Care.HARMLESS


def _of_boot(boot: Sequence[LoggedFetch], model: str | None, *, is_loop: bool) -> Iterator[BootFinding]:
    asked = {purpose(fetch.name) for fetch in boot}
    took_own, took_default = took(boot, Purpose.CONFIG), took(boot, Purpose.DEFAULT_CONFIG)
    took_signed = took(boot, Purpose.SIGNED_CONFIG)
    if Purpose.RECOVERY in asked:
        yield _recovery(boot)
    if Purpose.SIGNED_CONFIG in asked and took_own and not took_signed:
        remedies = (_erase_trust_list(model),)
        yield BootFinding(notice=BootFindingCode.SIGNED_CONFIG_FIRST.notice(), remedies=remedies, care=Care.HARMLESS)
    if (took_own or took_signed) and is_loop:
        yield _finding(BootFindingCode.KEEPS_STARTING.notice(), RemedyCode.CHECK_REGISTRATION)
    elif took_own:
        yield _configured(boot, Purpose.CONFIG, BootFindingCode.CONFIGURED)
    elif took_signed:
        yield _configured(boot, Purpose.SIGNED_CONFIG, BootFindingCode.SIGNED_CONFIGURED)
    elif Purpose.CONFIG in asked:
        yield _without_config(boot, took_default=took_default)
    elif Purpose.SIGNED_CONFIG in asked:
        yield _without_signed_config(boot, model)
    elif Purpose.DEFAULT_CONFIG in asked:
        yield _finding(BootFindingCode.ONLY_DEFAULT_CONFIG.notice(), RemedyCode.CHECK_SERVERS)
    elif asked <= {Purpose.TRUST_LIST, Purpose.WIRELESS}:
        yield _finding(BootFindingCode.STOPPED_AT_TRUST_LIST.notice(), RemedyCode.CHECK_ANSWERS)


def _finding(notice: Notice, remedy: RemedyCode) -> BootFinding:
    return BootFinding(notice=notice, remedies=(remedy.notice(),))


def _recovery(boot: Sequence[LoggedFetch]) -> BootFinding:
    images = [fetch for fetch in boot if purpose(fetch.name) is Purpose.RECOVERY]
    if any(fetch.outcome == FetchOutcome.COMPLETED for fetch in images):
        return BootFinding(notice=BootFindingCode.RECOVERING.notice(), care=Care.NONE)
    name = images[-1].name
    return BootFinding(
        notice=BootFindingCode.RECOVERY_WITHOUT_IMAGE.notice(name=name),
        remedies=(RemedyCode.ADD_RECOVERY_IMAGE.notice(name=name),),
    )


def _erase_trust_list(model: str | None) -> Notice:
    facts = catalogue.find(model) if model else None
    code = RemedyCode.ERASE_TRUST_LIST
    return (_ERASE_TRUST_LIST.get(facts.family, code) if facts else code).notice()


def _without_signed_config(boot: Sequence[LoggedFetch], model: str | None) -> BootFinding:
    """The phone asked for signed configs only, and took none."""
    signed = [fetch for fetch in boot if purpose(fetch.name) is Purpose.SIGNED_CONFIG]
    for fetch in signed:
        if fetch.outcome != FetchOutcome.ABSENT:
            return _not_taken(fetch)
    remedies = (
        RemedyCode.BLANK_TRUST_LIST.notice(),
        RemedyCode.TRUST_NEW_SIGNER.notice(),
        _erase_trust_list(model),
        RemedyCode.RESET_TO_FACTORY.notice(),
    )
    return BootFinding(notice=BootFindingCode.FOREIGN_TRUST_LIST.notice(), remedies=remedies)


def _configured(boot: Sequence[LoggedFetch], what: Purpose, code: BootFindingCode) -> BootFinding:
    [*_, taken] = [f for f in boot if f.outcome == FetchOutcome.COMPLETED and purpose(f.name) is what]
    return BootFinding(notice=code.notice(protocol=taken.protocol.upper(), size=taken.size), care=Care.NONE)


def _without_config(boot: Sequence[LoggedFetch], *, took_default: bool) -> BootFinding:
    [*_, last] = _for(boot, Purpose.CONFIG)
    if last.outcome != FetchOutcome.ABSENT:
        return _not_taken(last)
    if took_default:
        return _finding(BootFindingCode.DEFAULT_CONFIG.notice(name=last.name), RemedyCode.SWITCH_FROM_DEFAULT)
    return _finding(BootFindingCode.CONFIG_MISSING.notice(name=last.name), RemedyCode.SWITCH)


def _not_taken(fetch: LoggedFetch) -> BootFinding:
    notice = BootFindingCode.CONFIG_NOT_TAKEN.notice(acknowledged=fetch.acknowledged, size=fetch.size)
    is_own_fault = fetch.outcome == FetchOutcome.CUT
    return _finding(notice, RemedyCode.CHECK_LOG if is_own_fault else RemedyCode.CHECK_NETWORK)


def _of_transfers(requests: Iterable[BootRequest]) -> Iterator[BootFinding]:
    """Yield one finding for each kind of failure of files beside the config."""
    names: dict[str, list[str]] = {}
    for request in requests:
        if request.result.code in _FILE_FINDINGS and request.purpose not in _JUDGED_BY_BOOT:
            names.setdefault(request.result.code, []).append(request.fetch.name)
    for result, each in names.items():
        code, remedy = _FILE_FINDINGS[result]
        yield _finding(code.notice(names=tuple(dict.fromkeys(each))), remedy)
