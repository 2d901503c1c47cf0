"""The access policy: a file source in front of the library that serves a phone's own files to that phone only."""

import ipaddress
import re
import secrets
import threading
import time
from collections import deque
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import Protocol

from cisisk.model import clock as calendar
from cisisk.model.clock import Timestamp
from cisisk.model.mac import Mac
from cisisk.provisioning.access.alarm import Alarm
from cisisk.provisioning.access.neighbours import Neighbours
from cisisk.provisioning.access.sources import DEFAULT_LIMITS, FetchSource, FetchSources, SourceLimits
from cisisk.provisioning.names import MAX_NAME_BYTES, device_mac, normalise
from cisisk.provisioning.source import Content
from cisisk.store.phones import PhoneAddress

EXPECTED_SECONDS = 300.0
"""From a switch until its phone has booted: a minute or two, and some more when it loads firmware on the way."""
ALLOWED_SECONDS = 600.0
"""How long an administrator's permission waits for a phone: time to carry one to a desk and plug it in."""
MAX_KEPT_ALARMS = 200
"""Alarms that are kept for the API, the latest ones; the audit log has them all."""
DECOY_NAMES = frozenset({"configfilecachelist.txt", "spdefault.cnf.xml"})
"""Lists and defaults of other call managers, which only those ask for who look for secrets
(docs/phone-protocol/security.md#attacks)."""

_SUBNET_BITS = {4: 24, 6: 64}
"""What is taken for one segment: phones that are restarted get another address from the same pool, not from another."""
_CACHED_NAMES = 16_384
"""Names whose phone is remembered: three for each phone of a large site. At most 5 MB, with names as long as can be."""
_COPY = re.compile(r"(?:SEP|SIP|ATA|WLAN)([0-9A-F]{12})", re.IGNORECASE | re.ASCII)
"""What has a phone's name anywhere in its own is that phone's: old copies such as ``SEP….cnf.xml.bak`` or
``old-SIP….cnf`` hold the same secrets."""


class Mode(StrEnum):
    """What the policy does."""

    OFF = "off"
    """Nothing: everybody is served everything."""
    OBSERVE = "observe"
    """It refuses nothing, and tells what ``pin`` would refuse."""
    PIN = "pin"
    """It serves a phone's own files at that phone's address only."""


class Files(Protocol):
    """What there is to serve: the library, or the library with something behind it."""

    def open(self, name: str) -> Content:
        """The file of that name. Raises NotServed, and OSError as a file source."""


@dataclass(frozen=True, slots=True)
class _Permission:
    """One phone may come from elsewhere for a while.

    Attributes:
        since, until: in seconds of the policy's clock.
        given_at: the time of day, as the store's sightings have it.
    """

    since: float
    until: float
    given_at: Timestamp


class AccessPolicy:
    """A :class:`~cisisk.provisioning.source.FileSource`. Every method may be called from any thread.

    A phone that asks for its own files at its own address meets two dictionaries that are swapped whole, and no lock.
    Everybody else is judged under one lock, in memory only. What the store knows arrives by :meth:`know`.

    Args:
        decoys: MACs that exist for nobody: whoever asks for their files is braked at once.
    """

    def __init__(
        self,
        library: Files,
        mode: Mode,
        *,
        decoys: Iterable[Mac] = (),
        neighbours: Neighbours | None = None,
        clock: Callable[[], float] = time.monotonic,
        limits: SourceLimits = DEFAULT_LIMITS,
    ) -> None:
        self._library = library
        self._is_off = mode is Mode.OFF
        self._is_observing = mode is Mode.OBSERVE
        self._decoys = frozenset({mac.digits for mac in decoys} | DECOY_NAMES)
        self._neighbours = neighbours or Neighbours(clock=clock)
        self._clock = clock
        self._addresses: dict[str, tuple[str, ...]] = {}
        self._owned: frozenset[str] = frozenset()
        self._judging = threading.Lock()
        self._sources = FetchSources(limits)
        self._braked = self._sources.braked
        self._allowed: dict[str, _Permission] = {}
        self._expected: dict[str, _Permission] = {}
        self._alarms: deque[Alarm] = deque(maxlen=MAX_KEPT_ALARMS)
        # A plain name that no file has, as long as a config's: what is refused is looked up like what is absent.
        self._nowhere = f"nil{secrets.token_hex(6)}.cnf.xml"

    def open(self, name: str, host: str) -> Content:
        """What the library has under ``name``, if the peer at the IP address ``host`` may have it.

        Raises:
            NotServed: absent or denied.
            OSError: it is there, but the system could not open it.
        """
        if self._is_off:
            return self._library.open(name)
        device = _device(name) if len(name) <= MAX_NAME_BYTES else None
        if device is None:
            # Nobody's secret; but whoever searches for secrets gets nothing at all, unless a phone is known there.
            if host not in self._braked or host in self._owned or self._is_observing:
                return self._library.open(name)
            return self._library.open(self._nowhere)
        if host in self._addresses.get(device, ()):
            return self._library.open(name)
        return self._open_elsewhere(name, host, device)

    def know(self, phones: Collection[PhoneAddress]) -> None:
        """Take where the phones are, as the store knows it now; permissions that were used end."""
        addresses: dict[str, tuple[str, ...]] = {}
        for phone in phones:
            addresses[phone.mac.digits] = tuple({ip for ip in (phone.seen_ip, phone.phone_ip) if ip is not None})
        self._addresses = addresses
        self._owned = frozenset(ip for ips in addresses.values() for ip in ips)
        now = self._clock()
        seen = {phone.mac.digits: phone.seen_at or "" for phone in phones}
        with self._judging:
            for permissions in (self._allowed, self._expected):
                for device, permission in list(permissions.items()):
                    if now >= permission.until or seen.get(device, "") > permission.given_at:
                        del permissions[device]

    def expect(self, mac: Mac) -> None:
        """A phone is being restarted: for :data:`EXPECTED_SECONDS` it may come back with another address.

        It must be one of the same subnet, of no other phone, and one that has not asked for any phone's file before:
        whoever waits for a switch by asking again and again shuts himself out.
        """
        self._permit(self._expected, mac, EXPECTED_SECONDS)

    def allow_next(self, mac: Mac) -> None:
        """Serve a phone its files wherever it asks from, until it has taken one or :data:`ALLOWED_SECONDS` are over.

        Not only the first address that asks: that could be forged. The phone is the one that takes the file.
        """
        self._permit(self._allowed, mac, ALLOWED_SECONDS)

    def believes(self, mac: Mac, host: str) -> bool:
        """Whether a request from ``host`` tells where the phone is.

        One that is refused, or made by whoever searches for secrets, does not: it must not move a phone.
        """
        device = mac.digits
        if self._is_off or host in self._addresses.get(device, ()):
            return True
        with self._judging:
            if self._is_at_home_elsewhere(device, host):
                return True
            if host in self._braked:
                return False
            return self._is_observing or device not in self._addresses or device in self._expected

    def due_alarms(self) -> list[Alarm]:
        """What has to be told now; each alarm comes once."""
        with self._judging:
            alarms = self._sources.due(self._clock(), is_observed=self._is_observing)
        self._alarms.extend(alarms)
        return alarms

    @property
    def alarms(self) -> Sequence[Alarm]:
        """The latest alarms, the newest first."""
        return tuple(reversed(self._alarms))

    def _open_elsewhere(self, name: str, host: str, device: str) -> Content:
        with self._judging:
            source = self._judge(device, host)
        if source is None:
            return self._library.open(name)
        if not self._is_observing:
            return self._library.open(self._nowhere)
        content = self._library.open(name)
        with self._judging:
            source.refuse(device)
        return content

    def _judge(self, device: str, host: str) -> FetchSource | None:
        """The source that has to be refused, or None. It looks at no file: whether there is one must not show."""
        if self._is_at_home_elsewhere(device, host):
            return None
        now = self._clock()
        source = self._sources.asked(host, device, now, is_decoy=device in self._decoys)
        if source.braked_at is None:
            known = self._addresses.get(device)
            if self._is_learnt(source) if known is None else self._is_expected(device, source, known, now):
                return None
        if not self._is_observing and device in self._addresses:
            source.refuse(device)
        return source

    def _is_at_home_elsewhere(self, device: str, host: str) -> bool:
        """Whether it may be served without being known at ``host``, and without making itself suspicious."""
        permission = self._allowed.get(device)
        if permission is not None and self._clock() < permission.until:
            return True
        return self._neighbours.mac_of(host) == device

    def _is_learnt(self, source: FetchSource) -> bool:
        """Whether a phone that is known nowhere may be this source: it asked for no other, and is none.

        On the same segment ARP has told already that it is another machine, whatever it says.
        """
        return (
            len(source.devices) == 1 and source.host not in self._owned and self._neighbours.mac_of(source.host) is None
        )

    def _is_expected(self, device: str, source: FetchSource, known: Iterable[str], now: float) -> bool:
        permission = self._expected.get(device)
        return (
            permission is not None
            and now < permission.until
            and source.first >= permission.since
            and len(source.devices) == 1
            and source.host not in self._owned
            and any(_is_near(source.host, ip) for ip in known)
        )

    def _permit(self, permissions: dict[str, _Permission], mac: Mac, seconds: float) -> None:
        now = self._clock()
        with self._judging:
            permissions[mac.digits] = _Permission(now, now + seconds, calendar.now())


@lru_cache(_CACHED_NAMES)
def _device(name: str) -> str | None:
    """Whose file ``name`` is: the digits of a MAC, the name of a decoy, or None for a file that is anybody's."""
    mac = device_mac(name)
    if mac is not None:
        return mac.digits
    path = normalise(name) or ""
    if copy := _COPY.search(path):
        return copy[1].upper()
    file = path.rpartition("/")[2]
    return file if file in DECOY_NAMES else None


def _is_near(host: str, known: str) -> bool:
    """Whether two addresses are likely to be of one segment."""
    try:
        address = ipaddress.ip_address(host)
        return address in ipaddress.ip_network(f"{known}/{_SUBNET_BITS[address.version]}", strict=False)
    except ValueError:
        return False
