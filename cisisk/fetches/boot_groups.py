"""Finds the requests of one phone in the fetch log, and splits them into boots. No I/O."""

from collections.abc import Iterator, Sequence
from datetime import datetime

from cisisk.model.clock import Timestamp
from cisisk.model.mac import Mac
from cisisk.provisioning.names import normalise
from cisisk.provisioning.purpose import Purpose, purpose
from cisisk.store.fetches import LoggedFetch

PAUSE_SECONDS = 60.0
"""A longer silence ends a boot. Within one, published logs show 5 s between files; a server that a firewall hides costs
about 20 s for each file; a phone that fails starts again after minutes."""
FLASH_SECONDS = 600.0
"""Between firmware and the first request that names the phone. The phone writes its flash and starts, for minutes."""

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
"""The stage of a boot in which a phone asks for such a file. All other files belong to the last stage."""
_LAST_STAGE = 3


def requests_of(mac: Mac, fetches: Sequence[LoggedFetch], address: str | None) -> list[LoggedFetch]:
    """Return the requests that name the phone, and those without a name that came from its address.

    Args:
        address: the last known address of the phone. Requests from there count if they fit no other phone.
    """
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
    """Return the phone behind each request from one address.

    A request without a name belongs to the phone that was named in the same uninterrupted series, else to the phone
    that is named soon afterwards, else to the phone that was named last.
    """
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
    """Return the seconds from the end of ``earlier`` to the start of ``later``; negative if they overlap."""
    return seconds(later.started_at) - seconds(earlier.started_at) - earlier.duration


def seconds(moment: Timestamp) -> float:
    """Return a timestamp as seconds since the epoch."""
    return datetime.fromisoformat(moment).timestamp()


def split_into_boots(fetches: Sequence[LoggedFetch]) -> Iterator[list[LoggedFetch]]:
    """Yield the requests of one boot after the other. ``fetches`` is in order of time."""
    group: list[LoggedFetch] = []
    ended, furthest = 0.0, 0
    for fetch in fetches:
        began = seconds(fetch.started_at)
        stage = _stage(fetch)
        if group and (began - ended > PAUSE_SECONDS or stage < furthest or _begins_anew(group, fetch)):
            yield group
            group, ended, furthest = [], 0.0, 0
        group.append(fetch)
        ended, furthest = max(ended, began + fetch.duration), max(furthest, stage)
    if group:
        yield group


def is_boot(fetches: Sequence[LoggedFetch]) -> bool:
    """Return whether at least one request is one that phones make only when they start."""
    return any(_stage(fetch) != _LAST_STAGE for fetch in fetches)


def _stage(fetch: LoggedFetch) -> int:
    return _OPENING.get(purpose(fetch.name), _LAST_STAGE)


def _begins_anew(group: Sequence[LoggedFetch], fetch: LoggedFetch) -> bool:
    """Whether the phone asks for the first file of the boot again, over the same protocol, after another file."""
    first, last = group[0], group[-1]
    is_first = (path_of(first), first.protocol) == (path_of(fetch), fetch.protocol)
    return is_first and path_of(last) != path_of(fetch)


def path_of(fetch: LoggedFetch) -> str:
    """Return the normalised file name: the same file may be spelt differently over HTTP and over TFTP."""
    return normalise(fetch.name) or fetch.name
