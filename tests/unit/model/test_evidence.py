"""The judgement of evidence: tables from real conversations, and properties over invented ones."""

from collections.abc import Iterable, Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cisisk.model.codes.asterisk import RegistrationDoubt as Doubt
from cisisk.model.deployment import Deployment, DeploymentState, Origin, Policy
from cisisk.model.evidence import (
    REMEMBERED_SECONDS,
    ListingHistory,
    Proof,
    RegistrationIndex,
    SeenRegistration,
    Shown,
    Watched,
    claims,
    judge,
)
from cisisk.model.mac import Mac
from cisisk.model.phone import Software
from cisisk.model.registration import Before, ListedRegistration
from cisisk.model.restart import TriedMethod, Worth
from cisisk.pbx import listings
from cisisk.pbx.listed import of_contact, of_device, of_peer
from tests.transcripts import received

MAC = Mac.parse("001122334455")
HERE, THERE = "192.0.2.7", "192.0.2.8"
FETCH = 100.0
NOW = "2026-06-28T12:00:00.000Z"
DEPLOYMENT = Deployment(
    uuid="11111111-1111-1111-1111-111111111111",
    mac=MAC,
    origin=Origin.SWITCH,
    profile_uuid=None,
    profile_name="Desk",
    sha256="0" * 64,
    replaced=None,
    requested_by=None,
    policy=Policy(),
    state=DeploymentState.WRITTEN,
    recorded_at=NOW,
)


def contact(line: str = "305", **changes: Any) -> ListedRegistration:
    known = ListedRegistration(
        line=line,
        endpoint=line,
        addresses=frozenset({HERE}),
        contact=f"u {HERE} 5060",
        call_id="old",
        expires=3700.0,
    )
    return replace(known, **changes)


def peer(line: str = "305", **changes: Any) -> ListedRegistration:
    """A peer of a chan_sip without the patch."""
    return contact(line, **{"call_id": "", "expires": None, "is_latest_call_id": True, **changes})


def phone(**changes: Any) -> Watched:
    before = Before(lines=frozenset({"201"}), listed=(contact("201"),))
    known = Watched(mac=MAC, software=Software.SIP, address=HERE, line="305", before=before, since=FETCH, fetched=True)
    return replace(known, **changes)


def history(*times_and_listings: tuple[float, Sequence[ListedRegistration]]) -> list[SeenRegistration]:
    """Return what the last of several listings shows; each takes a second."""
    taken, sightings = ListingHistory(), []
    for asked_at, listed in times_and_listings:
        sightings = taken.take(listed, asked_at, asked_at + 1)
    return sightings


def judged(
    watched: Watched, *times_and_listings: tuple[float, Sequence[ListedRegistration]], **reported: float
) -> Shown | Doubt:
    return judge(watched, RegistrationIndex.of(history(*times_and_listings)), reported)


def verdict(found: Shown | Doubt) -> Proof | Doubt:
    return found.proof if isinstance(found, Shown) else found


SAME_LINE = phone(before=Before(lines=frozenset({"305"}), listed=(contact(),)))
TWO_LINES = phone(before=Before(new_lines=frozenset({"305", "306"}), listed=(contact("201"),)))
REFRESHED = contact(expires=3800.0)
ANEW = contact(call_id="new", expires=3800.0)


# Each row is a situation that a real Asterisk showed.
@pytest.mark.parametrize(
    ("watched", "seen", "expected"),
    [
        # Another line, the previous one ended by the phone, or left behind.
        (phone(), [(110, [ANEW])], Proof.NEW_CALL_ID),
        (phone(), [(110, [contact("201"), ANEW])], Proof.NEW_CALL_ID),
        (phone(), [(110, [contact("201")])], Doubt.ABSENT),
        # The phone came back with its old line.
        (phone(), [(110, [contact("201", call_id="new")])], Doubt.ABSENT),
        # The same line: PJSIP keeps the Call-ID of the first REGISTER after a power cut.
        (SAME_LINE, [(90, [contact()]), (105, [contact()]), (110, [contact()])], Doubt.NOT_LATER),
        (SAME_LINE, [(90, [contact()]), (105, [contact()]), (110, [REFRESHED])], Proof.LATER),
        # Refreshed before the fetch, or perhaps before it.
        (SAME_LINE, [(80, [contact()]), (90, [REFRESHED]), (110, [REFRESHED])], Doubt.NOT_LATER),
        (SAME_LINE, [(90, [contact()]), (110, [REFRESHED])], Doubt.NOT_LATER),
        (SAME_LINE, [(110, [ANEW])], Proof.NEW_CALL_ID),
        (SAME_LINE, [(110, [])], Doubt.ABSENT),
        # The contact of the new line was there before.
        (phone(before=Before(listed=(contact("201"), contact()))), [(110, [contact()])], Doubt.NOT_LATER),
        (phone(before=Before(listed=(contact("201"), contact()))), [(110, [contact(), ANEW])], Proof.NEW_CALL_ID),
        # One endpoint for the phone, an AOR for each line.
        (phone(), [(110, [replace(ANEW, endpoint="desk-7")])], Proof.NEW_CALL_ID),
        (phone(), [(110, [replace(ANEW, endpoint="desk-7", line="305@pbx.example")])], Proof.NEW_CALL_ID),
        (phone(), [(110, [replace(ANEW, endpoint="305", line="306")])], Doubt.ABSENT),
        # A stale contact beside the new one.
        (SAME_LINE, [(105, [contact()]), (110, [contact(), replace(ANEW, contact="v")])], Proof.NEW_CALL_ID),
        # Two phones behind one address.
        (phone(), [(110, [ANEW, replace(ANEW, contact="v", call_id="newer")])], Doubt.AMBIGUOUS),
        # Not the phone's address.
        (phone(), [(110, [replace(ANEW, addresses=frozenset({THERE}))])], Doubt.ELSEWHERE),
        (phone(address=None), [(110, [ANEW])], Doubt.ELSEWHERE),
        # Another phone shares the line.
        (
            phone(before=Before(listed=(contact("201"), contact(addresses=frozenset({THERE}))))),
            [(110, [contact(addresses=frozenset({THERE}), expires=3900.0)])],
            Doubt.ABSENT,
        ),
        # Another line of the new config, or of the old one, registered.
        (TWO_LINES, [(110, [replace(ANEW, line="306")])], Doubt.OTHER_LINE),
        (TWO_LINES, [(110, [replace(ANEW, line="201")])], Doubt.ABSENT),
        (TWO_LINES, [(90, [contact("306")]), (110, [contact("306")])], Doubt.ABSENT),
        # It registered, and does not answer OPTIONS.
        (phone(), [(110, [replace(ANEW, is_live=False)])], Doubt.SILENT),
        # Nothing is known of the time before.
        (phone(before=None), [(110, [contact()])], Doubt.NOT_LATER),
        (phone(before=None), [(105, []), (110, [contact()])], Proof.LATER),
        (phone(before=Before()), [(110, [contact()])], Proof.NEW),
        # No line is known.
        (phone(line=None), [(110, [])], Doubt.NO_LINE),
        (phone(line=None), [(110, [ANEW])], Proof.NEW_CALL_ID),
        # The fetch is not known. Only a line that the phone did not have proves that it took the config.
        (phone(fetched=False), [(110, [ANEW])], Proof.NEW_CALL_ID),
        (replace(SAME_LINE, fetched=False), [(110, [ANEW])], Doubt.NOT_LATER),
        (phone(fetched=False, before=Before()), [(110, [ANEW])], Doubt.NOT_LATER),
        (
            phone(fetched=False, before=Before(lines=frozenset({"201", "305"}), listed=(contact("201"),))),
            [(110, [ANEW])],
            Doubt.NOT_LATER,
        ),
    ],
)
def test_judgement_of_pjsip_contacts(
    watched: Watched, seen: list[tuple[float, list[ListedRegistration]]], expected: Proof | Doubt
) -> None:
    assert verdict(judged(watched, *seen)) == expected


PEER_BEFORE = phone(before=Before(listed=(peer(call_id="old"),)))
PATCHED = peer(call_id="new")


@pytest.mark.parametrize(
    ("watched", "seen", "reported", "expected"),
    [
        # The usecallmanager patch shows the Call-ID of the last REGISTER.
        (PEER_BEFORE, [(110, [PATCHED])], {}, Proof.NEW_CALL_ID),
        (PEER_BEFORE, [(105, []), (110, [peer(call_id="old")])], {"305": 105.0}, Doubt.NOT_LATER),
        # Without the patch an event or a gap shows it.
        (PEER_BEFORE, [(110, [peer()])], {}, Doubt.NOT_LATER),
        (PEER_BEFORE, [(110, [peer()])], {"305": 90.0}, Doubt.NOT_LATER),
        (PEER_BEFORE, [(110, [peer()])], {"305": 105.0}, Proof.REPORTED),
        (PEER_BEFORE, [(90, [peer()]), (105, []), (110, [peer()])], {}, Proof.LATER),
        (PEER_BEFORE, [(110, [peer(contact=f"{HERE} 5062")])], {}, Proof.NEW),
        # The previous peer stays registered until it expires.
        (phone(), [(110, [peer("201"), peer()])], {}, Proof.NEW),
        (phone(), [(110, [peer("201")])], {}, Doubt.ABSENT),
        # The patch for Asterisk 22 names the phone.
        (
            phone(),
            [(110, [replace(PATCHED, device=MAC.device_name, addresses=frozenset({THERE}))])],
            {},
            Proof.NEW_CALL_ID,
        ),
        (phone(), [(110, [replace(PATCHED, device="SEP001122334400")])], {}, Doubt.ELSEWHERE),
    ],
)
def test_judgement_of_chan_sip_peers(
    watched: Watched,
    seen: list[tuple[float, list[ListedRegistration]]],
    reported: dict[str, float],
    expected: Proof | Doubt,
) -> None:
    assert verdict(judged(watched, *seen, **reported)) == expected


@pytest.mark.parametrize(
    ("seen", "reported", "expected"),
    [
        ([(110, ["8:00"])], {}, Doubt.NOT_LATER),
        ([(90, ["8:00"]), (110, ["8:00"])], {}, Doubt.NOT_LATER),
        ([(90, ["8:00"]), (105, ["8:00"]), (110, ["9:00"])], {}, Proof.LATER),
        ([(105, []), (110, ["9:00"])], {}, Proof.LATER),
        ([(110, ["9:00"])], {MAC.device_name: 101.0}, Proof.REPORTED),
        ([(110, [])], {}, Doubt.ABSENT),
    ],
)
def test_judgement_of_sccp_devices(
    seen: list[tuple[float, list[str]]], reported: dict[str, float], expected: Proof | Doubt
) -> None:
    name = MAC.device_name
    listed = [
        (at, [ListedRegistration(line="", endpoint=name, device=name, registered=since) for since in times])
        for at, times in seen
    ]
    watched = phone(software=Software.SCCP, line=None, before=None, address=None)
    assert verdict(judged(watched, *listed, **reported)) == expected


def test_registration_that_a_starting_call_manager_lacks_stays_old() -> None:
    assert verdict(judged(SAME_LINE, (90, [contact()]), (105, []), (110, [contact()]))) == Doubt.NOT_LATER


def test_absence_after_a_lost_connection_is_no_evidence() -> None:
    index = RegistrationIndex.of([])
    assert judge(phone(), index, connected_at=FETCH - 1) is Doubt.ABSENT
    assert judge(phone(), index, connected_at=FETCH + 1) is Doubt.INTERRUPTED


def test_registration_that_a_killed_call_manager_restores_is_not_later() -> None:
    restored = contact(expires=3600.0)
    assert verdict(judged(SAME_LINE, (90, [contact()]), (105, [contact()]), (110, [restored]))) == Doubt.NOT_LATER


def test_registration_that_was_gone_for_long_is_forgotten() -> None:
    late = 90 + REMEMBERED_SECONDS + 1
    (sighting,) = history((90, [contact()]), (late, []), (late + 5, [contact()]))
    assert sighting.not_before == late


def test_peer_with_another_call_id_registered_since_the_old_one_was_seen() -> None:
    (sighting,) = history((80, [peer(call_id="old")]), (90, [peer()]), (110, [PATCHED]))
    assert (sighting.not_before, sighting.not_after) == (80, 111)


def test_peer_whose_call_id_becomes_known_has_not_registered_since() -> None:
    (sighting,) = history((80, [peer()]), (90, [peer(call_id="old")]), (95, [peer()]), (110, [peer(call_id="old")]))
    assert sighting.not_after == 81


def test_remaining_seconds_of_one_registration_are_not_a_later_one() -> None:
    first, second = peer(expires=3700.0, expires_within=1.5), peer(expires=3702.5, expires_within=1.5)
    (sighting,) = history((90, [first]), (110, [second]))
    assert sighting.not_before < 90


# Transcripts


def test_contact_in_a_transcript_is_listed_with_its_expiry() -> None:
    messages = received("22.10.1-pjsip-listings", "PJSIPShowRegistrationInboundContactStatuses")
    (listed,) = map(of_contact, listings.contacts(messages))
    assert (listed.line, listed.call_id, listed.expires) == ("201", "dddd-4@127.0.2.9", 1796068330)
    assert (listed.addresses, listed.is_latest_call_id) == (frozenset({"127.0.2.9"}), False)


@pytest.mark.parametrize("name", ["16.28.0-stock-chan_sip-answers", "22.8.1-usecallmanager-answers"])
def test_peers_in_a_transcript_are_listed_under_their_names(name: str) -> None:
    found = [of_peer(each) for each in listings.peers(received(name, "SIPpeers"))]
    assert found
    assert all(each.line and each.addresses and each.is_latest_call_id for each in found)


def test_devices_in_a_transcript_are_listed_by_their_names() -> None:
    messages = received("16.28.0-chan-sccp-answers", "SCCPListDevices")
    found = [of_device(each) for each in listings.devices(messages)]
    assert found
    assert all(each.device.startswith("SEP") and not each.line for each in found)


# Claims


@pytest.mark.parametrize(
    ("facts", "told", "took", "registered"),
    [
        ({}, None, False, False),
        ({"tried_methods": (TriedMethod("a", Worth.REFUSED),)}, None, False, False),
        ({"tried_methods": (TriedMethod("a", Worth.SENT),)}, Worth.SENT, False, False),
        (
            {"tried_methods": (TriedMethod("a", Worth.SENT), TriedMethod("b", Worth.ANSWERED))},
            Worth.ANSWERED,
            False,
            False,
        ),
        ({"fetched_at": NOW}, None, True, False),
        ({"fetched_at": NOW, "registered_at": NOW}, None, True, True),
        # The record of the fetch is lost. Only a line that no other config has was counted.
        ({"registered_at": NOW}, None, True, True),
    ],
)
def test_claims_name_what_is_known_of_the_phone(
    facts: dict[str, Any], told: Worth | None, took: bool, registered: bool
) -> None:
    found = claims(replace(DEPLOYMENT, **facts))
    assert (found.told, found.took, found.registered) == (told, took, registered)
    assert found.runs == (took and registered)


# Properties


@dataclass
class Pbx:
    """The registrations of a call manager, as the transcripts show that it keeps them."""

    shows: str
    contacts: dict[tuple[str, str, int], dict[str, Any]] = field(default_factory=dict)

    def register(self, line: str, address: str, port: int, call_id: str, moment: float) -> None:
        key = (line, address, port)
        if self.shows == "pjsip":
            kept = self.contacts.get(key, {"call_id": call_id})["call_id"]
            self.contacts[key] = {"call_id": kept, "expires": moment + 3600}
        else:
            # chan_sip keeps one contact of a peer.
            self.unregister(line)
            self.contacts[key] = {"call_id": call_id if self.shows == "patched" else "", "expires": None}

    def unregister(self, line: str, address: str | None = None) -> None:
        for key in [key for key in self.contacts if key[0] == line and address in {None, key[1]}]:
            del self.contacts[key]

    def listed(self) -> list[ListedRegistration]:
        return [
            ListedRegistration(
                line=line,
                endpoint=line,
                addresses=frozenset({address}),
                contact=f"{address} {port}",
                call_id=kept["call_id"],
                is_latest_call_id=self.shows != "pjsip",
                expires=kept["expires"],
            )
            for (line, address, port), kept in self.contacts.items()
        ]


@dataclass(frozen=True)
class Story:
    """A switch. Times are seconds; the file is written at 50.

    Attributes:
        refreshes: when the phone refreshed its old registration.
        ends_old: whether the phone ended its old registration when it restarted.
        registers: how long after the fetch it registered with the new config; None if it never did.
        stale: whether a contact of the new line was left behind at its address.
        neighbour: when another phone at another address registered the new line.
        killed: when the call manager was killed; None if it was not.
    """

    shows: str
    line: str
    was_on: bool
    refreshes: frozenset[int]
    ends_old: bool
    fetched: int
    registers: int | None
    port: int
    stale: bool
    neighbour: frozenset[int]
    looks: frozenset[int]
    knows_before: bool
    killed: int | None


stories = st.builds(
    Story,
    shows=st.sampled_from(["pjsip", "patched", "stock"]),
    line=st.sampled_from(["201", "305"]),
    was_on=st.booleans(),
    refreshes=st.frozensets(st.integers(1, 99), max_size=4),
    ends_old=st.booleans(),
    fetched=st.integers(60, 100),
    registers=st.none() | st.integers(1, 40),
    port=st.sampled_from([5060, 5062]),
    stale=st.booleans(),
    neighbour=st.frozensets(st.integers(1, 150), max_size=3),
    looks=st.frozensets(st.integers(1, 149), max_size=30),
    knows_before=st.booleans(),
    killed=st.none() | st.integers(20, 150),
)


def happened(story: Story, pbx: Pbx, moment: int) -> Iterator[str]:
    """Let happen what the story tells of a moment. Yield the lines that the phone registered."""
    restarted = story.fetched - 5
    if story.was_on and moment in story.refreshes and moment < restarted:
        pbx.register("201", HERE, 5060, "first", moment)
        yield "201"
    if moment == restarted and story.was_on and story.ends_old:
        pbx.unregister("201", HERE)
    if story.registers is not None and moment == story.fetched + story.registers:
        pbx.register(story.line, HERE, story.port, "second", moment)
        yield story.line
    if moment in story.neighbour and story.shows == "pjsip":
        pbx.register(story.line, THERE, 5060, "neighbour", moment)


def listing(pbx: Pbx, *, with_call_ids: bool) -> list[ListedRegistration]:
    """Return what is listed. The Call-IDs of chan_sip are asked for one by one, and not always."""
    return [
        replace(each, call_id="") if each.is_latest_call_id and not with_call_ids else each for each in pbx.listed()
    ]


def played(story: Story, order: Any = list) -> tuple[Watched, Shown | Doubt]:
    """Return the phone of a story, and the judgement at its end."""
    pbx, taken, reported = Pbx(story.shows), ListingHistory(), dict[str, float]()
    before: Before | None = None
    sightings: list[SeenRegistration] = []
    kept: list[Any] = []
    if story.stale:
        pbx.register(story.line, HERE, 5060, "stale", 0)
    if story.was_on:
        pbx.register("201", HERE, 5060, "first", 0)
    for moment in range(1, 152):
        reported |= dict.fromkeys(happened(story, pbx, moment), moment)
        if moment == 49 and story.knows_before:
            before = Before(lines=frozenset({"201"}), listed=tuple(pbx.listed()))
        kept.append(deepcopy(pbx.contacts))
        if moment == story.killed:
            # It starts again with what it had stored.
            pbx.contacts = deepcopy(kept[max(0, moment - 10)])
        if moment in story.looks or moment == 151:
            sightings = taken.take(order(listing(pbx, with_call_ids=bool(moment % 2))), moment, moment + 0.5)
    if story.shows == "pjsip":
        reported.clear()
    watched = Watched(
        mac=MAC,
        software=Software.SIP,
        address=HERE,
        line=story.line,
        before=before,
        since=story.fetched,
        fetched=True,
    )
    return watched, judge(watched, RegistrationIndex.of(order(sightings)), reported, story.killed or 0)


@given(story=stories)
def test_judgement_shows_only_registrations_after_the_fetch(story: Story) -> None:
    _, found = played(story)
    assert not isinstance(found, Shown) or story.registers is not None


@given(story=stories)
def test_judgement_never_finds_a_registered_phone_absent(story: Story) -> None:
    _, found = played(replace(story, registers=story.registers or 1))
    assert found != Doubt.ABSENT


@given(story=stories)
def test_judgement_does_not_depend_on_the_order_of_a_listing(story: Story) -> None:
    def backwards(items: Iterable[Any]) -> list[Any]:
        return list(items)[::-1]

    assert played(story)[1] == played(story, backwards)[1]


@given(story=stories, line=st.sampled_from(["201", "305"]), since=st.integers(50, 150))
def test_judgement_ignores_what_was_listed_before_the_restart(story: Story, line: str, since: int) -> None:
    watched, _ = played(story)
    listed = [contact(line), contact(line, contact="v"), contact("201")]
    before = Before(listed=tuple(listed))
    found = judged(replace(watched, line=line, before=before, since=since), (49, listed), (since + 1, listed))
    assert isinstance(found, Doubt)


@given(
    lines=st.frozensets(st.text(max_size=5)),
    listed=st.lists(st.builds(contact, line=st.text(max_size=5), call_id=st.text(max_size=5)), max_size=3),
)
def test_registrations_before_survive_their_storage(lines: frozenset[str], listed: list[ListedRegistration]) -> None:
    before = Before(lines=lines, new_lines=lines, listed=tuple(replace(each, expires=None) for each in listed))
    assert Before.from_json(before.to_json()) == before
