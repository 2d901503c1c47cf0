"""The judgement of evidence: what is known of a switched phone, and how it is known.

Observations go in: the listings of the call manager, the registrations before the restart, the fetch. Claims come out,
each with its evidence, or the reason why it cannot be shown (docs/architecture.md#evidence). Pure: no I/O, no clock,
no sentences. All times are seconds of one clock.
"""

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum

from cisisk.model.codes.asterisk import RegistrationDoubt as Doubt
from cisisk.model.deployment import Deployment
from cisisk.model.mac import Mac
from cisisk.model.phone import Software
from cisisk.model.registration import Before, ListedRegistration
from cisisk.model.restart import Worth

REMEMBERED_SECONDS = 900.0
"""For this time a registration that is not listed any more is remembered. While a call manager starts, its listing may
lack registrations that it shows again afterwards.
"""
NEVER = float("-inf")


class Proof(StrEnum):
    """What shows that a registration is later than the fetch, or than the restart."""

    NEW_CALL_ID = "new_call_id"
    """No registration had its Call-ID before."""
    NEW = "new"
    """It was not there before."""
    LATER = "later"
    """It was there before. A listing after the fetch shows another, later REGISTER."""
    REPORTED = "reported"
    """The call manager reported a REGISTER after the fetch."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PhoneClaims:
    """What is known of the phone of a deployment. Each claim has its own evidence.

    Attributes:
        told: how it is known that the phone was asked to restart; None if no method was accepted.
        took: whether the phone took the whole config, seen by its fetch or by a line that only this config has.
        registered: whether it registered later than that.
    """

    told: Worth | None
    took: bool
    registered: bool

    @property
    def runs(self) -> bool:
        """Whether the phone is known to run the config."""
        return self.took and self.registered


def claims(deployment: Deployment) -> PhoneClaims:
    """Return what is known of the phone of a deployment."""
    worths = {each.worth for each in deployment.tried_methods}
    registered = deployment.registered_at is not None
    return PhoneClaims(
        told=next((worth for worth in (Worth.ANSWERED, Worth.SENT) if worth in worths), None),
        # Without a fetch, only the registration of a line that no other config has is recorded.
        took=deployment.fetched_at is not None or registered,
        registered=registered,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """A phone whose registration is awaited.

    Attributes:
        address: its IP address; None if it is not known.
        line: the first line of the config that it fetches; None if that is not known.
        before: None if it is not known.
        since: when the fetch began; when the restart was asked for while there is no fetch.
        fetched: whether the phone is known to have fetched the config.
    """

    mac: Mac
    software: Software
    address: str | None
    line: str | None
    before: Before | None
    since: float
    fetched: bool

    @property
    def is_new_line(self) -> bool:
        """Whether only a phone with the new config registers the line: the record of its fetch may be lost."""
        return (
            self.line is not None
            and self.before is not None
            and bool(self.before.listed)
            and not self.before.has_line(self.line)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenRegistration:
    """A registration in the latest listing. Its latest REGISTER came after ``not_before``, and before ``not_after``."""

    listed: ListedRegistration
    not_before: float
    not_after: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """A registration that is later than the fetch."""

    listed: ListedRegistration
    proof: Proof


@dataclass(slots=True)
class _Known:
    """The latest REGISTER of a contact, as the listings show it. It was ``listed`` first between the two times.

    Attributes:
        listed_at: when a listing last had it.
        call_id_at: when a listing last had its Call-ID.
    """

    listed: ListedRegistration
    not_before: float
    not_after: float
    listed_at: float
    call_id_at: float


@dataclass(slots=True)
class ListingHistory:
    """Successive listings, which bound the time of the latest REGISTER of each registration.

    Attributes:
        at: when the last listing was asked for.
    """

    at: float = NEVER
    _known: dict[Hashable, _Known] = field(default_factory=dict)

    def take(self, listed: Iterable[ListedRegistration], asked_at: float, answered_at: float) -> list[SeenRegistration]:
        """Note a listing, later than those before. Return its registrations with what is known of each.

        The Call-IDs of latest REGISTERs may be left out.
        """
        before, self.at = self.at, asked_at
        sightings = []
        for each in listed:
            key = _identity(each)
            known = self._known.get(key)
            if known is None or _has_moved(each, known.listed):
                known = self._known[key] = _Known(each, before, answered_at, asked_at, asked_at)
            elif _has_other_call_id(each, known.listed):
                known = self._known[key] = _Known(each, known.call_id_at, answered_at, asked_at, asked_at)
            known.listed_at = asked_at
            if each.call_id:
                known.listed, known.call_id_at = replace(known.listed, call_id=each.call_id), asked_at
            sightings.append(SeenRegistration(listed=each, not_before=known.not_before, not_after=known.not_after))
        self._forget(asked_at)
        return sightings

    def _forget(self, asked_at: float) -> None:
        """Forget what is not listed any more, unless a Call-ID or a time would identify it again."""
        for key, known in list(self._known.items()):
            limit = REMEMBERED_SECONDS if _is_unique(key) else 0.0
            if asked_at - known.listed_at > limit:
                del self._known[key]


@dataclass(frozen=True, slots=True)
class RegistrationIndex:
    """The registrations of one listing, found by address, device and line."""

    by_address: Mapping[str, Sequence[SeenRegistration]]
    by_device: Mapping[str, Sequence[SeenRegistration]]
    by_line: Mapping[str, Sequence[SeenRegistration]]

    @classmethod
    def of(cls, sightings: Iterable[SeenRegistration]) -> "RegistrationIndex":
        """Index the registrations of a listing."""
        by_address: dict[str, list[SeenRegistration]] = {}
        by_device: dict[str, list[SeenRegistration]] = {}
        by_line: dict[str, list[SeenRegistration]] = {}
        for each in sightings:
            for address in each.listed.addresses:
                by_address.setdefault(address, []).append(each)
            if each.listed.device:
                by_device.setdefault(each.listed.device, []).append(each)
            for line in {each.listed.line, each.listed.line.partition("@")[0]} - {""}:
                by_line.setdefault(line, []).append(each)
        return cls(by_address, by_device, by_line)

    def of_phone(self, phone: Watched) -> list[SeenRegistration]:
        """Return what may be the phone's own registration: under the line, by its device name or from its address."""
        here = self.by_device.get(phone.mac.device_name) or self.by_address.get(phone.address or "", ())
        # A call manager that names devices names another one here: another phone's.
        mine = [each for each in here if each.listed.device in {"", phone.mac.device_name}]
        return [each for each in mine if phone.line is None or not each.listed.line or each.listed.is_under(phone.line)]


def judge(
    phone: Watched,
    index: RegistrationIndex,
    reported: Mapping[str, float] | None = None,
    connected_at: float = NEVER,
) -> Shown | Doubt:
    """Return the registration of a phone that is later than its fetch, or why none is shown.

    Args:
        reported: by endpoint, when the call manager last reported a REGISTER.
        connected_at: since when the call manager is connected. One that was killed may have lost a registration.
    """
    mine = index.of_phone(phone)
    if not phone.fetched and not phone.is_new_line:
        # The phone may have registered with its old config.
        return Doubt.NOT_LATER
    later = [
        (each, proof)
        for each in mine
        if (proof := _proof(phone, each, (reported or {}).get(each.listed.endpoint, NEVER))) is not None
    ]
    live = [Shown(listed=each.listed, proof=proof) for each, proof in later if each.listed.is_live]
    if len({(shown.listed.line, shown.listed.contact) for shown in live}) == 1:
        return max(live, key=lambda shown: shown.listed.expires or 0.0)
    doubt = _doubt(phone, index, mine, later=bool(later), several=bool(live))
    return Doubt.INTERRUPTED if doubt is Doubt.ABSENT and connected_at > phone.since else doubt


def _proof(phone: Watched, sighting: SeenRegistration, reported_at: float) -> Proof | None:
    """Return what shows that a registration is later than ``phone.since``, or None."""
    listed, before = sighting.listed, phone.before
    if sighting.not_after < phone.since and reported_at < phone.since:
        return None
    if before is not None:
        if listed.call_id and listed.is_latest_call_id and before.has_call_id(listed.call_id):
            # The phone has only refreshed: one that starts takes another Call-ID.
            return None
        if sighting.not_after >= phone.since and not any(_may_be_same(listed, each) for each in before.listed):
            return Proof.NEW_CALL_ID if listed.call_id and before.listed else Proof.NEW
    if sighting.not_before >= phone.since:
        return Proof.LATER
    return Proof.REPORTED if reported_at >= phone.since else None


def _may_be_same(listed: ListedRegistration, before: ListedRegistration) -> bool:
    if listed.call_id and before.call_id:
        return listed.call_id == before.call_id
    return listed.line == before.line and listed.contact == before.contact


def _doubt(
    phone: Watched, index: RegistrationIndex, mine: Sequence[SeenRegistration], *, later: bool, several: bool
) -> Doubt:
    if several:
        return Doubt.AMBIGUOUS
    if later:
        return Doubt.SILENT
    return Doubt.NOT_LATER if mine else _absence(phone, index)


def _absence(phone: Watched, index: RegistrationIndex) -> Doubt:
    """Return what it means that the line is not registered from the phone's address."""
    if phone.line is None and phone.software is not Software.SCCP:
        return Doubt.NO_LINE
    if _has_other_line(phone, index):
        return Doubt.OTHER_LINE
    for each in index.by_line.get(phone.line or "", ()):
        known = phone.before.listed if phone.before is not None else ()
        if each.not_after >= phone.since and not any(_may_be_same(each.listed, other) for other in known):
            return Doubt.ELSEWHERE
    return Doubt.ABSENT


def _has_other_line(phone: Watched, index: RegistrationIndex) -> bool:
    """Return whether another line of the new config has registered later: the first may be at another call manager."""
    others = phone.before.new_lines - {phone.line} if phone.before is not None else frozenset()
    found = (each for line in others for each in index.of_phone(replace(phone, line=line)))
    return any(_proof(phone, each, NEVER) is not None for each in found)


def _identity(listed: ListedRegistration) -> Hashable:
    """Return what stays the same from REGISTER to REGISTER of one contact."""
    return (
        *(listed.line, listed.endpoint, listed.contact, listed.addresses, listed.device),
        # Last: see _is_unique.
        *("" if listed.is_latest_call_id else listed.call_id, listed.registered),
    )


def _is_unique(identity: Hashable) -> bool:
    return isinstance(identity, tuple) and any(identity[-2:])


def _has_other_call_id(listed: ListedRegistration, known: ListedRegistration) -> bool:
    return bool(listed.call_id and known.call_id and listed.call_id != known.call_id)


def _has_moved(listed: ListedRegistration, known: ListedRegistration) -> bool:
    """Return whether the expiry shows another REGISTER. A call manager that was killed restores earlier ones."""
    if listed.expires is None or known.expires is None:
        return False
    return listed.expires - known.expires > listed.expires_within + known.expires_within
