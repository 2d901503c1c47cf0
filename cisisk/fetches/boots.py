"""The story of each boot of a phone, told by what it asked for. No I/O.

Source: docs/phone-protocol/boot.md#request-order, docs/phone-protocol/boot.md#missing-files
"""

from collections.abc import Iterable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from cisisk.fetches.boot_texts import FAILURES, HELPS, MISSES, PURPOSES, Care, erase_trust_list
from cisisk.model.clock import Timestamp, timestamp
from cisisk.model.mac import Mac
from cisisk.provisioning.fetch import FetchOutcome
from cisisk.provisioning.names import normalise
from cisisk.provisioning.purpose import Purpose, purpose
from cisisk.store.fetches import LoggedFetch

PAUSE_SECONDS = 60.0
"""A longer silence ends a boot. Within one, published logs show 5 s between files; a server that a firewall hides costs
some 20 s for each; a phone that fails starts again after minutes."""
FLASH_SECONDS = 600.0
"""Between firmware and the first request that names the phone: it writes its flash and starts. Minutes, at most."""
LOOP_BOOTS, LOOP_SECONDS = 3, 900.0
"""A phone whose registration is rejected starts again for ever; three boots in a quarter of an hour are no chance."""

_OPENING = {
    Purpose.RECOVERY: 0,
    Purpose.IMAGE_NAME: 0,
    Purpose.TRUST_LIST: 1,
    Purpose.WIRELESS: 1,
    Purpose.CONFIG: 2,
    Purpose.SIGNED_CONFIG: 2,
    Purpose.SHARED_CONFIG: 2,
    Purpose.DEFAULT_CONFIG: 2,
}
"""How far a boot has come that asks for such a file. What is asked for afterwards is stage 3."""
_LATE = 3
_JUDGED_AS_A_WHOLE = {Purpose.CONFIG, Purpose.SIGNED_CONFIG, Purpose.RECOVERY}


class BootKind(StrEnum):
    """What a group of requests is."""

    BOOT = "boot"
    REQUESTS = "requests"
    """Of a phone that runs: somebody opened a menu."""
    SILENCE = "silence"
    """No request at all, although one was to be expected."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BootRequest:
    """One request of a boot.

    Attributes:
        by_address: the name does not tell whose request it is; it came from the phone's address.
        code: short and stable; ``meaning`` says the same in words.
    """

    fetch: LoggedFetch
    purpose: Purpose
    by_address: bool
    code: str
    meaning: str
    care: Care


@dataclass(frozen=True, slots=True, kw_only=True)
class BootFinding:
    """What a boot as a whole shows.

    Attributes:
        remedy: what to do about it.
    """

    code: str
    message: str
    remedy: str | None = None
    care: Care = Care.ATTENTION


@dataclass(frozen=True, slots=True, kw_only=True)
class Boot:
    """Requests that belong together.

    Attributes:
        ended_at: when the last of them ended.
        findings: the most important first; never empty.
    """

    kind: BootKind
    started_at: Timestamp
    ended_at: Timestamp
    addresses: tuple[str, ...]
    findings: tuple[BootFinding, ...]
    requests: tuple[BootRequest, ...] = ()

    @property
    def needs_care(self) -> bool:
        """Whether somebody should do something."""
        return any(finding.care is Care.ATTENTION for finding in self.findings)


def stories(
    mac: Mac,
    fetches: Iterable[LoggedFetch],
    *,
    address: str | None = None,
    model: str | None = None,
    awaited_since: Timestamp | None = None,
) -> list[Boot]:
    """The boots of one phone, the newest first.

    Args:
        fetches: every fetch of the phone's own files, and every other from the addresses they came from, in any order.
        address: where the phone is believed to be, for requests from there that nothing else explains.
        model: for the remedies; what the requests reveal is not looked at.
        awaited_since: when a config was written that waits for the phone.
    """
    # Over FTP come administrators.
    by_phones = [fetch for fetch in fetches if fetch.protocol != "ftp"]
    own = _of_phone(mac, sorted(by_phones, key=lambda fetch: (fetch.started_at, fetch.number)), address)
    groups = list(_groups(own))
    boots: list[Boot] = []
    for at, group in enumerate(groups):
        earlier = groups[max(0, at - LOOP_BOOTS + 1) : at]
        boots.append(_story(group, model, is_loop=_is_loop([*earlier, group])))
    boots.reverse()
    silence = _silence(own, awaited_since)
    return [silence, *boots] if silence else boots


# Whose requests they are


def _of_phone(mac: Mac, fetches: Sequence[LoggedFetch], address: str | None) -> list[LoggedFetch]:
    """Those that name the phone, and those without a name that are its own by the address they came from."""
    by_peer: dict[str, list[LoggedFetch]] = {}
    for fetch in fetches:
        by_peer.setdefault(fetch.peer, []).append(fetch)
    own = []
    for peer, of_peer in by_peer.items():
        own += [
            fetch
            for fetch, owner in zip(of_peer, _owners(of_peer), strict=True)
            if owner == mac or (owner is None and fetch.mac is None and peer == address)
        ]
    return sorted(own, key=lambda fetch: (fetch.started_at, fetch.number))


def _owners(fetches: Sequence[LoggedFetch]) -> list[Mac | None]:
    """Whose each request from one address is: of who asked by name in one go with it, else soon after, else before."""
    before: list[tuple[Mac | None, bool]] = []
    mac, unbroken, last = None, False, None
    for fetch in fetches:
        unbroken = unbroken and last is not None and _pause(last, fetch) <= PAUSE_SECONDS
        if fetch.mac is not None:
            mac, unbroken = fetch.mac, True
        before.append((mac, unbroken))
        last = fetch
    owners: list[Mac | None] = []
    following: LoggedFetch | None = None
    for fetch, (mac, unbroken) in zip(reversed(fetches), reversed(before), strict=True):
        if fetch.mac is not None:
            following = fetch
        comes_soon = following is not None and _pause(fetch, following) <= FLASH_SECONDS
        owners.append(following.mac if following is not None and comes_soon and not unbroken else mac)
    return owners[::-1]


def _pause(earlier: LoggedFetch, later: LoggedFetch) -> float:
    """Seconds between the end of one and the begin of the other; negative while they overlap."""
    return _seconds(later.started_at) - _seconds(earlier.started_at) - earlier.duration


def _seconds(moment: Timestamp) -> float:
    return datetime.fromisoformat(moment).timestamp()


# Which of them are one boot


def _groups(fetches: Sequence[LoggedFetch]) -> Iterator[list[LoggedFetch]]:
    group: list[LoggedFetch] = []
    ended, furthest = 0.0, 0
    for fetch in fetches:
        began = _seconds(fetch.started_at)
        stage = _stage(fetch)
        if group and (began - ended > PAUSE_SECONDS or stage < min(furthest, _LATE) or _begins_anew(group, fetch)):
            yield group
            group, ended, furthest = [], 0.0, 0
        group.append(fetch)
        ended, furthest = max(ended, began + fetch.duration), max(furthest, stage)
    if group:
        yield group


def _stage(fetch: LoggedFetch) -> int:
    return _OPENING.get(purpose(fetch.name), _LATE)


def _begins_anew(group: Sequence[LoggedFetch], fetch: LoggedFetch) -> bool:
    """Whether what opened the boot is asked for again, after something else and in the same way."""
    first, last = group[0], group[-1]
    is_first = (_file(first), first.protocol) == (_file(fetch), fetch.protocol)
    return is_first and _file(last) != _file(fetch)


def _file(fetch: LoggedFetch) -> str:
    """What was asked for, however it was written: over HTTP it may be another way than over TFTP."""
    return normalise(fetch.name) or fetch.name


def _is_loop(groups: Sequence[Sequence[LoggedFetch]]) -> bool:
    """Whether so many boots in a row, all of which took a config, follow each other closely."""
    took = [group for group in groups if _took(group, Purpose.CONFIG)]
    return (
        len(took) == LOOP_BOOTS and _seconds(took[-1][0].started_at) - _seconds(took[0][0].started_at) <= LOOP_SECONDS
    )


# What they mean


def _story(fetches: Sequence[LoggedFetch], model: str | None, *, is_loop: bool) -> Boot:
    taken = {_file(fetch) for fetch in fetches if fetch.outcome == FetchOutcome.COMPLETED}
    took_own = _took(fetches, Purpose.CONFIG)
    requests = tuple(_request(fetch, taken, took_own=took_own) for fetch in fetches)
    is_boot = any(_stage(fetch) != _LATE for fetch in fetches)
    ended = max(_seconds(fetch.started_at) + fetch.duration for fetch in fetches)
    findings = [*(_of_boot(fetches, model, is_loop=is_loop) if is_boot else []), *_of_transfers(requests)]
    if not is_boot and not findings:
        text = f"The running phone asked for {len(fetches)} file(s)."
        findings.append(BootFinding(code="running", message=text, care=Care.NONE))
    return Boot(
        kind=BootKind.BOOT if is_boot else BootKind.REQUESTS,
        started_at=fetches[0].started_at,
        ended_at=timestamp(datetime.fromtimestamp(ended, tz=datetime.fromisoformat(fetches[0].started_at).tzinfo)),
        addresses=tuple(dict.fromkeys(fetch.peer for fetch in fetches)),
        findings=tuple(sorted(findings, key=lambda finding: finding.care is not Care.ATTENTION)),
        requests=requests,
    )


def _request(fetch: LoggedFetch, taken: AbstractSet[str], *, took_own: bool) -> BootRequest:
    what = purpose(fetch.name)
    code, text, care = _judged(fetch, what, got_it=_file(fetch) in taken, took_own=took_own)
    asked = f"It asked for {PURPOSES[what]}"
    return BootRequest(
        fetch=fetch, purpose=what, by_address=fetch.mac is None, code=code, meaning=f"{asked}{text}", care=care
    )


def _judged(fetch: LoggedFetch, what: Purpose, *, got_it: bool, took_own: bool) -> tuple[str, str, Care]:
    """Code, the end of a sentence, and whether somebody has to care.

    ``got_it``: the file was taken in the same boot; ``took_own``: the phone's config was.
    """
    if fetch.outcome == FetchOutcome.COMPLETED:
        return "taken", f" and took all of it: {fetch.size} bytes in {fetch.duration:.1f} s.", Care.NONE
    if fetch.outcome == FetchOutcome.ABSENT:
        if got_it:
            return "absent_first", ", which was not there yet; another time in this boot it was.", Care.HARMLESS
        if what is Purpose.DEFAULT_CONFIG and took_own:
            return "no_default_config", ", which is not there. It has a config of its own.", Care.HARMLESS
        return MISSES[what]
    code, text = FAILURES[FetchOutcome(fetch.outcome)]
    told = text.format(acknowledged=fetch.acknowledged, size=fetch.size)
    if got_it:
        return f"{code}_then_taken", f"{told} At another try it took the file.", Care.HARMLESS
    return code, told, Care.ATTENTION


def _took(boot: Iterable[LoggedFetch], what: Purpose) -> bool:
    return any(fetch.outcome == FetchOutcome.COMPLETED and purpose(fetch.name) is what for fetch in boot)


def _of_boot(boot: Sequence[LoggedFetch], model: str | None, *, is_loop: bool) -> Iterator[BootFinding]:
    asked = {purpose(fetch.name) for fetch in boot}
    took_own, took_default = _took(boot, Purpose.CONFIG), _took(boot, Purpose.DEFAULT_CONFIG)
    if Purpose.RECOVERY in asked:
        yield _recovery(boot)
    if Purpose.SIGNED_CONFIG in asked:
        yield _signed(model, is_refusing=not took_own)
    if took_own and is_loop:
        yield _finding("keeps_starting", "It takes its config and starts again, over and over.")
    elif took_own:
        [*_, taken] = [f for f in boot if f.outcome == FetchOutcome.COMPLETED and purpose(f.name) is Purpose.CONFIG]
        text = f"It took its config over {taken.protocol.upper()}: {taken.size} bytes."
        yield BootFinding(code="configured", message=text, care=Care.NONE)
    elif Purpose.CONFIG in asked:
        yield _without_config(boot, took_default=took_default)
    elif Purpose.DEFAULT_CONFIG in asked:
        text = "took it" if took_default else "got nothing"
        yield _finding("only_default_config", f"It asked for the default config only, not for its own, and {text}.")
    elif asked <= {Purpose.TRUST_LIST, Purpose.WIRELESS}:
        yield _finding("stopped_at_trust_list", "It asked for its trust list and went no further.")


def _finding(code: str, message: str) -> BootFinding:
    return BootFinding(code=code, message=message, remedy=HELPS[code])


def _recovery(boot: Sequence[LoggedFetch]) -> BootFinding:
    lists = [fetch for fetch in boot if purpose(fetch.name) is Purpose.RECOVERY]
    if any(fetch.outcome == FetchOutcome.COMPLETED for fetch in lists):
        text = "It had no firmware that works, and fetched what it needs to recover."
        return BootFinding(code="recovering", message=text, care=Care.NONE)
    name = lists[-1].name
    remedy = HELPS["recovery_without_image"].format(name=name)
    text = f"It has no firmware that works and asks for {name}, which is not here."
    return BootFinding(code="recovery_without_image", message=text, remedy=remedy)


def _signed(model: str | None, *, is_refusing: bool) -> BootFinding:
    if is_refusing:
        text = "It wants its config signed: it has the trust list of another call manager and takes no other."
        return BootFinding(code="foreign_trust_list", message=text, remedy=erase_trust_list(model))
    text = (
        "It first asked for a signed config, as a phone does that has a trust list, and then took the plain one."
        " If it does not follow it, erase its trust list."
    )
    return BootFinding(code="signed_config_first", message=text, remedy=erase_trust_list(model), care=Care.HARMLESS)


def _without_config(boot: Sequence[LoggedFetch], *, took_default: bool) -> BootFinding:
    [*_, last] = [fetch for fetch in boot if purpose(fetch.name) is Purpose.CONFIG]
    if last.outcome != FetchOutcome.ABSENT:
        text = f"It asked for its config and did not get all of it: {last.acknowledged} of {last.size} bytes."
        return _finding("config_not_taken", text)
    if took_default:
        return _finding("default_config", f"There is no {last.name}: it took the default config.")
    return _finding("config_missing", f"There is no {last.name}, and no default config: it stays on what it had.")


def _of_transfers(requests: Iterable[BootRequest]) -> Iterator[BootFinding]:
    """One finding for each kind of trouble that is about files beside the config."""
    names: dict[str, list[str]] = {}
    for request in requests:
        if request.care is Care.ATTENTION and request.code in HELPS and request.purpose not in _JUDGED_AS_A_WHOLE:
            names.setdefault(request.code, []).append(request.fetch.name)
    for code, each in names.items():
        yield _finding(code, f"{HELPS[code + '_said']} {', '.join(dict.fromkeys(each))}")


def _silence(own: Sequence[LoggedFetch], awaited_since: Timestamp | None) -> Boot | None:
    if awaited_since is None:
        return None
    last = max((fetch.started_at for fetch in own), default=None)
    if last is not None and last >= awaited_since:
        return None
    text = f"A new config waits for it since {awaited_since}, and it has asked for nothing since"
    text += f" {last}." if last else " the log begins."
    finding = _finding("no_contact_since", text)
    return Boot(
        kind=BootKind.SILENCE, started_at=awaited_since, ended_at=awaited_since, addresses=(), findings=(finding,)
    )
