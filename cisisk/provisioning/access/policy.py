"""The access policy: a file source that serves a phone's own files to that phone only."""

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
"""From a switch until its phone has booted: one or two minutes, more if it loads firmware."""
ALLOWED_SECONDS = 600.0
"""How long a permission waits for its phone: time to carry it to a desk and connect it."""
MAX_KEPT_ALARMS = 200
"""The latest alarms, which the API lists. The audit log has all of them."""
DECOY_NAMES = frozenset({"configfilecachelist.txt", "spdefault.cnf.xml"})
"""Lists and defaults of other call managers. Only a search for secrets requests them
(docs/phone-protocol/security.md#attacks)."""

_SUBNET_BITS = {4: 24, 6: 64}
"""Prefix lengths of a segment: a restarted phone may get another address of the same segment, not of another."""
_CACHED_NAMES = 16_384
"""Names whose phone is remembered: three for each phone of a large site, at most 5 MB."""
_COPY = re.compile(r"(?:SEP|SIP|ATA|WLAN)([0-9A-F]{12})", re.IGNORECASE | re.ASCII)
"""A file belongs to the phone whose name its own contains: old copies such as ``SEP….cnf.xml.bak`` or ``old-SIP….cnf``
hold the same secrets."""


class Mode(StrEnum):
    """What the policy does."""

    OFF = "off"
    """Serves every file to every address."""
    OBSERVE = "observe"
    """Refuses nothing, and raises alarms for what ``pin`` would refuse."""
    PIN = "pin"
    """Serves a phone's own files at that phone's address only."""


class Files(Protocol):
    """The files to serve: the library, or the library with a default config."""

    def open(self, name: str) -> Content:
        """Open the file of that name. Raises NotServed, and OSError as a file source."""


@dataclass(frozen=True, slots=True)
class _Permission:
    """Permission for one phone to use another address for a while.

    Attributes:
        since, until: in seconds of the policy's clock.
        given_at: the time of day, as in the store's sightings.
        seen_at: when the phone was last seen before; empty if that is not known.
    """

    since: float
    until: float
    given_at: Timestamp
    seen_at: Timestamp

    def is_used(self, seen_at: Timestamp) -> bool:
        """Whether the phone, last seen at ``seen_at``, has taken a file since."""
        # A fetch can begin in the millisecond in which the permission is given.
        return seen_at >= self.given_at and seen_at != self.seen_at


class AccessPolicy:
    """A :class:`~cisisk.provisioning.source.FileSource`. Methods may be called from any thread.

    A request for a phone's own files from its own address reads two dictionaries that are replaced as a whole, and
    takes no lock. All other requests are decided under one lock, in memory only. :meth:`know` brings in what the store
    knows.

    Args:
        decoys: MACs of no real phone. A source that requests their files is throttled at once.
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
        self._lock = threading.Lock()
        self._sources = FetchSources(limits)
        self._throttled = self._sources.throttled
        self._seen: dict[str, str] = {}
        self._allowed: dict[str, _Permission] = {}
        self._expected: dict[str, _Permission] = {}
        self._alarms: deque[Alarm] = deque(maxlen=MAX_KEPT_ALARMS)
        # A name of no file, as long as a config's: a refused request takes the same path as one for an absent file.
        self._nowhere = f"nil{secrets.token_hex(6)}.cnf.xml"

    def open(self, name: str, host: str) -> Content:
        """Open the file ``name``, if the peer at the IP address ``host`` may have it.

        Raises:
            NotServed: absent or denied.
            OSError: the file exists, but the system could not open it.
        """
        if self._is_off:
            return self._library.open(name)
        device = _device(name) if len(name) <= MAX_NAME_BYTES else None
        if device is None:
            # Not secret. But a throttled source gets no file at all, unless a phone is known at its address.
            if host not in self._throttled or host in self._owned or self._is_observing:
                return self._library.open(name)
            return self._library.open(self._nowhere)
        if host in self._addresses.get(device, ()):
            return self._library.open(name)
        return self._open_elsewhere(name, host, device)

    def know(self, phones: Collection[PhoneAddress]) -> None:
        """Take the phones' addresses from the store; permissions that were used end."""
        addresses: dict[str, tuple[str, ...]] = {}
        for phone in phones:
            addresses[phone.mac.digits] = tuple({ip for ip in (phone.seen_ip, phone.phone_ip) if ip is not None})
        self._addresses = addresses
        self._owned = frozenset(ip for ips in addresses.values() for ip in ips)
        now = self._clock()
        self._seen = {phone.mac.digits: phone.seen_at or "" for phone in phones}
        with self._lock:
            for permissions in (self._allowed, self._expected):
                for device, permission in list(permissions.items()):
                    if now >= permission.until or permission.is_used(self._seen.get(device, "")):
                        del permissions[device]

    def expect(self, mac: Mac) -> None:
        """Allow a phone that is being restarted another address for :data:`EXPECTED_SECONDS`.

        The address must be of the same subnet, of no other phone, and must not have requested any phone's file before:
        a source that repeats its requests while it waits for a switch is excluded.
        """
        self._permit(self._expected, mac, EXPECTED_SECONDS)

    def allow_next(self, mac: Mac) -> None:
        """Serve a phone its files at any address until it has taken one, or :data:`ALLOWED_SECONDS` have passed.

        The permission does not end with the first request, whose address could be forged. It ends when a file was
        taken.
        """
        self._permit(self._allowed, mac, ALLOWED_SECONDS)

    def believes(self, mac: Mac, host: str) -> bool:
        """Whether a request from ``host`` shows the address of the phone.

        A refused request, or one from a throttled source, does not.
        """
        device = mac.digits
        if self._is_off or host in self._addresses.get(device, ()):
            return True
        with self._lock:
            if self._is_known_otherwise(device, host):
                return True
            if host in self._throttled:
                return False
            return self._is_observing or device not in self._addresses or device in self._expected

    def due_alarms(self) -> list[Alarm]:
        """Return the new alarms, each once."""
        with self._lock:
            alarms = self._sources.due(self._clock(), is_observed=self._is_observing)
        self._alarms.extend(alarms)
        return alarms

    @property
    def alarms(self) -> Sequence[Alarm]:
        """The latest alarms, the newest first."""
        return tuple(reversed(self._alarms))

    def _open_elsewhere(self, name: str, host: str, device: str) -> Content:
        with self._lock:
            source = self._refused_source(device, host)
        if source is None:
            return self._library.open(name)
        if not self._is_observing:
            return self._library.open(self._nowhere)
        content = self._library.open(name)
        with self._lock:
            source.refuse(device)
        return content

    def _refused_source(self, device: str, host: str) -> FetchSource | None:
        """Return the source that must be refused, or None.

        Reads no file: the response must not show whether the file exists.
        """
        if self._is_known_otherwise(device, host):
            return None
        now = self._clock()
        source = self._sources.asked(host, device, now, is_decoy=device in self._decoys)
        if source.throttled_at is None:
            known = self._addresses.get(device)
            if self._is_new_phone(source) if known is None else self._is_expected(device, source, known, now):
                return None
        if not self._is_observing and device in self._addresses:
            source.refuse(device)
        return source

    def _is_known_otherwise(self, device: str, host: str) -> bool:
        """Whether ``device`` may be served at ``host`` although it is not known there, without any suspicion."""
        permission = self._allowed.get(device)
        if permission is not None and self._clock() < permission.until:
            return True
        return self._neighbours.mac_of(host) == device

    def _is_new_phone(self, source: FetchSource) -> bool:
        """Whether an unknown phone may be this source: it requested no other phone's file, and is no other phone.

        On the same segment, ARP has already shown that it is another machine.
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
        with self._lock:
            seen_at = self._seen.get(mac.digits, "")
            permissions[mac.digits] = _Permission(now, now + seconds, calendar.now(), seen_at)


@lru_cache(_CACHED_NAMES)
def _device(name: str) -> str | None:
    """Return whose file ``name`` is: the digits of a MAC, the name of a decoy, or None for a shared file."""
    mac = device_mac(name)
    if mac is not None:
        return mac.digits
    path = normalise(name) or ""
    if copy := _COPY.search(path):
        return copy[1].upper()
    file = path.rpartition("/")[2]
    return file if file in DECOY_NAMES else None


def _is_near(host: str, known: str) -> bool:
    """Whether two addresses are probably of one segment."""
    try:
        address = ipaddress.ip_address(host)
        return address in ipaddress.ip_network(f"{known}/{_SUBNET_BITS[address.version]}", strict=False)
    except ValueError:
        return False
