"""Access decisions in each mode."""

import logging
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from statistics import median
from time import perf_counter
from typing import NoReturn

import pytest

from cisisk.model.codes.access import AlarmResult
from cisisk.model.mac import Mac
from cisisk.provisioning.access import policy as module
from cisisk.provisioning.access.alarm import AlarmKind
from cisisk.provisioning.access.policy import ALLOWED_SECONDS, EXPECTED_SECONDS, Mode
from cisisk.provisioning.access.sources import FREE_DEVICES, SETTLE_SECONDS, THROTTLE_SECONDS, WINDOW_SECONDS
from cisisk.provisioning.source import Content
from tests.unit.provisioning.access.conftest import MakePolicySetup, PolicySetup

HOME, ELSEWHERE, NEAR, FAR = "10.0.0.5", "10.0.0.77", "10.0.0.6", "10.9.0.6"
COMMON = "Ringlist.xml"


@pytest.fixture
def pinned(make_setup: MakePolicySetup) -> PolicySetup:
    made = make_setup(Mode.PIN)
    (made.root / COMMON).write_text("<CiscoIPPhoneRinglist/>")
    made.library.refresh()
    return made


def test_phone_is_served_at_its_seen_and_entered_addresses(pinned: PolicySetup) -> None:
    mac = pinned.phone(1, seen_ip=HOME, phone_ip=NEAR)
    assert pinned.gets(HOME, mac)
    assert pinned.gets(NEAR, mac)
    assert not pinned.gets(ELSEWHERE, mac)


@pytest.mark.parametrize(
    "name",
    [
        "SEP{0}.cnf.xml",
        "sep{1}.CNF.XML",
        "\\SEP{0}.cnf.xml",
        "/SEP{0}.cnf.xml",
        "CTLSEP{0}.tlv",
        "ITLSEP{0}.tlv",
        "SIP{0}.cnf",
        "SEP{0}.cnf.xml.sgn",
        "SEP{0}.cnf.xml.bak",
        "old/SEP{0}.cnf.xml~",
        "SIP{0}.cnf.bak",
        "old-sip{1}.cnf",
        "Copy of SEP{0}.cnf.xml",
        "sep{0}/config.xml",
    ],
)
def test_whatever_is_named_after_a_phone_is_that_phones(pinned: PolicySetup, name: str) -> None:
    mac = pinned.phone(1, seen_ip=HOME)
    asked = name.format(mac.digits, mac.digits.lower())
    path = pinned.root / asked.replace("\\", "/").lstrip("/")
    path.parent.mkdir(exist_ok=True)
    path.write_text("secret")
    pinned.library.refresh()
    assert pinned.gets(HOME, asked)
    assert not pinned.gets(ELSEWHERE, asked)


def test_shared_files_are_served_to_every_address(pinned: PolicySetup) -> None:
    assert pinned.gets(ELSEWHERE, COMMON)
    assert not pinned.gets(ELSEWHERE, "absent.xml")
    assert not pinned.gets(ELSEWHERE, "x" * 9000)


def test_off_serves_and_notices_nothing(make_setup: MakePolicySetup) -> None:
    site = make_setup(Mode.OFF)
    mac = site.phone(1, seen_ip=HOME)
    site.search(ELSEWHERE, 100)
    assert site.gets(ELSEWHERE, mac)
    site.now += SETTLE_SECONDS
    assert site.policy.due_alarms() == []
    assert site.policy.believes(mac, ELSEWHERE)


def test_unknown_phone_is_learnt_when_it_takes_its_file(pinned: PolicySetup) -> None:
    mac = pinned.phone(1)
    assert pinned.gets(HOME, mac)
    pinned.move(mac, HOME)
    assert pinned.gets(HOME, mac)
    assert not pinned.gets(ELSEWHERE, mac)


def test_asking_alone_takes_nothing_from_the_phone_that_comes_later(pinned: PolicySetup) -> None:
    mac = pinned.phone(1)
    assert pinned.gets("10.66.6.6", f"CTLSEP{mac.digits}.tlv") is False
    assert pinned.gets(HOME, mac)


def test_address_learns_one_phone_only(pinned: PolicySetup) -> None:
    first, second = pinned.phone(1), pinned.phone(2)
    assert pinned.gets(HOME, first)
    assert not pinned.gets(HOME, second)
    pinned.move(first, HOME)
    pinned.now += WINDOW_SECONDS
    assert not pinned.gets(HOME, second)


def test_address_of_known_phone_learns_no_other(pinned: PolicySetup) -> None:
    pinned.phone(1, seen_ip=HOME)
    assert not pinned.gets(HOME, pinned.phone(2))


def test_after_a_while_an_address_may_be_a_new_phones(pinned: PolicySetup) -> None:
    assert not pinned.gets(HOME, "SEP001122099999.cnf.xml")
    mac = pinned.phone(1)
    assert not pinned.gets(HOME, mac)
    pinned.now += WINDOW_SECONDS
    assert pinned.gets(HOME, mac)


def test_arp_identifies_a_phone_on_the_same_segment(pinned: PolicySetup) -> None:
    moved, new = pinned.phone(1, seen_ip=HOME), pinned.phone(2)
    pinned.neighbour(ELSEWHERE, str(moved))
    assert pinned.gets(ELSEWHERE, moved)
    assert not pinned.gets(ELSEWHERE, new)
    pinned.neighbour(NEAR, "02:00:00:00:00:01")
    assert not pinned.gets(NEAR, new)
    assert pinned.gets(FAR, new)


def test_restarted_phone_may_use_another_address_of_its_subnet(pinned: PolicySetup) -> None:
    mac = pinned.phone(1, seen_ip=HOME)
    pinned.policy.expect(mac)
    assert not pinned.gets(FAR, mac)
    assert pinned.gets(NEAR, mac)
    pinned.now += EXPECTED_SECONDS
    assert not pinned.gets(NEAR, mac)


def test_source_that_repeats_requests_before_a_switch_is_refused(pinned: PolicySetup) -> None:
    mac = pinned.phone(1, seen_ip=HOME)
    for _ in range(30):
        assert not pinned.gets(NEAR, mac)
        pinned.now += WINDOW_SECONDS / 7
        pinned.policy.due_alarms()
    pinned.policy.expect(mac)
    for _ in range(10):
        assert not pinned.gets(NEAR, mac)
        pinned.now += EXPECTED_SECONDS / 10


@pytest.mark.parametrize("owned", [True, False])
def test_expected_phone_admits_no_other_phone(pinned: PolicySetup, owned: bool) -> None:
    mac = pinned.phone(1, seen_ip=HOME)
    pinned.policy.expect(mac)
    if owned:
        pinned.phone(2, seen_ip=NEAR)
    else:
        assert not pinned.gets(NEAR, pinned.phone(3, seen_ip=FAR))
    assert not pinned.gets(NEAR, mac)


def test_expected_phone_may_have_ipv6_address(pinned: PolicySetup) -> None:
    mac = pinned.phone(1, seen_ip="2001:db8::5")
    pinned.policy.expect(mac)
    assert pinned.gets("2001:db8::1:6", mac)
    assert not pinned.gets("2001:db8:0:1::6", mac)
    assert not pinned.gets("10.0.0.9", mac)
    assert not pinned.gets("no address", mac)


def test_permission_lasts_until_the_phone_has_taken_a_file(pinned: PolicySetup) -> None:
    mac = pinned.phone(1, seen_ip=HOME)
    pinned.search(FAR, FREE_DEVICES + 1)
    pinned.policy.allow_next(mac)
    assert pinned.gets("10.66.6.6", mac)
    assert pinned.gets(FAR, mac)
    pinned.known[mac] = pinned.known[mac].__class__(mac=mac, phone_ip=None, seen_ip=FAR, seen_at="9999")
    pinned.policy.know(pinned.known.values())
    assert pinned.gets(FAR, mac)
    assert not pinned.gets("10.66.6.6", mac)
    assert not pinned.gets(HOME, mac)


def test_permission_ends_with_a_fetch_in_the_same_millisecond(
    pinned: PolicySetup, monkeypatch: pytest.MonkeyPatch
) -> None:
    mac = pinned.phone(1, seen_ip=HOME)
    monkeypatch.setattr("cisisk.model.clock.now", lambda: "9999-01-01T00:00:00.000Z")
    pinned.policy.allow_next(mac)
    pinned.policy.know(pinned.known.values())
    assert pinned.gets(FAR, mac)
    pinned.known[mac] = replace(pinned.known[mac], seen_ip=FAR, seen_at="9999-01-01T00:00:00.000Z")
    pinned.policy.know(pinned.known.values())
    assert not pinned.gets("10.66.6.6", mac)


def test_allowed_fetch_expires(pinned: PolicySetup) -> None:
    mac = pinned.phone(1, seen_ip=HOME)
    pinned.policy.allow_next(mac)
    pinned.now += ALLOWED_SECONDS
    assert not pinned.gets(FAR, mac)
    pinned.policy.know(pinned.known.values())
    assert not pinned.policy._allowed


def test_searching_source_gets_no_file_for_a_while(pinned: PolicySetup) -> None:
    pinned.search(FAR, FREE_DEVICES)
    assert pinned.gets(FAR, COMMON)
    pinned.search(FAR, 1, first=0xE0000)
    new = pinned.phone(2)
    assert not pinned.gets(FAR, COMMON)
    assert not pinned.gets(FAR, new)
    assert pinned.gets(NEAR, COMMON)
    pinned.now += THROTTLE_SECONDS
    assert not pinned.gets(FAR, COMMON)
    assert pinned.policy.due_alarms()
    assert pinned.gets(FAR, COMMON)
    assert pinned.gets(FAR, new)


def test_searching_in_a_known_phones_name_takes_nothing_from_it(pinned: PolicySetup) -> None:
    mac = pinned.phone(1, seen_ip=HOME)
    pinned.search(HOME, 1000)
    assert pinned.gets(HOME, mac)
    assert pinned.gets(HOME, COMMON)
    assert pinned.policy.believes(mac, HOME)


@pytest.mark.parametrize("name", ["ConfigFileCacheList.txt", "/spdefault.CNF.xml", "SEP00112200DEC0.cnf.xml"])
def test_one_decoy_is_enough(make_setup: MakePolicySetup, name: str) -> None:
    site = make_setup(Mode.PIN, decoys=(Mac("00112200DEC0"),))
    (site.root / name.strip("/").lower()).write_text("not for you")
    site.library.refresh()
    assert not site.gets(FAR, name)
    assert not site.gets(FAR, site.phone(1))
    site.now += SETTLE_SECONDS
    (alarm,) = site.policy.due_alarms()
    assert (alarm.kind, alarm.host) == (AlarmKind.DECOY, FAR)


def test_observe_refuses_nothing_and_names_what_pin_would_have_refused(make_setup: MakePolicySetup) -> None:
    site = make_setup(Mode.OBSERVE)
    phones = [site.phone(number, seen_ip=f"10.0.1.{number}") for number in range(1, 21)]
    new = site.phone(99)
    site.search(FAR, 100)
    assert all(site.gets(FAR, mac) for mac in [*phones, new])
    site.now += SETTLE_SECONDS
    (alarm,) = site.policy.due_alarms()
    assert site.policy.due_alarms() == []
    assert (alarm.kind, alarm.asked, alarm.devices) == (AlarmKind.ENUMERATION, 121, 121)
    assert list(alarm.refused) == [str(mac) for mac in [*phones, new]]
    examples = tuple(str(mac) for mac in phones[:10])
    assert alarm.notice.parameters["result"] == AlarmResult.OBSERVED.notice(count=21, examples=examples)
    assert list(site.policy.alarms) == [alarm]


def test_fetch_by_a_throttled_source_does_not_move_a_phone(make_setup: MakePolicySetup) -> None:
    site = make_setup(Mode.OBSERVE)
    mac, new = site.phone(1, seen_ip=HOME), site.phone(2)
    assert site.policy.believes(mac, FAR)
    site.search(FAR, FREE_DEVICES + 1)
    assert not site.policy.believes(mac, FAR)
    assert not site.policy.believes(new, FAR)
    assert site.policy.believes(mac, HOME)
    assert site.policy.believes(mac, NEAR)


def test_refused_request_does_not_move_a_phone(pinned: PolicySetup) -> None:
    mac = pinned.phone(1, phone_ip=HOME)
    assert not pinned.policy.believes(mac, NEAR)
    pinned.policy.expect(mac)
    assert pinned.policy.believes(mac, NEAR)
    assert pinned.policy.believes(pinned.phone(2), NEAR)
    other = pinned.phone(3, seen_ip=FAR)
    pinned.policy.allow_next(other)
    assert pinned.policy.believes(other, NEAR)


def test_absent_denied_and_blocked_ask_the_library_for_the_same(
    pinned: PolicySetup, monkeypatch: pytest.MonkeyPatch
) -> None:
    known, absent = pinned.phone(1, seen_ip=HOME), Mac("0011220FFFFF")
    pinned.move(absent, NEAR)
    looked_at: list[str] = []
    original = pinned.library.open

    def look(name: str) -> Content:
        looked_at.append(name)
        return original(name)

    monkeypatch.setattr(pinned.library, "open", look)
    assert not pinned.gets(FAR, known)
    assert not pinned.gets(FAR, absent)
    pinned.search(FAR, FREE_DEVICES)
    looked_at.clear()
    assert not pinned.gets(FAR, known)
    assert not pinned.gets(FAR, absent)
    assert not pinned.gets(FAR, COMMON)
    assert len(looked_at) == 3
    assert len(set(looked_at)) == 1
    assert len(looked_at[0]) == len(known.config_name)


def test_absent_denied_and_blocked_take_the_same_time(pinned: PolicySetup) -> None:
    known = [pinned.phone(number, seen_ip=HOME).config_name for number in range(1, 101)]
    absent = [f"SEP0011220{number:05X}.cnf.xml" for number in range(0xF0000, 0xF0064)]
    pinned.search("10.66.6.6", FREE_DEVICES + 1)
    rounds = range(40)
    cases = {"absent": (absent, "10.1"), "denied": (known, "10.2"), "blocked": (known, None)}
    took: dict[str, list[float]] = {case: [] for case in cases}
    for turn in rounds:
        for case, (names, network) in cases.items():
            for number, name in enumerate(names):
                # Each request has its own address, like a search from many; the blocked client has one.
                host = f"{network}.{turn}.{number}" if network else "10.66.6.6"
                began = perf_counter()
                assert not pinned.gets(host, name)
                took[case].append(perf_counter() - began)
    middles = {case: median(times) for case, times in took.items()}
    assert max(middles.values()) < 3 * min(middles.values())
    assert max(middles.values()) - min(middles.values()) < 20e-6


def test_read_failure_is_raised(pinned: PolicySetup, monkeypatch: pytest.MonkeyPatch) -> None:
    mac = pinned.phone(1, seen_ip=HOME)

    def refuse(name: str) -> NoReturn:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(pinned.library, "open", refuse)
    with pytest.raises(OSError, match="Too many open files"):
        pinned.policy.open(mac.config_name, HOME)


def test_only_names_of_a_length_that_files_have_are_remembered(pinned: PolicySetup) -> None:
    before = module._device.cache_info().currsize
    assert not pinned.gets(HOME, "SEP" + "A" * 100_000)
    assert module._device.cache_info().currsize == before


def test_refusal_is_not_logged(pinned: PolicySetup, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    pinned.search(FAR, 50)
    assert caplog.text == ""


@pytest.mark.parametrize("mode", [Mode.PIN, Mode.OBSERVE])
def test_all_threads_may_ask_at_once(make_setup: MakePolicySetup, mode: Mode) -> None:
    site = make_setup(mode)
    phones = [site.phone(number, seen_ip=f"10.0.0.{number}") for number in range(1, 51)]
    done = threading.Event()

    def ask(thief: str) -> int:
        served = 0
        for _ in range(20):
            for number, mac in enumerate(phones, start=1):
                assert site.gets(f"10.0.0.{number}", mac)
                served += site.gets(thief, mac)
        return served

    def tell() -> None:
        while not done.is_set():
            site.now += 1
            site.policy.due_alarms()
            site.policy.know(site.known.values())

    with ThreadPoolExecutor(5) as threads:
        telling = threads.submit(tell)
        try:
            loot = [thread.result() for thread in [threads.submit(ask, f"10.6.6.{number}") for number in range(4)]]
        finally:
            done.set()
        telling.result()
    assert loot == ([0] * 4 if mode is Mode.PIN else [1000] * 4)
