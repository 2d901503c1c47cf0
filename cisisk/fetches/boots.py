"""The boots of a phone, as its requests show them. No I/O.

Source: docs/phone-protocol/boot.md#request-order, docs/phone-protocol/boot.md#missing-files
"""

from collections.abc import Iterable, Sequence
from datetime import datetime

from cisisk.fetches.boot import Boot, BootFinding, BootKind
from cisisk.fetches.boot_findings import findings_in, requests_in
from cisisk.fetches.boot_groups import is_boot, requests_of, seconds, split_into_boots
from cisisk.model.clock import Timestamp, timestamp
from cisisk.model.codes.boot import BootFindingCode, RemedyCode
from cisisk.model.mac import Mac
from cisisk.provisioning.fetch import FetchOutcome
from cisisk.provisioning.purpose import Purpose, purpose
from cisisk.store.fetches import LoggedFetch

LOOP_BOOTS, LOOP_SECONDS = 3, 900.0
"""A phone whose registration is rejected restarts forever. Three boots within 15 minutes count as such a loop."""
RESTART_SECONDS = 300.0
"""From a restart that was asked for to the first request. Phones need up to two minutes, more if they end a call."""
ANSWER_SECONDS = 5.0
"""A restart is recorded when its method has ended. By then a quick phone may have begun to boot."""


def boot_history(
    mac: Mac,
    fetches: Iterable[LoggedFetch],
    *,
    address: str | None = None,
    model: str | None = None,
    awaited_since: Timestamp | None = None,
    restarts: Iterable[Timestamp] = (),
) -> list[Boot]:
    """Return the boots of one phone, the newest first.

    Args:
        fetches: all fetches of the phone's own files, and all others from the addresses that these came from, in any
            order.
        address: the last known address of the phone. Requests from there count if they fit no other phone.
        model: of the phone; the way to erase a trust list depends on it.
        awaited_since: when the config was written that the phone has not fetched yet.
        restarts: when Cisisk asked the phone to restart. A boot that follows one is no sign of a loop.
    """
    # FTP is for administrators; phones do not use it.
    by_phones = [fetch for fetch in fetches if fetch.protocol != "ftp"]
    own = requests_of(mac, sorted(by_phones, key=lambda fetch: (fetch.started_at, fetch.number)), address)
    groups = list(split_into_boots(own))
    loops = _loops(groups, sorted(map(seconds, restarts)))
    boots = [_boot(group, model, is_loop=at in loops) for at, group in enumerate(groups)]
    boots.reverse()
    silence = _silence(own, awaited_since)
    return [silence, *boots] if silence else boots


def _loops(groups: Sequence[Sequence[LoggedFetch]], restarts: Sequence[float]) -> set[int]:
    """Return the numbers of the boots that end :data:`LOOP_BOOTS` boots within :data:`LOOP_SECONDS`.

    Only boots with the same config count, and of these only the ones that the phone began by itself.
    """
    loops: set[int] = set()
    row: list[float] = []
    config: str | None = None
    begun = 0.0
    for at, group in enumerate(groups):
        if not is_boot(group):
            continue
        before, begun = begun, seconds(group[0].started_at)
        was_asked_for = any(
            max(before, begun - RESTART_SECONDS) < restart <= begun + ANSWER_SECONDS for restart in restarts
        )
        taken = _config_of(group)
        if taken is None or taken != config:
            config, row = taken, []
        if taken is not None and not was_asked_for:
            row = [start for start in row if begun - start <= LOOP_SECONDS] + [begun]
            if len(row) >= LOOP_BOOTS:
                loops.add(at)
    return loops


def _config_of(group: Iterable[LoggedFetch]) -> str | None:
    """Return the hash of the last config that a boot took, or None."""
    taken = [
        fetch.sha256
        for fetch in group
        if fetch.outcome == FetchOutcome.COMPLETED and purpose(fetch.name) in {Purpose.CONFIG, Purpose.SIGNED_CONFIG}
    ]
    return taken[-1] if taken else None


def _boot(fetches: Sequence[LoggedFetch], model: str | None, *, is_loop: bool) -> Boot:
    requests = requests_in(fetches)
    ended = max(seconds(fetch.started_at) + fetch.duration for fetch in fetches)
    return Boot(
        kind=BootKind.BOOT if is_boot(fetches) else BootKind.REQUESTS,
        started_at=fetches[0].started_at,
        ended_at=timestamp(datetime.fromtimestamp(ended, tz=datetime.fromisoformat(fetches[0].started_at).tzinfo)),
        addresses=tuple(dict.fromkeys(fetch.peer for fetch in fetches)),
        findings=findings_in(fetches, requests, model, is_loop=is_loop),
        requests=requests,
    )


def _silence(own: Sequence[LoggedFetch], awaited_since: Timestamp | None) -> Boot | None:
    if awaited_since is None:
        return None
    last = max((fetch.started_at for fetch in own), default=None)
    if last is not None and last >= awaited_since:
        return None
    notice = BootFindingCode.NO_CONTACT_SINCE.notice(awaited_since=awaited_since)
    finding = BootFinding(notice=notice, remedies=(RemedyCode.RESTART_BY_HAND.notice(),))
    return Boot(
        kind=BootKind.SILENCE, started_at=awaited_since, ended_at=awaited_since, addresses=(), findings=(finding,)
    )
